"""What the documents name is there: files, folders, modules and what modules hold."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]
FOLDERS = r"(?:bids_app|workflows|tests|benchmarks|containers|docs|examples|\.ci)"
NAMES = re.compile(
    rf"(?P<path>(?<![\w./-]){FOLDERS}/[\w./*-]*[\w/*])"
    r"|(?P<module>(?<![\w./-])bids_app(?:\.\w+)+)"
    r"|(?P<file>(?<![\w./-])\w+\.py\b)"
    r"|\]\((?P<link>(?!https?:|#)[^)#]+)"
)


def _is_there(kind: str, name: str, document: Path) -> bool:
    if kind == "link":
        return (document.parent / name).exists()
    if kind in ("path", "file"):
        return any(ROOT.glob(name if kind == "path" else f"[!.]*/**/{name}"))
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return False
    return True


def _missing(document: Path) -> list[str]:
    return [
        f"{document.name}:{number}: {found[0]}"
        for number, line in enumerate(document.read_text().splitlines(), 1)
        for found in NAMES.finditer(line)
        if not _is_there(str(found.lastgroup), found[str(found.lastgroup)], document)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_is_there(document):
    assert _missing(document) == []


def test_what_is_gone_is_found(tmp_path):
    (tmp_path / "gone.md").write_text(
        "tests/gone.py bids_app/gone/ `bids_app.gone` bids_app.files.gone gone.py [x](gone2.md)\n"
        "tests/test_documents.py bids_app/files.py bids_app.files.write_json files.py [x](gone.md)"
    )
    assert len(_missing(tmp_path / "gone.md")) == 6
    assert all(":1: " in missing for missing in _missing(tmp_path / "gone.md"))
