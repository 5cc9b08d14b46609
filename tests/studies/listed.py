"""What ``--dry-run`` lists, against what is there."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from bids_app.outputs import sidecar_of


def listed(text: str) -> set[str]:
    """Files that the text of a dry run names, with their sidecars."""
    names = text.partition("outputs below ")[2].splitlines()[1:]
    found = set()
    for name in (name.strip() for name in names if name.startswith("  ")):
        parts = re.split(r"\{([^}]*)\}", name)
        choices = [part.split(",") if k % 2 else [part] for k, part in enumerate(parts)]
        for path in map(Path, map("".join, itertools.product(*choices))):
            with_sidecar = path.suffix in (".gii", ".tsv", ".h5")
            found |= {str(p) for p in (path, *([sidecar_of(path)] if with_sidecar else []))}
    return found


def written(root: Path, participant: str) -> set[str]:
    """Everything that an output folder has of a participant, besides the figures of the page."""
    own = [
        *root.glob(f"sub-{participant}.html"),
        *root.glob(f"sub-{participant}_*.html"),
        *root.glob(f"sub-{participant}/**/*"),
    ]
    files = (path for path in own if path.is_file() and not path.stem.endswith("_figure"))
    return {str(path.relative_to(root)) for path in files}
