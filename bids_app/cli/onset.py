"""``musenc onset``: what the data say about when the music started, for the user to decide."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bids_app.errors import UsageError
from bids_app.inputs.locate import locate_dataset
from bids_app.inputs.stimuli import StimulusRow, read_stimulus_table
from bids_app.log import tell

if TYPE_CHECKING:
    from bids_app.analyses.participant.onsets import OnsetEstimate
    from bids_app.inputs.records import BoldRun
    from bids_app.surface.lag import FoundLag

LOGGER = logging.getLogger("bids_app")
WIDTH, HEIGHT = 64, 10


def add_onset(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc onset``."""
    parser = commands.add_parser(
        "onset",
        help="find out when the music started in the runs, where nothing says so",
        usage="musenc onset BIDS_DIR (--stimuli TABLE | --stim TASK=FILE ...) [--output-dir DIR] "
        "[options of musenc-bidsapp]",
        description="Correlates auditory cortex of all participants with the loudness of the music "
        "over lags, shows the mean curve of each task with its 95% interval over participants, "
        "and prints the line of the stimuli table that follows from it. Nothing is applied: look "
        "at the curve, and copy the line if you believe it. The table needs the columns task and "
        "stim_file; without onset, the music is first taken to start with the first volume.",
        epilog="--stim TASK=FILE: which file was heard in a task, instead of a table (several). "
        "--output-dir DIR: folder for the curves (one PNG and TSV per task). All other options are "
        "those of musenc-bidsapp (--participant-label, --task-id, --derivatives, ...).",
    )
    parser.add_argument("bids_dir", help="as of musenc-bidsapp")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see above")
    parser.set_defaults(work=_run_onset)


def _run_onset(options: argparse.Namespace) -> int:
    from bids_app.analyses.participant.onsets import estimate_onsets
    from bids_app.cli.parser import parse_config
    from bids_app.cli.run import make_plan, still_to_clean

    own = argparse.ArgumentParser(prog="musenc onset", add_help=False, allow_abbrev=False)
    own.add_argument("--stim", nargs="+", default=[])
    own.add_argument("--output-dir", type=Path)
    chosen, rest = own.parse_known_args(options.options)
    # The results' folder is not used.
    config = parse_config([options.bids_dir, options.bids_dir, "participant", *rest])
    table = config.stimuli.table
    raw_dir = locate_dataset(config.bids_dir, config.derivatives).raw_dir
    rows = _rows(chosen.stim, table, raw_dir)
    stimuli = replace(config.stimuli, missing="use")  # participants without a piece still count
    plan = make_plan(replace(config, stimuli=stimuli), table=rows or None)
    config = still_to_clean(config, plan)
    estimates = estimate_onsets(
        plan,
        config.cleaning,
        random_seed=config.statistics.random_seed,
        progress=lambda label: LOGGER.info("%s", label),
    )
    names = {Path(name).absolute(): name for _, name in map(_task_and_file, chosen.stim)}
    if table is not None:
        names = {row.path: os.path.relpath(row.path, table.parent) for row in rows}
    paths = {stimulus.label: stimulus.path for stimulus in plan.stimuli}
    for estimate in estimates:
        path = paths[estimate.stimulus]
        where = runs_of(plan.runs, estimate.task, estimate.stimulus)
        part = part_of(rows, plan.runs, estimate, path)
        tell(describe(estimate, names.get(path, str(path)), where, part))
        if chosen.output_dir is not None:
            _write(estimate, chosen.output_dir)
    return 0


def _rows(pairs: Sequence[str], table: Path | None, raw_dir: Path | None) -> list[StimulusRow]:
    """Rows of the table, or of the pairs, with an onset everywhere."""
    if pairs and table is not None:
        raise UsageError(
            "--stim and --stimuli exclude each other.",
            found="both",
            wanted="one",
            remedy="give one of them",
        )
    if table is not None:
        return read_stimulus_table(table, default_onset=0.0, raw_dir=raw_dir)
    return [
        StimulusRow(Path(name).absolute(), 0.0, 0.0, None, {"task": task}, "--stim")
        for task, name in map(_task_and_file, pairs)
    ]


def _task_and_file(pair: str) -> tuple[str, str]:
    task, _, name = pair.partition("=")
    if not (task and name):
        raise UsageError(
            "--stim does not say which file was heard.",
            found=pair,
            wanted="TASK=FILE",
            remedy="give for example --stim music=stimuli/piece.wav",
        )
    return task.removeprefix("task-"), name


def runs_of(runs: Sequence[BoldRun], task: str, stimulus: str) -> list[dict[str, str]]:
    """Sessions and runs in which a task had a stimulus; one without columns if all had it."""
    heard: dict[tuple[tuple[str, str], ...], bool] = {}
    for run in runs:
        if run.task == task:
            named = {"session": run.session, "run": run.run}
            place = tuple((name, label) for name, label in named.items() if label)
            own = any(one.stimulus == stimulus for one in run.presentations)
            heard[place] = heard.get(place, False) or own
    return [{}] if all(heard.values()) else [dict(place) for place, own in heard.items() if own]


def part_of(
    rows: Sequence[StimulusRow], runs: Sequence[BoldRun], estimate: OnsetEstimate, path: Path
) -> dict[str, str] | None:
    """Columns that say which part of a file was played; None where it was not one for everybody.

    Parameters
    ----------
    rows : sequence of StimulusRow
        Of the user's table; without one events say it.
    runs : sequence of BoldRun
    estimate : OnsetEstimate
    path : Path
        The file.
    """
    task, stimulus = estimate.task, estimate.stimulus
    own = [r for r in rows if r.path == path and r.keys.get("task", task) == task]
    played = {(row.offset, row.duration) for row in own} or {
        (one.offset, one.duration)
        for run in runs
        if run.task == task
        for one in run.presentations
        if one.stimulus == stimulus
    }
    if len(played) != 1 or any("sub" in row.keys for row in own):
        return None
    ((offset, duration),) = played
    told = {"offset": offset or None, "duration": duration}
    return {name: f"{value:g}" for name, value in told.items() if value is not None}


def describe(
    estimate: OnsetEstimate,
    stim_file: str,
    where: Sequence[dict[str, str]] = ({},),
    part: Mapping[str, str] | None = MappingProxyType({}),
) -> str:
    """Curve, lag and table row as text.

    Parameters
    ----------
    estimate : OnsetEstimate
    stim_file : str
        As the table is to name it.
    where : sequence of dict
        Of each row of the table the columns that restrict it.
    part : mapping or None
        From `part_of`.
    """
    from bids_app.analyses.participant.lags import HEMODYNAMIC_DELAY
    from bids_app.surface.lag import CLEAR_PEAK
    from bids_app.surface.lag_scan import AT_EDGE

    found, people = estimate.found, len(estimate.participants)
    assumed = ", ".join(f"{onset:g}" for onset in estimate.onsets)
    lines = [
        "",
        f"task {estimate.task}, {estimate.stimulus}: {people} participants, "
        f"music assumed to start at {assumed} s",
        "",
    ]
    if not np.isfinite(found.r):
        return "\n".join([*lines, "unclear: no correlation can be computed"])
    lines += [text_plot(found), ""]
    highest = f"highest mean r {found.r:.2f}, p {found.p:.3f} against random phases"
    if not found.clear:
        why = (
            f"{AT_EDGE} of the lags that were tried, {found.lags[0]:g} to {found.lags[-1]:g} s"
            if found.state == AT_EDGE
            else f"unclear: noise gives such a maximum too (p < {CLEAR_PEAK:g} is needed)"
        )
        return "\n".join([*lines, f"{why}, so no onset is proposed", highest])
    interval = (
        f"95% interval {found.low:.1f} to {found.high:.1f} s"
        if np.isfinite(found.low)
        else "no interval from one participant"
    )
    lines += [
        f"auditory cortex follows the assumed start by {found.lag:.1f} s ({interval}), {highest}",
        "",
    ]
    lines += [
        f"minus {HEMODYNAMIC_DELAY:g} s of expected hemodynamic delay: the music starts "
        f"{abs(estimate.shift):.1f} s {'later' if estimate.shift >= 0 else 'earlier'} than assumed",
        "",
    ]
    if len(estimate.onsets) > 1 or part is None:
        return "\n".join([*lines, f"if you agree, add {estimate.shift:.1f} to each of the onsets"])
    onset = estimate.onsets[0] + estimate.shift
    own = {"task": estimate.task, "stim_file": stim_file, "onset": f"{onset:.1f}", **part}
    columns = dict.fromkeys(name for row in where for name in row)
    table = ["\t".join([*own, *columns])]
    table += ["\t".join([*own.values(), *(row.get(c, "n/a") for c in columns)]) for row in where]
    return "\n".join([*lines, "if you agree, the stimuli table is", *table])


def text_plot(found: FoundLag) -> str:
    """Mean curve (``*``) in its interval (``:``) over lags, and the interval of the lag below."""
    columns = np.linspace(found.lags[0], found.lags[-1], WIDTH)
    curves = [found.curve, *found.band]
    # Lags without a correlation stay empty.
    mean, low, high = (np.interp(columns, found.lags, curve) for curve in curves)
    top, bottom = max(np.nanmax(high), 0.05), min(np.nanmin(low), 0.0)
    levels = np.linspace(top, bottom, HEIGHT)
    half = (levels[0] - levels[1]) / 2
    lines = []
    for level in levels:
        cells = np.where((low - half <= level) & (level <= high + half), ":", " ")
        cells[np.abs(mean - level) <= half] = "*"
        lines.append(f"{level:6.2f} |{''.join(cells)}".rstrip())
    marks = np.full(WIDTH, " ")
    if found.clear:
        ends = (found.low, found.high) if np.isfinite(found.low) else (found.lag,) * 2
        marks[(columns >= ends[0]) & (columns <= ends[1])] = "-"
        marks[int(np.argmin(np.abs(columns - found.lag)))] = "^"
    first, last = f"{columns[0]:g}", f"{columns[-1]:g} s"
    axis = first + " " * (WIDTH - len(first) - len(last)) + last
    return "\n".join([*lines, f"   r   |{''.join(marks)}".rstrip(), f"  lag   {axis}"])


def _write(estimate: OnsetEstimate, folder: Path) -> None:
    """The curve as a table and as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from bids_app.files import atomic_path
    from bids_app.labels import safe_label

    stem = f"task-{estimate.task}_stim-{safe_label(estimate.stimulus)}_desc-onset_timeseries"
    found = estimate.found
    low, high = found.band
    table = np.column_stack([found.lags, found.curve, low, high])
    with atomic_path(folder / f"{stem}.tsv") as path:
        np.savetxt(
            path,
            table,
            fmt=("%.1f", "%.5f", "%.5f", "%.5f"),
            delimiter="\t",
            header="lag_s\tr\tlow\thigh",
            comments="",
        )
    figure = Figure(figsize=(7.0, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.fill_between(found.lags, low, high, alpha=0.3, label="95% interval")
    axes.plot(found.lags, found.curve, label="mean over participants")
    if found.clear:
        axes.axvline(found.lag, color="black", linewidth=1, label=f"maximum at {found.lag:.1f} s")
    axes.axhline(0, color="gray", linewidth=0.8)
    axes.set_xlabel("lag behind the assumed start of the music (s)")
    axes.set_ylabel("r of auditory cortex with loudness")
    said = "" if found.clear else f": {found.state}"
    axes.set_title(f"task {estimate.task}, {estimate.stimulus}{said}", fontsize=10)
    axes.legend(frameon=False)
    with atomic_path(folder / f"{stem}.png") as path:
        figure.savefig(path, dpi=120, format="png")
