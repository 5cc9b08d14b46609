"""Layers that predict ratings, against chance agreement with the music."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import read_participant, read_rows
from bids_app.analyses.group.collect import Basis, same_inputs
from bids_app.analyses.group.heard import kept_features, no_features
from bids_app.analyses.participant.layers import StimulusSide
from bids_app.analyses.ratings.predicted import RatingModel, read_courses, read_penalties
from bids_app.analyses.ratings.scores_group import GroupScores
from bids_app.config import Statistics
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


def scores_music(
    tree: OutputTree,
    model: str,
    scores: GroupScores,
    fitted: RatingModel,
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
    scores : GroupScores
        Participants, layers and scales.
    fitted : RatingModel
        How the ratings of all participants were predicted.
    r : (n_participants, n_layers, n_scales) array
        Accuracies.
    cache_dir : Path
        Where the participant level kept the Gram matrices.
    statistics : Statistics
        As many draws as sign flips.
    n_threads : int
    """
    try:
        study = _read_study(tree, model, scores, fitted, cache_dir)
        if not isinstance(study, str):
            return _tested(study, r, fitted, statistics, n_threads)
        reason = study
    except MusencError as error:
        reason = reason_of(error)
    LOGGER.warning("group: layers and ratings: no null over music: %s", reason)
    nothing = np.full(r.shape[1:], np.nan)
    return ScoresMusic(nothing, nothing, reason)


@dataclass(frozen=True, eq=False)
class _Study:
    """Models and ratings of everybody.

    Attributes
    ----------
    plans : per clock, one EncodingPlan per layer
    clock_of : list of n_participants int
    ratings : per participant a list of (n_times, n_scales) arrays
    alphas : (n_participants, n_layers, n_folds, n_scales) array
        Folds in the order of the participant's plan.
    """

    plans: list[list[EncodingPlan]]
    clock_of: list[int]
    ratings: list[list[FloatArray]]
    alphas: FloatArray


def _read_study(
    tree: OutputTree, model: str, scores: GroupScores, fitted: RatingModel, cache_dir: Path
) -> _Study | str:
    """Models and ratings of everybody, or why they are not there."""
    grams = _grams(tree, scores.participants[0], model, cache_dir)
    if isinstance(grams, str):
        return grams
    grams = grams.called(fitted.checksums)
    lacking = [name for name in scores.layer_names if name not in grams.layer_names]
    if lacking:
        return f"the features in the cache have no {', '.join(lacking)}"
    there = dict(zip(grams.labels, grams.checksums, strict=True))
    if any(there.get(label) != sha for label, sha in fitted.checksums.items()):
        return "the features in the cache are not those of the music that was rated"
    clocks: dict[bytes, int] = {}
    plans: list[list[EncodingPlan]] = []
    clock_of, ratings, alphas = [], [], []
    for participant in scores.participants:
        courses = read_courses(tree, participant, model, fitted.stimuli, scores.scales)
        if isinstance(courses, str):
            return courses
        times, values = courses
        key = np.concatenate(times).round(6).tobytes()
        if key not in clocks:
            clocks[key] = len(plans)
            plans.append(_plans(grams, times, scores.layer_names, fitted))
        own = plans[clocks[key]]
        held = ["+".join(fold.held_out) for fold in own[0].folds]
        chosen, folds = read_penalties(tree, participant, model, scores.layer_names, scores.scales)
        if set(held) != set(folds):
            return f"the folds of the scores, {', '.join(folds)}, are not {', '.join(held)}"
        clock_of.append(clocks[key])
        ratings.append(values)
        alphas.append(chosen[:, [folds.index(name) for name in held]])
    return _Study(plans, clock_of, ratings, np.stack(alphas))


def _grams(tree: OutputTree, participant: str, model: str, cache_dir: Path) -> FeatureGrams | str:
    """Gram matrices of the music, or why they are not there."""
    path = tree.participant_settings(participant, model)
    if not path.is_file():
        return f"sub-{participant} has no encoding maps of {model}"
    name = str(read_participant(path).get("FeaturesFolder", ""))
    folder = kept_features(tree, name, cache_dir)
    return no_features(tree, cache_dir) if folder is None else FeatureGrams.load(folder)


def _plans(
    grams: FeatureGrams, times: list[FloatArray], layer_names: Sequence[str], fitted: RatingModel
) -> list[EncodingPlan]:
    side = StimulusSide(grams, fitted.stimuli, times, fitted.step, fitted.model, fitted.high_pass)
    return [side.plan(side.gram(name), dtype=np.float64) for name in layer_names]


def _tested(
    study: _Study, r: FloatArray, fitted: RatingModel, statistics: Statistics, n_threads: int
) -> ScoresMusic:
    """Every layer and scale by itself, and corrected over all."""
    n_participants, n_layers, n_scales = r.shape
    weights = np.zeros((n_layers * n_scales, n_participants, n_layers, n_scales), np.float32)
    for row, (layer, scale) in enumerate(np.ndindex(n_layers, n_scales)):
        weights[row, :, layer, scale] = 1 / n_participants
    null = linear_music_null(
        study.plans,
        study.ratings,
        study.alphas,
        weights,
        observed=r.mean(axis=0).ravel(),
        clock_of=study.clock_of,
        checksums=fitted.checksums,
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
