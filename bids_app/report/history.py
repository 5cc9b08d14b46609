"""History of a participant: rows of the status log and crash files."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bids_app.errors import MusencError
from bids_app.files import read_json
from bids_app.report.sources import Folder
from bids_app.status import StatusRow

_CRASH_LIMIT = 20_000
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Crash:
    """Name and text of a crash file."""

    name: str
    text: str


@dataclass(frozen=True)
class History:
    """What became of a participant in the last call that touched it.

    Attributes
    ----------
    run_id : str
        Name of the call; empty if no log says so.
    rows : sequence of StatusRow
    crashes : sequence of Crash
    """

    run_id: str = ""
    rows: Sequence[StatusRow] = ()
    crashes: Sequence[Crash] = field(default_factory=tuple)


def read_history(
    folder: Folder, participant: str, status_rows: Sequence[StatusRow] = ()
) -> History:
    """Rows given by the caller, else those of the newest log with this participant."""
    own = [row for row in status_rows if row.participant == participant]
    if own:
        return History("", own, _crashes(folder, own))
    for path in sorted((folder.root / "logs").glob("status_*.json"), reverse=True):
        try:
            content = read_json(path)
            rows = [StatusRow(**row) for row in content["rows"]]
            run_id = str(content["run_id"])
        except (MusencError, KeyError, TypeError):
            continue  # a log of another version or half a file says nothing about this participant
        own = [row for row in rows if row.participant == participant]
        if own and content.get("level") == "participant":
            return History(run_id, own, _crashes(folder, own))
    return History()


def call_facts(folder: Folder, level: str) -> list[tuple[str, str]]:
    """Run, beginning and command line of the newest call of a level, as its log has them."""
    for path in sorted(folder.tree.logs.glob("*.log"), reverse=True):
        try:
            with path.open(encoding="utf-8", errors="replace") as stream:
                first = [line for _, line in zip(range(5), stream, strict=False)]
        except OSError:
            continue
        if not first or f": {level} level" not in first[0]:
            continue
        told = [("Run", path.stem), ("Begun", first[0][:19])]
        commands = [line.partition("command: ")[2].strip() for line in first]
        return told + [("Command", command) for command in commands if command][:1]
    return []


def not_used(folder: Folder, used: Collection[str]) -> list[StatusRow]:
    """What became of participants who are not in the group: rows of their newest log.

    Parameters
    ----------
    folder : Folder
    used : collection of str
        Labels of the participants in the group.
    """
    found: dict[str, list[StatusRow]] = {}
    for path in sorted((folder.root / "logs").glob("status_*.json"), reverse=True):
        try:
            content = read_json(path)
            rows = [StatusRow(**row) for row in content["rows"]]
        except (MusencError, KeyError, TypeError):
            continue  # as above
        if content.get("level") == "participant":
            of_path: dict[str, list[StatusRow]] = {}
            for row in filter(lambda row: row.participant, rows):
                of_path.setdefault(row.participant, []).append(row)
            found = of_path | found
    lost = (row for who in sorted(set(found) - set(used)) for row in found[who])
    return [row for row in lost if row.state != "done"]


def _crashes(folder: Folder, rows: Sequence[StatusRow]) -> list[Crash]:
    return [_read_crash(folder, folder.root / name) for row in rows for name in row.crash_files]


def _read_crash(folder: Folder, path: Path) -> Crash:
    try:
        text = _ANSI.sub("", path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        text = f"the crash file cannot be read: {error.strerror}"
    if len(text) > _CRASH_LIMIT:
        # The exception is at the end.
        left_out = len(text) - _CRASH_LIMIT
        text = f"[the first {left_out} characters are left out]\n{text[-_CRASH_LIMIT:]}"
    return Crash(folder.name(path), text)
