"""Logging, set up once by the command line; every other module only asks for its logger."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from bids_app.plain import plain_lines, shown


class _Formatter(logging.Formatter):
    """Text of a dataset may hold what moves a terminal's cursor, or forge a line of the log."""

    def format(self, record: logging.LogRecord) -> str:
        return plain_lines(super().format(record))


def tell(text: object = "", *, file: TextIO | None = None) -> None:
    """Print a text of the command line; control characters of others' text are spelled."""
    print(shown(text), file=file, flush=True)


def set_up_logging(verbosity: int = 0) -> None:
    """Log to standard error: INFO, or DEBUG with ``-v``; other libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bids_app").setLevel(logging.DEBUG if verbosity else logging.INFO)
    logging.captureWarnings(True)
