"""Select runs by the user's labels and filters."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_app.config import Selection
from bids_app.errors import InvalidInputError, MissingInputError, NothingSelectedError
from bids_app.inputs.labels import (
    Universe,
    differ_in_capitals,
    meant_filter,
    meant_selection,
    named_runs,
    unknown_labels,
)
from bids_app.inputs.layout import index_files, participants_there
from bids_app.inputs.locate import Located
from bids_app.inputs.names import (
    NamedFile,
    contains_label,
    entities_agree,
    misplaced,
    parse_name,
    run_entities,
    sort_key,
)
from bids_app.inputs.records import run_label
from bids_app.inputs.runs import (
    RunFiles,
    bold_filter,
    group_runs,
    is_almost_bold,
    is_bold,
    wanted_name,
)
from bids_app.inputs.unprocessed import unprocessed_runs
from bids_app.meshes import FSLR, MESHES, N_VERTICES
from bids_app.plain import some_of

_LABELS = (("ses", "sessions"), ("task", "tasks"), ("run", "runs"))


def accepts(selection: Selection, entities: Mapping[str, str]) -> bool:
    """Whether a run is among those asked for; a run without a session passes."""
    for key, name in _LABELS:
        labels, value = getattr(selection, name), entities.get(key)
        asked = labels and (value is not None or key == "task")
        if asked and not contains_label(key, labels, value):
            return False
    return True


def narrowed(selection: Selection, query: Mapping[str, Any]) -> Selection:
    """The selection with the sessions, tasks and runs that a filter of BOLD files names, too."""
    changed: dict[str, Any] = {}
    for key, name in _LABELS:
        wanted, own = query.get(key), getattr(selection, name)
        options = wanted if isinstance(wanted, list | tuple) else [wanted]
        labels = [str(option) for option in options if option not in (None, "*")]
        if labels and len(labels) == len(options):
            changed[name] = tuple(
                [label for label in own if contains_label(key, labels, label)] if own else labels
            )
    return replace(selection, **changed)


def excludes(selection: Selection, entities: Mapping[str, str]) -> bool:
    """Whether ``--exclude-run`` names a run."""
    excluded = (parse_name(Path(text)).entities for text in selection.exclude_runs)
    return any(item and entities_agree(item, entities) for item in excluded)


def check_participants(located: Located, selection: Selection) -> None:
    """Complain where none of the participants asked for is there, listing those who are.

    Raises
    ------
    NothingSelectedError
    """
    there = sorted({label for _, path in located.derivatives for label in participants_there(path)})
    unknown = [label for label in selection.participants if label not in there]
    if unknown and len(unknown) == len(selection.participants):
        raise NothingSelectedError(
            "No participant of those asked for is there.",
            where=", ".join(str(path) for _, path in located.derivatives),
            found=f"asked for {', '.join(unknown)}; there are "
            + (", ".join(there) if there else "no folders sub-*"),
            wanted="labels of participants whose fMRIPrep outputs are there, separated by spaces",
            remedy="correct --participant-label, or run fMRIPrep for them first",
        )


@dataclass(frozen=True)
class Candidates:
    """Runs that the labels select.

    Attributes
    ----------
    runs : list of RunFiles
    selection : Selection
        With labels as they are on disk.
    asked : Selection
        The same, narrowed by the filter file.
    universe : Universe
        All runs that are there.
    notes : tuple of str
        Labels that were not taken literally, or that meet nothing.
    """

    runs: list[RunFiles]
    selection: Selection
    asked: Selection
    universe: Universe
    notes: tuple[str, ...] = ()


def find_candidates(
    located: Located,
    selection: Selection,
    space: str,
    database_dir: Path | None,
    parcels: str = "",
    *,
    none_usable: bool = False,
) -> Candidates:
    """Runs that the labels select, of all fMRIPrep folders.

    With `none_usable`, runs without surface data are returned where no run has any.

    Raises
    ------
    UsageError
        Where ``--exclude-run`` names no entity.
    MissingInputError
        Where no run has surface data.
    NothingSelectedError
        Where no run is left, or a label of ``--exclude-run`` or of the filter meets nothing.
    InvalidInputError
        Where a run is in two folders, or there in several versions.
    """
    found: list[RunFiles] = []
    indexed = [
        index_files(path, participants=selection.participants, database_dir=database_dir)
        for _, path in located.derivatives
    ]
    indexed, strays = _without_strays(indexed, [path for _, path in located.derivatives])
    bold = [file for files in indexed for file in files if is_bold(file) or is_almost_bold(file)]
    universe = _universe(located, selection, bold)
    absent = [] if located.raw_dir is None else unprocessed_runs(located.raw_dir, universe.runs)
    universe = replace(universe, runs=(*universe.runs, *absent))
    selection, notes = meant_selection(selection, universe)
    notes += differ_in_capitals(universe)
    if strays:
        notes.append(_note_of(strays))
    query, more = meant_filter(
        selection.filter_file,
        bold_filter(selection.filter_file),
        ({**file.entities, "suffix": file.suffix} for file in bold),
        whole=universe.whole,
    )
    for (name, path), files in zip(located.derivatives, indexed, strict=True):
        found += group_runs(
            files,
            dataset=name,
            root=path,
            space=space,
            query=query,
            accepts=lambda e: accepts(selection, e) and not excludes(selection, e),
            parcels=parcels,
        )
    name, path = located.derivatives[0]
    found += [RunFiles(entities, name, path, absent=True) for entities in absent]
    folders = ", ".join(str(path) for _, path in located.derivatives)
    unusable = all(run.kind is None and not run.filtered for run in found)
    if found and unusable and not none_usable:
        _raise_no_surface(found, space, folders, parcels)
    chosen = [run for run in found if accepts(selection, run.entities) and not run.filtered]
    if all(excludes(selection, run.entities) for run in chosen):
        if not found and not selection.participants:
            _raise_no_bold(located, strays)
        _raise_nothing_selected(found, folders, selection)
    if all(run.kind is None for run in chosen) and not none_usable:
        _raise_no_surface(chosen, space, folders, parcels)
    _check_once(chosen)
    runs = sorted(chosen, key=lambda run: sort_key(run.entities))
    unknown = unknown_labels(selection, universe)
    asked = narrowed(selection, query)
    return Candidates(runs, selection, asked, universe, (*notes, *more, *unknown))


def _without_strays(
    indexed: Sequence[Sequence[NamedFile]], roots: Sequence[Path]
) -> tuple[list[list[NamedFile]], Counter[str]]:
    """Files of each folder that lie where their names say, and the BOLD files elsewhere."""
    strays = Counter(
        f"{run_label(file.entities)} in {file.path.relative_to(root).parent.as_posix()}"
        for files, root in zip(indexed, roots, strict=True)
        for file in files
        if is_bold(file) and misplaced(file, root)
    )
    kept = [
        [file for file in files if not misplaced(file, root)]
        for files, root in zip(indexed, roots, strict=True)
    ]
    return kept, strays


def _note_of(strays: Counter[str]) -> str:
    shown = some_of(strays)
    return (
        f"{strays.total()} BOLD files lie elsewhere than in the folder func of the participant "
        f"and session that they name, and are not read: {shown}"
    )


def _check_once(runs: Iterable[RunFiles]) -> None:
    by_label = defaultdict(list)
    for run in runs:
        by_label[run.label].append(str(run.root))
    twice = {label: roots for label, roots in by_label.items() if len(roots) > 1}
    if twice:
        raise InvalidInputError(
            "Some runs are in more than one fMRIPrep folder.",
            where=", ".join(next(iter(twice.values()))),
            found=some_of(sorted(twice)),
            wanted="each run once",
            remedy="name only one of the folders with --derivatives",
        )


def _universe(located: Located, selection: Selection, bold: list[NamedFile]) -> Universe:
    folders = [path for _, path in located.derivatives]
    there = sorted({label for path in folders for label in participants_there(path)})
    runs = {tuple(run_entities(file.entities).items()) for file in bold}
    return Universe(
        tuple(there),
        [dict(run) for run in sorted(runs)],
        not selection.participants,
        functools.cache(lambda: named_runs(folders)),
        located.raw_dir,
    )


def _raise_no_surface(runs: list[RunFiles], space: str, folders: str, parcels: str) -> None:
    spaces = sorted({name for run in runs for name in run.spaces})
    if parcels:
        raise MissingInputError(
            "There are no series of the regions that were asked for.",
            where=folders,
            found=f"{len(runs)} runs: " + ", ".join(spaces),
            wanted=f"series of the atlas {parcels} for each run",
            remedy="name an atlas that is there with --parcels, or leave the option out",
        )
    surface = [name for name in spaces if name in N_VERTICES]
    names = [file.told for run in runs for file in run.almost]
    almost = Counter(name[name.rfind("_") :] for name in names)
    unread = some_of(f"{n} files *{ending}" for ending, n in sorted(almost.items()))
    made = MESHES[space].fmriprep if space in MESHES else f"--output-spaces {space}"
    also = f", or use what is there with --space {surface[0]}" if surface else ""
    raise MissingInputError(
        "There is no surface BOLD in the space that was asked for.",
        where=folders,
        found=f"{len(runs)} runs"
        + (f" in the spaces {', '.join(spaces)}" if spaces else "")
        + (f"; not read: {unread}" if unread else ""),
        wanted=_wanted(space),
        remedy=f"unpack or rename them: {wanted_name(space)}"
        if unread
        else f"rerun fMRIPrep with `{made}` added{also}",
    )


def _wanted(space: str) -> str:
    pair = f"{wanted_name(space)} and hemi-R for each run"
    return f"*_space-{space}_den-91k_bold.dtseries.nii, or {pair}" if space == FSLR else pair


def _raise_no_bold(located: Located, strays: Iterable[str]) -> None:
    """Say which functional files are there where none is BOLD by its name."""
    endings: Counter[str] = Counter()
    for _, root in located.derivatives:
        for pattern in ("sub-*/func/*", "sub-*/ses-*/func/*"):
            names = (parse_name(path) for path in root.glob(pattern))
            endings.update(f"{file.suffix or ''}{file.extension}" for file in names)
    data = {ending: n for ending, n in endings.items() if not ending.endswith((".json", ".tsv"))}
    if not data and not strays:
        return
    raise MissingInputError(
        "No functional file has a name that BOLD has.",
        where=", ".join(str(root) for _, root in located.derivatives),
        found=", ".join(
            [f"{n} files *{ending}" for ending, n in sorted(data.items())[:8]] + list(strays)[:4]
        ),
        wanted=f"{_wanted('fsaverage5')}, in sub-<label>/func or sub-<label>/ses-<label>/func",
        remedy="rerun fMRIPrep with `--output-spaces fsaverage5`",
    )


def _raise_nothing_selected(found: list[RunFiles], folders: str, selection: Selection) -> None:
    def listing(key: str) -> str:
        values = sorted({run.entities[key] for run in found if key in run.entities})
        return ", ".join(values) if values else "none"

    asked = [
        f"{name} {', '.join(labels)}" for _, name in _LABELS if (labels := getattr(selection, name))
    ]
    raise NothingSelectedError(
        "The options select no run.",
        where=folders,
        found=f"sessions: {listing('ses')}; tasks: {listing('task')}; runs: {listing('run')}"
        if found
        else "no functional files of these participants",
        wanted="at least one run" + (f" of {'; '.join(asked)}" if asked else ""),
        remedy="change --session-label, --task-id, --run-id, --exclude-run or --bids-filter-file",
    )
