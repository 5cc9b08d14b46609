"""Layers and ratings (Q3): the encoding engine with ratings as its responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.layers import StimulusSide
from bids_app.analyses.ratings.courses import need_rating
from bids_app.bands import HighPass, high_pass_setting
from bids_app.config import Model, Statistics
from bids_app.emotion import common_times, is_constant, sample_course
from bids_app.encoding import fit_encoding
from bids_app.features.cache import FeatureGrams
from bids_app.features.timing import filtered
from bids_app.inputs.ratings import RatingSet
from bids_app.statistics import benjamini_hochberg

# Seconds from the music to the rating.
DELAYS = (0.0, 10.0)


@dataclass(frozen=True, eq=False)
class RatingScores:
    """How well each layer predicts each scale of one participant.

    Attributes
    ----------
    scales : list of n_scales str
    layer_names : list of n_layers str
    stimuli : list of str
        Whose ratings went in.
    fold_stimuli : list of n_folds str
        Labels held out per fold, joined by ``+``.
    r, z, p, q : array of shape (n_layers, n_scales)
        Fisher-z mean accuracy over held-out stimuli, against its phase-rotation null; q over the
        layers of a scale.
    fold_r, alpha : array of shape (n_layers, n_folds, n_scales)
        Accuracy and penalty per held-out stimulus.
    skipped : dict from scale to str
        Scales that are left out, and why.
    details : dict
        Settings, for the sidecar.
    times : sequence of array of shape (n_times,)
        Seconds of each stimulus at which its ratings were taken.
    values : sequence of array of shape (n_times, n_scales)
        The courses that were predicted, filtered.
    """

    scales: list[str]
    layer_names: list[str]
    stimuli: list[str]
    fold_stimuli: list[str]
    r: NDArray[np.float64]
    z: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    fold_r: NDArray[np.float64]
    alpha: NDArray[np.float64]
    skipped: dict[str, str]
    details: dict[str, Any]
    times: Sequence[NDArray[np.float64]] = ()
    values: Sequence[NDArray[np.float64]] = ()

    def courses(self) -> list[dict[str, Any]]:
        """One row per scale, stimulus and sample: what was predicted, for the table."""
        return [
            {"scale": scale, "stimulus": stimulus, "time": second, "value": value}
            for k, scale in enumerate(self.scales)
            for stimulus, clock, own in zip(self.stimuli, self.times, self.values, strict=True)
            for second, value in zip(clock.tolist(), own[:, k].tolist(), strict=True)
        ]

    def rows(self) -> list[dict[str, Any]]:
        """One row per layer, scale and held-out stimulus (``mean``: over them), for the table."""
        result = []
        for k, scale in enumerate(self.scales):
            for layer, name in enumerate(self.layer_names):
                key = {"scale": scale, "layer": layer + 1, "name": name}
                result.append(
                    {
                        **key,
                        "held_out": "mean",
                        "r": self.r[layer, k],
                        "z": self.z[layer, k],
                        "p": self.p[layer, k],
                        "q": self.q[layer, k],
                        "alpha": float("nan"),
                    }
                )
                result += [
                    {
                        **key,
                        "held_out": held,
                        "r": self.fold_r[layer, fold, k],
                        "z": float("nan"),
                        "p": float("nan"),
                        "q": float("nan"),
                        "alpha": self.alpha[layer, fold, k],
                    }
                    for fold, held in enumerate(self.fold_stimuli)
                ]
        return result


def usable_scales(
    ratings: RatingSet, participant: str, stimuli: Sequence[str], scales: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Scales that were rated, and moved, in every stimulus; the others with the reason."""
    usable, skipped = [], {}
    for scale in scales:
        missing = ratings.missing(participant, stimuli, [scale])
        still = [] if missing else [
            s for s in stimuli if is_constant(need_rating(ratings, participant, s, scale).values)
        ]  # fmt: skip
        if missing:
            skipped[scale] = "not rated: " + ", ".join(missing)
        elif still:
            skipped[scale] = "constant rating of " + ", ".join(still)
        else:
            usable.append(scale)
    return usable, skipped


def fit_rating_scores(
    grams: FeatureGrams,
    ratings: RatingSet,
    participants: Sequence[str],
    *,
    stimuli: Sequence[str] | None = None,
    scales: Sequence[str] | None = None,
    rate: float = 1.0,
    model: Model,
    statistics: Statistics,
    high_pass: HighPass,
    n_threads: int = 1,
) -> dict[str, RatingScores]:
    """Predict ratings from every layer, leaving one stimulus out at a time.

    Participants whose ratings cover the same seconds share the stimulus side, which is nearly all
    of the work at 5 Hz.

    Parameters
    ----------
    grams : FeatureGrams
        Of all stimuli.
    ratings : RatingSet
    participants : sequence of str
        Labels.
    stimuli : sequence of str, optional
        Labels; default: all of `grams`. Every scale must have been rated in all of them.
    scales : sequence of str, optional
        Default: all.
    rate : float
        Samples per second: the ratings' own (5), or one per repetition time.
    model, statistics, n_threads
        As for the brain, but for the delays.
    high_pass : float or Band
        Period in seconds of a cosine high-pass of features and ratings; 0 for none.

    Returns
    -------
    dict from participant to RatingScores
        Participants without any usable scale have scores without columns; `skipped` says why.

    Raises
    ------
    BadDataError
        If ratings do not overlap the music or each other, or are too short for delays and crop.
    """
    model = replace(model, delays=DELAYS)
    labels = list(stimuli or grams.labels)
    wanted = list(scales or ratings.scales)
    details = {
        "SamplingFrequency": rate,
        "Delays": list(model.delays),
        "Crop": model.crop,
        "Transform": "value",
        "HighPass": high_pass_setting(high_pass) or None,
        "Null": statistics.closed_null,
        "Selection": model.selection,
    }
    jobs: dict[bytes, list[_Job]] = {}
    empty: dict[str, RatingScores] = {}
    for participant in participants:
        usable, skipped = usable_scales(ratings, participant, labels, wanted)
        if not usable:
            empty[participant] = _no_scores(grams, labels, skipped, details)
            continue
        job = _job(grams, ratings, participant, labels, usable, skipped, rate, high_pass)
        jobs.setdefault(np.concatenate(job.times).tobytes(), []).append(job)
    done: dict[str, RatingScores] = {}
    for members in jobs.values():
        columns = [np.hstack(parts) for parts in zip(*(j.values for j in members), strict=True)]
        side = StimulusSide(grams, labels, members[0].times, 1.0 / rate, model, high_pass)
        results = [
            fit_encoding(
                side.plan(side.gram(name), dtype=np.float64),
                columns,
                selection=model.selection,
                null=statistics.closed_null,
                n_threads=n_threads,
            )
            for name in grams.layer_names
        ]
        done |= _split(results, members, grams, labels, details)
    return {p: done[p] if p in done else empty[p] for p in participants}


@dataclass(frozen=True)
class _Job:
    participant: str
    scales: list[str]
    skipped: dict[str, str]
    times: list[NDArray[np.float64]]
    values: list[NDArray[np.float64]]


def _job(
    grams: FeatureGrams,
    ratings: RatingSet,
    participant: str,
    labels: Sequence[str],
    scales: list[str],
    skipped: dict[str, str],
    rate: float,
    high_pass: HighPass,
) -> _Job:
    """One participant's ratings on a common clock per stimulus."""
    times, values = [], []
    for label in labels:
        found = [need_rating(ratings, participant, label, scale) for scale in scales]
        duration = grams.durations[grams.labels.index(label)]
        clock = common_times([r.times for r in found], duration, rate)
        sampled = np.stack(
            [sample_course(r.times, r.values, clock, width=1 / rate) for r in found], axis=1
        )
        sampled = filtered(sampled, 1.0 / rate, high_pass)
        times.append(clock)
        values.append(sampled)
    return _Job(participant, scales, skipped, times, values)


def _split(
    results: Sequence[Any],
    members: Sequence[_Job],
    grams: FeatureGrams,
    labels: list[str],
    details: dict[str, Any],
) -> dict[str, RatingScores]:
    """Scores of each participant out of the columns that were fitted together."""
    scores, start = {}, 0
    stacked = {
        name: np.stack([getattr(result, name) for result in results])
        for name in ("mean_r", "null_sd", "p", "r", "alpha")
    }
    for job in members:
        part = slice(start, start + len(job.scales))
        start = part.stop
        p = stacked["p"][:, part]
        scores[job.participant] = RatingScores(
            scales=job.scales,
            layer_names=list(grams.layer_names),
            stimuli=labels,
            fold_stimuli=["+".join(held) for held in results[0].fold_stimuli],
            r=stacked["mean_r"][:, part],
            z=stacked["mean_r"][:, part] / stacked["null_sd"][:, part],
            p=p,
            q=benjamini_hochberg(p, axis=0),
            fold_r=stacked["r"][:, :, part],
            alpha=stacked["alpha"][:, :, part],
            skipped=job.skipped,
            details=details,
            times=job.times,
            values=job.values,
        )
    return scores


def _no_scores(
    grams: FeatureGrams, labels: list[str], skipped: dict[str, str], details: dict[str, Any]
) -> RatingScores:
    n_layers = len(grams.layer_names)
    none, folds = np.zeros((n_layers, 0)), np.zeros((n_layers, 0, 0))
    return RatingScores(
        scales=[],
        layer_names=list(grams.layer_names),
        stimuli=labels,
        fold_stimuli=[],
        r=none,
        z=none,
        p=none,
        q=none,
        fold_r=folds,
        alpha=folds,
        skipped=skipped,
        details=details,
    )
