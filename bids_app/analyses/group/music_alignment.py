"""Alignment with a gradient against chance agreement with the music."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import read_record
from bids_app.analyses.group.collect import GroupData, same_inputs
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.preference import GroupPreference
from bids_app.analyses.group.summaries import Again, LayerMeans, MusicTest, Scaled, Summary
from bids_app.errors import BadDataError
from bids_app.group import gradient_weights
from bids_app.group.claims import MUSIC, LevelTest
from bids_app.inputs.tables import read_frame
from bids_app.outputs import ALIGNMENT_DESC, OutputTree, labeled
from bids_app.preference import curvature_weights, slope_weights

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SLOPE, CURVATURE = "slope", "curvature"


def layer_measure(index: int) -> str:
    """What the accuracy of a layer, counted from 0, is called in tables."""
    return f"layer_{index + 1}"


@dataclass(frozen=True, eq=False)
class MusicAlignment:
    """What is tested over music about one gradient.

    Attributes
    ----------
    tests : mapping from measure to MusicTest
        ``slope``, ``curvature`` and ``layer_1`` to the last: mean correlations with the ranks of
        the gradient, participants weighted by the spread of their maps.
    bins_p : array of shape (n_bins, n_layers) or None
        One-sided p of the accuracy in every bin, not corrected.
    reason : str
        Why there is nothing.
    """

    tests: Mapping[str, MusicTest] = field(default_factory=dict)
    bins_p: FloatArray | None = None
    reason: str = ""

    def level(self, measure: str) -> LevelTest:
        """The test of a measure as claims take it."""
        found = self.tests.get(measure)
        return LevelTest(MUSIC, reason=self.reason) if found is None else found.level

    @property
    def record(self) -> dict[str, Any]:
        """How the closed forms compare with refits, by measure, for the sidecar."""
        return {name: one.scaled.record for name, one in self.tests.items()}


def align_over_music(
    side: MusicSide,
    preference: GroupPreference,
    gradient: FloatArray,
    mask: BoolArray,
    bins: NDArray[np.intp],
    *,
    method: str,
    slope_model: Any,
) -> MusicAlignment:
    """Test slope, curvature, every layer and every bin over music.

    Parameters
    ----------
    side : MusicSide
    preference : GroupPreference
    gradient, mask : arrays of shape (n_vertices,)
    bins : array of shape (n_vertices,)
        Bin of each vertex from 0; negative outside.
    method : str
        Kind of correlation.
    slope_model : str
        Of the slope.
    """
    vertices = gradient_weights(gradient, mask, method=method)
    inside = vertices != 0
    depth = side.data.depth
    summaries = []
    for name, maps, weights, function in (
        (
            SLOPE,
            preference.slopes,
            preference.slope_weights,
            lambda ref: slope_weights(depth, ref, slope_model),
        ),
        (
            CURVATURE,
            preference.curvatures,
            preference.curvature_weights,
            lambda ref: curvature_weights(depth, ref),
        ),
    ):
        if np.isfinite(weights).all():
            summaries.append(mean_correlation(name, side, maps, weights, vertices, function))
    spreads = [_spread(side.r[:, layer][:, inside]) for layer in range(side.r.shape[1])]
    tests = side.test(summaries, mask, LayerMeans(vertices, spreads))
    found = {one.name: test for one, test in zip(summaries, tests, strict=False)}
    layers = tests[len(summaries) :]
    found |= {layer_measure(index): one for index, one in enumerate(layers)}
    return MusicAlignment(found, side.test_sets(bins, layers[0].scaled if layers else None))


def mean_correlation(
    name: str,
    side: MusicSide,
    maps: FloatArray,
    weights: FloatArray,
    vertices: FloatArray,
    function: Callable[[FloatArray], FloatArray],
) -> Summary:
    """Mean correlation of participants' maps with a gradient, weighted by their spread.

    Parameters
    ----------
    name : str
    side : MusicSide
    maps : array of shape (n_participants, n_vertices)
    weights : array of shape (n_participants, n_layers)
        Of the layers, which give the maps.
    vertices : array of shape (n_vertices,)
        Weights of the vertices, from `bids_app.group.gradient_weights`.
    function : callable
        From a reference profile to weights of the layers.
    """
    people, inside = side.people, vertices != 0
    own = weights[people] / (len(people) * _spread(maps[people][:, inside]))
    return Summary(name, own, vertices, _anew(function, own))


def earlier_alignment(
    tree: OutputTree, data: GroupData, label: str, reason: str, files: Mapping[str, str]
) -> MusicAlignment:
    """The tests over music that the folder has of the same gradient, participants and maps.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
    label : str
        Of the gradient.
    reason : str
        Why nothing new is tested.
    files : mapping from name to str
        Checksums of the gradient's files: settings do not hold those of the study's own gradient.

    Returns
    -------
    MusicAlignment
        Only the reason where there is nothing.
    """
    desc = labeled(ALIGNMENT_DESC, label)
    numbers = tree.group_table("statmap.json", model=data.model, desc=desc)
    table = tree.group_table(".tsv", model=data.model, desc=labeled("musicnulls", label))
    if not (same_inputs(tree, data, desc) and numbers.is_file() and table.is_file()):
        return MusicAlignment(reason=reason)
    known = read_record(numbers, Group=dict)["Group"]
    before = (known.get("gradient") or {}).get("Files") or {}
    if sorted(before.values()) != sorted(files.values()):
        LOGGER.warning("group: p over music in %s are of another gradient: not taken over", numbers)
        return MusicAlignment(reason=reason)
    draws = read_frame(table)
    found = {}
    for measure, told in known.get("tests", {}).items():
        tests = {one["level"]: LevelTest.of(one) for one in told["tests"]}
        own = tests.get(MUSIC)
        if own is None or not own.tested or measure not in draws:
            continue
        drawn = draws[measure].dropna().to_numpy(dtype=np.float32)
        record = known.get("MusicRefits", {}).get(measure, {})
        kept = Scaled(None, f"{record.get('told', '')} (of an earlier result: {reason})".strip())
        found[measure] = MusicTest(own.statistic, own.sd, own.p, drawn, kept)
    return MusicAlignment(found, reason=reason)


def _spread(maps: NDArray[np.floating]) -> float:
    """Mean standard deviation of maps over vertices; 1 where they do not vary."""
    values = np.asarray(maps, dtype=np.float64)
    return float(np.nanstd(values, axis=1).mean()) or 1.0


def _anew(function: Callable[[FloatArray], FloatArray], observed: FloatArray) -> Again:
    """Weights from the reference profiles and the spread of maps of a refit."""

    def again(profiles: FloatArray, accuracies: FloatArray) -> FloatArray:
        n = len(profiles)
        references = (profiles.sum(axis=0) - profiles) / (n - 1)
        try:
            weights = np.stack([function(one) for one in references])
        except BadDataError:  # a reference that is a function of depth leaves no slope
            return np.asarray(observed[:n])
        return weights / (n * _spread(np.einsum("pl,plv->pv", weights, accuracies)))

    return again
