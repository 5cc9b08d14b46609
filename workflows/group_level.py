"""The group level: builder and run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from bids_app.workflows.interfaces.group import (
    AggregateParticipants,
    AlignWithGradients,
    CorrelateParticipants,
    InferAccuracy,
    InferOverMusic,
    SummarizeAtlases,
    WriteGroup,
)
from bids_app.workflows.ratings_group import connect_group_emotion
from bids_app.workflows.running import raise_failure, run_workflow
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
from bids_app.config import DEFAULT_FEATURES, Config
from bids_app.inputs.estimate import check_group_memory
from bids_app.outputs import OutputTree
from bids_app.resources import choose_gradient
from bids_app.status import Status
from bids_app.surface.atlas import absolute_atlas, atlas_files

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
    every = {"verbosity": config.running.verbosity}
    seeded = every | {"seed": statistics.random_seed}
    folder = {"output_dir": str(config.output_dir)}
    tested = seeded | {"n_permutations": statistics.n_permutations}
    threaded = {"n_threads": n_threads}
    aggregate = pe.Node(
        AggregateParticipants(
            model=model,
            participants=list(participants),
            files=[str(tree.participant_settings(p, model)) for p in participants],
            **folder,
            **every,
        ),
        name="aggregate",
    )
    # A step runs in a folder of its own.
    regions = [absolute_atlas(option) for option in statistics.atlases]
    accuracy = pe.Node(
        InferAccuracy(
            atlas=next(iter(regions), ""),
            files=[str(path) for option in regions[:1] for path in atlas_files(option)[1]],
            **folder,
            **tested,
            **threaded,
        ),
        name="accuracy",
        n_procs=n_threads,
    )
    alignment = pe.Node(
        AlignWithGradients(
            gradients=[choose_gradient(option).option for option in statistics.gradients],
            n_spins=statistics.n_spins,
            method=statistics.spin_method,
            **seeded,
            **threaded,
        ),
        name="alignment",
        n_procs=n_threads,
    )
    synchrony = pe.Node(CorrelateParticipants(**folder, **seeded), name="isc")
    music = pe.Node(
        InferOverMusic(cache_dir=str(config.cache_dir), **folder, **seeded, **threaded),
        name="music",
        n_procs=n_threads,
    )
    atlases = pe.Node(SummarizeAtlases(atlases=regions, **tested), name="atlases")
    write = pe.Node(WriteGroup(settings=settings, **folder, **every), name="write")
    workflow = pe.Workflow(name="group_level_wf")
    for node in (accuracy, alignment, synchrony, write, music, atlases):
        workflow.connect(aggregate, "data_file", node, "data_file")
    both = [("accuracy_file", "accuracy_file"), ("preference_file", "preference_file")]
    workflow.connect(
        [
            (accuracy, music, [("accuracy_file", "accuracy_file")]),
            (accuracy, alignment, both),
            (accuracy, atlases, both),
            (accuracy, write, both),
            (synchrony, write, [("isc_file", "isc_file")]),
            (music, write, [("music_file", "music_file")]),
            (atlases, write, [("atlases_file", "atlases_file")]),
            (alignment, write, [("alignment_file", "alignment_file")]),
        ]
    )
    return workflow
