"""Layers and ratings, the earlier form: do they change at the same moments?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.ratings.courses import change_of, need_rating
from bids_app.analyses.ratings.layer_scores import usable_scales
from bids_app.emotion import change_correlation, common_times, sample_course
from bids_app.errors import BadDataError
from bids_app.features.cache import FeatureGrams
from bids_app.features.timing import window_matrix
from bids_app.inputs.ratings import RatingSet
from bids_app.statistics import fisher_mean


def layer_change(
    grams: FeatureGrams, layer: int, stimulus: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much a layer changes from patch to patch: the distance between their activations.

    Parameters
    ----------
    grams : FeatureGrams
    layer : int
        From 1.
    stimulus : str

    Returns
    -------
    times : array of shape (n_patches - 1,)
        Seconds half way between the patches.
    change : array of shape (n_patches - 1,)
        Per second.
    """
    index = grams.labels.index(stimulus)
    centers = np.asarray(grams.patch_times[index])
    first = sum(len(t) for t in grams.patch_times[:index])
    block = slice(first, first + len(centers))
    gram = np.asarray(grams.gram(layer)[block, block], dtype=np.float64)
    power = np.diag(gram)
    squared = power[1:] + power[:-1] - 2 * np.diag(gram, 1)
    steps = np.diff(centers)
    return (centers[1:] + centers[:-1]) / 2, np.sqrt(np.maximum(squared, 0.0)) / steps


LayerChanges = Mapping[str, Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]]
"""Per stimulus, what `layer_change` gives for every layer."""


def layer_changes(grams: FeatureGrams, stimuli: Sequence[str]) -> LayerChanges:
    """How much every layer changes during every stimulus; the same for everybody."""
    layers = range(1, len(grams.layer_names) + 1)
    return {label: [layer_change(grams, n, label) for n in layers] for label in stimuli}


@dataclass(frozen=True, eq=False)
class ChangeScores:
    """Cross-correlation of changes of layers and ratings (the study's earlier form).

    Attributes
    ----------
    lags : array of shape (n_lags,)
        Seconds by which the rating follows.
    r : array of shape (n_layers, n_lags, n_scales)
        Fisher-z mean over stimuli.
    maximum, best_lag : array of shape (n_layers, n_scales)
        Largest correlation over the lags, and its lag.
    scales, layer_names : list of str
    skipped : dict from scale to str
    convention : str
        What a positive lag means.
    """

    lags: NDArray[np.float64]
    r: NDArray[np.float64]
    maximum: NDArray[np.float64]
    best_lag: NDArray[np.float64]
    scales: list[str]
    layer_names: list[str]
    skipped: dict[str, str]
    convention: str

    def rows(self) -> list[dict[str, Any]]:
        """One row per scale, layer and lag, for the table."""
        return [
            {"scale": scale, "layer": layer + 1, "name": name, "lag_s": lag, "r": r}
            for k, scale in enumerate(self.scales)
            for layer, name in enumerate(self.layer_names)
            for lag, r in zip(self.lags.tolist(), self.r[layer, :, k].tolist(), strict=True)
        ]


def correlate_changes(
    grams: FeatureGrams,
    ratings: RatingSet,
    participant: str,
    *,
    stimuli: Sequence[str] | None = None,
    scales: Sequence[str] | None = None,
    rate: float = 2.0,
    max_lag: float = 5.0,
    changes: LayerChanges | None = None,
) -> ChangeScores:
    """Correlate how much a layer changes with how much a rating changes, at lags from 0 s on.

    Parameters
    ----------
    grams, ratings, stimuli, scales
        As for `fit_rating_scores`.
    participant : str
    rate : float
        Samples per second; the network has about two patches per second.
    max_lag : float
        Seconds.
    changes : mapping, optional
        Result of `layer_changes`, where it is there already.

    Returns
    -------
    ChangeScores

    Raises
    ------
    BadDataError
        If no scale was rated in all stimuli, or ratings do not overlap the music.
    """
    labels = list(stimuli or grams.labels)
    usable, skipped = usable_scales(ratings, participant, labels, list(scales or ratings.scales))
    if not usable:
        raise BadDataError(
            "No scale can be used.",
            where=f"sub-{participant}",
            found="; ".join(f"{scale}: {why}" for scale, why in skipped.items()) or "no scales",
            wanted="a scale whose ratings vary in the pieces",
            remedy="the participant is kept out of this analysis",
        )
    known = layer_changes(grams, labels) if changes is None else changes
    r = np.empty((len(labels), len(grams.layer_names), 0, 0))
    lags = np.empty(0)
    convention = ""
    for row, label in enumerate(labels):
        found = [need_rating(ratings, participant, label, scale) for scale in usable]
        duration = grams.durations[grams.labels.index(label)]
        layers = known[label]
        clock = common_times([layers[0][0], *(x.times for x in found)], duration, rate)
        features = np.stack([window_matrix(t, clock, 1 / rate) @ v for t, v in layers], axis=1)
        for column, rating in enumerate(found):
            change = change_of(rating)
            course = sample_course(rating.times, change, clock, width=1 / rate)
            profile = change_correlation(features, course, rate=rate, max_lag=max_lag)
            if lags.size == 0:
                lags, convention = profile.lags, profile.convention
                r = np.empty((len(labels), features.shape[1], len(lags), len(usable)))
            r[row, :, :, column] = profile.r.T
    mean = fisher_mean(r, axis=0)
    filled = np.where(np.isfinite(mean), mean, -np.inf)
    best = filled.argmax(axis=1)
    maximum = np.take_along_axis(mean, best[:, None, :], axis=1)[:, 0]
    return ChangeScores(
        lags=lags,
        r=mean,
        maximum=maximum,
        best_lag=np.where(np.isfinite(maximum), lags[best], np.nan),
        scales=usable,
        layer_names=list(grams.layer_names),
        skipped=skipped,
        convention=convention,
    )
