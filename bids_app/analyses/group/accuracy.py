"""Group accuracy and layer preference from the participants' accuracy maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.participant.preference import (
    MIN_REFERENCE_VERTICES,
    SIGNIFICANCE,
    preference_missing,
)
from bids_app.group import (
    Cluster,
    cluster_table,
    sign_flip_max_t,
    split_half,
    stimulus_reliability,
    tfce_sign_flip,
)
from bids_app.preference import (
    argmax_stability,
    centroid,
    group_residual_slopes,
    layer_depth,
    preferred_layer,
)
from bids_app.seeds import generator
from bids_app.statistics import benjamini_hochberg, fisher_z
from bids_app.surface.atlas import Atlas
from bids_app.surface.mesh import load_mesh

FloatArray = NDArray[np.float64]

N_BOOTSTRAP = 200
_VERTEX_CHUNK = 2048


@dataclass(frozen=True)
class GroupAccuracy:
    """Accuracy over participants.

    Attributes
    ----------
    mean_r, t, p_max_t, q : array of shape (n_layers, n_vertices)
        Back-transformed mean Fisher z; one-sample t; one-sided sign-flip p, corrected over layers
        and vertices together; Benjamini-Hochberg q per layer.
    tfce_p : array of shape (n_layers, n_vertices)
        One-sided sign-flip p of threshold-free cluster enhancement, corrected over layers and
        vertices together.
    layer_mean_r, layer_mean_p : array of shape (n_vertices,)
        The layer-averaged accuracy and its one-sided max-T p.
    mask : array of shape (n_vertices,), bool
        Vertices the preference is judged on.
    mask_kind : str
        ``significant``, or ``cortex`` where fewer than 200 vertices are significant.
    n : array of shape (n_vertices,)
        Participants per vertex.
    n_permutations : int
        Sign flips used (all of them when there are fewer).
    null_max : dict of str to array of shape (n_permutations,)
        Largest statistic of each flip: ``accuracy`` and ``tfce`` over layers and vertices,
        ``layer_mean`` over vertices.
    clusters : list of Cluster
        Connected regions of significant layer-averaged accuracy.
    """

    mean_r: FloatArray
    t: FloatArray
    p_max_t: FloatArray
    q: FloatArray
    tfce_p: FloatArray
    layer_mean_r: FloatArray
    layer_mean_p: FloatArray
    mask: NDArray[np.bool_]
    mask_kind: str
    n: NDArray[np.int64]
    n_permutations: int
    null_max: dict[str, FloatArray]
    clusters: list[Cluster]


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


def usable_vertices(data: GroupData) -> NDArray[np.bool_]:
    """Vertices where every participant has a result, (n_vertices,)."""
    return np.asarray(data.n_per_vertex == len(data.participants))


def group_accuracy(
    data: GroupData,
    *,
    n_permutations: int,
    seed: int,
    atlas: Atlas | None = None,
    n_threads: int = 1,
) -> GroupAccuracy:
    """Test accuracy over participants and choose the mask of the preference.

    The mask rests on the layer average, which knows nothing of differences between layers. The
    atlas names the clusters' peaks.
    """
    z = fisher_z(data.r)
    z[:, :, ~usable_vertices(data)] = np.nan
    averaged = z.mean(axis=1)
    mesh = load_mesh(data.space)
    options: dict[str, Any] = {
        "n_permutations": n_permutations,
        "seed": seed,
        "tail": "greater",
        "n_threads": n_threads,
    }
    joint = sign_flip_max_t(z, **options)
    enhanced = tfce_sign_flip(z, mesh.adjacency, **options)
    mean_test = sign_flip_max_t(averaged, uncorrected=False, **options)
    significant = mean_test.p < SIGNIFICANCE
    enough = int(significant.sum()) >= MIN_REFERENCE_VERTICES
    return GroupAccuracy(
        mean_r=np.tanh(z.mean(axis=0)),
        t=joint.t,
        p_max_t=joint.p,
        q=benjamini_hochberg(joint.p_uncorrected, axis=-1),
        tfce_p=enhanced.p,
        layer_mean_r=np.tanh(averaged.mean(axis=0)),
        layer_mean_p=mean_test.p,
        mask=significant if enough else usable_vertices(data),
        mask_kind="significant" if enough else "cortex",
        n=data.n_per_vertex,
        n_permutations=joint.n_permutations,
        null_max={
            "accuracy": joint.null_max,
            "tfce": enhanced.null_max,
            "layer_mean": mean_test.null_max,
        },
        clusters=cluster_table(
            mean_test.t,
            significant,
            mesh.adjacency,
            mesh.areas,
            n_left=mesh.left.n_vertices,
            labels=None if atlas is None else atlas.regions,
            label_names=None if atlas is None else {0: "none"} | atlas.names,
        ),
    )


def group_preference(
    data: GroupData,
    fold_r: NDArray[np.float32],
    accuracy: GroupAccuracy,
    *,
    n_permutations: int,
    seed: int,
    n_threads: int = 1,
) -> GroupPreference | None:
    """Residual slopes of all participants and the group's preference maps; None below 3 layers.

    `fold_r` (n_participants, n_folds, n_layers, n_vertices) is the accuracy per held-out stimulus.
    """
    if preference_missing(len(data.layer_names)):
        return None
    profiles = data.r.astype(np.float64)
    profiles[:, :, ~usable_vertices(data)] = np.nan
    slopes = group_residual_slopes(profiles, accuracy.mask, layer_depth(profiles.shape[1]))
    test = sign_flip_max_t(
        slopes,
        n_permutations=n_permutations,
        seed=seed,
        tail="two-sided",
        uncorrected=False,
        n_threads=n_threads,
    )
    depth = layer_depth(profiles.shape[1])
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
