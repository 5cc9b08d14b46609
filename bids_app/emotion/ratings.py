"""Ratings resampled to other clocks, and their rate of change."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import FINITE, BadDataError

FloatArray = NDArray[np.float64]

_TOLERANCE = 1e-6


def check_course(times: ArrayLike, values: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Times and values as arrays that fit together.

    Parameters
    ----------
    times : (n_samples,) array
        Seconds, increasing.
    values : (n_samples,) array
        Finite.

    Returns
    -------
    times, values : (n_samples,) float64

    Raises
    ------
    BadDataError
        If shapes differ, there are fewer than two samples, times do not increase or a value is not
        finite.

    Examples
    --------
    >>> times, values = check_course([0, 1, 2], [3, 4, 5])
    >>> times.dtype, values.tolist()
    (dtype('float64'), [3.0, 4.0, 5.0])
    """
    t, v = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if t.ndim != 1 or t.shape != v.shape or t.size < 2:
        raise BadDataError(
            "A rating needs one value per time, and two of them.",
            where="times, values",
            found=f"shapes {t.shape} and {v.shape}",
            wanted="(n_samples,) both, n_samples of 2 or more",
            remedy="give times and values of the same samples",
        )
    if not np.isfinite(t).all() or (np.diff(t) <= 0).any():
        raise BadDataError(
            "The times of a rating must increase.",
            where="times",
            found=f"{t.size} times from {t[0]:g} to {t[-1]:g} s",
            wanted="finite times in seconds, each later than the one before",
            remedy="sort the samples by time and remove repeated ones",
        )
    if not np.isfinite(v).all():
        raise BadDataError(
            "A rating holds values that are not finite.",
            where="values",
            found=f"{np.count_nonzero(~np.isfinite(v))} of {v.size}",
            wanted="finite values",
            remedy=FINITE,
        )
    return t, v


def is_constant(values: ArrayLike) -> bool:
    """Whether all values are equal, up to rounding.

    Parameters
    ----------
    values : array of any shape

    Returns
    -------
    bool

    Examples
    --------
    >>> is_constant([0.1 + 0.2, 0.3]), is_constant([0.0, 1.0])
    (True, False)
    """
    v = np.asarray(values, dtype=np.float64)
    return bool(np.ptp(v) <= 1e-10 * np.abs(v).max(initial=0.0))


def absolute_change(times: ArrayLike, values: ArrayLike) -> FloatArray:
    """Size of the change per second, ``|derivative|``, by finite differences.

    Central differences inside (second order, also for unequal steps), so that the change is not
    shifted in time; one-sided at both ends.

    Parameters
    ----------
    times : (n_samples,) array
        Seconds, increasing.
    values : (n_samples,) array
        Ratings.

    Returns
    -------
    (n_samples,) float64
        Units of the scale per second.

    Raises
    ------
    BadDataError
        As `check_course`, or if the rating is constant.

    Examples
    --------
    >>> absolute_change([0.0, 1.0, 2.0, 4.0], [3.0, 2.0, 1.0, 1.0]).round(2).tolist()
    [1.0, 1.0, 0.67, 0.0]
    """
    t, v = check_course(times, values)
    if is_constant(v):
        raise BadDataError(
            "The rating is constant.",
            where="values",
            found=f"{v[0]:g} at all {v.size} samples",
            wanted="a rating that moves",
            remedy="leave this participant out of the analysis of this scale",
        )
    return np.abs(np.gradient(v, t))


def sample_course(
    times: ArrayLike, values: ArrayLike, targets: ArrayLike, *, width: float | None = None
) -> FloatArray:
    """A course at other times: interpolated linearly, or averaged around each of them.

    Parameters
    ----------
    times, values : (n_samples,) array
        Course; linear between samples.
    targets : (n_times,) array
        Seconds on the same clock.
    width : float or None
        Average over ``target - width / 2`` to ``target + width / 2`` (the part where there are
        samples), so that a slower clock does not miss the steps of a slider; None for the
        interpolated value.

    Returns
    -------
    (n_times,) float64
        NaN before the first and after the last sample.

    Raises
    ------
    BadDataError
        As `check_course`, or if no target lies within the samples.

    Examples
    --------
    >>> times, slider = [0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 4.0, 4.0]
    >>> sample_course(times, slider, [0.5, 1.5, 9.0]).tolist()
    [0.0, 2.0, nan]
    >>> sample_course(times, slider, [1.0], width=2.0).round(2).tolist()  # mean over 0 to 2 s
    [1.0]
    """
    t, v = check_course(times, values)
    wanted = np.asarray(targets, dtype=np.float64)
    inside = (wanted >= t[0] - _TOLERANCE) & (wanted <= t[-1] + _TOLERANCE)
    if not inside.any():
        raise BadDataError(
            "The rating does not overlap the music.",
            where="targets",
            found=f"rating from {t[0]:g} to {t[-1]:g} s, "
            + (f"wanted {wanted.min():g} to {wanted.max():g} s" if wanted.size else "no times"),
            wanted="times on the same clock: seconds into the music",
            remedy="correct the times of the rating, or their unit",
        )
    result = np.full(wanted.shape, np.nan)
    if width is None:
        result[inside] = np.interp(wanted[inside], t, v)
        return result
    first = np.clip(wanted[inside] - width / 2, t[0], t[-1])
    last = np.clip(wanted[inside] + width / 2, t[0], t[-1])
    span = last - first
    total = _integral(t, v, last) - _integral(t, v, first)
    mean = np.interp(wanted[inside], t, v)
    np.divide(total, span, out=mean, where=span > _TOLERANCE)
    result[inside] = mean
    return result


def _integral(t: FloatArray, v: FloatArray, at: FloatArray) -> FloatArray:
    """Integral of the course, linear between samples, from the first sample on."""
    steps = np.diff(t)
    whole = np.concatenate([[0.0], np.cumsum(steps * (v[1:] + v[:-1]) / 2)])
    left = np.clip(np.searchsorted(t, at, side="right") - 1, 0, t.size - 2)
    ahead = at - t[left]
    slope = (v[left + 1] - v[left]) / steps[left]
    return whole[left] + ahead * (v[left] + slope * ahead / 2)


def common_times(courses: list[FloatArray], duration: float, rate: float) -> FloatArray:
    """A regular clock over the seconds that all courses of one piece of music cover.

    Parameters
    ----------
    courses : list of (n_samples_i,) arrays
        Times of each course, in seconds.
    duration : float
        Seconds of music.
    rate : float
        Samples per second; the clock is ``k / rate``.

    Returns
    -------
    (n_times,) float64

    Raises
    ------
    BadDataError
        If fewer than two samples are left.

    Examples
    --------
    >>> courses = [np.arange(0.0, 5.0, 0.1), np.arange(1.0, 9.0, 0.25)]
    >>> common_times(courses, duration=8.0, rate=1.0).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    first = max(0.0, *(float(times[0]) for times in courses))
    last = min(duration, *(float(times[-1]) for times in courses))
    lowest = np.ceil(first * rate - _TOLERANCE)
    highest = np.floor(last * rate + _TOLERANCE)
    if highest - lowest < 1:
        raise BadDataError(
            "The ratings do not overlap the music, or each other.",
            where="courses",
            found=f"common to all: {first:g} to {last:g} s; music of {duration:g} s",
            wanted="at least two samples in common",
            remedy="check the times: they count from the start of the audio file",
        )
    return np.asarray(np.arange(lowest, highest + 1) / rate)
