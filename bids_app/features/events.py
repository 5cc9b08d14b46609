"""Notes as sequences of symbols in time: melody and chords, moved to one key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.features.descriptors import KEY_PROFILES
from bids_app.inputs.notes import Notes

FloatArray = npt.NDArray[np.float64]

TOGETHER = 0.05
"""Seconds within which notes that begin are one event."""
# Pitches moved by a key are 0 to 139.
N_PITCHES, N_CHORDS = 140, 1 << 12
_CHORD_SIZE = 3


@dataclass(frozen=True, eq=False)
class Events:
    """A sequence of symbols in time.

    Attributes
    ----------
    time : (n_events,) float64
        Seconds.
    symbol : (n_events,) int
    """

    time: FloatArray
    symbol: npt.NDArray[np.int64]


def melody(
    onset: npt.ArrayLike,
    duration: npt.ArrayLike,
    pitch: npt.ArrayLike,
    within: float = TOGETHER,
    *,
    rolled: bool = False,
) -> npt.NDArray[np.int64]:
    """Numbers of the notes of the melody: the highest of those that begin together (skyline).

    A note that begins while a higher note of the melody still sounds accompanies it, and is not of
    the melody.

    Parameters
    ----------
    onset, duration, pitch : (n_notes,) arrays
        By onset; seconds, MIDI numbers.
    within : float
        Seconds within which notes begin together.
    rolled : bool
        As of `together`.

    Returns
    -------
    (n_melody,) int array
        By onset.

    Examples
    --------
    >>> melody([0.0, 0.02, 0.5, 1.0], [1.0, 1.0, 0.5, 1.0], [60, 72, 64, 71]).tolist()
    [1, 3]
    """
    starts, lengths, heights = (np.asarray(x, dtype=np.float64) for x in (onset, duration, pitch))
    found: list[int] = []
    for group in together(starts, within, rolled=rolled):
        best = max(group, key=lambda note: (heights[note], lengths[note]))
        if found:
            last = found[-1]
            sounding = starts[last] + lengths[last] - within > starts[best]
            if sounding and heights[last] > heights[best]:
                continue
        found.append(best)
    return np.array(found, dtype=np.int64)


def together(
    onset: npt.ArrayLike, within: float = TOGETHER, *, rolled: bool = False
) -> list[list[int]]:
    """Numbers of notes that begin within so many seconds after the first of them.

    Parameters
    ----------
    onset : (n_notes,) array
        Seconds, never decreasing.
    within : float
        Seconds.
    rolled : bool
        Whether the time is from the note before instead, so that a rolled chord is one group.

    Returns
    -------
    list of lists of int
        Groups in the order of their notes.

    Examples
    --------
    >>> together([0.0, 0.03, 0.06, 1.0])
    [[0, 1], [2], [3]]
    >>> together([0.0, 0.03, 0.06, 1.0], rolled=True)
    [[0, 1, 2], [3]]
    """
    groups: list[list[int]] = []
    since = -np.inf
    for number, start in enumerate(np.asarray(onset, dtype=np.float64).tolist()):
        begins = start - since > within
        if begins:
            groups.append([])
        if begins or rolled:
            since = start
        groups[-1].append(number)
    return groups


def tonic(pitch: npt.ArrayLike, duration: npt.ArrayLike) -> int:
    """Pitch class of the tonic, or of the relative major's: C major and A minor have 0.

    The key is the profile of Krumhansl and Kessler that pitch classes, weighted by their
    durations, correlate with most.

    Parameters
    ----------
    pitch : (n_notes,) array of int
        MIDI numbers.
    duration : (n_notes,) array
        Seconds.

    Returns
    -------
    int
        From 0 for C to 11; 0 where all pitch classes are as long.

    Examples
    --------
    >>> scale = [62, 64, 66, 67, 69, 71, 73, 74]
    >>> tonic(scale, [2, 1, 1, 1, 1, 1, 1, 2])  # D major
    2
    """
    weights = np.bincount(
        np.asarray(pitch, dtype=np.int64) % 12, np.asarray(duration, dtype=np.float64), 12
    )
    if not np.ptp(weights) > 0:
        return 0
    best, found = -np.inf, 0
    for relative, profile in zip((0, 3), KEY_PROFILES, strict=True):
        for k in range(12):
            r = float(np.corrcoef(np.roll(profile, k), weights)[0, 1])
            if r > best + 1e-12:
                best, found = r, (k + relative) % 12
    return found


def events_of(notes: Notes) -> tuple[Events, Events]:
    """Melody and chords of a piece, moved to C major or A minor.

    A symbol of the melody is a pitch, that of a chord the set of its pitch classes as bits. Chords
    are three pitch classes or more that begin together.

    Parameters
    ----------
    notes : Notes

    Returns
    -------
    melody, chords : Events

    Examples
    --------
    >>> from pathlib import Path
    >>> from bids_app.inputs.notes import Notes
    >>> onset, pitch = np.array([0.0, 0.0, 0.0, 1.0, 2.0]), np.array([60, 64, 67, 72, 67])
    >>> notes = Notes(onset, np.ones(5), pitch, np.full(5, 80.0), Path("a.mid"))
    >>> sung, chords = events_of(notes)
    >>> sung.symbol.tolist(), [bin(symbol) for symbol in chords.symbol]
    ([73, 78, 73], ['0b10010001'])
    """
    key = tonic(notes.pitch, notes.duration)
    # By the shorter way: at most six semitones down or five up.
    down = key if key <= 6 else key - 12
    sung = melody(notes.onset, notes.duration, notes.pitch)
    times, symbols = [], []
    for group in together(notes.onset):
        classes = {int(p - key) % 12 for p in notes.pitch[group]}
        if len(classes) >= _CHORD_SIZE:
            times.append(float(notes.onset[group[0]]))
            symbols.append(sum(1 << c for c in classes))
    return (
        Events(notes.onset[sung], notes.pitch[sung] - down + 6),
        Events(np.array(times, dtype=np.float64), np.array(symbols, dtype=np.int64)),
    )


def event_series(
    times: npt.ArrayLike, values: npt.ArrayLike, n_steps: int, step: float
) -> FloatArray:
    """Sums of the values of events over the steps of a clock; 0 where there is no event.

    Parameters
    ----------
    times, values : (n_events,) arrays
        Seconds; events before or after the clock count nowhere.
    n_steps : int
    step : float
        Seconds.

    Returns
    -------
    (n_steps,) float64

    Examples
    --------
    >>> event_series([0.05, 0.31, 0.39, 9.0], [1.0, 2.0, 3.0, 4.0], 5, 0.1).tolist()
    [1.0, 0.0, 0.0, 5.0, 0.0]
    """
    places = np.floor(np.asarray(times, dtype=np.float64) / step + 1e-9).astype(np.int64)
    inside = (places >= 0) & (places < n_steps)
    weights = np.asarray(values, dtype=np.float64)[inside]
    return np.bincount(places[inside], weights, n_steps).astype(np.float64)
