"""Conditions at the participant level: plan in, maps and tables of every participant out."""

from __future__ import annotations

import logging
from typing import Any

from bids_app.workflows.running import run_workflow
from bids_app.workflows.steps import step
from nipype.pipeline import engine as pe

from bids_app.analyses.conditions.participant import analyze_conditions, conditions_memory
from bids_app.analyses.conditions.plan import (
    ConditionPlan,
    condition_record,
    condition_settings,
)
from bids_app.analyses.conditions.write import write_conditions
from bids_app.analyses.folder.claims import claim_settings, is_current
from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.plan import write_descriptions
from bids_app.config import Config
from bids_app.inputs.estimate import need_memory
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.status import Status

LOGGER = logging.getLogger("bids_app.workflows")

STATUS_ROW = "conditions"


def run_conditions(config: Config, plan: ConditionPlan, run_id: str) -> Status:
    """Fit the contrasts of every participant of `plan`.

    Parameters
    ----------
    config : Config
    plan : ConditionPlan
    run_id : str
        Names this call in logs.

    Returns
    -------
    Status
        One row per participant; whoever lacks a condition is skipped.
    """
    tree = OutputTree(config.output_dir)
    needed = max(_memory(plan, participant, config) for participant in plan.participants)
    need_memory(needed, config.running.memory, "for the conditions of one participant")
    write_descriptions(tree, plan.study)
    settings = condition_settings(config, plan)
    claim_settings(tree, CONDITIONS_LABEL, settings)
    status = Status(run_id, "participant")
    for run, why in plan.skipped.items():
        LOGGER.warning("%s has no conditions: %s", run, why)
    for participant, why in plan.left_out.items():
        LOGGER.warning("sub-%s is left out of the conditions: %s", participant, why)
        status.add(participant, STATUS_ROW, "skipped", why)
    records = []
    for participant in plan.participants:
        record = condition_record(plan, participant, settings)
        if is_current(tree, record):
            status.add(participant, STATUS_ROW, "done", "already there")
            LOGGER.info("sub-%s: conditions already done", participant)
        else:
            records.append(record)
    if records:
        failures = run_workflow(init_conditions_wf(plan, records, config=config), config, run_id)
        for record in records:
            own = [f for f in failures if f.who == record.participant]
            if own or not is_current(tree, record):
                reason = own[0].text if own else "the work stopped before the maps were complete"
                LOGGER.error("sub-%s: conditions failed: %s", record.participant, reason)
                status.add(record.participant, STATUS_ROW, "failed", reason)
            else:
                status.add(record.participant, STATUS_ROW, "done")
    status.write(tree.status(run_id))
    return status


def _memory(plan: ConditionPlan, participant: str, config: Config) -> float:
    """Bytes of a participant's steps."""
    runs, n_contrasts = plan.runs_of(participant), len(plan.contrasts)
    return conditions_memory(runs, n_contrasts, config.cleaning, plan.seed)


def init_conditions_wf(
    plan: ConditionPlan, records: list[Record], *, config: Config
) -> pe.Workflow:
    """Fit -> derivatives and page, for every participant of `records`.

    Parameters
    ----------
    plan : ConditionPlan
    records : list of Record
        Participants to work on.
    config : Config

    Outputs
    -------
    None; the derivatives are in ``config.output_dir``.
    """
    workflow = pe.Workflow(name="conditions_wf")
    for record in records:
        who = record.participant
        runs = plan.runs_of(who)
        own: dict[str, Any] = {"who": who, "mem_gb": _memory(plan, who, config) / 1e9}
        fit = step(
            analyze_conditions,
            config,
            f"fit_{who}",
            runs=runs,
            conditions={run.label: plan.conditions[run.label] for run in runs},
            contrasts=dict(plan.contrasts),
            seed=plan.seed,
            target=plan.target,
            max_lag=config.conditions.max_lag,
            rests_on=(record.inputs, record.settings),
            **own,
        )
        write = step(
            write_conditions,
            config,
            f"write_{who}",
            tree=OutputTree(config.output_dir),
            record=record,
            fresh=True,
            **own,
        )
        workflow.connect(fit, "out", write, "results")
    return workflow
