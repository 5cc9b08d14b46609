"""Conditions over participants: group maps, and their relation to a number per participant."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.conditions.group_plan import ConditionGroup, missing_seed
from bids_app.analyses.declare import Rows, TableOutput
from bids_app.analyses.folder.read import read_maps
from bids_app.analyses.group.analysis import SETTINGS, GroupAnalysis
from bids_app.analyses.group.effects import group_effects, regress_on_ratings
from bids_app.analyses.group.write import GroupWriter
from bids_app.emotion import DifferenceResult
from bids_app.errors import BadDataError
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.report.conditions import group_conditions
from bids_app.report.group import Shown
from bids_app.statistics import SIGNIFICANCE
from bids_app.surface.mesh import SurfaceMesh, load_mesh

LOGGER = logging.getLogger("bids_app.analyses")

KINDS = {"": "contrast", "ppi": "interaction"}
"""What `desc` in the names of a participant's maps stands for."""


@dataclass(frozen=True, eq=False)
class MapTest:
    """A test of maps over participants.

    Attributes
    ----------
    about : str
        ``rating`` for the regression on the rating difference; empty for the mean.
    effect, t, p, p_tfce : array of shape (n_vertices,)
    participants : list of str
        With their prefix.
    details : dict
        Further fields of the sidecars.
    """

    about: str
    effect: NDArray[np.float64]
    t: NDArray[np.float64]
    p: NDArray[np.float64]
    p_tfce: NDArray[np.float64]
    participants: list[str]
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ConditionMaps:
    """Tests of one contrast, or of its interaction with the seed.

    Attributes
    ----------
    label : str
        Of the contrast.
    desc : str
        Which maps, of `KINDS`.
    found : list of MapTest
    tests : list of dict
        Rows of the table of tests.
    """

    label: str
    desc: str
    found: list[MapTest]
    tests: list[dict[str, Any]]


def infer_maps(
    tree: OutputTree, group: ConditionGroup, label: str, n_threads: int, desc: str = ""
) -> ConditionMaps:
    """Test one map over participants, and against the rating difference where there is one.

    Parameters
    ----------
    tree : OutputTree
    group : ConditionGroup
    label : str
        Of the contrast.
    n_threads : int
    desc : str
        Which maps, of `KINDS`.
    """
    mesh, contrast = load_mesh(group.space), group.contrasts[label]
    LOGGER.info("group: %s %s", contrast, desc or "contrast")
    maps = {p: read_effect(tree, p, group.space, label, desc) for p in group.participants}
    values = np.stack(list(maps.values()))[:, None]
    mean = group_effects(values, [contrast], group.statistics, mesh=mesh, n_threads=n_threads)
    assert mean.tfce is not None  # a mesh was given
    arrays = (mean.mean[0], mean.test.t[0], mean.test.p[0], mean.tfce.p[0])
    found = [MapTest("", *arrays, [f"sub-{p}" for p in maps])]
    told = {"contrast": contrast, "analysis": KINDS[desc]}
    rows = [_row("mean", found[0], mean.test.n_permutations, mesh)]
    if group.ratings is not None:
        try:
            result, people, left_out = regress_on_ratings(
                maps, group.ratings, group.statistics, group.scheme, mesh=mesh
            )
        except BadDataError as error:
            reason = f"{error.what} {error.found}".strip()
            rows.append({"test": "rating difference", "not_tested": reason})
        else:
            found.append(_regression(result, people, left_out))
            rows.append(_row("rating difference", found[1], result.n_permutations, mesh))
    tests = [dict.fromkeys(TESTS_COLUMNS) | told | {"not_tested": ""} | row for row in rows]
    return ConditionMaps(label, desc, found, tests)


def _regression(
    result: DifferenceResult, people: Sequence[str], left_out: Mapping[str, str]
) -> MapTest:
    assert result.p_tfce is not None  # a mesh was given
    return MapTest(
        "rating",
        result.slope,
        result.t,
        result.p,
        result.p_tfce,
        [f"sub-{p}" for p in people],
        {
            "LeftOut": {f"sub-{p}": why for p, why in left_out.items()},
            "Scheme": result.scheme,
            "DegreesOfFreedom": result.degrees_of_freedom,
        },
    )


def _row(test: str, found: MapTest, n_permutations: int, mesh: SurfaceMesh) -> dict[str, Any]:
    """The result in numbers."""
    row = {
        "test": test,
        "n_participants": len(found.participants),
        "n_vertices": int(np.isfinite(found.t).sum()),
        "n_significant_maxt": int((found.p < SIGNIFICANCE).sum()),
        "n_significant_tfce": int((found.p_tfce < SIGNIFICANCE).sum()),
        "n_permutations": n_permutations,
    }
    if not np.isfinite(found.t).any():
        return row
    peak = int(np.nanargmax(np.abs(found.t)))
    cut = mesh.left.n_vertices
    return row | {
        "peak_t": float(found.t[peak]),
        "peak_p": float(found.p[peak]),
        "peak_hemi": "L" if peak < cut else "R",
        "peak_vertex": peak if peak < cut else peak - cut,
    }


def read_effect(
    tree: OutputTree, participant: str, space: str, label: str, desc: str
) -> NDArray[np.float64]:
    """Effect map of a participant, (n_vertices,)."""
    entities = {"model": CONDITIONS_LABEL, "feature": label, "stat": "effect", "desc": desc}
    left = tree.participant_map(participant, "L", space, **entities)
    return read_maps(left, space, n_arrays=1)[0].astype(np.float64)


def write_condition_maps(writer: GroupWriter, group: ConditionGroup, result: ConditionMaps) -> None:
    """Effect, t, and p by the largest ``|t|`` and by TFCE, of every test."""
    contrast = group.contrasts[result.label]
    for found in result.found:
        subject = f"{KINDS[result.desc]} {contrast}"
        if found.about:
            means = f"b1 of {subject} = b0 + b1 * rating difference"
            what = "sign flips" if group.scheme == "sign-flip" else "permutation"
            how = f"{what} of the residuals without the rating"
        else:
            means, how = f"mean of the {subject} over participants", "sign flips of participants"
        name = f"{result.desc}{found.about}"
        for stat, desc, values, text in (
            ("effect", name, found.effect, means),
            ("t", name, found.t, f"t of: {means}"),
            ("p", f"{name}maxt", found.p, f"two-sided p, {how}, corrected by the largest |t|"),
            (
                "p",
                f"{name}tfce",
                found.p_tfce,
                f"two-sided p of TFCE (E = 1, H = 2), {how}, corrected",
            ),
        ):
            writer.statmap(
                stat,
                values,
                [contrast],
                desc=desc,
                feature=result.label,
                reads=[{"stat": "effect", "feature": result.label, "desc": result.desc}],
                description=text,
                Contrast=contrast,
                Participants=found.participants,
                RandomSeed=group.statistics.random_seed,
                SettingsHash=group.settings_hash,
                **found.details,
            )


def rows_of_tests(results: Sequence[Any]) -> Rows:
    """Rows of the table of tests."""
    return [row for result in results for row in getattr(result, "tests", ())]


def list_people(group: ConditionGroup) -> Rows:
    """Who is in the group, and in the regression."""
    ratings = group.ratings or {}
    return [
        {
            "participant_id": f"sub-{p}",
            "rating_difference": ratings.get(p),
            "in_regression": p in ratings,
        }
        for p in group.participants
    ]


TESTS_COLUMNS = {
    "contrast": "contrast of conditions",
    "analysis": "contrast, or interaction with the seed (PPI)",
    "test": "mean: different from zero (two-sided sign flips); rating difference: slope b1 in "
    "dBOLD = b0 + b1 dRating + e (two-sided, Freedman and Lane)",
    "n_participants": "participants tested",
    "n_vertices": "vertices tested",
    "n_significant_maxt": "vertices with p < .05, corrected by the largest |t|",
    "n_significant_tfce": "vertices with p < .05, threshold-free cluster enhancement, corrected",
    "peak_t": "t of the largest |t|",
    "peak_p": "its corrected p",
    "peak_hemi": "its hemisphere",
    "peak_vertex": "its vertex, from 0 in that hemisphere",
    "n_permutations": "flips or permutations",
    "not_tested": "why there is no result",
}
_OUTPUTS = (
    TableOutput("summary", "tests", TESTS_COLUMNS, rows=rows_of_tests, reads=({"stat": "effect"},)),
    TableOutput(
        "summary",
        "participants",
        {
            "participant_id": "label of the participant",
            "rating_difference": "number given with --rating-difference",
            "in_regression": "whether the participant is part of the regression on it",
        },
        reads=(SETTINGS,),
    ),
)
PEOPLE = GroupAnalysis(
    "people",
    list_people,
    _OUTPUTS,
    model=CONDITIONS_LABEL,
    page=Shown(sections=(group_conditions,), once=True, alone=True),
)
CONTRAST = GroupAnalysis("contrast", infer_maps, write=write_condition_maps, model=CONDITIONS_LABEL)
INTERACTION = GroupAnalysis(
    "interaction",
    infer_maps,
    write=write_condition_maps,
    values={"desc": "ppi"},
    model=CONDITIONS_LABEL,
    missing=missing_seed,
)
