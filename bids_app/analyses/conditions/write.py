"""Output files and costs of a participant's analyses of conditions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bids_app.analyses.conditions.participant import ConditionResult
from bids_app.analyses.declare import Part, TableOutput, maps_of
from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.analysis import ParticipantAnalysis, Scope
from bids_app.analyses.participant.linear_models import LinearMaps
from bids_app.analyses.participant.voxel_effects import (
    VoxelEffects,
    desc_of,
    planned_effects,
    write_effects,
)
from bids_app.analyses.participant.voxels import Voxels
from bids_app.analyses.participant.writer import ParticipantWriter
from bids_app.config import settings_hash
from bids_app.inputs.estimate import Cost, Series, page_memory
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.report.conditions import participant_conditions

LOGGER = logging.getLogger("bids_app.analyses")


def write_conditions(
    tree: OutputTree,
    record: Record,
    results: Sequence[ConditionResult],
    voxels: Sequence[tuple[str, VoxelEffects]] = (),
) -> list[Path]:
    """Write maps and tables; the settings file comes last and marks completion."""
    writer = ParticipantWriter(tree, record)
    writer.begin()
    # The name that the settings had in earlier versions.
    earlier = tree.condition_table(record.participant, "summary.json", desc="settings")
    earlier.unlink(missing_ok=True)
    rows: list[dict[str, Any]] = [
        {"run": run, "used": False, "reason": why} for run, why in record.skipped.items()
    ]
    for result in results:
        place = {"feature": result.label}
        for analysis, maps in ((CONTRAST, result.maps), (INTERACTION, result.ppi)):
            if maps is not None:
                part = Part("contrast", place, maps.names, sidecar=_told(record, maps))
                writer.write(analysis, maps, [part])
                told = {"contrast": result.contrast, "analysis": analysis.name}
                rows += [{**row, **told} for row in maps.table]
        if result.lags is not None:
            part = Part("contrast", place, sidecar=result.lags.details)
            writer.write(LAGS, result.lags, [part])
    writer.write(CONTRAST, SimpleNamespace(runs=rows), [Part()])
    contrasts = {result.label: result.contrast for result in results}
    if voxels:
        who, common = record.participant, {"Sources": list(record.sources)}
        writer.written += write_effects(tree, who, CONDITIONS_LABEL, voxels, common)
    written = writer.finish(Contrasts=contrasts, Inputs=record.inputs, Stimuli=record.stimuli)
    LOGGER.info("sub-%s: %d files of conditions written", record.participant, len(written))
    return written


def _told(record: Record, maps: LinearMaps) -> dict[str, Any]:
    """What sidecars say of the maps."""
    return {
        **maps.details,
        "DegreesOfFreedom": maps.degrees_of_freedom,
        "Runs": maps.table,
        "Confounds": record.settings["confounds"],
        "HighPassCutoff": record.settings["high_pass"],
        "SmoothingFWHM": record.settings["smoothing"],
        "CortexMask": record.settings["cortex_mask"],
        "Sources": list(record.sources),
        "SettingsHash": settings_hash(dict(record.settings)),
    }


RUNS_COLUMNS = {
    "run": "label of the run",
    "contrast": "contrast of conditions",
    "analysis": "contrast, or interaction with the seed",
    "used": "whether the run is part of the maps",
    "reason": "why it is not",
    "n_volumes": "volumes fitted",
    "n_regressors": "columns of the design",
    "degrees_of_freedom": "of the residuals",
    "percent_signal_change": "whether effects are percent of the vertex' mean",
}
LAG_COLUMNS = {
    "condition": "condition, or the contrast: the weighted sum of its conditions",
    "lag_s": "lag h in seconds, rho(h) = corr(seed(t + h), target(t))",
    "r": "correlation; n/a where fewer than three pairs of volumes remain",
    "convention": "what a positive lag means",
}
SUMMARY_COLUMNS = {
    "condition": "condition, or the contrast: the weighted sum of its conditions",
    "r_negative": "mean correlation over negative lags: the seed leads the target",
    "r_positive": "mean correlation over positive lags: the target leads the seed",
    "convention": "what a positive lag means",
}


def _planned(scope: Scope) -> list[Part]:
    return [Part(), *(Part("contrast", {"feature": label}) for label in scope.contrasts)]


def _planned_voxels(scope: Scope) -> Iterator[Path]:
    """The contrasts at subcortical voxels."""
    voxels = Voxels.of(scope.config.model)
    if not (voxels.wanted and scope.contrasts):
        return
    places = [{"feature": label, "desc": desc_of()} for label in scope.contrasts]
    tree, space = OutputTree(scope.config.output_dir), voxels.space(scope.trials)
    yield from planned_effects(tree, scope.participant, CONDITIONS_LABEL, space, places)


# Measured on fsaverage5, per volume: reading and smoothing, a model with AR(1) errors, a contrast.
_READING_SECONDS = 0.03
_MODEL_SECONDS = 0.005
_CONTRAST_SECONDS = 0.0005


def _cost(scope: Scope, seconds_per_volume: float) -> Cost:
    n_maps = len(scope.contrasts) * (2 if scope.config.conditions.seed else 1)
    series = Series.of(scope.trials, 0, scope.config.cleaning.space)
    steps = {
        "analyze_conditions": series.modeling(len(scope.trials), n_maps),
        "write_conditions": series.holding(6 * n_maps),
        "draw_page": page_memory(series.space, 3 * n_maps),
    }
    return Cost(scope.seconds(scope.trials, seconds_per_volume), steps)


CONTRAST = ParticipantAnalysis(
    "contrast",
    needed=lambda scope: bool(scope.contrasts),
    parts=_planned,
    cost=lambda scope: _cost(
        scope, _READING_SECONDS + _MODEL_SECONDS + len(scope.contrasts) * _CONTRAST_SECONDS
    ),
    maps=maps_of(
        "contrast",
        effect="difference of conditions, percent signal change unless the sidecar says otherwise",
        t="t of that difference, fixed effects over runs, AR(1) errors",
        z="normal quantile of that t",
    ),
    tables=(TableOutput("summary", "runs", RUNS_COLUMNS, value="runs", whole=True),),
    model=CONDITIONS_LABEL,
    sections=participant_conditions,
    further=_planned_voxels,
)
INTERACTION = ParticipantAnalysis(
    "interaction",
    needed=lambda scope: bool(scope.contrasts and scope.config.conditions.seed),
    parts=_planned,
    cost=lambda scope: _cost(scope, len(scope.contrasts) * _MODEL_SECONDS),
    maps=maps_of(
        "contrast",
        "ppi",
        effect="interaction of the seed's course with the difference of conditions",
        t="t of the interaction, fixed effects over runs, AR(1) errors",
        z="normal quantile of that t",
    ),
    model=CONDITIONS_LABEL,
)
LAGS = ParticipantAnalysis(
    "lagged correlation",
    needed=lambda scope: bool(scope.contrasts and scope.config.conditions.target),
    parts=_planned,
    cost=lambda scope: Cost(),
    tables=(
        TableOutput("timeseries", "lags", LAG_COLUMNS, each="contrast", value="rows", whole=True),
        TableOutput("summary", "lags", SUMMARY_COLUMNS, each="contrast", value="means", whole=True),
    ),
    model=CONDITIONS_LABEL,
)
