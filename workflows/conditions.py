"""Conditions at the participant level: plan in, maps and tables of every participant out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nipype.pipeline import engine as pe

from bids_app.config import Config
from bids_app.files import sha256_of_file
from bids_app.inputs.conditions import find_events
from bids_app.inputs.seeds import SeedRegion, find_volume
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.status import Status
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.mesh import load_mesh

from .base import write_descriptions
from .completion import claim_settings, holds, input_files
from .condition_derivatives import ConditionRecord
from .condition_plan import ConditionPlan
from .interfaces.conditions import FitConditions, WriteConditions
from .nodes import cleaning_inputs
from .running import run_workflow

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
    write_descriptions(tree, plan.study)
    settings = config.condition_settings() | {
        "seed": plan.seed.name if plan.seed else None,
        "target": plan.target.name if plan.target else None,
        "cortex_mask": bool(config.responses.cortex_mask),
        "files": _region_checksums(config, plan),
    }
    claim_settings(tree, CONDITIONS_LABEL, settings)
    status = Status(run_id, "participant")
    for run, why in plan.skipped.items():
        LOGGER.warning("%s has no conditions: %s", run, why)
    for participant, why in plan.left_out.items():
        LOGGER.warning("sub-%s is left out of the conditions: %s", participant, why)
        status.add(participant, STATUS_ROW, "skipped", why)
    records = []
    for participant in plan.participants:
        record = _record(plan, participant, settings)
        if _is_current(tree, record):
            status.add(participant, STATUS_ROW, "done", "already there")
            LOGGER.info("sub-%s: conditions already done", participant)
        else:
            records.append(record)
    if records:
        failures = run_workflow(init_conditions_wf(plan, records, config=config), config, run_id)
        for record in records:
            own = [f for f in failures if f.node.endswith(f"_{record.participant}")]
            if own or not _is_current(tree, record):
                reason = own[0].text if own else "the work stopped before the maps were complete"
                LOGGER.error("sub-%s: conditions failed: %s", record.participant, reason)
                status.add(record.participant, STATUS_ROW, "failed", reason)
            else:
                status.add(record.participant, STATUS_ROW, "done")
    status.write(tree.status(run_id))
    return status


def init_conditions_wf(
    plan: ConditionPlan, records: list[ConditionRecord], *, config: Config
) -> pe.Workflow:
    """Fit -> derivatives and page, for every participant of `records`.

    Parameters
    ----------
    plan : ConditionPlan
    records : list of ConditionRecord
        Participants to work on.
    config : Config

    Outputs
    -------
    None; the derivatives are in ``config.output_dir``.
    """
    workflow = pe.Workflow(name="conditions_wf")
    for record in records:
        runs = plan.runs_of(record.participant)
        fit = pe.Node(
            FitConditions(
                conditions={run.label: plan.conditions[run.label] for run in runs},
                contrasts=dict(plan.contrasts),
                seed=plan.seed,
                target=plan.target,
                max_lag=config.conditions.max_lag,
                **cleaning_inputs(runs, config),
            ),
            name=f"fit_{record.participant}",
        )
        write = pe.Node(
            WriteConditions(
                output_dir=str(config.output_dir),
                record=record,
                verbosity=config.running.verbosity,
            ),
            name=f"write_{record.participant}",
        )
        workflow.connect(fit, "results_file", write, "results_file")
    return workflow


def _region_checksums(config: Config, plan: ConditionPlan) -> dict[str, str]:
    """Regions and the cortex mask count by content."""
    mask = config.responses.cortex_mask
    if mask:
        read_cortex_mask(mask, load_mesh(config.responses.space).n_vertices)
    files = {f"cortex mask {k}": path for k, path in enumerate(mask)}
    for name, region in (("seed", plan.seed), ("target", plan.target)):
        if region is not None and region.path is not None:
            files[name] = region.path
    return {name: sha256_of_file(path) for name, path in files.items()}


def _record(plan: ConditionPlan, participant: str, settings: Mapping[str, Any]) -> ConditionRecord:
    runs = plan.runs_of(participant)
    raw = plan.study.raw_dir
    events = [find_events(run, raw) for run in runs] if raw else []
    volumes = [
        find_volume(run)
        for run in runs
        for region in (plan.seed, plan.target)
        if isinstance(region, SeedRegion) and region.kind == "volume"
    ]
    files = {*input_files(runs), *volumes, *(path for path in events if path is not None)}
    return ConditionRecord(
        participant=participant,
        settings=dict(settings),
        sources=sorted({source for run in runs for source in run.sources}),
        inputs={path.name: sha256_of_file(Path(path)) for path in sorted(files)},
        skipped={
            run.label: plan.skipped[run.label]
            for run in plan.study.runs
            if run.participant == participant and run.label in plan.skipped
        },
    )


def _is_current(tree: OutputTree, record: ConditionRecord) -> bool:
    """Whether the outputs are complete and were made from these inputs and settings."""
    path = tree.condition_settings(record.participant)
    return holds(tree, path, record.settings, Inputs=record.inputs)
