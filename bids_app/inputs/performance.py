"""How a piece was played: beats in a table, and a score matched to a performance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, MissingInputError
from bids_app.inputs.files import is_named, need_content, on_disk
from bids_app.inputs.notes import Notes
from bids_app.inputs.tables import numbers_of, pick, read_frame
from bids_app.loading import load_match

BEATS_SUFFIX, MATCH_SUFFIX = "_beats.tsv", ".match"
"""What the name of the audio file gets instead of its own ending."""

_BROKEN = (
    *(OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(AssertionError, RuntimeError, ArithmeticError, NotImplementedError),
)


@dataclass(frozen=True, eq=False)
class Match:
    """A performance whose notes are known in the score.

    Attributes
    ----------
    beats : (n_beats,) float64
        Seconds at which the beats of the score were played, between notes by a line.
    notes : Notes
        As they were played, with the pedal.
    """

    beats: npt.NDArray[np.float64]
    notes: Notes


def beats_there(audio: Path, folder: Path | None = None) -> Path | None:
    """Table of the beats of a piece, beside the audio or in the folder of notes."""
    return _there(audio, folder, BEATS_SUFFIX)


def match_there(audio: Path, folder: Path | None = None) -> Path | None:
    """Match file of a piece, beside the audio or in the folder of notes."""
    return _there(audio, folder, MATCH_SUFFIX)


def _there(audio: Path, folder: Path | None, suffix: str) -> Path | None:
    folders = [Path(audio).parent, *([] if folder is None else [Path(folder)])]
    found = [on_disk(where / f"{Path(audio).stem}{suffix}") for where in folders]
    return next((path for path in found if is_named(path)), None)


def read_beats(path: Path) -> npt.NDArray[np.float64]:
    """Times of beats from a table with a column ``time``, seconds from the start of the audio.

    Raises
    ------
    MissingInputError
        The content is not there.
    InvalidInputError, BadDataError
        It cannot be read, or holds no beats that can be.
    """
    frame = read_frame(path)
    column = pick(frame.columns, ["time"])
    if column is None:
        raise BadDataError(
            "A table of beats lacks a column.",
            where=path,
            found=", ".join(map(str, frame.columns)),
            wanted="time",
            remedy="name the column with the seconds of the beats time",
        )
    times = numbers_of(frame, column, path)
    _check_beats(times, path)
    return times


def _check_beats(times: npt.NDArray[np.float64], path: Path) -> None:
    problem = "" if len(times) > 1 else f"{len(times)} beats"
    wrong = ~np.isfinite(times)
    wrong[1:] |= ~(np.diff(times) > 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        problem = f"beat {row + 1} at {times[row]:g} s"
    if problem:
        raise BadDataError(
            "Beats cannot be used.",
            where=path,
            found=problem,
            wanted="two or more times in seconds that increase",
            remedy="sort them, and remove what is there twice",
        )


def read_match(path: Path) -> Match:
    """Beats and notes of a match file, which `partitura` reads.

    Notes of the score that begin together were played at the mean of their onsets.

    Raises
    ------
    MissingInputError
        `partitura` is not installed, or the content is not there.
    BadDataError
        It cannot be read, or matches too little.
    """
    need_content(path, "A match file cannot be read.")
    try:
        performance, alignment, score = load_match(path)
        part = performance.performedparts[0]
        beats = _played_beats(part, alignment, score)
        notes = _notes_of(part, path)
    except ImportError as error:
        raise MissingInputError(
            "Match files are read by a package that is not installed.",
            where=path,
            found=f"{type(error).__name__}: {error}",
            wanted="partitura",
            remedy="pip install 'musenc-bidsapp[performance]', or give the beats in a table "
            f"{path.stem}{BEATS_SUFFIX}",
        ) from error
    except _BROKEN as error:
        raise BadDataError(
            "A match file cannot be read.",
            where=path,
            found=f"{type(error).__name__}: {error}",
            wanted="a performance matched to its score",
            remedy=f"export the file again, or give the beats in a table {path.stem}{BEATS_SUFFIX}",
        ) from error
    _check_beats(beats, path)
    return Match(beats, notes)


def _played_beats(part: Any, alignment: list[dict[str, Any]], score: Any) -> Any:
    """When the whole beats of the score were played, from the first matched note to the last."""
    written = {str(note["id"]): float(note["onset_beat"]) for note in score.note_array()}
    played = {str(note["id"]): float(note["note_on"]) for note in part.notes}
    pairs = [
        (written[one["score_id"]], played[one["performance_id"]])
        for one in alignment
        if one["label"] == "match" and one["score_id"] in written
    ]
    if len({beat for beat, _ in pairs}) < 2:
        raise ValueError(f"{len(pairs)} matched notes")
    places, which = np.unique([beat for beat, _ in pairs], return_inverse=True)
    onsets = np.bincount(which, [seconds for _, seconds in pairs]) / np.bincount(which)
    beats = np.arange(np.ceil(places[0]), np.floor(places[-1]) + 1)
    # A note played before one that is written before it would make time run back.
    return np.interp(beats, places, np.maximum.accumulate(onsets))


def _notes_of(part: Any, path: Path) -> Notes:
    rows = np.array(
        [[n["note_on"], n["note_off"], n["midi_pitch"], n["velocity"]] for n in part.notes],
        dtype=np.float64,
    )
    rows = rows[np.lexsort((rows[:, 2], rows[:, 0]))]
    onset, end, pitch, velocity = rows.T.copy()
    pedal = [[c["time"], c["value"] / 127] for c in part.controls if c["number"] == 64]
    changes = np.array(pedal, dtype=np.float64).reshape(-1, 2)
    return Notes(onset, end - onset, pitch.astype(np.int64), velocity, path, (), changes)
