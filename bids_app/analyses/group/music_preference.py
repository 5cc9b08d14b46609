"""Slope and curvature at every vertex against chance agreement with the music."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput
from bids_app.analyses.folder.read import read_maps, read_record
from bids_app.analyses.group.accuracy import usable_vertices
from bids_app.analyses.group.analysis import OVER_MUSIC, GroupAnalysis, state
from bids_app.analyses.group.collect import GroupData, same_inputs
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.music_alignment import CURVATURE, SLOPE
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.preference import GroupPreference
from bids_app.analyses.group.summaries import Scaled
from bids_app.config import Statistics
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.statistics import benjamini_hochberg

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MusicPreference:
    """Two-sided p and q of slope and curvature over music.

    Attributes
    ----------
    slope_p, slope_q, curvature_p, curvature_q : array of shape (n_vertices,) or None
        q over vertices.
    slope_p_max, curvature_p_max : array of shape (n_vertices,) or None
        p corrected for the largest ``|z|`` over vertices.
    n_largest : int
        Draws behind it.
    slope_scaled, curvature_scaled : Scaled or None
        How the closed form compares with refits.
    slope_known, curvature_known : mapping or None
        The same of an earlier result, as its sidecars have it.
    reason : str
        Why there is nothing, or nothing new.
    """

    slope_p: FloatArray | None = None
    slope_q: FloatArray | None = None
    curvature_p: FloatArray | None = None
    curvature_q: FloatArray | None = None
    slope_scaled: Scaled | None = None
    curvature_scaled: Scaled | None = None
    slope_known: Mapping[str, Any] | None = None
    curvature_known: Mapping[str, Any] | None = None
    slope_p_max: FloatArray | None = None
    curvature_p_max: FloatArray | None = None
    n_largest: int | None = None
    reason: str = ""

    @property
    def slope_check(self) -> Mapping[str, Any] | None:
        """The comparison with refits as the sidecar has it."""
        return self.slope_known if self.slope_scaled is None else self.slope_scaled.record

    @property
    def curvature_check(self) -> Mapping[str, Any] | None:
        """The same of the curvature."""
        if self.curvature_scaled is None:
            return self.curvature_known
        return self.curvature_scaled.record

    @property
    def states(self) -> list[dict[str, str]]:
        """That it was done, or why not."""
        part = "layer preference"
        if self.slope_p is not None and self.reason:
            return [state("music", part, f"p of the earlier result stay: {self.reason}", done=True)]
        return [state("music", part, self.reason)]


def music_preference(
    tree: OutputTree,
    data: GroupData,
    preference: GroupPreference | None,
    heard: Heard,
    statistics: Statistics,
    n_threads: int = 1,
) -> MusicPreference | None:
    """Test slope and curvature at every vertex; weights of the layers as observed.

    Parameters
    ----------
    tree, data, preference, heard, statistics, n_threads
        As for `group_music_null`.
    """
    if preference is None:
        return None
    LOGGER.info("group: layer preference over music")
    side = MusicSide.of(tree, data, heard, statistics.random_seed, n_threads)
    if isinstance(side, str):
        return MusicPreference(**_earlier(tree, data), reason=side)
    usable = usable_vertices(data)
    found: dict[str, Any] = {}
    for name, weights in (
        (SLOPE, preference.slope_weights),
        (CURVATURE, preference.curvature_weights),
    ):
        own = weights[side.people] / len(side.people)
        if not np.isfinite(own).all():
            continue
        test = side.test_maps([own], usable, f"{name} of vertices", tail="two-sided")
        found |= {
            f"{name}_p": test.p[0],
            f"{name}_q": benjamini_hochberg(test.p[0]),
            f"{name}_scaled": test.scaled,
            f"{name}_p_max": None if test.p_max is None else test.p_max[0],
            "n_largest": test.n_largest,
        }
    return MusicPreference(**found)


def _earlier(tree: OutputTree, data: GroupData) -> dict[str, Any]:
    """The maps that the folder has of the same participants and maps."""
    if not same_inputs(tree, data):
        return {}
    found: dict[str, Any] = {}
    for name in (SLOPE, CURVATURE):
        for stat in ("p", "q"):
            left = tree.group_map("L", data.space, model=data.model, stat=stat, desc=DESCS[name])
            if left.is_file():
                values = read_maps(left, data.space, n_arrays=1)[0]
                found[f"{name}_{stat}"] = values.astype(np.float64)
                found[f"{name}_known"] = read_record(sidecar_of(left)).get("RefitCheck")
        left = tree.group_map("L", data.space, model=data.model, stat="p", desc=MAXIMA[name])
        if left.is_file():
            values = read_maps(left, data.space, n_arrays=1)[0]
            found[f"{name}_p_max"] = values.astype(np.float64)
            found["n_largest"] = read_record(sidecar_of(left)).get("Draws")
    return found


DESCS = {SLOPE: "layerprefmusic", CURVATURE: "curvaturemusic"}
MAXIMA = {name: f"{desc}max" for name, desc in DESCS.items()}
_NULL = "null over music: phases of the responses rotated alike in all participants"
_TOLD = {SLOPE: "residual slope", CURVATURE: "curvature"}
_OUTPUTS = (
    *(
        MapOutput(
            stat,
            f"{name}_{stat}",
            f"{text} of the {told}, {_NULL}",
            desc=DESCS[name],
            details={"RefitCheck": f"{name}_check"},
        )
        for name, told in _TOLD.items()
        for stat, text in (("p", "two-sided p"), ("q", "q over vertices"))
    ),
    *(
        MapOutput(
            "p",
            f"{name}_p_max",
            f"two-sided p of the {told}, corrected for the largest |z| over vertices, {_NULL}",
            desc=MAXIMA[name],
            details={"RefitCheck": f"{name}_check", "Draws": "n_largest"},
        )
        for name, told in _TOLD.items()
    ),
)
MUSIC_PREFERENCE = GroupAnalysis(
    "music_preference",
    music_preference,
    _OUTPUTS,
    reads=OVER_MUSIC,
    of_features=True,
)
