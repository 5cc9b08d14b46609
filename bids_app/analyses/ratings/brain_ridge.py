"""Ratings as features: do responses follow what is felt, or precede it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.responses import Block
from bids_app.analyses.ratings.courses import TRANSFORM, change_of, need_rating
from bids_app.bands import HighPass, high_pass_setting
from bids_app.config import Model, Statistics
from bids_app.emotion import sample_course
from bids_app.emotion.windows import WINDOWS
from bids_app.encoding import EncodingResult, nested_ridge
from bids_app.errors import BadDataError
from bids_app.features.timing import filtered
from bids_app.inputs.ratings import Rating, RatingSet
from bids_app.inputs.records import common_tr

DURATIONS = "StimulusDurations"
"""Seconds of every stimulus, in the sidecars: with them the group level finds the same folds."""


@dataclass(frozen=True, eq=False)
class RatingEncoding:
    """Accuracy of ratings as features of the encoding engine, for one participant.

    Attributes
    ----------
    scales : list of n_scales str
    r, z, p, q : array of shape (n_windows, n_scales, n_vertices)
        As `LayerFits`, from each of `WINDOWS`.
    alpha : array of shape (n_windows, n_folds, n_scales, n_vertices)
        Penalties per held-out stimulus.
    fold_stimuli : list of str
    details : dict
        Settings, for the sidecar.
    courses : list of dict
        The courses that predicted, one row per scale, presentation and volume.
    """

    scales: list[str]
    r: NDArray[np.float32]
    z: NDArray[np.float32]
    p: NDArray[np.float32]
    q: NDArray[np.float32]
    alpha: NDArray[np.float32]
    fold_stimuli: list[str]
    details: dict[str, Any]
    courses: list[dict[str, Any]]


def fit_rating_encoding(
    blocks: Sequence[Block],
    ratings: RatingSet,
    participant: str,
    *,
    scales: Sequence[str] | None = None,
    durations: Mapping[str, float] | None = None,
    model: Model,
    statistics: Statistics,
    high_pass: HighPass,
    n_threads: int = 1,
) -> RatingEncoding:
    """Predict cleaned responses from one rating at a time, from its past and from its future.

    Parameters
    ----------
    blocks : sequence of Block
        Cleaned responses on the stimuli's clocks.
    ratings : RatingSet
    participant : str
    scales : sequence of str, optional
        Default: all.
    durations : mapping from stimulus to float, optional
        Seconds, by which folds are the same for everybody; default: the rows of these blocks.
    model, statistics, n_threads
        As for the layers, but for the delays.
    high_pass : float
        The filter of the responses in seconds, applied to the ratings too; 0 for none.

    Returns
    -------
    RatingEncoding

    Raises
    ------
    BadDataError
        If a rating is missing or constant, or does not overlap the music.
    """
    wanted = tuple(scales or ratings.scales)
    missing = ratings.missing(participant, [b.stimulus for b in blocks], wanted)
    if missing:
        raise BadDataError(
            "Ratings are missing.",
            where=f"sub-{participant}",
            found="no " + ", ".join(missing),
            wanted="a rating of every piece that was heard",
            remedy="the participant is kept out of this analysis",
        )
    results = []
    courses: list[dict[str, Any]] = []
    for scale in wanted:
        features = [
            _feature(block, need_rating(ratings, participant, block.stimulus, scale), high_pass)
            for block in blocks
        ]
        courses += _courses(scale, blocks, features)
        results.append(_fit_windows(features, blocks, durations, model, statistics, n_threads))

    def stack(name: str) -> NDArray[np.float32]:
        of_scales = [[getattr(result, name) for result in of_scale] for of_scale in results]
        return np.stack(of_scales, axis=1).astype(np.float32)

    return RatingEncoding(
        scales=list(wanted),
        r=stack("mean_r"),
        z=stack("mean_r") / stack("null_sd"),
        p=stack("p"),
        q=stack("q"),
        alpha=np.moveaxis(stack("alpha"), 1, 2),
        courses=courses,
        fold_stimuli=["+".join(held) for held in results[0][0].fold_stimuli],
        details={
            "Scales": list(wanted),
            "Transform": TRANSFORM,
            "Delays": {window.brain: list(window.delays) for window in WINDOWS},
            "Crop": model.crop,
            "HighPass": high_pass_setting(high_pass),
            "Null": statistics.noise_null,
            **({} if durations is None else {DURATIONS: dict(durations)}),
        },
    )


def _courses(
    scale: str, blocks: Sequence[Block], features: Sequence[NDArray[np.float64]]
) -> list[dict[str, Any]]:
    """One row per volume of what was fitted."""
    return [
        {
            "scale": scale,
            "stimulus": block.stimulus,
            "presentation": k,
            "time": second,
            "value": value,
        }
        for k, (block, own) in enumerate(zip(blocks, features, strict=True), start=1)
        for second, value in zip(block.times.tolist(), own[:, 0].tolist(), strict=True)
    ]


def _fit_windows(
    features: list[NDArray[np.float64]],
    blocks: Sequence[Block],
    durations: Mapping[str, float] | None,
    model: Model,
    statistics: Statistics,
    n_threads: int,
) -> list[EncodingResult]:
    """One model of the past of a rating, one of its future."""
    tr = common_tr({block.run: block.tr for block in blocks})
    return [
        nested_ridge(
            features,
            [block.values for block in blocks],
            delays=window.delays,
            crop=model.crop,
            tr=tr,
            alphas=model.alphas,
            selection=model.selection,
            stimuli=[block.stimulus for block in blocks],
            durations=durations,
            null=statistics.noise_null,
            seed=statistics.random_seed,
            dtype=np.float32,
            n_threads=n_threads,
        )
        for window in WINDOWS
    ]


def _feature(block: Block, rating: Rating, high_pass: HighPass) -> NDArray[np.float64]:
    """A rating on the volumes of a block, (n_times, 1); its mean where there are no samples."""
    course = sample_course(rating.times, change_of(rating), block.times, width=block.tr)
    course = np.where(np.isfinite(course), course, np.nanmean(course))
    return filtered(course, block.tr, high_pass)[:, None]
