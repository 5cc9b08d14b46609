"""Where the tools of other machines are, and what may differ in derivatives made there."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".." / "shared" / "tools"
SINGULARITY = (ROOT / "Singularity.def").read_text()
DOCKER_IMAGE = "localhost/musenc-bidsapp-test"
RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")


def section(name: str, **arguments: str) -> str:
    """A section of Singularity.def, with the build arguments filled in as `apptainer` does."""
    found = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", SINGULARITY, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    text = found.group(1)
    for key, value in arguments.items():
        text = text.replace("{{ " + key + " }}", value)
    return text


def derivatives(folder: Path, only: str = "") -> dict[str, bytes]:
    """Content of every file of results by its name, without when and where it was made.

    Left out are logs, and the caches of the program; replaced are names of runs (date and time),
    and the folder itself. `only` is what names begin with.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not path.is_file() or name.parts[0] in ("logs", ".musenc"):
            continue
        if not name.parts[0].startswith(only):
            continue
        content = path.read_bytes()
        if path.suffix in (".json", ".html", ".md", ".tsv", ".svg"):
            text = RUN_ID.sub("RUN", content.decode()).replace(str(folder), "OUT")
            content = text.replace(json.dumps(str(folder))[1:-1], "OUT").encode()
        found[str(name)] = content
    return found


def differences(folder: Path, other: Path, *, only: str = "") -> list[str]:
    """Names of files that are in one folder only, or are not the same in both."""
    ours, theirs = (derivatives(each, only) for each in (folder, other))
    assert len(ours) > 50, f"{folder} holds {len(ours)} files"
    names = ours.keys() | theirs.keys()
    return sorted(n for n in names if ours.get(n) != theirs.get(n))
