"""What the texts of a command line are turned into."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Literal

from bids_app.config import penalty_grid


def absolute(path: Path | None) -> Path | None:
    """A path that outlives a change of the working directory."""
    return None if path is None else path.absolute()


def span(text: str) -> tuple[float, float]:
    """``FIRST:LAST``, such as delays in seconds."""
    try:
        first, last = (float(part) for part in text.split(":"))
        if not (math.isfinite(first) and math.isfinite(last)):
            raise ValueError
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST:LAST, for example 3:9") from None
    if first > last:
        raise argparse.ArgumentTypeError(f"the first delay of {text!r} comes after the last")
    return first, last


def paths(text: str) -> tuple[Path, ...]:
    """Files with commas between them."""
    return tuple(Path(part).absolute() for part in text.split(",") if part)


def penalties(text: str) -> tuple[float, ...]:
    """``FIRST:LAST:N``, N positive numbers with equally spaced logarithms."""
    try:
        first, last, count = text.split(":")
        low, high, n = float(first), float(last), int(count)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not FIRST:LAST:N, for example 1e-3:1e5:20"
        ) from None
    if not (0 < low < high < float("inf") and n > 1):
        raise argparse.ArgumentTypeError(f"{text!r} does not increase from above 0 in N > 1 steps")
    return penalty_grid(low, high, n)


def positive_number(text: str) -> float:
    """A finite number above 0."""
    value = non_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def non_negative(text: str) -> float:
    """A finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def gigabytes(text: str) -> int:
    """Bytes from gigabytes."""
    n_bytes = int(1e9 * non_negative(text))
    if n_bytes == 0:
        raise argparse.ArgumentTypeError("memory must be positive")
    return n_bytes


def rate(text: str) -> float | Literal["tr", "own"]:
    """Samples per second, or the name of a rate."""
    if text == "tr" or text == "own":
        return "tr" if text == "tr" else "own"
    value = non_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError("a rate must be positive")
    return value
