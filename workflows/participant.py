"""Builders of the participant level; they only wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bids_app.workflows.ratings_participant import connect_ratings
from bids_app.workflows.steps import step
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.lags import read_loudness
from bids_app.analyses.participant.plan import EncodingModel
from bids_app.analyses.participant.steps import (
    clean_runs,
    compute_features,
    draw_page,
    fit_model,
    save_model_weights,
    write_model,
)
from bids_app.analyses.participant.write import write_responses
from bids_app.analyses.ratings.plan import EmotionWork
from bids_app.config import Config
from bids_app.inputs.estimate import Estimate
from bids_app.inputs.records import StudyPlan
from bids_app.outputs import OutputTree


def init_participant_level_wf(
    plan: StudyPlan,
    jobs: Sequence[Sequence[Record]],
    *,
    config: Config,
    models: Mapping[str, EncodingModel],
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
    models : mapping from label to EncodingModel
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
    stimuli = [(s.label, s.path) for s in plan.stimuli]
    heard = {s.label: s.sha256 for s in plan.stimuli}
    features = {
        label: step(
            compute_features,
            config,
            f"features_{label}",
            stimuli=stimuli,
            space=model.space,
            weights=model.weights,
            cache_dir=config.cache_dir,
            device=config.running.device,
            rests_on=(heard, model.settings),
            fresh=True,  # the cache may be gone
            blas_threads=None,  # it works alone, before the participants
            n_procs=config.running.n_procs,
            mem_gb=costs.feature_memory / 1e9,
        )
        for label, model in models.items()
    }
    sounds = step(read_loudness, config, "loudness", stimuli=stimuli, rests_on=heard)
    first = features[config.model.spaces[0].label]
    people: dict[str, pe.Workflow] = {}
    for records in jobs:
        participant_wf = init_participant_wf(
            plan,
            records,
            config=config,
            models=models,
            n_threads=n_threads,
            mem_gb=costs.participant_memory / 1e9,
        )
        people[records[0].participant] = participant_wf
        for record in records:
            for node in ("encoding", "weights") if config.model.save_weights else ("encoding",):
                target = f"{node}_{record.model}.grams"
                workflow.connect(features[record.model], "out", participant_wf, target)
        workflow.connect(sounds, "out", participant_wf, "responses.sounds")
    for participant in set(plan.participants) - set(people):
        if records := work.records(participant):
            people[participant] = pe.Workflow(name=f"sub_{participant}_wf")
            people[participant].add_nodes([report_step(plan, records[0], config)])
    for participant_wf in people.values():
        workflow.connect(first, "out", participant_wf, "report.grams")
    options = {"config": config, "n_threads": n_threads, "costs": costs}
    connect_ratings(workflow, people, features, plan, work, **options)
    return workflow


def init_participant_wf(
    plan: StudyPlan,
    records: Sequence[Record],
    *,
    config: Config,
    models: Mapping[str, EncodingModel],
    n_threads: int,
    mem_gb: float,
) -> pe.Workflow:
    """Responses -> encoding and derivatives of every model -> report of one participant.

    Inputs
    ------
    encoding_MODEL.grams, weights_MODEL.grams (on request), report.grams
        Gram matrices of all layers of a model, and of the first.
    responses.sounds
        Loudness of all stimuli.
    """
    tree, who = OutputTree(config.output_dir), records[0].participant
    runs = [run for run in plan.runs if run.participant == who]
    own = {"who": who, "mem_gb": mem_gb}
    responses = step(clean_runs, config, "responses", runs=runs, rests_on=records[0].inputs, **own)
    shared = step(
        write_responses,
        config,
        "write_responses",
        tree=tree,
        record=records[0],
        fresh=True,
        who=who,
    )
    # Too little for a job of a cluster.
    gather = pe.Node(Merge(len(records)), name="gather", run_without_submitting=True)
    report = report_step(plan, records[0], config)
    workflow = pe.Workflow(name=f"sub_{who}_wf")
    workflow.connect(
        [(responses, shared, [("out", "prepared")]), (gather, report, [("out", "files")])]
    )
    for number, record in enumerate(records, start=1):
        label, written = record.model, {"tree": tree, "record": record, "fresh": True, **own}
        encoding = step(
            fit_model,
            config,
            f"encoding_{label}",
            record=record,
            n_threads=n_threads,
            n_procs=n_threads,
            **own,
        )
        derivatives = step(write_model, config, f"derivatives_{label}", **written)
        workflow.connect(
            [
                (responses, encoding, [("out", "prepared")]),
                (responses, derivatives, [("out", "prepared")]),
                (shared, derivatives, [("out", "shared")]),
                (encoding, derivatives, [("out", "fits")]),
                (derivatives, gather, [("out", f"in{number}")]),
            ]
        )
        if config.model.save_weights:
            saved = step(
                save_model_weights,
                config,
                f"weights_{label}",
                stimuli=[(s.label, s.path) for s in plan.stimuli],
                space=models[label].space,
                weights=models[label].weights,
                **written,
            )
            workflow.connect(
                [
                    (responses, saved, [("out", "prepared")]),
                    (encoding, saved, [("out", "fits")]),
                    (saved, derivatives, [("out", "weights_files")]),
                ]
            )
    return workflow


def report_step(plan: StudyPlan, record: Record, config: Config) -> pe.Node:
    """The node that draws a participant's page; it needs the files it shows, and grams."""
    who = record.participant
    return step(
        draw_page,
        config,
        "report",
        tree=OutputTree(config.output_dir),
        participant=who,
        stimuli=sorted(record.stimuli),
        skipped=[(run.label, run.reason) for run in plan.skipped if run.participant == who],
        who=who,
        fresh=True,  # the page may be gone
    )
