"""Notes of a piece of music: from MIDI, MusicXML or a table, beside the audio or in a folder."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, MissingInputError, MusencError
from bids_app.inputs.files import is_named, need_content, on_disk
from bids_app.inputs.musicxml import score_notes
from bids_app.inputs.tables import numbers_of, pick, read_frame
from bids_app.loading import load_midi, load_score
from bids_app.lookalikes import skeleton
from bids_app.plain import some_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NOTE_SUFFIXES = ("_notes.tsv", ".mid", ".midi", ".musicxml", ".mxl")
"""What the name of the audio file gets instead of its own ending, in the order of preference."""
COLUMNS = ("onset", "duration", "pitch", "velocity")

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError)
_BROKEN = (*_UNREADABLE, zipfile.BadZipFile, zlib.error, ExpatError, RuntimeError, ArithmeticError)
_SCORES = (".musicxml", ".mxl")
_LOUDNESS = 64.0
_DRUMS = 9
_SUSTAIN = 64
_ALMOST = re.compile(r"[\W_]*(notes?[\W_].*|[\W_\d]*\.(midi?|musicxml|mxl|xml)([\W_].*)?)")
"""What may follow the name of a recording in files that nearly are called as its notes."""
_REMEDY = "export the file again, or give a table with onset, duration, pitch and velocity"


@dataclass(frozen=True, eq=False)
class Notes:
    """Notes of one piece, by onset and then pitch.

    Attributes
    ----------
    onset, duration : (n_notes,) float64
        Seconds from the start of the audio.
    pitch : (n_notes,) int
        MIDI numbers: 60 is middle C.
    velocity : (n_notes,) float64
        From 1 to 127.
    path : Path
    remarks : tuple of str
        What of the file was left out.
    pedal : (n_changes, 2) float64
        Seconds, and the value of the sustaining pedal from there on, 0 to 1; of MIDI only.
    """

    onset: npt.NDArray[np.float64]
    duration: npt.NDArray[np.float64]
    pitch: npt.NDArray[np.int64]
    velocity: npt.NDArray[np.float64]
    path: Path
    remarks: tuple[str, ...] = ()
    pedal: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))

    @property
    def performed(self) -> bool:
        """Whether notes have the times at which they were played, not those of a score."""
        return not is_score(self.path)

    @property
    def end(self) -> float:
        """When the last note ends, in seconds."""
        return float((self.onset + self.duration).max())


def is_score(path: Path) -> bool:
    """Whether a file of notes has the times of a score, not those at which they were played."""
    return path.suffix in _SCORES


def find_notes(audio: Path, folder: Path | None = None) -> Path:
    """File with the notes of a piece.

    Parameters
    ----------
    audio : Path
        The recording.
    folder : Path, optional
        Where the notes lie; default: beside the recording.

    Raises
    ------
    MissingInputError
        There is none; names the piece and what was looked for.
    """
    found = notes_there(audio, folder)
    if not found:
        where = audio.parent if folder is None else folder
        raise MissingInputError(
            "There are no notes of a piece of music.",
            where=where,
            found=f"nothing for {audio.name}{_nearly(where, audio.stem)}",
            wanted=" or ".join(audio.stem + suffix for suffix in NOTE_SUFFIXES),
            remedy="name the files of notes after the recordings, or say with --notes-dir where "
            "they lie",
        )
    return found[0]


def _nearly(folder: Path, stem: str) -> str:
    """The end of a sentence: files that are called nearly as the notes of a piece."""
    try:
        names = sorted(file.name for file in folder.iterdir())
    except OSError:
        return ""
    start = skeleton(stem).casefold()
    seen = {name: skeleton(name).casefold() for name in names}
    near = [
        name
        for name, text in seen.items()
        if text.startswith(start) and _ALMOST.fullmatch(text.removeprefix(start))
    ]
    return f"; not read: {some_of(near, 3)}" if near else ""


def notes_there(audio: Path, folder: Path | None = None) -> list[Path]:
    """All files with notes of a piece, the one that counts first."""
    where = Path(audio).parent if folder is None else Path(folder)
    names = [on_disk(where / (Path(audio).stem + suffix)) for suffix in NOTE_SUFFIXES]
    return [path for path in names if is_named(path)]


def notes_in(folder: Path) -> list[Path]:
    """All files of notes below a folder, sorted.

    Raises
    ------
    MissingInputError
        There is none.
    """
    found = [
        path
        for path in sorted(Path(folder).rglob("*"))
        if is_named(path) and path.name.endswith(NOTE_SUFFIXES)
    ]
    if not found:
        raise MissingInputError(
            "A folder holds no music as notes.",
            where=folder,
            found="no such file",
            wanted=", ".join(f"*{suffix}" for suffix in NOTE_SUFFIXES),
            remedy="correct the folder, or export the notes to one of these forms",
        )
    return found


def read_notes(path: Path) -> Notes:
    """Notes of a file.

    A table has columns ``onset``, ``duration`` (seconds), ``pitch`` (MIDI number) and, if known,
    ``velocity``. Of a MIDI file the tempo is followed and channel 10 (drums) left out. Of a score
    see `bids_app.inputs.musicxml`.

    Raises
    ------
    MissingInputError
        The content is not there.
    InvalidInputError, BadDataError
        It cannot be read, or holds no notes that can be, or each of a table more than once.
    """
    path = Path(path)
    if path.name.endswith(NOTE_SUFFIXES[0]):
        rows, remarks = _table(path)
        return _checked(rows, path, (*remarks, *_twice(rows, path)))
    need_content(path, "Notes cannot be read.")
    pedal = np.empty((0, 2))
    try:
        if path.suffix in (".mid", ".midi"):
            file = load_midi(path)
            rows, remarks = _midi(file)
            pedal = _pedal(file)
        else:
            return notes_of_score(load_score(path.read_bytes()), path)
    except MusencError:
        raise
    except _BROKEN as error:
        raise BadDataError(
            "Notes cannot be read.",
            where=path,
            found=f"{type(error).__name__}: {error}",
            wanted="a MIDI file or a MusicXML score in parts",
            remedy=_REMEDY,
        ) from error
    return replace(_checked(rows, path, tuple(remarks)), pedal=pedal)


def notes_of_score(root: Element, path: Path) -> Notes:
    """Notes of a score that `bids_app.loading.load_score` read.

    Raises
    ------
    ValueError
        It is no score in parts, or a number in it is none.
    BadDataError
        It holds no notes that can be used.
    """
    score = score_notes(root)
    return _checked(score.seconds(), path, tuple(score.remarks))


def _table(path: Path) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Rows of a table, and the columns that are not read."""
    frame = read_frame(path)
    columns = [pick(frame.columns, [name]) for name in COLUMNS]
    if lacking := [n for n, c in zip(COLUMNS[:3], columns, strict=False) if c is None]:
        raise BadDataError(
            "A table of notes lacks columns.",
            where=path,
            found=", ".join(map(str, frame.columns)),
            wanted=", ".join(lacking),
            remedy="name the columns onset, duration, pitch and velocity",
        )
    values = [
        np.full(len(frame), _LOUDNESS) if column is None else numbers_of(frame, column, path)
        for column in columns
    ]
    unread = [str(name) for name in frame.columns if str(name) not in columns]
    remarks = [f"columns that are not read: {', '.join(unread)}"] if unread else []
    if unread and columns[-1] is None:
        remarks[0] += f"; there is no column velocity, so that every note has {_LOUDNESS:g}"
    return np.column_stack(values), remarks


def _twice(rows: npt.NDArray[np.float64], path: Path) -> list[str]:
    """Say that notes of a table repeat others.

    Raises
    ------
    BadDataError
        Every note does.
    """
    single, counts = np.unique(rows, axis=0, return_counts=True)
    n_more = len(rows) - len(single)
    if n_more and counts.min() > 1:
        raise BadDataError(
            "Every note of a table is there more than once.",
            where=path,
            found=f"{len(rows)} rows, {len(single)} of them different",
            wanted="a row for every note",
            remedy="take the repeated rows out",
        )
    return [f"{n_more} rows repeat another note"] if n_more else []


def _midi(file: Any) -> tuple[npt.NDArray[np.float64], list[str]]:
    rows: list[list[float]] = []
    open_notes: dict[tuple[int, int], list[int]] = defaultdict(list)
    now, n_drums = 0.0, 0
    for message in file:
        now += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        key = (message.channel, message.note)
        if message.channel == _DRUMS:
            n_drums += message.type == "note_on" and message.velocity > 0
        elif message.type == "note_on" and message.velocity > 0:
            open_notes[key].append(len(rows))
            rows.append([now, 0.0, float(message.note), float(message.velocity)])
        elif open_notes[key]:
            row = rows[open_notes[key].pop(0)]
            row[1] = now - row[0]
    for place in (place for places in open_notes.values() for place in places):
        rows[place][1] = now - rows[place][0]
    remarks = [f"{n_drums} notes of drums (channel 10) are left out"] if n_drums else []
    return np.array(rows, dtype=np.float64).reshape(-1, 4), remarks


def _pedal(file: Any) -> npt.NDArray[np.float64]:
    """Times and values of the sustaining pedal, that of the channel where it is lowest."""
    now, down, changes = 0.0, {}, []
    for message in file:
        now += message.time
        if message.type == "control_change" and message.control == _SUSTAIN:
            down[message.channel] = message.value / 127
            changes.append([now, max(down.values())])
    return np.array(changes, dtype=np.float64).reshape(-1, 2)


def _checked(rows: npt.NDArray[np.float64], path: Path, remarks: tuple[str, ...]) -> Notes:
    problem = "" if len(rows) else "no note"
    for number, problems in enumerate(_problems(rows)):
        if problems.any():
            first = rows[np.flatnonzero(problems)[0]].tolist()
            text = ", ".join(f"{n} {v:g}" for n, v in zip(COLUMNS, first, strict=True))
            problem = f"{COLUMNS[number]}: {text}"
            break
    if problem:
        raise BadDataError(
            "Notes cannot be used.",
            where=path,
            found=problem,
            wanted="notes with an onset and a duration of at least 0 s, a whole pitch from 0 to "
            "127 and a velocity from 1 to 127",
            remedy=_REMEDY,
        )
    rows = rows[np.lexsort((rows[:, 2], rows[:, 0]))]
    onset, duration, pitch, velocity = rows.T.copy()
    return Notes(onset, duration, pitch.astype(np.int64), velocity, path, remarks)


def _problems(rows: npt.NDArray[np.float64]) -> Iterator[npt.NDArray[np.bool_]]:
    onset, duration, pitch, velocity = rows.T
    yield ~(np.isfinite(onset) & (onset >= 0))
    yield ~(np.isfinite(duration) & (duration >= 0))
    yield ~((pitch >= 0) & (pitch <= 127) & (pitch == np.round(pitch)))
    yield ~((velocity >= 1) & (velocity <= 127))
