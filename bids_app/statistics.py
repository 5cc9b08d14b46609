"""Statistics that several packages share: averages, Fisher's z, false discovery rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bids_app.errors import BadDataError

SIGNIFICANCE = 0.05
"""The level of every test."""

FloatArray = NDArray[np.float64]

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
