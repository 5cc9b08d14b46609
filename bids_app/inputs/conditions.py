"""Conditions of an experiment from events, and a number per participant from a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError
from bids_app.inputs.labels import meant_by, taken_for
from bids_app.inputs.names import strip_prefix
from bids_app.inputs.tables import is_absent, number_of, read_tsv


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
        Which column names the condition; rows without one are left out.

    Returns
    -------
    Conditions

    Raises
    ------
    MissingInputError
        If the file is not there.
    InvalidInputError
        If a column is missing, a time is no number, or no row has a condition.
    """
    columns, rows = read_tsv(path, "An events file cannot be read.")
    missing = [name for name in ("onset", "duration", column) if name not in columns]
    named = [row for row in rows if not is_absent(row.get(column))]
    if missing or not named:
        raise InvalidInputError(
            "The events name no conditions.",
            where=path,
            found=("columns " + ", ".join(columns)) if missing else f"no value in {column}",
            wanted=f"the columns onset, duration and {column}",
            remedy="add them, or name another column",
        )
    onsets = np.array([number_of(row["onset"]) for row in named])
    durations = np.array([number_of(row["duration"]) for row in named])
    wrong = np.flatnonzero(~(np.isfinite(onsets) & np.isfinite(durations) & (durations >= 0)))
    if wrong.size:
        raise InvalidInputError(
            "An onset or duration of a trial is no number of seconds.",
            where=path,
            found=", ".join(f"{named[k]['onset']!r} {named[k]['duration']!r}" for k in wrong[:4]),
            wanted="seconds; durations of zero or more",
            remedy="correct these rows of the events, in seconds",
        )
    return Conditions(tuple(row[column] for row in named), onsets, durations, str(path))


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
        Takes which labels were not taken literally, and which are of nobody.

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
    if notes is not None:
        notes += told
    return result
