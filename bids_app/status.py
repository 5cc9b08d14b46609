"""Outcome of every participant and run: one object for log line, report badge and exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from bids_app.files import write_json

State = Literal["done", "skipped", "failed"]
STATES: tuple[State, ...] = ("done", "skipped", "failed")


@dataclass(frozen=True)
class StatusRow:
    """One participant, or one run of a participant.

    Attributes
    ----------
    participant, run : str
        Labels; `run` is empty for the participant as a whole.
    state : {"done", "skipped", "failed"}
    reason : str
        Why it is not done.
    problem : bool
        Skipped because its files cannot be used, and not because the user left it out.
    crash_files : sequence of str
        Below the output folder.
    """

    participant: str
    run: str
    state: State
    reason: str = ""
    problem: bool = False
    crash_files: Sequence[str] = ()


@dataclass
class Status:
    """Collects rows while a command runs; decides its last line and exit code.

    Attributes
    ----------
    run_id, level : str
    rows : list of StatusRow
    notes : list of str
        About the study as a whole.
    stopped : int
        Exit code of the error that ended the call; 0 where none did.
    """

    run_id: str
    level: str
    rows: list[StatusRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: int = 0

    def add(self, participant: str, run: str, state: State, reason: str = "", **more: Any) -> None:
        """Add one row; `more` as in `StatusRow`."""
        self.rows.append(StatusRow(participant, run, state, reason, **more))

    def count(self, state: State) -> int:
        """Number of rows in `state`."""
        return sum(row.state == state for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 when something was done, nothing failed and no run had unusable files, else 1.

        The code of the error that ended the call comes before these.
        """
        if self.stopped:
            return self.stopped
        return 0 if self.count("done") > 0 and not self._failed and not self.n_problems else 1

    @property
    def _failed(self) -> bool:
        return self.count("failed") > 0 or self.count("done") == 0

    @property
    def n_problems(self) -> int:
        """Runs, and parts of a group level, that were skipped because of what is not there."""
        return sum(row.problem for row in self.rows)

    @property
    def closing_line(self) -> str:
        """The last log line; it agrees with the exit code."""
        verdict = "FAILED" if self._failed else "finished"
        if self.n_problems:
            verdict += "" if self._failed else " INCOMPLETE"
        kinds = {
            "participants": [row for row in self.rows if row.run == ""],
            "runs and parts": [row for row in self.rows if row.run],
        }
        counts = [f"{kind} {_counted(rows)}" for kind, rows in kinds.items() if rows]
        lacking = [row.run for row in self.rows if row.problem and not row.participant]
        if self.n_problems > len(lacking):
            counts.append(f"{self.n_problems - len(lacking)} skipped because of their files")
        counts += [f"not done: {', '.join(lacking)}"] if lacking else []
        return f"{self.level} level {verdict}: {'; '.join(counts) or 'nothing was done'}"

    def write(self, path: Path) -> Path:
        """Write the rows as JSON."""
        content = {
            "run_id": self.run_id,
            "level": self.level,
            "exit_code": self.exit_code,
            "notes": self.notes,
            "rows": [asdict(row) for row in self.rows],
        }
        return write_json(path, content)


def _counted(rows: Sequence[StatusRow]) -> str:
    """``2 done, 1 skipped``."""
    counts = {state: sum(row.state == state for row in rows) for state in STATES}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)
