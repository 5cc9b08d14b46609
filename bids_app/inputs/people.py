"""Participants without a run in the plan, each with a reason."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bids_app.config import Selection
from bids_app.errors import MusencError
from bids_app.inputs.files import content_problem
from bids_app.inputs.labels import meant_by
from bids_app.inputs.layout import participants_there
from bids_app.inputs.locate import Located
from bids_app.inputs.names import NamedFile, parse_name, strip_prefix
from bids_app.inputs.records import SkippedRun
from bids_app.inputs.selection import accepts, excludes
from bids_app.inputs.tables import TableRow, read_tsv
from bids_app.plain import some_of


def absent_participants(
    located: Located, selection: Selection, known: Iterable[str], database_dir: Path | None
) -> list[SkippedRun]:
    """Who is in a folder or was asked for, but has no run that is analyzed or skipped.

    Parameters
    ----------
    located : Located
    selection : Selection
        Participants asked for; all that have a folder where empty.
    known : iterable of str
        Participants of whom a run is analyzed, or skipped with a reason.
    database_dir : path or None
        pybids database, which may be older than the files.

    Returns
    -------
    list of SkippedRun
        Of entities ``sub`` alone. A problem where the participant was asked for, or where BOLD is
        there and not known, or raw BOLD is there and fMRIPrep left none.
    """
    folders = [path for _, path in located.derivatives]
    preprocessed = {label for path in folders for label in participants_there(path)}
    raw = set(participants_there(located.raw_dir)) if located.raw_dir else set()
    wanted = set(selection.participants) or preprocessed | raw
    return [_absent(who, located, selection, database_dir) for who in sorted(wanted - set(known))]


def listed_without_folder(located: Located, selection: Selection) -> list[str]:
    """A note about whom participants.tsv lists and no folder is of, where nobody was asked for."""
    path = None if located.raw_dir is None else located.raw_dir / "participants.tsv"
    if path is None or selection.participants or content_problem(path):
        return []
    roots = [located.raw_dir, *(root for _, root in located.derivatives)]
    there = {label for root in roots if root for label in participants_there(root)}
    rows: list[TableRow] = []
    with suppress(MusencError):  # of what else stands in it, nothing is read
        rows = read_tsv(path)[1]
    listed = [strip_prefix(row.get("participant_id", ""), "sub") for row in rows]
    lost = [f"sub-{label}" for label in listed if label and meant_by(label, there) is None]
    return [f"participants.tsv lists {some_of(lost)}, of whom there is no folder"] if lost else []


def _absent(
    who: str, located: Located, selection: Selection, database_dir: Path | None
) -> SkippedRun:
    entities = {"sub": who}
    if excludes(selection, entities):
        return SkippedRun(entities, "left out by --exclude-run", problem=False)
    roots = [path for _, path in located.derivatives]
    there = [file for root in roots for file in _bold(root / f"sub-{who}")]
    bold = [file for file in there if file.entities.get("sub") == who]
    asked = who in selection.participants
    if there and not bold:
        others = sorted({f"sub-{file.entities.get('sub', '?')}" for file in there})
        reason = f"its files are those of {', '.join(others)} ({there[0].path.name})"
        return SkippedRun(entities, reason)
    if not bold:
        unprocessed = bool(located.raw_dir and _bold(located.raw_dir / f"sub-{who}"))
        folders = [root / f"sub-{who}" for root in roots]
        if lost := [path for own in folders for path in _broken_links(own)]:
            return SkippedRun(entities, content_problem(lost[0]) or f"broken link: {lost[0]}")
        folder = next((path for path in folders if path.is_dir()), None)
        if folder is not None:
            parts = sorted(path.name for path in folder.iterdir() if path.is_dir())
            found = f"{folder} holds {', '.join(parts) or 'nothing'}, but no BOLD"
            others = sorted({f"*{file.suffix or ''}{file.extension}" for file in _func(folder)})
            found += f"; functional files: {some_of(others)}" if others else ""
            reason = f"fMRIPrep left no BOLD of this participant: {found}"
        else:
            reason = f"there is no folder sub-{who} in {', '.join(map(str, roots))}"
        return SkippedRun(entities, reason, problem=asked or bool(folder and unprocessed))
    chosen = [
        file
        for file in bold
        if accepts(selection, file.entities) and not excludes(selection, file.entities)
    ]
    if not chosen:
        labels = sorted({file.entities.get("task", "?") for file in bold})
        reason = (
            "no run passes --session-label, --task-id, --run-id and --exclude-run "
            f"(tasks: {', '.join(labels)})"
        )
        return SkippedRun(entities, reason, problem=False)
    if database_dir is not None:
        reason = (
            f"the index in --bids-database-dir {database_dir} does not know this participant, "
            f"whose files are there ({chosen[0].path.name}): it is older than they are; delete "
            "that folder, and the index is made anew"
        )
        return SkippedRun(entities, reason)
    if selection.filter_file is not None:
        reason = f"no file of this participant passes {selection.filter_file.name}"
        return SkippedRun(entities, reason, problem=False)
    return SkippedRun(
        entities, f"no BOLD file is of a kind that can be used ({chosen[0].path.name})"
    )


def _broken_links(folder: Path) -> list[Path]:
    """Links to folders that are not there: a participant's own, of sessions, of ``func``."""
    holders = [folder, *sorted(folder.glob("ses-*"))]
    found = [path for own in holders for path in (own, own / "func")]
    return [path for path in found if path.is_symlink() and not path.exists()]


def _bold(folder: Path) -> list[NamedFile]:
    """Files of a participant that are BOLD series by their names."""
    endings = (".func.gii", "_bold.nii.gz", "_bold.nii", "_bold.dtseries.nii")
    return [file for file in _func(folder) if file.path.name.endswith(endings)]


def _func(folder: Path) -> list[NamedFile]:
    """Functional files of a participant that are no tables or sidecars."""
    found = sorted([*folder.glob("func/*"), *folder.glob("ses-*/func/*")])
    return [parse_name(path) for path in found if path.suffix not in (".json", ".tsv", ".html")]
