"""What became of every participant and run: one object for log line, report badge and exit code."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from bids_app.files import write_json

State = Literal["done", "skipped", "failed"]
STATES: tuple[State, ...] = ("done", "skipped", "failed")


@dataclass(frozen=True)
class StatusRow:
    """One participant, or one run of a participant (`run` empty: the participant as a whole)."""

    participant: str
    run: str
    state: State
    reason: str = ""


@dataclass
class Status:
    """Collects rows while a command runs; decides its last line and exit code."""

    run_id: str
    level: str
    rows: list[StatusRow] = field(default_factory=list)

    def add(self, participant: str, run: str, state: State, reason: str = "") -> None:
        """Add one row."""
        self.rows.append(StatusRow(participant, run, state, reason))

    def count(self, state: State) -> int:
        """Number of rows in `state`."""
        return sum(row.state == state for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 when nothing failed and something was done, else 1."""
        return 0 if self.count("failed") == 0 and self.count("done") > 0 else 1

    @property
    def closing_line(self) -> str:
        """The last log line; it agrees with the exit code."""
        counts = ", ".join(f"{self.count(s)} {s}" for s in STATES)
        verdict = "finished" if self.exit_code == 0 else "FAILED"
        return f"{self.level} level {verdict}: {counts}"

    def write(self, path: Path) -> Path:
        """Write the rows as JSON."""
        content = {
            "run_id": self.run_id,
            "level": self.level,
            "exit_code": self.exit_code,
            "rows": [asdict(row) for row in self.rows],
        }
        return write_json(path, content)
