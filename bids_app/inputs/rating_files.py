"""Continuous ratings stored the BIDS way: ``_stim.tsv.gz`` and ``_beh.tsv`` with their JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError, MusencError, reason_of
from bids_app.inputs.files import is_number
from bids_app.inputs.names import NamedFile, entities_agree, parse_name, strip_prefix
from bids_app.inputs.rating_records import rated_once, without_other_columns
from bids_app.inputs.ratings import (
    STIMULUS_COLUMNS,
    TIME_COLUMNS,
    Rating,
    RatingSet,
    match_stimulus,
    possible_scales,
    ratings_of_frame,
)
from bids_app.inputs.records import BoldRun
from bids_app.inputs.sidecars import Inheritance
from bids_app.inputs.tables import number_of, numbers_of, pick, read_frame
from bids_app.inputs.units import other_unit

if TYPE_CHECKING:
    import pandas as pd

_PATTERNS = ("*_stim.tsv.gz", "*_stim.tsv", "*_beh.tsv.gz", "*_beh.tsv")
_FOLDERS = ("func", "beh")
HOW_RATINGS_ARE_CALLED = "*_stim.tsv.gz or *_beh.tsv in func/ or beh/"
_ALMOST = re.compile(
    r".*_(stim|beh|ratings?)\b.*\.(tsv|csv|txt|dat|xlsx?|ods|mat|npy|parquet)\b.*", re.IGNORECASE
)


def find_rating_files(root: Path, participants: Sequence[str]) -> tuple[Path, ...]:
    """Files of the dataset that may hold continuous ratings, sorted.

    Parameters
    ----------
    root : Path
        The raw dataset.
    participants : sequence of str
        Labels; files at the top of the dataset (a group's mean) are found too.
    """
    found: set[Path] = set()
    for pattern in _PATTERNS:
        found.update(Path(root).glob(f"task-{pattern}"))
        for participant in participants:
            base = Path(root) / f"sub-{strip_prefix(participant, 'sub')}"
            for folder in _FOLDERS:
                found.update(base.glob(f"{folder}/{pattern}"))
                found.update(base.glob(f"ses-*/{folder}/{pattern}"))
    return tuple(sorted(found))


def almost_rating_files(root: Path, participants: Sequence[str]) -> list[str]:
    """Names of files of participants that nearly are called as files of ratings, sorted.

    Of a spreadsheet, packed otherwise, copies, or in no folder ``func`` or ``beh``.
    """
    read = set(find_rating_files(root, participants))
    near = {
        path
        for participant in participants
        for path in (Path(root) / f"sub-{strip_prefix(participant, 'sub')}").rglob("*")
        if _ALMOST.fullmatch(path.name) and path not in read
    }
    return sorted(path.name for path in near)


def read_rating_files(
    paths: Sequence[Path],
    root: Path,
    runs: Sequence[BoldRun],
    durations: Mapping[str, float],
    *,
    scales: Sequence[str] = (),
) -> RatingSet:
    """Ratings of BIDS files.

    Times come from ``StartTime`` and ``SamplingFrequency``, or from a time column. In ``func/``
    they count from the start of the run that the file belongs to, so the onset of the music is
    subtracted; in ``beh/`` and at the top of the dataset (a group's mean) they count from the
    start of the audio file. The music is that of a column ``stimulus`` or ``stim_file``, of the
    entity ``stim-``, of the file's run or task, or, where these say nothing, the stimulus called
    like the task.

    Parameters
    ----------
    paths : sequence of Path
        From `find_rating_files`.
    root : Path
        The raw dataset.
    runs : sequence of BoldRun
        Runs of the study: which music a task stands for, and when it began.
    durations : mapping from str to float
        Seconds of every stimulus, by label.
    scales : sequence of str
        Columns to read; default: every column that can be a scale.

    Returns
    -------
    RatingSet
        Empty where no file holds ratings; files that are left out are named in the warnings, and
        those of a participant that cannot be used among its faults.

    Raises
    ------
    MusencError
        If a group's mean, or a file of every participant for the same reason, cannot be used: its
        content is not there (`MissingInputError`), ``Columns`` is missing or does not fit, a cell
        is no number, a scale was rated twice (`InvalidInputError`), or ratings do not overlap the
        music (`BadDataError`).
    """
    inheritance = Inheritance(Path(root))
    ratings: list[Rating] = []
    warnings: list[str] = []
    errors: list[tuple[str, MusencError]] = []
    for path in paths:
        named = parse_name(path)
        notes: list[str] = []
        try:
            metadata = inheritance.metadata(path.parent, named.entities, named.suffix or "stim")
            frame = _read_samples(path, named, metadata)
            found, reason = _ratings_of(frame, named, metadata, runs, durations, scales, notes)
        except MusencError as error:
            folder = path.relative_to(root).parts[0]
            if not folder.startswith("sub-"):
                raise
            errors.append((strip_prefix(folder, "sub"), error))
            continue
        ratings += found
        if reason:
            notes.append(f"{reason}; left out")
        warnings += [f"{path.name}: {text}" for text in dict.fromkeys(notes)]
    once, twice = rated_once(ratings)
    errors += twice
    people = {run.participant for run in runs} or {who for who, _ in errors}
    if errors and people <= {who for who, _ in errors} and len({e.what for _, e in errors}) == 1:
        raise errors[0][1]
    kept, more = without_other_columns(once, scales)
    faults = [
        (who, f"ratings left out: {reason_of(error)}; {error.remedy}") for who, error in errors
    ]
    return RatingSet(kept, (*warnings, *more), tuple(faults))


def _read_samples(path: Path, named: NamedFile, metadata: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    headless = named.suffix == "stim" and path.name.endswith(".gz")
    frame = read_frame(
        path,
        dtype=str,
        header=not headless,
        what="A file of ratings cannot be read.",
        remedy="fetch the file, or take it out of the dataset",
    )
    if headless:
        columns = metadata.get("Columns")
        if not isinstance(columns, list) or len(columns) != frame.shape[1]:
            raise InvalidInputError(
                "The JSON of a file of ratings does not name its columns.",
                where=path,
                found=f"Columns: {columns}",
                wanted=f"a list of {frame.shape[1]} names in its JSON sidecar",
                remedy="add Columns, SamplingFrequency and StartTime to the JSON",
            )
        frame.columns = pd.Index([str(name) for name in columns])
        frame.index -= 1  # messages name the line, and count a header
    return frame


def _ratings_of(
    frame: pd.DataFrame,
    named: NamedFile,
    metadata: Mapping[str, Any],
    runs: Sequence[BoldRun],
    durations: Mapping[str, float],
    scales: Sequence[str],
    notes: list[str],
) -> tuple[list[Rating], str | None]:
    """Records of one file, or why there are none."""
    times = _times(frame, named, metadata)
    if times is None:
        return [], "neither SamplingFrequency nor a time column with numbers: no continuous ratings"
    chosen = scales or possible_scales(frame)
    if not set(chosen) & set(frame.columns):
        return [], f"no scale among its columns ({', '.join(map(str, frame.columns))})"
    in_scanner = named.path.parent.name == "func"
    if in_scanner:
        _check_run(times, named, runs)
    result: list[Rating] = []
    pieces = _pieces(frame, named, runs, durations, in_scanner)
    for label, rows, shift, start, duration in pieces:
        own = times[rows] + shift
        keep = own >= start - 1e-6
        result += ratings_of_frame(
            frame.iloc[rows][keep],
            scales=scales,
            participant=named.entities.get("sub"),
            stimulus=label,
            duration=duration,
            source=named.path,
            times=own[keep],
            start=start,
            continues=in_scanner,
            notes=notes,
        )
    if not pieces:
        return [], f"its music is not known (stimuli: {', '.join(durations)})"
    return result, None


def _has_numbers(cells: pd.Series) -> bool:
    """Whether there is a number, be it with a comma: clock times are those of a questionnaire."""
    return any(math.isfinite(number_of(str(cell).replace(",", "."))) for cell in cells.dropna())


def _times(frame: pd.DataFrame, named: NamedFile, metadata: Mapping[str, Any]) -> np.ndarray | None:
    column = pick(frame.columns, TIME_COLUMNS)
    if column is not None:
        return numbers_of(frame, column, named.path) if _has_numbers(frame[column]) else None
    rate, start = metadata.get("SamplingFrequency"), metadata.get("StartTime", 0.0)
    if rate is None:
        return None
    if not (is_number(rate) and rate > 0 and is_number(start)):
        raise InvalidInputError(
            "The sampling of a file of ratings cannot be used.",
            where=named.path,
            found=f"SamplingFrequency {rate!r}, StartTime {start!r}",
            wanted="samples per second, and seconds",
            remedy="correct the JSON sidecar",
        )
    return start + np.arange(len(frame)) / rate


def _check_run(times: np.ndarray, named: NamedFile, runs: Sequence[BoldRun]) -> None:
    """Refuse a recording that lasts much longer than its run.

    Raises
    ------
    BadDataError
    """
    own = {k: v for k, v in named.entities.items() if k in ("sub", "ses", "task", "run")}
    ends = [run.n_volumes * run.tr for run in runs if entities_agree(own, run.entities)]
    if not ends or not len(times) or not times[-1] > 1.5 * max(ends) + 60:
        return
    raise BadDataError(
        "A recording is much longer than its run.",
        where=named.path,
        found=f"times from {times[0]:g} to {times[-1]:g} s, a run of {max(ends):g} s"
        + other_unit(float(times[-1]), max(ends), float(times[0])),
        wanted="seconds from the start of the run",
        remedy="correct SamplingFrequency and StartTime in its JSON, or the time column",
    )


_Piece = tuple[str, np.ndarray, float, float, float]


def _pieces(
    frame: pd.DataFrame,
    named: NamedFile,
    runs: Sequence[BoldRun],
    durations: Mapping[str, float],
    in_scanner: bool,
) -> list[_Piece]:
    """Label, rows, seconds to add, first and last second in the audio file, per piece of music."""
    everything = np.arange(len(frame))
    column = pick(frame.columns, STIMULUS_COLUMNS)
    if column is not None:
        cells = frame[column].astype(str)
        found = {name: match_stimulus(name, durations) for name in cells.unique()}
        return [
            (label, np.flatnonzero((cells == name).to_numpy()), 0.0, 0.0, durations[label])
            for name, label in found.items()
            if label is not None
        ]
    own = {k: v for k, v in named.entities.items() if k in ("sub", "ses", "task", "run")}
    heard = [run for run in runs if entities_agree(own, run.entities)]
    if in_scanner:
        return [
            (p.stimulus, everything, p.offset - p.onset, p.offset, p.offset + p.duration)
            for run in heard[:1]
            for p in run.presentations
        ]
    labels = {p.stimulus for run in heard for p in run.presentations}
    # A session of ratings has its own label; the task is what it shares with the scan.
    task = named.entities.get("task")
    labels = labels or {p.stimulus for r in runs if r.task == task for p in r.presentations}
    named_by = named.entities.get("stim") or (task if len(labels) != 1 else None)
    label = next(iter(labels)) if named_by is None else match_stimulus(named_by, durations)
    return [] if label is None else [(label, everything, 0.0, 0.0, durations[label])]
