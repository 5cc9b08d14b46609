"""Builder of what contrasts conditions of one participant; it only wires."""

from __future__ import annotations

from typing import Any

from bids_app.workflows.steps import step
from nipype.pipeline import engine as pe

from bids_app.analyses.conditions.participant import analyze_conditions
from bids_app.analyses.conditions.plan import ConditionPlan
from bids_app.analyses.conditions.write import write_conditions
from bids_app.analyses.folder.records import Record
from bids_app.config import Config
from bids_app.outputs import CONDITIONS_LABEL, OutputTree


def connect_conditions(
    workflow: pe.Workflow, plan: ConditionPlan, record: Record, *, config: Config, mem_gb: float
) -> None:
    """Add fit and derivatives of conditions to a participant's workflow.

    Parameters
    ----------
    workflow : Workflow
        With the node ``report``, which draws the page.
    plan : ConditionPlan
    record : Record
        Of the participant.
    config : Config
    mem_gb : float
        Memory of a step.
    """
    runs = plan.runs_of(record.participant)
    own: dict[str, Any] = {
        "who": record.participant,
        "part": CONDITIONS_LABEL,
        "mem_gb": mem_gb,
    }
    fit = step(
        analyze_conditions,
        config,
        "conditions",
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
        tree=OutputTree(config.output_dir),
        record=record,
        fresh=True,
        **own,
    )
    workflow.connect(
        [
            (fit, write, [("out", "results")]),
            (write, workflow.get_node("report"), [("out", "condition_files")]),
        ]
    )
