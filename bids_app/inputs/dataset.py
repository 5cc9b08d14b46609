"""From folders and options to the frozen plan of a study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bids_app.errors import (
    BadDataError,
    MissingInputError,
    NoStimulusError,
    UsageError,
)
from bids_app.inputs.completeness import apply_missing_policy, stimuli_of_others
from bids_app.inputs.files import content_problem
from bids_app.inputs.locate import Located, check_descriptions, locate_dataset
from bids_app.inputs.names import normalize_space, parse_name, sort_key
from bids_app.inputs.presentations import StimulusSet, presentations_of
from bids_app.inputs.probe import Probe, probe_run, raw_folder
from bids_app.inputs.records import BoldRun, Presentation, SkippedRun, Stimulus, StudyPlan
from bids_app.inputs.runs import KINDS, RunFiles
from bids_app.inputs.selection import (
    Selection,
    check_participants,
    find_candidates,
    make_selection,
    unknown_labels,
)
from bids_app.inputs.sidecars import Inheritance
from bids_app.inputs.stimuli import (
    HOW_TO_GIVE_STIMULI,
    StimulusRow,
    read_stimulus_table,
    rows_of_events,
    rows_of_run,
)
from bids_app.inputs.strategies import DEFAULT_STRATEGY, ConfoundStrategy, resolve_strategy
from bids_app.outputs import N_VERTICES

__all__ = ["BoldRun", "Presentation", "SkippedRun", "Stimulus", "StudyPlan", "plan_study"]


def plan_study(
    bids_dir: str | Path,
    *,
    derivatives: Mapping[str, str | Path] | Iterable[str | Path] = (),
    participants: Iterable[str] = (),
    sessions: Iterable[str] = (),
    tasks: Iterable[str] = (),
    runs: Iterable[str] = (),
    stimuli_table: str | Path | None = None,
    space: str = "fsaverage5",
    missing: str = "skip",
    repetition_time: float | None = None,
    slice_time_ref: float | None = None,
    dummy_scans: str | int = "auto",
    exclude_runs: Iterable[str] = (),
    bids_filters: Mapping[str, Any] | None = None,
    database_dir: str | Path | None = None,
    kinds: tuple[str, ...] = ("gifti",),
    confounds: str | Path | ConfoundStrategy = DEFAULT_STRATEGY,
    music: bool = True,
) -> StudyPlan:
    """Find out everything that will be read, and everything that is wrong, before computing.

    Parameters
    ----------
    bids_dir : path
        Raw dataset, parent of ``derivatives``, or fMRIPrep folder.
    derivatives : iterable of [NAME=]PATH, or mapping
        fMRIPrep folders; ``raw=PATH`` names the raw dataset.
    participants, sessions, tasks, runs : iterable of str
        Labels to keep, with or without prefix; all where empty. Tasks: all that have a stimulus.
    stimuli_table : path or None
        Table of stimuli, instead of events.tsv files.
    space : str
        Surface space of the BOLD files, in either spelling.
    missing : {"skip", "error", "use"}
        What becomes of a participant who lacks a stimulus that others have.
    repetition_time : float or None
        Seconds, where no sidecar has it.
    slice_time_ref : float or None
        Sampling time within a volume, 0 to 1; None reads it from the sidecars.
    dummy_scans : "auto" or int
        Volumes left out at the start of each run.
    exclude_runs : iterable of str
        Names such as ``sub-01_task-happy_run-1``; fewer entities exclude more runs.
    bids_filters : mapping or None
        fMRIPrep's filter file; the part ``bold`` is used.
    database_dir : path or None
        pybids database.
    kinds : tuple of {"gifti", "cifti", "volume"}
        BOLD files accepted, in this order.
    confounds : str, Path or ConfoundStrategy
        Runs whose confounds table lacks the strategy's columns are skipped.
    music : bool
        Only runs in which music was heard; else every run, and no audio file is looked at.

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
    selection = make_selection(participants, sessions, tasks, runs, exclude_runs)
    space = _checked_options(space, missing, kinds, dummy_scans)
    strategy = resolve_strategy(confounds)
    located = locate_dataset(Path(bids_dir), derivatives)
    check_descriptions(located)
    check_participants(located, selection)
    table = None if stimuli_table is None else read_stimulus_table(Path(stimuli_table))
    candidates = find_candidates(located, selection, space, kinds, bids_filters, database_dir)
    raw = Inheritance(located.raw_dir) if located.raw_dir else None
    unknown = unknown_labels(selection, candidates)
    if music:
        chosen, rows, skipped = _with_stimuli(candidates, selection, table, raw, space)
    else:
        chosen, rows, skipped = _without_stimuli(candidates, selection, space)
    stimuli = StimulusSet()
    stimuli.check(row for of_run in rows.values() for row in of_run)
    accepted: list[BoldRun] = []
    inheritance = {name: Inheritance(path) for name, path in located.derivatives}
    for run in chosen:
        probe = probe_run(
            run,
            inheritance[run.dataset],
            raw,
            space=space,
            strategy=strategy,
            dummy_scans=dummy_scans,
            repetition_time=repetition_time,
            slice_time_ref=slice_time_ref,
        )
        record = _record(run, probe, rows[run.label], stimuli, space, music=music)
        if isinstance(record, BoldRun):
            accepted.append(record)
        else:
            skipped.append(record)
    if not accepted:
        _raise_all_unusable(skipped, Path(bids_dir))
    expected = _expected(table, stimuli, selection, located)
    others = {}
    if music and table is None and located.raw_dir and selection.participants:
        others = stimuli_of_others(located.raw_dir, selection, stimuli)
    kept, dropped, warnings = apply_missing_policy(
        accepted, missing, others=others, expected=expected
    )
    skipped += dropped
    labels = {p.stimulus for run in kept for p in run.presentations}
    links = [*located.derivatives] + ([("raw", located.raw_dir)] if located.raw_dir else [])
    return StudyPlan(
        bids_dir=Path(bids_dir),
        raw_dir=located.raw_dir,
        derivatives=tuple(path for _, path in located.derivatives),
        found=located.found,
        runs=tuple(kept),
        stimuli=stimuli.stimuli(labels),
        skipped=tuple(
            sorted(skipped, key=lambda run: sort_key(parse_name(Path(run.label)).entities))
        ),
        warnings=(*unknown, *stimuli.warnings, *warnings),
        dataset_links=tuple(links),
    )


def _checked_options(
    space: str, missing: str, kinds: tuple[str, ...], dummy_scans: str | int
) -> str:
    if missing not in ("skip", "error", "use"):
        raise UsageError(
            "Unknown policy.", where="--missing", found=missing, wanted="skip, error, use"
        )
    if not set(kinds) <= set(KINDS):
        raise UsageError("Unknown kind of BOLD file.", found=kinds, wanted=", ".join(KINDS))
    if dummy_scans != "auto" and not (str(dummy_scans).isdigit()):
        raise UsageError(
            "--dummy-scans is no number of volumes.",
            found=repr(dummy_scans),
            wanted="auto, 0, 1, 2, ...",
        )
    normalized = normalize_space(space)
    if normalized not in N_VERTICES:
        raise UsageError(
            "Unknown surface space.", where="--space", found=space, wanted=", ".join(N_VERTICES)
        )
    return normalized


def _skip(run: RunFiles, reason: str, problem: bool = True) -> SkippedRun:
    e = run.entities
    return SkippedRun(e["sub"], e.get("ses"), e.get("task"), e.get("run"), reason, problem)


def _skip_space(run: RunFiles, space: str) -> SkippedRun:
    return _skip(run, f"no surface BOLD in {space} (there: {', '.join(run.spaces)})")


def _without_stimuli(
    candidates: list[RunFiles], selection: Selection, space: str
) -> tuple[list[RunFiles], dict[str, list[StimulusRow]], list[SkippedRun]]:
    """Every run, whether music was heard in it or not."""
    left = [run for run in candidates if not selection.excludes(run.entities)]
    skipped = [
        _skip(run, "left out by --exclude-run", problem=False)
        for run in candidates
        if selection.excludes(run.entities)
    ]
    skipped += [_skip_space(run, space) for run in left if run.kind is None]
    chosen = [run for run in left if run.kind is not None]
    return chosen, {run.label: [] for run in chosen}, skipped


def _with_stimuli(
    candidates: list[RunFiles],
    selection: Selection,
    table: list[StimulusRow] | None,
    raw: Inheritance | None,
    space: str,
) -> tuple[list[RunFiles], dict[str, list[StimulusRow]], list[SkippedRun]]:
    """Runs in which music was heard, their rows, and the others."""
    chosen: list[RunFiles] = []
    rows: dict[str, list[StimulusRow]] = {}
    skipped: list[SkippedRun] = []
    silent: list[RunFiles] = []
    for run in candidates:
        if selection.excludes(run.entities):
            skipped.append(_skip(run, "left out by --exclude-run", problem=False))
            continue
        of_run, problem = _rows(run, table, raw)
        if problem:
            skipped.append(_skip(run, problem))
        elif not of_run:
            silent.append(run)
        elif run.kind is None:
            skipped.append(_skip_space(run, space))
        else:
            chosen.append(run)
            rows[run.label] = of_run
    with_music = {run.entities["task"] for run in candidates} - {r.entities["task"] for r in silent}
    with_music |= {run.entities["task"] for run in chosen}
    silent_tasks = sorted({run.entities["task"] for run in silent} - with_music)
    asked = [task for task in selection.tasks if task in silent_tasks]
    if asked or not (chosen or any(item.problem for item in skipped)):
        _raise_no_stimulus(asked or silent_tasks, table is not None, raw)
    for run in silent:
        whole_task = run.entities["task"] in silent_tasks
        reason = "no stimulus is given for this " + ("task" if whole_task else "run")
        if not whole_task and table is None and raw is not None:
            reason += f" in {_events_file(run, raw) or 'an events.tsv'}"
        skipped.append(_skip(run, reason, problem=run.entities["task"] not in silent_tasks))
    return chosen, rows, skipped


def _rows(
    run: RunFiles, table: list[StimulusRow] | None, raw: Inheritance | None
) -> tuple[list[StimulusRow], str | None]:
    if table is not None:
        return rows_of_run(table, run.entities), None
    if raw is None:
        return [], None
    events = _events_file(run, raw)
    if events is None:
        return [], None
    problem = content_problem(events)
    return ([], problem) if problem else (rows_of_events(events, raw.root), None)


def _events_file(run: RunFiles, raw: Inheritance) -> Path | None:
    """The nearest events.tsv that applies to a run."""
    folder = raw_folder(raw.root, run)
    found = raw.applying(folder, run.entities, "events", (".tsv",), ignore=("echo", "part"))
    return found[0] if found else None


def _raise_no_stimulus(tasks: list[str], table: bool, raw: Inheritance | None) -> None:
    if table:
        found = "no row of the table is for " + ", ".join(f"task {task}" for task in tasks)
        remedy = "add rows for these tasks, or choose others with --task-id"
    elif raw is None:
        found = "no raw dataset beside the fMRIPrep outputs, so no events.tsv"
        remedy = "name the raw dataset with --derivatives raw=PATH, or " + HOW_TO_GIVE_STIMULI
    else:
        found = "no events.tsv names a stim_file for " + ", ".join(f"task {task}" for task in tasks)
        remedy = HOW_TO_GIVE_STIMULI
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
    space: str,
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
    spaces = {"gifti": space, "cifti": "fsLR"}
    return BoldRun(
        participant=run.entities["sub"],
        session=run.entities.get("ses"),
        task=run.entities["task"],
        run=run.entities.get("run"),
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
    )


def _expected(
    table: list[StimulusRow] | None, stimuli: StimulusSet, selection: Selection, located: Located
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
            stimuli.check([row])
            labels.add(stimuli.add(row.path, row.where).label)
    return labels


def _raise_all_unusable(skipped: list[SkippedRun], where: Path) -> None:
    problems = [run for run in skipped if run.problem]
    lines = [f"{run.label}: {run.reason}" for run in problems]
    shown = lines[:12] + ([f"and {len(lines) - 12} more runs"] if len(lines) > 12 else [])
    absent = all("content not present" in run.reason for run in problems)
    kind = MissingInputError if absent else BadDataError
    raise kind(
        "No run can be used.",
        where=where,
        found="".join(f"\n    {line}" for line in shown),
        wanted="at least one run with readable files",
        remedy="fetch the content (datalad get), or repair the files named above",
    )
