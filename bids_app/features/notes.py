"""Notes as features: their density, and surprise and uncertainty of melody and chords."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_app.config.places import places_of
from bids_app.errors import BadDataError
from bids_app.features.events import N_CHORDS, N_PITCHES, event_series, events_of
from bids_app.features.known_music import ORDER_BOUND, corpus_name, known_music, knows_music
from bids_app.features.layers import LayerOrder
from bids_app.features.pooling import FeatureSeries, Unit
from bids_app.features.symbols import Information, expectations
from bids_app.files import sha256_of_file
from bids_app.inputs.notes import Notes, find_notes, notes_in, notes_there, read_notes
from bids_app.inputs.units import covers, other_unit

if TYPE_CHECKING:
    from bids_app.features.registry import Sound

FloatArray = npt.NDArray[np.float64]

MISMATCH = 2.0
"""Seconds by which notes and recording may end apart."""

_PARTS = (("melody", "note of the melody"), ("chords", "chord"))
_COUNTS = (
    Unit("notes", "Notes that begin in the step", "count"),
    Unit("melody", "Notes of the melody that begin in the step", "count"),
    Unit("chords", "Chords that begin in the step", "count"),
)


def note_file(argument: str, label: str, audio: Path) -> Path:
    """File with the notes of a stimulus, see `bids_app.inputs.notes.find_notes`."""
    return find_notes(audio, places_of(argument).folder)


def note_order(argument: str, labels: Iterable[str]) -> LayerOrder:
    """Layers, without an order by depth; ``ltm`` and ``both`` only where other music is given.

    Examples
    --------
    >>> note_order("", ["happy"]).names
    ('density', 'stm', 'uncertainty')
    """
    known = knows_music(argument)
    return LayerOrder(
        ("density", "stm", *(("ltm", "both") if known else ()), "uncertainty"),
    )


def note_remarks(argument: str, label: str, audio: Path, duration: float) -> list[str]:
    """Warnings about the notes of a stimulus, and about notes that are not used.

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
    return [*said, *remarks_on_corpus(argument)]


def remarks_on_corpus(argument: str) -> list[str]:
    """What other music is known where the user gives none."""
    if places_of(argument).corpus is not None:
        return []
    if name := corpus_name(argument):
        return [f"notes: other music that is known is {name}; give your own with --notes-corpus"]
    return [
        "notes: no other music is given (--notes-corpus, or `musenc prefetch corpus`), so the "
        "layers ltm and both are left out, and uncertainty is that of the piece alone"
    ]


def remarks_on_notes(notes: Notes, label: str, duration: float) -> list[str]:
    """Warnings about notes that are left out, or that do not end with the sound.

    Raises
    ------
    BadDataError
        They cover less than half of the sound, or end long after it.
    """
    length, last = float(np.median(notes.duration)), float(notes.onset[-1])
    if length > duration or not covers(last, duration):
        raise BadDataError(
            "Notes are not of this recording.",
            where=notes.path,
            found=f"the last note at {last:g} s{other_unit(last, duration)}, half of the notes "
            f"longer than {length:g} s",
            wanted=f"seconds in a recording of {duration:g} s",
            remedy="correct the unit of the times, or give the notes of the whole recording",
        )
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
        ``uncertainty``: entropy of the expectation of melody and chords, by the model ``both``, or
        ``stm`` without other music.

    Raises
    ------
    MissingInputError, InvalidInputError, BadDataError
        Notes are missing, cannot be read, or none of them begins within the sound.
    """
    return layers_of_notes(
        argument, sound, read_notes(note_file(argument, sound.label, sound.path))
    )


def layers_of_notes(argument: str, sound: Sound, notes: Notes) -> list[FeatureSeries]:
    """As `note_layers`, of notes that were read before.

    Raises
    ------
    BadDataError
        None of them begins within the sound.
    """
    n_steps, step = len(sound.times), sound.step
    if not (notes.onset < n_steps * step).any():
        raise BadDataError(
            "No note lies within the recording.",
            where=notes.path,
            found=f"the first at {notes.onset[0]:.1f} s, {n_steps * step:.1f} s of sound",
            wanted="notes within the sound",
            remedy="give the notes of this recording, in seconds from its start",
        )
    known = known_music(argument)
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
