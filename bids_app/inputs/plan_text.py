"""The plan as text, for --dry-run and the log."""

from __future__ import annotations

from collections.abc import Iterable

from bids_app.inputs.records import BoldRun, SkippedRun, StudyPlan
from bids_app.plain import counted, some_of

MAX_SKIPPED = 40
"""Reasons listed one by one; the rest is counted."""


def format_plan(plan: StudyPlan) -> str:
    """Describe what will be read, what is left out and why: text without a trailing newline."""
    parts = [plan.found, _stimulus_table(plan), _run_table(plan)]
    warnings = [f"warning: {text}" for text in plan.warnings]
    told = ((run.label, [w for w in run.warnings if w not in plan.warnings]) for run in plan.runs)
    warnings += [f"warning: {text}" for text in run_warnings(told)]
    if warnings:
        parts.append("\n".join(warnings))
    if plan.skipped:
        parts.append(skipped_text(plan.skipped))
    if plan.fetch:
        parts.append(f"content is not there; fetch all that is needed:\n  {plan.fetch}")
    parts.append(_summary(plan))
    return "\n\n".join(parts)


def run_warnings(told: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """What is told of runs, by their labels; the same about many once."""
    labels: dict[str, list[str]] = {}
    for label, texts in told:
        for text in texts:
            labels.setdefault(text, []).append(label)
    return [f"{some_of(who, 3)}: {text}" for text, who in labels.items()]


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _stimulus_table(plan: StudyPlan) -> str:
    rows = []
    for stimulus in plan.stimuli:
        heard = [
            run for run in plan.runs for p in run.presentations if p.stimulus == stimulus.label
        ]
        people = len({run.participant for run in heard})
        length, n_people, n_times = f"{stimulus.duration:.1f} s", str(people), str(len(heard))
        rows.append((stimulus.label, length, n_people, n_times, str(stimulus.path)))
    return _table(("stimulus", "length", "participants", "presentations", "file"), rows)


def _run_table(plan: StudyPlan) -> str:
    about = ("participant", "session", "task", "run", "volumes", "TR", "sampled")
    rows = [row for run in plan.runs for row in _run_rows(run)]
    return _table((*about, "stimulus", "onset", "played"), rows)


def _run_rows(run: BoldRun) -> Iterable[tuple[str, ...]]:
    others = [
        f"{key}-{run.entities[key]}" for key in ("acq", "ce", "rec", "dir") if key in run.entities
    ]
    dummies = f" (first {run.n_dummy} left out)" if run.n_dummy else ""
    first = (
        f"sub-{run.participant}",
        run.session or "-",
        "_".join([run.task, *others]),
        run.run or "-",
        f"{run.n_volumes}{dummies}",
        f"{run.tr:g} s",
        f"+{run.start_time:g} s",
    )
    for number, p in enumerate(run.presentations):
        played = f"{p.duration:.1f} s" + (f" from {p.offset:g} s" if p.offset else "")
        yield (
            *(first if number == 0 else ("",) * len(first)),
            p.stimulus,
            f"{p.onset:g} s",
            played,
        )


def skipped_text(skipped: tuple[SkippedRun, ...]) -> str:
    """Problems one by one; choices grouped by reason."""
    problems = [run for run in skipped if run.problem]
    lines = [f"skipped: {run.label}: {run.reason}" for run in problems[:MAX_SKIPPED]]
    if len(problems) > MAX_SKIPPED:
        lines.append(f"skipped: {len(problems) - MAX_SKIPPED} more runs with unusable files")
    by_reason: dict[str, list[str]] = {}
    for run in skipped:
        if not run.problem:
            by_reason.setdefault(run.reason, []).append(run.label)
    for reason, labels in by_reason.items():
        lines.append(f"left out: {some_of(labels, 4)}: {reason}")
    return "\n".join(lines)


def _summary(plan: StudyPlan) -> str:
    unusable = sum(run.problem for run in plan.skipped)
    counts = [
        counted(len(plan.participants), "participant"),
        counted(len(plan.runs), "run"),
        counted(len(plan.stimuli), "stimulus", "stimuli"),
    ]
    text = ", ".join(counts)
    if plan.skipped:
        people = sum(not run.run_label for run in plan.skipped)
        runs = len(plan.skipped) - people
        text += f"; {counted(runs, 'run')} not used" if runs else ""
        text += f"; {counted(people, 'participant')} without any" if people else ""
        text += f", {unusable} of them because of their files" if unusable else ""
    return text
