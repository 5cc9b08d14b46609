"""Entities from file names, and the surface spaces they spell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bids_app.inputs.records import RUN_ENTITIES
from bids_app.meshes import mesh_at

PYBIDS_NAMES = {
    "subject": "sub",
    "session": "ses",
    "acquisition": "acq",
    "ceagent": "ce",
    "reconstruction": "rec",
    "direction": "dir",
    "resolution": "res",
    "density": "den",
    "description": "desc",
    "hemisphere": "hemi",
}
"""Long entity names, as filter files spell them, and the keys used in file names."""
_FIRST_SUFFIX = "bold"  # fMRIPrep 1.0 has two: *_bold_confounds.tsv


@dataclass(frozen=True)
class NamedFile:
    """A path and what its name says.

    Attributes
    ----------
    path : Path
    entities : mapping
        BIDS keys (``sub``, ``task``, ...) to labels as spelled.
    suffix : str or None
        None for fMRIPrep 1.x surface files, which have none.
    extension : str
    words : tuple of str
        Parts before the suffix that are no entity: BIDS has none, and runs that differ in them
        alone cannot be told apart.
    """

    path: Path
    entities: Mapping[str, str] = field(hash=False)
    suffix: str | None
    extension: str
    words: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The name, with what is wrong in it."""
        return self.path.name + "".join(f" ({word} is no entity)" for word in self.words)


def parse_name(path: Path) -> NamedFile:
    """Read the entities of a file name.

    Only the name counts, never the folders above it: a dataset may live below a folder that is
    itself called ``sub-something``. The names of fMRIPrep 1.0 are understood too
    (``_bold_space-fsaverage5.L.func.gii``).
    """
    stem, dot, extension = path.name.partition(".")
    entities: dict[str, str] = {}
    suffix, words = None, []
    for part in stem.split("_"):
        key, dash, value = part.partition("-")
        if dash and key.isalnum() and value:
            entities[key] = value
        elif part:
            words.append(suffix or "")
            suffix = part
    for hemisphere in ("L", "R"):
        if extension.startswith(f"{hemisphere}."):
            entities.setdefault("hemi", hemisphere)
            extension = extension[2:]
    strays = tuple(word for word in words if word not in ("", _FIRST_SUFFIX))
    return NamedFile(path, entities, suffix, dot + extension, strays)


def misplaced(file: NamedFile, root: Path) -> bool:
    """Whether a file of a participant lies elsewhere than in the folder for what it names.

    A copy in another folder must not be read in place of the file itself. A file that names no
    participant belongs to nobody.
    """
    folders = file.path.relative_to(root).parts[:-1]
    own = [f"{key}-{file.entities[key]}" for key in ("sub", "ses") if key in file.entities]
    return folders[-1:] not in (("func",), ("anat",)) or folders[:-1] not in (
        tuple(own[:1]),
        tuple(own),
    )


def canonical_space(entities: Mapping[str, str]) -> str | None:
    """Name of the surface space, whichever way it is spelled.

    ``space-fsaverage_den-10k`` and ``space-fsaverage5`` are the same mesh.
    """
    space = entities.get("space")
    return mesh_at(space or "", entities.get("den", "")) or space


def strip_prefix(label: str, key: str) -> str:
    """``sub-01`` and ``01`` are the same label."""
    return str(label).strip().removeprefix(f"{key}-")


def same_label(key: str, first: str, second: str) -> bool:
    """Whether two labels mean the same; run indices are numbers, so ``1`` is ``01``."""
    if key in ("run", "echo") and first.isdigit() and second.isdigit():
        return int(first) == int(second)
    return first == second


def contains_label(key: str, labels: Iterable[str], value: str | None) -> bool:
    """Whether `value` is one of the labels a user gave."""
    return value is not None and any(same_label(key, label, value) for label in labels)


def run_entities(entities: Mapping[str, str]) -> dict[str, str]:
    """The entities that distinguish acquisitions, in BIDS order."""
    return {key: entities[key] for key in RUN_ENTITIES if key in entities}


def entities_agree(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    """Whether every entity of `first` is in `second` with the same label."""
    return all(
        key in second and same_label(key, value, second[key]) for key, value in first.items()
    )


def sort_key(entities: Mapping[str, str]) -> tuple[tuple[int, str], ...]:
    """Order of runs: participant, session, task, ..., run, with numbers as numbers."""
    values = [entities.get(key, "") for key in RUN_ENTITIES]
    return tuple((int(value) if value.isdigit() else 0, value) for value in values)
