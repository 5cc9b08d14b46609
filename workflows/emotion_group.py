"""Emotion over participants: maps of the ratings, layer profiles, rating differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.emotion import DifferenceResult, difference_glm
from bids_app.encoding import fisher_z
from bids_app.errors import BadDataError, TooFewError
from bids_app.group import SignFlipResult, TfceResult, sign_flip_max_t, tfce_sign_flip
from bids_app.preference import centroid, layer_depth, residual_slope
from bids_app.surface.mesh import SurfaceMesh

from .emotion_scores import RatingScores

_CENTRAL = (2.5, 97.5)


@dataclass(frozen=True, eq=False)
class GroupEmotion:
    """Maps of several scales, tested over participants.

    Attributes
    ----------
    names : list of n_maps str
        Scales.
    mean : array of shape (n_maps, n_vertices)
        Mean effect.
    test : SignFlipResult
        Of shape (n_maps, n_vertices); p is corrected over vertices and scales.
    contrast_names : list of n_pairs str
        ``Emotionality - Enjoyment`` for each pair.
    contrast_mean : array of shape (n_pairs, n_vertices)
    contrast_test : SignFlipResult or None
        The same for the differences; None with a single scale.
    tfce, contrast_tfce : TfceResult or None
        Threshold-free cluster enhancement, where a mesh was given.
    """

    names: list[str]
    mean: NDArray[np.float64]
    test: SignFlipResult
    contrast_names: list[str]
    contrast_mean: NDArray[np.float64]
    contrast_test: SignFlipResult | None
    tfce: TfceResult | None
    contrast_tfce: TfceResult | None


def group_emotion_maps(
    maps: ArrayLike,
    names: Sequence[str],
    *,
    n_permutations: int = 10_000,
    seed: int = 0,
    mesh: SurfaceMesh | None = None,
    tail: str = "two-sided",
    n_threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> GroupEmotion:
    """Test effects of several scales against zero, and against each other, by sign flips.

    Parameters
    ----------
    maps : array of shape (n_participants, n_maps, n_vertices)
        Effects (`EmotionMaps.effect`), or accuracies as Fisher z with ``tail="greater"``; NaN where
        a participant has none.
    names : sequence of str
    n_permutations, seed, n_threads, progress
        As for `sign_flip_max_t`.
    mesh : SurfaceMesh, optional
        For threshold-free cluster enhancement too.
    tail : {"two-sided", "greater"}
        Of the maps; differences between scales are always two-sided.

    Returns
    -------
    GroupEmotion

    Raises
    ------
    BadDataError
        If shapes and names disagree, or there are fewer than two participants.
    """
    data = np.asarray(maps, dtype=np.float64)
    if data.ndim != 3 or data.shape[1] != len(names):
        raise BadDataError(
            "Maps and names do not fit together.",
            where="maps",
            found=f"shape {data.shape}, {len(names)} names",
            wanted="(n_participants, n_maps, n_vertices)",
        )
    pairs = list(combinations(range(len(names)), 2))
    differences = np.stack([data[:, a] - data[:, b] for a, b in pairs], 1) if pairs else None
    options: dict[str, Any] = {
        "n_permutations": n_permutations,
        "seed": seed,
        "n_threads": n_threads,
        "progress": progress,
    }

    def flip(values: NDArray[np.float64], side: str) -> tuple[SignFlipResult, TfceResult | None]:
        test = sign_flip_max_t(values, tail=side, **options)
        if mesh is None:
            return test, None
        return test, tfce_sign_flip(values, mesh.adjacency, tail=side, **options)

    test, tfce = flip(data, tail)
    contrast_test, contrast_tfce = (None, None)
    if differences is not None:
        contrast_test, contrast_tfce = flip(differences, "two-sided")
    return GroupEmotion(
        names=list(names),
        mean=_mean(data),
        test=test,
        contrast_names=[f"{names[a]} - {names[b]}" for a, b in pairs],
        contrast_mean=np.zeros((0, data.shape[2])) if differences is None else _mean(differences),
        contrast_test=contrast_test,
        tfce=tfce,
        contrast_tfce=contrast_tfce,
    )


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over those participants who have a value."""
    n = np.isfinite(values).sum(axis=0)
    return np.asarray(np.where(n > 0, np.nansum(values, axis=0) / np.maximum(n, 1), np.nan))


@dataclass(frozen=True, eq=False)
class GroupScores:
    """Layer profiles of the ratings over participants.

    Attributes
    ----------
    participants, scales, layer_names : list of str
    left_out : dict from participant to str
        Why somebody is not in.
    r : array of shape (n_layers, n_scales)
        Mean accuracy (over Fisher z).
    low, high : array of shape (n_layers, n_scales)
        95 % interval of the mean, bootstrap over participants.
    t, p : array of shape (n_layers, n_scales)
        Mean accuracy above zero by sign flips, corrected over layers and scales.
    preferred, preferred_low, preferred_high : array of shape (n_scales,)
        Center of mass of the positive mean profile, in layers, with its bootstrap interval.
    pairs : list of n_pairs str
        ``Emotionality - Enjoyment``.
    interaction_t, interaction_p : array of shape (n_pairs, n_layers)
        Difference of two scales at a layer, less its mean over layers: two-sided, corrected over
        layers and pairs.
    p_interaction : float
        Layer x scale interaction as a whole: the smallest of these.
    slope, slope_t, slope_p : array of shape (n_pairs,)
        Mean difference in residual slope; positive where the first scale prefers deeper layers.
        Unlike the interaction it does not follow from one scale being predicted better.
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
    p_interaction: float
    slope: NDArray[np.float64]
    slope_t: NDArray[np.float64]
    slope_p: NDArray[np.float64]


def summarize_scores(
    scores: Mapping[str, RatingScores],
    *,
    n_permutations: int = 10_000,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> GroupScores:
    """Profile per scale with its interval, and whether scales prefer different layers.

    Participants were predicted from the same few stimuli: these tests speak about people, not
    about other music. Whoever lacks a scale that somebody has is left out, and said so.

    Parameters
    ----------
    scores : mapping from participant to RatingScores
    n_permutations, n_bootstrap, seed

    Returns
    -------
    GroupScores

    Raises
    ------
    BadDataError
        If fewer than two participants have all scales; the reasons are listed.
    """
    wanted = list(dict.fromkeys(s for score in scores.values() for s in score.scales))
    kept, left_out = _complete(scores, wanted)
    first = scores[kept[0]]
    z = np.stack([fisher_z(_columns(scores[p], wanted)) for p in kept])
    tested = sign_flip_max_t(z, n_permutations=n_permutations, seed=seed)
    rng = np.random.default_rng([seed, 3])
    draws = rng.integers(0, len(kept), size=(n_bootstrap, len(kept)))
    resampled = np.stack([z[draw].mean(axis=0) for draw in draws])
    low, high = np.tanh(np.percentile(resampled, _CENTRAL, axis=0))
    centers = np.stack([centroid(sample) for sample in np.tanh(resampled)])
    pairs = list(combinations(range(len(wanted)), 2))
    found = _compare(z, pairs, n_permutations, seed)
    return GroupScores(
        participants=kept,
        scales=wanted,
        layer_names=first.layer_names,
        left_out=left_out,
        r=np.tanh(z.mean(axis=0)),
        low=low,
        high=high,
        t=tested.t,
        p=tested.p,
        preferred=centroid(np.tanh(z.mean(axis=0))),
        preferred_low=np.nanpercentile(centers, _CENTRAL[0], axis=0),
        preferred_high=np.nanpercentile(centers, _CENTRAL[1], axis=0),
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
        if lacking:
            left_out[participant] = "; ".join(
                f"{scale}: {score.skipped.get(scale, 'no scores')}" for scale in lacking
            )
        elif not np.isfinite(_columns(score, scales)).all():
            left_out[participant] = "a rating that does not move within the rows kept"
        else:
            kept.append(participant)
    if len(kept) < 2 or not scales:
        raise TooFewError(
            "Too few participants have ratings of all scales.",
            found=f"{len(kept)} of {len(scores)}"
            + "".join(f"; sub-{p}: {why}" for p, why in left_out.items()),
            wanted="two participants with " + (", ".join(scales) or "any scale"),
        )
    return kept, left_out


def _compare(
    z: NDArray[np.float64], pairs: Sequence[tuple[int, int]], n_permutations: int, seed: int
) -> dict[str, Any]:
    """Interaction and slope differences of all pairs of scales."""
    n_participants, n_layers, _ = z.shape
    none = {
        "interaction_t": np.zeros((0, n_layers)),
        "interaction_p": np.zeros((0, n_layers)),
        "p_interaction": float("nan"),
        "slope": np.zeros(0),
        "slope_t": np.zeros(0),
        "slope_p": np.zeros(0),
    }
    if not pairs or n_layers < 3:
        return none
    differences = np.stack([z[:, :, a] - z[:, :, b] for a, b in pairs], axis=1)
    centered = differences - differences.mean(axis=2, keepdims=True)
    options: dict[str, Any] = {"n_permutations": n_permutations, "seed": seed, "tail": "two-sided"}
    interaction = sign_flip_max_t(centered, **options)
    depth = layer_depth(n_layers)
    total = z.mean(axis=2).sum(axis=0)
    # The reference is that of the others, or a participant's own noise would be regressed out.
    references = [(total - own.mean(axis=1)) / (n_participants - 1) for own in z]
    slopes = np.stack(
        [residual_slope(own, depth, ref) for own, ref in zip(z, references, strict=True)]
    )
    contrast = np.stack([slopes[:, a] - slopes[:, b] for a, b in pairs], axis=1)
    steepness = sign_flip_max_t(contrast, **options)
    return {
        "interaction_t": interaction.t,
        "interaction_p": interaction.p,
        "p_interaction": float(np.nanmin(interaction.p)),
        "slope": contrast.mean(axis=0),
        "slope_t": steepness.t,
        "slope_p": steepness.p,
    }


def regress_on_ratings(
    maps: Mapping[str, NDArray[np.floating]],
    rating_difference: Mapping[str, float],
    *,
    mesh: SurfaceMesh | None = None,
    n_permutations: int = 10_000,
    scheme: str = "permutation",
    seed: int = 0,
) -> tuple[DifferenceResult, list[str], dict[str, str]]:
    """Group map of b1 in ``dBOLD = b0 + b1 dRating + e``.

    Also for summaries of lagged correlations: give (n_summaries,) arrays and no mesh.

    Parameters
    ----------
    maps : mapping from participant to array of shape (n_vertices,)
        Condition contrasts, PPI effects, or summaries.
    rating_difference : mapping from participant to float
        From `read_rating_differences`.
    mesh : SurfaceMesh, optional
        For threshold-free cluster enhancement.
    n_permutations, scheme, seed
        As for `difference_glm`.

    Returns
    -------
    result : DifferenceResult
    participants : list of str
        Who went in.
    left_out : dict from participant to str

    Raises
    ------
    BadDataError
        If fewer than four participants have both, or ratings are constant.
    """
    kept = sorted(p for p in maps if np.isfinite(rating_difference.get(p, np.nan)))
    left_out = {p: "no rating difference" for p in sorted(maps) if p not in kept}
    left_out |= {p: "no map" for p in sorted(rating_difference) if p not in maps}
    if len(kept) < 4:
        raise BadDataError(
            "Too few participants have both a map and a rating difference.",
            found=f"{len(kept)}; left out: "
            + (", ".join(f"sub-{p} ({why})" for p, why in left_out.items()) or "nobody"),
            wanted="four or more",
            remedy="check the labels in the column participant_id",
        )
    result = difference_glm(
        np.stack([maps[p] for p in kept]),
        [rating_difference[p] for p in kept],
        adjacency=None if mesh is None else mesh.adjacency,
        n_permutations=n_permutations,
        scheme=scheme,  # type: ignore[arg-type]
        seed=seed,
    )
    return result, kept, left_out
