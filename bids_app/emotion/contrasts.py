"""Contrasts of conditions, as people write them: ``dissonant - consonant``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from bids_app.errors import UsageError

_BEFORE = r"\s*([+-]?)\s*(?:(\d+(?:\.\d+)?)\s*\*\s*)?"
_NAME = r"[^\W\d][\w.]*"


def parse_contrast(text: str, conditions: Iterable[str]) -> dict[str, float]:
    """Weights of conditions from a sum such as ``dissonant - 0.5*consonant``.

    Parameters
    ----------
    text : str
        Names joined by plus and minus, each with an optional factor. Where several names of
        conditions fit, as with ``a``, ``b`` and ``a-b``, the longest is meant.
    conditions : iterable of str
        Known conditions.

    Returns
    -------
    dict from str to float

    Raises
    ------
    UsageError
        If the text cannot be parsed or names an unknown condition. The message lists the known
        ones.

    Examples
    --------
    >>> parse_contrast("dissonant - 0.5*consonant", ["consonant", "dissonant", "rest"])
    {'dissonant': 1.0, 'consonant': -0.5}
    """
    known = sorted(set(conditions))
    text = unicodedata.normalize("NFC", text)  # as names are read
    # Names there are come first, the longest first: they may hold spaces and hyphens.
    names = [rf"{re.escape(name)}(?![\w.])" for name in sorted(known, key=len, reverse=True)]
    term = re.compile(rf"{_BEFORE}({'|'.join([*names, _NAME])})\s*")
    weights: dict[str, float] = {}
    position = 0
    while position < len(text):
        match = term.match(text, position)
        if match is None or (position > 0 and not match.group(1)):
            raise UsageError(
                "A contrast cannot be read.",
                where=text,
                found=text[position:],
                wanted="names joined by + and -, such as: " + example(known),
                remedy="correct the contrast",
            )
        sign, factor, name = match.groups()
        weights[name] = weights.get(name, 0.0) + (-1.0 if sign == "-" else 1.0) * float(factor or 1)
        position = match.end()
    unknown = sorted(set(weights) - set(known))
    if unknown or not any(weights.values()):
        raise UsageError(
            "A contrast names an unknown condition." if unknown else "A contrast is empty.",
            where=text,
            found=", ".join(unknown) or "nothing",
            wanted="conditions: " + (", ".join(known) or "none in the events"),
            remedy="use names of the column trial_type of the events",
        )
    return weights


def example(conditions: list[str]) -> str:
    """Example of a contrast for messages, with the first two of the conditions.

    Examples
    --------
    >>> example(["calm", "fear", "joy"])
    'calm - fear'
    """
    return " - ".join(conditions[:2]) if conditions else "dissonant - consonant"
