"""Logging, set up once by the command line; every other module only asks for its logger."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TextIO

from bids_app.plain import plain_lines, shown


class _Formatter(logging.Formatter):
    """Text of a dataset may hold what moves a terminal's cursor, or forge a line of the log."""

    def format(self, record: logging.LogRecord) -> str:
        return plain_lines(super().format(record))


def tell(text: object = "", *, file: TextIO | None = None) -> None:
    """Print a text of the command line; control characters of others' text are spelled."""
    print(shown(text), file=file, flush=True)


class RunLog(logging.Handler):
    """Keeps lines until the file of the run is known, then appends them to it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(message)s"))
        self.path: Path | None = None
        self._kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line; a file that cannot be written costs no run."""
        self._kept.append(self.format(record) + "\n")
        self._write()

    def open(self, path: Path) -> None:
        """From now on lines go to `path`, those kept first."""
        self.path = path
        self._write()

    def _write(self) -> None:
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Processes of a run append to one file, each line at once.
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write("".join(self._kept))
        except OSError:
            self.path = None
        self._kept.clear()


def set_up_logging(verbosity: int = 0) -> None:
    """Log to standard error: INFO, or DEBUG with ``-v``; other libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler, RunLog()]
    root.setLevel(logging.WARNING)
    logging.getLogger("bids_app").setLevel(logging.DEBUG if verbosity else logging.INFO)
    logging.captureWarnings(True)


def log_anew() -> None:
    """Keep lines until the file of another run in this process is known."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RunLog):
            handler.path = None


def log_to(path: Path) -> None:
    """Append what is logged, and was since `set_up_logging`, to a file."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RunLog) and handler.path != path:
            handler.open(path)


def log_to_file_alone(text: str) -> None:
    """A line that is printed elsewhere; nothing where no file is open."""
    record = logging.LogRecord("bids_app", logging.ERROR, "", 0, text, None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RunLog) and handler.path is not None:
            handler.handle(record)
