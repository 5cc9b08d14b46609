"""Builders of the participant level; they only wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bids_app.workflows.conditions_participant import connect_conditions
from bids_app.workflows.ratings_participant import connect_ratings
from bids_app.workflows.steps import step
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.analyses.conditions.plan import ConditionPlan
from bids_app.analyses.folder.records import Record
from bids_app.analyses.page import draw_page
from bids_app.analyses.participant.lags import read_loudness
from bids_app.analyses.participant.plan import EncodingModel
from bids_app.analyses.participant.steps import (
    clean_runs,
    compute_features,
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


@dataclass(frozen=True)
class Music:
    """What is to be done about music.

    Attributes
    ----------
    plan : StudyPlan
        Runs and stimuli.
    models : mapping from label to EncodingModel
    jobs : mapping from participant to list of Record
        Models to fit.
    ratings : EmotionWork
        What is to be done with ratings.
    """

    plan: StudyPlan
    models: Mapping[str, EncodingModel]
    jobs: Mapping[str, list[Record]]
    ratings: EmotionWork


def init_participant_level_wf(
    music: Music | None,
    contrasts: ConditionPlan | None,
    records: Sequence[Record],
    *,
    config: Config,
    costs: Estimate,
    n_threads: int,
) -> pe.Workflow:
    """Stimulus side of every model once, then everybody's models, ratings, conditions and page.

    Parameters
    ----------
    music : Music or None
    contrasts : ConditionPlan or None
    records : sequence of Record
        Conditions to work on.
    config : Config
    costs : Estimate
        Memory that steps may take.
    n_threads : int
        Threads of each participant's encoding.

    Outputs
    -------
    None; the derivatives are in ``config.output_dir``.
    """
    workflow = pe.Workflow(name="participant_level_wf")
    people: dict[str, pe.Workflow] = {}
    if music is not None:
        _connect_music(workflow, people, music, config=config, costs=costs, n_threads=n_threads)
    for record in records:
        assert contrasts is not None
        who = record.participant
        if who not in people:
            people[who] = init_page_wf(contrasts.study, record, config=config)
            workflow.add_nodes([people[who]])
        memory = costs.participant_memory / 1e9
        connect_conditions(people[who], contrasts, record, config=config, mem_gb=memory)
    return workflow


def _connect_music(
    workflow: pe.Workflow,
    people: dict[str, pe.Workflow],
    music: Music,
    *,
    config: Config,
    costs: Estimate,
    n_threads: int,
) -> None:
    """Stimulus side, encoding models and ratings; `people` gets everybody's workflow."""
    plan, work = music.plan, music.ratings
    if not music.jobs and not any(map(work.records, plan.participants)):
        return
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
        for label, model in music.models.items()
    }
    sounds = step(read_loudness, config, "loudness", stimuli=stimuli, rests_on=heard)
    for who, records in music.jobs.items():
        people[who] = init_participant_wf(
            plan,
            records,
            config=config,
            models=music.models,
            n_threads=n_threads,
            mem_gb=costs.participant_memory / 1e9,
        )
        for record in records:
            for node in ("encoding", "weights") if config.model.save_weights else ("encoding",):
                target = f"{node}_{record.model}.grams"
                workflow.connect(features[record.model], "out", people[who], target)
        workflow.connect(sounds, "out", people[who], "responses.sounds")
    for who in plan.participants:
        if who not in people and (records := work.records(who)):
            people[who] = init_page_wf(plan, records[0], config=config)
    first = features[config.model.spaces[0].label]
    for participant_wf in people.values():
        workflow.connect(first, "out", participant_wf, "report.grams")
    options = {"config": config, "n_threads": n_threads, "costs": costs}
    connect_ratings(workflow, people, features, plan, work, **options)


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
    workflow = init_page_wf(plan, records[0], config=config)
    report = workflow.get_node("report")
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


def init_page_wf(study: StudyPlan, record: Record, *, config: Config) -> pe.Workflow:
    """A participant's page, which analyses are then connected to.

    Inputs
    ------
    report.grams, report.files, report.rating_files, report.condition_files
        As for `draw_page`.
    """
    who = record.participant
    report = step(
        draw_page,
        config,
        "report",
        tree=OutputTree(config.output_dir),
        participant=who,
        stimuli=sorted(record.stimuli),
        skipped=[(run.label, run.reason) for run in study.skipped if run.participant == who],
        who=who,
        fresh=True,  # the page may be gone
    )
    workflow = pe.Workflow(name=f"sub_{who}_wf")
    workflow.add_nodes([report])
    return workflow
