"""References of the methods text, as text and as BibTeX."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bids_app.features.registry import SPACES
from bids_app.references import Reference

_MARK = re.compile(r"\[(@[a-z0-9]+(?:; ?@[a-z0-9]+)*)\]")
_FILE = Path(__file__).with_name("references.toml")
REFERENCES = {
    key: Reference(**fields)
    for key, fields in tomllib.loads(_FILE.read_text(encoding="utf-8")).items()
}


def references() -> dict[str, Reference]:
    """Publications by key, with those of the feature spaces."""
    return REFERENCES | {k: one for space in SPACES.values() for k, one in space.references.items()}


@dataclass(frozen=True)
class CitedText:
    """Paragraphs whose marks are numbers, and the numbered references.

    Attributes
    ----------
    paragraphs, references, keys : sequence of str
    marked : sequence of str
        The paragraphs with marks such as ``[@kim2024]``.
    """

    paragraphs: Sequence[str]
    references: Sequence[str]
    keys: Sequence[str]
    marked: Sequence[str] = ()

    @property
    def markdown(self) -> str:
        """Text and references."""
        listed = "\n".join(f"{n}. {line}" for n, line in enumerate(self.references, start=1))
        return "\n\n".join([*self.paragraphs, "## References", listed + "\n"])

    @property
    def latex(self) -> str:
        r"""Text with ``\cite``, for the entries of `bibtex`."""

        def cite(match: re.Match[str]) -> str:
            keys = [part.strip().removeprefix("@") for part in match.group(1).split(";")]
            return f"\\cite{{{','.join(keys)}}}"

        escaped = [re.sub(r"([%&_#$])", r"\\\1", text) for text in self.marked]
        texts = [_MARK.sub(cite, text).replace("²", "$^2$") for text in escaped]
        return "\n\n".join([*texts, "\\bibliographystyle{plain}\n\\bibliography{CITATION}\n"])

    @property
    def html(self) -> str:
        """Text and references as a page of HTML."""
        # Without its charset a browser takes a file's dashes for something else.
        head = '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Methods</title>'
        texts = [f"<p>{escape(text)}</p>" for text in self.paragraphs]
        listed = [f"<li>{escape(line)}</li>" for line in self.references]
        lines = [head, *texts, "<h2>References</h2>", "<ol>", *listed, "</ol>", "</html>", ""]
        return "\n".join(lines)

    @property
    def bibtex(self) -> str:
        """The references as BibTeX."""
        return bibliography(self.keys)


def number_citations(paragraphs: Sequence[str]) -> CitedText:
    """Turn marks such as ``[@hershey2017; @kim2024]`` into numbers in order of appearance.

    Raises
    ------
    KeyError
        If a mark names an unknown reference.
    """
    keys: list[str] = []
    known = references()

    def replace(match: re.Match[str]) -> str:
        numbers = []
        for part in match.group(1).split(";"):
            key = part.strip().removeprefix("@")
            if key not in known:
                raise KeyError(key)
            if key not in keys:
                keys.append(key)
            numbers.append(str(keys.index(key) + 1))
        return f"[{', '.join(numbers)}]"

    numbered = [_MARK.sub(replace, paragraph) for paragraph in paragraphs]
    return CitedText(numbered, [known[key].text for key in keys], keys, list(paragraphs))


def bibliography(keys: Sequence[str]) -> str:
    """BibTeX entries of some references."""
    known = references()
    return "\n\n".join(known[key].bibtex(key) for key in keys) + "\n"
