"""From participants' alignments to one statement about the group.

The participants' t alone is no test of alignment: where participants share a smooth topography, it
rejects most of the time, with any smooth gradient. The null of the mean over participants is that
of rotations of the gradient, the same rotation for all participants' maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from bids_app.errors import BadDataError, check_shape
from bids_app.group.alignment import AlignmentResult, two_sided_p
from bids_app.seeds import generator
from bids_app.statistics import finite_mean, fisher_z

FloatArray = npt.NDArray[np.float64]

_N_BINS = 20


@dataclass(frozen=True, eq=False)
class GroupAlignment:
    """Mean alignment over participants.

    Attributes
    ----------
    statistic : float
        T, mean over participants of atanh(correlation).
    r : float
        tanh(T).
    p : float
        Two-sided spin p of T: the claim.
    null : (n_spins,) float64
        T under rotations.
    participants_z : (n_participants,) float64
        atanh(correlation) of each participant.
    t, t_p, df : float, float, int
        One-sample t over participants, two-sided. It tests agreement of people, not alignment.
    ci_low, ci_high : float
        Bootstrap interval over participants of the mean, back-transformed to a correlation.
    cohen_d : float
        Mean over SD of participants_z.
    leave_one_out_r, leave_one_out_p : (n_participants,) float64
        Mean correlation and spin p without each participant; NaN with a single participant.
    """

    statistic: float
    r: float
    p: float
    null: FloatArray
    participants_z: FloatArray
    t: float
    t_p: float
    df: int
    ci_low: float
    ci_high: float
    cohen_d: float
    leave_one_out_r: FloatArray
    leave_one_out_p: FloatArray


@dataclass(frozen=True, eq=False)
class GradientBins:
    """Mean accuracy of every layer in equal-count bins of the gradient.

    Attributes
    ----------
    mean : (20, n_layers) float64
        Mean over the vertices of a bin (finite values).
    edges : (21,) float64
        Smallest gradient value of each bin, and the largest of all.
    center : (20,) float64
        Mean gradient value of each bin.
    count : (20,) int
        Vertices per bin; they differ by at most one.
    bin_of : (n_vertices,) int
        Bin of each vertex from 0; -1 outside the mask.
    """

    mean: FloatArray
    edges: FloatArray
    center: FloatArray
    count: npt.NDArray[np.int64]
    bin_of: npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class OmnibusAlignment:
    """Alignment of any of several maps, corrected over maps.

    Attributes
    ----------
    statistic : float
        Largest absolute correlation.
    index : int
        Map it belongs to, 0-based.
    p : float
        Spin p of the largest absolute correlation.
    p_corrected : (n_maps,) float64
        Family-wise corrected p of every map.
    null : (n_spins,) float64
        Largest absolute correlation under rotations.
    """

    statistic: float
    index: int
    p: float
    p_corrected: FloatArray
    null: FloatArray


def group_alignment(
    result: AlignmentResult,
    *,
    partial: bool = False,
    n_bootstrap: int = 10_000,
    scale: float = 1.0,
    seed: int,
) -> GroupAlignment:
    """Mean alignment over participants with its spin null.

    Parameters
    ----------
    result : AlignmentResult
        Of `spin_alignment` with one map per participant.
    partial : bool
        Use the partial correlations given the covariates.
    n_bootstrap : int
        Resamples of participants for the 95 % (percentile) interval.
    scale : float
        What t is multiplied by, and the interval's distances from the mean are divided by: below
        1 where participants depend on one another (`bids_app.group.shared_training_scale`).
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    GroupAlignment
        T, spin p, participants' t, interval, leave-one-participant-out. With one participant what
        needs more is NaN.

    Raises
    ------
    BadDataError
        If partial correlations are asked for and the result has none, or a participant's
        correlation is undefined.

    Examples
    --------
    >>> from bids_app.group import spin_alignment
    >>> from bids_app.surface.mesh import load_mesh
    >>> mesh = load_mesh("fsaverage3")
    >>> gradient = np.sin(np.vstack(mesh.spheres) / 15).sum(axis=1)
    >>> everywhere = np.ones(mesh.n_vertices, dtype=bool)
    >>> rng = np.random.default_rng(0)
    >>> maps = gradient + 2 * rng.standard_normal((6, mesh.n_vertices))  # one per participant
    >>> result = spin_alignment(
    ...     maps, gradient, everywhere, spheres=mesh.spheres, n_spins=199, seed=0
    ... )
    >>> group = group_alignment(result, n_bootstrap=500, seed=0)
    >>> group.p < 0.05, bool(group.ci_low < group.r < group.ci_high), group.df
    (True, True, 5)
    """
    r, null = result.r, result.null
    if partial:
        if result.partial_r is None or result.partial_null is None:
            raise BadDataError(
                "The alignment has no partial correlations.",
                where="result",
                found="no covariates",
                wanted="a result given covariates",
                remedy="Pass covariates to spin_alignment.",
            )
        r, null = result.partial_r, result.partial_null
    if not np.isfinite(r).all():
        raise BadDataError(
            "A participant's correlation is undefined.",
            where=f"participant {int(np.flatnonzero(~np.isfinite(r))[0])} (0-based)",
            found=f"{np.count_nonzero(~np.isfinite(r))} of {r.size} not finite",
            wanted="a finite correlation of every participant",
            remedy="leave this participant out",
        )
    z, z_null = fisher_z(r), fisher_z(null)
    total, total_null = z.sum(), z_null.sum(axis=0)
    n = len(z)
    t_null = total_null / n
    low, high = _bootstrap_interval(z, n_bootstrap, seed, scale)
    spread = float(z.std(ddof=1)) if n > 1 else np.nan
    t = float(scale * z.mean() / (spread / np.sqrt(n))) if n > 1 and spread > 0 else np.nan
    left_out = np.full((2, n), np.nan)
    if n > 1:
        left_out[0] = np.tanh((total - z) / (n - 1))
        left_out[1] = two_sided_p(total - z, total_null - z_null)
    return GroupAlignment(
        statistic=float(total / n),
        r=float(np.tanh(total / n)),
        p=float(two_sided_p([total / n], t_null[np.newaxis])[0]),
        null=t_null,
        participants_z=z,
        t=t,
        t_p=float(2 * stats.t.sf(abs(t), n - 1)),
        df=n - 1,
        ci_low=low,
        ci_high=high,
        cohen_d=float(z.mean() / spread) if n > 1 and spread > 0 else np.nan,
        leave_one_out_r=left_out[0],
        leave_one_out_p=left_out[1],
    )


def omnibus_alignment(result: AlignmentResult) -> OmnibusAlignment:
    """Largest absolute correlation over maps against its null under the shared rotations.

    Parameters
    ----------
    result : AlignmentResult
        Of `spin_alignment` with one map per layer.

    Returns
    -------
    OmnibusAlignment
        The largest correlation, its p, and every map's p corrected over maps.

    Examples
    --------
    >>> from bids_app.group import spin_alignment
    >>> from bids_app.surface.mesh import load_mesh
    >>> mesh = load_mesh("fsaverage3")
    >>> gradient = np.sin(np.vstack(mesh.spheres) / 15).sum(axis=1)
    >>> everywhere = np.ones(mesh.n_vertices, dtype=bool)
    >>> rng = np.random.default_rng(0)
    >>> layers = rng.standard_normal((3, mesh.n_vertices))
    >>> layers[1] -= gradient
    >>> result = spin_alignment(
    ...     layers, gradient, everywhere, spheres=mesh.spheres, n_spins=199, seed=0
    ... )
    >>> found = omnibus_alignment(result)
    >>> found.index, found.p < 0.05, (found.p_corrected < 0.05).tolist()
    (1, True, [False, True, False])
    """
    size = np.abs(result.r)
    null = np.nanmax(np.abs(result.null), axis=0)
    corrected = two_sided_p(size, np.broadcast_to(null, (len(size), len(null))))
    index = int(np.nanargmax(size))
    return OmnibusAlignment(float(size[index]), index, float(corrected[index]), corrected, null)


def gradient_bins(
    maps: npt.ArrayLike, gradient: npt.ArrayLike, mask: npt.ArrayLike
) -> GradientBins:
    """Average maps in 20 equal-count bins along the gradient; for description only.

    Parameters
    ----------
    maps : (n_layers, n_vertices) array
        Group accuracy of each layer.
    gradient : (n_vertices,) array
        Gradient; it alone decides the bins. Equal values fall in vertex order.
    mask : (n_vertices,) bool array
        Vertices to use (those with a finite gradient).

    Returns
    -------
    GradientBins
        Means, edges, centers and counts. Neighboring bins are not independent.

    Raises
    ------
    BadDataError
        If shapes disagree or there are fewer vertices than bins.

    Examples
    --------
    >>> gradient = np.linspace(0.0, 1.0, 100)
    >>> maps = np.array([gradient, 1 - gradient])
    >>> bins = gradient_bins(maps, gradient, np.ones(100, dtype=bool))
    >>> bins.mean.shape, set(bins.count.tolist())
    ((20, 2), {5})
    >>> bins.mean[[0, -1]].round(2).tolist()  # lowest and highest bin, both layers
    [[0.02, 0.98], [0.98, 0.02]]
    """
    maps = np.asarray(maps, dtype=np.float64)
    gradient = np.asarray(gradient, dtype=np.float64)
    mask = np.asarray(mask, dtype=bool)
    check_shape("maps", maps, "n_layers", "n_vertices")
    check_shape("gradient", gradient, maps.shape[1])
    check_shape("mask", mask, maps.shape[1])
    inside = np.flatnonzero(mask & np.isfinite(gradient))
    if len(inside) < _N_BINS:
        raise BadDataError(
            "There are fewer vertices than bins.",
            where="mask",
            found=len(inside),
            wanted=f"{_N_BINS} or more",
            remedy="use a larger mask",
        )
    order = inside[np.argsort(gradient[inside], kind="stable")]
    bins = np.array_split(order, _N_BINS)
    bin_of = np.full(len(gradient), -1, dtype=np.intp)
    for number, members in enumerate(bins):
        bin_of[members] = number
    edges = [gradient[members[0]] for members in bins] + [gradient[order[-1]]]
    return GradientBins(
        mean=np.stack([finite_mean(maps[:, members], axis=1) for members in bins]),
        edges=np.array(edges),
        center=np.array([gradient[members].mean() for members in bins]),
        count=np.array([len(members) for members in bins]),
        bin_of=bin_of,
    )


def _bootstrap_interval(
    z: FloatArray, n_bootstrap: int, seed: int, scale: float
) -> tuple[float, float]:
    if len(z) < 2:
        return np.nan, np.nan
    rng = generator(seed, "bootstrap of alignment")
    draws = rng.integers(len(z), size=(n_bootstrap, len(z)))
    tails = [(1 - 0.95) / 2, (1 + 0.95) / 2]
    low, high = np.quantile(z[draws].mean(axis=1), tails)
    low, high = (z.mean() + (one - z.mean()) / scale for one in (low, high))
    return float(np.tanh(low)), float(np.tanh(high))
