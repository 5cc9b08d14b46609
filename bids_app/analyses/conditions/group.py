"""Conditions over participants: group maps, and their relation to a number per participant."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.conditions.group_plan import ConditionGroup
from bids_app.analyses.folder.read import read_maps
from bids_app.analyses.folder.write import write_map
from bids_app.analyses.group.effects import group_emotion_maps
from bids_app.errors import BadDataError
from bids_app.outputs import CONDITIONS_LABEL, OutputTree, map_sidecar
from bids_app.surface.mesh import SurfaceMesh, load_mesh

LOGGER = logging.getLogger("bids_app.analyses")

LEVEL = 0.05
KINDS = {"": "contrast", "ppi": "interaction"}
"""What `desc` in the names of a participant's maps stands for."""


@dataclass(frozen=True)
class Outcome:
    """What an analysis leaves: files, and rows of the table of tests.

    Attributes
    ----------
    files : list of Path
    rows : list of dict
        As `TESTS_COLUMNS` says.
    """

    files: list[Path]
    rows: list[dict[str, Any]]


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


def infer_maps(
    tree: OutputTree, group: ConditionGroup, label: str, desc: str, n_threads: int
) -> Outcome:
    """Test one map over participants, and against the rating difference where there is one.

    Parameters
    ----------
    tree : OutputTree
    group : ConditionGroup
    label : str
        Of the contrast.
    desc : str
        Which maps, of `KINDS`.
    n_threads : int

    Returns
    -------
    Outcome
    """
    mesh, contrast = load_mesh(group.space), group.contrasts[label]
    LOGGER.info("group: %s %s", contrast, desc or "contrast")
    maps = {p: read_effect(tree, p, group.space, label, desc) for p in group.participants}
    writer = _Writer(tree, group, label, desc)
    mean = group_emotion_maps(
        np.stack(list(maps.values()))[:, None],
        [contrast],
        mesh=mesh,
        n_permutations=group.statistics.n_permutations,
        seed=group.statistics.random_seed,
        n_threads=n_threads,
    )
    assert mean.tfce is not None  # a mesh was given
    people = [f"sub-{p}" for p in maps]
    writer.maps("", mean.mean[0], mean.test.t[0], mean.test.p[0], mean.tfce.p[0], people)
    tested = {"n_participants": len(people), "n_permutations": mean.test.n_permutations}
    rows = [
        writer.row("mean", mesh, mean.test.t[0], mean.test.p[0], mean.tfce.p[0]) | tested,
    ]
    if group.ratings is not None:
        rows.append(_test_ratings(writer, group, maps, mesh))
    return Outcome(writer.written, rows)


def _test_ratings(
    writer: _Writer,
    group: ConditionGroup,
    maps: Mapping[str, NDArray[np.float64]],
    mesh: SurfaceMesh,
) -> dict[str, Any]:
    """The regression on the rating difference, or a row that says why there is none."""
    try:
        found, people, left_out = group.regress(maps, mesh)
    except BadDataError as error:
        return writer.blank("rating difference") | {
            "not_tested": f"{error.what} {error.found}".strip()
        }
    assert found.p_tfce is not None  # a mesh was given
    writer.maps(
        "rating",
        found.slope,
        found.t,
        found.p,
        found.p_tfce,
        [f"sub-{p}" for p in people],
        LeftOut={f"sub-{p}": why for p, why in left_out.items()},
        Scheme=found.scheme,
        DegreesOfFreedom=found.degrees_of_freedom,
    )
    tested = {"n_participants": len(people), "n_permutations": found.n_permutations}
    return writer.row("rating difference", mesh, found.t, found.p, found.p_tfce) | tested


def read_effect(
    tree: OutputTree, participant: str, space: str, label: str, desc: str
) -> NDArray[np.float64]:
    """Effect map of a participant, (n_vertices,)."""
    entities = {"model": CONDITIONS_LABEL, "feature": label, "stat": "effect", "desc": desc}
    left = tree.participant_map(participant, "L", space, **entities)
    return read_maps(left, space, n_arrays=1)[0].astype(np.float64)


class _Writer:
    """Writes the group maps of one contrast and analysis."""

    def __init__(self, tree: OutputTree, group: ConditionGroup, label: str, desc: str) -> None:
        self.tree, self.group, self.label = tree, group, label
        self.contrast, self.desc = group.contrasts[label], desc
        self.written: list[Path] = []

    def maps(
        self,
        test: str,
        effect: NDArray[np.floating],
        t: NDArray[np.floating],
        p: NDArray[np.floating],
        p_tfce: NDArray[np.floating],
        participants: Sequence[str],
        **fields: Any,
    ) -> None:
        """Effect, t, and p by the largest |t| and by TFCE."""
        subject = f"{KINDS[self.desc]} {self.contrast}"
        if test:
            means = f"b1 of {subject} = b0 + b1 * rating difference"
            how = "permutation of the residuals without the rating"
            if self.group.scheme == "sign-flip":
                how = "sign flips of the residuals without the rating"
        else:
            means, how = f"mean of the {subject} over participants", "sign flips of participants"
        name = f"{self.desc}{test}"
        for stat, desc, values, text in (
            ("effect", name, effect, means),
            ("t", name, t, f"t of: {means}"),
            ("p", f"{name}maxt", p, f"two-sided p, {how}, corrected by the largest |t|"),
            ("p", f"{name}tfce", p_tfce, f"two-sided p of TFCE (E = 1, H = 2), {how}, corrected"),
        ):
            self._map(stat, desc, values, text, participants, fields)

    def _map(
        self,
        stat: str,
        desc: str,
        values: NDArray[np.floating],
        text: str,
        participants: Sequence[str],
        fields: Mapping[str, Any],
    ) -> None:
        space = self.group.space
        sidecar = map_sidecar(
            stat,
            space,
            [self.contrast],
            description=text,
            Contrast=self.contrast,
            Participants=list(participants),
            RandomSeed=self.group.statistics.random_seed,
            SettingsHash=self.group.settings_hash,
            **fields,
        )
        entities = {"model": CONDITIONS_LABEL, "feature": self.label, "stat": stat, "desc": desc}
        path_of = partial(self.tree.group_map, space=space, **entities)
        self.written += write_map(path_of, values[None], [self.contrast], sidecar)

    def blank(self, test: str) -> dict[str, Any]:
        """A row without a result."""
        told = {"contrast": self.contrast, "analysis": KINDS[self.desc], "test": test}
        return dict.fromkeys(TESTS_COLUMNS) | told | {"not_tested": ""}

    def row(
        self,
        test: str,
        mesh: SurfaceMesh,
        t: NDArray[np.floating],
        p: NDArray[np.floating],
        p_tfce: NDArray[np.floating],
    ) -> dict[str, Any]:
        """The result in numbers."""
        row = self.blank(test) | {
            "n_vertices": int(np.isfinite(t).sum()),
            "n_significant_maxt": int((p < LEVEL).sum()),
            "n_significant_tfce": int((p_tfce < LEVEL).sum()),
        }
        if not np.isfinite(t).any():
            return row
        peak = int(np.nanargmax(np.abs(t)))
        cut = mesh.left.n_vertices
        return row | {
            "peak_t": float(t[peak]),
            "peak_p": float(p[peak]),
            "peak_hemi": "L" if peak < cut else "R",
            "peak_vertex": peak if peak < cut else peak - cut,
        }
