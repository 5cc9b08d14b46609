"""Builders of the participant level; they only wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bids_app.workflows.interfaces.participant import (
    ComputeFeatures,
    FitLayers,
    MeasureLoudness,
    PrepareResponses,
    SaveWeights,
    WriteDerivatives,
    WriteResponses,
)
from bids_app.workflows.nodes import cleaning_inputs, report_node, ridge_inputs
from bids_app.workflows.ratings_participant import connect_emotion
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.analyses.folder.records import Record
from bids_app.analyses.ratings.plan import EmotionWork
from bids_app.config import Config
from bids_app.inputs.estimate import Estimate
from bids_app.inputs.records import StudyPlan


def init_participant_level_wf(
    plan: StudyPlan,
    jobs: Sequence[Sequence[Record]],
    *,
    config: Config,
    weights: Mapping[str, str],
    work: EmotionWork,
    n_threads: int,
    costs: Estimate,
) -> pe.Workflow:
    """Stimulus side of every model once, then every participant of `jobs` and of `work`.

    Parameters
    ----------
    plan : StudyPlan
        Runs and stimuli.
    jobs : sequence of sequence of Record
        Per participant, the models to fit.
    config : Config
    weights : mapping
        Model label to file of the network's weights or ``random:SEED``; empty without a network.
    work : EmotionWork
        What is to be done with ratings.
    n_threads : int
        Threads of each participant's encoding.
    costs : Estimate
        Memory that steps may take.

    Outputs
    -------
    None; the derivatives are in ``config.output_dir``.
    """
    workflow = pe.Workflow(name="participant_level_wf")
    features = {
        space.label: pe.Node(
            ComputeFeatures(
                stimuli=[(s.label, str(s.path)) for s in plan.stimuli],
                features=space.features,
                weights=weights[space.label],
                hop=config.model.hop,
                cache_dir=str(config.cache_dir),
                device=config.running.device,
                verbosity=config.running.verbosity,
            ),
            name=f"features_{space.label}",
            n_procs=config.running.n_procs,
            mem_gb=costs.feature_memory / 1e9,
        )
        for space in config.model.spaces
    }
    loudness = pe.Node(
        MeasureLoudness(
            stimuli=[(s.label, str(s.path)) for s in plan.stimuli],
            verbosity=config.running.verbosity,
        ),
        name="loudness",
    )
    for records in jobs:
        participant_wf = init_participant_wf(
            plan,
            records,
            config=config,
            weights=weights,
            n_threads=n_threads,
            mem_gb=costs.participant_memory / 1e9,
        )
        for record in records:
            target = f"encoding_{record.model}.grams_dir"
            workflow.connect(features[record.model], "grams_dir", participant_wf, target)
            if config.model.save_weights:
                target = f"weights_{record.model}.grams_dir"
                workflow.connect(features[record.model], "grams_dir", participant_wf, target)
        first = config.model.spaces[0].label
        workflow.connect(features[first], "grams_dir", participant_wf, "report.grams_dir")
        workflow.connect(loudness, "loudness_file", participant_wf, "responses.loudness_file")
    connect_emotion(workflow, features, plan, work, config=config, n_threads=n_threads)
    return workflow


def init_participant_wf(
    plan: StudyPlan,
    records: Sequence[Record],
    *,
    config: Config,
    weights: Mapping[str, str],
    n_threads: int,
    mem_gb: float,
) -> pe.Workflow:
    """Responses -> encoding and derivatives of every model -> report of one participant.

    Inputs
    ------
    encoding_MODEL.grams_dir, weights_MODEL.grams_dir (on request), report.grams_dir
        Folder of the Gram matrices of all layers of a model, and of the first.
    responses.loudness_file
        Loudness of all stimuli.
    """
    verbosity = config.running.verbosity
    participant = records[0].participant
    runs = [run for run in plan.runs if run.participant == participant]
    responses = pe.Node(
        PrepareResponses(
            participant=participant,
            random_seed=config.statistics.random_seed,
            **cleaning_inputs(runs, config),
        ),
        name="responses",
        mem_gb=mem_gb,
    )
    shared = pe.Node(
        WriteResponses(output_dir=str(config.output_dir), record=records[0], verbosity=verbosity),
        name="write_responses",
    )
    # Too little for a job of a cluster.
    gather = pe.Node(Merge(len(records)), name="gather", run_without_submitting=True)
    report = report_node(plan, records[0], config)
    workflow = pe.Workflow(name=f"sub_{participant}_wf")
    handed_on = [("blocks_file", "blocks_file"), ("notes_file", "notes_file")]
    workflow.connect([(responses, shared, handed_on), (gather, report, [("out", "files")])])
    for number, record in enumerate(records, start=1):
        encoding, derivatives = _model_nodes(record, config, n_threads, mem_gb)
        workflow.connect(
            [
                (responses, encoding, [("blocks_file", "blocks_file")]),
                (responses, derivatives, [("blocks_file", "blocks_file")]),
                (shared, derivatives, [("files", "shared_files")]),
                (encoding, derivatives, [("fits_file", "fits_file")]),
                (derivatives, gather, [("files", f"in{number}")]),
            ]
        )
        if config.model.save_weights:
            saved = _weights_node(plan, record, config, weights[record.model], mem_gb)
            workflow.connect(
                [
                    (responses, saved, [("blocks_file", "blocks_file")]),
                    (encoding, saved, [("fits_file", "fits_file")]),
                    (saved, derivatives, [("files", "weights_files")]),
                ]
            )
    return workflow


def _weights_node(
    plan: StudyPlan, record: Record, config: Config, weights: str, mem_gb: float
) -> pe.Node:
    """Weights of single layers of one model."""
    (space,) = (space for space in config.model.spaces if space.label == record.model)
    return pe.Node(
        SaveWeights(
            output_dir=str(config.output_dir),
            record=record,
            asked=list(config.model.save_weights),
            mask=[str(path) for path in config.model.weights_mask],
            stimuli=[(s.label, str(s.path)) for s in plan.stimuli],
            features=space.features,
            weights=weights,
            verbosity=config.running.verbosity,
        ),
        name=f"weights_{record.model}",
        mem_gb=mem_gb,
    )


def _model_nodes(
    record: Record, config: Config, n_threads: int, mem_gb: float
) -> tuple[pe.Node, pe.Node]:
    """Fit of one model, and its maps."""
    verbosity = config.running.verbosity
    encoding = pe.Node(
        FitLayers(
            participant=record.participant,
            layers=list(record.settings["layers"]),
            delays=config.model.delays,
            null=config.statistics.null,
            n_nulls=config.statistics.n_nulls,
            seed=config.statistics.random_seed,
            high_pass=config.cleaning.high_pass,
            **ridge_inputs(config, n_threads),
        ),
        name=f"encoding_{record.model}",
        n_procs=n_threads,
        mem_gb=mem_gb,
    )
    derivatives = pe.Node(
        WriteDerivatives(output_dir=str(config.output_dir), record=record, verbosity=verbosity),
        name=f"derivatives_{record.model}",
        mem_gb=mem_gb,
    )
    return encoding, derivatives
