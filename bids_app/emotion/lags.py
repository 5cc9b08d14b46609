"""Lagged correlation: which of two series precedes the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import FINITE, BadDataError, UsageError, check_shape

FloatArray = NDArray[np.float64]

SIGN_CONVENTION = "positive lag means: target leads seed"
"""rho(h) = corr(seed(t + h), target(t)): the seed at t + h is compared with the target at t."""

CHANGE_CONVENTION = "positive lag means: the rating follows the feature"
"""r(h) = corr(rating(t + h), feature(t))."""


@dataclass(frozen=True, eq=False)
class LagProfile:
    """Correlation over lags.

    Attributes
    ----------
    lags : (n_lags,) float64
        Seconds.
    r : (n_lags, ...) float64
        NaN where fewer than three pairs remain or a series is constant.
    n_pairs : (n_lags,) int
        Samples behind each correlation.
    convention : str
        What a positive lag means.
    """

    lags: FloatArray
    r: FloatArray
    n_pairs: NDArray[np.int64]
    convention: str = SIGN_CONVENTION

    def mean(self, first: float, last: float) -> FloatArray:
        """Mean correlation over the lags from `first` to `last` seconds, both included.

        Returns
        -------
        (...) float64
            `r` without its first axis.

        Raises
        ------
        UsageError
            If there is no such lag.
        """
        use = (self.lags >= first - 1e-9) & (self.lags <= last + 1e-9)
        if not use.any():
            raise UsageError(
                "No lag lies in the window.",
                where="first, last",
                found=f"{first:g} to {last:g} s",
                wanted=f"within {self.lags[0]:g} to {self.lags[-1]:g} s",
                remedy="widen the window, or compute more lags",
            )
        return np.asarray(self.r[use].mean(axis=0))


def lagged_correlation(
    seed: ArrayLike,
    target: ArrayLike,
    *,
    tr: float,
    max_lag: float = 20.0,
    segments: Sequence[tuple[int, int]] | None = None,
) -> LagProfile:
    """Correlation of two regions over lags, ``rho(h) = corr(seed(t + h), target(t))``.

    A positive lag means that the target leads the seed. Pairs never cross the border of a segment
    (a trial); each segment is centered over the pairs it contributes, and all its pairs count the
    same.

    Parameters
    ----------
    seed, target : (n_times,) array
        i and j.
    tr : float
        Seconds between samples.
    max_lag : float
        Lags are all multiples of `tr` from ``-max_lag`` to ``max_lag`` seconds.
    segments : sequence of (start, stop), optional
        Samples of the trials of one condition; default: everything.

    Returns
    -------
    LagProfile

    Raises
    ------
    BadDataError
        If lengths differ, a value is not finite, or a segment lies outside the series.
    UsageError
        If `tr` or `max_lag` is not positive.

    Notes
    -----
    Kim et al. 2017, doi:10.1038/s41598-017-06105-2; the sign follows its formula.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> target = rng.standard_normal(100)
    >>> seed = np.roll(target, 3)  # the target leads the seed by 3 samples of 2 s
    >>> profile = lagged_correlation(seed, target, tr=2.0, max_lag=10.0)
    >>> float(profile.lags[profile.r.argmax()])
    6.0
    """
    i, j = np.asarray(seed, dtype=np.float64), np.asarray(target, dtype=np.float64)
    check_shape("seed", i, "n_times")
    check_shape("target", j, len(i))
    if not (np.isfinite(i).all() and np.isfinite(j).all()):
        raise BadDataError(
            "A value is not finite.",
            where="seed, target",
            found=f"{np.count_nonzero(~np.isfinite([i, j]))} such values",
            wanted="finite values",
            remedy=FINITE,
        )
    steps = _steps(max_lag, tr)
    pieces = [(0, i.size)] if segments is None else list(segments)
    if any(not 0 <= start < stop <= i.size for start, stop in pieces):
        raise BadDataError(
            "A segment lies outside the series.",
            where="segments",
            found=pieces,
            wanted=f"0 <= start < stop <= {i.size}",
            remedy="correct the segments: rows are counted from 0",
        )
    found = [_pooled(i, j, pieces, h) for h in steps]
    return LagProfile(
        np.asarray(steps * tr, dtype=np.float64),
        np.array([r for r, _ in found]),
        np.array([n for _, n in found], dtype=np.int64),
    )


def _steps(max_lag: float, tr: float) -> NDArray[np.int64]:
    if not (tr > 0 and max_lag >= 0):
        raise UsageError(
            "Lags need positive numbers.",
            where="max_lag, tr",
            found=f"{max_lag:g}, {tr:g}",
            wanted="seconds: a lag of 0 or more, a repetition time above 0",
            remedy="correct them",
        )
    largest = int(np.floor(max_lag / tr + 1e-9))
    return np.arange(-largest, largest + 1)


def _pooled(
    i: FloatArray, j: FloatArray, pieces: Sequence[tuple[int, int]], h: int
) -> tuple[float, int]:
    """Correlation of i(t + h) and j(t) over the pairs within pieces, and their number."""
    sums, n_pairs, size = np.zeros(3), 0, np.zeros(2)
    for start, stop in pieces:
        length = stop - start - abs(h)
        if length < 1:
            continue
        a = i[start + max(h, 0) :][:length]
        b = j[start + max(-h, 0) :][:length]
        size = np.maximum(size, (np.abs(a).max(), np.abs(b).max()))
        a, b = a - a.mean(), b - b.mean()
        sums += a @ b, a @ a, b @ b
        n_pairs += length
    floor = n_pairs * (1e-10 * size) ** 2
    if n_pairs < 3 or sums[1] <= floor[0] or sums[2] <= floor[1]:
        return float("nan"), n_pairs
    return float(np.clip(sums[0] / np.sqrt(sums[1] * sums[2]), -1.0, 1.0)), n_pairs


def change_correlation(
    features: ArrayLike, rating: ArrayLike, *, rate: float, max_lag: float = 5.0
) -> LagProfile:
    """Correlation of changes: ``r(h) = corr(rating(t + h), feature(t))``, h from 0 to `max_lag`.

    A positive lag means that the rating follows the feature.

    Parameters
    ----------
    features : (n_times,) or (n_times, n_units) array
        Change of each feature.
    rating : (n_times,) array
        Change of the rating, on the same clock.
    rate : float
        Samples per second.
    max_lag : float
        Seconds.

    Returns
    -------
    LagProfile
        r is (n_lags,) or (n_lags, n_units).

    Raises
    ------
    BadDataError
        If lengths differ or a value is not finite.
    UsageError
        If `rate` or `max_lag` is not positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((200, 2))  # change of two features
    >>> rating = np.roll(features[:, 0], 4) + 0.1 * rng.standard_normal(200)  # 2 s after the first
    >>> profile = change_correlation(features, rating, rate=2.0)
    >>> profile.r.shape, float(profile.lags[profile.r[:, 0].argmax()])
    ((11, 2), 2.0)
    >>> (np.abs(profile.r).max(axis=0) > 0.5).tolist()
    [True, False]
    """
    x, y = np.asarray(features, dtype=np.float64), np.asarray(rating, dtype=np.float64)
    check_shape("features", x, "n_times", *["n_units"] * (x.ndim - 1))
    check_shape("rating", y, len(x))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise BadDataError(
            "A change is not finite.",
            where="features, rating",
            found=f"{(~np.isfinite(x)).sum() + (~np.isfinite(y)).sum()} such values",
            wanted="finite values",
            remedy=FINITE,
        )
    if not rate > 0:
        raise UsageError(
            "The rate must be positive.",
            where="rate",
            found=rate,
            wanted="samples per second, above 0",
            remedy="give the rate of features and rating, for example 1.0",
        )
    steps = _steps(max_lag, 1.0 / rate)
    steps = steps[steps >= 0]
    columns = x.reshape(len(x), -1).T
    found = [[_pooled(y, column, [(0, y.size)], h) for column in columns] for h in steps]
    r = np.array([[value for value, _ in row] for row in found])
    n_pairs = np.array([row[0][1] for row in found], dtype=np.int64)
    return LagProfile(steps / rate, r.reshape(len(steps), *x.shape[1:]), n_pairs, CHANGE_CONVENTION)
