"""Builders of what relates ratings to brain and layers; they only wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bids_app.workflows.steps import step
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.analyses.folder.records import Record
from bids_app.analyses.ratings.participant import (
    predict_from_ratings,
    relate_ratings,
    score_jobs,
    score_layers,
)
from bids_app.analyses.ratings.plan import EmotionWork, StudyRatings
from bids_app.analyses.ratings.write import write_rating_maps, write_rating_scores
from bids_app.config import Config
from bids_app.inputs.estimate import Estimate, score_memory
from bids_app.inputs.records import BoldRun, StudyPlan
from bids_app.outputs import OutputTree


def connect_ratings(
    workflow: pe.Workflow,
    people: Mapping[str, pe.Workflow],
    features: Mapping[str, pe.Node],
    plan: StudyPlan,
    work: EmotionWork,
    *,
    config: Config,
    n_threads: int,
    costs: Estimate,
) -> None:
    """Add what is to be done with ratings to the workflow of the participant level.

    Parameters
    ----------
    workflow : Workflow
    people : mapping from participant to Workflow
        With the node ``report``.
    features : mapping
        Model label to the node of its features.
    plan : StudyPlan
    work : EmotionWork
    config : Config
    n_threads : int
        Threads of each participant.
    costs : Estimate
        Memory that steps may take.
    """
    tree = OutputTree(config.output_dir)
    scores = {
        label: step(
            score_layers,
            config,
            f"rating_scores_{label}",
            jobs=score_jobs(records, plan, work.study, config.emotion.rate),
            ratings=work.study.ratings,
            scales=work.study.scales,
            n_threads=config.running.n_procs,
            n_procs=config.running.n_procs,
            mem_gb=score_memory(costs) / 1e9,
        )
        for label, records in work.scores.items()
        if records
    }
    for label, node in scores.items():
        workflow.connect(features[label], "out", node, "grams")
    for participant in plan.participants:
        records = work.records(participant)
        if not records:
            continue
        participant_wf = people[participant]
        runs = [run for run in plan.runs if run.participant == participant]
        gather = pe.Node(Merge(len(records)), name="gather_ratings", run_without_submitting=True)
        participant_wf.connect(gather, "out", participant_wf.get_node("report"), "rating_files")
        for number, record in enumerate(records, start=1):
            if record.desc:
                write = step(
                    write_rating_scores,
                    config,
                    f"write_scores_{record.model}",
                    tree=tree,
                    record=record,
                    who=participant,
                    fresh=True,
                    mem_gb=score_memory(costs) / 1e9,
                )
                participant_wf.add_nodes([write])
                target = f"write_scores_{record.model}.scores"
                workflow.connect(scores[record.model], "out", participant_wf, target)
            else:
                write = _connect_maps(
                    participant_wf, runs, record, work.study, config, n_threads, costs
                )
            participant_wf.connect(write, "out", gather, f"in{number}")


def _connect_maps(
    workflow: pe.Workflow,
    runs: Sequence[BoldRun],
    record: Record,
    study: StudyRatings,
    config: Config,
    n_threads: int,
    costs: Estimate,
) -> pe.Node:
    """Linear model and predictions from ratings -> maps; returns the node that writes them."""
    tree = OutputTree(config.output_dir)
    shared = {
        "ratings": study.ratings,
        "scales": study.scales,
        "who": record.participant,
        "rests_on": record.inputs,
    }
    memory = costs.participant_memory / 1e9
    glm = step(relate_ratings, config, "rating_glm", runs=runs, mem_gb=memory, **shared)
    ridge = step(
        predict_from_ratings,
        config,
        "rating_ridge",
        tree=tree,
        participant=record.participant,
        n_threads=n_threads,
        n_procs=n_threads,
        mem_gb=memory,
        fresh=True,  # the responses may have changed under the same name
        **shared,
    )
    write = step(
        write_rating_maps,
        config,
        tree=tree,
        record=record,
        who=record.participant,
        mem_gb=memory,
        fresh=True,
    )
    workflow.connect([(glm, write, [("out", "maps")]), (ridge, write, [("out", "accuracy")])])
    responses = workflow.get_node("write_responses")
    if responses is not None:
        workflow.connect(responses, "out", ridge, "written")
    return write
