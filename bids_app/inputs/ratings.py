"""Continuous ratings of the music, from tables: who felt what at which second of which piece."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError, MissingInputError
from bids_app.inputs.files import content_problem
from bids_app.inputs.names import strip_prefix
from bids_app.inputs.presentations import stimulus_label

if TYPE_CHECKING:
    import pandas as pd

TIME_COLUMNS = ("time", "sec", "second", "seconds", "t")
STIMULUS_COLUMNS = ("stimulus", "stim_file", "stim_id", "stim")
FILE_COLUMNS = ("ratings_file", "rating_file")
_OTHER_COLUMNS = ("participant_id", "task", "session", "run", "onset", "duration", "sample")
# A slider at rest for less than this is a rating, not a file that was filled up.
MIN_HOLD = 5.0
_TOLERANCE = 1e-6
_COLUMNS_WANTED = (
    "columns stimulus (or stim_file), time (seconds into the music) and one per scale, optionally "
    "participant_id; or columns stimulus and ratings_file, one file per line"
)


@dataclass(frozen=True, eq=False)
class Rating:
    """One scale's course over one piece of music.

    Attributes
    ----------
    participant : str or None
        Label without prefix; None for the mean of a group, which stands for everybody.
    stimulus : str
        Label of the stimulus.
    scale : str
        What was rated.
    times : ndarray of shape (n_samples,)
        Seconds into the audio file, increasing.
    values : ndarray of shape (n_samples,)
        Finite, in the units of the scale.
    source : str
        File.
    warnings : tuple of str
        What was cropped, and what looks odd.
    """

    participant: str | None
    stimulus: str
    scale: str
    times: np.ndarray
    values: np.ndarray
    source: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RatingSet:
    """All ratings of a study.

    Attributes
    ----------
    ratings : tuple of Rating
    warnings : tuple of str
        About the files as a whole; each rating has its own.
    """

    ratings: tuple[Rating, ...]
    warnings: tuple[str, ...] = ()
    _index: dict[tuple[str | None, str, str], Rating] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index: dict[tuple[str | None, str, str], Rating] = {}
        for rating in self.ratings:
            key = (rating.participant, rating.stimulus, rating.scale)
            if key in index:
                raise InvalidInputError(
                    "A scale was rated twice for the same music.",
                    where=f"{index[key].source} and {rating.source}",
                    found=_describe(*key),
                    wanted="one course per participant, stimulus and scale",
                    remedy="average the repetitions, or remove one of them",
                )
            index[key] = rating
        object.__setattr__(self, "_index", index)

    @property
    def scales(self) -> tuple[str, ...]:
        """Names of the scales, in the order met."""
        return tuple(dict.fromkeys(rating.scale for rating in self.ratings))

    @property
    def participants(self) -> tuple[str, ...]:
        """Participants with ratings of their own, sorted."""
        return tuple(sorted({r.participant for r in self.ratings if r.participant is not None}))

    def find(self, participant: str, stimulus: str, scale: str) -> Rating | None:
        """A participant's own rating, else the group's mean, else None."""
        own = self._index.get((participant, stimulus, scale))
        return own or self._index.get((None, stimulus, scale))

    def missing(
        self, participant: str, stimuli: Iterable[str], scales: Iterable[str]
    ) -> tuple[str, ...]:
        """What a participant lacks: ``Enjoyment of happy`` for every scale that is not there."""
        wanted = list(dict.fromkeys(stimuli))
        return tuple(
            f"{scale} of {stimulus}"
            for scale in scales
            for stimulus in wanted
            if self.find(participant, stimulus, scale) is None
        )

    def merged(self, other: RatingSet) -> RatingSet:
        """Both sets together.

        Raises
        ------
        InvalidInputError
            If a scale was rated twice for the same music.
        """
        return RatingSet((*self.ratings, *other.ratings), (*self.warnings, *other.warnings))


def crop_ratings(
    times: np.ndarray, values: np.ndarray, duration: float | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Samples that belong to the music; recording programs hold the last value after its end.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
        Seconds into the music.
    values : ndarray of shape (n_samples, n_scales)
        NaN where nothing was recorded.
    duration : float or None
        Length of the music in seconds. Without it, a common constant end of at least 5 s is taken
        for held values and only its first sample is kept.

    Returns
    -------
    keep : ndarray of bool of shape (n_samples,)
    warnings : tuple of str
    """
    n_samples = len(times)
    with np.errstate(invalid="ignore"):
        changes = np.flatnonzero((np.diff(values, axis=0) != 0).any(axis=1))
    rest = int(changes[-1]) + 1 if changes.size else 0
    held = float(times[-1] - times[rest]) if changes.size else 0.0
    keep = times >= -_TOLERANCE
    if duration is None:
        if held < MIN_HOLD:
            return keep, ()
        return keep & (np.arange(n_samples) <= rest), (
            f"the last value is held for {held:.1f} s: cropped after {times[rest]:.1f} s",
        )
    keep &= times <= duration + _TOLERANCE
    beyond = float(times[-1] - duration)
    if beyond <= _TOLERANCE:
        return keep, ()
    how = "with the last value held" if held >= min(beyond, MIN_HOLD) else "with changing values"
    warnings = [f"{beyond:.1f} s after the end of the music cropped ({how})"]
    if held > beyond and duration - times[rest] >= MIN_HOLD:
        warnings.append(
            f"constant from {times[rest]:.1f} s on, {duration - times[rest]:.1f} s before the end "
            "of the music: the recording may have stopped there"
        )
    return keep, tuple(warnings)


def make_ratings(
    times: np.ndarray,
    values: np.ndarray,
    scales: Sequence[str],
    *,
    participant: str | None,
    stimulus: str,
    duration: float | None,
    source: str,
) -> list[Rating]:
    """Records of one recording, cropped to the music; a scale without any value is left out.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
        Seconds into the audio file.
    values : ndarray of shape (n_samples, n_scales)
        NaN where nothing was recorded.
    scales : sequence of str
    participant, stimulus, source
        As in `Rating`.
    duration : float or None
        Seconds of music.

    Returns
    -------
    list of Rating

    Raises
    ------
    BadDataError
        If times are not finite and increasing, or nothing overlaps the music.
    """
    where = f"{source} ({_describe(participant, stimulus)})"
    if len(times) == 0 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise BadDataError(
            "The times of a rating do not increase.",
            where=where,
            found=f"{len(times)} samples"
            + (f", {int((np.diff(times) <= 0).sum())} steps back or still" if len(times) else ""),
            wanted="seconds into the music, increasing, one line per sample",
            remedy="give each participant and stimulus a label of its own, or sort the lines",
        )
    recorded = np.isfinite(values).any(axis=0)
    keep, warnings = crop_ratings(times, values[:, recorded], duration)
    result = []
    for column, scale in enumerate(scales):
        use = keep & np.isfinite(values[:, column])
        if use.sum() >= 2:
            result.append(
                Rating(
                    participant, stimulus, scale, times[use], values[use, column], source, warnings
                )
            )
    if not result and recorded.any():
        raise BadDataError(
            "The ratings do not overlap the music.",
            where=where,
            found=f"ratings from {times[0]:g} to {times[-1]:g} s",
            wanted="at least two samples between 0 and "
            + (f"{duration:g} s" if duration is not None else "the end"),
            remedy="count the times from the start of the audio file",
        )
    return result


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
        If columns are missing or a cell is no number; the columns there are named.
    BadDataError
        If nothing is about the music of the study, or overlaps it.
    """
    path = Path(path)
    frame = _read_frame(path)
    stimulus_column = _pick(frame, STIMULUS_COLUMNS)
    file_column = _pick(frame, FILE_COLUMNS)
    if stimulus_column is None or (file_column is None and _pick(frame, TIME_COLUMNS) is None):
        raise InvalidInputError(
            "The table of ratings lacks a column.",
            where=path,
            found=", ".join(map(str, frame.columns)) or "an empty file",
            wanted=_COLUMNS_WANTED,
            remedy="add or rename columns",
        )
    keys = [stimulus_column, *(["participant_id"] if "participant_id" in frame else [])]
    if file_column is not None:
        keys.append(file_column)
    ratings: list[Rating] = []
    unknown: set[str] = set()
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
        ratings += ratings_of_frame(
            samples,
            scales=scales,
            participant=_participant(named.get("participant_id")),
            stimulus=label,
            duration=durations[label],
            source=source,
        )
    if not ratings:
        raise BadDataError(
            "No rating is about the music of this study.",
            where=path,
            found=", ".join(sorted(unknown)) or "no samples",
            wanted="stimuli " + ", ".join(durations),
            remedy="name the stimuli as their audio files",
        )
    warnings = (f"ratings of other music left out: {', '.join(sorted(unknown))}",)
    return RatingSet(tuple(ratings), warnings if unknown else ())


def ratings_of_frame(
    frame: pd.DataFrame,
    *,
    scales: Sequence[str],
    participant: str | None,
    stimulus: str,
    duration: float | None,
    source: Path,
    times: np.ndarray | None = None,
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
        column = _pick(frame, TIME_COLUMNS)
        if column is None:
            raise InvalidInputError(
                "A table of ratings has no times.",
                where=source,
                found=", ".join(map(str, frame.columns)),
                wanted="a column " + " or ".join(TIME_COLUMNS),
                remedy="add seconds into the music",
            )
        times = _numbers(frame, column, source)
    reserved = {*TIME_COLUMNS, *STIMULUS_COLUMNS, *FILE_COLUMNS, *_OTHER_COLUMNS}
    there = [str(name) for name in frame.columns if str(name).lower() not in reserved]
    columns = [name for name in (scales or there) if name in there]
    if not columns and not scales:
        raise InvalidInputError(
            "A table of ratings has no scale.",
            where=source,
            found=", ".join(map(str, frame.columns)),
            wanted="one column per scale",
        )
    if not columns:
        return []
    values = np.stack([_numbers(frame, name, source) for name in columns], axis=1)
    return make_ratings(
        times,
        values,
        columns,
        participant=participant,
        stimulus=stimulus,
        duration=duration,
        source=str(source),
    )


def match_stimulus(name: str, labels: Iterable[str]) -> str | None:
    """The label that a name in a table stands for, whatever its case; None where there is none."""
    own = stimulus_label(Path(name))
    known = list(labels)
    if own in known:
        return own
    return next((label for label in known if label.lower() == own.lower()), None)


def _describe(participant: str | None, stimulus: str, scale: str | None = None) -> str:
    who = "group mean" if participant is None else f"sub-{participant}"
    return ", ".join(part for part in (who, stimulus, scale) if part)


def _participant(cell: Any) -> str | None:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    text = str(cell).strip()
    return strip_prefix(text, "sub") if text.lower() not in ("", "n/a", "mean", "group") else None


def _pick(frame: pd.DataFrame, names: Sequence[str]) -> str | None:
    by_name = {str(column).lower(): str(column) for column in reversed(list(frame.columns))}
    return next((by_name[name] for name in names if name in by_name), None)


def _read_frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    problem = content_problem(path)
    if problem:
        raise MissingInputError(
            "A file of ratings cannot be read.",
            where=path,
            found=problem,
            wanted=_COLUMNS_WANTED,
            remedy="check the path given with --ratings and the files named there",
        )
    separator = "," if path.name.endswith((".csv", ".csv.gz")) else "\t"
    try:
        # Labels such as 01 must stay text.
        frame = pd.read_csv(path, sep=separator, dtype=str, na_values=["n/a"], encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise InvalidInputError(
            "A file of ratings is not a table.",
            where=path,
            found=error,
            wanted="tab-separated text (comma-separated in .csv files)",
        ) from error
    return frame.rename(columns=lambda name: str(name).strip())


def _numbers(frame: pd.DataFrame, column: str, source: Path) -> np.ndarray:
    import pandas as pd

    cells = frame[column]
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, copy=True)
    wrong = np.flatnonzero(~np.isfinite(numbers) & cells.notna().to_numpy())
    if wrong.size:
        raise InvalidInputError(
            f"The column {column} of the ratings holds what is no number.",
            where=f"{source}, line {int(wrong[0]) + 2} of that recording",
            found=f"{cells.iloc[wrong[0]]!r}" + (f" and {wrong.size - 1} more" * (wrong.size > 1)),
            wanted="numbers; n/a where nothing was recorded",
            remedy="correct the cells, or name the scales to read",
        )
    return numbers
