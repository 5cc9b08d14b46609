"""The `datalad get` command for needed files whose content is absent."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bids_app.inputs.files import content_problem
from bids_app.inputs.runs import RunFiles
from bids_app.inputs.sidecars import Inheritance
from bids_app.inputs.stimuli import may_be_audio

_POINTER = 1024  # bytes; an unlocked file of git-annex without content is smaller
_LEVELS = (
    (r"task-[^_]+", r"run-[^_]+", r"hemi-[LR]"),
    (r"run-[^_]+", r"hemi-[LR]"),
    (r"hemi-[LR]",),
)
"""Entities that a pattern may leave open, the most first."""


def absent(path: Path) -> bool:
    """Whether git-annex has the content of a file elsewhere."""
    try:
        pointer = path.is_symlink() or path.stat().st_size < _POINTER
    except (OSError, ValueError):  # not there, or a name that no file can have
        return False
    return pointer and "datalad get" in (content_problem(path) or "")


def files_of_run(run: RunFiles, derivative: Inheritance, raw: Inheritance | None) -> set[Path]:
    """Every file that a run is read from, besides its audio."""
    named = [file for file in (run.left, run.right, run.confounds) if file is not None]
    found = {file.path for file in named} | set(run.surfaces)
    if run.confounds is not None:
        path = run.confounds.path
        found.add(path.with_name(path.name.removesuffix(".tsv") + ".json"))
    for file in named[:2]:
        found |= set(derivative.sidecars(file.path.parent, file.entities))
    if raw is not None:
        found |= set(raw.sidecars(raw.func_folder(run.entities), run.entities))
        events = raw.events(run.entities)
        if events is not None:
            found.add(events)
            if absent(events):  # which names the music
                found |= _audio_of(raw.root)
    return found


def _audio_of(raw_dir: Path) -> set[Path]:
    return {path for path in (raw_dir / "stimuli").rglob("*") if path.suffix and may_be_audio(path)}


def fetch_command(files: Iterable[Path]) -> str:
    """A shell command that fetches those of `files` that are absent; empty where none is.

    Parameters
    ----------
    files : iterable of Path
        Everything that is needed.

    Returns
    -------
    str
        ``cd DATASET && datalad get PATTERN ...``, for bash. No pattern matches what is absent and
        not needed.
    """
    of_dataset: dict[Path, set[Path]] = defaultdict(set)
    for path in set(files):
        if absent(path):
            of_dataset[_dataset_of(path)].add(path)
    commands = []
    for root, needed in sorted(of_dataset.items()):
        patterns = " ".join(dict.fromkeys(_patterns(root, needed)))
        commands.append(f"cd {shlex.quote(str(root))} && datalad get {patterns}")
    if len(commands) > 1:
        return " && ".join(f"({command})" for command in commands)
    return "".join(commands)


def _dataset_of(path: Path) -> Path:
    """The outermost DataLad dataset that a file is in; else the git repository, else its folder."""
    above = list(path.parents)
    datalad = [folder for folder in above if (folder / ".datalad").is_dir()]
    git = [folder for folder in above if (folder / ".git").exists()]
    if datalad:
        return datalad[-1]
    return git[0] if git else _outside_participants(path)


def _outside_participants(path: Path) -> Path:
    """The folder above the participants, or above the stimuli."""
    for folder in path.parents:
        if folder.name.startswith("sub-") or folder.name == "stimuli":
            return folder.parent
    return path.parent


def _patterns(root: Path, needed: set[Path]) -> Iterator[str]:
    """Patterns below `root` that together match all that is needed and absent, and no more."""
    left = set(needed)
    people = sorted({label for path in needed if (label := _participant(root, path))})
    for path in sorted(needed):
        if path not in left:
            continue
        for pattern, matched in _candidates(root, path, people):
            wanted = {one for one in matched if absent(one)}
            if path in wanted and wanted <= needed:
                left -= wanted
                yield re.sub(r"([^A-Za-z0-9_./@%+=:,*?{}-])", r"\\\1", pattern)
                break
        else:
            left.discard(path)
            yield shlex.quote(path.relative_to(root).as_posix())


def _candidates(root: Path, path: Path, people: Sequence[str]) -> Iterator[tuple[str, set[Path]]]:
    """Patterns that match a file, the widest first, with what they match."""
    relative = path.relative_to(root)
    if not _participant(root, path):
        pattern = (relative.parent / f"*{path.suffix}").as_posix()
        yield pattern, set(root.glob(pattern))
        return
    above = relative.parent.as_posix()
    above = re.sub(r"(^|/)ses-[^/]+", r"\1ses-*", above)
    for who in ("*", *(["{" + ",".join(people) + "}"] if len(people) > 1 else people)):
        folder = re.sub(r"(^|/)sub-[^/]+", rf"\1sub-{who}", above)
        for open_entities in _LEVELS:
            name = re.sub(r"^sub-[^_]+_(ses-[^_]+_)?", "*", path.name)
            for entity in open_entities:
                name = re.sub(entity, lambda found: found[0].partition("-")[0] + "-*", name)
            each = people if who.startswith("{") else [who]
            folders = [folder.replace(f"sub-{who}", f"sub-{one}") for one in each]
            yield f"{folder}/{name}", {m for one in folders for m in root.glob(f"{one}/{name}")}


def _participant(root: Path, path: Path) -> str:
    """Label of the participant in whose folder a file is; empty where it is in none."""
    parts = path.relative_to(root).parts[:-1]
    return next((part[4:] for part in parts if part.startswith("sub-")), "")
