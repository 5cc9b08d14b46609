"""Conditions at subcortical voxels over participants, and against a number of each."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bids_app.analyses.conditions.group_plan import ConditionGroup
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.effects import regress_on_ratings
from bids_app.analyses.group.subcortex import space_of
from bids_app.analyses.group.voxel_effects import (
    VoxelGroup,
    infer_voxels,
    structure_means,
    table_rows,
    write_voxels,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.voxel_effects import desc_of
from bids_app.emotion import DifferenceResult
from bids_app.errors import BadDataError
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.report.group import Shown
from bids_app.report.subcortex import effects_section

LOGGER = logging.getLogger("bids_app.analyses")

SLOPE_COLUMNS = {
    "n_rating": "participants of the regression on the rating difference",
    "slope": "b1 in dBOLD = b0 + b1 dRating + e, of the mean over voxels",
    "slope_t": "of the slope",
    "slope_p": "two-sided, Freedman and Lane, corrected over the structures of a contrast",
}


@dataclass(frozen=True, eq=False)
class ConditionVoxels:
    """Contrasts at subcortical voxels.

    Attributes
    ----------
    found : VoxelGroup
    slopes : dict from feature to (DifferenceResult, int)
        Of structures, and how many took part; empty without ratings.
    """

    found: VoxelGroup
    slopes: dict[str, tuple[DifferenceResult, int]]


def infer_condition_voxels(
    tree: OutputTree, group: ConditionGroup, n_threads: int = 1
) -> ConditionVoxels | None:
    """Tests of all contrasts together; None where not everybody has maps of them."""
    places = [(label, "") for label in sorted(group.contrasts)]
    lacking = [
        who
        for who in group.participants
        for label, _ in places
        if not space_of(tree, who, CONDITIONS_LABEL, feature=label, stat="effect", desc=desc_of())
    ]
    if lacking:
        if len(lacking) < len(places) * len(group.participants):
            told = ", ".join(f"sub-{who}" for who in dict.fromkeys(lacking))
            LOGGER.warning("group: conditions and subcortex: %s have no maps of it", told)
        return None
    LOGGER.info("group: conditions and subcortex")
    found = infer_voxels(
        tree, group.participants, CONDITIONS_LABEL, places, group.statistics, n_threads
    )
    slopes = {}
    if group.ratings is not None:
        means = structure_means(found.values, found.subcortex)
        for k, (label, _) in enumerate(places):
            own = {who: means[number, k] for number, who in enumerate(group.participants)}
            try:
                result, people, _ = regress_on_ratings(
                    own, group.ratings, group.statistics, group.scheme
                )
            except BadDataError as error:
                LOGGER.warning("group: conditions and subcortex: no slopes: %s", error.what)
            else:
                slopes[label] = (result, len(people))
    return ConditionVoxels(found, slopes)


def write_condition_voxels(writer: GroupWriter, result: ConditionVoxels) -> None:
    """The table of structures, and maps of the voxels."""
    rows = table_rows(result.found)
    numbers = list(result.found.subcortex.atlas.names)
    for row in rows:
        slope: dict[str, Any] = dict.fromkeys(SLOPE_COLUMNS)
        if row["feature"] in result.slopes:
            found, n = result.slopes[row["feature"]]
            k = numbers.index(row["region"])
            values = (n, found.slope[k], found.t[k], found.p[k])
            slope = dict(zip(SLOPE_COLUMNS, values, strict=True))
        row |= slope if np.isfinite(row["effect"]) else dict.fromkeys(SLOPE_COLUMNS)
    write_voxels(writer, result.found, rows, SLOPE_COLUMNS)


CONDITION_VOXELS = GroupAnalysis(
    "condition_voxels",
    infer_condition_voxels,
    write=write_condition_voxels,
    model=CONDITIONS_LABEL,
    page=Shown(
        sections=(
            partial(effects_section, model=CONDITIONS_LABEL, title="Subcortex and conditions"),
        ),
        once=True,
        alone=True,
    ),
)
