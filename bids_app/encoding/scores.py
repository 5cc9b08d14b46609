"""Scores over folds and the false discovery rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import BadDataError

# arctanh stays finite.
_LARGEST_R = 1 - 1e-15


def fisher_z(r: ArrayLike) -> NDArray[np.float64]:
    """Fisher's z of correlations, finite at plus and minus one.

    Parameters
    ----------
    r : array_like
        Correlations.

    Returns
    -------
    ndarray
        arctanh(r), of the same shape.
    """
    return np.arctanh(np.clip(np.asarray(r, dtype=np.float64), -_LARGEST_R, _LARGEST_R))


def fisher_mean(r: ArrayLike, axis: int = 0) -> NDArray[np.float64]:
    """Mean correlation over an axis, taken on Fisher's z and transformed back.

    Parameters
    ----------
    r : array_like
        Correlations.
    axis : int
        Axis to average over.

    Returns
    -------
    ndarray
        NaN where any of the correlations is NaN.
    """
    return np.tanh(fisher_z(r).mean(axis=axis))


def benjamini_hochberg(p: ArrayLike) -> NDArray[np.float64]:
    """Benjamini-Hochberg adjusted p values over all entries.

    Parameters
    ----------
    p : array_like, any shape
        p values; NaN entries are left out and stay NaN.

    Returns
    -------
    ndarray
        q values of the same shape: the smallest false discovery rate at which each is found.

    Raises
    ------
    BadDataError
        When a value lies outside 0..1.

    References
    ----------
    Benjamini & Hochberg (1995), J R Stat Soc B 57:289.
    """
    values = np.asarray(p, dtype=np.float64)
    valid = ~np.isnan(values)
    tested = values[valid]
    if tested.size and (tested.min() < 0 or tested.max() > 1):
        raise BadDataError(
            "p values must lie between 0 and 1",
            where="p",
            found=f"{tested.min():g} to {tested.max():g}",
        )
    order = np.argsort(tested, kind="stable")
    ranked = tested[order] * tested.size / np.arange(1, tested.size + 1)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum.accumulate(ranked[::-1])[::-1]
    out = np.full(values.shape, np.nan)
    out[valid] = adjusted
    return out
