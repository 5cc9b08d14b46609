"""Labels of stimuli from file names: distinct, of letters and digits."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bids_app.errors import MusencError
from bids_app.files import sha256_of_file
from bids_app.inputs.files import content_problem
from bids_app.inputs.stimuli import AUDIO_SUFFIXES, may_be_audio, rows_of_events
from bids_app.labels import safe_label, short_checksum


def stimulus_label(path: Path) -> str:
    """File stem as a BIDS label (letters and digits); that of ``stim-<label>_audio.wav``.

    As `safe_label` writes it.
    """
    stem = path.name.partition(".")[0] if path.name.startswith("stim-") else path.stem
    match = re.fullmatch(rf"stim-([a-zA-Z0-9+]+)_(?:{'|'.join(AUDIO_SUFFIXES)})", stem)
    return match.group(1) if match else safe_label(stem, nothing="stimulus")


def stimulus_labels(paths: Iterable[Path]) -> dict[Path, str]:
    """Labels of files of which several are in play: those that would have one label differ.

    Files of one content are one stimulus and keep their label. Others get the name of
    their folder before it, else a short checksum of the name behind it.

    Parameters
    ----------
    paths : iterable of Path
        All files that are heard in the study, by whomever: a label must not depend on who is
        analyzed.
    """
    known = sorted(set(paths))
    labels = {path: stimulus_label(path) for path in known}
    for group in _clashes(labels).values():
        if len({_content(path) for path in group}) == 1:
            continue
        others = {label.casefold() for path, label in labels.items() if path not in group}
        named = {path: safe_label(path.parent.name) + labels[path] for path in group}
        folded = [label.casefold() for label in named.values()]
        if len(set(folded)) < len(group) or others & set(folded):
            above = os.path.commonpath([path.parent for path in group])
            texts = {path: path.relative_to(above).as_posix() for path in group}
            named = {path: labels[path] + short_checksum(texts[path]) for path in group}
        labels |= named
    return labels


def files_heard(raw_dir: Path) -> list[Path]:
    """Audio files that any events.tsv of a dataset names, where two files have one label.

    Empty where the files below ``stimuli`` have different labels: then nothing need be read.
    """
    folder = raw_dir / "stimuli"
    there = [path for path in folder.rglob("*") if path.suffix and may_be_audio(path)]
    if not _clashes({path: stimulus_label(path) for path in there}):
        return []
    tables = [*raw_dir.glob("*_events.tsv"), *raw_dir.glob("sub-*/**/*_events.tsv")]
    heard: set[Path] = set()
    for table in tables:
        if content_problem(table) is None:
            # A table that cannot be read is told of its own run.
            with suppress(MusencError):
                heard |= {row.path for row in rows_of_events(table, raw_dir)}
    return sorted(heard)


def _clashes(labels: dict[Path, str]) -> dict[str, list[Path]]:
    """Files that have one label, whatever its case."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path, label in labels.items():
        groups[label.casefold()].append(path)
    return {label: group for label, group in groups.items() if len(group) > 1}


def _content(path: Path) -> str:
    return str(path) if content_problem(path) else sha256_of_file(path)
