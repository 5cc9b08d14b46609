"""Statistics that several packages share: averages, Fisher's z, false discovery rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bids_app.errors import BadDataError

SIGNIFICANCE = 0.05
"""The level of every test."""

FloatArray = NDArray[np.float64]

# Share of the draws that the Pareto tail is fitted to.
_TAIL = 0.25

# arctanh stays finite.
_LARGEST_R = 1 - 1e-15


def fisher_z(r: ArrayLike) -> FloatArray:
    """Fisher's z of correlations, finite at plus and minus one.

    Parameters
    ----------
    r : array_like
        Correlations.

    Returns
    -------
    float64 array of the same shape
        arctanh(r); NaN where r is.
    """
    return np.arctanh(np.clip(np.asarray(r, dtype=np.float64), -_LARGEST_R, _LARGEST_R))


def fisher_mean(r: ArrayLike, axis: int = 0) -> FloatArray:
    """Mean correlation over an axis, taken on Fisher's z and transformed back.

    Parameters
    ----------
    r : array_like
        Correlations.
    axis : int
        Axis to average over.

    Returns
    -------
    float64 array
        NaN where any of the correlations is NaN.
    """
    return np.tanh(fisher_z(r).mean(axis=axis))


def finite_mean(values: ArrayLike, axis: int = 0) -> FloatArray:
    """Mean over an axis of the values that are finite; NaN where none is.

    Parameters
    ----------
    values : array_like
        Values; NaN and infinity are left out.
    axis : int
        Axis to average over.

    Returns
    -------
    float64 array
    """
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    total = np.where(finite, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def benjamini_hochberg(p: ArrayLike, *, axis: int | None = None) -> FloatArray:
    """Benjamini-Hochberg adjusted p values.

    Parameters
    ----------
    p : array_like
        p values; NaN are no tests and stay NaN.
    axis : int, optional
        Axis of the values that are tested together, -1 for each row by itself. Default: all.

    Returns
    -------
    float64 array of the same shape
        q values: the smallest false discovery rate at which each is found.

    Raises
    ------
    BadDataError
        If a value lies outside 0 to 1.

    References
    ----------
    Benjamini & Hochberg (1995), J R Stat Soc B 57:289.
    """
    values = np.asarray(p, dtype=np.float64)
    if (values < 0).any() or (values > 1).any():
        raise BadDataError(
            "p values must lie between 0 and 1.",
            where="p",
            found=f"{np.nanmin(values):g} to {np.nanmax(values):g}",
        )
    last = values.ravel() if axis is None else np.moveaxis(values, axis, -1)
    q = np.full(last.shape, np.nan)
    for row in np.ndindex(last.shape[:-1]):
        tests = ~np.isnan(last[row])
        if tests.any():
            q[row][tests] = stats.false_discovery_control(last[row][tests], method="bh")
    return q.reshape(values.shape) if axis is None else np.moveaxis(q, -1, axis)


def pareto_tail_p(observed: NDArray[np.float64], null: NDArray[np.float64]) -> NDArray[np.float64]:
    """One-sided p with a generalized Pareto tail.

    Parameters
    ----------
    observed : ndarray
        Statistics.
    null : ndarray, shape (n_draws,)
        Statistic under the null.

    Returns
    -------
    ndarray
        (1 + b) / (1 + m) up to the threshold that a quarter of the null exceeds; beyond it the
        tail fitted by moments. A tail with an end point is taken as exponential, which is
        conservative. NaN where observed is NaN.

    References
    ----------
    Winkler et al. (2016), NeuroImage 141:502.
    """
    ordered = np.sort(null)
    n_draws = ordered.size
    above = n_draws - np.searchsorted(ordered, observed, side="left")
    p = (1 + above) / (1 + n_draws)
    n_tail = int(_TAIL * n_draws)
    if n_tail >= 10:
        threshold = ordered[-n_tail - 1]
        excess = ordered[-n_tail:] - threshold
        mean, variance = excess.mean(), excess.var()
        shape = max(0.5 * (1 - mean**2 / variance), 0.0) if variance > 0 else 0.0
        scale = mean * (1 - shape)
        beyond = np.maximum(observed - threshold, 0)
        if scale > 0:
            tail = (
                np.exp(-beyond / scale)
                if shape == 0
                else (1 + shape * beyond / scale) ** (-1 / shape)
            )
            p = np.where(beyond > 0, (1 + n_tail) / (1 + n_draws) * tail, p)
    return np.where(np.isnan(observed), np.nan, p)


def p_number(p: float) -> str:
    """A p as papers have it: .012, .0004, < .0001, 1; ``n/a`` where there is none."""
    if not np.isfinite(p):
        return "n/a"
    if p < 0.00005:
        return "< .0001"
    if p > 0.9995:
        return "1"
    return f"{p:.{3 if p >= 0.001 else 4}f}"[1:]


def p_told(p: float) -> str:
    """``p = .012``, ``p < .0001`` or ``p n/a``."""
    text = p_number(p)
    return f"p {text}" if text.startswith(("<", "n")) else f"p = {text}"
