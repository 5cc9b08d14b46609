"""Layer preference over participants."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, Rows, TableOutput
from bids_app.analyses.group.accuracy import GroupAccuracy, rows_of, usable_vertices
from bids_app.analyses.group.analysis import ACCURACIES, GroupAnalysis
from bids_app.analyses.group.collect import GroupData, load_fold_maps
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.preference import preference_missing, slope_doubt, spread
from bids_app.config import Statistics
from bids_app.group import sign_flip_max_t, split_half, stimulus_reliability
from bids_app.outputs import OutputTree
from bids_app.preference import (
    apply_weights,
    argmax_stability,
    centroid,
    curvature_weights,
    depth_explained,
    group_residual_slopes,
    leave_one_out_references,
    preferred_layer,
    slope_weights,
)
from bids_app.report.group import Shown
from bids_app.report.group_maps import preference_section
from bids_app.seeds import generator
from bids_app.statistics import SIGNIFICANCE, fisher_z

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]

N_BOOTSTRAP = 200
_VERTEX_CHUNK = 2048


@dataclass(frozen=True)
class GroupPreference:
    """Layer preference over participants.

    Attributes
    ----------
    slopes, curvatures : array of shape (n_participants, n_vertices)
        Residual slope and curvature of each participant, leave-one-participant-out reference.
        Curvature is NaN below five different depths.
    slope_weights, curvature_weights : array of shape (n_participants, n_layers)
        What the layers of a profile are multiplied with to give both.
    mean, t, p : array of shape (n_vertices,)
        Mean slope, its t, and the two-sided sign-flip max-T p.
    null_max : array of shape (n_permutations,)
        Largest absolute t of the slope of each flip.
    curvature, curvature_t, curvature_p : array of shape (n_vertices,)
        The same of the curvature.
    curvature_null_max : array of shape (n_permutations,)
    explained : float
        Share of the variance of depth that reference and curvature explain: the largest of the
        participants' references.
    doubt : str
        Why the slope cannot be separated from accuracy, so that nothing is claimed of it; empty
        where it can.
    centroid, argmax, maximum : array of shape (n_vertices,)
        Of the group-mean profile.
    stability : array of shape (n_vertices,)
        Share of bootstrap samples of participants with the same best layer.
    held_out_r : list of float
        Correlation of the mean slope map of each held-out stimulus with that of the others;
        empty with a single one.
    split_half_r, split_half_reliability : float
        Mean correlation of the slope maps of random halves, and stepped up to the whole group
        (Spearman-Brown); NaN below four participants.
    mask_kind : str
    n_mask : int
        The mask of the reference profile, and its vertices.
    """

    slopes: FloatArray
    curvatures: FloatArray
    slope_weights: FloatArray
    curvature_weights: FloatArray
    mean: FloatArray
    t: FloatArray
    p: FloatArray
    null_max: FloatArray
    curvature: FloatArray
    curvature_t: FloatArray
    curvature_p: FloatArray
    curvature_null_max: FloatArray
    explained: float
    doubt: str
    centroid: FloatArray
    argmax: FloatArray
    maximum: FloatArray
    stability: FloatArray
    held_out_r: list[float]
    split_half_r: float
    split_half_reliability: float
    mask_kind: str
    n_mask: int


def group_preference(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    statistics: Statistics,
    n_threads: int = 1,
) -> GroupPreference | None:
    """Slopes and curvatures of everybody, and the group's maps; None with too few depths."""
    depth, model = data.depth, statistics.slope_model
    if preference_missing(depth, model):
        return None
    seed = statistics.random_seed
    profiles = usable_profiles(data)
    references = leave_one_out_references(profiles, accuracy.mask)
    weights = np.stack([slope_weights(depth, one, model) for one in references])
    bends = np.full_like(weights, np.nan)
    if not preference_missing(depth, "quadratic"):
        bends = np.stack([curvature_weights(depth, one) for one in references])
    slopes, curvatures = (
        np.stack([apply_weights(own, one) for own, one in zip(w, profiles, strict=True)])
        for w in (weights, bends)
    )
    flips: dict[str, Any] = {
        **statistics.flips,
        "tail": "two-sided",
        "uncorrected": False,
        "scale": data.people_scale,
        "n_threads": n_threads,
    }
    test = sign_flip_max_t(slopes, **flips)
    nothing = np.full_like(test.t, np.nan)
    bent = nothing, nothing, np.full_like(test.null_max, np.nan)
    if np.isfinite(bends).all():
        bend_test = sign_flip_max_t(curvatures, **flips)
        bent = bend_test.t, bend_test.p, bend_test.null_max
    explained = max(depth_explained(depth, one, model) for one in references)
    if doubt := slope_doubt(explained, model):
        LOGGER.warning("group: model-%s: %s", data.model, doubt)
    halves = split_half(slopes, accuracy.mask, seed=seed) if len(slopes) >= 4 else None
    return GroupPreference(
        slopes=slopes,
        curvatures=curvatures,
        slope_weights=weights,
        curvature_weights=bends,
        mean=slopes.mean(axis=0),
        t=test.t,
        p=test.p,
        null_max=test.null_max,
        curvature=curvatures.mean(axis=0),
        curvature_t=bent[0],
        curvature_p=bent[1],
        curvature_null_max=bent[2],
        explained=explained,
        doubt=doubt,
        centroid=centroid(accuracy.mean_r, depth),
        argmax=preferred_layer(accuracy.mean_r),
        maximum=accuracy.mean_r.max(axis=0),
        stability=best_layer_stability(fisher_z(profiles), seed=seed),
        held_out_r=_reliability_of_folds(tree, data, accuracy.mask, model),
        split_half_r=float("nan") if halves is None else halves.mean,
        split_half_reliability=float("nan") if halves is None else halves.spearman_brown,
        mask_kind=accuracy.mask_kind,
        n_mask=int(accuracy.mask.sum()),
    )


def _reliability_of_folds(
    tree: OutputTree, data: GroupData, mask: NDArray[np.bool_], slope_model: Any
) -> list[float]:
    """How far slopes of one held-out stimulus agree with those of the others; nothing of one."""
    fold_r = load_fold_maps(tree, data, "r")
    if fold_r.shape[1] < 2:
        return []
    slopes = [
        group_residual_slopes(fold_r[:, fold], mask, data.depth, slope_model)
        for fold in range(fold_r.shape[1])
    ]
    return stimulus_reliability(np.stack(slopes), mask).tolist()


def usable_profiles(data: GroupData) -> FloatArray:
    """Accuracies of (participants, layers, vertices) in float64, NaN where somebody has none."""
    profiles = data.r.astype(np.float64)
    profiles[:, :, ~usable_vertices(data)] = np.nan
    return profiles


def best_layer_stability(z: FloatArray, *, seed: int) -> FloatArray:
    """How often the best layer of a vertex returns when participants are drawn again.

    Parameters
    ----------
    z : array of shape (n_participants, n_layers, n_vertices)
        Fisher z.
    seed : int
        Of the bootstrap.

    Returns
    -------
    array of shape (n_vertices,)
        Share of `N_BOOTSTRAP` samples whose mean profile has the same best layer as that of
        all participants.
    """
    n, n_layers, n_vertices = z.shape
    draws = generator(seed, "bootstrap of layers").integers(n, size=(N_BOOTSTRAP, n))
    weights = np.stack([np.bincount(draw, minlength=n) for draw in draws]) / n
    stability = np.empty(n_vertices)
    for start in range(0, n_vertices, _VERTEX_CHUNK):
        part = slice(start, start + _VERTEX_CHUNK)
        means = weights @ z[:, :, part].reshape(n, -1)
        profiles = means.reshape(N_BOOTSTRAP, n_layers, -1)
        shown = preferred_layer(z[:, :, part].mean(axis=0))
        stability[part] = argmax_stability(profiles, shown)
    return stability


def flip_rows(accuracy: GroupAccuracy, preference: GroupPreference | None) -> Rows:
    """One row per flip of the participants' signs."""
    nothing = np.full(accuracy.n_permutations, np.nan)
    slope, curvature = (
        (nothing, nothing)
        if preference is None
        else (preference.null_max, preference.curvature_null_max)
    )
    return rows_of({**accuracy.null_max, "slope": slope, "curvature": curvature})


def measure_rows(accuracy: GroupAccuracy, preference: GroupPreference | None) -> Rows:
    """One row per measure of preference, over the vertices of the mask."""
    if preference is None:
        return []
    measures = {
        "slope": (preference.mean, preference.t, preference.p),
        "curvature": (preference.curvature, preference.curvature_t, preference.curvature_p),
    }
    return [
        {
            "measure": name,
            **spread(mean[accuracy.mask]),
            "largest_t": float(np.nanmax(np.abs(t), initial=0.0)),
            "lowest_p": float(np.nanmin(p, initial=1.0)),
            "n_significant": int((p < SIGNIFICANCE).sum()),
        }
        for name, (mean, t, p) in measures.items()
    ]


def told_of_preference(
    writer: GroupWriter, data: GroupData, preference: GroupPreference | None
) -> dict[str, Any]:
    """Why there is no preference, or no claim about it; empty where there is one."""
    return {
        "LayerPreferenceMissing": preference_missing(data.depth, writer.settings["slope_model"]),
        "SlopeDoubt": "" if preference is None else preference.doubt,
    }


_REFERENCE = {
    "ReferenceMask": "mask_kind",
    "ReferenceVertices": "n_mask",
    "DepthExplained": "explained",
    "SlopeDoubt": "doubt",
    "HeldOutStimulusCorrelation": "held_out_r",
    "SplitHalfCorrelation": "split_half_r",
    "SplitHalfReliability": "split_half_reliability",
}
_OUTPUTS: tuple[MapOutput | TableOutput, ...] = (
    *(
        MapOutput(stat, value, text, desc="layerpref", details=_REFERENCE)
        for stat, value, text in (
            ("slope", "mean", "mean residual slope over participants"),
            ("t", "t", "t of the residual slope over participants"),
            ("p", "p", "two-sided sign-flip max-T p of the residual slope"),
            ("curvature", "curvature", "mean curvature over participants"),
            ("centroid", "centroid", "center of mass of the positive group-mean profile"),
            ("argmax", "argmax", "best layer of the group-mean profile (display only)"),
            (
                "stability",
                "stability",
                "share of bootstrap samples of participants with the same best layer",
            ),
            ("max", "maximum", "highest group-mean accuracy over layers"),
        )
    ),
    *(
        MapOutput(stat, f"curvature_{stat}", text, desc="curvature", details=_REFERENCE)
        for stat, text in (
            ("t", "t of the curvature over participants"),
            ("p", "two-sided sign-flip max-T p of the curvature"),
        )
    ),
    TableOutput(
        "summary",
        "layerpref",
        {
            "measure": "slope or curvature",
            "n_vertices": "vertices of the mask with a value",
            "mean": "mean of the group map over them",
            "sd": "standard deviation of the group map over them",
            "lowest": "lowest value",
            "highest": "highest value",
            "largest_t": "largest absolute t over all vertices",
            "lowest_p": "lowest two-sided sign-flip max-T p",
            "n_significant": "vertices with that p < .05",
        },
        rows=measure_rows,
        over_music=True,
    ),
    TableOutput(
        "",
        "flips",
        {
            "accuracy": "largest t of the accuracy over layers and vertices for one flip of signs",
            "tfce": "largest enhanced value over layers and vertices",
            "layer_mean": "largest t of the layer-averaged accuracy",
            "slope": "largest absolute t of the residual slope",
            "curvature": "largest absolute t of the curvature",
        },
        rows=flip_rows,
    ),
)
PREFERENCE = GroupAnalysis(
    "preference",
    group_preference,
    _OUTPUTS,
    details=told_of_preference,
    reads=(ACCURACIES,),
    page=Shown(sections=(preference_section,)),
)
