"""The user's labels compared with those in the dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_app.config import Selection
from bids_app.errors import InvalidInputError, NothingSelectedError, UsageError
from bids_app.files import read_json
from bids_app.inputs.layout import participants_there
from bids_app.inputs.names import (
    PYBIDS_NAMES,
    contains_label,
    entities_agree,
    parse_name,
    run_entities,
    same_label,
    strip_prefix,
)
from bids_app.inputs.records import RUN_ENTITIES
from bids_app.inputs.stimuli import StimulusRow
from bids_app.plain import some_of

_NOUNS = {"sub": "participant", "ses": "session", "task": "task", "run": "run"}
# Parts of fMRIPrep's filter files; those but `bold` are about files that are not read.
_PARTS = ("t1w", "t2w", "flair", "bold", "sbref", "fmap", "roi", "dwi", "asl", "m0scan", "pet")
_ENTITIES = {
    *RUN_ENTITIES, *PYBIDS_NAMES, *PYBIDS_NAMES.values(),
    "task", "run", "echo", "part", "space", "res", "den", "desc", "hemi", "suffix", "datatype",
    "extension", "direction", "inv", "recording", "cohort", "from", "to", "mode", "label", "scope",
    "subject", "mt", "flip", "proc", "chunk", "atlas", "seg", "scale", "stat",
}  # fmt: skip
_UNUSED = ("datatype", "extension", "scope")


def as_number(label: str) -> int | None:
    """The number that a label is, ``01``, ``1`` and ``1.0`` alike; None where it is none."""
    match = re.fullmatch(r"0*(\d+)(?:\.0*)?", label)
    return int(match[1]) if match else None


def meant_by(label: str, there: Iterable[str]) -> str | None:
    """The label on disk that a label stands for.

    Parameters
    ----------
    label : str
        As the user wrote it, without prefix.
    there : iterable of str
        Labels on disk.

    Returns
    -------
    str or None
        The same label; else the only one that is the same number (a spreadsheet writes ``1`` or
        ``1.0`` for ``01``); None where there is none, or more than one.
    """
    known = set(there)
    if label in known:
        return label
    number = as_number(label)
    if number is None:
        return None
    same = {other for other in known if as_number(other) == number}
    return same.pop() if len(same) == 1 else None


def taken_for(key: str, label: str, meant: str) -> str:
    """The note about a label that was not taken literally."""
    return f"{_NOUNS.get(key, key)} {label} is taken for {key}-{meant}"


@dataclass
class Universe:
    """Which runs there are, whether they were selected or not.

    Attributes
    ----------
    participants : tuple of str
        All that are there.
    runs : sequence of mapping
        Entities of the runs of the participants that were looked at.
    whole : bool
        Whether these are all participants.
    everything : callable
        Gives the entities of the runs of all participants, from the names of their files.
    raw_dir : Path or None
        The raw dataset: what is there, but was not preprocessed, can be excluded.
    """

    participants: tuple[str, ...]
    runs: Sequence[Mapping[str, str]]
    whole: bool
    everything: Callable[[], Sequence[Mapping[str, str]]]
    raw_dir: Path | None = None

    def labels(self, key: str) -> set[str]:
        """Labels of an entity."""
        if key == "sub":
            return set(self.participants)
        return {run[key] for run in self.runs if key in run}

    def meets(self, entities: Mapping[str, str]) -> bool:
        """Whether some run has these entities, or a participant who may have no run."""
        if set(entities) == {"sub"} and entities["sub"] in self.participants:
            return True
        if any(entities_agree(entities, run) for run in self.runs):
            return True
        return not self.whole and any(entities_agree(entities, run) for run in self.everything())

    def preprocessed(self, entities: Mapping[str, str]) -> bool:
        """Whether there are runs of anybody, of this task in this session."""
        places = {(run.get("task"), run.get("ses")) for run in self.everything()}
        return (entities.get("task"), entities.get("ses")) in places

    def knows(self, entities: Mapping[str, str]) -> bool:
        """Whether some run, or a participant without any, is called so."""
        if self.meets(entities):
            return True
        raw = [] if self.raw_dir is None else named_runs([self.raw_dir])
        people = {*self.participants, *(run["sub"] for run in raw)}
        alone = set(entities) == {"sub"} and entities["sub"] in people
        return alone or any(entities_agree(entities, run) for run in raw)

    def meant(self, entities: Mapping[str, str], notes: list[str]) -> dict[str, str]:
        """Entities with labels as they are on disk."""
        result = dict(entities)
        for key, label in entities.items():
            known = self.labels(key)
            found = meant_by(label, known)
            if found is None and not self.whole and key != "sub":
                found = meant_by(label, {run[key] for run in self.everything() if key in run})
            if found is not None and found != label:
                if not (key == "run" and same_label(key, found, label)):
                    notes.append(taken_for(key, label, found))
                result[key] = found
        return result


def differ_in_capitals(universe: Universe) -> list[str]:
    """Notes about labels that differ in capital letters alone: files of some disks cannot."""
    notes = []
    for key in RUN_ENTITIES:
        alike: dict[str, list[str]] = {}
        for label in sorted(universe.labels(key)):
            alike.setdefault(label.casefold(), []).append(f"{key}-{label}")
        notes += [
            f"{' and '.join(labels)} differ in capital letters alone: they count as "
            f"{len(labels)}, and on a disk that does not tell capitals apart their files replace "
            "one another; rename all but one"
            for labels in alike.values()
            if len(labels) > 1
        ]
    return notes


def named_runs(folders: Iterable[Path]) -> list[Mapping[str, str]]:
    """Entities of all runs, from the names of functional files."""
    found: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
    for folder in folders:
        for pattern in ("sub-*/func/*_task-*", "sub-*/ses-*/func/*_task-*"):
            for path in folder.glob(pattern):
                entities = run_entities(parse_name(path).entities)
                if "sub" in entities:
                    found.setdefault(tuple(entities.items()), entities)
    return list(found.values())


def meant_participants(
    selection: Selection, folders: Sequence[Path]
) -> tuple[Selection, list[str]]:
    """The selection with participants as they are called on disk, and notes."""
    there = sorted({label for folder in folders for label in participants_there(folder)})
    labels, notes = [], []
    for label in selection.participants:
        found = meant_by(label, there)
        labels.append(label if found is None else found)
        if found not in (None, label):
            notes.append(taken_for("sub", label, str(found)))
    return replace(selection, participants=tuple(dict.fromkeys(labels))), notes


def meant_selection(selection: Selection, universe: Universe) -> tuple[Selection, list[str]]:
    """Sessions, tasks, runs and runs to exclude as they are called on disk, and notes.

    Raises
    ------
    UsageError
        Where ``--exclude-run`` names no entity.
    NothingSelectedError
        Where it names no run.
    """
    notes: list[str] = []
    fields = {"ses": "sessions", "task": "tasks", "run": "runs"}
    changed: dict[str, Any] = {}
    for key, name in fields.items():
        given = getattr(selection, name)
        changed[name] = tuple(universe.meant({key: label}, notes)[key] for label in given)
    excluded, nothing = [], []
    for text in selection.exclude_runs:
        entities = parse_name(Path(text)).entities
        if not entities:
            raise UsageError(
                "--exclude-run names no entity.",
                found=text,
                wanted="entities of the run, such as sub-01_task-happy_run-1",
                remedy="correct the option",
            )
        own: list[str] = []
        meant = universe.meant(entities, own)
        notes += [f"--exclude-run {text}: {note}" for note in own]
        excluded.append("_".join(f"{key}-{value}" for key, value in meant.items()))
        if not universe.knows(meant):
            nothing.append(text)
    if nothing:
        raise NothingSelectedError(
            "--exclude-run names no run that is there.",
            where="--exclude-run",
            found=", ".join(nothing),
            wanted="entities of runs of the fMRIPrep outputs, such as "
            + "; ".join("_".join(f"{k}-{v}" for k, v in run.items()) for run in universe.runs[:3]),
            remedy="correct the labels, or take the run out of the option",
        )
    return replace(selection, **changed, exclude_runs=tuple(excluded)), notes


def unknown_labels(selection: Selection, universe: Universe) -> list[str]:
    """Notes about labels asked for that no run has."""
    return [
        f"{key}-{label} is in no run of the participants chosen"
        for key, labels in (
            ("ses", selection.sessions),
            ("task", selection.tasks),
            ("run", selection.runs),
        )
        for label in labels
        if not any(contains_label(key, [label], run.get(key)) for run in universe.runs)
    ]


def meant_rows(
    rows: Sequence[StimulusRow], universe: Universe
) -> tuple[list[StimulusRow], list[str]]:
    """Rows of a table of stimuli with labels as they are on disk, and notes.

    Raises
    ------
    InvalidInputError
        Where a row is for no run.
    """
    notes: list[str] = []
    result, nothing = [], []
    for row in rows:
        meant = universe.meant(row.keys, notes)
        result.append(replace(row, keys=meant))
        if not universe.meets(meant):
            nothing.append((row, meant))
    if nothing:
        rows_of_none = (f"{row.where}: {_words(row.keys)}" for row, _ in nothing)
        known = {key: sorted(universe.labels(key)) for key in _NOUNS}
        raise InvalidInputError(
            "Rows of the table of stimuli are for no run."
            if len(nothing) > 1
            else "A row of the table of stimuli is for no run.",
            where=some_of(rows_of_none, between="; "),
            found="no such run in the fMRIPrep outputs",
            wanted="; ".join(
                f"{_NOUNS[key]}s {some_of(labels, 12)}" for key, labels in known.items() if labels
            ),
            remedy="correct the labels, or take the rows out",
        )
    return result, list(dict.fromkeys(notes))


def _words(keys: Mapping[str, str]) -> str:
    return ", ".join(f"{_NOUNS.get(key, key)} {label}" for key, label in keys.items())


def meant_filter(
    path: Path | None,
    query: Mapping[str, Any],
    files: Iterable[Mapping[str, str | None]],
    *,
    whole: bool,
) -> tuple[dict[str, Any], list[str]]:
    """The filter of BOLD files with labels as they are on disk, and notes.

    Parameters
    ----------
    path : Path or None
        The filter file.
    query : mapping
        Its part about BOLD files, with BIDS keys.
    files : iterable of mapping
        Entities and suffix of the BOLD files that are there.
    whole : bool
        Whether these are the files of all participants: only then is it an error that a label meets
        nothing.

    Raises
    ------
    NothingSelectedError
        Where a part or an entity is unknown, or a label is in no file.
    """
    if path is None:
        return dict(query), []
    wrong: list[str] = []
    notes: list[str] = []
    content = read_json(path)
    for part in content if isinstance(content, dict) else ():
        if str(part).lower() not in _PARTS:
            wrong.append(f"the part {part!r} (known: {', '.join(_PARTS)})")
        elif part != "bold":
            notes.append(f"the part {part!r} of {path.name} is not used: only `bold` is")
    known = list(files)
    result: dict[str, Any] = {}
    for key, wanted in query.items():
        result[key] = wanted
        if key not in _ENTITIES:
            wrong.append(f"the entity {key!r}, which BIDS does not have")
            continue
        if key in _UNUSED:
            notes.append(f"{key!r} in {path.name} is not used: the files of a run decide")
            continue
        labels = {str(label) for file in known if (label := file.get(key)) is not None}
        options = wanted if isinstance(wanted, list | tuple) else [wanted]
        meant = []
        for option in options:
            label = option
            if option is not None and option != "*":
                text = strip_prefix(option, key)
                found = meant_by(text, labels)
                label = text if found is None else found
                if found is None:
                    there = ", ".join(sorted(labels)) or "none"
                    said = f"{key} {text!r}, which no BOLD file has (there: {there})"
                    (wrong if whole else notes).append(said)
                elif found != text:
                    notes.append(taken_for(key, text, found))
            elif option == "*" and not labels:
                (wrong if whole else notes).append(f"{key} '*': no BOLD file has this entity")
            meant.append(label)
        result[key] = meant if isinstance(wanted, list | tuple) else meant[0] if meant else wanted
    if wrong:
        raise NothingSelectedError(
            "Parts of the filter file match no file.",
            where=path,
            found="; ".join(wrong),
            wanted='labels that are there, such as {"bold": {"session": "01"}}',
            remedy="correct the file given with --bids-filter-file",
        )
    return result, notes
