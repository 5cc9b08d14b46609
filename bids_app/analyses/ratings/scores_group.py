"""Emotion over participants: maps of the ratings, layer profiles, rating differences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.preference import preference_missing
from bids_app.analyses.ratings.layer_scores import RatingScores
from bids_app.analyses.ratings.raters import independent_raters
from bids_app.config import Statistics
from bids_app.errors import TooFewError
from bids_app.group import sign_flip_max_t
from bids_app.preference import centroid, residual_slope
from bids_app.seeds import generator
from bids_app.statistics import fisher_z

_CENTRAL = (2.5, 97.5)


@dataclass(frozen=True, eq=False)
class GroupScores:
    """Layer profiles of the ratings over participants.

    Attributes
    ----------
    participants, scales, layer_names : list of str
        Participants none of whose ratings is one of a participant before.
    left_out : dict from participant to str
        Why somebody is not in.
    r : array of shape (n_layers, n_scales)
        Mean accuracy (over Fisher z).
    low, high : array of shape (n_layers, n_scales)
        95 % interval of the mean, bootstrap over participants; NaN where there is one.
    t, p : array of shape (n_layers, n_scales)
        Mean accuracy above zero by sign flips, corrected over layers and scales;
        NaN where there is one participant.
    preferred, preferred_low, preferred_high : array of shape (n_scales,)
        Center of mass of the positive mean profile, in layers, with its bootstrap interval; NaN
        where nothing says the order of the layers.
    pairs : list of n_pairs str
        ``Emotionality - Enjoyment``.
    interaction_t, interaction_p : array of shape (n_pairs, n_layers)
        Difference of two scales at a layer, less its mean over layers: two-sided, corrected over
        layers and pairs.
    slope, slope_t, slope_p : array of shape (n_pairs,)
        Mean difference in residual slope; positive where the first scale prefers deeper layers,
        NaN with too few depths. Unlike the interaction it does not follow from one scale being
        predicted better.
    """

    participants: list[str]
    scales: list[str]
    layer_names: list[str]
    left_out: dict[str, str]
    r: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    t: NDArray[np.float64]
    p: NDArray[np.float64]
    preferred: NDArray[np.float64]
    preferred_low: NDArray[np.float64]
    preferred_high: NDArray[np.float64]
    pairs: list[str]
    interaction_t: NDArray[np.float64]
    interaction_p: NDArray[np.float64]
    slope: NDArray[np.float64]
    slope_t: NDArray[np.float64]
    slope_p: NDArray[np.float64]


def summarize_scores(
    scores: Mapping[str, RatingScores],
    statistics: Statistics,
    depth: Sequence[float],
    *,
    ratings: Mapping[str, Collection[str]] | None = None,
    n_bootstrap: int = 2000,
) -> GroupScores:
    """Profile per scale with its interval, and whether scales prefer different layers.

    Participants were predicted from the same few stimuli: these tests speak about people, not
    about other music. Whoever lacks a scale that somebody has is left out, and so is whoever has a
    rating of somebody before, which would count twice.

    Parameters
    ----------
    scores : mapping from participant to RatingScores
    statistics : Statistics
        Sign flips and seed.
    depth : sequence of n_layers float
        Of the layers; empty where nothing says their order.
    ratings : mapping from participant to checksums, optional
        Of all ratings that were predicted; without it everybody has their own.
    n_bootstrap : int

    Returns
    -------
    GroupScores

    Raises
    ------
    BadDataError
        If fewer than two participants have all scales; the reasons are listed.
    """
    wanted = list(dict.fromkeys(s for score in scores.values() for s in score.scales))
    complete, left_out = _complete(scores, wanted)
    kept, copies = independent_raters(complete, ratings or {})
    alone = len(kept) == 1
    first = scores[kept[0]]
    z = np.stack([fisher_z(_columns(scores[p], wanted)) for p in kept])
    t = p = low = high = np.full(z.shape[1:], np.nan)
    rng = generator(statistics.random_seed, "bootstrap of rating scores")
    draws = rng.integers(0, len(kept), size=(n_bootstrap, len(kept)))
    resampled = np.stack([z[draw].mean(axis=0) for draw in draws])
    if not alone:
        tested = sign_flip_max_t(z, **statistics.flips)
        t, p = tested.t, tested.p
        low, high = np.tanh(np.percentile(resampled, _CENTRAL, axis=0))
    preferred = low_layer = high_layer = np.full(len(wanted), np.nan)
    if len(depth):
        preferred = centroid(np.tanh(z.mean(axis=0)), depth)
    if len(depth) and not alone:
        centers = np.stack([centroid(sample, depth) for sample in np.tanh(resampled)])
        low_layer, high_layer = np.nanpercentile(centers, _CENTRAL, axis=0)
    pairs = list(combinations(range(len(wanted)), 2))
    found = _compare(z, pairs, statistics, depth)
    return GroupScores(
        participants=kept,
        scales=wanted,
        layer_names=first.layer_names,
        left_out=left_out | copies,
        r=np.tanh(z.mean(axis=0)),
        low=low,
        high=high,
        t=t,
        p=p,
        preferred=preferred,
        preferred_low=low_layer,
        preferred_high=high_layer,
        pairs=[f"{wanted[a]} - {wanted[b]}" for a, b in pairs],
        **found,
    )


def _columns(score: RatingScores, scales: Sequence[str]) -> NDArray[np.float64]:
    return np.asarray(score.r[:, [score.scales.index(scale) for scale in scales]])


def _complete(
    scores: Mapping[str, RatingScores], scales: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    kept, left_out = [], {}
    for participant, score in sorted(scores.items()):
        lacking = [scale for scale in scales if scale not in score.scales]
        if not score.scales:
            whole = "; ".join(f"{scale}: {why}" for scale, why in score.skipped.items())
            left_out[participant] = whole or "no scores"
        elif lacking:
            left_out[participant] = "; ".join(
                f"{scale}: {score.skipped.get(scale, 'no scores')}" for scale in lacking
            )
        elif not np.isfinite(_columns(score, scales)).all():
            left_out[participant] = "a rating that does not move within the rows kept"
        else:
            kept.append(participant)
    if len(kept) < 2 or not scales:
        raise TooFewError(
            "Too few participants have scores of all scales.",
            found=f"{len(kept)} of {len(scores)}"
            + "".join(f"; sub-{p}: {why}" for p, why in left_out.items()),
            wanted="two participants with " + (", ".join(scales) or "any scale"),
            remedy="correct what kept them out, or choose scales that more participants have "
            "(--scales)",
        )
    return kept, left_out


def _compare(
    z: NDArray[np.float64],
    pairs: Sequence[tuple[int, int]],
    statistics: Statistics,
    depth: Sequence[float],
) -> dict[str, Any]:
    """Interaction and slope differences of all pairs of scales."""
    n_participants, n_layers, _ = z.shape
    none = {
        "interaction_t": np.zeros((0, n_layers)),
        "interaction_p": np.zeros((0, n_layers)),
        "slope": np.zeros(0),
        "slope_t": np.zeros(0),
        "slope_p": np.zeros(0),
    }
    if not pairs or n_layers < 3 or n_participants < 2:
        return none
    differences = np.stack([z[:, :, a] - z[:, :, b] for a, b in pairs], axis=1)
    centered = differences - differences.mean(axis=2, keepdims=True)
    interaction = sign_flip_max_t(centered, tail="two-sided", **statistics.flips)
    model = statistics.slope_model
    found = {"interaction_t": interaction.t, "interaction_p": interaction.p}
    if preference_missing(depth, model):
        return found | dict.fromkeys(("slope", "slope_t", "slope_p"), np.full(len(pairs), np.nan))
    total = z.mean(axis=2).sum(axis=0)
    # The reference is that of the others, or a participant's own noise would be regressed out.
    references = [(total - own.mean(axis=1)) / (n_participants - 1) for own in z]
    slopes = np.stack(
        [residual_slope(own, depth, ref, model) for own, ref in zip(z, references, strict=True)]
    )
    contrast = np.stack([slopes[:, a] - slopes[:, b] for a, b in pairs], axis=1)
    steepness = sign_flip_max_t(contrast, tail="two-sided", **statistics.flips)
    return found | {
        "slope": contrast.mean(axis=0),
        "slope_t": steepness.t,
        "slope_p": steepness.p,
    }
