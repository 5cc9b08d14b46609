"""Continuous ratings of the music, from tables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError, MusencError
from bids_app.inputs.labels import meant_by
from bids_app.inputs.names import strip_prefix
from bids_app.inputs.rating_records import (
    Rating,
    RatingSet,
    crop_ratings,
    make_ratings,
    without_other_columns,
)
from bids_app.inputs.stimulus_names import stimulus_label
from bids_app.inputs.tables import numbers_of, pick, read_frame
from bids_app.plain import some_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Rating",
    "RatingSet",
    "crop_ratings",
    "make_ratings",
    "match_stimulus",
    "ratings_of_frame",
    "read_ratings_table",
]

TIME_COLUMNS = ("time", "sec", "second", "seconds", "t")
PARTICIPANT_COLUMNS = (
    "participant_id", "participant", "subject", "subject_id", "sub", "subj", "pid", "listener",
    "participantid", "subjectid", "vp", "vpn", "proband", "person", "rater",
)  # fmt: skip
# Such a column of a list may count its rows, too.
_PERHAPS_PARTICIPANTS = ("id", "code", "initials", "user")
STIMULUS_COLUMNS = ("stimulus", "stim_file", "stim_id", "stim")
FILE_COLUMNS = ("ratings_file", "rating_file")
_OTHER_COLUMNS = (
    "task", "session", "run", "onset", "duration", "sample", "trial_type"
)  # fmt: skip
_NO_SCALES = {
    "clock", "count", "counter", "date", "epoch", "frame", "id", "index", "marker", "ms", "msec",
    "millis", "milliseconds", "row", "sample", "samples", "time", "timestamp", "timestamps",
    "trial", "trigger", "triggers", "ttl", "unixtime", "audio", "envelope", "env",
    "trig", "pulse", "pulses", "tr", "vol", "volumes", "scan", "scans", "scanner", "block",
    "button", "cardiac", "respiratory", "respiration", "pupil", "ecg", "ekg", "eda", "emg", "gsr",
    "ppg", "scr",
}  # fmt: skip
_RESERVED = {*PARTICIPANT_COLUMNS, *TIME_COLUMNS, *STIMULUS_COLUMNS, *FILE_COLUMNS, *_OTHER_COLUMNS}
_COLUMNS_WANTED = (
    "columns stimulus (or stim_file), time (seconds into the music) and one per scale, optionally "
    "participant_id; or columns stimulus and ratings_file, one file per line"
)


def read_ratings_table(
    path: Path, durations: Mapping[str, float], *, scales: Sequence[str] = ()
) -> RatingSet:
    """Ratings of a ``--ratings`` table.

    The table has one line per sample (columns stimulus, time, one per scale) or one line per file
    (columns stimulus, ratings_file); participant_id is optional, and without it the ratings are a
    group's mean. Files named ``*.csv`` are split at commas, others at tabs. Any sampling rate will
    do; times are seconds into the audio file.

    Parameters
    ----------
    path : Path
    durations : mapping from str to float
        Seconds of every stimulus of the study, by label. Lines about other music are left out, and
        said so.
    scales : sequence of str
        Scales to read; default: every column that is not one of the above.

    Returns
    -------
    RatingSet

    Raises
    ------
    MissingInputError
        If a file is not there.
    InvalidInputError
        If columns or scales are missing or a cell is no number; the columns there are named.
    BadDataError
        If nothing is about the music of the study, or overlaps it.
    """
    path = Path(path)
    frame = _read_frame(path)
    stimulus_column, file_column, who = _columns_of(path, frame)
    keys = [stimulus_column, *([] if who is None else [who])]
    if file_column is not None:
        keys.append(file_column)
    found: list[Rating] = []
    notes: list[str] = []
    unknown: set[str] = set()
    columns: set[str] = set()
    if file_column is not None:
        notes += _not_read(path, frame, keys)
    n_without = 0 if who is None else int(frame[who].isna().sum())
    if n_without:
        notes.append(
            f"{n_without} of {len(frame)} rows have nothing in the column {who}: rows without "
            "participant stand for everybody without ratings of their own"
        )
    for values, part in frame.groupby(keys, sort=False, dropna=False):
        named = dict(zip(keys, values, strict=True))
        label = match_stimulus(str(named[stimulus_column]), durations)
        if label is None:
            unknown.add(str(named[stimulus_column]))
            continue
        source, samples = path, part
        if file_column is not None:
            # Not resolved: the target of a git-annex link has another name.
            source = path.absolute().parent / str(named[file_column])
            samples = _read_frame(source)
        columns.update(possible_scales(samples))
        participant = None if who is None else _participant(named[who])
        by_participant = [(participant, samples)]
        if file_column is not None:
            by_participant = _by_participant(samples, participant, source)
        for person, own in by_participant:
            found += ratings_of_frame(
                own,
                scales=scales,
                participant=person,
                stimulus=label,
                duration=durations[label],
                source=source,
                notes=notes,
            )
    ratings, more = without_other_columns(found, scales)
    notes += more
    if not ratings:
        raise _nothing_rated(path, columns, unknown, notes, scales, durations)
    if unknown:
        notes.insert(0, f"ratings of other music left out: {', '.join(sorted(unknown))}")
    return RatingSet(ratings, tuple(dict.fromkeys(notes)))


def _columns_of(path: Path, frame: pd.DataFrame) -> tuple[str, str | None, str | None]:
    """Columns of the stimulus, of files of ratings, and of the participant."""
    stimulus, file = pick(frame.columns, STIMULUS_COLUMNS), pick(frame.columns, FILE_COLUMNS)
    if stimulus is None or (file is None and pick(frame.columns, TIME_COLUMNS) is None):
        raise InvalidInputError(
            "The table of ratings lacks a column.",
            where=path,
            found=", ".join(map(str, frame.columns)) or "an empty file",
            wanted=_COLUMNS_WANTED,
            remedy="add or rename columns",
        )
    if people := [str(name) for name in frame.columns if str(name).lower().startswith("sub-")]:
        raise InvalidInputError(
            "The table of ratings has a column for each participant.",
            where=path,
            found=some_of(people),
            wanted=_COLUMNS_WANTED,
            remedy="write a row per participant and sample, with the participant in a column "
            "participant_id and the rating in a column called as the scale",
        )
    return stimulus, file, pick(frame.columns, PARTICIPANT_COLUMNS)


def _not_read(path: Path, frame: pd.DataFrame, read: Sequence[str]) -> list[str]:
    """A note about columns of a list of files that say nothing here.

    Raises
    ------
    InvalidInputError
        Where one of them may name participants, and no other column does.
    """
    left = [str(name) for name in frame.columns if name not in read and frame[name].notna().any()]
    if not left:
        return []
    perhaps = pick(left, _PERHAPS_PARTICIPANTS)
    if perhaps is not None and pick(read, PARTICIPANT_COLUMNS) is None:
        raise InvalidInputError(
            "A column of the table of ratings may name participants, or not.",
            where=f"{path}, column {perhaps}",
            found=some_of(frame[perhaps].dropna().unique()),
            wanted="participants in a column participant_id, without which ratings are everybody's",
            remedy="call the column participant_id if it names participants, or take it out",
        )
    return [f"columns of the table that are not read: {', '.join(map(repr, left))}"]


def _by_participant(
    samples: pd.DataFrame, listed: str | None, source: Path
) -> list[tuple[str | None, pd.DataFrame]]:
    """Samples of each participant whom a file of a list names; all are of the one that is `listed`.

    Raises
    ------
    InvalidInputError
        If the file names somebody else.
    """
    who = pick(samples.columns, PARTICIPANT_COLUMNS)
    if who is None:
        return [(listed, samples)]
    parts = [
        (_participant(name), part) for name, part in samples.groupby(who, sort=False, dropna=False)
    ]
    inside = [person for person, _ in parts if person is not None]
    if listed is None or not inside:
        return parts if listed is None else [(listed, samples)]
    if any(meant_by(person, [listed]) is None for person in inside):
        raise InvalidInputError(
            "A file of ratings names another participant than the table does.",
            where=f"{source}, column {who}",
            found=", ".join(dict.fromkeys(inside)),
            wanted=f"{listed}, as the table says",
            remedy="correct the table or the file",
        )
    return [(listed, samples)]


def _nothing_rated(
    path: Path,
    columns: AbstractSet[str],
    unknown: AbstractSet[str],
    notes: Sequence[str],
    scales: Sequence[str],
    stimuli: Iterable[str],
) -> MusencError:
    """Why a table gives no rating of the study's music."""
    if scales and not columns & set(scales):
        return InvalidInputError(
            "The ratings have no column of the scales asked for.",
            where=path,
            found=", ".join(sorted(columns)) or "no lines about the music of the study",
            wanted=", ".join(scales),
            remedy="name columns of the ratings",
        )
    if columns and notes:
        return BadDataError(
            "No rating of this study's music can be used.",
            where=path,
            found="; ".join(dict.fromkeys(notes)),
            wanted="scales with numbers from the first to the last second of the music",
            remedy="correct the table, or leave ratings out with --emotion off",
        )
    return BadDataError(
        "No rating is about the music of this study.",
        where=path,
        found=", ".join(sorted(unknown)) or "no numbers in " + ", ".join(sorted(columns)),
        wanted="stimuli " + ", ".join(stimuli),
        remedy="name the stimuli as their audio files",
    )


def ratings_of_frame(
    frame: pd.DataFrame,
    *,
    scales: Sequence[str],
    participant: str | None,
    stimulus: str,
    duration: float | None,
    source: Path,
    times: np.ndarray | None = None,
    start: float = 0.0,
    continues: bool = False,
    notes: list[str] | None = None,
) -> list[Rating]:
    """Records of one recording's table.

    Parameters
    ----------
    frame : DataFrame
        Lines of one participant and stimulus.
    scales : sequence of str
        Columns; default: all that can be one.
    participant, stimulus, duration, source
        As in `make_ratings`.
    times : ndarray of shape (n_samples,), optional
        Seconds into the audio file; default: the time column.
    start, continues
        As in `make_ratings`.
    notes : list of str, optional
        Gets what is left out.

    Returns
    -------
    list of Rating
        None of a scale that has no column here.

    Raises
    ------
    InvalidInputError
        If there is no time or no scale, or a cell is no number.
    """
    if times is None:
        column = pick(frame.columns, TIME_COLUMNS)
        if column is None:
            raise InvalidInputError(
                "A table of ratings has no times.",
                where=source,
                found=", ".join(map(str, frame.columns)),
                wanted="a column " + " or ".join(TIME_COLUMNS),
                remedy="add seconds into the music",
            )
        times = numbers_of(frame, column, source)
    there = possible_scales(frame)
    if scales:
        named = [str(name) for name in frame.columns if str(name).lower() not in _RESERVED]
        columns = [name for name in scales if name in named]
    else:
        columns = _without_text(frame, there, notes)
        left = [str(name) for name in frame.columns if _speaks_of_no_scale(str(name))]
        if left and notes is not None:
            notes.append(f"by their names no scales, left out: {', '.join(map(repr, left))}")
    if not columns and not scales:
        raise InvalidInputError(
            "A table of ratings has no scale.",
            where=source,
            found=", ".join(map(str, frame.columns)),
            wanted="one column per scale",
            remedy="add a column with the values of each scale, headed by its name",
        )
    if not columns:
        return []
    values = np.stack([numbers_of(frame, name, source) for name in columns], axis=1)
    return make_ratings(
        times,
        values,
        columns,
        participant=participant,
        stimulus=stimulus,
        duration=duration,
        source=str(source),
        start=start,
        continues=continues,
        notes=notes,
    )


def match_stimulus(name: str, labels: Iterable[str]) -> str | None:
    """The label that a name in a table stands for, whatever its case; None where there is none."""
    known = {label.lower(): label for label in reversed(list(labels))}
    own = stimulus_label(Path(name))
    # Where the folder is part of the label, the table may name it.
    with_folder = stimulus_label(Path(f"{Path(name).parent.name} {Path(name).name}"))
    for one in (own, with_folder, name):
        if one.lower() in known:
            return known[one.lower()]
    return None


def possible_scales(frame: pd.DataFrame) -> list[str]:
    """Columns that by their names can be scales."""
    return [
        str(name)
        for name in frame.columns
        if str(name).lower() not in _RESERVED and not _speaks_of_no_scale(str(name))
    ]


def _speaks_of_no_scale(name: str) -> bool:
    """Whether a column is called like a clock, a counter or a trigger, or not at all."""
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word]
    return (
        not words
        or name.startswith("Unnamed:")
        or (name.lower() not in _RESERVED and bool(_NO_SCALES & set(words)))
    )


def _without_text(frame: pd.DataFrame, there: list[str], notes: list[str] | None) -> list[str]:
    """Columns with numbers, unless there is none: then an error names what stands there."""
    import pandas as pd

    numeric = [n for n in there if pd.to_numeric(frame[n], errors="coerce").notna().any()]
    text = [n for n in there if n not in numeric and frame[n].notna().any()]
    if not numeric or len(frame) < 3:
        return there
    if text and notes is not None:
        notes.append(f"without a number, left out: {', '.join(text)}")
    return [name for name in there if name not in text]


def _participant(cell: Any) -> str | None:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    text = str(cell).strip()
    return strip_prefix(text, "sub") if text.lower() not in ("", "n/a", "mean", "group") else None


def _read_frame(path: Path) -> pd.DataFrame:
    return read_frame(
        path,
        sep="," if path.name.endswith((".csv", ".csv.gz")) else "\t",
        labels=(*PARTICIPANT_COLUMNS, *STIMULUS_COLUMNS, *FILE_COLUMNS, *_PERHAPS_PARTICIPANTS),
        dtype=str,  # labels such as 01 must stay text
        what="A file of ratings cannot be read.",
        remedy="check the path given with --ratings and the files named there",
    )
