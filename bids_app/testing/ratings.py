"""Continuous ratings of felt emotion that follow known layers of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d

from bids_app.testing.cortex import N_LAYERS
from bids_app.testing.responses import FloatArray, hemodynamic_operator, standardize

RATING_RATE = 5.0


@dataclass(frozen=True)
class RatingScale:
    """How one scale is made.

    Attributes
    ----------
    name : str
        Column of the ratings.
    layer : int
        Layer that the ratings follow.
    lag : float
        Seconds from the music to the slider.
    explained : float
        Share of the variance that listeners have in common; the rest is smooth and their own.
    effect : float
        Percent signal change per standard deviation of the size of its change, where the brain
        follows it.
    """

    name: str
    layer: int
    lag: float = 2.5
    explained: float = 0.6
    effect: float = 1.0


SCALES = (RatingScale("Emotionality", layer=21), RatingScale("Enjoyment", layer=6))


def scales_of(n_layers: int) -> tuple[RatingScale, ...]:
    """`SCALES` at the same depth of a network with another number of layers."""
    share = (n_layers - 1) / (N_LAYERS - 1)
    return tuple(replace(s, layer=1 + round((s.layer - 1) * share)) for s in SCALES)


def draw_ratings(
    components: Mapping[int, FloatArray],
    patch_times: Sequence[ArrayLike],
    durations: Sequence[float],
    *,
    participant: int,
    seed: int = 0,
    scales: Sequence[RatingScale] = SCALES,
) -> list[FloatArray]:
    """Draw the ratings of one participant.

    Parameters
    ----------
    components : mapping from layer to (n_patches, k) array
        Leading components of each scale's layer over all stimuli.
    patch_times : sequence of (n_patches_i,) arrays
        Seconds into the music, per stimulus.
    durations : sequence of float
        Seconds of music, per stimulus.
    participant, seed : int
        Which draw.
    scales : sequence of RatingScale
        What is rated.

    Returns
    -------
    list of (n_samples_i, n_scales) float64
        0 to 100, sampled at 5 Hz from the start of the music to its end.
    """
    rng = np.random.default_rng([seed, 21, participant])
    grids = [np.arange(int(d * RATING_RATE) + 1) / RATING_RATE for d in durations]
    ends = np.cumsum([len(np.asarray(times)) for times in patch_times])[:-1]
    columns = []
    for scale in scales:
        leading = components[scale.layer][:, :5]
        # The same weights for everybody and every stimulus.
        weights = np.random.default_rng([seed, 22, scale.layer]).standard_normal(leading.shape[1])
        pieces = np.split(leading @ weights, ends)
        common = [
            gaussian_filter1d(np.interp(grid - scale.lag, np.asarray(times, float), piece), 5.0)
            for grid, times, piece in zip(grids, patch_times, pieces, strict=True)
        ]
        own = [gaussian_filter1d(rng.standard_normal(len(grid)), 25.0) for grid in grids]
        shared = standardize(np.concatenate(common)[:, None])[:, 0]
        private = standardize(np.concatenate(own)[:, None])[:, 0]
        mixed = np.sqrt(scale.explained) * shared + np.sqrt(1.0 - scale.explained) * private
        columns.append(np.clip(50.0 + 16.0 * mixed, 0.0, 100.0))
    cuts = np.cumsum([len(grid) for grid in grids])[:-1]
    return np.split(np.stack(columns, axis=1), cuts)


def felt_courses(
    ratings: Sequence[FloatArray],
    music_times: Sequence[FloatArray],
    durations: Sequence[float],
) -> list[dict[str, FloatArray]]:
    """What a brain that follows changes of ratings adds to every run.

    Parameters
    ----------
    ratings : sequence of (n_samples_i, n_scales) arrays
        From `draw_ratings`.
    music_times : sequence of (n_volumes_i,) arrays
        When the volumes were taken, seconds into the music, per run.
    durations : sequence of float
        Seconds of music.

    Returns
    -------
    list of dict from scale to (n_volumes_i,) float64
        Size of the change over its standard deviation in all runs, convolved with the hemodynamic
        response.
    """
    found: list[dict[str, FloatArray]] = [{} for _ in ratings]
    for column, scale in enumerate(SCALES):
        sizes = [np.abs(np.gradient(values[:, column])) * RATING_RATE for values in ratings]
        spread = float(np.concatenate(sizes).std())
        for course, size, times, duration in zip(found, sizes, music_times, durations, strict=True):
            grid = np.arange(len(size)) / RATING_RATE
            operator = hemodynamic_operator(grid, times, duration)
            course[scale.name] = np.asarray(operator @ (size / spread))
    return found
