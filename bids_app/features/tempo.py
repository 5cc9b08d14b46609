"""Tempo from beat to beat, and other values that are constant between events."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

OCTAVE = (1.8, 2.2)
"""Between neighboring beats such a factor is another level of the pulse, not another tempo."""


def beat_tempo(beats: npt.ArrayLike, *, divide: bool = True) -> tuple[FloatArray, int]:
    """Tempo between beats, and how many jumps by an octave were divided out.

    Jumps of a factor of 1.8 to 2.2 between neighboring intervals are those of who taps every other
    beat, or misses one. The level of the pulse is that of most of the beats.

    Parameters
    ----------
    beats : (n_beats,) array
        Seconds, increasing.
    divide : bool
        Whether jumps are divided out; not where the score says what a beat is.

    Returns
    -------
    bpm : (n_beats - 1,) float64
        Beats per minute.
    n_jumps : int

    Examples
    --------
    >>> bpm, n_jumps = beat_tempo([0.0, 0.5, 1.0, 2.0, 3.0, 3.5, 4.0, 4.5])
    >>> bpm.round(6).tolist(), n_jumps
    ([120.0, 120.0, 120.0, 120.0, 120.0, 120.0, 120.0], 2)
    """
    octaves = np.log2(60 / np.diff(np.asarray(beats, dtype=np.float64)))
    steps = np.diff(octaves)
    low, high = np.log2(OCTAVE)
    jumps = np.where((np.abs(steps) >= low) & (np.abs(steps) <= high), np.sign(steps), 0)
    if not divide or not jumps.any():
        return np.exp2(octaves), 0
    moved = np.concatenate([[0.0], np.cumsum(jumps)])
    level = octaves - moved
    # Most of the beats are on the level that moved them most often.
    values, counts = np.unique(moved, return_counts=True)
    return np.exp2(level + values[np.argmax(counts)]), int(np.count_nonzero(jumps))


def held_means(
    starts: npt.ArrayLike,
    values: npt.ArrayLike,
    times: npt.ArrayLike,
    width: float,
    before: float | None = None,
) -> FloatArray:
    """Means over windows of what is held from one event to the next.

    Parameters
    ----------
    starts : (n_events,) array
        Seconds, never decreasing; from the last one on its value is held.
    values : (n_events,) array
    times : (n_times,) array
        Middles of the windows, in seconds.
    width : float
        Seconds of a window.
    before : float, optional
        What is there before the first event; default: its value.

    Returns
    -------
    (n_times,) float64

    Examples
    --------
    >>> held_means([0.0, 1.0], [10.0, 20.0], [0.5, 1.0, 1.5], 1.0).tolist()
    [10.0, 15.0, 20.0]
    """
    knots, held, centers = (np.asarray(x, dtype=np.float64) for x in (starts, values, times))
    first, last = centers - width / 2, centers + width / 2
    low, high = min(first.min(), knots[0]) - 1.0, max(last.max(), knots[-1]) + 1.0
    borders = np.concatenate([[low], knots, [high]])
    levels = np.concatenate([[held[0] if before is None else before], held])
    area = np.concatenate([[0.0], np.cumsum(levels * np.diff(borders))])
    return (np.interp(last, borders, area) - np.interp(first, borders, area)) / width
