"""Results of participants' ratings: collect from the output folder, test over participants."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import (
    CORRELATION,
    RECORD,
    damaged,
    read_completed,
    read_maps,
    read_participant,
    read_record,
    read_rows,
)
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.cohort import Cohort
from bids_app.analyses.group.collect import check_same_settings
from bids_app.analyses.group.effects import GroupEffects, group_effects
from bids_app.analyses.ratings.layer_music import ScoresMusic, earlier_scores, scores_music
from bids_app.analyses.ratings.layer_scores import RatingScores
from bids_app.analyses.ratings.music import RatingMusic, rating_music
from bids_app.analyses.ratings.predicted import RatingModel
from bids_app.analyses.ratings.rater_ceiling import RaterCeiling, rater_ceiling
from bids_app.analyses.ratings.raters import ratings_among
from bids_app.analyses.ratings.scores_group import GroupScores, summarize_scores
from bids_app.analyses.ratings.window_music import WindowMusic, window_music
from bids_app.config import Config, Statistics
from bids_app.emotion.windows import DELAYS, WINDOWS
from bids_app.errors import TooFewError, reason_of
from bids_app.files import sha256_of_file
from bids_app.group import SignFlipResult, sign_flip_max_t
from bids_app.outputs import (
    EMOTION_LABEL,
    RATINGS_DESC,
    OutputTree,
    parse_entities,
    sidecar_of,
)
from bids_app.statistics import finite_mean, fisher_z
from bids_app.surface.mesh import load_mesh

LOGGER = logging.getLogger("bids_app.analyses")

Tests = TypeVar("Tests", "RatingMapTests", "ScoreTests")
Place = tuple[str, str]
"""Entities ``feature`` and ``desc`` of a map: the scale, and whether the brain precedes it."""


@dataclass(frozen=True, eq=False)
class RatingGroup(Cohort):
    """Who takes part in a group analysis of ratings, and why others do not.

    Attributes
    ----------
    notes : tuple of str
        What is odd about the ratings.
    """

    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RatingMapTests:
    """Maps of ratings and brain over participants.

    Attributes
    ----------
    group : RatingGroup
    effects : GroupEffects
        Of the linear model.
    places : list of (str, str)
        Entities ``feature`` and ``desc`` of each of its maps.
    accuracy : dict from str to GroupEffects
        Of predictions from the ``past`` and the ``future`` of the ratings.
    music : RatingMusic
        The effects over music.
    windows : dict from str to WindowMusic
        Predictions over music; empty where there is no such test.
    windows_reason : str
        Why there is none.
    """

    group: RatingGroup
    effects: GroupEffects
    places: list[Place]
    accuracy: dict[str, GroupEffects]
    music: RatingMusic
    windows: dict[str, WindowMusic]
    windows_reason: str


def missing_ratings(
    row: GroupAnalysis, tree: OutputTree, model: str, participants: Sequence[str], config: Config
) -> str:
    """Why there is nothing to test; empty where there is."""
    if config.emotion.mode == "off":
        return "ratings: switched off (--emotion off)"
    model = row.model or model
    if set(tree.participants_of(model, row.desc)) & set(participants):
        return ""
    return f"{row.name}: no participant has {tree.participant_settings('*', model, row.desc).name}"


def infer_rating_maps(
    tree: OutputTree,
    participants: Sequence[str],
    statistics: Statistics,
    folder: Path,
    n_threads: int = 1,
) -> RatingMapTests | None:
    """Maps of ratings and brain over participants; None where too few have them.

    `folder` is for memory-mapped responses.
    """
    test = partial(_test_maps, tree, participants, statistics, folder, n_threads)
    return _if_enough("ratings and brain", test)


def infer_rating_scores(
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int = 1,
) -> ScoreTests | None:
    """Layers and ratings over participants; None where too few have scores."""
    test = partial(_test_scores, tree, model, participants, cache_dir, statistics, n_threads)
    return _if_enough("layers and ratings", test)


def _if_enough(what: str, test: Callable[[], Tests]) -> Tests | None:
    LOGGER.info("group: %s", what)
    try:
        tests = test()
    except TooFewError as error:
        LOGGER.warning("group: %s is left out: %s", what, reason_of(error))
        return None
    for label, why in tests.group.left_out.items():
        LOGGER.warning("group: %s without sub-%s: %s", what, label, why)
    return tests


def _test_maps(
    tree: OutputTree,
    participants: Sequence[str],
    statistics: Statistics,
    folder: Path,
    n_threads: int,
) -> RatingMapTests:
    """Two-sided sign flips joint over scales, differences of scales, and accuracy above zero.

    Raises
    ------
    TooFewError
        If fewer than two participants have maps of all scales.
    InvalidInputError
        If their settings differ.
    """
    stored = stored_ratings(tree, participants, EMOTION_LABEL, "")
    space = next((str(s["Settings"]["space"]) for s in stored.values()), "")
    found = {p: _effect_files(tree, p, space, own["Outputs"]) for p, own in stored.items()}
    wanted = list(dict.fromkeys(shown for files in found.values() for shown in files))
    left_out = {p: "no rating analysis in the output folder" for p in participants}
    kept = []
    for participant, files in found.items():
        lacking = [title for place, title in wanted if (place, title) not in files]
        if lacking or not wanted:
            reason = stored[participant]["LeftOut"].get("ratings and brain")
            left_out[participant] = reason or f"no map of {', '.join(lacking)}"
        else:
            kept.append(participant)
            del left_out[participant]
    _check_enough(kept, left_out, "maps of all scales")
    effects = np.stack(
        [[read_maps(found[p][shown], space, n_arrays=1)[0] for shown in wanted] for p in kept]
    )
    tests = group_effects(
        effects,
        [title for _, title in wanted],
        statistics,
        mesh=load_mesh(space),
        n_threads=n_threads,
    )
    accuracy, mean_r = {}, {}
    for window in reversed(WINDOWS):
        maps = _accuracies(tree, kept, space, window.rating)
        if maps is not None:
            accuracy[window.rating] = group_effects(
                *maps, statistics, tail="greater", n_threads=n_threads
            )
            mean_r[window.rating] = finite_mean(np.tanh(maps[0]))
    rows = rows_of(tree, kept, EMOTION_LABEL, "")
    group = RatingGroup(EMOTION_LABEL, space, kept, rows, left_out, _notes(stored))
    places = [place for place, _ in wanted]
    checksums = {name: sha for p in kept for name, sha in stored[p].get("Stimuli", {}).items()}
    music = rating_music(tree, kept, space, places, checksums, effects, tests, statistics)
    windows, reason = window_music(tree, kept, stored, accuracy, mean_r, WINDOWS, folder, n_threads)
    return RatingMapTests(group, tests, places, accuracy, music, windows, reason)


def stored_ratings(
    tree: OutputTree, participants: Sequence[str], model: str, desc: str
) -> dict[str, dict[str, Any]]:
    """Settings files of those who have one; they must agree."""
    there = [p for p in participants if p in tree.participants_of(model, desc)]
    found = {}
    for p in there:
        path = tree.participant_settings(p, model, desc)
        # Tables belong to no mesh.
        found[p] = (
            read_completed(path, LeftOut=dict, Inputs=dict, Stimuli=dict, **RECORD)
            if desc
            else read_participant(path, LeftOut=dict)
        )
    check_same_settings(tree, model, there, list(found.values()), desc=desc)
    return found


def rows_of(tree: OutputTree, participants: Sequence[str], model: str, desc: str) -> list[Any]:
    """Participants, and the checksum of the settings file of each."""
    return [
        {
            "participant_id": f"sub-{p}",
            "sha256_left": sha256_of_file(tree.participant_settings(p, model, desc)),
        }
        for p in participants
    ]


def _notes(stored: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """What participants' settings files tell of the ratings, each once."""
    told = [note for own in stored.values() for note in own.get("Notes") or ()]
    return tuple(dict.fromkeys(map(str, told)))


def _check_enough(kept: Sequence[str], left_out: Mapping[str, str], what: str) -> None:
    if len(kept) < 2:
        raise TooFewError(
            "Fewer than two participants can be compared.",
            where=what,
            found="; ".join(f"sub-{p}: {why}" for p, why in left_out.items()) or "no participants",
            wanted="two participants or more",
            remedy="run the participant level for more participants",
        )


def _effect_files(
    tree: OutputTree, participant: str, space: str, outputs: Mapping[str, str]
) -> dict[tuple[Place, str], Path]:
    """Left hemisphere of each effect by place and title; maps of delays are left to participants.

    Both count: a map whose title is another one is another map. What the record does not name
    among its `outputs` is nobody's.
    """
    found = {}
    wanted = {"model": EMOTION_LABEL, "feature": "*", "stat": "effect"}
    for path in tree.find_maps(participant, "L", space, **wanted):
        entities = parse_entities(path)
        place = (entities["feature"], entities.get("desc", ""))
        if place[1] != DELAYS and str(path.relative_to(tree.root)) in outputs:
            names = read_record(sidecar_of(path), DataArrays=list)["DataArrays"]
            found[place, str(names[0] if names else "")] = path
    return found


def _accuracies(
    tree: OutputTree, participants: Sequence[str], space: str, window: str
) -> tuple[NDArray[np.float64], list[str]] | None:
    """Fisher z of everybody's accuracy and the scales; None where somebody has none."""
    paths = [
        tree.participant_map(p, "L", space, model=EMOTION_LABEL, stat="r", desc=window)
        for p in participants
    ]
    if not all(path.is_file() for path in paths):
        return None
    names = [read_record(sidecar_of(path), DataArrays=list)["DataArrays"] for path in paths]
    if any(own != names[0] for own in names):
        return None
    read = [read_maps(path, space, n_arrays=len(names[0]), bounds=CORRELATION) for path in paths]
    return np.stack([fisher_z(maps) for maps in read]), names[0]


@dataclass(frozen=True, eq=False)
class ScoreTests:
    """Layers and ratings over participants.

    Attributes
    ----------
    group : RatingGroup
    scores : GroupScores
    changes : SignFlipResult or None
        Correlation of changes above zero, (n_layers, n_lags, n_scales); None where somebody has
        none, or there is one participant.
    change_r : (n_layers, n_lags, n_scales) array
        Mean over participants.
    lags : (n_lags,) array
        Seconds by which the rating follows.
    music : ScoresMusic
        Accuracies over music.
    ceiling : RaterCeiling
        What a model of what raters share could reach.
    """

    group: RatingGroup
    scores: GroupScores
    music: ScoresMusic
    ceiling: RaterCeiling
    changes: SignFlipResult | None
    change_r: NDArray[np.float64]
    lags: NDArray[np.float64]


def _test_scores(
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    cache_dir: Path,
    statistics: Statistics,
    n_threads: int,
) -> ScoreTests:
    """Profile of every scale over layers, and whether scales prefer different layers.

    Raises
    ------
    TooFewError
        If fewer than two participants have scores of all scales.
    InvalidInputError
        If their settings differ.
    """
    stored = stored_ratings(tree, participants, model, RATINGS_DESC)
    left_out = {p: "no scores in the output folder" for p in participants if p not in stored}
    _check_enough(list(stored), left_out, "scores of layers and ratings")
    own = {p: _read_scores(tree, p, model, told) for p, told in stored.items()}
    told = {p: score.layer_names for p, score in own.items() if score.scales}
    wanted = next(iter(told.values()), [])
    for p, names in told.items():
        if names != wanted:
            raise damaged(tree.scores(p, model, "ratings"), ", ".join(names), ", ".join(wanted))
    depth = next(iter(stored.values()))["Settings"].get("layer_depth")
    if not isinstance(depth, list):
        first = tree.participant_settings(next(iter(stored)), model, RATINGS_DESC)
        raise damaged(first, f"layer_depth: {depth}", "the depth of the layers")
    shown = {scale for score in own.values() for scale in score.scales}
    ratings = {
        p: ratings_among(told["Inputs"], sorted(shown), sorted(told["Stimuli"]))
        for p, told in stored.items()
    }
    scores = summarize_scores(own, statistics, depth, ratings=ratings)
    kept = scores.participants
    group = RatingGroup(
        model,
        "",
        kept,
        rows_of(tree, kept, model, RATINGS_DESC),
        left_out | scores.left_out,
        _notes(stored),
    )
    r = np.stack(
        [own[p].r[:, [own[p].scales.index(scale) for scale in scores.scales]] for p in kept]
    )
    fitted = RatingModel.of(
        stored[kept[0]], tree.participant_settings(kept[0], model, RATINGS_DESC)
    )
    music = scores_music(tree, model, scores, fitted, r, cache_dir, statistics, n_threads)
    if music.reason:
        earlier = earlier_scores(tree, group, scores.layer_names, scores.scales, music.reason)
        music = earlier or music
    ceiling = rater_ceiling(tree, model, kept, fitted, scores.scales, statistics)
    read = [_read_changes(tree.scores(p, model, "changes"), scores) for p in kept]
    tables = [table for table in read if table is not None]
    if len(tables) < len(kept):
        nothing = np.empty((len(scores.layer_names), 0, len(scores.scales)))
        return ScoreTests(group, scores, music, ceiling, None, nothing, np.empty(0))
    z = np.stack([fisher_z(r) for r, _ in tables])
    tested = sign_flip_max_t(z, **statistics.flips) if len(kept) > 1 else None
    mean = np.tanh(z.mean(axis=0))
    return ScoreTests(group, scores, music, ceiling, tested, mean, tables[0][1])


def _read_scores(
    tree: OutputTree, participant: str, model: str, told: Mapping[str, Any]
) -> RatingScores:
    """Means over held-out stimuli; without a table no scale, and why."""
    path = tree.scores(participant, model, "ratings")
    skipped = {str(scale): str(why) for scale, why in dict(told.get("Skipped", {})).items()}
    empty = np.zeros((0, 0))
    if not path.is_file():
        if not skipped and (reason := told["LeftOut"].get("layers and ratings")):
            skipped = {"all scales": str(reason)}  # such as too few samples for the folds
        return RatingScores([], [], [], [], empty, empty, empty, empty, empty, empty, skipped, {})
    texts = {"scale": str, "name": str, "held_out": str}
    table = read_rows(path, (*texts, "r", "z", "p", "q"), **texts)
    means = table[table["held_out"] == "mean"]
    scales = list(dict.fromkeys(means["scale"]))
    layers = [list(means.loc[means["scale"] == scale, "name"]) for scale in scales]
    if not scales or any(own != layers[0] for own in layers):
        raise damaged(path, f"{len(scales)} scales of {[len(own) for own in layers]} layers", "all")
    names = layers[0]
    columns: dict[str, Any] = {
        stat: np.stack([means.loc[means["scale"] == s, stat].to_numpy(float) for s in scales], 1)
        for stat in ("r", "z", "p", "q")
    }
    return RatingScores(
        scales=scales,
        layer_names=names,
        stimuli=[],
        fold_stimuli=[],
        fold_r=empty,
        alpha=empty,
        skipped=skipped,
        details={},
        **columns,
    )


def _read_changes(
    path: Path, scores: GroupScores
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Correlations (n_layers, n_lags, n_scales) and lags of one participant."""
    if not path.is_file():
        return None
    texts = {"scale": str, "name": str}
    table = read_rows(path, (*texts, "layer", "lag_s", "r"), **texts)
    if not set(scores.scales) <= set(table["scale"]):
        return None
    if table.duplicated(["scale", "layer", "lag_s"]).any():
        raise damaged(path, "a layer and lag twice", "every one once")
    cube = [
        table[table["scale"] == scale].pivot(index="layer", columns="lag_s", values="r")
        for scale in scores.scales
    ]
    shape = (len(scores.layer_names), cube[0].shape[1])
    rows = [int((table["scale"] == scale).sum()) for scale in scores.scales]
    if any(part.shape != shape for part in cube) or set(rows) != {shape[0] * shape[1]}:
        raise damaged(path, f"layers and lags {[part.shape for part in cube]}", shape)
    return np.stack([part.to_numpy(float) for part in cube], 2), cube[0].columns.to_numpy(float)
