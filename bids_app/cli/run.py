"""The BIDS-App itself: command line to exit code."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bids_app import __version__
from bids_app.cli.parser import parse_config
from bids_app.config import Config
from bids_app.config.options import level_of, options_of
from bids_app.disk import full_disk, is_full
from bids_app.errors import (
    CannotWriteError,
    MissingInputError,
    MusencError,
    NoStimulusError,
    NothingSelectedError,
    Problems,
    TryAgainError,
)
from bids_app.features.registry import check_spaces, find_space
from bids_app.files import check_folder, write_text
from bids_app.held import at_end, remove_unowned
from bids_app.limits import out_of_memory
from bids_app.log import log_anew, log_to_file_alone, set_up_logging, tell
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.resources import OWN_GRADIENT, choose_gradient
from bids_app.status import Status, StatusRow
from bids_app.stopping import WORDS, ends_on_signals, exit_code

if TYPE_CHECKING:
    from bids_app.analyses.conditions.plan import ConditionPlan
    from bids_app.analyses.group_level import GroupPlan
    from bids_app.analyses.participant.rest_plan import RestPlan
    from bids_app.inputs.records import SkippedRun, StudyPlan
    from bids_app.inputs.stimuli import StimulusRow

LOGGER = logging.getLogger("bids_app")

NOTHING_TO_ALIGN = (
    "the folder has no encoding models whose layer preference is aligned with it: run the "
    "participant level with music first"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app; returns its exit code."""

    def work() -> int:
        config = parse_config(argv)
        set_up_logging(config.running.verbosity)
        if config.running.omp_nthreads is not None:
            limit_threads(config.running.omp_nthreads)
        return run(config)

    return guarded(work)


def guarded(work: Callable[[], int]) -> int:
    """Run `work`; a user's error becomes a message and an exit code, never a traceback."""
    os.environ["NIPYPE_NO_ET"] = "1"  # nipype's version ping: nothing is ever sent
    try:
        with ends_on_signals():
            remove_unowned()
            return work()
    except MusencError as error:
        tell(f"\nerror: {error.told}", file=sys.stderr)
        log_to_file_alone(f"error: {error.told}")
        LOGGER.debug("traceback", exc_info=True)
        return error.exit_code
    except KeyboardInterrupt:
        tell(f"\n{WORDS}", file=sys.stderr)
        return exit_code(signal.SIGINT)
    except MemoryError as error:
        return _ended_by(out_of_memory(str(error)))
    except BrokenPipeError:
        return 1
    except Exception as error:
        if is_full(error):
            return _ended_by(full_disk(error, []))
        tell(
            f"\nerror: this is a defect of the program: {type(error).__name__}: {error}\n"
            "  do this: run the same command with -v and report what it prints",
            file=sys.stderr,
        )
        LOGGER.debug("traceback", exc_info=True)
        return 1


def _ended_by(error: MusencError) -> int:
    """Tell what the system refused; the exit code."""
    tell(f"\nerror: {error.told}", file=sys.stderr)
    LOGGER.debug("traceback", exc_info=True)
    return error.exit_code


def run(config: Config) -> int:
    """Run one level and return the exit code."""
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
    log_anew()
    LOGGER.info("musenc-bidsapp %s: %s level", __version__, config.level)
    LOGGER.info("command: %s", shlex.join(sys.argv))
    if config.running.boilerplate_only:
        tell(methods_text(config))
        return 0
    if config.running.reports_only:
        return redraw_reports(config)
    with leaves_status(config, run_id):
        done = (run_group if config.level == "group" else run_participants)(config, run_id)
    if isinstance(done, int):
        return done
    log = LOGGER.info if done.exit_code == 0 else LOGGER.error
    log("%s", done.closing_line)
    if pages := pages_of(config, done):
        LOGGER.info("read %s%s", pages[0], f" and {len(pages) - 1} more" if pages[1:] else "")
    return done.exit_code


def pages_of(config: Config, status: Status) -> list[Path]:
    """The pages that a call has drawn."""
    tree = OutputTree(config.output_dir)
    people = [row.participant for row in status.rows if not row.run and row.state == "done"]
    pages = [tree.participant_report(who) for who in people]
    if config.level == "group":
        pages = [tree.group_report]
    return [page for page in pages if page.is_file()]


def run_group(config: Config, run_id: str) -> Status | int:
    """Conditions and encoding models over participants, whatever of both there is.

    Returns
    -------
    Status, or the exit code of ``--dry-run``

    Raises
    ------
    MusencError
        All that would stop either, before any work; or what a step failed with.
    """
    from bids_app.analyses.conditions.group_plan import plan_group
    from bids_app.analyses.group_level import GroupPlan, plan_group_level, with_own_atlases
    from bids_app.workflows.conditions_group import run_conditions_group
    from bids_app.workflows.group_level import run_group_level

    tell_unused(config)
    tree, problems = OutputTree(config.output_dir), Problems()
    config = with_own_atlases(with_meant_people(config))
    with_conditions, models = tree.participants_of(CONDITIONS_LABEL), tree.models()
    group, plan = None, GroupPlan()
    if len(with_conditions) > 1 or (with_conditions and not models):
        with problems.collecting():
            group = plan_group(config)
    elif config.conditions.rating_difference is not None:
        with problems.collecting():
            raise MissingInputError(
                "A rating difference needs maps of a contrast of at least four participants.",
                where=tree.root,
                found=f"maps of {len(with_conditions)}",
                wanted="four participants or more",
                remedy="run the participant level with --contrast first",
            )
    if models or not with_conditions:
        plan = plan_group_level(config, problems)
    elif OWN_GRADIENT in config.statistics.gradients:
        plan.absent[OWN_GRADIENT] = NOTHING_TO_ALIGN
    problems.tell("The group level cannot begin")
    if config.running.dry_run:
        from bids_app.cli.dry_run import show_group_plan

        return show_group_plan(config, plan, group)
    rows: list[StatusRow] = []
    if group is not None:
        status = run_conditions_group(config, group, run_id)
        if not models:
            tell_nothing_to_align(config, plan, status)
            return status
        rows = status.rows
    status = run_group_level(config, plan, run_id)
    status.rows[:0] = rows
    status.write(tree.status(run_id))
    return status


def with_meant_people(config: Config) -> Config:
    """The configuration with participants as they are called in the output folder."""
    from bids_app.inputs.labels import meant_participants

    selection, notes = meant_participants(config.selection, [config.output_dir])
    for note in notes:
        LOGGER.warning("%s", note)
    return replace(config, selection=selection)


def tell_nothing_to_align(config: Config, plan: GroupPlan, status: Status) -> None:
    """Say that an own gradient was asked for where there is no layer preference beside it."""
    for option, reason in plan.absent.items():
        LOGGER.warning("group: the own gradient is not made: %s", reason)
        status.add("", f"alignment with {option}", "skipped", reason, problem=True)
        status.write(OutputTree(config.output_dir).status(status.run_id))


@contextmanager
def leaves_status(config: Config, run_id: str) -> Iterator[None]:
    """Whatever ends the call, the output folder has a status file that says so."""

    def write(code: int, told: str = WORDS) -> None:
        status = Status(run_id, config.level, stopped=code)
        status.add("", "", "failed", told)
        if not config.running.dry_run and may_hold_logs(config.output_dir):
            with suppress(MusencError):
                status.write(OutputTree(config.output_dir).status(run_id))

    try:
        with at_end(write):
            yield
    except MemoryError as error:
        write(TryAgainError.exit_code, str(out_of_memory(str(error))))
        raise
    except KeyboardInterrupt:
        write(exit_code(signal.SIGINT))
        raise
    except Exception as error:
        write(getattr(error, "exit_code", 1), str(error) or type(error).__name__)
        raise


def may_hold_logs(folder: Path) -> bool:
    """Whether a folder is, or may become, an output folder: nothing is left inside other data."""
    description = "dataset_description.json"
    if (folder / description).is_file():
        return '"musenc-bidsapp"' in (folder / description).read_text(errors="replace")
    outer = next((one for one in folder.resolve().parents if (one / description).is_file()), None)
    return outer is None or (outer / "derivatives") in folder.resolve().parents


def run_participants(config: Config, run_id: str) -> Status | int:
    """Encoding models where there is music, conditions where contrasts are given, and rest.

    Returns
    -------
    Status, or the exit code of ``--dry-run``
    """
    tell_unused(config)
    check_folders(config)
    contrasts = bool(config.conditions.contrasts)
    found = plan_contrasts(config) if contrasts else None
    try:
        plan = make_plan(config, logs=config.output_dir / "logs")
    except NoStimulusError as error:
        if not contrasts:
            raise
        plan = None
        LOGGER.info("no encoding models, only conditions: %s", error.found)
    rest = plan_resting(config, plan)
    if plan is not None and rest is not None:
        from bids_app.analyses.participant.rest_plan import without_rest

        plan = without_rest(plan, rest)
    config = still_to_clean(config, plan)
    if config.running.dry_run:
        from bids_app.cli.dry_run import show_plan

        return show_plan(config, plan, found, rest)
    from bids_app.workflows.participant_level import run_participant_level

    return run_participant_level(config, plan, found, run_id, rest)


def check_folders(config: Config) -> None:
    """Refuse folders that are files, or cannot be written to, before any work.

    Raises
    ------
    CannotWriteError
    """
    check_folder(config.output_dir)
    check_folder(config.cache_dir, written=False)  # one of others is only read
    if config.running.work_dir is not None:
        check_folder(config.running.work_dir)


def tell_unused(config: Config) -> None:
    """Say which of the options given do nothing at this level."""
    at_group = config.level == "group"
    other = "participant" if at_group else "group"
    sections = filter(is_dataclass, (getattr(config, entry.name) for entry in fields(config)))
    unused = [
        f"--{option.dest.replace('_', '-')}"
        for section in sections
        for _, option in options_of(section)
        if option.dest in config.given and level_of(section, option) == other
    ]
    # Two options are read at the other level where another option needs them.
    if at_group and config.derivatives and config.conditions.rating_difference is None:
        unused.append("--derivatives")
    if not at_group and config.statistics.atlases and not config.lag_scan.asked:
        unused.append("--atlas")
    if unused:
        counts = " (what the participants' settings files record counts)" if at_group else ""
        told = "of the %s level, nothing is done with them here%s: %s"
        LOGGER.info(told, other, counts, ", ".join(unused))


def still_to_clean(config: Config, plan: StudyPlan | None) -> Config:
    """The configuration, with what is still to be done to series that were denoised before."""
    from bids_app.inputs.denoised import effective_cleaning

    if plan is None:
        return config
    return replace(config, cleaning=effective_cleaning(config.cleaning, plan.runs))


def limit_threads(n_threads: int) -> None:
    """Let linear algebra and audio network use at most `n_threads` threads per process."""
    from threadpoolctl import threadpool_limits

    os.environ["OMP_NUM_THREADS"] = str(n_threads)  # for libraries and processes still to come
    threadpool_limits(limits=n_threads)


def methods_text(config: Config) -> str:
    """The methods of both levels with the settings of this call, as Markdown; a text per model."""
    from bids_app.report import boilerplate

    gradients = [choose_gradient(option) for option in config.statistics.gradients]
    alignments = [
        {
            "gradient": {"Name": chosen.name, "Label": chosen.label},
            "n_spins": config.statistics.n_spins,
            "method": config.statistics.spin_method,
        }
        for chosen in gradients
    ]
    texts = []
    for space in config.model.spaces:
        row = find_space(space.features)
        weights = (row.weights or config.model.weights or "") if row.network else ""
        features = {
            "Features": row.identity,
            "Untrained": weights.startswith("random:"),
            "Weights": weights,
            **row.stream_record(),
        }
        text = boilerplate(
            {"Settings": config.participant_settings("", row.identity), "Features": features},
            {"Settings": config.inference_settings()},
            alignments,
        )
        texts.append(f"# Model {space.label}\n\n{text}")
    return "\n".join(texts)


def redraw_reports(config: Config) -> int:
    """Draw the pages of a level from existing derivatives; returns the exit code.

    Raises
    ------
    MissingInputError, NothingSelectedError
        If there are no derivatives, or none of the participants asked for.
    """
    from bids_app.analyses.page import redraw_page
    from bids_app.analyses.registry import write_group_report

    tree = OutputTree(config.output_dir)
    there = sorted(
        {who for model in tree.models() for who in tree.participants_of(model)}
        | set(tree.participants_of(CONDITIONS_LABEL))
    )
    if not there:
        raise MissingInputError(
            "There are no derivatives to draw.",
            where=config.output_dir,
            found="no maps of participants",
            wanted="the output of a participant level",
            remedy="run the participant level first, without --reports-only",
        )
    if config.level == "group":
        LOGGER.info("%s drawn", write_group_report(config.output_dir))
        return 0
    config = with_meant_people(config)
    wanted = config.selection.participants or tuple(there)
    if missing := sorted(set(wanted) - set(there)):
        raise NothingSelectedError(
            "Participants were asked for that have no derivatives.",
            where=config.output_dir,
            found=", ".join(there),
            wanted=", ".join(missing),
            remedy="leave them out of --participant-label",
        )
    for participant in wanted:
        LOGGER.info("%s drawn", redraw_page(tree, participant))
    return 0


def plan_contrasts(config: Config) -> ConditionPlan:
    """What there is to do about conditions, with or without music."""
    from bids_app.analyses.conditions.plan import plan_conditions

    study = make_plan(config, music=False, logs=config.output_dir / "logs")
    return plan_conditions(config, study)


def plan_resting(config: Config, plan: StudyPlan | None) -> RestPlan | None:
    """Resting runs that are cleaned, where a task is given; `plan` is that of the music.

    Raises
    ------
    NothingSelectedError
        If there is no run of the task.
    """
    task = config.selection.rest_task
    if task is None:
        return None
    from bids_app.analyses.participant.rest_plan import plan_rest

    selection, logs = replace(config.selection, tasks=(task,)), config.output_dir / "logs"
    try:
        resting = replace(config, selection=selection)
        # Resting runs that cannot be used are named, and cost no music.
        study = make_plan(
            resting,
            music=False,
            may_be_empty=True,
            logs=logs,
            fetch="fetch_rest.sh",
            tell_people=False,
        )
    except NothingSelectedError as error:
        raise NothingSelectedError(
            "There is no resting run.",
            where=f"--rest-task {task}",
            found=error.found,
            wanted=f"at least one run of task {task}",
            remedy="give the label of the resting runs' task, or leave --rest-task out",
        ) from error
    return plan_rest(config, study, [run.label for run in plan.runs] if plan else ())


def make_plan(
    config: Config,
    *,
    music: bool = True,
    may_be_empty: bool = False,
    table: Sequence[StimulusRow] | None = None,
    logs: Path | None = None,
    fetch: str = "",
    tell_people: bool = True,
) -> StudyPlan:
    """What there is to do in the dataset, written to the log.

    The command that fetches missing content is also written to a file in `logs`, of the name
    `fetch`. Participants without any run are left to the caller unless `tell_people`.
    """
    fetch = fetch or ("fetch.sh" if music else "fetch_conditions.sh")
    from bids_app.inputs.dataset import plan_study

    if music:
        check_spaces(
            [space.features for space in config.model.spaces],
            config.model.layers,
            [space for _, space, *_ in config.lag_scan.features],
        )
    plan = plan_study(
        config.bids_dir,
        config.derivatives,
        selection=config.selection,
        stimuli=config.stimuli,
        cleaning=config.cleaning,
        table=table,
        database_dir=config.running.database_dir,
        music=music,
        may_be_empty=may_be_empty,
        tell_fetch=partial(tell_fetch, logs, fetch),
    )
    if music:
        from bids_app.analyses.participant.foresee import with_remarks

        plan = with_remarks(config, plan)
    LOGGER.info("%s", plan.found)
    for warning in plan.warnings:
        LOGGER.warning("%s", warning)
    # Before anything else is refused: what is lacking then may be the reason.
    tell_skipped(run for run in plan.skipped if tell_people or run.run_label or run.problem)
    return plan


def tell_skipped(skipped: Iterable[SkippedRun]) -> None:
    """Log runs and participants that take no part, and why."""
    for run in skipped:
        log = LOGGER.warning if run.problem or not run.run_label else LOGGER.info
        log("%s is %s: %s", run.label, "skipped" if run.problem else "left out", run.reason)


def tell_fetch(logs: Path | None, name: str, command: str) -> None:
    """Print the command that fetches what is not there, and write it to a file in `logs`."""
    if logs is None:
        LOGGER.warning("content is not there; fetch it: %s", command)
        return
    path = logs / name
    text = f"#!/usr/bin/env bash\n# Fetches all content that is needed and not there.\n{command}\n"
    try:
        write_text(path, text)
    except CannotWriteError as error:
        LOGGER.warning("content is not there; fetch it: %s (not written: %s)", command, error.what)
    else:
        LOGGER.warning("content is not there; fetch it (also in %s): %s", path, command)


if __name__ == "__main__":
    sys.exit(main())
