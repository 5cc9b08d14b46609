"""What one participant's ratings say about brain and layers, or why they say nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from bids_app.analyses.participant.responses import Block
from bids_app.analyses.ratings.layer_changes import ChangeScores, correlate_changes, layer_changes
from bids_app.analyses.ratings.layer_scores import RatingScores, fit_rating_scores
from bids_app.errors import BadDataError, MissingInputError, reason_of
from bids_app.features.cache import FeatureGrams
from bids_app.files import read_json
from bids_app.inputs.ratings import RatingSet
from bids_app.outputs import HEMISPHERES, OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti

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
    pattern = tree.participant_bold(participant, "L", space, stim="*").name
    blocks = []
    for left in sorted(folder.glob(pattern)):
        paths = [left.with_name(left.name.replace("_hemi-L_", f"_hemi-{h}_")) for h in HEMISPHERES]
        told = read_json(sidecar_of(left))
        times = np.asarray(told["StimulusTimes"])
        values = np.hstack([read_gifti(path) for path in paths])
        blocks.append(Block(told["Stimulus"], left.name, told["RepetitionTime"], times, values))
    if not blocks:
        raise MissingInputError(
            "No cleaned responses were saved.",
            where=folder,
            wanted=pattern,
            remedy="run the participant level again",
        )
    return blocks


@dataclass(frozen=True)
class ScoreJob:
    """Whose ratings of what are to be predicted, and how many of their samples per second."""

    participant: str
    stimuli: tuple[str, ...]
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


def score_layers(
    grams: FeatureGrams,
    ratings: RatingSet,
    jobs: Sequence[ScoreJob],
    scales: Sequence[str],
    **options: Any,
) -> dict[str, LayerScores]:
    """Predict everybody's ratings from every layer; the stimulus side is computed once.

    Parameters
    ----------
    grams : FeatureGrams
    ratings : RatingSet
    jobs : sequence of ScoreJob
    scales : sequence of str
    **options
        Of `fit_rating_scores`: crop, alphas, ...

    Returns
    -------
    dict from participant to LayerScores
    """
    together: dict[tuple[tuple[str, ...], float], list[str]] = {}
    for job in jobs:
        together.setdefault((job.stimuli, job.rate), []).append(job.participant)
    found: dict[str, LayerScores] = {}
    for (stimuli, rate), participants in together.items():
        shared = {"stimuli": stimuli, "scales": scales}
        scores, reason = attempt(
            fit_rating_scores, grams, ratings, participants, rate=rate, **shared, **options
        )
        changes = layer_changes(grams, stimuli)
        for participant in participants:
            change, no_change = attempt(
                correlate_changes, grams, ratings, participant, changes=changes, **shared
            )
            own = None if scores is None else scores[participant]
            left_out = {"layers and ratings": reason or _skipped(own), "changes": no_change}
            left_out = {name: why for name, why in left_out.items() if why}
            found[participant] = LayerScores(own, change, left_out)
    return found


def _skipped(scores: RatingScores | None) -> str:
    skipped: Mapping[str, str] = {} if scores is None else scores.skipped
    return "; ".join(f"{scale}: {why}" for scale, why in skipped.items())
