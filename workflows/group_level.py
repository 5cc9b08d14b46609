"""The group level: builder and run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from bids_app.workflows.ratings_group import connect_group_emotion
from bids_app.workflows.running import raise_failure, run_workflow
from bids_app.workflows.steps import connect_by_name, step
from nipype.pipeline import engine as pe

from bids_app.analyses.group.collect import select_participants
from bids_app.analyses.group.settings import (
    check_files,
    check_group_settings,
    emotion_group_settings,
    group_settings,
    left_behind,
    memory_of_group,
    tell_changes,
)
from bids_app.analyses.group.steps import (
    align_with_gradients,
    collect,
    correlate_participants,
    infer_accuracy,
    infer_over_music,
    infer_preference,
    summarize_atlases,
    write_results,
)
from bids_app.config import DEFAULT_FEATURES, Config
from bids_app.inputs.estimate import check_group_memory
from bids_app.outputs import OutputTree
from bids_app.resources import choose_gradient
from bids_app.status import Status
from bids_app.surface.atlas import absolute_atlas

LOGGER = logging.getLogger("bids_app.workflows")


def run_group_level(config: Config, run_id: str) -> Status:
    """Combine the participants of the output folder, one model after the other.

    Raises
    ------
    MusencError
        If a step failed.
    """
    tree = OutputTree(config.output_dir)
    chosen = bool(config.model.features or config.model.labels)
    models = list(config.model.group_labels) if chosen else tree.models()
    people = {
        model: select_participants(tree, model, config.selection)
        for model in models or [DEFAULT_FEATURES]
    }
    settings = group_settings(config)
    for model in people:
        check_group_settings(tree, model, settings)
    rating_settings = emotion_group_settings(tree, list(people), config)
    status = Status(run_id, "group")
    for model, participants in people.items():
        check_files(tree, model, participants, ratings=config.emotion.mode != "off")
        needed = memory_of_group(tree, model, participants)
        check_group_memory(needed, config.running.memory, len(participants))
        for label in tree.unfinished(model):
            reason = f"its maps of model-{model} are not complete: there is no settings file"
            LOGGER.warning("sub-%s is left out: %s", label, reason)
            status.add(label, f"model-{model}", "skipped", reason)
    for number, (model, participants) in enumerate(people.items()):
        LOGGER.info("group: model-%s", model)
        tell_changes(tree, model, participants)
        for desc, before in left_behind(tree, model, participants, settings).items():
            LOGGER.warning("group: desc-%s stays as it is, of %s only", desc, before)
        workflow = init_group_level_wf(model, participants, settings, config=config)
        notes = connect_group_emotion(
            workflow, tree, model, participants, rating_settings, config=config, maps=number == 0
        )
        for note in notes:
            LOGGER.info("group: %s", note)
        status.notes += notes
        failures = run_workflow(workflow, config, run_id)
        if failures:
            raise_failure(failures[0])
    for participant in sorted({label for labels in people.values() for label in labels}):
        status.add(participant, "", "done")
    status.write(tree.status(run_id))
    return status


def init_group_level_wf(
    model: str, participants: Sequence[str], settings: dict[str, Any], *, config: Config
) -> pe.Workflow:
    """Aggregate -> accuracy and preference -> alignment -> derivatives and report.

    Parameters
    ----------
    model : str
        Model label.
    participants : sequence of str
        Labels of participants with complete maps.
    settings : dict
        From `group_settings`, stored with the results.
    config : Config

    Outputs
    -------
    None; the results are in ``config.output_dir``.
    """
    tree, statistics = OutputTree(config.output_dir), config.statistics
    n_threads = config.running.n_threads(1)
    threaded = {"n_threads": n_threads, "n_procs": n_threads}
    # A step runs in a folder of its own.
    regions = [absolute_atlas(option) for option in statistics.atlases]
    gradients = [choose_gradient(option).option for option in statistics.gradients]
    # Maps, gradients and atlases may have changed under the same names: all is done afresh.
    steps = {
        name: step(function, config, name, fresh=True, **values)
        for name, function, values in (
            ("data", collect, {"tree": tree, "model": model, "participants": list(participants)}),
            ("accuracy", infer_accuracy, {"atlas": next(iter(regions), ""), **threaded}),
            ("preference", infer_preference, {"tree": tree, **threaded}),
            ("alignments", align_with_gradients, {"gradients": gradients, **threaded}),
            ("synchrony", correlate_participants, {"tree": tree}),
            ("music", infer_over_music, {"tree": tree, "cache_dir": config.cache_dir, **threaded}),
            ("atlases", summarize_atlases, {"options": regions}),
            ("write", write_results, {"tree": tree, "settings": settings}),
        )
    }
    workflow = pe.Workflow(name="group_level_wf")
    connect_by_name(workflow, steps)
    return workflow
