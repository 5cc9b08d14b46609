"""Conditions at the group level: builder and run."""

from __future__ import annotations

import logging
from dataclasses import replace
from inspect import signature

from bids_app.workflows.group_level import connect_all, group_step
from bids_app.workflows.participant_level import raise_failure, run_workflow
from nipype.pipeline import engine as pe

from bids_app.analyses.conditions.group_plan import ConditionGroup
from bids_app.analyses.group.analysis import call
from bids_app.analyses.registry import CONDITION_ANALYSES, write_group_report, write_results
from bids_app.config import Config
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.status import Status
from bids_app.surface.atlas import absolute_atlas

LOGGER = logging.getLogger("bids_app.workflows")


def run_conditions_group(config: Config, group: ConditionGroup, run_id: str) -> Status:
    """Test the contrasts of conditions in the output folder over participants.

    Raises
    ------
    MusencError
        If a step failed.
    """
    tree = OutputTree(config.output_dir)
    status = Status(run_id, "group")
    for label, reason in tree.left_out(CONDITIONS_LABEL).items():
        LOGGER.warning("sub-%s is left out: %s", label, reason)
        status.add(label, CONDITIONS_LABEL, "skipped", reason)
    workflow = init_conditions_group_wf(group, config=config)
    failures = run_workflow(workflow, config, run_id)
    if failures:
        raise_failure(failures[0])
    for participant in group.participants:
        status.add(participant, CONDITIONS_LABEL, "done")
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
    tree = OutputTree(config.output_dir)
    # A step runs in a folder of its own.
    networks = tuple(map(absolute_atlas, config.statistics.networks))
    config = replace(config, statistics=replace(config.statistics, networks=networks))
    given = {
        "tree": tree,
        "group": group,
        "data": group,
        "settings": {(CONDITIONS_LABEL, ""): group.settings},
        "output_dir": config.output_dir,
        "mem_gb": group.memory / 1e9,
    }
    tests = []
    for row in CONDITION_ANALYSES:
        each = group.contrasts if "label" in signature(row.function).parameters else ("",)
        for label in () if call(row.missing, given) else each:
            name = f"{row.name}_{label}" if label else row.name
            own = {**given, **row.values, "label": label}
            tests.append((row, group_step(row.function, config, name, own)))
    names = [row.name for row, _ in tests]
    written = group_step(write_results, config, "written", {**given, "names": names})
    page = group_step(write_group_report, config, "page", given)
    workflow = pe.Workflow(name="conditions_group_wf")
    connect_all(workflow, [test for _, test in tests], written, "results")
    workflow.connect(written, "out", page, "written")
    return workflow
