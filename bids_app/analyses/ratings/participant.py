"""Analyses of one participant's ratings with brain and layers, or reasons for their absence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bids_app.analyses.folder.read import read_maps, read_record
from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.linear_models import LinearMaps
from bids_app.analyses.participant.responses import Block
from bids_app.analyses.participant.voxel_effects import VoxelEffects
from bids_app.analyses.participant.voxels import VoxelReader, Voxels
from bids_app.analyses.ratings.brain_glm import fit_rating_glm
from bids_app.analyses.ratings.brain_ridge import RatingEncoding, fit_rating_encoding
from bids_app.analyses.ratings.layer_changes import ChangeScores, correlate_changes, layer_changes
from bids_app.analyses.ratings.layer_scores import RatingScores, fit_rating_scores
from bids_app.analyses.ratings.plan import StudyRatings
from bids_app.config import Cleaning, Emotion, Model, Statistics
from bids_app.errors import BadDataError, MissingInputError, reason_of
from bids_app.features.cache import FeatureGrams
from bids_app.inputs.ratings import RatingSet
from bids_app.inputs.records import BoldRun, StudyPlan
from bids_app.outputs import OutputTree, sidecar_of

LOGGER = logging.getLogger("bids_app.analyses")

T = TypeVar("T")


def attempt(work: Callable[..., T], *args: Any, **options: Any) -> tuple[T | None, str]:
    """Result of `work`, or why the data do not allow it."""
    try:
        return work(*args, **options), ""
    except BadDataError as error:
        return None, reason_of(error)


def read_cleaned(tree: OutputTree, participant: str, space: str) -> list[Block]:
    """Cleaned responses that the participant level saved, by presentation.

    Raises
    ------
    MissingInputError
        If there are none.
    """
    folder = tree.participant_dir(participant)
    blocks = []
    for left in tree.responses(participant, space):
        told = read_record(
            sidecar_of(left), Stimulus=str, StimulusTimes=list, RepetitionTime=(int, float)
        )
        times = np.asarray(told["StimulusTimes"], dtype=np.float64)
        values = read_maps(left, space, n_arrays=len(times))
        blocks.append(Block(told["Stimulus"], left.name, told["RepetitionTime"], times, values))
    if not blocks:
        raise MissingInputError(
            "No cleaned responses were saved.",
            where=folder,
            found="no such file",
            wanted="*_desc-clean_bold.func.gii",
            remedy="run the participant level again",
        )
    return blocks


def relate_ratings(
    runs: Sequence[BoldRun],
    ratings: RatingSet,
    scales: Sequence[str],
    cleaning: Cleaning,
    emotion: Emotion,
) -> tuple[LinearMaps | None, str]:
    """Linear model of responses and changes of ratings of one participant, or why there is none."""
    LOGGER.info("sub-%s: ratings and brain", runs[0].participant)
    return attempt(
        fit_rating_glm,
        runs,
        ratings,
        cleaning,
        emotion,
        scales=scales,
    )


def relate_voxels(
    runs: Sequence[BoldRun],
    ratings: RatingSet,
    scales: Sequence[str],
    cleaning: Cleaning,
    emotion: Emotion,
    model: Model,
) -> VoxelEffects | None:
    """The same model at subcortical voxels; None where the ratings do not allow it."""
    read = VoxelReader(Voxels.of(model), cleaning)
    found, _ = attempt(fit_rating_glm, runs, ratings, cleaning, emotion, scales=scales, read=read)
    if found is None or read.known is None:
        return None
    return VoxelEffects(read.known, found)


def predict_from_ratings(
    tree: OutputTree,
    participant: str,
    ratings: RatingSet,
    scales: Sequence[str],
    cleaning: Cleaning,
    model: Model,
    statistics: Statistics,
    durations: Mapping[str, float],
    n_threads: int,
    shared: Sequence[Path] = (),
) -> tuple[RatingEncoding | None, str]:
    """Responses predicted from past and future ratings, once the `shared` files are written."""
    LOGGER.debug("sub-%s: %d files of responses are there", participant, len(shared))
    return attempt(
        fit_rating_encoding,
        read_cleaned(tree, participant, cleaning.space),
        ratings,
        participant,
        scales=scales,
        durations=durations,
        model=model,
        statistics=statistics,
        high_pass=cleaning.high_pass,
        n_threads=n_threads,
    )


@dataclass(frozen=True)
class ScoreJob:
    """Whose ratings of what are to be predicted, by which layers, at what rate (per second)."""

    participant: str
    stimuli: tuple[str, ...]
    layers: tuple[str, ...]
    rate: float


@dataclass(frozen=True, eq=False)
class LayerScores:
    """Layers and ratings of one participant.

    Attributes
    ----------
    scores : RatingScores or None
        Ratings predicted from layers.
    changes : ChangeScores or None
        Changes of layers against changes of ratings.
    left_out : dict from analysis to str
        Why one of them is not there.
    """

    scores: RatingScores | None
    changes: ChangeScores | None
    left_out: dict[str, str]


def score_jobs(
    records: Sequence[Record], plan: StudyPlan, study: StudyRatings, rate: str | float
) -> list[ScoreJob]:
    """Whose ratings are to be predicted, at the rate that the option means for them."""
    return [
        ScoreJob(
            record.participant,
            tuple(record.stimuli),
            tuple(record.settings["layers"]),
            _rate(record, plan, study, rate),
        )
        for record in records
    ]


def _rate(record: Record, plan: StudyPlan, study: StudyRatings, wanted: str | float) -> float:
    """Samples per second at which a participant's ratings are predicted."""
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


def score_layers(
    grams: FeatureGrams,
    ratings: RatingSet,
    jobs: Sequence[ScoreJob],
    scales: Sequence[str],
    cleaning: Cleaning,
    model: Model,
    statistics: Statistics,
    n_threads: int = 1,
) -> dict[str, LayerScores]:
    """Predict everybody's ratings from the layers fitted; the stimulus side is computed once.

    Returns
    -------
    dict from participant to LayerScores
    """
    LOGGER.info("layers and ratings of %d participants", len(jobs))
    options: dict[str, Any] = {
        "model": model,
        "statistics": statistics,
        "high_pass": cleaning.high_pass,
        "n_threads": n_threads,
    }
    together: dict[tuple[tuple[str, ...], tuple[str, ...], float], list[str]] = {}
    for job in jobs:
        together.setdefault((job.stimuli, job.layers, job.rate), []).append(job.participant)
    found: dict[str, LayerScores] = {}
    for (stimuli, layers, rate), participants in together.items():
        chosen = grams.of_layers(layers)
        shared = {"stimuli": stimuli, "scales": scales}
        scores, reason = attempt(
            fit_rating_scores, chosen, ratings, participants, rate=rate, **shared, **options
        )
        changes = layer_changes(chosen, stimuli)
        for participant in participants:
            change, no_change = attempt(
                correlate_changes, chosen, ratings, participant, changes=changes, **shared
            )
            own = None if scores is None else scores[participant]
            left_out = {"layers and ratings": reason or _skipped(own), "changes": no_change}
            left_out = {name: why for name, why in left_out.items() if why}
            found[participant] = LayerScores(own, change, left_out)
    return found


def _skipped(scores: RatingScores | None) -> str:
    skipped: Mapping[str, str] = {} if scores is None else scores.skipped
    return "; ".join(f"{scale}: {why}" for scale, why in skipped.items())
