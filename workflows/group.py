"""The group level: builder and run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from nipype.pipeline import engine as pe

from bids_app.config import DEFAULT_FEATURES, Config
from bids_app.files import read_json, sha256_of_file
from bids_app.outputs import OutputTree
from bids_app.resources import gradient_files
from bids_app.status import Status
from bids_app.surface.atlas import atlas_files

from .aggregate import select_participants
from .completion import check_settings
from .emotion_group_nodes import connect_group_emotion, emotion_group_settings
from .interfaces.group import (
    AggregateParticipants,
    AlignWithGradient,
    CorrelateParticipants,
    InferAccuracy,
    InferOverMusic,
    SummarizeAtlases,
    WriteGroup,
)
from .running import raise_failure, run_workflow

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
    # The gradient counts by content, and absent files are told before work begins.
    files, _ = gradient_files(config.statistics.gradient)
    for option in config.statistics.atlases:
        atlas_files(option)
    settings = config.group_settings() | {
        "gradient": {path.name: sha256_of_file(path) for path in files}
    }
    for model in people:
        check_settings(tree, model, settings)
    rating_settings = emotion_group_settings(tree, list(people), config)
    status = Status(run_id, "group")
    for number, (model, participants) in enumerate(people.items()):
        LOGGER.info("group: model-%s", model)
        _tell_changes(tree, model, participants)
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
        Group settings, stored with the results.
    config : Config

    Outputs
    -------
    None; the results are in ``config.output_dir``.
    """
    tree = OutputTree(config.output_dir)
    statistics, verbosity = config.statistics, config.running.verbosity
    n_threads = config.running.n_threads(1)
    output_dir = str(config.output_dir)
    aggregate = pe.Node(
        AggregateParticipants(
            output_dir=output_dir,
            model=model,
            participants=list(participants),
            files=[str(tree.participant_settings(p, model)) for p in participants],
            verbosity=verbosity,
        ),
        name="aggregate",
    )
    accuracy = pe.Node(
        InferAccuracy(
            output_dir=output_dir,
            atlas=next(iter(statistics.atlases), ""),
            n_permutations=statistics.n_permutations,
            seed=statistics.random_seed,
            n_threads=n_threads,
            verbosity=verbosity,
        ),
        name="accuracy",
        n_procs=n_threads,
    )
    alignment = pe.Node(
        AlignWithGradient(
            gradient=statistics.gradient,
            n_spins=statistics.n_spins,
            method=statistics.spin_method,
            seed=statistics.random_seed,
            n_threads=n_threads,
            verbosity=verbosity,
        ),
        name="alignment",
        n_procs=n_threads,
    )
    synchrony = pe.Node(
        CorrelateParticipants(
            output_dir=output_dir, seed=statistics.random_seed, verbosity=verbosity
        ),
        name="isc",
    )
    music = pe.Node(
        InferOverMusic(
            output_dir=output_dir,
            seed=statistics.random_seed,
            cache_dir=str(config.cache_dir),
            n_threads=n_threads,
            verbosity=verbosity,
        ),
        name="music",
        n_procs=n_threads,
    )
    atlases = pe.Node(
        SummarizeAtlases(
            atlases=list(statistics.atlases),
            n_permutations=statistics.n_permutations,
            seed=statistics.random_seed,
            verbosity=verbosity,
        ),
        name="atlases",
    )
    write = pe.Node(
        WriteGroup(output_dir=output_dir, settings=settings, verbosity=verbosity), name="write"
    )
    workflow = pe.Workflow(name="group_level_wf")
    both = [("accuracy_file", "accuracy_file"), ("preference_file", "preference_file")]
    workflow.connect(
        [
            (aggregate, accuracy, [("data_file", "data_file")]),
            (aggregate, alignment, [("data_file", "data_file")]),
            (aggregate, synchrony, [("data_file", "data_file")]),
            (aggregate, write, [("data_file", "data_file")]),
            (synchrony, write, [("isc_file", "isc_file")]),
            (aggregate, music, [("data_file", "data_file")]),
            (accuracy, music, [("accuracy_file", "accuracy_file")]),
            (music, write, [("music_file", "music_file")]),
            (accuracy, alignment, both),
            (accuracy, write, both),
            (aggregate, atlases, [("data_file", "data_file")]),
            (accuracy, atlases, both),
            (atlases, write, [("atlases_file", "atlases_file")]),
            (
                alignment,
                write,
                [("alignment_file", "alignment_file"), ("gradient_file", "gradient_file")],
            ),
        ]
    )
    return workflow


def _tell_changes(tree: OutputTree, model: str, participants: Sequence[str]) -> None:
    """Log who joined and who left since the group result that is there."""
    path = tree.group_table("settings.json", model=model)
    if not path.is_file():
        return
    before = {label.removeprefix("sub-") for label in read_json(path).get("Participants", [])}
    for what, labels in (
        ("new since the last group result", set(participants) - before),
        ("in the last group result but not in this one", before - set(participants)),
    ):
        if labels:
            LOGGER.info("group: %s: %s", what, ", ".join(sorted(labels)))
