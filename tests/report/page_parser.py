"""What a reader finds on a page: headings, tables, facts, pictures, what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Page:
    """Content of a page."""

    text: str = ""
    headings: list[str] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    pictures: list[dict[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    verdicts: list[tuple[str, str]] = field(default_factory=list)
    verbatim: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)

    def table(self, beginning):
        """Rows of the one table whose caption begins so; the header first."""
        found = [rows for caption, rows in self.tables.items() if caption.startswith(beginning)]
        assert len(found) == 1, f"{beginning}: {list(self.tables)}"
        return found[0]


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.page = Page()
        self.open: list[tuple[str, dict[str, str], list[str]]] = []
        self.caption = ""
        self.term = ""

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        self.page.tags.add(tag)
        if "id" in attributes:
            self.page.anchors.add(attributes["id"])
        if tag == "a":
            self.page.links.append(attributes["href"])
        if tag == "img":
            self.page.pictures.append(attributes)
        if tag == "table":
            self.rows = []
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append((tag, attributes, []))

    def handle_data(self, data):
        for _, _, parts in self.open:
            parts.append(data)

    def handle_endtag(self, tag):
        name, attributes, parts = self.open.pop()
        assert name == tag, f"<{name}> closed by </{tag}>"
        text = "".join(parts) if tag == "pre" else " ".join("".join(parts).split())
        kind = attributes.get("class", "")
        page = self.page
        if tag in ("h1", "h2"):
            page.headings.append(text)
        elif tag == "caption":
            self.caption = text
        elif tag in ("td", "th"):
            self.rows[-1].append(text)
        elif tag == "table":
            page.tables[self.caption] = self.rows
        elif tag == "dt":
            self.term = text
        elif tag == "dd":
            page.facts[self.term] = text
        elif kind == "missing":
            page.missing.append(text)
        elif kind.startswith("verdict"):
            page.verdicts.append((kind.removeprefix("verdict").strip(), text))
        elif tag == "pre":
            page.verbatim.append(text)
        elif tag == "html":
            page.text = text


def read_page(path: Path) -> Page:
    """Parse a page; every tag must be closed in order."""
    reader = _Reader()
    reader.feed(Path(path).read_text(encoding="utf-8"))
    assert not reader.open
    return reader.page
