"""Conditions at the group level: builder and run."""

from __future__ import annotations

import logging
from typing import Any

from bids_app.workflows.conditions_participant import STATUS_ROW
from bids_app.workflows.participant_level import raise_failure, run_workflow
from bids_app.workflows.steps import step
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.analyses.conditions.group import KINDS, infer_maps
from bids_app.analyses.conditions.group_lags import finish_group, infer_lags
from bids_app.analyses.conditions.group_plan import ConditionGroup, plan_group
from bids_app.config import Config
from bids_app.inputs.estimate import check_group_memory
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.status import Status

LOGGER = logging.getLogger("bids_app.workflows")


def run_conditions_group(config: Config, run_id: str) -> Status:
    """Test the contrasts of conditions in the output folder over participants.

    Raises
    ------
    MusencError
        If participants do not belong together, ratings cannot be read, or a step failed.
    """
    tree = OutputTree(config.output_dir)
    group = plan_group(config)
    check_group_memory(group.memory, config.running.memory, len(group.participants))
    status = Status(run_id, "group")
    for label in tree.unfinished(CONDITIONS_LABEL):
        reason = "its maps of conditions are not complete: there is no settings file"
        LOGGER.warning("sub-%s is left out: %s", label, reason)
        status.add(label, STATUS_ROW, "skipped", reason)
    workflow = init_conditions_group_wf(group, config=config)
    failures = run_workflow(workflow, config, run_id)
    if failures:
        raise_failure(failures[0])
    for participant in group.participants:
        status.add(participant, STATUS_ROW, "done")
    status.write(tree.status(run_id))
    return status


def init_conditions_group_wf(group: ConditionGroup, *, config: Config) -> pe.Workflow:
    """Tests of every contrast -> tables and page.

    Parameters
    ----------
    group : ConditionGroup
    config : Config

    Outputs
    -------
    None; the results are in ``config.output_dir``.
    """
    common: dict[str, Any] = {
        "tree": OutputTree(config.output_dir),
        "group": group,
        "fresh": True,
        "mem_gb": group.memory / 1e9,
    }
    n_threads = config.running.n_threads(1)
    tests = []
    for label in group.contrasts:
        for desc in KINDS if group.has_seed else ("",):
            name, told = f"{KINDS[desc]}_{label}", {"label": label, "desc": desc, **common}
            threads = {"n_threads": n_threads, "n_procs": n_threads}
            tests.append(step(infer_maps, config, name, **told, **threads))
        if group.has_target:
            tests.append(step(infer_lags, config, f"lags_{label}", label=label, **common))
    gather = pe.Node(Merge(len(tests)), name="outcomes", run_without_submitting=True)
    finish = step(finish_group, config, **common)
    workflow = pe.Workflow(name="conditions_group_wf")
    for k, test in enumerate(tests, start=1):
        workflow.connect(test, "out", gather, f"in{k}")
    workflow.connect(gather, "out", finish, "outcomes")
    return workflow
