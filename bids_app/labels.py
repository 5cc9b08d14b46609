"""Labels for the names of files: letters and digits, from any text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bids_app.files import sha256_of

_DIGITS = 6  # of a checksum that stands for what letters cannot say
_LONGEST = 60  # of a label: names of files hold two, and at most 255 characters
_SIGNS = {
    "#": "sharp", "\u266f": "sharp", "\u266d": "flat", "\u266e": "natural",
    "\u00df": "ss", "\u1e9e": "SS", "\u00e6": "ae", "\u00c6": "Ae", "\u0153": "oe",
    "\u0152": "Oe", "\u00f8": "o", "\u00d8": "O", "\u0142": "l", "\u0141": "L", "\u0111": "d",
    "\u0110": "D", "\u00f0": "d", "\u00d0": "D", "\u00fe": "th", "\u00de": "Th", "\u0131": "i",
}  # fmt: skip
# Revised Romanization of Korean, syllable by syllable.
_FIRST = "g kk n d tt r m b pp s ss _ j jj ch k t p h".split()  # noqa: SIM905
_MIDDLE = "a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i".split()  # noqa: SIM905
_LAST = "_ k k k n n n t l k m l l l p l m p p t t ng t t k t p t".split()  # noqa: SIM905
_HANGUL = 0xAC00


def safe_label(text: str, *, nothing: str = "x") -> str:
    """A text as a BIDS label: letters and digits, at most 60; a label stays as it is.

    Accents are dropped, Hangul is romanized, sharps and flats are spelled. A text with letters
    that cannot be written so, or a longer one, gets a short checksum of it.

    Parameters
    ----------
    text : str
    nothing : str
        The label of a text without letters and digits.

    Examples
    --------
    >>> safe_label("conv1_1"), safe_label("\u00c4rger"), safe_label("+")
    ('conv11', 'Arger', 'x')
    """
    composed = unicodedata.normalize("NFC", text)
    parts = [_written(character) for character in composed]
    lost = any(
        not part and unicodedata.category(character)[0] in "LN"
        for part, character in zip(parts, composed, strict=True)
    )
    label = "".join(parts)
    if lost or len(label) > _LONGEST:
        return label[: _LONGEST - _DIGITS] + short_checksum(composed)
    return label or nothing


def distinct_labels(names: Sequence[str]) -> dict[str, str]:
    """Labels of names, each its own: where letters and digits do not tell, a number is added.

    Examples
    --------
    >>> distinct_labels(["block1.11", "block11.1"])
    {'block1.11': 'block111', 'block11.1': 'block111n2'}
    """
    found: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        label = safe_label(name)
        # Some file systems do not tell upper case from lower.
        while label.casefold() in {other.casefold() for other in found.values()}:
            label += f"n{number}"
        found[name] = label
    return found


def short_checksum(text: str) -> str:
    """Six digits that stand for a text, however its accents are stored."""
    return sha256_of(unicodedata.normalize("NFC", text))[:_DIGITS]


def _written(character: str) -> str:
    """A character in letters and digits; empty where that cannot be."""
    if character in _SIGNS:
        return _SIGNS[character]
    number = ord(character) - _HANGUL
    if 0 <= number < 19 * 21 * 28:
        parts = _FIRST[number // 588], _MIDDLE[number % 588 // 28], _LAST[number % 28]
        return "".join(parts).replace("_", "")
    plain = unicodedata.normalize("NFKD", character)
    return re.sub(r"[^a-zA-Z0-9]", "", plain)
