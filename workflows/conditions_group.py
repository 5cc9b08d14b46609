"""Conditions at the group level: builder and run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from bids_app.workflows.conditions_participant import STATUS_ROW
from bids_app.workflows.participant_level import raise_failure, run_workflow
from bids_app.workflows.steps import step
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.analyses.conditions.group import (
    KINDS,
    ConditionGroup,
    choose_participants,
    infer_maps,
    read_ratings,
    same_condition_settings,
)
from bids_app.analyses.conditions.group_lags import finish_group, infer_lags
from bids_app.analyses.folder.claims import check_settings
from bids_app.config import Config, settings_hash
from bids_app.inputs.estimate import check_group_memory, group_memory
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
    participants = choose_participants(config)
    stored = same_condition_settings(tree, participants)
    space = str(stored[participants[0]]["Settings"]["space"])
    needed = group_memory(len(participants), 1, space)
    check_group_memory(needed, config.running.memory, len(participants))
    status = Status(run_id, "group")
    for label in tree.unfinished(CONDITIONS_LABEL):
        reason = "its maps of conditions are not complete: there is no settings file"
        LOGGER.warning("sub-%s is left out: %s", label, reason)
        status.add(label, STATUS_ROW, "skipped", reason)
    ratings = read_ratings(config)
    settings = {
        "participants": {p: stored[p]["SettingsHash"] for p in participants},
        "n_permutations": config.statistics.n_permutations,
        "random_seed": config.statistics.random_seed,
        "rating_difference": None if ratings is None else dict(sorted(ratings.items())),
        "difference_test": config.conditions.difference_test,
    }
    check_settings(tree, CONDITIONS_LABEL, settings)
    if ratings is not None:
        for participant in participants:
            if participant not in ratings:
                LOGGER.warning("sub-%s has no rating difference: kept out", participant)
    first = stored[participants[0]]
    group = ConditionGroup(
        participants=participants,
        space=space,
        ratings=ratings,
        settings_hash=settings_hash(settings),
        n_permutations=config.statistics.n_permutations,
        seed=config.statistics.random_seed,
        scheme=config.conditions.difference_test,
        n_threads=config.running.n_threads(1),
    )
    workflow = init_conditions_group_wf(group, first, settings, config=config)
    failures = run_workflow(workflow, config, run_id)
    if failures:
        raise_failure(failures[0])
    for participant in participants:
        status.add(participant, STATUS_ROW, "done")
    status.write(tree.status(run_id))
    return status


def init_conditions_group_wf(
    group: ConditionGroup,
    stored: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    config: Config,
) -> pe.Workflow:
    """Tests of every contrast -> tables and page.

    Parameters
    ----------
    group : ConditionGroup
    stored : mapping
        A participant's settings file: which contrasts, seed and target there are.
    settings : mapping
        Group settings, stored with the results.
    config : Config

    Outputs
    -------
    None; the results are in ``config.output_dir``.
    """
    tree = OutputTree(config.output_dir)
    common: dict[str, Any] = {"tree": tree, "group": group, "fresh": True}
    seed, target = (stored["Settings"][name] for name in ("seed", "target"))
    tests = []
    for label, contrast in stored["Contrasts"].items():
        told = {"label": label, "contrast": contrast, **common}
        tests += [
            step(
                infer_maps,
                config,
                f"{KINDS[desc]}_{label}",
                desc=desc,
                n_procs=group.n_threads,
                mem_gb=group_memory(len(group.participants), 1, group.space) / 1e9,
                **told,
            )
            for desc in (KINDS if seed else ("",))
        ]
        if target:
            tests.append(step(infer_lags, config, f"lags_{label}", **told))
    gather = pe.Node(Merge(len(tests)), name="outcomes", run_without_submitting=True)
    finish = step(finish_group, config, settings=dict(settings), **common)
    workflow = pe.Workflow(name="conditions_group_wf")
    for k, test in enumerate(tests, start=1):
        workflow.connect(test, "out", gather, f"in{k}")
    workflow.connect(gather, "out", finish, "outcomes")
    return workflow
