"""What the analyses of conditions leave of a participant in the output folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bids_app.analyses.conditions.lags import LagSummary
from bids_app.analyses.conditions.participant import ConditionResult
from bids_app.analyses.folder.records import Record
from bids_app.analyses.folder.write import write_map, write_settings, write_table
from bids_app.analyses.participant.linear_models import EmotionMaps
from bids_app.config import settings_hash
from bids_app.outputs import CONDITIONS_LABEL, OutputTree, map_sidecar

LOGGER = logging.getLogger("bids_app.analyses")

CONTRAST_TEXT = {
    "effect": "difference of conditions, percent signal change unless the sidecar says otherwise",
    "t": "t of that difference, fixed effects over runs, AR(1) errors",
    "z": "normal quantile of that t",
}
PPI_TEXT = {
    "effect": "interaction of the seed's course with the difference of conditions",
    "t": "t of the interaction, fixed effects over runs, AR(1) errors",
    "z": "normal quantile of that t",
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


def write_conditions(
    tree: OutputTree, record: Record, results: Sequence[ConditionResult]
) -> list[Path]:
    """Write maps and tables; the settings file comes last and marks completion."""
    path = tree.participant_settings(record.participant, record.model)
    path.unlink(missing_ok=True)
    written: list[Path] = []
    rows: list[dict[str, Any]] = [
        {"run": run, "used": False, "reason": why} for run, why in record.skipped.items()
    ]
    for result in results:
        analyses = [("contrast", result.maps, CONTRAST_TEXT, "")]
        if result.ppi is not None:
            analyses.append(("interaction", result.ppi, PPI_TEXT, "ppi"))
        for analysis, maps, texts, desc in analyses:
            written += _write_maps(tree, record, result.label, maps, texts, desc)
            told = {"contrast": result.contrast, "analysis": analysis}
            rows += [{**row, **told} for row in maps.table]
        if result.lags is not None:
            written += _write_lags(tree, record, result.label, result.lags)
    runs = tree.condition_table(record.participant, "summary.tsv", desc="runs")
    written += write_table(runs, RUNS_COLUMNS, rows)
    contrasts = {result.label: result.contrast for result in results}
    rests_on = {"Inputs": record.inputs, "Stimuli": record.stimuli}
    write_settings(tree, path, record.settings, written, Contrasts=contrasts, **rests_on)
    written.append(path)
    LOGGER.info("sub-%s: %d files of conditions written", record.participant, len(written))
    return written


def _write_maps(
    tree: OutputTree,
    record: Record,
    label: str,
    maps: EmotionMaps,
    texts: Mapping[str, str],
    desc: str,
) -> list[Path]:
    written = []
    space = str(record.settings["space"])
    for stat, text in texts.items():
        entities = {"model": CONDITIONS_LABEL, "feature": label, "stat": stat, "desc": desc}
        sidecar = map_sidecar(
            stat,
            space,
            maps.names,
            description=text,
            **maps.details,
            DegreesOfFreedom=maps.degrees_of_freedom,
            Runs=maps.table,
            Confounds=record.settings["confounds"],
            HighPassCutoff=record.settings["high_pass"],
            SmoothingFWHM=record.settings["smoothing"],
            Sources=list(record.sources),
            SettingsHash=settings_hash(dict(record.settings)),
        )
        path_of = partial(tree.participant_map, record.participant, space=space, **entities)
        written += write_map(path_of, getattr(maps, stat), maps.names, sidecar)
    return written


def _write_lags(tree: OutputTree, record: Record, label: str, lags: LagSummary) -> list[Path]:
    curves = tree.condition_table(record.participant, "timeseries.tsv", feature=label, desc="lags")
    means = tree.condition_table(record.participant, "summary.tsv", feature=label, desc="lags")
    rows = [
        {"condition": name, "r_negative": low, "r_positive": high, "convention": lags.convention}
        for name, low, high in zip(lags.names, lags.negative, lags.positive, strict=True)
    ]
    return [
        *write_table(curves, LAG_COLUMNS, lags.rows(), lags.details),
        *write_table(means, SUMMARY_COLUMNS, rows, lags.details),
    ]
