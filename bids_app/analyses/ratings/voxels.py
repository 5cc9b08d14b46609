"""Ratings and subcortical voxels over participants and over music."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import damaged, read_record
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.subcortex import space_of
from bids_app.analyses.group.voxel_effects import (
    Place,
    VoxelGroup,
    VoxelTests,
    infer_voxels,
    structure_means,
    table_rows,
    write_voxels,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.subcortex import map_path
from bids_app.analyses.participant.voxel_effects import TURNED, desc_of
from bids_app.analyses.ratings.group import RatingGroup, rows_of, stored_ratings
from bids_app.analyses.ratings.music import Terms, draws_of
from bids_app.config import Emotion, Statistics
from bids_app.emotion import add_turned, phase_test
from bids_app.outputs import EMOTION_LABEL, OutputTree, parse_entities, sidecar_of
from bids_app.report.group import Shown
from bids_app.report.subcortex import effects_section
from bids_app.surface.subcortex import LABEL, read_subcortex

LOGGER = logging.getLogger("bids_app.analyses")


@dataclass(frozen=True, eq=False)
class RatingVoxels:
    """Whose effects of ratings at subcortical voxels, and their tests.

    Attributes
    ----------
    group : RatingGroup
    found : VoxelGroup
    """

    group: RatingGroup
    found: VoxelGroup


def infer_rating_voxels(
    tree: OutputTree,
    participants: Sequence[str],
    emotion: Emotion,
    statistics: Statistics,
    n_threads: int = 1,
) -> RatingVoxels | None:
    """Tests of effects of ratings; None where fewer than two have such maps."""
    if emotion.mode == "off":
        return None
    stored = stored_ratings(tree, participants, EMOTION_LABEL, "")
    own = {p: _places(tree, p) for p in stored}
    wanted = sorted({place for places in own.values() for place in places})
    kept = [p for p, places in own.items() if wanted and places == wanted]
    left_out = {p: "no maps of all scales at subcortical voxels" for p in stored if p not in kept}
    if len(kept) < 2:
        if wanted:
            LOGGER.warning("group: ratings and subcortex: fewer than two participants have maps")
        return None
    for who, why in left_out.items():
        LOGGER.warning("group: ratings and subcortex without sub-%s: %s", who, why)
    LOGGER.info("group: ratings and subcortex")
    found = infer_voxels(tree, kept, EMOTION_LABEL, wanted, statistics, n_threads)
    checksums = {name: sha for p in kept for name, sha in stored[p].get("Stimuli", {}).items()}
    draws = draws_of(statistics, checksums)
    total = _turned(tree, found, set(checksums))
    inside = np.where(found.inside, 1.0, np.nan)
    voxels, structures = (
        VoxelTests(tests.people, phase_test(tests.people.mean, terms, **draws))
        for tests, terms in (
            (found.voxels, total),
            (
                found.structures,
                {
                    name: structure_means(values * inside, found.subcortex).astype(np.float32)
                    for name, values in total.items()
                },
            ),
        )
    )
    space = str(stored[kept[0]]["Settings"]["space"])
    rows = rows_of(tree, kept, EMOTION_LABEL, "")
    group = RatingGroup(EMOTION_LABEL, space, kept, rows, left_out)
    return RatingVoxels(group, replace(found, voxels=voxels, structures=structures))


def _places(tree: OutputTree, participant: str) -> list[Place]:
    """Feature and window of every effect of a participant, sorted."""
    wanted = map_path(
        tree, participant, "*", model=EMOTION_LABEL, feature="*", stat="effect", desc=f"{LABEL}*"
    )
    found = map(parse_entities, wanted.parent.glob(wanted.name))
    return sorted((one["feature"], one["desc"].removeprefix(LABEL)) for one in found)


def _turned(tree: OutputTree, found: VoxelGroup, known: set[str]) -> Terms:
    """Mean over participants of what turns with the phases of each piece.

    Raises
    ------
    BadDataError
        If a file is damaged.
    """
    total: dict[str, NDArray[np.float32]] = {}
    for who in found.participants:
        own: dict[str, list[NDArray[np.float32]]] = {}
        for feature, window in found.places:
            place = {"stat": TURNED, "feature": feature, "desc": desc_of(window)}
            effect = place | {"stat": "effect"}
            path_of = partial(map_path, tree, who, space_of(tree, who, EMOTION_LABEL, **effect))
            pattern = path_of(model=EMOTION_LABEL, stim="*", **place)
            for path in sorted(pattern.parent.glob(pattern.name)):
                there, values = read_subcortex(path)
                stimulus = read_record(sidecar_of(path), Stimulus=str)["Stimulus"]
                if not there.is_like(found.subcortex) or stimulus not in known:
                    raise damaged(path, f"{stimulus}, or other voxels", "a piece that was heard")
                own.setdefault(stimulus, []).append(values)
        for stimulus, maps in own.items():
            if len(maps) != len(found.places) or len({len(one) for one in maps}) != 1:
                done = tree.participant_settings(who, EMOTION_LABEL)
                raise damaged(done, f"{len(maps)} maps of {stimulus}", f"{len(found.places)}")
        add_turned(total, {stimulus: np.stack(maps) for stimulus, maps in own.items()})
    n = np.float32(len(found.participants))
    return {stimulus: values / n for stimulus, values in total.items()}


def write_rating_voxels(writer: GroupWriter, result: RatingVoxels) -> None:
    """The table of structures, and maps of the voxels."""
    write_voxels(writer, result.found, table_rows(result.found))


RATING_VOXELS = GroupAnalysis(
    "rating_voxels",
    infer_rating_voxels,
    write=write_rating_voxels,
    model=EMOTION_LABEL,
    desc=LABEL,
    people="group",
    of_weights=False,
    page=Shown(
        sections=(partial(effects_section, model=EMOTION_LABEL, title="Subcortex and ratings"),),
        once=True,
    ),
)
