"""A publication, as text and as BibTeX."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """One publication.

    Attributes
    ----------
    authors : str
        ``Family, Given and Family, Given``, as BibTeX has it.
    title, journal, year, doi : str
    volume, pages : str
        Empty where there are none.
    kind : str
        BibTeX entry type.
    """

    authors: str
    title: str
    journal: str
    year: str
    doi: str = ""
    volume: str = ""
    pages: str = ""
    kind: str = "article"

    @property
    def text(self) -> str:
        """One line for a list of references."""
        names = [name.strip() for name in self.authors.split(" and ")]
        people = names[0] if len(names) == 1 else f"{names[0]} et al."
        if len(names) == 2:
            people = " & ".join(names)
        place = ", ".join(part for part in (self.journal, self.volume, self.pages) if part)
        doi = f" doi:{self.doi}" if self.doi else ""
        return f"{people} ({self.year}). {self.title}. {place}.{doi}"

    def bibtex(self, key: str) -> str:
        """The BibTeX entry."""
        place = {"article": "journal", "inproceedings": "booktitle"}.get(self.kind, "howpublished")
        fields = {
            "author": self.authors,
            "title": f"{{{self.title}}}",
            place: self.journal,
            "year": self.year,
            "volume": self.volume,
            "pages": self.pages.replace("–", "--"),
            "doi": self.doi,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{self.kind}{{{key},", *lines, "}"])
