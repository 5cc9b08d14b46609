"""Builders of what relates ratings to brain and layers; they only wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from bids_app.workflows.interfaces.ratings import (
    PredictFromRatings,
    RelateRatings,
    ScoreLayers,
    WriteRatingMaps,
    WriteRatingScores,
)
from bids_app.workflows.nodes import cleaning_inputs, report_node, ridge_inputs
from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.analyses.folder.records import Record
from bids_app.analyses.ratings.participant import ScoreJob
from bids_app.analyses.ratings.plan import EmotionWork, StudyRatings
from bids_app.config import Config
from bids_app.inputs.records import BoldRun, StudyPlan


def connect_emotion(
    workflow: pe.Workflow,
    features: Mapping[str, pe.Node],
    plan: StudyPlan,
    work: EmotionWork,
    *,
    config: Config,
    n_threads: int,
) -> None:
    """Add what is to be done with ratings to the workflow of the participant level.

    Parameters
    ----------
    workflow : Workflow
        With a workflow ``sub_LABEL_wf`` for everybody whose encoding models are to be fitted.
    features : mapping
        Model label to the node of its features.
    plan : StudyPlan
    work : EmotionWork
    config : Config
    n_threads : int
        Threads of each participant.
    """
    scores = {
        label: _score_node(label, records, plan, work.study, config)
        for label, records in work.scores.items()
        if records
    }
    for label, node in scores.items():
        workflow.connect(features[label], "grams_dir", node, "grams_dir")
    for participant in plan.participants:
        records = work.records(participant)
        if not records:
            continue
        participant_wf = workflow.get_node(f"sub_{participant}_wf")
        if participant_wf is None:
            participant_wf = pe.Workflow(name=f"sub_{participant}_wf")
            participant_wf.add_nodes([report_node(plan, records[0], config)])
            first = features[config.model.spaces[0].label]
            workflow.connect(first, "grams_dir", participant_wf, "report.grams_dir")
        runs = [run for run in plan.runs if run.participant == participant]
        gather = pe.Node(Merge(len(records)), name="gather_ratings")
        participant_wf.connect(gather, "out", participant_wf.get_node("report"), "rating_files")
        for number, record in enumerate(records, start=1):
            if record.desc:
                write = pe.Node(
                    WriteRatingScores(
                        output_dir=str(config.output_dir),
                        record=record,
                        verbosity=config.running.verbosity,
                    ),
                    name=f"write_scores_{record.model}",
                )
                participant_wf.add_nodes([write])
                target = f"write_scores_{record.model}.scores_file"
                workflow.connect(scores[record.model], "scores_file", participant_wf, target)
            else:
                write = _connect_maps(participant_wf, runs, record, work.study, config, n_threads)
            participant_wf.connect(write, "files", gather, f"in{number}")


def _connect_maps(
    workflow: pe.Workflow,
    runs: Sequence[BoldRun],
    record: Record,
    study: StudyRatings,
    config: Config,
    n_threads: int,
) -> pe.Node:
    """Linear model and predictions from ratings -> maps; returns the node that writes them."""
    shared = {
        "participant": record.participant,
        "ratings": study.ratings,
        "ratings_sha256": record.inputs["ratings"],
        "scales": list(study.scales),
    }
    glm = pe.Node(
        RelateRatings(
            emotion=config.emotion,
            **cleaning_inputs(runs, config),
            **shared,
        ),
        name="rating_glm",
    )
    ridge = pe.Node(
        PredictFromRatings(
            output_dir=str(config.output_dir),
            space=config.cleaning.space,
            high_pass=config.cleaning.high_pass,
            random_seed=config.statistics.random_seed,
            null=config.statistics.closed_null,
            **ridge_inputs(config, n_threads),
            **shared,
        ),
        name="rating_ridge",
        n_procs=n_threads,
    )
    write = pe.Node(
        WriteRatingMaps(
            output_dir=str(config.output_dir), record=record, verbosity=config.running.verbosity
        ),
        name="write_rating_maps",
    )
    workflow.connect(
        [
            (glm, write, [("maps_file", "maps_file")]),
            (ridge, write, [("accuracy_file", "accuracy_file")]),
        ]
    )
    responses = workflow.get_node("write_responses")
    if responses is not None:
        workflow.connect(responses, "files", ridge, "response_files")
    return write


def _score_node(
    label: str,
    records: Sequence[Record],
    plan: StudyPlan,
    study: StudyRatings,
    config: Config,
) -> pe.Node:
    jobs = [
        ScoreJob(record.participant, tuple(record.stimuli), _rate(record, plan, study, config))
        for record in records
    ]
    return pe.Node(
        ScoreLayers(
            jobs=jobs,
            ratings=study.ratings,
            ratings_sha256=" ".join(record.inputs["ratings"] for record in records),
            scales=list(study.scales),
            null=config.statistics.closed_null,
            **ridge_inputs(config, config.running.n_procs),
        ),
        name=f"rating_scores_{label}",
        n_procs=config.running.n_procs,
    )


def _rate(record: Record, plan: StudyPlan, study: StudyRatings, config: Config) -> float:
    """Samples per second at which a participant's ratings are predicted."""
    wanted = config.emotion.rate
    if wanted == "tr":
        return 1.0 / next(run.tr for run in plan.runs if run.participant == record.participant)
    if wanted == "own":
        found = (
            study.ratings.find(record.participant, stimulus, scale)
            for stimulus in record.stimuli
            for scale in study.scales
        )
        steps = [float(np.median(np.diff(rating.times))) for rating in found if rating is not None]
        return float(round(1.0 / max(steps), 6))
    return float(wanted)
