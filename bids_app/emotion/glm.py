"""General linear model of one run with AR(1) errors, and fixed effects over runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bids_app.emotion.design import Design
from bids_app.errors import BadDataError, check_shape

FloatArray = NDArray[np.float64]

# Beyond this, normal quantiles of t cannot be told apart any more.
_LARGEST_Z = 37.0
# Vertices worked on at a time; does not change the result.
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class GlmEstimate:
    """Contrasts of a fitted model.

    Attributes
    ----------
    effect, variance : (n_contrasts, n_vertices) float64
        Contrast of coefficients and its variance; NaN at degenerate vertices.
    degrees_of_freedom : float
        Of the residuals.
    autocorrelation : (n_vertices,) float64, optional
        Of the errors at lag 1, which whitened data and design; of a single run.
    """

    effect: FloatArray
    variance: FloatArray
    degrees_of_freedom: float
    autocorrelation: FloatArray | None = None

    @property
    def rho(self) -> FloatArray:
        """The autocorrelation of a single run, (n_vertices,).

        Raises
        ------
        BadDataError
            If the estimate is one of several runs.
        """
        if self.autocorrelation is None:
            raise BadDataError(
                "Runs together have no autocorrelation.",
                where="estimate",
                found="an estimate over several runs",
                wanted="the estimate of one run",
                remedy="take the autocorrelation of each run",
            )
        return self.autocorrelation

    @property
    def t(self) -> FloatArray:
        """Effect over its standard error, (n_contrasts, n_vertices)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.effect / np.sqrt(self.variance)

    @property
    def z(self) -> FloatArray:
        """Standard normal quantile of t, (n_contrasts, n_vertices)."""
        return normal_quantile(self.t, self.degrees_of_freedom)


def normal_quantile(t: FloatArray, degrees_of_freedom: float) -> FloatArray:
    """Normal quantile with the same tail probability as t, at most 37 in size.

    Parameters
    ----------
    t : array of any shape
        NaN stays NaN.
    degrees_of_freedom : float
        Of t.

    Returns
    -------
    float64 array of the same shape

    Examples
    --------
    >>> normal_quantile(np.array([0.0, 2.0, -2.0]), 1e6).round(2).tolist()
    [0.0, 2.0, -2.0]
    """
    size = np.abs(t)
    z = stats.norm.isf(stats.t.sf(size, degrees_of_freedom))
    return np.asarray(np.sign(t) * np.minimum(z, _LARGEST_Z))


def fit_run(
    bold: NDArray[np.floating],
    design: Design,
    contrasts: NDArray[np.floating],
) -> GlmEstimate:
    """Fit a linear model with AR(1) errors at every vertex of one run.

    Ordinary least squares first; the autocorrelation of its residuals at lag 1, truncated to two
    decimals, then whitens data and design (nilearn's ``run_glm``).

    Parameters
    ----------
    bold : (n_times, n_vertices) array
        Volumes of one run, without dummy scans.
    design : Design
        Of the same volumes.
    contrasts : (n_contrasts, n_regressors) array
        Weights of the design's columns.

    Returns
    -------
    GlmEstimate

    Raises
    ------
    BadDataError
        If shapes differ, no degree of freedom is left, or a contrast cannot be estimated.

    Examples
    --------
    >>> from bids_app.emotion import build_design
    >>> rng = np.random.default_rng(0)
    >>> tension = np.sin(np.arange(100) / 5)
    >>> design = build_design({"tension": tension}, [rng.standard_normal((100, 2))], 100)
    >>> bold = np.outer(tension, [2.0, 0.0]) + rng.standard_normal((100, 2))
    >>> estimate = fit_run(bold, design, design.contrast({"tension": 1.0})[np.newaxis])
    >>> estimate.effect.shape, bool(1.5 < estimate.effect[0, 0] < 2.5)
    ((1, 2), True)
    >>> (estimate.z > 5).tolist()
    [[True, False]]
    """
    n_times, n_vertices = bold.shape
    if len(design.matrix) != n_times:
        raise BadDataError(
            "The design and the run differ in length.",
            where="design",
            found=f"{len(design.matrix)} rows",
            wanted=f"{n_times} volumes",
            remedy="make the design of this run's volumes",
        )
    weights = np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
    rank = check_estimable(design, weights)
    effect = np.full((len(weights), n_vertices), np.nan)
    variance, rho = effect.copy(), np.full(n_vertices, np.nan)
    scale = _column_scale(design)
    basis = np.linalg.svd(design.matrix / scale, full_matrices=False)[0][:, :rank]
    for start in range(0, n_vertices, _BLOCK):
        part = slice(start, min(start + _BLOCK, n_vertices))
        data = np.asarray(bold[:, part], dtype=np.float64)
        usable = np.isfinite(data).all(axis=0)
        data = np.where(usable, data, 0.0)
        left = np.linalg.norm(data - basis @ (basis.T @ data), axis=0)
        # What is left of a series inside the design is rounding error, not noise.
        usable &= left > 1e-6 * np.linalg.norm(data, axis=0)
        if usable.any():
            found = _contrasts(data[:, usable], design.matrix / scale, weights / scale)
            columns = np.flatnonzero(usable) + start
            effect[:, columns], variance[:, columns], rho[columns] = found
    return GlmEstimate(effect, variance, float(n_times - rank), rho)


def _contrasts(
    data: FloatArray, matrix: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    from nilearn.glm.contrasts import compute_contrast
    from nilearn.glm.first_level import run_glm

    labels, results = run_glm(data, matrix, noise_model="ar1")
    found = [compute_contrast(labels, results, w, stat_type="t") for w in weights]
    return (
        np.stack([np.ravel(c.effect_size()) for c in found]),
        np.stack([np.ravel(c.effect_variance()) for c in found]),
        np.asarray(labels).astype(np.float64),
    )


def _column_scale(design: Design) -> FloatArray:
    # Scaling leaves contrasts alone and keeps the pseudo-inverse away from its threshold.
    scale = np.linalg.norm(design.matrix, axis=0)
    return np.asarray(np.where(scale == 0, 1.0, scale))


def check_estimable(design: Design, weights: NDArray[np.floating]) -> int:
    """Rank of a design in which all contrasts can be estimated.

    Parameters
    ----------
    design : Design
    weights : (n_contrasts, n_regressors) array

    Returns
    -------
    int

    Raises
    ------
    BadDataError
        If the weights do not fit, no degree of freedom is left, or a contrast is not estimable
        because columns of the design are collinear.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((40, 2))
    >>> design = Design(np.column_stack([x, np.ones(40)]), ("joy", "fear", "mean"))
    >>> check_estimable(design, np.array([[1.0, -1.0, 0.0]]))
    3
    """
    n_times, n_regressors = design.matrix.shape
    check_shape("contrasts", weights, "n_contrasts", n_regressors)
    scale = _column_scale(design)
    _, singular, right = np.linalg.svd(design.matrix / scale, full_matrices=False)
    rank = int((singular > singular[0] * 1e-10).sum())
    if n_times - rank < 1:
        raise BadDataError(
            "The design leaves no degrees of freedom.",
            found=f"{n_times} volumes and a design of rank {rank}",
            wanted="more volumes than regressors",
            remedy="choose a smaller set of confounds, or fewer delays",
        )
    rows = right[:rank]
    scaled = weights / scale
    lost = np.linalg.norm(scaled - (scaled @ rows.T) @ rows, axis=1)
    bad = np.flatnonzero(lost > 1e-6 * np.linalg.norm(scaled, axis=1))
    if bad.size or not scaled.any(axis=1).all():
        row = weights[bad[0]] if bad.size else weights[~scaled.any(axis=1)][0]
        involved = [n for n, w in zip(design.names, row, strict=True) if w != 0]
        raise BadDataError(
            "A contrast cannot be estimated.",
            where=", ".join(involved) or "contrasts",
            found="columns that are empty or that others make up",
            wanted="regressors that vary in this run and differ from each other and the nuisance",
            remedy="leave the run or the scale out",
        )
    return rank


def fixed_effects(estimates: Sequence[GlmEstimate]) -> GlmEstimate:
    """Combine runs, weighting each by the precision of its effect.

    Runs are pieces of music of different lengths; equal weights would let the shortest decide the
    variance. A vertex that is degenerate in one run is degenerate in all.

    Parameters
    ----------
    estimates : sequence of GlmEstimate
        One per run, with the same contrasts and vertices.

    Returns
    -------
    GlmEstimate
        ``effect = sum(e / v) / sum(1 / v)``, ``variance = 1 / sum(1 / v)``; degrees of freedom add
        up.

    Raises
    ------
    BadDataError
        If there is no run, or shapes differ.

    Examples
    --------
    >>> from bids_app.emotion import build_design, fit_run
    >>> rng = np.random.default_rng(0)
    >>> tension = np.sin(np.arange(100) / 5)
    >>> design = build_design({"tension": tension}, [], 100)
    >>> weights = design.contrast({"tension": 1.0})[np.newaxis]
    >>> bold = [np.outer(tension, [1.0]) + sd * rng.standard_normal((100, 1)) for sd in (1, 4)]
    >>> runs = [fit_run(one, design, weights) for one in bold]
    >>> both = fixed_effects(runs)
    >>> bool(both.variance[0, 0] < runs[0].variance[0, 0] < runs[1].variance[0, 0])
    True
    """
    shapes = {estimate.effect.shape for estimate in estimates}
    if len(shapes) != 1:
        raise BadDataError(
            "Runs cannot be combined." if shapes else "There is no run to combine.",
            where="estimates",
            found=", ".join(map(str, sorted(shapes))) or None,
            wanted="the same contrasts and vertices in every run",
            remedy="fit every run with the same contrasts on the same mesh",
        )
    precision = np.stack([1.0 / estimate.variance for estimate in estimates])
    effect = np.stack([estimate.effect for estimate in estimates])
    total = precision.sum(axis=0)
    return GlmEstimate(
        (precision * effect).sum(axis=0) / total,
        1.0 / total,
        float(sum(estimate.degrees_of_freedom for estimate in estimates)),
    )
