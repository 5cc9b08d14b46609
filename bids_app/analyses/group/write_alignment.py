"""Tables of the alignment with the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from bids_app.analyses.group.accuracy import GroupAccuracy, rows_of
from bids_app.analyses.group.alignment import (
    AUDITORY_RADIUS,
    MIN_VERTICES,
    AlignmentReport,
    align_with_gradients,
    alignment_settings,
)
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.preference import GroupPreference
from bids_app.analyses.group.write import GroupWriter
from bids_app.outputs import ALIGNMENT_DESC
from bids_app.report.group import Shown, alignment_sections, tell_alignment


def write_alignment(
    writer: GroupWriter,
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference,
    result: AlignmentReport,
) -> None:
    """The alignment with one gradient, and the gradient."""
    writer.statmap(
        "value",
        result.gradient.values,
        ["gradient"],
        desc="gradient",
        description="cortical gradient on this mesh",
        Gradient=result.gradient.record,
    )
    _write_participants(writer, data, result, accuracy)
    _write_bins(writer, data, result)
    _write_spins(writer, data, result)
    _write_layers(writer, data, result)
    _write_vertices(writer, accuracy, preference, result)


def told_of_alignment(result: AlignmentReport) -> dict[str, Any]:
    """Parts of the cortex that were not looked at, and why."""
    few = f"fewer than {MIN_VERTICES} vertices of the mask with a gradient value"
    lacking = [part for part, found in result.parts.items() if found is None]
    names = {"without_auditory": "without auditory cortex"}
    return {"LeftOut": {names.get(part, part): few for part in lacking}}


def _write_participants(
    writer: GroupWriter, data: GroupData, alignment: AlignmentReport, accuracy: GroupAccuracy
) -> None:
    nothing = np.full(len(data.participants), np.nan)
    columns = {
        "rho": np.tanh(alignment.plain.participants_z),
        "z": alignment.plain.participants_z,
        "rho_partial": np.tanh(alignment.partial.participants_z),
        **{
            f"rho_{part}": np.tanh(found.participants_z) if found else nothing
            for part, found in alignment.parts.items()
        },
        "rho_without": alignment.plain.leave_one_out_r,
        "p_without": alignment.plain.leave_one_out_p,
    }
    rows = [
        {"participant_id": f"sub-{label}"}
        | {name: float(values[index]) for name, values in columns.items()}
        for index, label in enumerate(data.participants)
    ]
    group = alignment_summary(alignment, accuracy) | {"gradient": alignment.gradient.record}
    writer.table("statmap", ALIGNMENT_COLUMNS, rows, desc=ALIGNMENT_DESC, Group=group)


def _write_bins(writer: GroupWriter, data: GroupData, alignment: AlignmentReport) -> None:
    bins = alignment.bins
    bin_rows = [
        {
            "bin": index + 1,
            "gradient_low": float(bins.edges[index]),
            "gradient_high": float(bins.edges[index + 1]),
            "n_vertices": int(bins.count[index]),
            "layer": layer + 1,
            "name": name,
            "r": float(bins.mean[index, layer]),
        }
        for index in range(len(bins.count))
        for layer, name in enumerate(data.layer_names)
    ]
    writer.table("statmap", BIN_COLUMNS, bin_rows, desc="bins")


def _write_spins(writer: GroupWriter, data: GroupData, alignment: AlignmentReport) -> None:
    """One row per rotation of the gradient."""
    nothing = np.full(alignment.n_spins, np.nan)
    spins = {
        "statistic": alignment.plain.null,
        "statistic_partial": alignment.partial.null,
        **{
            f"statistic_{part}": found.null if found else nothing
            for part, found in alignment.parts.items()
        },
        "largest_layer": alignment.omnibus.null,
    }
    layers = {f"layer_{k}": null for k, null in enumerate(alignment.layers.null, start=1)}
    columns = SPIN_COLUMNS | {
        f"layer_{k}": f"correlation of the group accuracy of layer {k} ({name}) with the rotated "
        "gradient"
        for k, name in enumerate(data.layer_names, start=1)
    }
    writer.table("", columns, rows_of(spins | layers), desc="nulls")


def _write_layers(writer: GroupWriter, data: GroupData, alignment: AlignmentReport) -> None:
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


def _write_vertices(
    writer: GroupWriter,
    accuracy: GroupAccuracy,
    preference: GroupPreference,
    alignment: AlignmentReport,
) -> None:
    """The vertices of the mask, which the figures of the page are drawn from."""
    gradient = alignment.gradient.values
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


def alignment_summary(alignment: AlignmentReport, accuracy: GroupAccuracy) -> dict[str, Any]:
    """The group's numbers, as the table's sidecar and the report give them."""
    plain, partial = alignment.plain, alignment.partial
    return {
        "statement": alignment.statement,
        "claimed": alignment.claimed,
        "statistic": plain.statistic,
        "rho_mean": plain.r,
        "p_spin": plain.p,
        "statistic_partial": partial.statistic,
        "rho_mean_partial": partial.r,
        "p_spin_partial": partial.p,
        "t": plain.t,
        "p_t": plain.t_p,
        "df": plain.df,
        "ci_low": plain.ci_low,
        "ci_high": plain.ci_high,
        "cohen_d": plain.cohen_d,
        **{
            part: found and {"rho_mean": found.r, "p_spin": found.p}
            for part, found in alignment.parts.items()
        },
        "method": alignment.method,
        "n_spins": alignment.n_spins,
        "n_redrawn": alignment.n_redrawn,
        "mask": accuracy.mask_kind,
        "n_mask": alignment.n_mask,
    }


ALIGNMENT_COLUMNS = {
    "participant_id": "participant",
    "rho": "correlation (Group.method) of residual slope and gradient inside the mask",
    "z": "atanh(rho)",
    "rho_partial": "the same given the participant's layer-averaged accuracy",
    "rho_left": "left hemisphere only",
    "rho_right": "right hemisphere only",
    "rho_without_auditory": "without the surroundings of Heschl's gyrus",
    "rho_without": "group mean rho without this participant",
    "p_without": "spin p without this participant",
}
BIN_COLUMNS = {
    "bin": "equal-count bin of the gradient inside the mask, 1 is lowest",
    "gradient_low": "smallest gradient value of the bin",
    "gradient_high": "smallest gradient value of the next bin (largest of all for the last)",
    "n_vertices": "vertices in the bin",
    "layer": "number of the layer",
    "name": "name of the layer",
    "r": "mean group accuracy",
}

SPIN_COLUMNS = {
    "statistic": "mean atanh(rho) over participants for one rotation of the gradient",
    "statistic_partial": "the same given accuracy",
    "statistic_left": "left hemisphere only",
    "statistic_right": "right hemisphere only",
    "statistic_without_auditory": f"without vertices within {AUDITORY_RADIUS:g} mm of Heschl's "
    "gyrus",
    "largest_layer": "largest absolute correlation over layers for one rotation",
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
ALIGNMENTS = GroupAnalysis(
    "alignments",
    align_with_gradients,
    write=write_alignment,
    details=told_of_alignment,
    desc=ALIGNMENT_DESC,
    settings=alignment_settings,
    option="--gradient",
    page=Shown(tell_alignment, (alignment_sections,)),
)
