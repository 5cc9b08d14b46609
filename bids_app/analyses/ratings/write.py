"""What the analyses of ratings leave in a participant's folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.linear_models import EmotionMaps, MapContrast
from bids_app.analyses.participant.write import ParticipantWriter
from bids_app.analyses.ratings.brain_ridge import RatingEncoding
from bids_app.analyses.ratings.participant import LayerScores
from bids_app.analyses.ratings.windows import DELAYS, WINDOWS
from bids_app.config import settings_hash
from bids_app.outputs import OutputTree, safe_label

LOGGER = logging.getLogger("bids_app.analyses")


def write_rating_maps(
    tree: OutputTree,
    record: Record,
    maps: tuple[EmotionMaps | None, str],
    accuracy: tuple[RatingEncoding | None, str],
) -> list[Path]:
    """Write the maps of ratings and brain; the settings file comes last and marks completion.

    Parameters
    ----------
    tree : OutputTree
    record : Record
    maps : (EmotionMaps or None, str)
        Effects of the linear model, or why there are none.
    accuracy : (RatingEncoding or None, str)
        Of predictions from past and future ratings, or why there is none.
    """
    writer = _writer(tree, record)
    (effects, no_effects), (predicted, not_predicted) = maps, accuracy
    if effects is not None:
        _write_effects(writer, effects)
        writer.table(tree.rating_runs(record.participant), effects.table, RUNS_COLUMNS)
    if predicted is not None:
        _write_accuracy(writer, predicted)
    reasons = {"ratings and brain": no_effects, "past and future ratings": not_predicted}
    _finish(writer, reasons)
    return writer.written


def _write_effects(writer: ParticipantWriter, maps: EmotionMaps) -> None:
    """One map per scale; with delays all of them in one map, and the means beside it."""
    told = {**maps.details, "DegreesOfFreedom": maps.degrees_of_freedom}
    for entities, index in map_groups(maps.contrasts):
        names = [maps.names[k] for k in index]
        for stat in ("effect", "t", "z"):
            description = {"description": STATISTICS[stat]}
            values = getattr(maps, stat)[index]
            writer.statmap(stat, values, names, sidecar=told | description, **entities)


def _write_accuracy(writer: ParticipantWriter, accuracy: RatingEncoding) -> None:
    """One map per window and statistic, with all scales in it."""
    told = {"HeldOutStimuli": accuracy.fold_stimuli, **accuracy.details}
    for k, window in enumerate(WINDOWS):
        for stat in ("r", "z", "p", "q"):
            values = getattr(accuracy, stat)[k]
            writer.statmap(stat, values, accuracy.scales, sidecar=told, desc=window.rating)


def map_groups(contrasts: Sequence[MapContrast]) -> list[tuple[dict[str, str], list[int]]]:
    """Entities of every map of a linear model, and which of its contrasts are in it."""
    groups: dict[tuple[str, str], list[int]] = {}
    for k, contrast in enumerate(contrasts):
        desc = contrast.window if contrast.delay is None else DELAYS
        groups.setdefault((safe_label(contrast.scale), desc), []).append(k)
    return [
        ({"feature": feature, **({"desc": desc} if desc else {})}, index)
        for (feature, desc), index in groups.items()
    ]


def write_rating_scores(
    tree: OutputTree, record: Record, scores: Mapping[str, LayerScores]
) -> list[Path]:
    """Write the tables of layers and ratings of a participant; the settings file comes last."""
    found, participant, model = scores[record.participant], record.participant, record.model
    writer = _writer(tree, record)
    if found.scores is not None:
        rows = found.scores.rows()
        if rows:
            writer.table(tree.scores(participant, model, "ratings"), rows, SCORE_COLUMNS)
    if found.changes is not None:
        rows = found.changes.rows()
        writer.table(tree.scores(participant, model, "changes"), rows, CHANGE_COLUMNS)
    own = found.scores
    told = {} if own is None else {"Details": own.details, "Skipped": own.skipped}
    _finish(writer, found.left_out, **{"Details": {}, "Skipped": {}, **told})
    return writer.written


def _writer(tree: OutputTree, record: Record) -> ParticipantWriter:
    # A half-finished rewrite must not look complete.
    done = tree.participant_settings(record.participant, record.model, record.desc)
    done.unlink(missing_ok=True)
    common = {
        "Sources": list(record.sources),
        "SettingsHash": settings_hash(dict(record.settings)),
    }
    return ParticipantWriter(tree, record, common)


def _finish(writer: ParticipantWriter, left_out: Mapping[str, str], **fields: Any) -> None:
    reasons = {name: why for name, why in left_out.items() if why}
    for name, why in reasons.items():
        LOGGER.warning("sub-%s: %s is left out: %s", writer.record.participant, name, why)
    writer.settings(LeftOut=reasons, **fields)


STATISTICS = {
    "effect": "percent signal change per standard deviation of the size of a rating's change",
    "t": "effect over its standard error, fixed effects over runs",
    "z": "standard normal quantile of t",
}
RUNS_COLUMNS = {
    "run": "label of the run",
    "used": "whether the run took part",
    "reason": "why it did not",
    "n_volumes": "volumes in the model",
    "n_regressors": "columns of the design",
    "degrees_of_freedom": "volumes minus rank of the design",
    "percent_signal_change": "whether the series was in percent of its mean",
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
CHANGE_COLUMNS = {
    "scale": "what was rated",
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "lag_s": "seconds by which the change of the rating follows that of the layer",
    "r": "correlation of the sizes of both changes, Fisher-z mean over stimuli",
}
