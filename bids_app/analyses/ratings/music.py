"""Rating effects over participants against chance agreement with the music."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import damaged, read_maps, read_record
from bids_app.analyses.group.effects import GroupEffects
from bids_app.config import Statistics
from bids_app.emotion import PhaseTest, add_turned, phase_test
from bids_app.group.claims import holds
from bids_app.outputs import EMOTION_LABEL, OutputTree, sidecar_of
from bids_app.seeds import generator, random_phases

LOGGER = logging.getLogger("bids_app.analyses")

Place = tuple[str, str]
Terms = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class RatingMusic:
    """Rating effects over music, or why there is no such test.

    Attributes
    ----------
    effects : PhaseTest or None
        Of each map.
    contrasts : PhaseTest or None
        Of the differences between two maps.
    n_draws : int
    reason : str
        Why there is none; empty where there is.
    """

    effects: PhaseTest | None = None
    contrasts: PhaseTest | None = None
    n_draws: int = 0
    reason: str = ""


def both_claims(people: GroupEffects, music: PhaseTest | None) -> NDArray[np.float64]:
    """Where an effect holds over people and over music, (n_maps, n_vertices): 1 or 0.

    NaN where there is no effect; nowhere without a test over music.
    """
    p = people.test.p
    held = np.zeros(p.shape, dtype=bool) if music is None else holds(p, music.p_max)
    return np.where(np.isfinite(p), held, np.nan)


def rating_music(
    tree: OutputTree,
    participants: Sequence[str],
    space: str,
    places: Sequence[Place],
    checksums: Mapping[str, str],
    effects: NDArray[np.floating],
    people: GroupEffects,
    statistics: Statistics,
) -> RatingMusic:
    """Rotate the phases of everybody's regressors alike.

    Parameters
    ----------
    tree : OutputTree
    participants : sequence of str
        Those who are in the effects.
    space : str
    places : sequence of (str, str)
        Entities ``feature`` and ``desc`` of each map.
    checksums : mapping from stimulus to str
        Of the music: phases come from them.
    effects : array of shape (n_participants, n_maps, n_vertices)
    people : GroupEffects
        The means that are tested.
    statistics : Statistics
        As many draws as sign flips.
    """
    total: Terms = {}
    for participant in participants:
        own, reason = _terms(tree, participant, space, places, effects.shape[2])
        if reason:
            LOGGER.warning("group: ratings and brain: no null over music: %s", reason)
            return RatingMusic(reason=reason)
        add_turned(total, own)
    unknown = sorted(set(total) - set(checksums))
    if unknown:
        where = tree.participant_settings(participants[0], EMOTION_LABEL)
        raise damaged(where, f"no checksum of {', '.join(unknown)}", "one of every stimulus")
    count = np.isfinite(effects).sum(axis=0)
    for stimulus in total:
        total[stimulus] /= np.maximum(count, 1)[:, np.newaxis].astype(np.float32)
    options = draws_of(statistics, checksums)
    contrasts = None
    if people.contrasts is not None:
        pairs = list(combinations(range(len(places)), 2))
        differences = {
            stimulus: np.stack([values[a] - values[b] for a, b in pairs])
            for stimulus, values in total.items()
        }
        contrasts = phase_test(people.contrasts.mean, differences, **options)
    effects_test = phase_test(people.mean, total, **options)
    return RatingMusic(effects_test, contrasts, statistics.n_permutations)


def draws_of(statistics: Statistics, checksums: Mapping[str, str]) -> dict[str, Any]:
    """Options of `phase_test`: phases and signs of every piece, from the seed and its sound."""
    seed = statistics.random_seed
    return {
        "phases": lambda name, draw, n_freq: random_phases(seed, checksums[name], draw, n_freq),
        "signs": lambda name, n: generator(seed, checksums[name], "signs").choice([-1.0, 1.0], n),
        "n_draws": statistics.n_permutations,
    }


def _terms(
    tree: OutputTree, participant: str, space: str, places: Sequence[Place], n_vertices: int
) -> tuple[Terms, str]:
    """What turns of a participant's effects, by stimulus; or why it is not there."""
    found: dict[str, list[NDArray[np.float32]]] = {}
    for feature, desc in places:
        paths = _paths(tree, participant, space, feature, desc)
        if not paths:
            name = f"{feature} {desc}".strip()
            reason = f"sub-{participant} has no effects of {name} by frequency"
            return {}, f"{reason}; run the participant level again"
        for path in paths:
            told = read_record(sidecar_of(path), Stimulus=str, DataArrays=list)
            values = read_maps(path, space, n_arrays=len(told["DataArrays"]))
            found.setdefault(told["Stimulus"], []).append(values)
    for stimulus, maps in found.items():
        if len(maps) != len(places) or len({len(values) for values in maps}) != 1:
            raise damaged(
                _paths(tree, participant, space, *places[0])[0],
                f"{[len(values) for values in maps]} arrays of the maps of {stimulus}",
                f"the same number in {len(places)} maps",
            )
    return {stimulus: np.stack(maps) for stimulus, maps in found.items()}, ""


def _paths(tree: OutputTree, participant: str, space: str, feature: str, desc: str) -> list[Path]:
    return tree.find_maps(
        participant,
        "L",
        space,
        model=EMOTION_LABEL,
        stim="*",
        feature=feature,
        stat="turned",
        desc=desc,
    )
