"""Run a level: plan, build the workflow, run it, and say what became of everybody."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bids_app.workflows.running import Failure, raise_failure, run_workflow

from bids_app.analyses.folder.claims import claim, claim_settings, is_current
from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.plan import (
    EncodingModel,
    costs_of,
    mask_checksums,
    participant_record,
    write_descriptions,
)
from bids_app.analyses.ratings.brain_glm import rating_glm_memory
from bids_app.analyses.ratings.plan import EmotionWork, StudyRatings, find_ratings, plan_emotion
from bids_app.config import Config
from bids_app.files import read_json
from bids_app.inputs.estimate import check_memory, need_memory
from bids_app.inputs.rating_records import describe
from bids_app.inputs.records import StudyPlan
from bids_app.outputs import OutputTree
from bids_app.report import write_participant_report
from bids_app.status import Status

LOGGER = logging.getLogger("bids_app.workflows")


def run_participant_level(config: Config, plan: StudyPlan, run_id: str) -> Status:
    """Work on every participant of `plan`.

    Parameters
    ----------
    config : Config
    plan : StudyPlan
    run_id : str
        Names this call in logs.

    Returns
    -------
    Status
        One row per participant and per skipped run.
    """
    from bids_app.workflows.participant import init_participant_level_wf

    tree = OutputTree(config.output_dir)
    costs = costs_of(config, plan)
    check_memory(costs, config.running.memory)
    ratings = find_ratings(config, plan)
    _check_rating_memory(config, plan, ratings)
    models = {s.label: EncodingModel.of(s, config) for s in config.model.spaces}
    write_descriptions(tree, plan)
    mask = {"cortex_mask": mask_checksums(config)}
    claim(tree.response_settings, config.response_settings() | mask)
    for label, model in models.items():
        claim_settings(tree, label, model.settings)
    status = Status(run_id, "participant")
    for skipped in plan.skipped:
        status.add(
            skipped.participant,
            skipped.label,
            "skipped",
            skipped.reason,
            problem=skipped.problem,
        )
        if skipped.problem:
            LOGGER.warning("%s is skipped: %s", skipped.label, skipped.reason)
    records = {
        p: [participant_record(plan, p, model) for model in models.values()]
        for p in plan.participants
    }
    work = plan_emotion(
        tree, config, ratings, {k: model.settings for k, model in models.items()}, records, plan
    )
    _tell(status, work)
    jobs, pending = [], []
    for participant, own in records.items():
        open_records = [record for record in own if not is_current(tree, record)]
        if open_records:
            jobs.append(open_records)
        if open_records or work.records(participant):
            pending.append([*open_records, *work.records(participant)])
        else:
            status.add(participant, "", "done", "already there, with these settings and inputs")
            LOGGER.info("sub-%s: already done", participant)
    if pending:
        workflow = init_participant_level_wf(
            plan,
            jobs,
            config=config,
            models=models,
            work=work,
            n_threads=config.running.n_threads(len(pending)),
            costs=costs,
        )
        failures = run_workflow(workflow, config, run_id)
        _judge(status, tree, pending, failures)
    _tell_left_out(status, tree, work)
    status.write(tree.status(run_id))
    return status


def _check_rating_memory(config: Config, plan: StudyPlan, ratings: StudyRatings) -> None:
    """Refuse linear models of ratings that do not fit."""
    if ratings.reason:
        return
    needed = max(
        rating_glm_memory(
            [run for run in plan.runs if run.participant == participant],
            config.cleaning,
            config.emotion,
            len(ratings.scales),
        )
        for participant in plan.participants
    )
    need_memory(needed, config.running.memory, "for one participant's ratings and brain")


def _tell(status: Status, work: EmotionWork) -> None:
    """Say what is done with ratings, and with whose not."""
    if work.study.reason:
        status.notes.append(f"ratings: {work.study.reason}")
        LOGGER.info("ratings: nothing is done: %s", work.study.reason)
        return
    LOGGER.info("ratings: %s (%s)", ", ".join(work.study.scales), work.study.source)
    warnings = [
        f"{describe(r.participant, r.stimulus, r.scale)}: {warning}"
        for r in work.study.ratings.ratings
        for warning in r.warnings
    ]
    for warning in (*work.study.ratings.warnings, *warnings):
        LOGGER.warning("ratings: %s", warning)
        status.notes.append(f"ratings: {warning}")
    for participant, reason in work.left_out.items():
        LOGGER.warning("sub-%s: nothing is done with ratings: %s", participant, reason)
        status.add(participant, "ratings", "skipped", reason)


def _tell_left_out(status: Status, tree: OutputTree, work: EmotionWork) -> None:
    """One row per analysis that a participant's ratings did not allow."""
    for record in work.planned:
        path = tree.participant_settings(record.participant, record.model, record.desc)
        if path.exists():
            for analysis, reason in read_json(path)["LeftOut"].items():
                status.add(record.participant, analysis, "skipped", reason)


def _judge(
    status: Status,
    tree: OutputTree,
    jobs: Sequence[Sequence[Record]],
    failures: list[Failure],
) -> None:
    """One row per participant worked on.

    Raises
    ------
    MusencError
        If the stimulus side failed: no participant could be worked on, and the cause is one.
    """
    for failure in failures:
        if not failure.who:
            raise_failure(failure)
    for records in jobs:
        record = records[0]
        own = [failure for failure in failures if failure.who == record.participant]
        if own:
            reason = f"{own[0].text} (crash file: {own[0].crash_file})"
        elif not all(is_current(tree, each) for each in records):
            reason = "the work stopped before its maps were complete"
        else:
            status.add(record.participant, "", "done")
            continue
        LOGGER.error("sub-%s failed: %s", record.participant, reason)
        status.add(record.participant, "", "failed", reason)
        rows = [row for row in status.rows if row.participant == record.participant]
        write_participant_report(
            tree.root,
            record.participant,
            status_rows=rows,
            crash_files=[failure.crash_file for failure in own],
        )
