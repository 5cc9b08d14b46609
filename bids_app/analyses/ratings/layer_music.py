"""Layers that predict ratings, against chance agreement with the music."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.folder.read import damaged, read_participant, read_rows
from bids_app.analyses.group.collect import Basis, same_inputs
from bids_app.analyses.group.heard import kept_features, no_features
from bids_app.analyses.participant.layers import StimulusSide
from bids_app.analyses.ratings.layer_scores import DELAYS
from bids_app.bands import high_pass_of
from bids_app.config import Model, Statistics
from bids_app.encoding import EncodingPlan
from bids_app.errors import MusencError, reason_of
from bids_app.features.cache import FeatureGrams
from bids_app.group import linear_music_null
from bids_app.outputs import RATINGS_DESC, OutputTree

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoresMusic:
    """Mean accuracy of every layer and scale over music, or why there is no such test.

    Attributes
    ----------
    p : (n_layers, n_scales) array
        One-sided, of each layer and scale by itself; NaN without a test.
    p_max : (n_layers, n_scales) array
        Corrected by the largest value over layers and scales of each draw.
    reason : str
        Why there is none; empty where there is.
    """

    p: FloatArray = field(repr=False)
    p_max: FloatArray = field(repr=False)
    reason: str = ""


def earlier_scores(
    tree: OutputTree, group: Basis, layer_names: Sequence[str], scales: Sequence[str], reason: str
) -> ScoresMusic | None:
    """The p over music that the folder has of the same participants and scores."""
    table = tree.group_table("scores.tsv", model=group.model, desc=RATINGS_DESC)
    if not (same_inputs(tree, group, RATINGS_DESC) and table.is_file()):
        return None
    read = read_rows(table, _COLUMNS, scale=str, name=str)
    if len(read) != len(scales) * len(layer_names) or list(dict.fromkeys(read["scale"])) != list(
        scales
    ):
        return None
    shape = (len(scales), len(layer_names))
    p, p_max = (read[name].to_numpy(float).reshape(shape).T for name in _COLUMNS)
    if not np.isfinite(p).any():
        return None
    return ScoresMusic(p, p_max, f"p of the earlier result stay: {reason}")


_COLUMNS = ("p_music", "p_music_corrected")


@dataclass(frozen=True, eq=False)
class _Rater:
    """What was predicted of a participant: clock, courses and penalties."""

    times: list[FloatArray]
    values: list[FloatArray]
    alphas: FloatArray
    folds: list[str]


def scores_music(
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    stored: Mapping[str, Mapping[str, Any]],
    layer_names: Sequence[str],
    scales: Sequence[str],
    r: FloatArray,
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int = 1,
) -> ScoresMusic:
    """Rotate the phases of everybody's ratings alike, with the penalties that were chosen.

    Parameters
    ----------
    tree : OutputTree
    model : str
        Label of the feature space.
    participants : sequence of str
    stored : mapping from participant to their settings file
    layer_names, scales : sequence of str
    r : (n_participants, n_layers, n_scales) array
        Accuracies.
    cache_dir : Path
        Where the participant level kept the Gram matrices.
    statistics : Statistics
        As many draws as sign flips.
    n_threads : int
    """
    nothing = np.full(r.shape[1:], np.nan)
    try:
        found = _test(
            tree,
            model,
            participants,
            stored,
            layer_names,
            scales,
            r,
            cache_dir,
            statistics,
            n_threads,
        )
    except MusencError as error:
        reason = reason_of(error)
        LOGGER.warning("group: layers and ratings: no null over music: %s", reason)
        return ScoresMusic(nothing, nothing, reason)
    if isinstance(found, str):
        LOGGER.warning("group: layers and ratings: no null over music: %s", found)
        return ScoresMusic(nothing, nothing, found)
    return found


def _test(
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    stored: Mapping[str, Mapping[str, Any]],
    layer_names: Sequence[str],
    scales: Sequence[str],
    r: FloatArray,
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int,
) -> ScoresMusic | str:
    first = stored[participants[0]]
    grams = _grams(tree, participants[0], model, cache_dir)
    if isinstance(grams, str):
        return grams
    lacking = [name for name in layer_names if name not in grams.layer_names]
    if lacking:
        return f"the features in the cache have no {', '.join(lacking)}"
    checksums = {str(name): str(sha) for name, sha in dict(first.get("Stimuli", {})).items()}
    labels = sorted(checksums)
    there = dict(zip(grams.labels, grams.checksums, strict=True))
    if any(there.get(name) != checksums[name] for name in labels):
        return "the features in the cache are not those of the music that was rated"
    raters = []
    for participant in participants:
        rater = _rater(tree, participant, model, labels, layer_names, scales)
        if isinstance(rater, str):
            return rater
        raters.append(rater)
    try:
        settings, rate = first["Settings"], float(first["Details"]["SamplingFrequency"])
        fitted = Model(
            delays=DELAYS,
            crop=float(settings["crop"]),
            alphas=tuple(map(float, settings["alphas"])),
        )
        high_pass, step = high_pass_of(settings["high_pass"]), 1.0 / rate
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        path = tree.participant_settings(participants[0], model, RATINGS_DESC)
        raise damaged(path, repr(error), "crop, alphas, high_pass, SamplingFrequency") from error
    clocks: dict[bytes, int] = {}
    plans: list[list[EncodingPlan]] = []
    clock_of = []
    for rater in raters:
        key = np.concatenate(rater.times).round(6).tobytes()
        if key not in clocks:
            clocks[key] = len(plans)
            side = StimulusSide(grams, labels, rater.times, step, fitted, high_pass)
            own = [side.plan(side.gram(name), dtype=np.float64) for name in layer_names]
            plans.append(own)
        clock_of.append(clocks[key])
    alphas = []
    for rater, clock in zip(raters, clock_of, strict=True):
        held = ["+".join(fold.held_out) for fold in plans[clock][0].folds]
        if set(held) != set(rater.folds):
            return f"the folds of the scores, {', '.join(rater.folds)}, are not {', '.join(held)}"
        alphas.append(rater.alphas[:, [rater.folds.index(name) for name in held]])
    n_participants, n_layers, n_scales = r.shape
    weights = np.zeros((n_layers * n_scales, n_participants, n_layers, n_scales), np.float32)
    for row, (layer, scale) in enumerate(np.ndindex(n_layers, n_scales)):
        weights[row, :, layer, scale] = 1 / n_participants
    null = linear_music_null(
        plans,
        [rater.values for rater in raters],
        np.stack(alphas),
        weights,
        observed=r.mean(axis=0).ravel(),
        clock_of=clock_of,
        checksums=checksums,
        n_draws=statistics.n_permutations,
        seed=statistics.random_seed,
        n_threads=n_threads,
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        largest = np.sort(np.nanmax(null.draws / null.sd[:, np.newaxis], axis=0))
    beyond = len(largest) - np.searchsorted(largest, null.z, side="left")
    p_max = np.where(np.isfinite(null.z), (1 + beyond) / (1 + len(largest)), np.nan)
    shape = (n_layers, n_scales)
    return ScoresMusic(null.p_greater.reshape(shape), p_max.reshape(shape))


def _grams(tree: OutputTree, participant: str, model: str, cache_dir: Path) -> FeatureGrams | str:
    """Gram matrices of the music, or why they are not there."""
    path = tree.participant_settings(participant, model)
    if not path.is_file():
        return f"sub-{participant} has no encoding maps of {model}"
    name = str(read_participant(path).get("FeaturesFolder", ""))
    folder = kept_features(tree, name, cache_dir)
    return no_features(tree, cache_dir) if folder is None else FeatureGrams.load(folder)


def read_courses(
    tree: OutputTree, participant: str, model: str, labels: Sequence[str], scales: Sequence[str]
) -> tuple[list[FloatArray], list[FloatArray]] | str:
    """The ratings that were predicted of a participant, or why they are not there.

    Returns
    -------
    times : list of array of shape (n_times,)
        Seconds of each stimulus.
    values : list of array of shape (n_times, n_scales)
    """
    path = tree.participant_file(participant, "timeseries.tsv", model=model, desc="ratings")
    if not path.is_file():
        return (
            f"sub-{participant} has no courses of the ratings that were predicted; run the "
            "participant level again"
        )
    texts = {"scale": str, "stimulus": str}
    courses = read_rows(path, (*texts, "time", "value"), **texts)
    times, values = [], []
    for label in labels:
        own = [
            courses[(courses["stimulus"] == label) & (courses["scale"] == scale)]
            for scale in scales
        ]
        clock = own[0]["time"].to_numpy(float)
        if not clock.size or any(not np.array_equal(one["time"], clock) for one in own):
            raise damaged(path, f"{[len(one) for one in own]} samples of {label}", "one clock")
        times.append(clock)
        values.append(np.stack([one["value"].to_numpy(float) for one in own], axis=1))
    return times, values


def _rater(
    tree: OutputTree,
    participant: str,
    model: str,
    labels: Sequence[str],
    layer_names: Sequence[str],
    scales: Sequence[str],
) -> _Rater | str:
    """Courses and penalties of a participant, or why they are not there."""
    courses = read_courses(tree, participant, model, labels, scales)
    if isinstance(courses, str):
        return courses
    texts = {"scale": str, "name": str, "held_out": str}
    path = tree.scores(participant, model, "ratings")
    table = read_rows(path, (*texts, "alpha"), **texts)
    table = table[(table["held_out"] != "mean") & table["scale"].isin(scales)]
    folds = list(dict.fromkeys(table["held_out"]))
    wanted = len(layer_names) * len(folds) * len(scales)
    cells = table.set_index(["name", "held_out", "scale"])["alpha"]
    index = pd.MultiIndex.from_product([layer_names, folds, scales])
    if len(cells) != wanted or cells.index.duplicated().any():
        raise damaged(path, f"{len(cells)} penalties", wanted)
    alphas = cells.reindex(index).to_numpy(float)
    return _Rater(*courses, alphas.reshape(len(layer_names), len(folds), len(scales)), folds)
