"""Is the trained network's layer preference more than that of untrained networks of its shape?

Depth and temporal integration go together in any network of convolutions and pools. Untrained
networks of the same shape have both, so that the difference is what training adds. The test is
paired: the same participants, the same mask, the same flips and the same phases of the music.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bids_app.analyses.declare import Rows
from bids_app.analyses.group.accuracy import GroupAccuracy, rows_of
from bids_app.analyses.group.alignment import (
    AlignmentReport,
    alignment_inputs,
    alignment_settings,
)
from bids_app.analyses.group.analysis import (
    ACCURACIES,
    PENALTIES,
    RESPONSES,
    GroupAnalysis,
)
from bids_app.analyses.group.collect import GroupData, load_group, read_encoding
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.music_alignment import mean_correlation
from bids_app.analyses.group.over_music import N_DRAWS, MusicSide, music_sides, surely
from bids_app.analyses.group.preference import GroupPreference, usable_profiles
from bids_app.analyses.group.summaries import (
    TOO_FEW,
    Scaled,
    Summary,
    compared,
    test_of_refits,
    tests_of,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.config import Statistics
from bids_app.errors import MusencError
from bids_app.features.registry import derived_from
from bids_app.group import gradient_correlations, gradient_weights, weighted_kernel
from bids_app.group.claims import MUSIC, PEOPLE, LevelTest
from bids_app.outputs import TWINS_DESC, OutputTree, has_others_weights
from bids_app.preference import apply_weights, leave_one_out_references, slope_weights
from bids_app.statistics import fisher_z

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

_FREE = ("features", "weights_sha256", "step")
"""Settings that a network and its untrained twins may differ in."""


@dataclass(frozen=True, eq=False)
class TwinComparison:
    """Alignment of the trained network's slopes beside the mean of its untrained twins.

    Attributes
    ----------
    twins : list of str
        Labels of their models.
    trained_z : array of shape (n_participants,)
        atanh of the correlation of each participant's slopes with the gradient.
    twins_z : array of shape (n_twins, n_participants)
        The same of each twin, in the mask of the trained network.
    people, music : LevelTest
        Of trained minus mean of the twins: paired t, and shared phases of the music.
    draws : array of shape (n_draws,)
        The null over music; empty without one.
    scaled : Scaled or None
        How its closed form compares with refits.
    """

    twins: list[str]
    trained_z: FloatArray
    twins_z: FloatArray
    people: LevelTest
    music: LevelTest
    draws: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    scaled: Scaled | None = None

    @property
    def difference(self) -> FloatArray:
        """Trained minus the mean of the twins, (n_participants,)."""
        return np.asarray(self.trained_z - self.twins_z.mean(axis=0))


@dataclass(frozen=True, eq=False)
class Slopes:
    """Residual slopes of a model inside the mask of the trained network.

    Attributes
    ----------
    data : GroupData
    weights : array of shape (n_participants, n_layers)
        Of the layers, which give the slopes.
    slopes : array of shape (n_participants, n_vertices)
    """

    data: GroupData
    weights: FloatArray
    slopes: FloatArray


def find_twins(tree: OutputTree, model: str, participants: Sequence[str]) -> list[str]:
    """Models of untrained networks of the same shape, which everybody has.

    Parameters
    ----------
    tree : OutputTree
    model : str
        Label of the trained network's model.
    participants : sequence of str

    Returns
    -------
    list of str
        Labels; empty where the model is no trained network. A twin that cannot be paired is named
        in the log.
    """
    own = read_encoding(tree, participants[0], model)
    if _network(own) is None or own["Features"].get("Untrained"):
        return []
    found = []
    for label in tree.models():
        if label == model or not set(participants) & set(tree.participants_of(label)):
            continue
        try:
            other = read_encoding(tree, tree.participants_of(label)[0], label)
        except MusencError as error:
            LOGGER.warning("group: model-%s is not compared: %s", label, error)
            continue
        same_shape = _network(other) == _network(own) and other["Features"].get("Untrained")
        if not same_shape:
            continue
        lacking = sorted(set(participants) - set(tree.participants_of(label)))
        different = _different(own["Settings"], other["Settings"])
        if lacking or different:
            reason = f"{', '.join(lacking)} have none of its maps" if lacking else different
            LOGGER.warning("group: model-%s is no twin of model-%s: %s", label, model, reason)
        else:
            found.append(label)
    return found


def _network(record: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]] | None:
    """What is made of the network, its kind and its layers, None without one."""
    features = record.get("Features")
    name = features.get("Network") if isinstance(features, Mapping) else None
    if not name:
        return None
    settings = record["Settings"]
    before, _ = derived_from(str(settings.get("features", "")))
    return before, str(name).partition("@")[0], tuple(settings.get("layers", ()))


def _different(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    names = sorted(
        name
        for name in (own.keys() | other.keys()) - set(_FREE)
        if own.get(name) != other.get(name)
    )
    return f"its {', '.join(names)} differ" if names else ""


def compare_with_twins(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference | None,
    alignments: Mapping[str, AlignmentReport],
    heard: Heard,
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int = 1,
) -> dict[str, TwinComparison]:
    """Compare with untrained twins, by label of the gradient; nothing where there are none.

    Models with the others' weights are not compared: they have no twins in the folder.
    """
    if preference is None or has_others_weights(data.model):
        return {}
    twins = find_twins(tree, data.model, data.participants)
    if not twins:
        return {}
    LOGGER.info("group: model-%s beside %d untrained networks", data.model, len(twins))
    models = [Slopes(data, preference.slope_weights, preference.slopes)]
    for label in twins:
        other = load_group(tree, label, data.participants)
        models.append(_slopes(other, accuracy, statistics))
    data_of = [one.data for one in models]
    sides = music_sides(tree, data_of, heard, cache_dir, statistics.random_seed, n_threads)
    return {
        label: compare_slopes(models, sides, accuracy, report, statistics, twins)
        for label, report in alignments.items()
    }


def _slopes(data: GroupData, accuracy: GroupAccuracy, statistics: Statistics) -> Slopes:
    """Residual slopes of a twin; the reference is its own, in the mask of the trained network."""
    profiles = usable_profiles(data)
    references = leave_one_out_references(profiles, accuracy.mask)
    weights = np.stack(
        [slope_weights(data.depth, one, statistics.slope_model) for one in references]
    )
    slopes = np.stack([apply_weights(w, one) for w, one in zip(weights, profiles, strict=True)])
    return Slopes(data, weights, slopes)


def compare_slopes(
    models: Sequence[Slopes],
    sides: Sequence[MusicSide] | str,
    accuracy: GroupAccuracy,
    report: AlignmentReport,
    statistics: Statistics,
    twins: list[str],
) -> TwinComparison:
    """The first of `models`, the trained network, beside all others, against one gradient.

    `sides` are what the null over music of each is computed from, or why it cannot be.
    """
    gradient, mask = report.gradient.values, accuracy.mask
    method = statistics.spin_method
    z = fisher_z(
        np.stack(
            [gradient_correlations(one.slopes, gradient, mask, method=method) for one in models]
        )
    )
    difference = z[0] - z[1:].mean(axis=0)
    t, p = stats.ttest_1samp(difference, 0.0)
    people = LevelTest(PEOPLE, float(p), float(t))
    if isinstance(sides, str):
        return TwinComparison(twins, z[0], z[1:], people, LevelTest(MUSIC, reason=sides))
    vertices, depth = gradient_weights(gradient, mask, method=method), models[0].data.depth
    summaries = [
        mean_correlation(
            one.data.model,
            side,
            one.slopes,
            one.weights,
            vertices,
            lambda ref: slope_weights(depth, ref, statistics.slope_model),
        )
        for side, one in zip(sides, models, strict=True)
    ]
    return _over_music(sides, summaries, mask, TwinComparison(twins, z[0], z[1:], people, people))


def _over_music(
    sides: Sequence[MusicSide],
    summaries: Sequence[Summary],
    mask: NDArray[np.bool_],
    found: TwinComparison,
) -> TwinComparison:
    """Trained minus the mean of the twins: kernels and refits subtract draw by draw."""
    signs = [1.0, *[-1 / (len(sides) - 1)] * (len(sides) - 1)]
    pairs = list(zip(sides, summaries, strict=True))
    scaled = surely(lambda times: _width(pairs, signs, mask, times))
    LOGGER.info("group: over music, trained minus untrained: %s", scaled.told)
    if scaled.refits_instead:
        coarser = [side.at_coarser_vertices([one], mask) for side, one in pairs]
        observed, draws = (
            np.tensordot(signs, np.stack([pair[k][0] for pair in coarser]), axes=1) for k in (0, 1)
        )
        test = test_of_refits(float(observed), draws, scaled)
    else:
        kernel = weighted_kernel([side.kernel([one]) for side, one in pairs], signs)
        whole = float(np.dot(signs, [one.of(side.r) for side, one in pairs]))
        null = kernel.test([whole], n_draws=N_DRAWS, seed=sides[0].seed).scaled(scaled.divisor)
        (test,) = tests_of(null, [scaled], [0])
    return replace(found, music=test.level, draws=test.draws, scaled=scaled)


def _width(
    pairs: Sequence[tuple[MusicSide, Summary]],
    signs: Sequence[float],
    mask: NDArray[np.bool_],
    times: int,
) -> Scaled:
    """The closed form of the difference beside refits of the same few vertices."""
    few = [side.at_few_vertices([one], mask, times) for side, one in pairs]
    there = [one for one in few if one is not None]
    if len(there) < len(few):
        return TOO_FEW
    closed = weighted_kernel([kernel for kernel, _ in there], signs)
    drawn = np.tensordot(signs, np.stack([one for _, one in there]), axes=1)
    return compared(closed.sd, drawn, pairs[0][0].ends)


def write_twins(
    writer: GroupWriter, result: TwinComparison, alignments: Mapping[str, AlignmentReport]
) -> None:
    """Participants' alignments, the draws, and what the claim is decided from."""
    mean = result.twins_z.mean(axis=0)
    named = list(zip(result.twins, result.twins_z, strict=True))
    rows: Rows = [
        {
            "participant_id": name,
            "z": float(result.trained_z[index]),
            "z_untrained": float(mean[index]),
            "difference": float(result.difference[index]),
            **{f"z_{twin}": float(z[index]) for twin, z in named},
        }
        for index, name in enumerate(writer.participants)
    ]
    models = [writer.model, *result.twins]
    maps: list[Mapping[str, str]] = [{**ACCURACIES, "model": model} for model in models]
    if tested := bool(result.draws.size):
        maps += [*({**PENALTIES, "model": model} for model in models), RESPONSES]
    gradient = alignments[writer.label].gradient.sources
    writer.rest_on(maps, of_features=tested, also=gradient)
    columns = TWIN_COLUMNS | {
        f"z_{twin}": f"the same of model-{twin}, which is untrained" for twin in result.twins
    }
    group = {
        "twins": result.twins,
        "rho_trained": float(np.tanh(result.trained_z.mean())),
        "rho_untrained": [float(np.tanh(one.mean())) for one in result.twins_z],
        "statistic": float(result.difference.mean()),
        "tests": [result.people.record, result.music.record],
        "MusicRefits": None if result.scaled is None else result.scaled.record,
    }
    writer.table("statmap", columns, rows, desc=TWINS_DESC, Group=group)
    if result.draws.size:
        draws = {"difference": result.draws.astype(np.float64)}
        told = {"difference": "trained minus untrained under one draw of the music's phases"}
        writer.table("", told, rows_of(draws), desc=f"{TWINS_DESC}music")


TWIN_COLUMNS = {
    "participant_id": "participant",
    "z": "atanh of the correlation of residual slope and gradient inside the mask",
    "z_untrained": "mean of the same over untrained networks of the same shape",
    "difference": "z - z_untrained",
}
TWINS = GroupAnalysis(
    "twins",
    compare_with_twins,
    write=write_twins,
    desc=TWINS_DESC,
    settings=alignment_settings,
    inputs=alignment_inputs,
    option="--gradient",
)
