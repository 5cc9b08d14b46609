"""Builders of the participant level; they only wire."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nipype.pipeline import engine as pe

from bids_app.config import Config
from bids_app.inputs.records import BoldRun, StudyPlan

from .derivatives import ParticipantRecord
from .interfaces.participant import (
    ComputeFeatures,
    DrawReport,
    FitLayers,
    MeasureLoudness,
    PrepareResponses,
    WriteDerivatives,
)


def init_participant_level_wf(
    plan: StudyPlan,
    records: Sequence[ParticipantRecord],
    *,
    config: Config,
    weights: str,
    n_threads: int,
) -> pe.Workflow:
    """Stimulus side once, then every participant of `records`.

    Parameters
    ----------
    plan : StudyPlan
        Runs and stimuli.
    records : sequence of ParticipantRecord
        Participants to work on.
    config : Config
    weights : str
        File of the network's weights, or ``random:SEED``.
    n_threads : int
        Threads of each participant's encoding.

    Outputs
    -------
    None; the derivatives are in ``config.output_dir``.
    """
    workflow = pe.Workflow(name="participant_level_wf")
    features = pe.Node(
        ComputeFeatures(
            stimuli=[(s.label, str(s.path)) for s in plan.stimuli],
            weights=weights,
            hop=config.model.hop,
            cache_dir=str(config.cache_dir),
            verbosity=config.running.verbosity,
        ),
        name="features",
        n_procs=config.running.n_procs,
    )
    loudness = pe.Node(
        MeasureLoudness(
            stimuli=[(s.label, str(s.path)) for s in plan.stimuli],
            verbosity=config.running.verbosity,
        ),
        name="loudness",
    )
    for record in records:
        runs = [run for run in plan.runs if run.participant == record.participant]
        skipped = [
            (run.label, run.reason) for run in plan.skipped if run.participant == record.participant
        ]
        participant_wf = init_participant_wf(
            runs, record, skipped=skipped, config=config, n_threads=n_threads
        )
        workflow.connect(
            features,
            "grams_dir",
            participant_wf,
            "encoding.grams_dir",
        )
        workflow.connect(features, "grams_dir", participant_wf, "report.grams_dir")
        workflow.connect(loudness, "loudness_file", participant_wf, "responses.loudness_file")
    return workflow


def init_participant_wf(
    runs: Sequence[BoldRun],
    record: ParticipantRecord,
    *,
    skipped: Sequence[tuple[str, str]],
    config: Config,
    n_threads: int,
) -> pe.Workflow:
    """Responses -> encoding -> derivatives -> report of one participant.

    Inputs
    ------
    encoding.grams_dir, report.grams_dir
        Folder of the Gram matrices of all layers.
    responses.loudness_file
        Loudness of all stimuli.
    """
    verbosity = config.running.verbosity
    responses = pe.Node(
        PrepareResponses(
            participant=record.participant,
            runs=list(runs),
            files=[str(path) for path in input_files(runs)],
            space=config.responses.space,
            cortex_mask=[str(path) for path in config.responses.cortex_mask],
            confounds=config.responses.confounds,
            high_pass=config.responses.high_pass,
            smoothing=config.responses.smoothing,
            verbosity=verbosity,
        ),
        name="responses",
    )
    encoding = pe.Node(
        FitLayers(
            participant=record.participant,
            delays=config.model.delays,
            crop=config.model.crop,
            alphas=list(config.model.alphas),
            selection=config.model.selection,
            null=config.statistics.null,
            seed=config.statistics.random_seed,
            high_pass=config.responses.high_pass,
            n_threads=n_threads,
            verbosity=verbosity,
        ),
        name="encoding",
        n_procs=n_threads,
    )
    derivatives = pe.Node(
        WriteDerivatives(output_dir=str(config.output_dir), record=record, verbosity=verbosity),
        name="derivatives",
    )
    report = pe.Node(
        DrawReport(
            output_dir=str(config.output_dir),
            participant=record.participant,
            stimuli=sorted(record.stimuli),
            skipped=list(skipped),
            verbosity=verbosity,
        ),
        name="report",
    )
    workflow = pe.Workflow(name=f"sub_{record.participant}_wf")
    workflow.connect(
        [
            (responses, encoding, [("blocks_file", "blocks_file")]),
            (
                responses,
                derivatives,
                [
                    ("blocks_file", "blocks_file"),
                    ("notes_file", "notes_file"),
                ],
            ),
            (encoding, derivatives, [("fits_file", "fits_file")]),
            (derivatives, report, [("files", "files")]),
        ]
    )
    return workflow


def input_files(runs: Sequence[BoldRun]) -> list[Path]:
    """Files whose content decides about a participant's results."""
    files = []
    for run in runs:
        files += [run.bold_left, run.bold_right, run.confounds_file, run.confounds_json]
        files += run.surfaces
    return sorted({path for path in files if path is not None})
