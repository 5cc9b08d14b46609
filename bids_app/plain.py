"""Escape text of a dataset for a terminal, a log or a cell of a table."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

# Characters that turn the direction of what follows: "gpj.exe" shown as "exe.jpg".
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BREAKING = frozenset("\u2028\u2029")
_FORMULA = ("=", "+", "-", "@")


def plain(text: object) -> str:
    r"""A text in one line, control characters spelled (``\x1b``, ``\n``), nothing lost."""
    return "".join(_spelled(c) if _controls(c) else c for c in str(text))


def plain_lines(text: object) -> str:
    """As `plain`, line by line; lines after the first are indented: none looks like one of ours."""
    return "\n    ".join(plain(line) for line in str(text).split("\n"))


def shown(text: object) -> str:
    """A text of the program's own lines as a terminal may have it: line feeds and tabs stay."""
    return "\n".join(
        "\t".join(plain(part) for part in line.split("\t")) for line in str(text).split("\n")
    )


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 layer``, ``2 layers``; `many` where it is not `one` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def some_of(texts: Iterable[object], n_shown: int = 6, between: str = ", ") -> str:
    """The first texts, and how many more there are.

    Examples
    --------
    >>> some_of(["a", "b"]), some_of(range(9), 3)
    ('a, b', '0, 1, 2 and 6 more')
    """
    told = [str(text) for text in texts]
    more = f" and {len(told) - n_shown} more" if len(told) > n_shown else ""
    return between.join(told[:n_shown]) + more


def cell(value: object) -> object:
    """A value as a table may have it: a text in one line that no spreadsheet takes for a formula.

    Numbers stay, also those that are spelled (``-0.5``). What would begin a formula, or a quotation
    that runs over cells and lines, gets an apostrophe before it.
    """
    if not isinstance(value, str):
        return value
    text = plain(value)
    if text.startswith(_FORMULA) and not _is_number(text):
        return f"'{text}"
    return f"'{text}" if text.startswith('"') else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _controls(character: str) -> bool:
    if character.isascii():
        return not character.isprintable()
    return (
        character in _TURNING
        or character in _BREAKING
        or unicodedata.category(character) in ("Cc", "Cs")
    )


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
