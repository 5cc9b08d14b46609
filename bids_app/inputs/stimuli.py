"""Which music was heard when: events.tsv or the user's table."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bids_app.errors import InvalidInputError, MissingInputError, MusencError, NoStimulusError
from bids_app.inputs.files import inside, on_disk
from bids_app.inputs.locate import path_of_uri
from bids_app.inputs.names import same_label, strip_prefix
from bids_app.inputs.tables import is_absent, number_of, read_tsv

HOW_TO_GIVE_STIMULI = (
    "add a column stim_file (relative to stimuli/) to the events.tsv files, or give "
    "--stimuli TABLE.tsv with the columns task, stim_file, onset (seconds after the first volume)"
)
HOW_TO_GIVE_ONSETS = (
    "fill the column onset: seconds from the acquisition of the run's first volume to the start of "
    "the music; it is never guessed (`musenc onset` shows what the data say)"
)
AUDIO_SUFFIXES = ("audio", "audiovideo")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".aif", ".aiff", ".au", ".m4a", ".w64", ".opus")
"""How names of audio files end."""
_URI = "bids:"


@dataclass(frozen=True)
class StimulusRow:
    """One line of a table, not yet matched with a run.

    Attributes
    ----------
    path : Path
        The audio file.
    onset : float
        Seconds after the first volume's acquisition.
    offset : float
        Second of the audio file at which playing starts.
    duration : float or None
        Seconds played; None for all that is left of the file.
    keys : mapping
        ``sub``, ``ses``, ``task`` and ``run`` labels that the line is restricted to.
    where : str
        File and line, for messages.
    stated : bool
        Whether the table says at which second of the file playing starts.
    fault : MusencError or None
        What is wrong with a line for some runs alone, which ends these.
    """

    path: Path
    onset: float
    offset: float
    duration: float | None
    keys: Mapping[str, str]
    where: str
    stated: bool = False
    fault: MusencError | None = None


def _number(row: Mapping[str, str], column: str, where: str, default: float | None) -> float | None:
    cell = row.get(column)
    if cell is None or is_absent(cell):
        return default
    value = number_of(cell)
    if not math.isfinite(value) or (column in ("duration", "offset") and value < 0):
        raise InvalidInputError(
            "A time of a stimulus is not a number of seconds.",
            where=f"{where}, {column}",
            found=repr(cell),
            wanted="seconds, such as 12.5" + (", not negative" if column != "onset" else ""),
            remedy="correct the table",
        )
    return value


def read_stimulus_table(
    path: Path, *, default_onset: float | None = None, raw_dir: Path | None = None
) -> list[StimulusRow]:
    """Rows of a ``--stimuli`` table; audio files are relative to the table.

    Parameters
    ----------
    path : Path
        Table with the columns task, stim_file, onset, and optionally participant_id, session, run,
        offset, duration.
    default_onset : float or None
        Seconds, where the table has none.
    raw_dir : Path or None
        The dataset that BIDS URIs are about.

    Returns
    -------
    list of StimulusRow

    Raises
    ------
    MissingInputError
        Where the table is not there.
    InvalidInputError
        Where a column or an onset is missing, a cell is no number, or a URI cannot be followed.
    """
    columns, rows = read_tsv(
        path, "The table of stimuli cannot be read.", "check the path given with --stimuli"
    )
    needed = ("task", "stim_file", *(["onset"] if default_onset is None else []))
    missing = [name for name in needed if name not in columns]
    if missing:
        what = "no onset" if missing == ["onset"] else "no column " + ", ".join(missing)
        raise InvalidInputError(
            "The table of stimuli lacks a column.",
            where=f"{path}: {what}",
            found=", ".join(columns) or "an empty file",
            wanted="tab-separated columns task, stim_file, onset "
            "(optional: participant_id, session, run, offset, duration)",
            remedy=HOW_TO_GIVE_ONSETS if missing == ["onset"] else "add the columns",
        )
    _check_names(columns, path)
    result = []
    for row in rows:
        where = f"{path}, line {row.line}"
        keys = {
            key: strip_prefix(row[column], key)
            for column, key in (
                ("participant_id", "sub"),
                ("session", "ses"),
                ("task", "task"),
                ("run", "run"),
            )
            if not is_absent(row.get(column), label=True)
        }
        # Of a task that has no music there may be a line without a file.
        if is_absent(row["stim_file"]) and set(keys) <= {"task"}:
            continue
        try:
            own = _table_row(row, keys, path, where, default_onset, raw_dir)
        except (InvalidInputError, MissingInputError) as error:
            if set(keys) <= {"task"}:
                raise
            own = StimulusRow(path, 0.0, 0.0, None, keys, where, fault=error)
        result.append(own)
    return result


def _table_row(
    row: Mapping[str, str],
    keys: Mapping[str, str],
    table: Path,
    where: str,
    default_onset: float | None,
    raw_dir: Path | None,
) -> StimulusRow:
    """One line of a ``--stimuli`` table."""
    if is_absent(row["stim_file"]):
        raise InvalidInputError(
            "A row of the table of stimuli names no file.",
            where=where,
            found=f"{row['stim_file']!r} in the column stim_file",
            wanted="the audio file that was played",
            remedy="name the file, take the row out, or leave the run out with --exclude-run",
        )
    _check_quotes(row["stim_file"], where)
    onset = _required_onset(row, where, default_onset)
    offset = _number(row, "offset", where, 0.0) or 0.0
    duration = _number(row, "duration", where, None)
    audio = _named_file(row["stim_file"], raw_dir, where, table=table)
    stated = not is_absent(row.get("offset"))
    return StimulusRow(audio, onset, offset, duration, keys, where, stated)


def unread_columns(path: Path) -> list[str]:
    """A note about the columns of a ``--stimuli`` table that are not read, if there are any."""
    read = {"task", "stim_file", "onset", *_OPTIONAL}
    others = [name for name in read_tsv(path)[0] if name not in read]
    return [f"{path.name}: not read: the columns {', '.join(others)}"] if others else []


_ENTITIES = (
    "acq",
    "acquisition",
    "ce",
    "dir",
    "direction",
    "rec",
    "reconstruction",
    "echo",
    "part",
)
_OPTIONAL = ("participant_id", "session", "run", "offset", "duration")
_PEOPLE = (
    "participant",
    "participants",
    "subject",
    "subj",
    "sub",
    "person",
    "proband",
    "vp",
    "vpn",
)
_LONG = ("duration", "dur", "length", "dauer", "end", "stop")
_MEANT = {
    **{f"{name}{ending}": "participant_id" for name in _PEOPLE for ending in ("", "id", "label")},
    **dict.fromkeys(("id", "pid", "code"), "participant_id"),
    **dict.fromkeys(("session", "ses", "sessionid", "sesid"), "session"),
    **dict.fromkeys(("run", "runid", "runnumber"), "run"),
    "offset": "offset",
    **{f"{name}{unit}": "duration" for name in _LONG for unit in ("", "s", "sec", "seconds", "ms")},
}
"""Columns by what their names mean, spelled in letters alone."""


def _meaning(name: str) -> str | None:
    return _MEANT.get("".join(letter for letter in name.lower() if letter.isalpha()))


def _check_names(columns: Sequence[str], path: Path) -> None:
    """Refuse columns that restrict rows under another name: the rows would hold for everybody.

    Raises
    ------
    InvalidInputError
    """
    meant = {name: _meaning(name) for name in columns}
    wrong = {name: means for name, means in meant.items() if means and means != name}
    # Such rows would hold for every acquisition.
    wrong |= dict.fromkeys((n for n in columns if n.lower() in _ENTITIES), "--exclude-run instead")
    if wrong:
        raise InvalidInputError(
            "A column of the table of stimuli has another name than is read.",
            where=path,
            found=", ".join(wrong),
            wanted=", ".join(wrong.values()),
            remedy="rename the column, or take it out",
        )


def _required_onset(row: Mapping[str, str], where: str, default: float | None = None) -> float:
    onset = _number(row, "onset", where, default)
    if onset is None:
        raise InvalidInputError(
            "A stimulus has no onset.",
            where=where,
            found=f"{row['onset']!r} in the column onset"
            if "onset" in row
            else f"no column onset; columns: {', '.join(row)}",
            wanted="seconds after the acquisition of the first volume",
            remedy=HOW_TO_GIVE_ONSETS,
        )
    return onset


def rows_of_run(rows: Iterable[StimulusRow], entities: Mapping[str, str]) -> list[StimulusRow]:
    """Rows of a table that apply to a run.

    A row applies where each of its labels is the run's. Where some rows are more specific than
    others (they name the participant, the session or the run), only those count, so that an
    exception for one participant can stand beside the rule for all.

    Raises
    ------
    MusencError
        What is wrong with a row that applies.
    """
    matching = [
        row
        for row in rows
        if all(
            key in entities and same_label(key, value, entities[key])
            for key, value in row.keys.items()
        )
    ]

    def specificity(row: StimulusRow) -> tuple[bool, ...]:
        return tuple(key in row.keys for key in ("sub", "ses", "run"))

    best = max(map(specificity, matching), default=())
    chosen = [row for row in matching if specificity(row) == best]
    for row in chosen:
        if row.fault is not None:
            raise row.fault
    return chosen


def rows_of_events(path: Path, raw_dir: Path) -> list[StimulusRow]:
    """Stimuli named in an events.tsv by ``stim_file`` or ``stim_id``.

    Returns
    -------
    list of StimulusRow
        Empty where the table names no audio file.

    Raises
    ------
    InvalidInputError
        Where an onset is missing or a file lies outside the dataset.
    MissingInputError
        Where a ``stim_id`` has no file.
    """
    columns, rows = read_tsv(path)
    _check_columns(columns, rows, path)
    by_id = sorted((raw_dir / "stimuli").rglob("stim-*_*")) if "stim_id" in columns else []
    result = []
    for row in rows:
        where = f"{path}, line {row.line}"
        if not is_absent(row.get("stim_file")):
            _check_quotes(row["stim_file"], where)
            cell = row["stim_file"]
            audio = _named_file(cell, raw_dir, where)
            meant = _files_of_id(by_id, row.get("stim_id") or "")
            if meant and audio not in meant:
                _raise_several(where, [audio, *meant], "stim_file and stim_id name other files.")
        elif not is_absent(row.get("stim_id")):
            audio = _file_of_id(raw_dir, by_id, row["stim_id"], where)
        else:
            continue
        if not may_be_audio(audio):
            continue
        onset = _required_onset(row, where)
        duration = _number(row, "duration", where, None)
        # BIDS uses 0 for events without extent; a piece of music has one.
        result.append(StimulusRow(audio, onset, 0.0, duration or None, {}, where))
    return result


def _named_file(cell: str, raw_dir: Path | None, where: str, table: Path | None = None) -> Path:
    """The audio file of a cell: a BIDS URI, or relative to `table`, or in ``stimuli``."""
    if cell.startswith(_URI):
        return path_of_uri(cell, raw_dir, where=where)
    if table is not None:
        # Not resolved: the target of a git-annex link has another name.
        return on_disk(table.absolute().parent / cell)
    assert raw_dir is not None  # events lie in one
    return inside(raw_dir, "stimuli", cell.removeprefix("stimuli/"), where=where, found=cell)


def _check_columns(columns: Sequence[str], rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Refuse events that name audio files in a column of another name: nobody would hear them.

    Raises
    ------
    NoStimulusError
        No column of audio files.
    InvalidInputError
        A column of durations.
    """
    if {"stim_file", "stim_id"} & set(columns):
        longs = [name for name in columns if _meaning(name) == "duration"]
        if longs and "duration" not in columns and "onset" in columns:
            raise InvalidInputError(
                "Durations stand in a column that BIDS does not know.",
                where=path,
                found=", ".join(longs),
                wanted="duration, in seconds (n/a: to the end of the recording)",
                remedy="rename the column, or take it out",
            )
        return
    for column in columns:
        if any(Path(row[column]).suffix.lower() in SOUNDS for row in rows):
            raise NoStimulusError(
                "The events name audio files in a column that BIDS does not know.",
                where=path,
                found=f"column {column}; columns: {', '.join(columns)}",
                wanted="stim_file (names of columns are in lower case)",
                remedy="rename the column, or " + HOW_TO_GIVE_STIMULI,
            )


def _check_quotes(name: str, where: str) -> None:
    """Refuse a file name in quotes: they would be part of the name.

    Raises
    ------
    InvalidInputError
    """
    if len(name) > 1 and name[0] == name[-1] and name[0] in "'\"":
        raise InvalidInputError(
            "The name of an audio file stands in quotes.",
            where=where,
            found=name,
            wanted=name[1:-1],
            remedy="write the table without quotes",
        )


def may_be_audio(path: Path) -> bool:
    """Whether a stimulus is not a picture or a text by its name."""
    images = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".txt", ".svg", ".webp")
    return path.suffix.lower() not in images


def _file_of_id(raw_dir: Path, by_id: Sequence[Path], stim_id: str, where: str) -> Path:
    label = strip_prefix(stim_id, "stim")
    if not re.fullmatch(r"[A-Za-z0-9+]+", label):
        raise InvalidInputError(
            "A stim_id is no label.",
            where=where,
            found=repr(stim_id),
            wanted="letters and digits, as in stim-<label>_audio.wav",
            remedy="correct the table",
        )
    folder = raw_dir / "stimuli"
    found = _files_of_id(by_id, stim_id)
    if len(found) > 1:
        _raise_several(where, found, "A stim_id means several files.")
    if not found:
        raise MissingInputError(
            "There is no audio file for a stim_id.",
            where=f"{where}, {stim_id!r}",
            found=f"no stim-{label}_audio.* in {folder}",
            wanted=f"{folder / f'stim-{label}_audio.wav'}",
            remedy="add the file, or " + HOW_TO_GIVE_STIMULI,
        )
    name = found[0].relative_to(folder).as_posix()
    return inside(raw_dir, "stimuli", name, where=where, found=stim_id)


def _files_of_id(by_id: Sequence[Path], stim_id: str) -> list[Path]:
    names = [f"stim-{strip_prefix(stim_id, 'stim')}_{suffix}" for suffix in AUDIO_SUFFIXES]
    return [
        path
        for name in names
        for path in by_id
        if path.name.partition(".")[0] == name and path.suffix not in (".json", ".tsv", "")
    ]


def _raise_several(where: str, files: Sequence[Path], what: str) -> NoReturn:
    raise InvalidInputError(
        what,
        where=where,
        found=", ".join(path.name for path in files),
        wanted="one file",
        remedy="name the one that was played in stim_file, and correct or empty stim_id",
    )
