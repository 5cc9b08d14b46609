"""Prevalence: participants with an effect of their own, and the share of people with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from bids_app.errors import BadDataError
from bids_app.statistics import SIGNIFICANCE

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prevalence:
    """Share of people with an effect that a test at .05 finds in single participants.

    Attributes
    ----------
    estimate : float64 array of the shape of the counts
        (k/n - .05) / .95, from 0 to 1: the share of people with the effect if the test misses
        nobody. Tests miss some people, so that it is a lower bound.
    low, high : as `estimate`
        Exact 95 % interval (Clopper-Pearson of k/n, transformed alike).
    p : as `estimate`
        One-sided p of at least as many significant participants where nobody has the effect.
    """

    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray


def prevalence(shown: npt.ArrayLike, n: npt.ArrayLike) -> Prevalence:
    """Prevalence from the number of participants with a p of their own below .05.

    Parameters
    ----------
    shown : array of int
        Participants who show it; any shape.
    n : array of int that broadcasts
        Participants who were tested; 0 gives NaN.

    Returns
    -------
    Prevalence

    Raises
    ------
    BadDataError
        If more show it than were tested.

    Notes
    -----
    Of people without the effect a share of .05 is significant, of people with the effect at most
    all: P(shown) <= .05 + .95 x prevalence (Donhauser et al. 2018,
    doi:10.1016/j.jneumeth.2018.05.021; Ince et al. 2021, doi:10.7554/eLife.62461).

    Examples
    --------
    >>> found = prevalence([0, 6, 12], 12)
    >>> found.estimate.round(2).tolist()
    [0.0, 0.47, 1.0]
    >>> found.low.round(2).tolist(), found.high.round(2).tolist()
    ([0.0, 0.17, 0.72], [0.23, 0.78, 1.0])
    """
    k, total = np.broadcast_arrays(
        np.asarray(shown, dtype=np.float64), np.asarray(n, dtype=np.float64)
    )
    if np.any(k > total) or np.any(k < 0):
        raise BadDataError(
            "More participants show an effect than were tested.",
            where="shown",
            found=float(np.max(k - total)),
            wanted="from 0 to n",
            remedy="exchange the two, or correct the counts",
        )
    tested = total > 0
    size = np.where(tested, total, 1.0)
    tail = SIGNIFICANCE / 2
    with np.errstate(invalid="ignore"):
        low = np.where(k > 0, stats.beta.ppf(tail, k, size - k + 1), 0.0)
        high = np.where(k < size, stats.beta.ppf(1 - tail, k + 1, size - k), 1.0)
    p = stats.binom.sf(k - 1, size, SIGNIFICANCE)
    share, low, high = ((one - SIGNIFICANCE) / (1 - SIGNIFICANCE) for one in (k / size, low, high))
    parts = (np.where(tested, np.clip(one, 0.0, 1.0), np.nan) for one in (share, low, high, p))
    return Prevalence(*parts)


def simes(p: npt.ArrayLike, axis: int | tuple[int, ...] = -1) -> FloatArray:
    """P of the claim that at least one of several effects exists (Simes).

    Parameters
    ----------
    p : array
        P-values; NaN is left out.
    axis : int or tuple of int
        Axes of the tests.

    Returns
    -------
    float64 array without these axes
        Smallest of m p(i) / i over the ordered p(1), ..., p(m): below .05 where Benjamini-Hochberg
        would find something. NaN where there is none. It keeps its level under the positive
        dependence of neighboring vertices and layers.

    Examples
    --------
    >>> simes([0.04, 0.5, 0.02, np.nan]).round(3).tolist()
    0.06
    """
    values = np.asarray(p, dtype=np.float64)
    axes = tuple(one % values.ndim for one in np.atleast_1d(np.asarray(axis, dtype=np.intp)))
    rest = [one for one in range(values.ndim) if one not in axes]
    shape = [values.shape[one] for one in rest]
    flat = values.transpose([*rest, *axes]).reshape(*shape, -1)
    ordered = np.sort(flat, axis=-1)  # NaN last
    count = np.isfinite(flat).sum(axis=-1, keepdims=True)
    rank = np.arange(1, flat.shape[-1] + 1)
    scaled = np.where(rank <= count, ordered * count / rank, np.inf)
    found = scaled.min(axis=-1, initial=np.inf)
    return np.where(np.isfinite(found), np.minimum(found, 1.0), np.nan)
