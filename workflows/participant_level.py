"""Run the participant level: plan, build the workflow, run it, report every outcome."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from bids_app.workflows.participant import Music, init_participant_level_wf
from bids_app.workflows.running import Failure, raise_failure, run_workflow

from bids_app.analyses.conditions.plan import ConditionPlan, condition_record, condition_settings
from bids_app.analyses.folder.claims import claim, claim_settings, is_current
from bids_app.analyses.folder.records import Record
from bids_app.analyses.page import page_is_current, write_participant_report
from bids_app.analyses.participant.foresee import foresee, without_folds
from bids_app.analyses.participant.joint_models import plan_joint_work
from bids_app.analyses.participant.lag_plan import plan_lag_work
from bids_app.analyses.participant.plan import (
    EncodingModel,
    mask_record,
    participant_record,
    write_descriptions,
)
from bids_app.analyses.participant.rest_plan import RestPlan
from bids_app.analyses.participant.voxels import Voxels
from bids_app.analyses.participant_level import ParticipantLevel, ignored_suffixes
from bids_app.analyses.ratings.plan import (
    RatingWork,
    StudyRatings,
    find_ratings,
    plan_ratings,
    whose_ratings,
)
from bids_app.config import Config
from bids_app.errors import TryAgainError
from bids_app.features.cache import make_cache
from bids_app.files import read_json
from bids_app.inputs.estimate import check_memory
from bids_app.inputs.records import SkippedRun, StudyPlan
from bids_app.outputs import CONDITIONS_LABEL, REST_DESC, OutputTree
from bids_app.status import Status
from bids_app.surface.cortex import cortex_text

LOGGER = logging.getLogger("bids_app.workflows")

Parts = dict[tuple[str, str], list[Record]]
"""What is open, by participant and part of the work: nothing for music, conditions, or rest.

Where the list is empty only the page is to be drawn."""


def run_participant_level(
    config: Config,
    plan: StudyPlan | None,
    contrasts: ConditionPlan | None,
    run_id: str,
    rest: RestPlan | None = None,
) -> Status:
    """Work on every participant of all plans, in one workflow.

    Parameters
    ----------
    config : Config
    plan : StudyPlan or None
        Who heard what; None where there is no music.
    contrasts : ConditionPlan or None
        Who saw which conditions; None without contrasts.
    run_id : str
        Names this call in logs.
    rest : RestPlan or None
        Who has which resting runs; None without a resting task.

    Returns
    -------
    Status
        One row per participant and part of the work, and per skipped run.
    """
    tree, status, parts = OutputTree(config.output_dir), Status(run_id, "participant"), Parts()
    ratings = None if plan is None else find_ratings(config, plan)
    level = ParticipantLevel.of(config, plan, ratings, contrasts, rest)
    if plan is not None:
        for who, problems in foresee(config, plan).items():
            LOGGER.warning("sub-%s: %s", who, "; ".join(problems))
        for who, reason in without_folds(config, plan).items():
            LOGGER.warning("sub-%s: %s", who, reason)
    costs = level.costs()
    check_memory(costs, config.running.memory)
    LOGGER.info("cortex: %s", cortex_text(mask_record(config)))
    if plan is not None:
        models = {
            s.label: EncodingModel.of(s, level.layers[s.label], config) for s in config.model.spaces
        }
    study = plan if plan is not None or contrasts is None else contrasts.study
    if study is not None:
        write_descriptions(tree, study, ignored_suffixes(), config.cleaning.space)
        make_cache(config.cache_dir)
    studies = [plan] if plan is not None else []
    studies += [one.study for one in (contrasts, rest) if one is not None]
    without = _tell_skipped(status, studies)
    if contrasts is not None:
        with_music = plan.participants if plan is not None else ()
        parts |= _open_conditions(config, contrasts, tree, status, with_music)
    music = None
    if plan is not None and ratings is not None:
        music = _open_music(config, plan, models, ratings, tree, status)
        parts |= _parts_of(music, tree, status)
    if rest is not None:
        parts |= _open_rest(rest, tree, status, {who for who, _ in parts})
    if parts:
        people = list(dict.fromkeys(who for who, _ in parts))
        workflow = init_participant_level_wf(
            music,
            contrasts,
            [one for (_, part), own in parts.items() if part == CONDITIONS_LABEL for one in own],
            people,
            config=config,
            costs=costs,
            n_threads=config.running.n_threads(len(people)),
            rest=rest,
            rest_records=[one for (_, p), own in parts.items() if p == REST_DESC for one in own],
        )
        _judge(status, tree, parts, run_workflow(workflow, config, run_id))
    if music is not None:
        _tell_left_out(status, tree, music.ratings)
    for participant in without:
        write_participant_report(tree.root, participant, status_rows=status.rows)
    status.write(tree.status(run_id))
    return status


def _tell_skipped(status: Status, studies: Sequence[StudyPlan]) -> list[str]:
    """One row per run, and per participant, that takes no part.

    Returns
    -------
    list of str
        Participants of whom nothing is analyzed though something should be: their page says why.
    """
    analyzed = {run.label for study in studies for run in study.runs}
    told: dict[str, SkippedRun] = {}
    for number, study in enumerate(studies):
        for run in study.skipped:
            if number == 0 or run.label not in analyzed:
                told.setdefault(run.label, run)
    for run in told.values():
        status.add(run.participant, run.run_label, "skipped", run.reason, problem=run.problem)
    people = {who for study in studies for who in study.participants}
    return sorted({run.participant for run in told.values() if run.problem} - people)


def _open_conditions(
    config: Config,
    plan: ConditionPlan,
    tree: OutputTree,
    status: Status,
    with_music: Collection[str],
) -> Parts:
    """Conditions of everybody who has them and whose maps are not current.

    Nothing but the page is left to do where there is no record; of those `with_music` it is drawn
    with their music.
    """
    settings = condition_settings(config, plan)
    claim_settings(tree, CONDITIONS_LABEL, settings)
    for label, why in plan.skipped.items():
        LOGGER.warning("%s has no conditions: %s", label, why)
    told = {row.run for row in status.rows if row.problem}
    for run in plan.study.runs:
        if run.label in plan.faulty - told:
            why = f"no conditions: {plan.skipped[run.label]}"
            status.add(run.participant, run.label, "skipped", why, problem=True)
    for text in plan.warnings:
        LOGGER.warning("%s", text)
        status.notes.append(text)
    for participant, why in plan.left_out.items():
        LOGGER.warning("sub-%s is left out of the conditions: %s", participant, why)
        status.add(participant, CONDITIONS_LABEL, "skipped", why)
    parts: Parts = {}
    for participant in plan.participants:
        record = condition_record(plan, participant, settings, Voxels.of(config.model))
        if not is_current(tree, record):
            parts[participant, CONDITIONS_LABEL] = [record]
        elif participant not in with_music and not page_is_current(tree, participant):
            parts[participant, CONDITIONS_LABEL] = []
        else:
            status.add(participant, CONDITIONS_LABEL, "done", "already there")
            LOGGER.info("sub-%s: conditions already done", participant)
    return parts


def _open_rest(
    rest: RestPlan, tree: OutputTree, status: Status, with_page: Collection[str]
) -> Parts:
    """Resting runs of everybody whose cleaned ones are not current.

    Nothing but the page is left to do where there is no record; those `with_page` get it anyway.
    """
    claim_settings(tree, "", rest.settings, desc=REST_DESC)
    for participant, why in rest.left_out.items():
        LOGGER.warning("sub-%s takes no part in the own gradient: %s", participant, why)
        status.add(participant, REST_DESC, "skipped", why)
    parts: Parts = {}
    for participant in rest.participants:
        record = rest.record(participant)
        if not is_current(tree, record):
            parts[participant, REST_DESC] = [record]
        elif participant not in with_page and not page_is_current(tree, participant):
            parts[participant, REST_DESC] = []
        else:
            status.add(participant, REST_DESC, "done", "already there")
            LOGGER.info("sub-%s: resting runs already done", participant)
    return parts


def _open_music(
    config: Config,
    plan: StudyPlan,
    models: Mapping[str, EncodingModel],
    ratings: StudyRatings,
    tree: OutputTree,
    status: Status,
) -> Music:
    """Encoding models and ratings that are not current; nobody may have other settings."""
    mask = {"cortex_mask": mask_record(config)}
    claim(tree.response_settings, config.response_settings() | mask)
    for label, model in models.items():
        claim_settings(tree, label, model.settings)
    records = {
        p: [participant_record(plan, p, model) for model in models.values()]
        for p in plan.participants
    }
    settings = {label: model.settings for label, model in models.items()}
    work = plan_ratings(tree, config, ratings, settings, records, plan)
    _tell(status, work, plan)
    jobs = {p: [one for one in own if not is_current(tree, one)] for p, own in records.items()}
    joint = plan_joint_work(tree, config, plan, models)
    lags = plan_lag_work(tree, config, plan)
    return Music(plan, models, {p: own for p, own in jobs.items() if own}, work, joint, lags)


def _parts_of(music: Music, tree: OutputTree, status: Status) -> Parts:
    """What is open about music; whoever has nothing open, and a whole page, is done."""
    parts: Parts = {}
    for participant in music.plan.participants:
        found = [
            *music.jobs.get(participant, []),
            *music.ratings.records(participant),
            *music.joint.records(participant),
            *music.lags.records(participant),
        ]
        if found or not page_is_current(tree, participant):
            parts[participant, ""] = found
        else:
            status.add(participant, "", "done", "already there, with these settings and inputs")
            LOGGER.info("sub-%s: already done", participant)
    return parts


def _tell(status: Status, work: RatingWork, plan: StudyPlan) -> None:
    """Say what is done with ratings, and with whose not."""
    for participant, fault in work.study.ratings.faults:
        LOGGER.warning("sub-%s: %s", participant, fault)
        status.add(participant, "ratings", "skipped", fault, problem=True)
    if work.study.reason:
        status.notes.append(f"ratings: {work.study.reason}")
        LOGGER.info("ratings: %s", work.study.reason)
        return
    LOGGER.info("ratings: %s (%s)", ", ".join(work.study.scales), work.study.source)
    for scale, whose in whose_ratings(work.study, plan).items():
        LOGGER.info("ratings: %s: %s", scale, whose)
    for warning in work.study.ratings.notes:
        LOGGER.warning("ratings: %s", warning)
        status.notes.append(f"ratings: {warning}")
    for participant, reason in work.left_out.items():
        LOGGER.warning("sub-%s: nothing is done with ratings: %s", participant, reason)
        status.add(participant, "ratings", "skipped", reason)


def _tell_left_out(status: Status, tree: OutputTree, work: RatingWork) -> None:
    """One row per analysis that a participant's ratings did not allow."""
    for record in work.planned:
        path = tree.participant_settings(record.participant, record.model, record.desc)
        if path.exists():
            for analysis, reason in read_json(path)["LeftOut"].items():
                status.add(record.participant, analysis, "skipped", reason)


def _warnings_of(tree: OutputTree, participant: str, records: Sequence[Record]) -> list[str]:
    """What weakens the results of a participant, as their settings files have it."""
    paths = [tree.participant_settings(participant, one.model, one.desc) for one in records]
    told = [read_json(path).get("Warnings") or [] for path in paths]
    return [f"sub-{participant}: {text}" for own in told for text in own]


def _judge(status: Status, tree: OutputTree, parts: Parts, failures: list[Failure]) -> None:
    """One row per participant and part worked on.

    Raises
    ------
    MusencError
        If the stimulus side failed: no participant could be worked on, and the cause is one.
    """
    for failure in failures:
        if not failure.who:
            raise_failure(failure)
    failed, reasons = [], set()
    for (participant, part), records in parts.items():
        # Without the page nothing of a participant is done.
        own = [
            failure
            for failure in failures
            if failure.who == participant
            and (failure.part == part or (participant, failure.part) not in parts)
        ]
        if own:
            reason = f"{own[0].text} (crash file: {own[0].crash_file})"
        elif not all(is_current(tree, record) for record in records):
            reason = "the work stopped before its maps were complete"
        else:
            status.add(participant, part, "done")
            status.notes += _warnings_of(tree, participant, records)
            continue
        LOGGER.error("sub-%s failed: %s", participant, f"{part}: {reason}" if part else reason)
        reasons |= {failure.error for failure in own} or {""}
        crashes = [str(failure.crash_file.relative_to(tree.root)) for failure in own]
        status.add(participant, part, "failed", reason, crash_files=crashes)
        failed.append(participant)
    if reasons == {TryAgainError.__name__}:
        status.stopped = TryAgainError.exit_code
    for participant in dict.fromkeys(failed):
        write_participant_report(tree.root, participant, status_rows=status.rows)
