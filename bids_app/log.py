"""Logging, set up once by the command line; every other module only asks for its logger."""

from __future__ import annotations

import logging
import sys


def set_up_logging(verbosity: int = 0) -> None:
    """Log to standard error: INFO, or DEBUG with ``-v``; other libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bids_app").setLevel(logging.DEBUG if verbosity else logging.INFO)
    logging.captureWarnings(True)
