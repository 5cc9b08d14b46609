"""From folders and options to the frozen plan of a study."""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bids_app.config import Cleaning, Selection, Stimuli
from bids_app.errors import (
    BadDataError,
    MissingInputError,
    MusencError,
    NoStimulusError,
    reason_of,
)
from bids_app.inputs.completeness import apply_missing_policy, stimuli_of_events
from bids_app.inputs.denoised import atlas_label, check_one_filter
from bids_app.inputs.fetch import fetch_command, files_of_run
from bids_app.inputs.files import content_problem, sampled_checksum
from bids_app.inputs.labels import meant_participants, meant_rows
from bids_app.inputs.locate import Located, check_descriptions, locate_dataset, uri_of
from bids_app.inputs.names import sort_key
from bids_app.inputs.people import absent_participants, listed_without_folder
from bids_app.inputs.presentations import StimulusSet, presentations_of
from bids_app.inputs.probe import Probe, probe_run
from bids_app.inputs.records import BoldRun, SkippedRun, StudyPlan
from bids_app.inputs.runs import RunFiles, atlas_of
from bids_app.inputs.selection import (
    Candidates,
    check_participants,
    excludes,
    find_candidates,
)
from bids_app.inputs.sidecars import Inheritance, almost_events, events_under_other_labels
from bids_app.inputs.stimuli import (
    HOW_TO_GIVE_STIMULI,
    StimulusRow,
    read_stimulus_table,
    rows_of_events,
    rows_of_run,
    unread_columns,
)
from bids_app.inputs.stimulus_names import files_heard, stimulus_labels
from bids_app.inputs.strategies import resolve_strategy
from bids_app.inputs.tables import read_tsv
from bids_app.meshes import FSLR
from bids_app.plain import some_of


def plan_study(
    bids_dir: str | Path,
    derivatives: Iterable[str] = (),
    *,
    selection: Selection | None = None,
    stimuli: Stimuli | None = None,
    cleaning: Cleaning | None = None,
    stimuli_table: str | Path | None = None,
    table: Sequence[StimulusRow] | None = None,
    database_dir: Path | None = None,
    music: bool = True,
    may_be_empty: bool = False,
    tell_fetch: Callable[[str], None] | None = None,
) -> StudyPlan:
    """Find out everything that will be read, and everything that is wrong, before computing.

    Parameters
    ----------
    bids_dir : path
        Raw dataset, parent of ``derivatives``, or fMRIPrep folder.
    derivatives : iterable of [NAME=]PATH
        fMRIPrep folders; ``raw=PATH`` names the raw dataset.
    selection : Selection, optional
        What to keep; tasks: all that have a stimulus.
    stimuli : Stimuli, optional
        A table of stimuli, instead of events.tsv files, and what becomes of a participant who lacks
        a stimulus that others have.
    cleaning : Cleaning, optional
        Space, timing and dummy scans. Runs whose confounds table lacks the strategy's columns are
        skipped.
    stimuli_table : path or None
        Table of stimuli, instead of that of `stimuli`.
    table : sequence of StimulusRow or None
        Rows that stand for the table of `stimuli`.
    database_dir : path or None
        pybids database.
    music : bool
        Only runs in which music was heard; else every run, and no audio file is looked at.
    may_be_empty : bool
        A plan in which every run is skipped is returned, too.
    tell_fetch : callable or None
        Is given the command that fetches all content that is needed and not there, before anything
        is refused because of it.

    Returns
    -------
    StudyPlan

    Raises
    ------
    MissingInputError
        No dataset, no surface BOLD, no stimulus, or no run whose content is there (66).
    InvalidInputError
        No onset, ambiguous runs, or with ``missing="error"`` a stimulus that is lacking (16).
    NothingSelectedError
        The labels select nothing or name a participant who is not there (18).
    BadDataError
        Every run has unusable files (65).
    """
    selection, stimuli = selection or Selection(), stimuli or Stimuli()
    cleaning = cleaning or Cleaning()
    if stimuli_table is not None:
        stimuli = replace(stimuli, table=Path(stimuli_table))
    strategy = resolve_strategy(cleaning.confounds)
    located = locate_dataset(Path(bids_dir), derivatives)
    check_descriptions(located)
    file = stimuli.table if music and table is None else None
    found, table = _meant(located, selection, cleaning, file, table, database_dir, may_be_empty)
    selection, notes = found.selection, [*found.notes]
    raw = Inheritance(located.raw_dir, raw=True) if located.raw_dir else None
    faults = _Faults()
    chosen, skipped = _choose(found, selection, table, raw, cleaning.space, faults, music=music)
    of_events = located.raw_dir if music and table is None else None
    played = (
        files_heard(of_events)
        if of_events
        else [row.path for row in table or () if row.fault is None]
    )
    audio = StimulusSet(stimulus_labels(played))
    inheritance = {name: Inheritance(path) for name, path in located.derivatives}
    fetch = _fetch(chosen, skipped, found.runs, inheritance, raw)
    if fetch and tell_fetch is not None:
        tell_fetch(fetch)

    def read(run: RunFiles, rows: list[StimulusRow]) -> BoldRun | SkippedRun:
        audio.check(rows)
        probe = probe_run(run, inheritance[run.dataset], raw, cleaning, strategy)
        plain = _record(run, probe, rows, audio, cleaning, music=music)
        if table is not None and raw is not None and isinstance(plain, BoldRun):
            plain = replace(plain, warnings=(*plain.warnings, *_other_onset(plain, raw)))
        return _with_timing(plain, raw if table is None else stimuli.table, located.links)

    accepted, unusable = _records(chosen, read, faults)
    skipped += unusable
    if not accepted and not may_be_empty:
        faults.raise_the_only_one(skipped)
        _raise_all_unusable(skipped, Path(bids_dir), faults, notes)
    kept, dropped, warnings = apply_missing_policy(
        accepted,
        stimuli.missing,
        events=stimuli_of_events(of_events, found.asked, audio) if of_events else {},
        expected=_expected(table, audio, found.asked, located),
        unusable=[f"{run.label}: {run.reason}" for run in skipped if run.problem],
    )
    skipped += dropped
    check_one_filter(kept)
    known = {run.participant for run in (*accepted, *skipped)}
    skipped += absent_participants(located, selection, known, database_dir)
    labels = {p.stimulus for run in kept for p in run.presentations}
    return StudyPlan(
        bids_dir=Path(bids_dir),
        raw_dir=located.raw_dir,
        derivatives=tuple(path for _, path in located.derivatives),
        found=located.found,
        # What is told of the study stands with every run, too: in its summary and on the page.
        runs=tuple(replace(run, warnings=(*run.warnings, *notes)) for run in kept),
        stimuli=audio.stimuli(labels),
        skipped=tuple(sorted(skipped, key=lambda run: sort_key(run.entities))),
        warnings=tuple(
            dict.fromkeys(
                (
                    *notes,
                    *audio.warnings,
                    *warnings,
                    *_copies(kept),
                    *listed_without_folder(located, selection),
                )
            )
        ),
        dataset_links=located.links,
        fetch=fetch,
    )


def _records(
    chosen: _Chosen,
    read: Callable[[RunFiles, list[StimulusRow]], BoldRun | SkippedRun],
    faults: _Faults,
) -> tuple[list[BoldRun], list[SkippedRun]]:
    """Runs that can be used and runs that cannot; a fault of a run ends that run alone."""
    accepted: list[BoldRun] = []
    skipped: list[SkippedRun] = []
    for run, rows in chosen:
        try:
            record = read(run, rows)
        except MusencError as error:
            record = faults.skip(run, error)
        if isinstance(record, BoldRun):
            accepted.append(record)
        else:
            skipped.append(record)
    return accepted, skipped


def _meant(
    located: Located,
    selection: Selection,
    cleaning: Cleaning,
    file: Path | None,
    table: Sequence[StimulusRow] | None,
    database_dir: Path | None,
    may_be_empty: bool,
) -> tuple[Candidates, Sequence[StimulusRow] | None]:
    """Runs and rows of the table that labels mean, with all notes about labels."""
    selection, notes = meant_participants(selection, [path for _, path in located.derivatives])
    check_participants(located, selection)
    if file is not None:
        table = read_stimulus_table(file, raw_dir=located.raw_dir)
        notes += unread_columns(file)
    atlas = atlas_label(cleaning.parcels)
    found = find_candidates(
        located, selection, cleaning.space, database_dir, atlas, none_usable=may_be_empty
    )
    notes += found.notes
    if table is not None:
        table, more = meant_rows(table, found.universe)
        notes += more
    return replace(found, notes=tuple(notes)), table


def _skip(run: RunFiles, reason: str, problem: bool = True) -> SkippedRun:
    return SkippedRun(run.entities, reason, problem)


def _copies(runs: Sequence[BoldRun]) -> list[str]:
    """Warnings about runs that have the same BOLD, or the same confounds."""
    bold = {run.label: run.bold_left for run in runs}
    tables = {run.label: run.confounds_file for run in runs if run.confounds_file}
    same_bold = _same_files(bold)
    # Where the BOLD is the same, so are its confounds; a table without a number says nothing.
    others = [
        labels
        for labels in _same_files(tables)
        if labels not in same_bold and re.search(rb"\n.*[1-9]", tables[labels[0]].read_bytes())
    ]
    return [
        f"{some_of(labels, 3, ' and ')} have the same {what}: was one copied over the other?"
        for what, found in (("BOLD", same_bold), ("confounds", others))
        for labels in found
    ]


def _same_files(paths: Mapping[str, Path]) -> list[list[str]]:
    """Labels of files that are the same."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for label, path in paths.items():
        by_size[path.stat().st_size].append(label)
    same: dict[str, list[str]] = defaultdict(list)
    for label in (one for group in by_size.values() if len(group) > 1 for one in group):
        same[sampled_checksum(paths[label])].append(label)
    return [labels for labels in same.values() if len(labels) > 1]


@dataclass
class _Faults:
    """Errors that end one run each, while the others go on.

    Attributes
    ----------
    of_run : dict from label of the run to error
    """

    of_run: dict[str, MusencError] = field(default_factory=dict)

    def skip(self, run: RunFiles, error: MusencError) -> SkippedRun:
        """The run is left out for this reason."""
        self.of_run[run.label] = error
        return _skip(run, reason_of(error) + (f"; {error.remedy}" if error.remedy else ""))

    def raise_the_only_one(self, skipped: Iterable[SkippedRun]) -> None:
        """Raise the error itself where it is of every run that cannot be used."""
        problems = {run.label for run in skipped if run.problem}
        texts = {str(error): error for error in self.of_run.values()}
        if problems and problems == set(self.of_run) and len(texts) == 1:
            raise next(iter(texts.values()))


_UNPROCESSED = "fMRIPrep left no BOLD of this run, which the raw dataset has"
_Chosen = list[tuple[RunFiles, list[StimulusRow]]]


def _choose(
    found: Candidates,
    selection: Selection,
    table: Sequence[StimulusRow] | None,
    raw: Inheritance | None,
    space: str,
    faults: _Faults,
    *,
    music: bool,
) -> tuple[_Chosen, list[SkippedRun]]:
    """Runs in which music was heard, or all, with what was heard; and the others."""
    chosen: _Chosen = []
    skipped: list[SkippedRun] = []
    silent: list[RunFiles] = []
    for run in found.runs:
        if excludes(selection, run.entities):
            skipped.append(_skip(run, "left out by --exclude-run", problem=False))
            continue
        try:
            rows, problem = _rows(run, table, raw) if music else ([], None)
        except MusencError as error:
            skipped.append(faults.skip(run, error))
            continue
        if problem:
            skipped.append(_skip(run, problem))
        elif run.absent and (rows or not music):
            common = found.universe.preprocessed(run.entities)
            if rows or common:
                skipped.append(_skip(run, _UNPROCESSED, problem=common))
        elif music and not rows:
            silent.append(run)
        elif run.kind is None:
            there = f" (there: {', '.join(run.spaces)})" if run.spaces else ""
            skipped.append(_skip(run, f"no surface BOLD in {space}{there}{run.unread(space)}"))
        else:
            chosen.append((run, rows))
    lost = [run for run in silent if run.absent]
    silent = [run for run in silent if not run.absent]
    with_music = {run.task for run in found.runs if not run.absent}
    with_music -= {run.task for run in silent}
    with_music |= {run.task for run, _ in chosen}
    skipped += [
        _skip(run, _UNPROCESSED)
        for run in lost
        if run.task in with_music and found.universe.preprocessed(run.entities)
    ]
    silent_tasks = sorted({run.task for run in silent} - with_music)
    asked = [task for task in selection.tasks if task in silent_tasks]
    if asked or (music and not (chosen or any(item.problem for item in skipped))):
        _raise_no_stimulus(asked or silent_tasks, table is not None, raw, silent)
    for run in silent:
        whole_task = run.task in silent_tasks
        reason = "no stimulus is given for this " + ("task" if whole_task else "run")
        if table is None and raw is not None:
            other = _other_events(raw, run)
            if other:
                skipped.append(_skip(run, other))
                continue
            reason += "" if whole_task else _unnamed_music(raw, run)
        skipped.append(_skip(run, reason, problem=not whole_task))
    return chosen, skipped


def _fetch(
    chosen: _Chosen,
    skipped: Sequence[SkippedRun],
    candidates: Sequence[RunFiles],
    inheritance: Mapping[str, Inheritance],
    raw: Inheritance | None,
) -> str:
    """The command for all that runs with music need, and those whose events cannot be read."""
    unread = {run.label for run in skipped if run.problem}
    needed = {row.path for _, rows in chosen for row in rows}
    for run in (*(run for run, _ in chosen), *(r for r in candidates if r.label in unread)):
        needed |= files_of_run(run, inheritance[run.dataset], raw)
    return fetch_command(needed)


def _rows(
    run: RunFiles, table: Sequence[StimulusRow] | None, raw: Inheritance | None
) -> tuple[list[StimulusRow], str | None]:
    if table is not None:
        return rows_of_run(table, run.entities), None
    events = raw.events(run.entities) if raw else None
    if raw is None or events is None:
        return [], None
    problem = content_problem(events)
    return ([], problem) if problem else (rows_of_events(events, raw.root), None)


def _unnamed_music(raw: Inheritance, run: RunFiles) -> str:
    """The end of a sentence: which events name no music, and what their columns are."""
    path = raw.events(run.entities)
    columns = "" if path is None else f"; its columns: {', '.join(read_tsv(path)[0])}"
    return f" in {path or 'an events.tsv'}; wanted: rows with stim_file (or stim_id){columns}"


def _other_events(raw: Inheritance, run: RunFiles) -> str:
    return events_under_other_labels(raw, run.entities) or almost_events(
        raw, run.entities, run.root / raw.func_folder(run.entities).relative_to(raw.root)
    )


def _raise_no_stimulus(
    tasks: list[str], table: bool, raw: Inheritance | None, silent: Sequence[RunFiles]
) -> None:
    others = (
        []
        if table or raw is None
        else [found for run in silent if (found := _other_events(raw, run))]
    )
    if table:
        found = "no row of the table is for " + ", ".join(f"task {task}" for task in tasks)
        remedy = "add rows for these tasks, or choose others with --task-id"
    elif raw is None:
        found = "no raw dataset beside the fMRIPrep outputs, so no events.tsv"
        remedy = "name the raw dataset with --derivatives raw=PATH, or " + HOW_TO_GIVE_STIMULI
    else:
        found = "no events.tsv names a stim_file for " + ", ".join(f"task {task}" for task in tasks)
        remedy = HOW_TO_GIVE_STIMULI
    if others:
        found = others[0] + (f" (and {len(others) - 1} more runs)" if len(others) > 1 else "")
        remedy = (
            "give both datasets the same task, run and session labels (or no session labels), "
            "save events as tab-separated *_events.tsv, or give a table with --stimuli"
        )
    raise NoStimulusError(
        "There is no stimulus: nothing says which music was heard.",
        where=raw.root if raw else None,
        found=found,
        wanted="events.tsv with stim_file (or stim_id), or a table of stimuli",
        remedy=remedy,
    )


def _joined(problems: Iterable[str], root: Path) -> str:
    """Problems as one text: paths relative to the fMRIPrep folder, one datalad command per run."""
    get = "content not present: datalad get "
    texts = [problem.replace(f"{root}/", "") for problem in problems]
    annexed = [text.removeprefix(get) for text in texts if text.startswith(get)]
    others = [text for text in texts if not text.startswith(get)]
    return "; ".join(([get + " ".join(annexed)] if annexed else []) + others)


def _record(
    run: RunFiles,
    probe: Probe,
    rows: list[StimulusRow],
    stimuli: StimulusSet,
    cleaning: Cleaning,
    *,
    music: bool,
) -> BoldRun | SkippedRun:
    timing = probe.timing
    if probe.problems or timing is None or timing.tr is None:
        return _skip(run, _joined(probe.problems, run.root))
    assert run.left is not None
    assert run.right is not None
    presentations, warnings = presentations_of(rows, stimuli, probe.n_volumes * timing.tr)
    if music and not presentations:
        return _skip(run, "; ".join(warnings))
    files = [run.left, run.right] if run.kind == "gifti" else [run.left]
    files += [run.confounds] if run.confounds else []
    sources = [f"bids:{run.dataset}:{file.path.relative_to(run.root)}" for file in files]
    spaces = {"gifti": cleaning.space, "cifti": FSLR}
    if run.kind == "parcels":
        spaces["parcels"] = f"regions of {atlas_of(run.left)}"
    return BoldRun(
        entities=dict(run.entities),
        space=spaces.get(run.kind or "", run.left.entities.get("space", "")),
        bold_left=run.left.path,
        bold_right=run.right.path,
        confounds_file=run.confounds.path if run.confounds else None,
        confounds_json=probe.confounds_json,
        tr=timing.tr,
        tr_source=timing.tr_source,
        start_time=timing.start_time,
        start_time_source=timing.start_time_source,
        n_volumes=probe.n_volumes,
        n_dummy=probe.n_dummy,
        presentations=presentations,
        warnings=(*probe.warnings, *warnings),
        sources=tuple(sources),
        kind=run.kind or "gifti",
        surfaces=run.surfaces,
        band=probe.band,
        censored=probe.censored,
        parcels=(cleaning.parcels or atlas_of(run.left)) if run.kind == "parcels" else "",
        grayordinates=run.grayordinates.path if run.grayordinates else None,
    )


def _other_onset(run: BoldRun, raw: Inheritance) -> list[str]:
    """A warning where events.tsv says that music began at another second than the table does."""
    path = raw.events(run.entities)
    rows: list[StimulusRow] = []
    # The table stands instead of events, so that nothing hangs on whether they can be read.
    with contextlib.suppress(MusencError):
        rows = [] if path is None else rows_of_events(path, raw.root)
    told = sorted({row.onset for row in rows})
    used = sorted({one.onset for one in run.presentations})
    if path is None or all(min(abs(own - other) for other in told) < 0.5 for own in used if told):
        return []
    seconds = [", ".join(f"{onset:g}" for onset in onsets) for onsets in (used, told)]
    return [
        f"music begins at {seconds[0]} s by the table of stimuli, at {seconds[1]} s by {path.name}"
    ]


def _with_timing(
    record: BoldRun | SkippedRun,
    told: Inheritance | Path | None,
    links: Iterable[tuple[str, Path]],
) -> BoldRun | SkippedRun:
    """The record with the file that says when the music played among its sources."""
    path = told.events(record.entities) if isinstance(told, Inheritance) else told
    if path is None or isinstance(record, SkippedRun):
        return record
    return replace(record, sources=(*record.sources, uri_of(path, links)))


def _expected(
    table: Sequence[StimulusRow] | None,
    stimuli: StimulusSet,
    selection: Selection,
    located: Located,
) -> set[str]:
    """Stimuli that a table says everybody heard, in tasks that somebody has."""
    if table is None or selection.sessions or selection.runs:
        return set()
    general = [row for row in table if not {"sub", "ses", "run"} & set(row.keys)]
    labels = set()
    for row in general:
        task = row.keys.get("task", "")
        if selection.tasks and task not in selection.tasks:
            continue
        if any(any(path.glob(f"sub-*/**/*_task-{task}_*.gii")) for _, path in located.derivatives):
            # A file that cannot be used is told of the runs in which it was heard.
            with contextlib.suppress(MusencError):
                stimuli.check([row])
                labels.add(stimuli.add(row.path, row.where).label)
    return labels


def _raise_all_unusable(
    skipped: list[SkippedRun], where: Path, faults: _Faults, notes: Sequence[str]
) -> None:
    problems = [run for run in skipped if run.problem]
    lines = [f"{run.label}: {run.reason}" for run in problems]
    shown = lines[:12] + ([f"and {len(lines) - 12} more runs"] if len(lines) > 12 else [])
    shown += notes
    kinds = {
        MissingInputError
        if "content not present" in run.reason
        else type(faults.of_run[run.label])
        if run.label in faults.of_run
        else BadDataError
        for run in problems
    }
    kind = kinds.pop() if len(kinds) == 1 else BadDataError
    raise kind(
        "No run can be used.",
        where=where,
        found="".join(f"\n    {line}" for line in shown),
        wanted="at least one run with readable files",
        remedy="fetch the content (the command is in the log, and in logs/fetch.sh of the output "
        "folder), or repair the files named above"
        if "content not present" in "".join(lines)
        else "repair the files named above",
    )
