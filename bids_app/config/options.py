"""Declaration of an option on the field of its value, and the parsing of its text."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from bids_app.bands import HighPass

FIRST_VERSION = "0.1.0"
_LONGEST = 600.0
"""Seconds by which anything follows the music."""
Analysis = Literal[
    "layers", "ratings", "scores", "conditions", "alignment", "ceiling", "lags", "inference"
]
"""What has settings of its own: maps of layers and of ratings, scores of ratings, maps of
conditions; over participants, alignment with a gradient, the noise ceiling, lags behind a feature
and the rest."""

Reader = Literal["participant", "group", "both"]


class Kind(NamedTuple):
    """How the text of an option becomes a value, and what stands for it in the help."""

    convert: Callable[[str], Any]
    metavar: str | None = None


@dataclass(frozen=True)
class Option:
    """What there is to say of an option beside type and default of its field.

    Attributes
    ----------
    usage : str
        As in the help: flags, then what stands for the value, ``"-d --derivatives PATH"``. A
        name without dashes has a place instead.
    help : str
        The default is added, or stands where ``%(default)s`` is; `%(spaces)s` are all.
    choices, nargs, action
        As of `argparse.ArgumentParser.add_argument`, where the type of the field does not say it.
    changes : tuple or None
        Whose results it changes; None for all that read its section.
    level : str or None
        Level that reads it; None for that of its section.
    since : str
        First version that had it.
    """

    usage: str
    help: str
    choices: tuple[str, ...] | None = None
    nargs: Literal["+"] | None = None
    action: str | None = None
    changes: tuple[Analysis, ...] | None = None
    level: Reader | None = None
    since: str = FIRST_VERSION

    @property
    def flags(self) -> list[str]:
        """Flags, or the name of the place."""
        return [word for word in self.usage.split() if word[0] == "-"] or [self.usage]

    @property
    def metavar(self) -> str | None:
        """What stands for the value, where its type does not say it."""
        return " ".join(word for word in self.usage.split() if word not in self.flags) or None

    @property
    def dest(self) -> str:
        """Name of the value among the parsed ones, and in Boutiques: the first long flag."""
        long = next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])
        return long.lstrip("-").replace("-", "_")


def option(usage: str, help: str, default: Any = None, **more: Any) -> Any:
    """A field that is an option with one value; `more` as in `Option`."""
    return field(default=default, metadata={"option": Option(usage, help, **more)})


def several(usage: str, help: str, default: tuple[str, ...] = (), **more: Any) -> Any:
    """A field that is an option with one value or more."""
    return option(usage, help, default, nargs="+", **more)


def switch(usage: str, help: str, **more: Any) -> Any:
    """A field that is an option without value."""
    return option(usage, help, False, **more)


def options_of(section: Any) -> Iterator[tuple[str, Option]]:
    """Names of the fields of a section that are options, with their declarations."""
    for entry in fields(section):
        if "option" in entry.metadata:
            yield entry.name, entry.metadata["option"]


def level_of(section: Any, option: Option) -> Reader:
    """Which level reads an option: the participant level where neither it nor its section says."""
    usual: Reader = getattr(section, "level", "participant")
    return option.level or usual


def settings_of(section: Any, analysis: Analysis) -> dict[str, Any]:
    """Values of the options of a section that change the results of `analysis`, by name."""
    return {
        name: getattr(section, name)
        for name, option in options_of(section)
        if option.changes is None or analysis in option.changes
    }


def absolute(text: str) -> Path:
    """A path that outlives a change of the working directory."""
    return Path(text).absolute()


def label(entity: str) -> Kind:
    """Labels with or without the entity."""
    return Kind(lambda text: text.removeprefix(f"{entity}-"), "LABEL")


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
    for end in (first, last):
        _plausible(end, -_LONGEST, _LONGEST, "s", "milliseconds", 1e3)
    return first, last


def paths(text: str) -> tuple[Path, ...]:
    """Files with commas between them."""
    return tuple(absolute(part) for part in text.split(",") if part)


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
    return tuple(np.logspace(np.log10(low), np.log10(high), n).tolist())


def positive_number(text: str) -> float:
    """A finite number above 0."""
    value = non_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def at_least(low: int) -> Callable[[str], int]:
    """Whole numbers from `low` on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {low}")
        return int(text)

    return read


def between(low: float, high: float) -> Callable[[str], float]:
    """Numbers above `low` and below `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low < value < high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number above {low:g} and below {high:g}"
            )
        return value

    return read


def non_negative(text: str) -> float:
    """A finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def _plausible(
    value: float, low: float, high: float, unit: str, other: str, factor: float
) -> float:
    """The number, or an error that says whether it would do in another unit.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    if low <= value <= high:
        return value
    said = f": is it in {other}?" if low <= value / factor <= high else ""
    raise argparse.ArgumentTypeError(f"{value:g} {unit} is not from {low:g} to {high:g}{said}")


def within(
    low: float, high: float, unit: str = "s", other: str = "milliseconds", factor: float = 1e3
) -> Callable[[str], float]:
    """A number from `low` to `high`, which beyond them may be one of another unit."""
    return lambda text: _plausible(non_negative(text), low, high, unit, other, factor)


def width(text: str) -> float:
    """Millimeters, or 0."""
    value = non_negative(text)
    return value and _plausible(value, 0.1, 100, "mm", "m", 1e-3)


def period(text: str) -> float:
    """Seconds of the slowest drift that stays, or 0; a frequency in Hz is none."""
    value = non_negative(text)
    if 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"{value:g} s is less than a second: is it in Hz? Its period is {1 / value:g} s"
        )
    return value


def volumes(text: str) -> str:
    """A number of volumes, or ``auto``."""
    if text != "auto" and not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number")
    return text


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
    return _plausible(positive_number(text), 0.001, 1000, "Hz", "", math.inf)


Seconds = Annotated[float, Kind(non_negative, "SECONDS")]
HighPassSeconds = Annotated[HighPass, Kind(period, "SECONDS")]
Correlation = Annotated[float, Kind(within(0, 1, "of a correlation", "percent", 100), "R")]
Millimeters = Annotated[float, Kind(width, "MM")]
Fraction = Annotated[float, Kind(within(0, 1, "of a volume"))]
VolumeSeconds = Annotated[float, Kind(within(0.01, 60), "SECONDS")]
HopSeconds = Annotated[float, Kind(within(0.01, 10), "SECONDS")]
LagSeconds = Annotated[float, Kind(within(0.01, _LONGEST), "SECONDS")]
Count = Annotated[int, Kind(at_least(1), "N")]
Span = Annotated[tuple[float, float], Kind(span, "FIRST:LAST")]
Depths = Annotated[tuple[float, ...], Kind(non_negative)]
Penalties = Annotated[tuple[float, ...], Kind(penalties, "FIRST:LAST:N")]
Paths = Annotated[tuple[Path, ...], Kind(paths, "LEFT,RIGHT")]
Volumes = Annotated[str, Kind(volumes, "auto|N")]
Bytes = Annotated[int, Kind(gigabytes, "GB")]
Rate = Annotated[float | Literal["tr", "own"], Kind(rate, "tr|own|HZ")]
