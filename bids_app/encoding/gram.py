"""Delayed, centered and scaled Gram matrices of the stimulus features.

Delays never cross the border of a stimulus: the delayed Gram matrix is a sum of diagonally
shifted blocks of the undelayed one, so explicit delayed features are never built.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError, UsageError

# Fewer rows than this leave no correlation worth the name.
MIN_ROWS = 4
_ROUNDING = 1e-9
_ALIKE = 1e-12


def delay_samples(delays: tuple[float, float], tr: float) -> NDArray[np.intp]:
    """Whole-TR delays inside an interval.

    Parameters
    ----------
    delays : (float, float)
        First and last delay in seconds; positive delays look at the past of the stimulus.
    tr : float
        Repetition time in seconds.

    Returns
    -------
    ndarray of int, shape (n_delays,)
        The integers from ceil(first / tr) to floor(last / tr).

    Raises
    ------
    UsageError
        When the interval is reversed or holds no multiple of the TR, or the TR is not positive.

    Examples
    --------
    >>> delay_samples((3.0, 9.0), 2.0).tolist()
    [2, 3, 4]
    """
    if not (np.isfinite(tr) and tr > 0):
        raise UsageError(
            "tr must be a positive number of seconds.",
            where="tr",
            found=tr,
            wanted="a positive number",
            remedy="give the repetition time in seconds, for example 1.0",
        )
    if len(delays) != 2 or not np.all(np.isfinite(delays)):
        raise UsageError(
            "delays must be two finite numbers.",
            where="delays",
            found=delays,
            wanted="the first and the last delay in seconds",
            remedy="give two numbers, for example (3.0, 9.0)",
        )
    first, last = float(delays[0]), float(delays[1])
    if last < first:
        raise UsageError(
            "The first delay is longer than the last one.",
            where="delays",
            found=f"{first}:{last} s",
            wanted="the shorter delay first",
            remedy="exchange the two",
        )
    low = int(np.ceil(first / tr - _ROUNDING))
    high = int(np.floor(last / tr + _ROUNDING))
    if high < low:
        raise UsageError(
            "No whole TR lies between the delays.",
            where="delays",
            found=f"{first}:{last} s at a TR of {tr} s",
            wanted="an interval with at least one multiple of the TR",
            remedy=f"widen the delays, for example {low * tr:g}:{low * tr:g}",
        )
    return np.arange(low, high + 1)


def kept_rows(
    lengths: Sequence[int], shifts: NDArray[np.intp], crop: float, tr: float
) -> tuple[tuple[int, int], ...]:
    """Rows of every stimulus block that have their whole history, after cropping both ends.

    Parameters
    ----------
    lengths : sequence of int
        Samples of every block.
    shifts : ndarray of int
        Delays in samples.
    crop : float
        Seconds left out at both ends.
    tr : float
        Repetition time in seconds.

    Returns
    -------
    tuple of (start, stop)
        Half-open row ranges, one per block.

    Raises
    ------
    UsageError
        When the crop is negative.
    BadDataError
        When fewer than four rows are left in a block.

    Examples
    --------
    >>> kept_rows([20, 15], np.array([2, 3, 4]), crop=3.0, tr=1.0)
    ((4, 17), (4, 12))
    """
    if not (np.isfinite(crop) and crop >= 0):
        raise UsageError(
            "crop must be zero or more seconds.",
            where="crop",
            found=crop,
            wanted="a finite number, 0 or more",
            remedy="give the seconds to leave out at both ends, for example 15",
        )
    n_crop = int(np.ceil(crop / tr - _ROUNDING))
    before, after = max(int(shifts.max()), 0), max(-int(shifts.min()), 0)
    start, end = max(n_crop, before), max(n_crop, after)
    for i, length in enumerate(lengths):
        if length - start - end >= MIN_ROWS:
            continue
        room = length - MIN_ROWS
        possible = min((room // 2), room - before, room - after)
        fits = before + after <= room and possible >= 0
        raise BadDataError(
            "A stimulus has too few samples for the delays and the crop.",
            where=f"block {i}",
            found=f"{length} samples, of which delays of {shifts.min()} to {shifts.max()} samples "
            f"and a crop of {n_crop} samples at both ends leave {max(length - start - end, 0)}",
            wanted=f"at least {MIN_ROWS} rows",
            remedy=f"use a crop of {possible * tr:g} s or less"
            if fits
            else "leave this stimulus out, or use shorter delays",
        )
    return tuple((start, length - end) for length in lengths)


def delayed_gram(
    gram: NDArray[np.floating],
    lengths: Sequence[int],
    shifts: NDArray[np.intp],
    rows: Sequence[tuple[int, int]],
) -> NDArray[np.float64]:
    """Gram matrix of the delayed features at the kept rows.

    Parameters
    ----------
    gram : ndarray, shape (sum(lengths), sum(lengths))
        Gram matrix of the undelayed features.
    lengths : sequence of int
        Samples of every block.
    shifts : ndarray of int
        Delays in samples.
    rows : sequence of (start, stop)
        Kept rows of every block, each with its whole history inside the block.

    Returns
    -------
    ndarray, shape (n_kept, n_kept)
        Not centered, not scaled.

    Examples
    --------
    >>> features = np.random.default_rng(0).standard_normal((20, 3))
    >>> shifts, rows = np.array([2, 3]), (3, 20)
    >>> gram = delayed_gram(features @ features.T, [20], shifts, [rows])
    >>> explicit = delayed_features(features, shifts, rows)
    >>> np.allclose(gram, explicit @ explicit.T)
    True
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    sizes = [stop - start for start, stop in rows]
    places = np.concatenate([[0], np.cumsum(sizes)])
    out = np.zeros((places[-1], places[-1]))
    for i, (start_i, _) in enumerate(rows):
        for j, (start_j, _) in enumerate(rows[: i + 1]):
            block = out[places[i] : places[i + 1], places[j] : places[j + 1]]
            for shift in shifts:
                a, b = offsets[i] + start_i - shift, offsets[j] + start_j - shift
                block += gram[a : a + sizes[i], b : b + sizes[j]]
            if i != j:
                out[places[j] : places[j + 1], places[i] : places[i + 1]] = block.T
    return out


def center_blocks(kernel: NDArray[np.float64], sizes: Sequence[int]) -> NDArray[np.float64]:
    """Center a kernel over the rows of every block: C_i K_ij C_j.

    Parameters
    ----------
    kernel : ndarray, shape (sum(sizes), sum(sizes))
        Symmetric kernel.
    sizes : sequence of int
        Rows of every block.

    Returns
    -------
    ndarray
        The kernel of the features centered within every block; exactly zero where a block's rows
        are all alike, so that nothing is fitted to what rounding leaves.

    Examples
    --------
    >>> features = np.random.default_rng(0).standard_normal((10, 3))
    >>> centered = center_blocks(features @ features.T, [4, 6])
    >>> np.allclose(centered[:4].sum(axis=0), 0), np.allclose(centered[4:].sum(axis=0), 0)
    (True, True)
    """
    places = np.concatenate([[0], np.cumsum(sizes)])
    out = kernel.copy()
    for start, stop in pairwise(places.tolist()):
        out[start:stop] -= out[start:stop].mean(axis=0)
    for start, stop in pairwise(places.tolist()):
        out[:, start:stop] -= out[:, start:stop].mean(axis=1, keepdims=True)
    before, after = kernel.diagonal(), out.diagonal().copy()
    for start, stop in pairwise(places.tolist()):
        if after[start:stop].sum() <= _ALIKE * before[start:stop].sum():
            out[start:stop] = out[:, start:stop] = 0.0
    return 0.5 * (out + out.T)


def mean_diagonal(kernel: NDArray[np.float64]) -> float:
    """Mean of the diagonal, by which a kernel is divided so that one penalty grid fits all layers.

    Parameters
    ----------
    kernel : ndarray, shape (n_rows, n_rows)

    Returns
    -------
    float

    Raises
    ------
    BadDataError
        When the features are constant, so that the kernel is zero.

    Examples
    --------
    >>> mean_diagonal(np.diag([1.0, 2.0, 3.0]))
    2.0
    """
    scale = float(np.mean(np.diag(kernel)))
    if not np.isfinite(scale) or scale <= 0:
        raise BadDataError(
            "The features do not vary over the kept rows.",
            where="gram",
            found=f"mean diagonal {scale:g} after centering",
            wanted="a positive number",
            remedy="leave this layer out, or see whether its features are constant",
        )
    return scale


def feature_gram(features: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Undelayed Gram matrix of explicit features.

    Parameters
    ----------
    features : list of ndarray, each (n_times, n_units)
        One array per stimulus.

    Returns
    -------
    ndarray, shape (sum(n_times), sum(n_times))
        Products of the features after subtraction of every unit's mean over its stimulus, which
        the later centering would remove anyway and which otherwise costs precision.

    Examples
    --------
    >>> pieces = [np.array([[1.0], [3.0]]), np.array([[0.0], [4.0]])]
    >>> feature_gram(pieces).tolist()
    [[1.0, -1.0, 2.0, -2.0], [-1.0, 1.0, -2.0, 2.0], [2.0, -2.0, 4.0, -4.0], [-2.0, 2.0, -4.0, 4.0]]
    """
    centered = [np.asarray(f, dtype=np.float64) for f in features]
    stacked = np.concatenate([f - f.mean(axis=0) for f in centered])
    return stacked @ stacked.T


def delayed_features(
    feature: NDArray[np.floating], shifts: NDArray[np.intp], rows: tuple[int, int]
) -> NDArray[np.float64]:
    """Explicit delayed columns of one stimulus at its kept rows.

    Parameters
    ----------
    feature : ndarray, shape (n_times, n_units)
        Undelayed features.
    shifts : ndarray of int
        Delays in samples.
    rows : (start, stop)
        Kept rows.

    Returns
    -------
    ndarray, shape (n_kept, n_units * n_delays)
        Unit-major columns: all delays of the first unit, then of the second.

    Examples
    --------
    >>> feature = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> delayed_features(feature, np.array([0, 2]), (2, 4)).tolist()
    [[2.0, 0.0], [3.0, 1.0]]
    """
    start, stop = rows
    x = np.asarray(feature, dtype=np.float64)
    stacked = np.stack([x[start - d : stop - d] for d in shifts], axis=2)
    return stacked.reshape(stop - start, -1)
