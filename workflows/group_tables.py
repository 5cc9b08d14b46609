"""Group tables beside the maps: null distributions, vertices behind the figures, what was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .accuracy import GroupAccuracy, GroupPreference
from .aggregate import GroupData
from .alignment import AUDITORY_RADIUS, MIN_VERTICES, AlignmentReport
from .isc import IscOutcome
from .music_null import MusicNull


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


def write_spins(writer: TableWriter, data: GroupData, alignment: AlignmentReport) -> None:
    """One row per rotation of the gradient."""
    spins = {
        "statistic": alignment.plain.null,
        "statistic_partial": alignment.partial.null,
        "statistic_left": alignment.left and alignment.left.null,
        "statistic_right": alignment.right and alignment.right.null,
        "statistic_without_auditory": alignment.without_auditory
        and alignment.without_auditory.null,
        "largest_layer": alignment.omnibus.null,
    }
    layers = {f"layer_{k}": null for k, null in enumerate(alignment.layers.null, start=1)}
    columns = SPIN_COLUMNS | {
        f"layer_{k}": f"correlation of the group accuracy of layer {k} ({name}) with the rotated "
        "gradient"
        for k, name in enumerate(data.layer_names, start=1)
    }
    writer.table("", columns, _rows(spins | layers, alignment.n_spins), desc="nulls")


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
    writer.table("", FLIP_COLUMNS, _rows(flips, accuracy.n_permutations), desc="flips")


def write_layer_alignment(writer: TableWriter, data: GroupData, alignment: AlignmentReport) -> None:
    """Every layer's accuracy against the gradient."""
    layers, omnibus = alignment.layers, alignment.omnibus
    rows = [
        {
            "layer": index + 1,
            "name": name,
            "rho": float(layers.r[index]),
            "p_spin": float(layers.p[index]),
            "p_corrected": float(omnibus.p_corrected[index]),
        }
        for index, name in enumerate(data.layer_names)
    ]
    group = {
        "largest": omnibus.statistic,
        "layer": omnibus.index + 1,
        "name": data.layer_names[omnibus.index],
        "p_omnibus": omnibus.p,
        "n_spins": alignment.n_spins,
        "method": alignment.method,
    }
    writer.table("statmap", LAYER_COLUMNS, rows, desc="layeralignment", Group=group)


def write_vertices(
    writer: TableWriter,
    accuracy: GroupAccuracy,
    preference: GroupPreference,
    gradient: NDArray[np.float64],
) -> None:
    """The vertices of the mask, which the figures of the page are drawn from."""
    n_left = len(gradient) // 2
    values = {
        "gradient": gradient,
        "accuracy": accuracy.layer_mean_r,
        "slope": preference.mean,
        "slope_p": preference.p,
        "centroid": preference.centroid,
        "best_layer": preference.argmax,
        "stability": preference.stability,
    }
    rows = [
        {
            "hemisphere": "L" if vertex < n_left else "R",
            "vertex": int(vertex if vertex < n_left else vertex - n_left),
        }
        | {name: float(one[vertex]) for name, one in values.items()}
        for vertex in np.flatnonzero(accuracy.mask)
    ]
    writer.table("statmap", VERTEX_COLUMNS, rows, desc="vertices")


def write_analyses(
    writer: TableWriter,
    synchrony: IscOutcome,
    music: MusicNull,
    alignment: AlignmentReport | None,
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
    parts = {
        "left": alignment and alignment.left,
        "right": alignment and alignment.right,
        "without auditory cortex": alignment and alignment.without_auditory,
    }
    few = f"fewer than {MIN_VERTICES} vertices of the mask with a gradient value"
    rows += [
        {
            "analysis": "alignment",
            "part": part,
            "state": "done" if result else "left out",
            "reason": "" if result else few,
        }
        for part, result in parts.items()
        if alignment is not None
    ]
    rows.append(
        {
            "analysis": "mask",
            "part": accuracy.mask_kind,
            "state": "done",
            "reason": "" if accuracy.mask_kind == "significant" else "too few vertices significant",
        }
    )
    writer.table("summary", ANALYSIS_COLUMNS, rows, desc="analyses")


def _rows(columns: Mapping[str, Any], n_rows: int) -> list[dict[str, float]]:
    """Columns to rows; what was not computed is NaN."""
    full = {
        name: np.full(n_rows, np.nan) if values is None else values
        for name, values in columns.items()
    }
    return [{name: float(values[k]) for name, values in full.items()} for k in range(n_rows)]


SPIN_COLUMNS = {
    "statistic": "mean atanh(rho) over participants for one rotation of the gradient",
    "statistic_partial": "the same given accuracy",
    "statistic_left": "left hemisphere only",
    "statistic_right": "right hemisphere only",
    "statistic_without_auditory": f"without vertices within {AUDITORY_RADIUS:g} mm of Heschl's "
    "gyrus",
    "largest_layer": "largest absolute correlation over layers for one rotation",
}
FLIP_COLUMNS = {
    "accuracy": "largest t of the accuracy over layers and vertices for one flip of signs",
    "tfce": "largest enhanced value over layers and vertices",
    "layer_mean": "largest t of the layer-averaged accuracy",
    "slope": "largest absolute t of the residual slope",
}
LAYER_COLUMNS = {
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "rho": "correlation of the layer's group accuracy with the gradient inside the mask",
    "p_spin": "two-sided spin p, not corrected over layers",
    "p_corrected": "two-sided spin p, corrected by the largest absolute correlation over layers",
}
VERTEX_COLUMNS = {
    "hemisphere": "L or R",
    "vertex": "number within the hemisphere, from 0",
    "gradient": "value of the gradient",
    "accuracy": "layer-averaged accuracy (r)",
    "slope": "mean residual slope over participants",
    "slope_p": "two-sided sign-flip max-T p of the slope",
    "centroid": "center of mass of the positive group-mean profile, in layers",
    "best_layer": "best layer of the group-mean profile (1-based; display only)",
    "stability": "share of bootstrap samples of participants with the same best layer",
}
ANALYSIS_COLUMNS = {
    "analysis": "isc, music (null over music), alignment or mask",
    "part": "stimulus, or part of the analysis",
    "state": "done or left out",
    "reason": "why it was left out",
}
