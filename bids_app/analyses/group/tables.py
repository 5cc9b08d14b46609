"""Group tables: null distribution of the sign flips, and what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bids_app.analyses.group.accuracy import GroupAccuracy, GroupPreference
from bids_app.analyses.group.isc import IscOutcome
from bids_app.analyses.group.music_null import MusicNull


class TableWriter(Protocol):
    """Writes a group table with its dictionary."""

    def table(
        self,
        suffix: str,
        columns: Mapping[str, str],
        rows: Sequence[Mapping[str, Any]],
        *,
        desc: str,
        **extra: Any,
    ) -> None:
        """Write rows to ``group_model-<model>_desc-<desc>_<suffix>.tsv`` and its JSON."""


def write_flips(
    writer: TableWriter, accuracy: GroupAccuracy, preference: GroupPreference | None
) -> None:
    """One row per flip of the participants' signs."""
    flips = {
        "accuracy": accuracy.null_max["accuracy"],
        "tfce": accuracy.null_max["tfce"],
        "layer_mean": accuracy.null_max["layer_mean"],
        "slope": preference and preference.null_max,
    }
    writer.table("", FLIP_COLUMNS, table_rows(flips, accuracy.n_permutations), desc="flips")


def write_analyses(
    writer: TableWriter,
    synchrony: IscOutcome,
    music: MusicNull,
    accuracy: GroupAccuracy,
) -> None:
    """What was computed, and what was not and why."""
    rows = [
        {"analysis": "isc", "part": stimulus, "state": "done", "reason": ""}
        for stimulus in synchrony.stimuli
    ]
    rows += [
        {"analysis": "isc", "part": "", "state": "left out", "reason": reason}
        for reason in synchrony.reasons
    ]
    rows += [
        {"analysis": "music", "part": "", "state": "left out", "reason": reason}
        for reason in music.reasons
    ] or [{"analysis": "music", "part": "", "state": "done", "reason": ""}]
    rows.append(
        {
            "analysis": "mask",
            "part": accuracy.mask_kind,
            "state": "done",
            "reason": "" if accuracy.mask_kind == "significant" else "too few vertices significant",
        }
    )
    writer.table("summary", ANALYSIS_COLUMNS, rows, desc="analyses")


def table_rows(columns: Mapping[str, Any], n_rows: int) -> list[dict[str, float]]:
    """Columns to rows; what was not computed is NaN."""
    full = {
        name: np.full(n_rows, np.nan) if values is None else values
        for name, values in columns.items()
    }
    return [{name: float(values[k]) for name, values in full.items()} for k in range(n_rows)]


FLIP_COLUMNS = {
    "accuracy": "largest t of the accuracy over layers and vertices for one flip of signs",
    "tfce": "largest enhanced value over layers and vertices",
    "layer_mean": "largest t of the layer-averaged accuracy",
    "slope": "largest absolute t of the residual slope",
}
ANALYSIS_COLUMNS = {
    "analysis": "isc, music (null over music) or mask",
    "part": "stimulus, or part of the analysis",
    "state": "done or left out",
    "reason": "why it was left out",
}
