"""Conditions of an experiment from events, and a number per participant from a table."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError, NoConditionsError
from bids_app.inputs.labels import meant_by, taken_for
from bids_app.inputs.names import strip_prefix
from bids_app.inputs.odd_values import far_value
from bids_app.inputs.tables import TableRow, is_absent, number_of, read_tsv
from bids_app.plain import some_of

_ROUNDED = 0.1  # seconds that the end of a trial may lie behind the next onset
_NOTHING = ("none", "null", "nan", "<na>")
_SHOWN = 4


@dataclass(frozen=True, eq=False)
class Conditions:
    """Trials of one run.

    Attributes
    ----------
    names : tuple of n_trials str
        Condition of each trial.
    onsets, durations : ndarray of shape (n_trials,)
        Seconds of the run.
    source : str
        File.
    """

    names: tuple[str, ...]
    onsets: np.ndarray
    durations: np.ndarray
    source: str

    @property
    def conditions(self) -> tuple[str, ...]:
        """Different conditions, sorted."""
        return tuple(sorted(set(self.names)))

    def trials(self, condition: str) -> tuple[np.ndarray, np.ndarray]:
        """Onsets and durations of one condition's trials; empty where there are none."""
        use = np.array([name == condition for name in self.names], dtype=bool)
        return self.onsets[use], self.durations[use]


def read_conditions(path: Path, *, column: str = "trial_type") -> Conditions:
    """Read trials and their conditions from an events file.

    Parameters
    ----------
    path : Path
    column : str
        Which column names the condition; rows without one are left out. Names that differ in how
        an accent is composed are the same.

    Returns
    -------
    Conditions

    Raises
    ------
    MissingInputError
        If the file is not there.
    NoConditionsError
        If there is no such column, or no row has a condition.
    InvalidInputError
        If onsets or durations are missing, a time is no number, or a row stands twice.
    """
    columns, rows = read_tsv(path, "An events file cannot be read.")
    missing = [name for name in ("onset", "duration", column) if name not in columns]
    named = [row for row in rows if not is_absent(row.get(column), name=True)]
    if not named:
        raise NoConditionsError(
            "The events name no conditions.",
            where=path,
            found=("columns " + ", ".join(columns)) if missing else f"no value in {column}",
            wanted=f"the columns onset, duration and {column}",
            remedy="add them, or name another column",
        )
    if missing:
        raise InvalidInputError(
            "The events do not say when the trials were.",
            where=path,
            found="columns " + ", ".join(columns),
            wanted=f"the columns onset, duration and {column}",
            remedy="add what is missing",
        )
    onsets = np.array([number_of(row["onset"]) for row in named])
    durations = np.array([number_of(row["duration"]) for row in named])
    wrong = np.flatnonzero(~(np.isfinite(onsets) & np.isfinite(durations) & (durations >= 0)))
    if wrong.size:
        raise InvalidInputError(
            "An onset or duration of a trial is no number of seconds.",
            where=path,
            found=some_of((f"{named[k]['onset']!r} {named[k]['duration']!r}" for k in wrong), 4),
            wanted="seconds; durations of zero or more",
            remedy="correct these rows of the events, in seconds",
        )
    names = tuple(unicodedata.normalize("NFC", row[column]) for row in named)
    _refuse_twice(list(zip(onsets, durations, names, strict=True)), named, path)
    return Conditions(names, onsets, durations, str(path))


def _refuse_twice(
    trials: Sequence[tuple[float, float, str]], rows: Sequence[TableRow], path: Path
) -> None:
    """A trial that stands twice would count twice as much as the others."""
    first: dict[tuple[float, float, str], int] = {}
    twice = []
    for trial, row in zip(trials, rows, strict=True):
        line = first.setdefault(trial, row.line)
        if line != row.line:
            twice.append(f"{trial[2]} at {trial[0]:g} s in lines {line} and {row.line}")
    if twice:
        more = f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
        raise InvalidInputError(
            "Trials stand in the events twice.",
            where=path,
            found="; ".join(twice[:_SHOWN]) + more,
            wanted="one row for each trial",
            remedy="take the repeated rows out, or write n/a into their column of conditions",
        )


def check_trials(trials: Conditions, end: float) -> None:
    """Refuse trials of which most lie outside their run, or one that lasts longer than it.

    Parameters
    ----------
    trials : Conditions
    end : float
        Seconds of the run.

    Raises
    ------
    BadDataError

    Examples
    --------
    >>> found = Conditions(("a", "b"), np.array([2000.0, 9000.0]), np.array([500.0, 500.0]), "x")
    >>> check_trials(found, 20.0)
    Traceback (most recent call last):
    bids_app.errors.BadDataError: The trials do not fit into the run.
      where: x
      found: 2 of 2 begin or end outside; in milliseconds they would fit
      wanted: seconds of a run of 20 s
      do this: correct the onsets; divide them by 1000 where they are milliseconds
    """
    last = trials.onsets + trials.durations
    outside = (trials.onsets >= end) | (last < 0) | (trials.durations > end)
    if 2 * outside.sum() > len(outside):
        lasts = float(np.max(last))
        fits = "; in milliseconds they would fit" if end / 4 <= lasts / 1000 <= end else ""
        raise BadDataError(
            "The trials do not fit into the run.",
            where=trials.source,
            found=f"{outside.sum()} of {len(outside)} begin or end outside{fits}",
            wanted=f"seconds of a run of {end:g} s",
            remedy="correct the onsets; divide them by 1000 where they are milliseconds",
        )


def odd_trials(trials: Conditions, end: float) -> list[str]:
    """What looks odd about the trials of a run, but may be right.

    Parameters
    ----------
    trials : Conditions
    end : float
        Seconds of the run.

    Examples
    --------
    >>> found = Conditions(("a", "b"), np.array([10.0, 90.0]), np.array([5.0, 5.0]), "x")
    >>> odd_trials(found, 80.0)
    ['1 of 2 trials begins behind the end of the run, at 80 s: b at 90 s']
    """
    onsets, last = trials.onsets, trials.onsets + trials.durations
    outside = {
        ("begins", "begin", f"behind the end of the run, at {end:g} s"): onsets >= end,
        ("ends", "end", f"behind the end of the run, at {end:g} s"): (onsets < end)
        & (last > end + _ROUNDED),
        ("ends", "end", "before the run begins"): (last <= 0) & (onsets < 0),
    }
    told = [
        f"{use.sum()} of {len(use)} trials {one if use.sum() == 1 else many} {where}: "
        + _some_trials(trials, np.flatnonzero(use))
        for (one, many, where), use in outside.items()
        if use.any()
    ]
    for name in trials.conditions:
        own = np.flatnonzero([other == name for other in trials.names])
        late = _overlapping(trials, own)
        if not late.size:
            late = _reaching_far(trials, own)
        if late.size:
            told.append(
                f"{late.size} of {own.size} trials of {name} last beyond the onset of the next: "
                f"{_some_trials(trials, late)} (up to {trials.durations[late].max():g} s long)"
            )
    told += [
        f"{name} counts as a condition: where there is none, the events have n/a"
        for name in trials.conditions
        if name.lower() in _NOTHING
    ]
    return told


def _some_trials(trials: Conditions, which: np.ndarray) -> str:
    """The first of these trials."""
    texts = [f"{trials.names[k]} at {trials.onsets[k]:g} s" for k in which[:_SHOWN]]
    return ", ".join(texts) + (f" and {len(which) - _SHOWN} more" if len(which) > _SHOWN else "")


def _overlapping(trials: Conditions, own: np.ndarray) -> np.ndarray:
    """Those of a condition's trials that go on when its next one begins."""
    order = own[np.argsort(trials.onsets[own], kind="stable")]
    last = (trials.onsets + trials.durations)[order]
    return np.asarray(order[:-1][last[:-1] > trials.onsets[order][1:] + _ROUNDED])


def _reaching_far(trials: Conditions, own: np.ndarray) -> np.ndarray:
    """A condition's trials, if most last twice as long as to the next onset of another.

    A trial that lies wholly within another one may be a part of it.
    """
    onsets, last = trials.onsets, trials.onsets + trials.durations
    others = np.setdiff1d(np.arange(len(onsets)), own)
    order = others[np.argsort(onsets[others], kind="stable")]
    place = np.searchsorted(onsets[order], onsets[own], side="right")
    mine, following = own[place < len(order)], order[place[place < len(order)]]
    far = trials.durations[mine] > 2 * (onsets[following] - onsets[mine]) + _ROUNDED
    found = mine[far & (last[mine] < last[following])]
    return found if 2 * len(found) > len(own) else found[:0]


def read_rating_differences(
    path: Path,
    *,
    column: str,
    there: Iterable[str] | None = None,
    notes: list[str] | None = None,
) -> Mapping[str, float]:
    """A number per participant, such as the rating of dissonant minus that of consonant music.

    Parameters
    ----------
    path : Path
        ``participants.tsv`` or any table with a column participant_id.
    column : str
    there : iterable of str, optional
        Labels of all participants, which those of the table stand for; without them they count as
        they are written.
    notes : list of str, optional
        Takes which labels were not taken literally, which are of nobody, and a value that lies far
        from all others.

    Returns
    -------
    mapping from label to float
        Participants with ``n/a`` are left out.

    Raises
    ------
    MissingInputError
        If the file is not there.
    InvalidInputError
        If there is no such column (those there are listed), a cell is no number, or somebody has
        two rows.
    """
    columns, rows = read_tsv(path, "A table of participants cannot be read.")
    missing = [name for name in ("participant_id", column) if name not in columns]
    if missing:
        raise InvalidInputError(
            "A table of participants lacks a column.",
            where=path,
            found=", ".join(columns),
            wanted=", ".join(missing),
            remedy="name one of the columns there are",
        )
    known = None if there is None else set(there)
    result: dict[str, float] = {}
    told, unknown = [], []
    for row in rows:
        if is_absent(row[column]):
            continue
        label = written = strip_prefix(row["participant_id"], "sub")
        meant = label if known is None else meant_by(label, known)
        if meant is None:
            unknown.append(f"sub-{label}" if label else f"line {row.line} (without a participant)")
        elif meant != label:
            label = meant
            told.append(taken_for("sub", written, meant))
        value = number_of(row[column])
        if not np.isfinite(value) or label in result:
            raise InvalidInputError(
                "A participant has two rows." if label in result else "A rating is no number.",
                where=f"{path}, line {row.line}",
                found=f"sub-{written}: {row[column]!r}",
                wanted="one number per participant, n/a where there is none",
                remedy="correct the table",
            )
        result[label] = value
    if unknown:
        told.append(f"{', '.join(unknown)} of {path.name}: no participant of the dataset")
    if far := far_value(list(result.values()), "participants"):
        told.append(f"{column} of {path.name}: {far}: if it stands for nothing, write n/a")
    if notes is not None:
        notes += told
    return result
