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

    Examples
    --------
    >>> fisher_z([0.0, 0.5, np.nan]).round(2).tolist()
    [0.0, 0.55, nan]
    >>> bool(np.isfinite(fisher_z(1.0)))
    True
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

    Examples
    --------
    >>> fisher_mean([0.1, 0.5, 0.9]).round(2).tolist()  # the plain mean is 0.5
    0.61
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

    Examples
    --------
    >>> finite_mean([[1.0, np.nan], [3.0, np.nan]]).tolist()
    [2.0, nan]
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

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03, np.nan]).round(2).tolist()
    [0.03, 0.04, 0.04, nan]
    >>> benjamini_hochberg([[0.01, 0.04], [0.03, 0.5]], axis=-1).round(2).tolist()  # row by row
    [[0.02, 0.04], [0.06, 0.5]]
    """
    values = np.asarray(p, dtype=np.float64)
    if (values < 0).any() or (values > 1).any():
        raise BadDataError(
            "P values must lie between 0 and 1.",
            where="p",
            found=f"{np.nanmin(values):g} to {np.nanmax(values):g}",
            wanted="numbers from 0 to 1; NaN is left out",
            remedy="see whether these are p values and no statistics",
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

    Examples
    --------
    >>> null = np.random.default_rng(0).standard_normal(500)
    >>> p = pareto_tail_p(np.array([0.0, 2.0, 5.0]), null)
    >>> p[0].round(1).item(), bool(0.01 < p[1] < 0.05), bool(0 < p[2] < 1 / 501)
    (0.5, True, True)
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
    """A p value in the format of papers: .012, .001, .0004, < .0001, 1; ``n/a`` for NaN.

    Examples
    --------
    >>> p_number(0.01234), p_number(1 / 1001), p_number(0.000012), p_number(float("nan"))
    ('.012', '.001', '< .0001', 'n/a')
    """
    if not np.isfinite(p):
        return "n/a"
    if p < 0.00005:
        return "< .0001"
    if p > 0.9995:
        return "1"
    return f"{p:.{3 if p >= 0.00095 else 4}f}"[1:]


def p_told(p: float) -> str:
    """``p = .012``, ``p < .0001`` or ``p n/a``.

    Examples
    --------
    >>> p_told(0.01234), p_told(0.000012), p_told(float("nan"))
    ('p = .012', 'p < .0001', 'p n/a')
    """
    text = p_number(p)
    return f"p {text}" if text.startswith(("<", "n")) else f"p = {text}"
