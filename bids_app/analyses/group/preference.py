"""Layer preference over participants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, Rows, TableOutput
from bids_app.analyses.group.accuracy import GroupAccuracy, rows_of, usable_vertices
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.collect import GroupData, load_fold_maps
from bids_app.analyses.participant.preference import preference_missing
from bids_app.config import Statistics
from bids_app.group import sign_flip_max_t, split_half, stimulus_reliability
from bids_app.outputs import OutputTree
from bids_app.preference import (
    argmax_stability,
    centroid,
    group_residual_slopes,
    layer_depth,
    preferred_layer,
)
from bids_app.report.group import Shown
from bids_app.report.group_maps import preference_section
from bids_app.seeds import generator
from bids_app.statistics import fisher_z

FloatArray = NDArray[np.float64]

N_BOOTSTRAP = 200
_VERTEX_CHUNK = 2048


@dataclass(frozen=True)
class GroupPreference:
    """Layer preference over participants.

    Attributes
    ----------
    slopes : array of shape (n_participants, n_vertices)
        Residual slope of each participant, leave-one-participant-out reference.
    mean, t, p : array of shape (n_vertices,)
        Mean slope, its t, and the two-sided sign-flip max-T p.
    null_max : array of shape (n_permutations,)
        Largest absolute t of the slope of each flip.
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
    mean: FloatArray
    t: FloatArray
    p: FloatArray
    null_max: FloatArray
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
    """Residual slopes of all participants and the group's preference maps; None below 3 layers."""
    if preference_missing(len(data.layer_names)):
        return None
    seed = statistics.random_seed
    profiles = data.r.astype(np.float64)
    profiles[:, :, ~usable_vertices(data)] = np.nan
    slopes = group_residual_slopes(profiles, accuracy.mask, layer_depth(profiles.shape[1]))
    test = sign_flip_max_t(
        slopes, **statistics.flips, tail="two-sided", uncorrected=False, n_threads=n_threads
    )
    depth = layer_depth(profiles.shape[1])
    fold_r = load_fold_maps(tree, data, "r")
    held_out_r = (
        stimulus_reliability(
            np.stack(
                [
                    group_residual_slopes(fold_r[:, fold], accuracy.mask, depth)
                    for fold in range(fold_r.shape[1])
                ]
            ),
            accuracy.mask,
        ).tolist()
        if fold_r.shape[1] > 1
        else []
    )
    halves = split_half(slopes, accuracy.mask, seed=seed) if len(slopes) >= 4 else None
    return GroupPreference(
        slopes=slopes,
        mean=slopes.mean(axis=0),
        t=test.t,
        p=test.p,
        null_max=test.null_max,
        centroid=centroid(accuracy.mean_r),
        argmax=preferred_layer(accuracy.mean_r),
        maximum=accuracy.mean_r.max(axis=0),
        stability=best_layer_stability(fisher_z(profiles), seed=seed),
        held_out_r=held_out_r,
        split_half_r=float("nan") if halves is None else halves.mean,
        split_half_reliability=float("nan") if halves is None else halves.spearman_brown,
        mask_kind=accuracy.mask_kind,
        n_mask=int(accuracy.mask.sum()),
    )


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
    slope = np.full(accuracy.n_permutations, np.nan) if preference is None else preference.null_max
    return rows_of({**accuracy.null_max, "slope": slope})


def told_of_preference(data: GroupData) -> dict[str, Any]:
    """Why there is no preference; empty where there is one."""
    return {"LayerPreferenceMissing": preference_missing(len(data.layer_names))}


_REFERENCE = {
    "ReferenceMask": "mask_kind",
    "ReferenceVertices": "n_mask",
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
    TableOutput(
        "",
        "flips",
        {
            "accuracy": "largest t of the accuracy over layers and vertices for one flip of signs",
            "tfce": "largest enhanced value over layers and vertices",
            "layer_mean": "largest t of the layer-averaged accuracy",
            "slope": "largest absolute t of the residual slope",
        },
        rows=flip_rows,
    ),
)
PREFERENCE = GroupAnalysis(
    "preference",
    group_preference,
    _OUTPUTS,
    details=told_of_preference,
    page=Shown(sections=(preference_section,)),
)
