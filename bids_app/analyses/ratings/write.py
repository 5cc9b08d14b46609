"""Output files and costs of the analyses of a participant's ratings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.analyses.declare import MapOutput, Part, TableOutput, maps_of
from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.analysis import ParticipantAnalysis, Scope
from bids_app.analyses.participant.linear_models import LinearMaps, MapContrast, TurnedEffect
from bids_app.analyses.participant.voxel_effects import (
    VoxelEffects,
    desc_of,
    planned_effects,
    write_effects,
)
from bids_app.analyses.participant.voxels import Voxels
from bids_app.analyses.participant.writer import ParticipantWriter
from bids_app.analyses.ratings.brain_glm import (
    RESPONSE_TAIL,
    map_contrasts,
    n_turning,
    tested_over_people,
)
from bids_app.analyses.ratings.brain_ridge import RatingEncoding
from bids_app.analyses.ratings.participant import LayerScores
from bids_app.config import settings_hash
from bids_app.emotion.windows import DELAYS, WINDOWS
from bids_app.encoding.folds import held_out_stimuli
from bids_app.inputs.estimate import FLOAT, Cost
from bids_app.inputs.records import BoldRun
from bids_app.labels import safe_label
from bids_app.outputs import EMOTION_LABEL, RATINGS_DESC, OutputTree
from bids_app.report.ratings import participant_ratings

LOGGER = logging.getLogger("bids_app.analyses")


def write_rating_maps(
    tree: OutputTree,
    record: Record,
    maps: tuple[LinearMaps | None, str],
    accuracy: tuple[RatingEncoding | None, str],
    voxels: VoxelEffects | None = None,
) -> list[Path]:
    """Write the maps of ratings and brain; the settings file comes last and marks completion.

    Parameters
    ----------
    tree : OutputTree
    record : Record
    maps : (LinearMaps or None, str)
        Effects of the linear model, or why there are none.
    accuracy : (RatingEncoding or None, str)
        Of predictions from past and future ratings, or why there is none.
    voxels : VoxelEffects or None
        The same effects at subcortical voxels.
    """
    writer = _writer(tree, record)
    (effects, no_effects), (predicted, not_predicted) = maps, accuracy
    if effects is not None:
        told = {**effects.details, "DegreesOfFreedom": effects.degrees_of_freedom}
        writer.write(BRAIN, effects, effect_parts(effects.contrasts, told))
        writer.write(BRAIN, effects, turned_parts(effects.turned))
    if voxels is not None:
        who, common = record.participant, {"Sources": list(record.sources)}
        writer.written += write_effects(tree, who, EMOTION_LABEL, [("", voxels)], common)
    if predicted is not None:
        told = {"HeldOutStimuli": predicted.fold_stimuli, **predicted.details}
        folds = predicted.fold_stimuli
        writer.write(PREDICTION, predicted, window_parts(predicted.scales, folds, told))
    return _finish(writer, {BRAIN.name: no_effects, PREDICTION.name: not_predicted})


def effect_parts(
    contrasts: Sequence[MapContrast], told: Mapping[str, Any] | None = None
) -> list[Part]:
    """One map per scale; with delays all of them in one map, and the means beside it."""
    groups: dict[tuple[str, str], list[int]] = {}
    for k, contrast in enumerate(contrasts):
        desc = contrast.window if contrast.delay is None else DELAYS
        groups.setdefault((contrast.scale, desc), []).append(k)
    maps = [
        Part(
            "scale",
            {"feature": safe_label(scale), "desc": desc},
            [contrasts[k].name for k in index],
            index,
            sidecar=told or {},
        )
        for (scale, desc), index in groups.items()
    ]
    return [Part(), *maps]


def turned_parts(turned: Sequence[TurnedEffect]) -> list[Part]:
    """One map per piece and effect that the group level tests."""
    return [
        Part(
            "turned",
            {
                "stim": safe_label(one.stimulus),
                "feature": safe_label(one.contrast.scale),
                "desc": one.contrast.window,
            },
            turned_names(len(one.values) // 2),
            of=one,
            sidecar={"Stimulus": one.stimulus, "Effect": one.contrast.name},
        )
        for one in turned
    ]


def turned_names(n_freq: int) -> list[str]:
    """Names of what does not turn, and of cosines and sines; frequencies in cycles per piece."""
    return ["fixed", *(f"{f} {part}" for f in range(1, n_freq + 1) for part in ("cos", "sin"))]


def window_parts(
    scales: Sequence[str], folds: Sequence[str], told: Mapping[str, Any] | None = None
) -> list[Part]:
    """One map per window, and one per window and held-out stimulus, with all scales in it."""
    windows = [
        Part("window", {"desc": window.rating}, scales, k, sidecar=told or {})
        for k, window in enumerate(WINDOWS)
    ]
    held_out = [
        Part("fold", {"stim": safe_label(held), "desc": window.rating}, scales, (k, fold))
        for k, window in enumerate(WINDOWS)
        for fold, held in enumerate(folds)
    ]
    return [Part("courses"), *windows, *held_out]


def write_rating_scores(
    tree: OutputTree, record: Record, scores: Mapping[str, LayerScores]
) -> list[Path]:
    """Write the tables of layers and ratings of a participant; the settings file comes last."""
    found = scores[record.participant]
    writer = _writer(tree, record)
    told: dict[str, Any] = {"Details": {}, "Skipped": {}}
    if found.scores is not None:
        writer.write(SCORES, found.scores, [Part("scores")])
        told = {"Details": found.scores.details, "Skipped": found.scores.skipped}
    if found.changes is not None:
        writer.write(SCORES, found.changes, [Part("changes")])
    return _finish(writer, found.left_out, **told)


def _writer(tree: OutputTree, record: Record) -> ParticipantWriter:
    common = {
        "Sources": list(record.sources),
        "SettingsHash": settings_hash(dict(record.settings)),
    }
    if "cortex_mask" in record.settings:
        common["CortexMask"] = record.settings["cortex_mask"]
    if record.notes:
        common["Notes"] = list(record.notes)
    writer = ParticipantWriter(tree, record, common)
    writer.begin()
    return writer


def _finish(writer: ParticipantWriter, left_out: Mapping[str, str], **fields: Any) -> list[Path]:
    reasons = {name: why for name, why in left_out.items() if why}
    for name, why in reasons.items():
        LOGGER.warning("sub-%s: %s is left out: %s", writer.record.participant, name, why)
    notes = list(writer.record.notes)
    return writer.finish(**writer.basis, LeftOut=reasons, Notes=notes, **fields)


RUNS_COLUMNS = {
    "run": "label of the run",
    "used": "whether the run took part",
    "reason": "why it did not",
    "n_volumes": "volumes in the model",
    "n_regressors": "columns of the design",
    "degrees_of_freedom": "volumes minus rank of the design",
    "percent_signal_change": "whether the series was in percent of its mean",
}
DESIGN_COLUMNS = {
    "run": "label of the run",
    "volume": "number of the volume, from 0",
    "music": "music against silence, convolved; of no interest",
    "constant": "the mean of the run",
}
SCORE_COLUMNS = {
    "scale": "what was rated",
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "held_out": "stimulus held out; mean: Fisher-z mean over them",
    "r": "correlation of predicted and given ratings",
    "z": "r over the standard deviation of its phase-rotation null",
    "p": "one-sided p of that null, uncorrected",
    "q": "Benjamini-Hochberg q over the layers of a scale",
    "alpha": "ridge penalty chosen inside the training stimuli",
}
PREDICTOR_COLUMNS = {
    "scale": "what was rated",
    "stimulus": "label of the stimulus",
    "presentation": "number of the presentation (1-based), in the order of the cleaned responses",
    "time": "seconds into the audio file",
    "value": "size of the rating's change per second, averaged over the volume and high-passed",
}
COURSE_COLUMNS = {
    "scale": "what was rated",
    "stimulus": "label of the stimulus",
    "time": "seconds into the audio file",
    "value": "rating as it was predicted, averaged over the sample and high-passed",
}
CHANGE_COLUMNS = {
    "scale": "what was rated",
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "lag_s": "seconds by which the change of the rating follows that of the layer",
    "r": "correlation of the sizes of both changes, Fisher-z mean over stimuli",
}


def _needed(scope: Scope) -> bool:
    return bool(scope.scales)


def _felt(scope: Scope, run: BoldRun) -> bool:
    """Whether all scales of what a run played were rated."""
    return all((p.stimulus, s) in scope.rated for p in run.presentations for s in scope.scales)


def _planned_effects(scope: Scope) -> list[Part]:
    used = [run for run in scope.music if _felt(scope, run)]
    if not used:
        return []
    contrasts = map_contrasts(scope.scales, scope.config.emotion, used[0].tr)
    return [*effect_parts(contrasts), *_planned_turned(scope, used, contrasts)]


def _planned_turned(
    scope: Scope, used: Sequence[BoldRun], contrasts: Sequence[MapContrast]
) -> list[Part]:
    """What turns with the phases of each piece; the number of frequencies is an estimate."""
    rows = {
        p.stimulus: (round((p.duration + RESPONSE_TAIL) / run.tr), run.tr)
        for run in used
        for p in run.presentations
    }
    nothing = np.empty((0, 0), dtype=np.float32)
    return [
        replace(part, names=turned_names(n_turning(*rows[stimulus], scope.config.emotion)))
        for stimulus in rows
        for k in tested_over_people(contrasts)
        for part in turned_parts([TurnedEffect(contrasts[k], stimulus, nothing)])
    ]


def _planned_voxels(scope: Scope) -> Iterator[Path]:
    """The same effects at subcortical voxels."""
    voxels, parts = Voxels.of(scope.config.model), _planned_effects(scope)
    if not (voxels.wanted and parts):
        return
    places = [
        {**part.entities, "desc": desc_of(part.entities["desc"])}
        for part in parts
        if part.each in ("scale", "turned") and part.entities["desc"] != DELAYS
    ]
    tree, space = OutputTree(scope.config.output_dir), voxels.space(scope.music)
    yield from planned_effects(tree, scope.participant, EMOTION_LABEL, space, places)


def _planned_predictions(scope: Scope) -> list[Part]:
    if not all(_felt(scope, run) for run in scope.music):
        return []
    folds = ["+".join(held) for held in held_out_stimuli(scope.heard, scope.durations)]
    return window_parts(scope.scales, folds)


def _planned_scores(scope: Scope) -> list[Part]:
    heard = set(scope.heard)
    usable = [scale for scale in scope.scales if all((s, scale) in scope.rated for s in heard)]
    return [Part("scores"), Part("changes")] if usable else []


# Measured on fsaverage5: a volume read and fitted with AR(1) errors, a scale in one window of 939
# volumes, a layer.
_GLM_SECONDS = 0.035
_PREDICTION_SECONDS = 5.0
_SCORES_SECONDS = 0.3


def _cost_of_effects(scope: Scope) -> Cost:
    n_maps = sum(len(part.names) for part in _planned_effects(scope) if part.each == "scale")
    n_arrays = BRAIN.map_bytes(scope) / (FLOAT * scope.n_vertices)
    steps = {
        "relate_ratings": scope.series.modeling(len(scope.music), n_maps)
        + n_arrays * FLOAT * scope.n_vertices,
        "write_rating_maps": scope.series.holding(2 * n_arrays),
    }
    return Cost(scope.seconds(scope.music, _GLM_SECONDS), steps)


def _cost_of_predictions(scope: Scope) -> Cost:
    n_fits = len(WINDOWS) * len(scope.scales)
    steps = {"predict_from_ratings": scope.series.fitting(13 * n_fits)}
    return Cost(n_fits * _PREDICTION_SECONDS * scope.fit_scale, steps)


def _cost_of_scores(scope: Scope) -> Cost:
    steps = {"write_rating_scores": scope.series.holding(0)}
    return Cost(steps=steps, shared_seconds=_SCORES_SECONDS * len(scope.layers))


BRAIN = ParticipantAnalysis(
    "ratings and brain",
    needed=_needed,
    parts=_planned_effects,
    cost=_cost_of_effects,
    maps=(
        *maps_of(
            "scale",
            effect="percent signal change per standard deviation of the size of a rating's change",
            t="effect over its standard error, fixed effects over runs",
            z="effect over the standard deviation of its null, phases of this person's regressors "
            "rotated; of single delays the standard normal quantile of t, which is no test",
        ),
        MapOutput(
            "turned",
            "values",
            each="turned",
        ),
    ),
    tables=(
        TableOutput("summary", "runs", RUNS_COLUMNS, value="table"),
        TableOutput(
            "timeseries",
            "design",
            DESIGN_COLUMNS,
            value="design",
            others="change of a rating, convolved; or a confound or drift regressor of unit length",
        ),
    ),
    model=EMOTION_LABEL,
    sections=participant_ratings,
    further=_planned_voxels,
)
PREDICTION = ParticipantAnalysis(
    "past and future ratings",
    needed=_needed,
    parts=_planned_predictions,
    cost=_cost_of_predictions,
    maps=(*maps_of("window", r="", z="", p="", q=""), *maps_of("fold", alpha="")),
    tables=(
        TableOutput("timeseries", RATINGS_DESC, PREDICTOR_COLUMNS, each="courses", value="courses"),
    ),
    model=EMOTION_LABEL,
)
SCORES = ParticipantAnalysis(
    "layers and ratings",
    needed=_needed,
    parts=_planned_scores,
    cost=_cost_of_scores,
    tables=(
        TableOutput("scores", "ratings", SCORE_COLUMNS, each="scores", value="rows"),
        TableOutput("timeseries", "ratings", COURSE_COLUMNS, each="scores", value="courses"),
        TableOutput("scores", "changes", CHANGE_COLUMNS, each="changes", value="rows"),
    ),
    desc=RATINGS_DESC,
)
