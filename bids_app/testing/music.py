"""Composed music for the simulated study: sections, harmony, voices, rhythm, dynamics, tempo.

A piece is a chain of sections. A section keeps a key, a chord progression, a group of instruments
and a texture, and moves through it with a changing tempo and loudness; earlier sections return,
varied. All of it follows from the piece's description and a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError
from bids_app.testing.synthesis import DRUMS, Note, render

SAMPLE_RATE = 16000
MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)

# From each scale degree, where harmony likes to go (degrees counted from 0).
_PROGRESSION: dict[int, tuple[int, ...]] = {
    0: (3, 4, 5, 1, 3),
    1: (4, 4, 6),
    2: (5, 3),
    3: (4, 0, 1, 4),
    4: (0, 0, 5, 3),
    5: (3, 1, 4),
    6: (0, 2),
}

# Groups of instruments: melody, chords, bass, whether there are drums.
_ENSEMBLES: tuple[tuple[str, str, str, bool], ...] = (
    ("flute", "strings", "bass", False),
    ("piano", "piano", "bass", False),
    ("brass", "organ", "bass", True),
    ("clarinet", "pluck", "bass", True),
    ("strings", "strings", "strings", False),
    ("bell", "pluck", "bass", False),
    ("pluck", "organ", "bass", True),
    ("brass", "brass", "brass", True),
    ("bell", "", "", False),
    ("", "strings", "bass", False),
)

# Onsets within a bar of four beats, from calm to busy.
_RHYTHMS: tuple[tuple[float, ...], ...] = (
    (0, 2),
    (0, 1.5, 2),
    (0, 1, 2, 3),
    (0, 0.5, 1, 2, 2.5, 3),
    (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5),
    (0, 0.25, 0.5, 1, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 3.75),
)
_TEXTURES = ("pad", "block", "arpeggio", "offbeat", "tremolo")


@dataclass(frozen=True)
class Piece:
    """What distinguishes one piece of music from another.

    Attributes
    ----------
    label : str
        File stem of the recording, letters and digits.
    duration : float
        Seconds.
    tempo : float
        Beats per minute, on average.
    minor : bool
        Mode.
    tonic : int
        MIDI note of the home key.
    energy : float
        How busy and loud it tends to be, 0 to 1.
    """

    label: str
    duration: float
    tempo: float
    minor: bool
    tonic: int
    energy: float


DEFAULT_PIECES = (
    Piece("happy", 112.0, tempo=126.0, minor=False, tonic=60, energy=0.7),
    Piece("sadshort", 160.0, tempo=72.0, minor=True, tonic=57, energy=0.4),
    Piece("sadlong", 208.0, tempo=84.0, minor=True, tonic=62, energy=0.5),
)
DEFAULT_DURATION = sum(piece.duration for piece in DEFAULT_PIECES)


def default_pieces(duration: float = DEFAULT_DURATION) -> tuple[Piece, ...]:
    """The default pieces, shortened or lengthened to `duration` seconds in all."""
    share = duration / DEFAULT_DURATION
    return tuple(replace(piece, duration=share * piece.duration) for piece in DEFAULT_PIECES)


@dataclass(frozen=True)
class _Section:
    """One passage: what is played and how it develops."""

    n_bars: int
    key: int
    chords: tuple[int, ...]
    ensemble: tuple[str, str, str, bool]
    texture: str
    rhythm: int
    loudness: tuple[float, float]
    tempo: tuple[float, float]
    register: int
    material: int


def _draw_section(piece: Piece, rng: np.random.Generator) -> _Section:
    chords = [0]
    while len(chords) < 4:
        chords.append(int(rng.choice(_PROGRESSION[chords[-1]])))
    level = float(np.clip(rng.normal(0.25 + 0.5 * piece.energy, 0.25), 0.12, 1.0))
    arrival = float(np.clip(level + rng.normal(0, 0.3), 0.12, 1.0))
    pace = piece.tempo * float(rng.uniform(0.75, 1.3))
    seconds = float(rng.uniform(7, 18))
    return _Section(
        n_bars=max(2, round(seconds * pace / 240.0)),
        key=int(rng.choice((0, 0, 5, 7, -3, 3, -2))),
        chords=tuple(chords),
        ensemble=_ENSEMBLES[int(rng.integers(len(_ENSEMBLES)))],
        texture=str(rng.choice(_TEXTURES)),
        rhythm=int(np.clip(rng.normal(1 + 4 * piece.energy, 1.3), 0, len(_RHYTHMS) - 1)),
        loudness=(level, arrival),
        tempo=(pace, pace * float(rng.uniform(0.8, 1.25))),
        register=int(rng.choice((-12, 0, 0, 12))),
        material=int(rng.integers(2**31)),
    )


def _plan(piece: Piece, rng: np.random.Generator) -> list[_Section]:
    """Sections until the piece is full; about a third take up an earlier one in another guise."""
    sections: list[_Section] = []
    seconds = 0.0
    while seconds < piece.duration:
        fresh = _draw_section(piece, rng)
        if len(sections) > 2 and rng.random() < 0.35:
            old = sections[int(rng.integers(len(sections) - 1))]
            fresh = replace(old, ensemble=fresh.ensemble, loudness=fresh.loudness, key=fresh.key)
        sections.append(fresh)
        seconds += fresh.n_bars * 240.0 / (sum(fresh.tempo) / 2)
    return sections


def _pitch(piece: Piece, key: int, degree: int) -> int:
    scale = MINOR if piece.minor else MAJOR
    octave, step = divmod(degree, 7)
    return piece.tonic + key + 12 * octave + scale[step]


def _melody(
    piece: Piece, section: _Section, chord: int, rng: np.random.Generator, degree: int
) -> tuple[list[tuple[float, float, int]], int]:
    """One bar of melody as (beat, beats, pitch), and the degree it ends on."""
    onsets = _RHYTHMS[section.rhythm]
    notes = []
    for beat, following in zip(onsets, (*onsets[1:], 4.0), strict=True):
        degree += int(rng.choice((-2, -1, -1, 0, 1, 1, 2)))
        if beat % 2 == 0:
            # Strong beats land on the nearest tone of the chord.
            tones = [chord + 7 * octave + step for octave in (0, 1, 2) for step in (0, 2, 4)]
            degree = tones[int(np.argmin(np.abs(np.subtract(tones, degree))))]
        degree = int(np.clip(degree, 3, 17))
        if rng.random() < 0.9:
            pitch = _pitch(piece, section.key, degree) + section.register
            notes.append((float(beat), 0.9 * (following - beat), pitch))
    return notes, degree


def _chords(piece: Piece, section: _Section, chord: int) -> list[tuple[float, float, int]]:
    """One bar of accompaniment as (beat, beats, pitch)."""
    tones = [_pitch(piece, section.key, chord + step) for step in (0, 2, 4)]
    if section.texture == "pad":
        return [(0.0, 3.9, tone) for tone in tones]
    if section.texture == "block":
        return [(float(beat), 0.8, tone) for beat in range(4) for tone in tones]
    if section.texture == "offbeat":
        return [(beat + 0.5, 0.3, tone) for beat in range(4) for tone in tones]
    if section.texture == "tremolo":
        return [(beat / 4, 0.22, tones[beat % 2] + 12) for beat in range(16)]
    order = (*tones, tones[0] + 12, *tones[::-1], tones[1])
    return [(beat / 2, 0.6, tone) for beat, tone in enumerate(order)]


def _drums(section: _Section, rng: np.random.Generator) -> list[tuple[float, str, float]]:
    """One bar of drums as (beat, drum, loudness)."""
    strokes = [(0.0, "kick", 1.0), (2.0, "kick", 0.8), (1.0, "snare", 0.7), (3.0, "snare", 0.8)]
    step = 0.5 if section.rhythm >= 3 else 1.0
    cymbal = "hihat" if section.rhythm >= 2 else "shaker"
    strokes += [(float(beat), cymbal, 0.35) for beat in np.arange(0, 4, step)]
    if rng.random() < 0.2:
        strokes += [(3.0 + k / 4, "snare", 0.4 + 0.15 * k) for k in range(4)]
    return strokes


def _play(piece: Piece, section: _Section, start: float) -> tuple[list[Note], float]:
    """Notes of a section that starts at `start` seconds, and the time it ends."""
    rng = np.random.default_rng(section.material)
    lead, harmony, bass, has_drums = section.ensemble
    notes: list[Note] = []
    degree = 7
    for bar in range(section.n_bars):
        part = bar / section.n_bars
        loud = section.loudness[0] + part * (section.loudness[1] - section.loudness[0])
        beat = 60.0 / (section.tempo[0] + part * (section.tempo[1] - section.tempo[0]))
        chord = section.chords[bar % len(section.chords)]
        line, degree = _melody(piece, section, chord, rng, degree)
        # Players are never exactly together.
        late = rng.normal(0, 0.006, 64)
        parts: list[tuple[str, list[tuple[float, float, int]], float, float]] = []
        if lead:
            parts.append((lead, line, 0.9, 0.2))
        if harmony:
            parts.append((harmony, _chords(piece, section, chord), 0.35, -0.4))
        if bass:
            root = _pitch(piece, section.key, chord) - 24
            steps = [(0.0, 1.8, root), (2.0, 1.8, root + 7 * (bar % 2))]
            parts.append((bass, steps, 0.7, 0.0))
        for name, events, gain, pan in parts:
            for delay, (position, length, pitch) in zip(late, events, strict=False):
                onset = max(0.0, start + position * beat + delay)
                notes.append(Note(onset, length * beat, pitch, gain * loud, name, pan))
        if has_drums:
            for position, drum, gain in _drums(section, rng):
                notes.append(Note(start + position * beat, 0.2, 0, 0.8 * gain * loud, drum, 0.1))
        start += 4 * beat
    return notes, start


def compose(piece: Piece, seed: int) -> list[Note]:
    """Write the notes of a piece.

    Parameters
    ----------
    piece : Piece
        Its character and length.
    seed : int
        Another seed gives another composition of the same character.

    Returns
    -------
    list of Note
        Times in seconds; the last notes may ring beyond the end.
    """
    rng = np.random.default_rng([seed, *piece.label.encode()])
    notes: list[Note] = []
    start = 0.1
    for section in _plan(piece, rng):
        played, start = _play(piece, section, start)
        notes += played
    return notes


def synthesize(piece: Piece, seed: int) -> NDArray[np.float32]:
    """Compose and render one piece, in mono at 16 kHz.

    Parameters
    ----------
    piece : Piece
        What to compose.
    seed : int
        Of composition and sound.

    Returns
    -------
    ndarray, shape (n_samples,)
        Peak at most 0.9.

    Raises
    ------
    BadDataError
        If the duration is not positive.
    """
    return _sound(_composed(piece, seed), piece, seed)


def _composed(piece: Piece, seed: int) -> list[Note]:
    if piece.duration <= 0:
        raise BadDataError(
            "Music needs a positive duration.",
            found=f"{piece.duration} s",
            wanted="seconds, above 0",
            remedy="give a longer piece",
        )
    return compose(piece, seed)


def _sound(notes: Sequence[Note], piece: Piece, seed: int) -> NDArray[np.float32]:
    sound = render(notes, piece.duration, SAMPLE_RATE, seed=seed)
    return np.asarray(sound.mean(axis=1), np.float32)


def notes_text(notes: Sequence[Note], duration: float) -> str:
    """A table of the notes that sound before the end, for ``--features notes``; no drums.

    Velocities are 1 to 127.
    """
    heard = sorted(
        (note.onset, min(note.duration, duration - note.onset), round(note.pitch), note.velocity)
        for note in notes
        if note.instrument not in DRUMS and note.onset < duration
    )
    rows = [
        f"{onset:.4f}\t{length:.4f}\t{pitch}\t{np.clip(round(127 * velocity), 1, 127)}\n"
        for onset, length, pitch, velocity in heard
    ]
    return "".join(["onset\tduration\tpitch\tvelocity\n", *rows])


def write_music(folder: Path, pieces: Sequence[Piece], *, seed: int) -> list[Path]:
    """Write one 16-bit WAV file per piece, named after its label, and a table of its notes.

    Returns
    -------
    list of Path
        The WAV files; beside them lie ``LABEL_notes.tsv``.

    Raises
    ------
    BadDataError
        If a duration is not positive.
    """
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for piece in pieces:
        path = folder / f"{piece.label}.wav"
        notes = _composed(piece, seed)
        soundfile.write(path, _sound(notes, piece, seed), SAMPLE_RATE, subtype="PCM_16")
        table = notes_text(notes, piece.duration)
        path.with_name(f"{piece.label}_notes.tsv").write_text(table, encoding="utf-8")
        paths.append(path)
    return paths
