"""From patch times to the volumes of a run: rows, means, high-pass, all linear in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from bids_app.bands import Band, HighPass
from bids_app.errors import FINITE, BadDataError, UsageError, check_shape

SAMPLING = "mean of the linear interpolant over the repetition time"
"""How features come to the volumes, for the settings: results of another way are others."""
CLOCK_TOLERANCE = 0.1
"""Samples whose times differ by no more than this share of a volume are of one time."""
LONGEST_STEP = 5.0
"""Seconds between frames: of slower layers no response could be predicted."""
_ROWS = 512
# Onsets and repetition times are decimal fractions: a volume at the very end must not be lost.
_TIME_TOLERANCE = 1e-6


def stimulus_rows(
    n_volumes: int,
    tr: float,
    start_time: float,
    onset: float,
    duration: float,
    offset: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Volumes taken while the stimulus plays, and what second of it they fall on.

    Volume k is sampled at ``start_time + k * tr`` and hears second
    ``start_time + k * tr - onset + offset`` of the audio file.

    Parameters
    ----------
    n_volumes : int
        Length of the run.
    tr : float
        Repetition time in seconds.
    start_time : float
        Seconds from the start of the run to the sampling time of its first volume (slice
        reference, and volumes that were removed).
    onset : float
        Seconds from the start of the run to the start of the music.
    duration : float
        Seconds that the music plays.
    offset : float
        Second of the audio file with which the music starts.

    Returns
    -------
    rows : array of int of shape (n_times,)
        Numbers of the volumes, from 0.
    times : array of shape (n_times,)
        Seconds in the audio file.

    Raises
    ------
    UsageError
        A repetition time or duration that is not positive, or an argument that is not finite.
    BadDataError
        No volume was taken while the music played.

    Examples
    --------
    >>> rows, times = stimulus_rows(n_volumes=10, tr=2.0, start_time=1.0, onset=6.0, duration=7.0)
    >>> rows.tolist(), times.tolist()  # volumes, and the second of the music of each
    ([3, 4, 5, 6], [1.0, 3.0, 5.0, 7.0])
    """
    values = {
        "tr": tr,
        "start_time": start_time,
        "onset": onset,
        "duration": duration,
        "offset": offset,
    }
    for name, value in values.items():
        positive = name not in ("tr", "duration") or value > 0
        if not (np.isfinite(value) and positive):
            wanted = "a positive number" if name in ("tr", "duration") else "a finite number"
            raise UsageError(
                "A time cannot be used.",
                where=name,
                found=value,
                wanted=wanted,
                remedy="correct the value",
            )
    played = start_time + tr * np.arange(n_volumes) - onset
    rows = np.flatnonzero((played >= -_TIME_TOLERANCE) & (played <= duration + _TIME_TOLERANCE))
    if rows.size == 0:
        raise BadDataError(
            "No volume was taken while the stimulus played.",
            found=f"music from {onset:g} to {onset + duration:g} s, "
            f"volumes from {start_time:g} to {start_time + tr * (n_volumes - 1):g} s",
            wanted="a volume during the music",
            remedy="check the onset in the events file or in the stimulus table",
        )
    return rows, played[rows] + offset


def window_matrix(centers: np.ndarray, times: np.ndarray, width: float) -> csr_array:
    """Means of a series over windows around other times, as a matrix.

    The series is linear between its samples and holds its first and last value outside; its
    integral over each window is exact. So what is faster than the windows is averaged out, not
    folded into slower frequencies, as it would be by interpolation.

    Parameters
    ----------
    centers : array of shape (n_samples,)
        Times of the series: increasing, in seconds.
    times : array of shape (n_times,)
        Middles of the windows, in seconds on the same clock.
    width : float
        Seconds of a window.

    Returns
    -------
    matrix : sparse array of shape (n_times, n_samples)
        Each row sums to one; entries are those of the samples in and next to its window.

    Raises
    ------
    BadDataError
        Empty, not finite, or times of the series that do not increase.
    UsageError
        A width that is not positive.

    Examples
    --------
    >>> centers = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    >>> matrix = window_matrix(centers, np.array([2.0, 3.0]), width=2.0)
    >>> (matrix @ np.array([0.0, 0.0, 4.0, 0.0, 0.0])).tolist()  # means over 1 to 3 s and 2 to 4 s
    [2.0, 1.0]
    >>> np.allclose(matrix.sum(axis=1), 1)
    True
    """
    knots = np.asarray(centers, dtype=float)
    middles = np.asarray(times, dtype=float)
    for name, value in (("centers", knots), ("times", middles)):
        check_shape(name, value, f"n_{name}")
        if not np.isfinite(value).all():
            raise BadDataError(
                "Times must be finite numbers.",
                where=name,
                found=f"{np.count_nonzero(~np.isfinite(value))} of {value.size} not finite",
                wanted="finite seconds",
                remedy=FINITE,
            )
    if np.any(np.diff(knots) <= 0):
        raise BadDataError(
            "Times of a series must increase.",
            where="centers",
            found=f"{np.count_nonzero(np.diff(knots) <= 0)} steps of 0 or less",
            wanted="each time later than the one before",
            remedy="sort the rows by time and remove repeated ones",
        )
    if not 0 < width < np.inf:
        raise UsageError(
            "A window has no length.",
            where="width",
            found=width,
            wanted="seconds, above 0",
            remedy="give the length of the window, for example the repetition time",
        )
    return between(knots, middles - width / 2, middles + width / 2)


def between(knots: np.ndarray, begin: np.ndarray, end: np.ndarray) -> csr_array:
    """Means of a series from begin to end of each window, as `window_matrix` defines them.

    Parameters
    ----------
    knots : array of shape (n_samples,)
        Times of the series, increasing.
    begin, end : array of shape (n_windows,)
        Each begin before its end.

    Returns
    -------
    matrix : sparse array of shape (n_windows, n_samples)

    Examples
    --------
    >>> matrix = between(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    >>> matrix.toarray().round(2).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    if knots.size == 1:
        return csr_array(np.ones((begin.size, 1)))
    steps, last = np.diff(knots), knots.size - 1
    first = np.clip(np.searchsorted(knots, begin, side="right") - 1, 0, last - 1)
    final = np.clip(np.searchsorted(knots, end, side="left"), first + 1, last)
    counts = final - first + 1
    rows = np.repeat(np.arange(begin.size), counts)
    borders = np.concatenate([[0], np.cumsum(counts)])
    columns = np.arange(borders[-1]) - np.repeat(borders[:-1] - first, counts)
    values = _area(knots, steps, columns, end[rows]) - _area(knots, steps, columns, begin[rows])
    widths = (end - begin)[rows]
    return csr_array((values / widths, columns, borders), shape=(begin.size, knots.size))


def _area(knots: np.ndarray, steps: np.ndarray, columns: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Integral up to x of what one sample adds to the series, less a constant per sample."""
    behind = x - knots[columns]
    before, after = steps[np.maximum(columns - 1, 0)], steps[np.minimum(columns, steps.size - 1)]
    rise = np.clip(1 + behind / before, 0, 1)
    fall = np.clip(behind / after, 0, 1)
    rising, falling = before * rise**2 / 2, after * (fall - fall**2 / 2)
    rising = np.where(columns == 0, np.minimum(behind, 0), rising)
    falling = np.where(columns == steps.size, np.maximum(behind, 0), falling)
    return rising + falling


def step_times(duration: float, step: float) -> np.ndarray:
    """Middles of the whole steps of a sound; a shorter sound is one step.

    Parameters
    ----------
    duration, step : float
        Seconds.

    Returns
    -------
    (n_steps,) float64
        Seconds.

    Examples
    --------
    >>> step_times(3.5, 1.0).tolist(), step_times(0.4, 1.0).tolist()
    ([0.5, 1.5, 2.5], [0.5])
    """
    count = max(1, int(duration / step + _TIME_TOLERANCE))
    return (np.arange(count) + 0.5) * step


def high_pass_basis(n_times: int, tr: float, cutoff: float) -> np.ndarray:
    """Slow cosines whose removal is the high-pass filter of SPM and nilearn.

    Parameters
    ----------
    n_times : int
        Number of samples.
    tr : float
        Seconds between them.
    cutoff : float
        Period in seconds; cosines slower than this are in the basis.

    Returns
    -------
    basis : array of shape (n_times, n_basis)
        Orthonormal DCT-II columns 1 to ``floor(2 n_times tr / cutoff)``, without the constant;
        no columns where the series is too short to hold one.

    Raises
    ------
    UsageError
        An argument is not positive.

    Examples
    --------
    >>> basis = high_pass_basis(n_times=100, tr=2.0, cutoff=128.0)
    >>> basis.shape, np.allclose(basis.T @ basis, np.eye(3)), np.allclose(basis.sum(axis=0), 0)
    ((100, 3), True, True)
    >>> high_pass_basis(n_times=20, tr=2.0, cutoff=128.0).shape  # too short for a slow cosine
    (20, 0)
    """
    if n_times < 1 or tr <= 0 or cutoff <= 0:
        raise UsageError(
            "A high-pass filter needs positive numbers.",
            where="n_times, tr, cutoff",
            found=(n_times, tr, cutoff),
            wanted="volumes, seconds and a period in seconds, all above 0",
            remedy="correct the repetition time or --high-pass",
        )
    n_basis = min(n_times - 1, int(np.floor(2 * n_times * tr / cutoff + 1e-9)))
    place = (np.arange(n_times) + 0.5)[:, np.newaxis]
    order = np.arange(1, n_basis + 1)
    return np.sqrt(2 / n_times) * np.cos(np.pi / n_times * place * order)


def drift_basis(n_times: int, tr: float, high_pass: float) -> np.ndarray:
    """Drift of one presentation: slow cosines, or a line without a high-pass filter.

    Music that builds up and a run that drifts correlate by their linear trends alone.

    Parameters
    ----------
    n_times : int
        Number of samples.
    tr : float
        Seconds between them.
    high_pass : float
        Period in seconds; 0 for none.

    Returns
    -------
    basis : array of shape (n_times, n_basis)
        Orthonormal columns without the constant.

    Examples
    --------
    >>> drift_basis(100, 2.0, 128.0).shape
    (100, 3)
    >>> line = np.arange(-2.0, 3.0)[:, np.newaxis] / np.sqrt(10)
    >>> np.allclose(drift_basis(5, 2.0, 0), line)
    True
    """
    if high_pass > 0:
        return high_pass_basis(n_times, tr, high_pass)
    line = np.arange(n_times, dtype=float) - (n_times - 1) / 2
    size = float(np.linalg.norm(line))
    return (line / size if size > 0 else line)[:, np.newaxis]


def filtered(values: np.ndarray, tr: float, high_pass: HighPass | None) -> np.ndarray:
    """Filter a series of one presentation as the responses were filtered.

    Parameters
    ----------
    values : array of shape (n_times, ...)
    tr : float
        Seconds between samples.
    high_pass : float, Band or None
        As for `drift_basis`, or the band that the responses were filtered to; None for no filter.

    Returns
    -------
    array of the shape of `values`

    Examples
    --------
    >>> times = np.arange(0.0, 200.0, 2.0)
    >>> fast = np.cos(2 * np.pi * (times + 1) / 20)
    >>> slow = np.cos(np.pi * (times + 1) / 200)
    >>> np.abs(filtered(fast + slow, 2.0, 128.0) - fast).max().round(2).item()
    0.0
    """
    if high_pass is None:
        return values
    if not isinstance(high_pass, Band):
        return _high_passed(values, drift_basis(len(values), tr, high_pass))
    passed = high_pass.apply(values, tr)
    if high_pass.cutoff:
        passed = _high_passed(passed, high_pass_basis(len(values), tr, high_pass.cutoff))
    return passed.astype(values.dtype, copy=False)


def whole_clock(times: np.ndarray, tr: float) -> tuple[np.ndarray, np.ndarray]:
    """The regular clock behind samples some of which were dropped.

    Parameters
    ----------
    times : array of shape (n_times,)
        Increasing, in seconds.
    tr : float
        Seconds between neighboring samples.

    Returns
    -------
    whole : array of shape (n_whole,)
        Times without gaps, from the first sample to the last.
    kept : array of int of shape (n_times,)
        Numbers of the samples that are there.

    Examples
    --------
    >>> import numpy as np
    >>> whole, kept = whole_clock(np.array([0.5, 2.5, 6.5]), 2.0)
    >>> whole.tolist(), kept.tolist()
    ([0.5, 2.5, 4.5, 6.5], [0, 1, 3])
    """
    kept = np.rint((times - times[0]) / tr).astype(np.intp)
    if len(times) == kept[-1] + 1:
        return times, kept
    return times[0] + tr * np.arange(kept[-1] + 1), kept


def same_rows(clocks: Sequence[np.ndarray], tr: float) -> np.ndarray:
    """Samples of several series that were taken at the same times.

    Parameters
    ----------
    clocks : sequence of array of shape (n_times,)
        Increasing times of every series, in seconds.
    tr : float
        Seconds between neighboring samples; times that differ by up to a tenth of it are the same.

    Returns
    -------
    rows : array of int of shape (n_series, n_same)
        Numbers of the samples in each series.

    Examples
    --------
    >>> import numpy as np
    >>> same_rows([np.array([1.0, 3.0, 5.0]), np.array([3.1, 5.1, 7.1])], tr=2.0).tolist()
    [[1, 2], [0, 1]]
    """
    first = np.asarray(clocks[0])
    nearest = [np.abs(first[:, np.newaxis] - other).argmin(axis=1) for other in clocks]
    apart = [np.abs(other[k] - first) for other, k in zip(clocks, nearest, strict=True)]
    # Times are decimal fractions.
    same = np.max(apart, axis=0) <= CLOCK_TOLERANCE * tr + _TIME_TOLERANCE
    return np.stack(nearest)[:, same]


def sample_series(
    values: np.ndarray,
    patch_times: np.ndarray,
    times: np.ndarray,
    tr: float,
    high_pass: HighPass | None,
) -> np.ndarray:
    """Resample a patch-rate series to the samples of one presentation.

    Parameters
    ----------
    values : array of shape (n_patches, n_units)
    patch_times : array of shape (n_patches,)
        Seconds in the audio.
    times : array of shape (n_times,)
        Seconds in the audio at which the presentation is sampled.
    tr : float
        Seconds between samples, each of which is a mean over as long.
    high_pass : float, Band or None
        As for `filtered`.

    Returns
    -------
    sampled : array of shape (n_times, n_units)
        In the precision of the values.

    Examples
    --------
    >>> patch_times = np.arange(0.5, 60.0)  # one patch a second
    >>> values = np.sin(patch_times / 4)[:, np.newaxis]
    >>> times = np.arange(1.0, 59.0, 2.0)
    >>> sampled = sample_series(values, patch_times, times, tr=2.0, high_pass=None)
    >>> sampled.shape, np.allclose(sampled[:, 0], np.sin(times / 4), atol=0.05)
    ((29, 1), True)
    """
    sampled = window_matrix(patch_times, times, tr).astype(values.dtype) @ values
    return filtered(sampled, tr, high_pass)


def _high_passed(values: np.ndarray, basis: np.ndarray) -> np.ndarray:
    slow = basis.astype(values.dtype)
    return np.asarray(values - slow @ (slow.T @ values))


def sample_gram(
    gram: np.ndarray,
    patch_times: Sequence[np.ndarray],
    stimulus_index: Sequence[int],
    times: Sequence[np.ndarray],
    tr: float,
    high_pass: HighPass | None,
) -> np.ndarray:
    """Resample a patch-rate Gram matrix to the volumes of one participant: ``Q A G A' Q'``.

    The means over a repetition time A (:func:`window_matrix`) and the high-pass Q are linear in
    time, so what they do to the features they do to both sides of the features' inner products.

    Parameters
    ----------
    gram : array of shape (n_patches, n_patches)
        Inner products of all patches of all stimuli, in order; may be memory-mapped.
    patch_times : sequence of arrays of shape (n_patches_i,)
        Seconds in the audio, one array per stimulus.
    stimulus_index : sequence of int
        Stimulus of each presentation.
    times : sequence of arrays of shape (n_times_b,)
        Seconds in the audio at which each presentation is sampled.
    tr : float
        Seconds between samples of a presentation.
    high_pass : float, Band or None
        As for `filtered`, within each presentation.

    Returns
    -------
    sampled : array of shape (n_times, n_times)
        float64, symmetric; presentations in order, n_times = sum of n_times_b.

    Raises
    ------
    BadDataError
        Shapes that do not fit together.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> patch_times, times = np.arange(0.5, 60.0), np.arange(1.0, 59.0, 2.0)
    >>> values = rng.standard_normal((60, 5))
    >>> sampled = sample_series(values, patch_times, times, tr=2.0, high_pass=128.0)
    >>> gram = sample_gram(values @ values.T, [patch_times], [0], [times], 2.0, 128.0)
    >>> gram.shape, np.allclose(gram, sampled @ sampled.T)
    ((29, 29), True)
    """
    ends = np.cumsum([len(centers) for centers in patch_times])
    check_shape("gram", gram, ends[-1], ends[-1])
    if len(stimulus_index) != len(times):
        raise BadDataError(
            "Each presentation needs its stimulus and its times.",
            where="stimulus_index, times",
            found=f"{len(stimulus_index)} and {len(times)}",
            wanted="one of each for every presentation",
            remedy="give both lists in one order",
        )
    operators = [
        window_matrix(patch_times[stimulus], sampled, tr)
        for stimulus, sampled in zip(stimulus_index, times, strict=True)
    ]
    blocks = [
        slice(end - operator.shape[1], end)
        for end, operator in zip(ends[list(stimulus_index)], operators, strict=True)
    ]
    borders = np.cumsum([0] + [len(sampled) for sampled in times])
    result = np.empty((borders[-1], borders[-1]))
    for b, left in enumerate(operators):
        for c in range(b + 1):
            block = _two_sided(gram[blocks[b], blocks[c]], left, operators[c])
            block = filtered(filtered(block, tr, high_pass).T, tr, high_pass).T
            if b == c:
                block = (block + block.T) / 2
            result[borders[b] : borders[b + 1], borders[c] : borders[c + 1]] = block
            result[borders[c] : borders[c + 1], borders[b] : borders[b + 1]] = block.T
    return result


def _two_sided(gram: np.ndarray, left: csr_array, right: csr_array) -> np.ndarray:
    """``left @ gram @ right.T`` in float64, with a part of the rows of `gram` in memory."""
    result = np.empty((left.shape[0], right.shape[0]))
    for start in range(0, left.shape[0], _ROWS):
        part = left[start : start + _ROWS]
        used = slice(int(part.indices.min()), int(part.indices.max()) + 1)
        inner = part[:, used] @ np.asarray(gram[used], dtype=np.float64)
        result[start : start + _ROWS] = (right @ inner.T).T
    return result
