"""How music was performed: tempo, loudness, dynamics, articulation, pedal, as features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.config.places import places_of
from bids_app.errors import BadDataError
from bids_app.features.descriptors import onset_strength, pulse_tempo
from bids_app.features.events import melody, together
from bids_app.features.layers import LayerOrder
from bids_app.features.logmel import SAMPLE_RATE
from bids_app.features.loudness import loudness
from bids_app.features.notes import MISMATCH, remarks_on_notes
from bids_app.features.pooling import FeatureSeries, Unit
from bids_app.features.tempo import FloatArray, beat_tempo, held_means
from bids_app.inputs.files import need_content
from bids_app.inputs.notes import NOTE_SUFFIXES, Notes, is_score, notes_there, read_notes
from bids_app.inputs.performance import (
    BEATS_SUFFIX,
    Match,
    beats_there,
    match_there,
    read_beats,
    read_match,
)
from bids_app.inputs.units import covers, other_unit

if TYPE_CHECKING:
    from bids_app.features.registry import Sound

_UNBEATEN = 10.0
"""Seconds without a beat at the ends of a recording that are worth a word."""
_OVERLAP = 2.0
"""Largest ratio of a duration to the time to the next note: held for longer is no more legato."""
_ROUNDING = 1e-6

UNITS = {
    "tempo": Unit("tempo", "Tempo, held from beat to beat", "beats/min"),
    "loudness": Unit("loudness", "Root mean square of the waveform to the power of 0.3", "a.u."),
    "dynamics": Unit("velocity", "Mean velocity of the notes that began last", "MIDI velocity"),
    "articulation": Unit(
        "articulation",
        "Duration of a note of the melody over the time to the next one, at most 2",
        "1",
    ),
    "pedal": Unit("sustain", "Mean depth of the sustaining pedal, 0 to 1", "1"),
}
LAYERS = tuple(UNITS)


@dataclass(frozen=True, eq=False)
class Performance:
    """Beats and notes that the files of a piece hold.

    Attributes
    ----------
    beats : (n_beats,) array or None
    beats_file : Path or None
    notes : Notes or None
    from_score : bool
        Whether the beats are those of a score.
    """

    beats: FloatArray | None
    beats_file: Path | None
    notes: Notes | None
    from_score: bool = False

    @property
    def missing(self) -> dict[str, str]:
        """Layers that the piece cannot have, and why."""
        notes = self.notes
        if notes is None:
            return dict.fromkeys(LAYERS[2:], "no notes")
        if not notes.performed:
            return dict.fromkeys(LAYERS[2:], f"{notes.path.name} is a score, not a performance")
        found = {}
        name = notes.path.name
        if not np.ptp(notes.velocity) > 0:
            found["dynamics"] = f"{name} has one velocity for all notes"
        elif not _varies(_velocities(notes)[1]):
            found["dynamics"] = f"{name} has one mean velocity for all notes that begin together"
        ratios = _ratios(notes)[1]
        if not len(ratios):
            found["articulation"] = f"{name} has no melody"
        elif not _varies(ratios):
            found["articulation"] = f"{name} has one articulation for all notes"
        if not len(notes.pedal):
            found["pedal"] = f"{name} has no sustaining pedal"
        elif not notes.pedal[:, 1].any():
            found["pedal"] = f"the sustaining pedal of {name} is never pressed"
        elif not _varies(_depths(notes)):
            found["pedal"] = f"the sustaining pedal of {name} never moves"
        return found


def expression_files(argument: str, label: str, audio: Path) -> list[Path]:
    """Files of a stimulus that exist and are used: beats, else a match file, and notes.

    Where there are a score and a match file, the notes are those of the match file: the score does
    not have their times and velocities in the performance.

    Parameters
    ----------
    argument : str
        Of the feature space.
    label : str
        Of the stimulus.
    audio : Path

    Returns
    -------
    list of Path
    """
    folder = places_of(argument).folder
    matched, beats = match_there(audio, folder), beats_there(audio, folder)
    notes = notes_there(audio, folder)[:1]
    if matched and notes and is_score(notes[0]):
        notes = []
    # A match file holds both, and is read where it is needed for one of them.
    wanted = matched if matched and (beats is None or not notes) else None
    return [path for path in (beats, wanted, *notes) if path is not None]


def _performance(argument: str, label: str, audio: Path) -> Performance:
    files = expression_files(argument, label, audio)
    for path in files:
        need_content(path, "A file beside a recording cannot be read.")
    stamps = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in files]
    return _read(tuple(stamps))


@lru_cache(maxsize=64)
def _read(stamps: tuple[tuple[Path, int, int], ...]) -> Performance:
    paths = [path for path, _, _ in stamps]
    beats_file = next((p for p in paths if p.name.endswith(BEATS_SUFFIX)), None)
    notes_file = next((p for p in paths if p.name.endswith(NOTE_SUFFIXES)), None)
    match_file = next((p for p in paths if p not in (beats_file, notes_file)), None)
    matched: Match | None = None if match_file is None else read_match(match_file)
    notes = read_notes(notes_file) if notes_file else matched.notes if matched else None
    if beats_file is not None:
        return Performance(read_beats(beats_file), beats_file, notes)
    if matched is not None:
        return Performance(matched.beats, match_file, notes, from_score=True)
    return Performance(None, None, notes)


def expression_order(argument: str, stimuli: Mapping[str, Path]) -> LayerOrder:
    """Layers that all stimuli have, without an order by depth, and why others are left out.

    Parameters
    ----------
    argument : str
        Of the feature space.
    stimuli : mapping from label to Path
        Audio files.

    Returns
    -------
    LayerOrder
    """
    left_out: dict[str, str] = {}
    for layer in LAYERS[2:]:
        without = {
            label: reason
            for label, audio in stimuli.items()
            if (reason := _performance(argument, label, audio).missing.get(layer))
        }
        if without:
            told = ", ".join(f"{label} ({reason})" for label, reason in without.items())
            left_out[layer] = f"not all pieces can have it: {told}"
    names = tuple(name for name in LAYERS if name not in left_out)
    return LayerOrder(names, left_out=left_out)


def expression_remarks(argument: str, label: str, audio: Path, duration: float) -> list[str]:
    """Warnings about the beats and notes of a stimulus.

    Parameters
    ----------
    argument, label, audio
        As of `expression_files`.
    duration : float
        Seconds of the recording.

    Returns
    -------
    list of str

    Raises
    ------
    BadDataError
        They cover less than half of the recording, or end long after it.
    """
    played = _performance(argument, label, audio)
    said = []
    if played.beats is not None and played.beats_file is not None:
        first, last = float(played.beats[0]), float(played.beats[-1])
        if not covers(last, duration):
            raise BadDataError(
                "Beats are not of this recording.",
                where=played.beats_file,
                found=f"the last beat at {last:g} s{other_unit(last, duration)}",
                wanted=f"seconds in a recording of {duration:g} s",
                remedy="correct the unit of the times, or give the beats of the whole recording",
            )
        if first > _UNBEATEN or not -_UNBEATEN <= last - duration <= MISMATCH:
            said.append(
                f"{label}: the beats of {played.beats_file.name} go from {first:.1f} to {last:.1f} "
                f"s, the recording to {duration:.1f} s: they may be of another recording"
            )
    if played.notes is not None:
        said += remarks_on_notes(played.notes, label, duration)
    return said


def expression_layers(argument: str, sound: Sound) -> list[FeatureSeries]:
    """Layers of a sound at its steps, those that its files allow.

    Returns
    -------
    list of FeatureSeries
        ``tempo``: from a table of beats, else from a match file, else the local pulse of the sound.
        ``loudness`` of the sound. From notes as they were played: ``dynamics``, mean velocity of
        those that begin together, held to the next; ``articulation`` of the melody, duration over
        the time to the next note, at most 2, held as long; ``pedal``, mean depth over the step.
        Sidecars name the source of the tempo and the number of octave jumps that were divided out.

    Raises
    ------
    MissingInputError, InvalidInputError, BadDataError
        A file of beats or notes cannot be read, or `partitura` is not installed for a match file.
    """
    played = _performance(argument, sound.label, sound.path)
    bpm, told = _tempo(played, sound)
    found = {
        "tempo": bpm,
        "loudness": loudness(sound.audio, SAMPLE_RATE).at(sound.times, sound.step),
    }
    if played.notes is not None:
        missing = played.missing
        for name, curve in _CURVES.items():
            if name not in missing:
                found[name] = curve(played.notes, sound.times, sound.step)
    details = {"tempo": told}
    return [
        FeatureSeries(name, values[:, np.newaxis], (UNITS[name],), details.get(name, {}))
        for name, values in found.items()
    ]


def _tempo(played: Performance, sound: Sound) -> tuple[FloatArray, dict[str, Any]]:
    if played.beats is not None and played.beats_file is not None:
        bpm, n_jumps = beat_tempo(played.beats, divide=not played.from_score)
        curve = held_means(played.beats[:-1], bpm, sound.times, sound.step)
        return curve, {"TempoFrom": played.beats_file.name, "OctaveJumps": n_jumps}
    curve, n_jumps = pulse_tempo(onset_strength(sound.audio), sound.times)
    return curve, {"TempoFrom": "local pulse of the sound", "OctaveJumps": n_jumps}


def dynamics_curve(notes: Notes, times: FloatArray, step: float) -> FloatArray:
    """Mean velocity of the notes that began last.

    Parameters
    ----------
    notes : Notes
    times : (n_times,) array
        Middles of the windows that are averaged over, seconds.
    step : float
        Length of a window, seconds.

    Returns
    -------
    (n_times,) float64

    Examples
    --------
    >>> notes = Notes(
    ...     np.array([0.0, 1.0]),
    ...     np.array([0.5, 1.0]),
    ...     np.array([60, 64]),
    ...     np.array([40.0, 80.0]),
    ...     Path("a.mid"),
    ... )
    >>> dynamics_curve(notes, np.array([0.5, 1.0, 1.5]), 1.0).tolist()
    [40.0, 60.0, 80.0]
    """
    return held_means(*_velocities(notes), times, step)


def articulation_curve(notes: Notes, times: FloatArray, step: float) -> FloatArray:
    """Duration of a note of the melody, divided by the time to the next one; at most 2.

    Parameters
    ----------
    notes, times, step
        As of `dynamics_curve`.

    Returns
    -------
    (n_times,) float64

    Examples
    --------
    >>> notes = Notes(
    ...     np.array([0.0, 1.0]),
    ...     np.array([0.5, 1.0]),
    ...     np.array([60, 64]),
    ...     np.array([40.0, 80.0]),
    ...     Path("a.mid"),
    ... )
    >>> articulation_curve(notes, np.array([0.5]), 1.0).tolist()  # half the way to the next note
    [0.5]
    """
    return held_means(*_ratios(notes), times, step)


def pedal_curve(notes: Notes, times: FloatArray, step: float) -> FloatArray:
    """Depth of the sustaining pedal, 0 to 1, over windows; up before its first message.

    Examples
    --------
    >>> notes = Notes(*[np.empty(0)] * 4, Path("a.mid"), pedal=np.array([[1.0, 1.0], [3.0, 0.0]]))
    >>> pedal_curve(notes, np.array([0.5, 1.0, 2.0]), 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    return held_means(notes.pedal[:, 0], notes.pedal[:, 1], times, step, before=0.0)


def _velocities(notes: Notes) -> tuple[FloatArray, FloatArray]:
    """Onsets of the notes that begin together, and their mean velocities."""
    groups = together(notes.onset)
    starts = np.array([notes.onset[group[0]] for group in groups])
    return starts, np.array([notes.velocity[group].mean() for group in groups])


def _ratios(notes: Notes) -> tuple[FloatArray, FloatArray]:
    """Onsets of the notes of the melody but the last, and their durations over their intervals."""
    sung = melody(notes.onset, notes.duration, notes.pitch, rolled=True)
    onset = notes.onset[sung]
    ratios = notes.duration[sung][:-1] / np.diff(onset)
    return onset[:-1], np.minimum(ratios, _OVERLAP)


def _depths(notes: Notes) -> FloatArray:
    """Depths of the pedal at the start of the recording and from every later message on."""
    seconds, depth = notes.pedal.T
    before, after = depth[seconds <= 0], depth[seconds > 0]
    return np.concatenate([before[-1:] if len(before) else [0.0], after])


def _varies(values: FloatArray) -> bool:
    """Whether values differ by more than rounding."""
    return bool(np.ptp(values) > _ROUNDING * np.abs(values).max())


_CURVES = {"dynamics": dynamics_curve, "articulation": articulation_curve, "pedal": pedal_curve}
