"""The group level: builder and run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any

from bids_app.workflows.running import raise_failure, run_workflow
from bids_app.workflows.steps import connect_all, connect_by_name, step
from nipype.pipeline import engine as pe

from bids_app.analyses.group.checks import tell_changes
from bids_app.analyses.group.claims import told_claims
from bids_app.analyses.group.collect import load_group
from bids_app.analyses.group.others import data_of, fit_on_others, heard_of
from bids_app.analyses.group.own_gradient import refusal
from bids_app.analyses.group.own_plan import OwnPlan
from bids_app.analyses.group.write_own import make_own_gradient, own_files
from bids_app.analyses.group_level import GroupPlan
from bids_app.analyses.registry import (
    GroupSettings,
    choose_analyses,
    left_behind,
    write_group_report,
    write_results,
)
from bids_app.config import Config
from bids_app.held import temporary_folder
from bids_app.outputs import OutputTree, told_label
from bids_app.resources import OWN_GRADIENT, choose_gradient
from bids_app.status import Status
from bids_app.surface.atlas import absolute_atlas

LOGGER = logging.getLogger("bids_app.workflows")


def run_group_level(config: Config, plan: GroupPlan, run_id: str) -> Status:
    """Combine the participants of the output folder, one model after the other.

    Raises
    ------
    MusencError
        If a step failed.
    """
    tree, people, settings = OutputTree(config.output_dir), plan.people, plan.settings
    status = Status(run_id, "group")
    if plan.own is not None:
        config = with_own_gradient(config, plan.own, status)
    for option, reason in plan.absent.items():
        LOGGER.warning("group: nothing is aligned with %s: %s", option, reason)
        status.add("", f"alignment with {option}", "skipped", reason, problem=True)
    if short := plan.short_of_disk(config.running.work_dir or temporary_folder()):
        LOGGER.warning("group: %s", short)
    for model, reason in plan.no_others.items():
        told = f"model-{model}: nothing is trained on the others' responses: {reason}"
        LOGGER.warning("group: %s", told)
        status.notes.append(told)
    for model in people:
        for label, reason in tree.left_out(model).items():
            LOGGER.warning("sub-%s is left out: %s", label, reason)
            status.add(label, f"model-{model}", "skipped", reason)
    for number, call in enumerate(plan.calls):
        participants = people[call.model]
        LOGGER.info("group: %s", told_label(call.label))
        tell_changes(tree, call.label, participants)
        for desc, before in left_behind(tree, call.label, participants, settings).items():
            LOGGER.warning("group: desc-%s stays as it is, of %s only", desc, before)
        options: dict[str, Any] = {"first": number == 0, "others": call.others}
        _, notes = choose_analyses(tree, call.model, participants, config, **options)
        for note in notes:
            LOGGER.info("group: not done: %s", note)
        status.notes += notes
        options["memory"] = plan.memory[call.model]
        workflow = init_group_level_wf(call.model, participants, settings, config=config, **options)
        failures = run_workflow(workflow, config, run_id)
        if failures:
            raise_failure(failures[0])
    # Once, and not after every model: each adds to the claims of the others.
    claims = told_claims(config.output_dir)
    for sentence in claims:
        LOGGER.info("group: %s", sentence)
    status.notes += claims
    for participant in sorted({label for labels in people.values() for label in labels}):
        status.add(participant, "", "done")
    status.write(tree.status(run_id))
    return status


def with_own_gradient(config: Config, plan: OwnPlan, status: Status) -> Config:
    """Make the study's own gradient; the configuration with its files, or as it was without.

    Raises
    ------
    MusencError
        If the step failed. That there is no such gradient is no failure, and in the status.
    """
    tree = OutputTree(config.output_dir)
    LOGGER.info("%s", plan.text)
    for who, why in plan.without.items():
        told = f"own gradient: sub-{who} takes no part: {why}"
        LOGGER.warning("%s", told)
        status.notes.append(told)
    given = {"tree": tree, "plan": plan, "mem_gb": plan.memory / 1e9}
    workflow = pe.Workflow(name="own_gradient_wf")
    workflow.add_nodes([group_step(make_own_gradient, config, "own_gradient", given)])
    if failures := run_workflow(workflow, config, status.run_id):
        raise_failure(failures[0])
    if reason := refusal(tree):
        LOGGER.warning("group: nothing is aligned with the own gradient: %s", reason)
        status.add("", f"alignment with {OWN_GRADIENT}", "skipped", reason, problem=True)
        return config
    files = ",".join(map(str, own_files(tree, plan.space)))
    gradients = tuple(
        f"{OWN_GRADIENT}={files}" if one == OWN_GRADIENT else one
        for one in config.statistics.gradients
    )
    return replace(config, statistics=replace(config.statistics, gradients=gradients))


def init_group_level_wf(
    model: str,
    participants: Sequence[str],
    settings: GroupSettings,
    *,
    config: Config,
    first: bool = True,
    others: bool = False,
    memory: float | None = None,
) -> pe.Workflow:
    """Aggregate -> every analysis of the registry -> derivatives -> page.

    Parameters
    ----------
    model : str
        Model label.
    participants : sequence of str
        Labels of participants with complete maps.
    settings : dict
        From `group_settings`, stored with the results.
    config : Config
    first : bool
        Whether the analyses that belong to no model are done with this one.
    others : bool
        Whether models are trained on the others' responses first; the analyses are the same.
    memory : float, optional
        Bytes that one step takes at most: steps that do not fit together wait for each other.

    Outputs
    -------
    None; the results are in ``config.output_dir``.
    """
    tree = OutputTree(config.output_dir)
    # A step runs in a folder of its own.
    files = replace(
        config.statistics,
        atlases=tuple(map(absolute_atlas, config.statistics.atlases)),
        networks=tuple(map(absolute_atlas, config.statistics.networks)),
        gradients=tuple(choose_gradient(one).option for one in config.statistics.gradients),
    )
    config = replace(config, statistics=files)
    given = {
        "tree": tree,
        "model": model,
        "participants": list(participants),
        "settings": settings,
        "rests_on": settings,
        "cache_dir": config.cache_dir,
        "output_dir": config.output_dir,
    }
    if memory:
        given["mem_gb"] = memory / 1e9
    rows, _ = choose_analyses(tree, model, participants, config, first=first, others=others)
    given["names"] = [row.name for row in rows]
    steps = {}
    replaced: dict[str, Callable[..., Any]] = {}
    if others:
        steps["others"] = group_step(fit_on_others, config, "others", given)
        replaced = {"data": data_of, "heard": heard_of}
    steps["data"] = group_step(replaced.get("data", load_group), config, "data", given)
    for row in rows:
        function = replaced.get(row.name, row.function)
        steps[row.name] = group_step(function, config, row.name, {**given, **row.values})
    steps["written"] = group_step(write_results, config, "written", given)
    steps["page"] = group_step(write_group_report, config, "page", given)
    workflow = pe.Workflow(name="group_level_wf")
    connect_by_name(workflow, steps)
    connect_all(workflow, [steps[row.name] for row in rows], steps["written"], "results")
    return workflow


def group_step(
    function: Callable[..., Any], config: Config, name: str, given: Mapping[str, Any]
) -> pe.Node:
    """A step that takes those of `given` that its parameters are called like.

    Maps, gradients and atlases may have changed under the same names: all is done afresh.
    """
    known = signature(function).parameters
    own = {key: given[key] for key in given if key in known or key in ("rests_on", "mem_gb")}
    if "n_threads" in known:
        own["n_threads"] = own["n_procs"] = config.running.n_threads(1)
    if "device" in known:
        own["device"] = config.running.device
    return step(function, config, name, fresh=True, **own)
