"""Names of files as the generated list of outputs writes them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

_DOCS = Path(__file__).parents[2] / "docs"
_TOKEN = re.compile(r"[\[\]*]|<[^>]+>|\{[^}]+\}|[^\[\]<{*]+")
_MEANT = {"[": "(?:", "]": ")?", "*": ".*"}


def listed_names(level: str) -> list[re.Pattern[str]]:
    """Patterns of all rows under ``Of a participant`` or ``Of the group``."""
    sys.path.insert(0, str(_DOCS))
    try:
        from generated import outputs_page
    finally:
        sys.path.remove(str(_DOCS))
    _, text = "\n".join(outputs_page()).split(f"## {level}\n")
    names = re.findall(r"^\| `([^`]+)`", text.split("\n## ")[0], re.MULTILINE)
    return [re.compile("".join(map(_meaning, _TOKEN.findall(name)))) for name in names]


def unlisted(names: Iterable[str], level: str) -> list[str]:
    """Names that no row of the list has."""
    rows = listed_names(level)
    return sorted(name for name in names if not any(row.fullmatch(name) for row in rows))


def _meaning(token: str) -> str:
    if token[0] == "<":
        return "[0-9A-Za-z+]+"
    if token[0] == "{":
        return f"(?:{'|'.join(map(re.escape, token[1:-1].split(',')))})"
    return _MEANT.get(token, re.escape(token))
