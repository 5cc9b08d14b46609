"""Describe how texts differ that look the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from bids_app.plain import some_of

# Letters of other alphabets that look like Latin ones.
_LOOKS_LIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u0458\u0410\u0412\u0415\u041a\u041c"
    "\u041d\u041e\u0420\u0421\u0422\u0425\u03bf\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c"
    "\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u2010\u2011\u2012\u2013\u2014\u2212\u2018\u2019\u201c"
    "\u201d",
    "aeopcyxisjABEKMHOPCTXoABEZHIKMNOPTYX------''\"\"",
)
_SHOWN = 4


def skeleton(text: str) -> str:
    """What is seen of a text: without invisible characters, one form of every letter."""
    plain = unicodedata.normalize("NFKC", text).translate(_LOOKS_LIKE)
    visible = (c for c in plain if unicodedata.category(c) not in ("Cf", "Cc"))
    return " ".join("".join(visible).split())


def look_the_same(first: str, second: str) -> bool:
    """Whether two different texts look the same."""
    return first != second and skeleton(first) == skeleton(second)


def difference(first: str, second: str) -> str:
    """How two texts that look the same differ; empty where they do not look the same.

    Parameters
    ----------
    first, second : str

    Returns
    -------
    str
        The code points that only one of them has, by their Unicode names.
    """
    if not look_the_same(first, second):
        return ""
    composed = unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)
    own, other = _only(first, second), _only(second, first)
    told = f"the first has {own or 'nothing'} where the second has {other or 'nothing'}"
    if composed:
        return f"{told} (one has accents as characters of their own: Unicode NFD, not NFC)"
    return told


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The first of `names` that looks like `name`; None where none does."""
    return next((other for other in sorted(names) if look_the_same(name, other)), None)


def _only(text: str, other: str) -> str:
    """Characters of a text from the first to the last place where the other differs."""
    start = 0
    while start < min(len(text), len(other)) and text[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(text), len(other)) - start and text[-1 - end] == other[-1 - end]:
        end += 1
    middle = text[start : len(text) - end]
    return some_of(map(_named, middle), _SHOWN)


def _named(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, 'without a name')}"
