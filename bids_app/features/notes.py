"""Notes as features: how many there are, and how well melody and chords can be foreseen."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_app.config.places import places_of
from bids_app.errors import BadDataError, MissingInputError
from bids_app.features.descriptors import KEY_PROFILES
from bids_app.features.layers import LayerOrder
from bids_app.features.pooling import FeatureSeries, Unit
from bids_app.features.symbols import Information, SymbolModel, expectations
from bids_app.files import sha256_of, sha256_of_file
from bids_app.inputs.notes import Notes, find_notes, notes_in, notes_there, read_notes

if TYPE_CHECKING:
    from bids_app.features.registry import Sound

FloatArray = npt.NDArray[np.float64]

TOGETHER = 0.05
"""Seconds within which notes that begin are one event."""
ORDER_BOUND = 5
"""Longest context of the models of melody and chords."""
# Pitches moved by a key are 0 to 139.
N_PITCHES, N_CHORDS = 140, 1 << 12
MISMATCH = 2.0
"""Seconds by which notes and recording may end apart."""
_CHORD_SIZE = 3

_PARTS = (("melody", "note of the melody"), ("chords", "chord"))
_COUNTS = (
    Unit("notes", "Notes that begin in the step", "count"),
    Unit("melody", "Notes of the melody that begin in the step", "count"),
    Unit("chords", "Chords that begin in the step", "count"),
)


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
    onset: npt.ArrayLike, duration: npt.ArrayLike, pitch: npt.ArrayLike, within: float = TOGETHER
) -> npt.NDArray[np.int64]:
    """Numbers of the notes of the melody: the highest of those that begin together (skyline).

    It counts only where no higher note of the melody goes on sounding: then it accompanies.

    Parameters
    ----------
    onset, duration, pitch : (n_notes,) arrays
        By onset; seconds, MIDI numbers.
    within : float
        Seconds within which notes begin together.

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
    for group in together(starts, within):
        best = max(group, key=lambda note: (heights[note], lengths[note]))
        if found:
            last = found[-1]
            sounding = starts[last] + lengths[last] - within > starts[best]
            if sounding and heights[last] > heights[best]:
                continue
        found.append(best)
    return np.array(found, dtype=np.int64)


def together(onset: npt.ArrayLike, within: float = TOGETHER) -> list[list[int]]:
    """Numbers of notes that begin within so many seconds after the first of them.

    Examples
    --------
    >>> together([0.0, 0.03, 0.06, 1.0])
    [[0, 1], [2], [3]]
    """
    groups: list[list[int]] = []
    first = -np.inf
    for number, start in enumerate(np.asarray(onset, dtype=np.float64).tolist()):
        if start - first > within:
            groups.append([])
            first = start
        groups[-1].append(number)
    return groups


def tonic(pitch: npt.ArrayLike, duration: npt.ArrayLike) -> int:
    """Pitch class of the tonic, or of the relative major's: C major and A minor have 0.

    The key is the profile of Krumhansl and Kessler that pitch classes, weighted by their
    durations, correlate with most.

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


@dataclass(frozen=True, eq=False)
class LongTerm:
    """What is known of other music.

    Attributes
    ----------
    melody, chords : SymbolModel
    n_pieces : int
    """

    melody: SymbolModel
    chords: SymbolModel
    n_pieces: int


def learn(pieces: Iterable[Notes]) -> LongTerm:
    """Models of the melodies and chords of pieces."""
    sung = SymbolModel(N_PITCHES, order_bound=ORDER_BOUND)
    struck = SymbolModel(N_CHORDS, order_bound=ORDER_BOUND)
    n_pieces = 0
    for notes in pieces:
        n_pieces += 1
        for model, events in zip((sung, struck), events_of(notes), strict=True):
            model.learn(events.symbol.tolist())
    return LongTerm(sung, struck, n_pieces)


@lru_cache(maxsize=2)
def _learned(folder: Path, identity: str) -> LongTerm:
    return learn(read_notes(path) for path in notes_in(folder))


def corpus_identity(argument: str) -> str:
    """What tells the other music from any other: a checksum of its files; empty without one."""
    corpus = places_of(argument).corpus
    if corpus is None:
        return ""
    if not corpus.is_dir():
        raise MissingInputError(
            "The folder of music that listeners know is not there.",
            where=corpus,
            wanted="a folder of MIDI files, MusicXML scores or tables of notes",
            remedy="give another one with --notes-corpus",
        )
    files = [sha256_of_file(path) for path in notes_in(corpus)]
    return sha256_of(json.dumps(sorted(files)))


def note_file(argument: str, label: str, audio: Path) -> Path:
    """File with the notes of a stimulus, see `bids_app.inputs.notes.find_notes`."""
    return find_notes(audio, places_of(argument).folder)


def note_order(argument: str, labels: Iterable[str]) -> LayerOrder:
    """Layers: with ``ltm`` and ``both`` only where other music is given; they lie side by side."""
    known = places_of(argument).corpus is not None
    return LayerOrder(
        ("density", "stm", *(("ltm", "both") if known else ()), "uncertainty"),
    )


def note_remarks(argument: str, label: str, audio: Path, duration: float) -> list[str]:
    """What is odd about the notes of a stimulus, and what of them is not used.

    Parameters
    ----------
    argument, label, audio
        As of `note_file`.
    duration : float
        Seconds of the recording.

    Raises
    ------
    MissingInputError, InvalidInputError, BadDataError
        There are no notes, or they cannot be read.
    """
    places = places_of(argument)
    notes = read_notes(note_file(argument, label, audio))
    said = remarks_on_notes(notes, label, duration)
    if len(others := notes_there(audio, places.folder)[1:]):
        names = ", ".join(path.name for path in others)
        said.append(f"{label}: notes are taken from {notes.path.name}, not from {names}")
    if places.corpus is not None:
        content = sha256_of_file(notes.path)
        if any(sha256_of_file(path) == content for path in notes_in(places.corpus)):
            said.append(
                f"{label}: its own notes are in {places.corpus}: the long-term model knows it"
            )
    else:
        said.append(
            "notes: no other music is given (--notes-corpus), so the layers ltm and both are left "
            "out, and uncertainty is that of the piece alone"
        )
    return said


def remarks_on_notes(notes: Notes, label: str, duration: float) -> list[str]:
    """What of the notes of a stimulus was left out, and whether they end with its sound."""
    said = [f"{label}: {text} ({notes.path.name})" for text in notes.remarks]
    late = int((notes.onset >= duration).sum())
    if abs(notes.end - duration) > MISMATCH:
        said.append(
            f"{label}: the notes of {notes.path.name} end at {notes.end:.1f} s, the recording at "
            f"{duration:.1f} s: they may be of another recording"
            + (f"; {late} notes behind its end are left out" if late else "")
        )
    return said


def note_layers(argument: str, sound: Sound) -> list[FeatureSeries]:
    """Layers of a sound from its notes, at its steps.

    Returns
    -------
    list of FeatureSeries
        ``density``: counts of notes, of notes of the melody and of chords. ``stm``, ``ltm`` and
        ``both``: surprise of melody and chords, summed over the events of a step.
        ``uncertainty``: what melody and chords could have been, of the model ``both``, or ``stm``
        without other music.

    Raises
    ------
    MissingInputError, InvalidInputError, BadDataError
        Notes are missing, cannot be read, or none of them lies in the sound.
    """
    notes = read_notes(note_file(argument, sound.label, sound.path))
    n_steps, step = len(sound.times), sound.step
    if not (notes.onset < n_steps * step).any():
        raise BadDataError(
            "No note lies within the recording.",
            where=notes.path,
            found=f"the first at {notes.onset[0]:.1f} s, {n_steps * step:.1f} s of sound",
            remedy="give the notes of this recording, in seconds from its start",
        )
    corpus = places_of(argument).corpus
    known = None if corpus is None else _learned(corpus, corpus_identity(argument))
    parts = events_of(notes)
    layers = list(note_order(argument, [sound.label]).names)
    columns: dict[str, list[FloatArray]] = {name: [] for name in layers}
    columns["density"].append(event_series(notes.onset, np.ones(notes.onset.size), n_steps, step))
    models = (None, None) if known is None else (known.melody, known.chords)
    for events, size, model in zip(parts, (N_PITCHES, N_CHORDS), models, strict=True):
        found = expectations(events.symbol.tolist(), size, order_bound=ORDER_BOUND, long_term=model)
        told: dict[str, Information | None] = {
            "stm": found.stm,
            "ltm": found.ltm,
            "both": found.both,
        }
        values = {name: one.surprise for name, one in told.items() if one is not None}
        values["uncertainty"] = (found.both or found.stm).uncertainty
        values["density"] = np.ones(events.time.size)
        for name in layers:
            columns[name].append(event_series(events.time, values[name], n_steps, step))
    return [FeatureSeries(name, np.column_stack(columns[name]), _units(name)) for name in layers]


def _units(layer: str) -> tuple[Unit, ...]:
    if layer == "density":
        return _COUNTS
    if layer == "uncertainty":
        return tuple(Unit(n, f"Entropy of the expected {what}", "bit") for n, what in _PARTS)
    return tuple(Unit(n, f"Surprise of every {what} ({layer})", "bit") for n, what in _PARTS)
