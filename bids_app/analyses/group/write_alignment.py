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
    alignment_inputs,
    alignment_settings,
)
from bids_app.analyses.group.analysis import ACCURACIES, OVER_MUSIC, GroupAnalysis
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.depth_controls import BLOCKS, CONTROL_COLUMNS
from bids_app.analyses.group.music_alignment import CURVATURE, SLOPE, layer_measure
from bids_app.analyses.group.preference import GroupPreference
from bids_app.analyses.group.write import GroupWriter
from bids_app.outputs import ALIGNMENT_DESC, CONTROLS_DESC
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
        Sources=list(result.gradient.sources),
    )
    tested, gradient = bool(result.music.tests), result.gradient.sources
    writer.rest_on(OVER_MUSIC if tested else (ACCURACIES,), of_features=tested, also=gradient)
    _write_participants(writer, data, result, accuracy)
    _write_bins(writer, data, result)
    _write_spins(writer, data, result)
    _write_music(writer, data, result)
    _write_layers(writer, data, result)
    _write_vertices(writer, accuracy, preference, result)
    why = {"LeftOut": {BLOCKS: result.controls.no_blocks}} if result.controls.no_blocks else {}
    writer.table("statmap", CONTROL_COLUMNS, result.controls.rows, desc=CONTROLS_DESC, Group=why)


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
        "z_curvature": nothing
        if alignment.curvature is None
        else alignment.curvature.participants_z,
        **{
            f"z_{layer_measure(index)}": values for index, values in enumerate(alignment.layers_z.T)
        },
    }
    described = ALIGNMENT_COLUMNS | {
        f"z_{layer_measure(index)}": f"atanh of the correlation of the accuracy of {name} with the "
        "gradient"
        for index, name in enumerate(data.layer_names)
    }
    rows = [
        {"participant_id": f"sub-{label}"}
        | {name: float(values[index]) for name, values in columns.items()}
        for index, label in enumerate(data.participants)
    ]
    group = alignment_summary(alignment, accuracy, data) | {"gradient": alignment.gradient.record}
    writer.table("statmap", described, rows, desc=ALIGNMENT_DESC, Group=group)


def _write_bins(writer: GroupWriter, data: GroupData, alignment: AlignmentReport) -> None:
    bins, over_music = alignment.bins, alignment.music.bins_p
    bin_rows = [
        {
            "bin": index + 1,
            "gradient_low": float(bins.edges[index]),
            "gradient_high": float(bins.edges[index + 1]),
            "n_vertices": int(bins.count[index]),
            "layer": layer + 1,
            "name": name,
            "r": float(bins.mean[index, layer]),
            "p_music": float("nan") if over_music is None else float(over_music[index, layer]),
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
        **{
            f"statistic_{name}": nothing if found is None else found.null
            for name, found in (
                ("curvature", alignment.curvature),
                ("curvature_partial", alignment.curvature_partial),
            )
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


def _write_music(writer: GroupWriter, data: GroupData, alignment: AlignmentReport) -> None:
    """One row per draw of the music's phases, the same draw for everything about the study."""
    tests = alignment.music.tests
    if not tests:
        return
    length = max(len(one.draws) for one in tests.values())
    drawn = {
        name: np.pad(
            one.draws.astype(np.float64), (0, length - len(one.draws)), constant_values=np.nan
        )
        for name, one in tests.items()
    }
    told = {
        SLOPE: "mean correlation of the residual slope with the ranks of the gradient",
        CURVATURE: "the same of the curvature",
    } | {
        layer_measure(index): f"the same of the accuracy of layer {index + 1} ({name})"
        for index, name in enumerate(data.layer_names)
    }
    writer.table("", {name: told[name] for name in drawn}, rows_of(drawn), desc="musicnulls")


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
            **{f"p_{test.level}": test.p for test in alignment.layer_levels(index)[:2]},
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


def alignment_summary(
    alignment: AlignmentReport, accuracy: GroupAccuracy, data: GroupData
) -> dict[str, Any]:
    """The group's numbers, as the table's sidecar and the report give them.

    ``tests`` holds what claims are decided from; what is claimed is in the table of claims.
    """
    plain, partial = alignment.plain, alignment.partial
    music = alignment.music.tests.get(SLOPE)
    return {
        "statistic": plain.statistic,
        "rho_mean": plain.r,
        "p_spin": plain.p,
        "statistic_partial": partial.statistic,
        "rho_mean_partial": partial.r,
        "p_spin_partial": partial.p,
        "t": plain.t,
        "p_t": plain.t_p,
        "df": plain.df,
        "people_scale": alignment.people_scale,
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
        "p_music": float("nan") if music is None else music.p,
        "tests": _tests(alignment, data),
        "MusicRefits": alignment.music.record,
    }


def _tests(alignment: AlignmentReport, data: GroupData) -> dict[str, Any]:
    """Of every measure: the tests as computed, and which columns of the tables correct them."""
    measures: dict[str, Any] = {
        SLOPE: {
            "statistic": alignment.plain.r,
            "people": "z",
            "spins": "statistic",
            "spins_partial": "statistic_partial",
            "doubt": alignment.doubt,
            "tests": [one.record for one in alignment.levels(SLOPE)],
        }
    }
    if alignment.curvature is not None:
        measures[CURVATURE] = {
            "statistic": alignment.curvature.r,
            "people": "z_curvature",
            "spins": "statistic_curvature",
            "spins_partial": "statistic_curvature_partial",
            "tests": [one.record for one in alignment.levels(CURVATURE)],
        }
    return measures | {
        layer_measure(index): {
            "name": name,
            "statistic": float(alignment.layers.r[index]),
            "people": f"z_{layer_measure(index)}",
            "spins": layer_measure(index),
            "tests": [one.record for one in alignment.layer_levels(index)],
        }
        for index, name in enumerate(data.layer_names)
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
    "z_curvature": "atanh of the correlation of curvature and gradient",
}
BIN_COLUMNS = {
    "bin": "equal-count bin of the gradient inside the mask, 1 is lowest",
    "gradient_low": "smallest gradient value of the bin",
    "gradient_high": "smallest gradient value of the next bin (largest of all for the last)",
    "n_vertices": "vertices in the bin",
    "layer": "number of the layer",
    "name": "name of the layer",
    "r": "mean group accuracy",
    "p_music": "one-sided p over music, not corrected; describes, since the bins follow the data",
}

SPIN_COLUMNS = {
    "statistic": "mean atanh(rho) over participants for one rotation of the gradient",
    "statistic_partial": "the same given accuracy",
    "statistic_left": "left hemisphere only",
    "statistic_right": "right hemisphere only",
    "statistic_without_auditory": f"without vertices within {AUDITORY_RADIUS:g} mm of Heschl's "
    "gyrus",
    "statistic_curvature": "of the curvature",
    "statistic_curvature_partial": "of the curvature given accuracy",
    "largest_layer": "largest absolute correlation over layers for one rotation",
}
LAYER_COLUMNS = {
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "rho": "correlation of the layer's group accuracy with the gradient inside the mask",
    "p_spin": "two-sided spin p, not corrected over layers",
    "p_corrected": "two-sided spin p, corrected by the largest absolute correlation over layers",
    "p_people": "two-sided t test over participants' correlations, not corrected",
    "p_music": "two-sided p over music, not corrected (the table of claims has p that are)",
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
    inputs=alignment_inputs,
    option="--gradient",
    page=Shown(tell_alignment, (alignment_sections,)),
)
