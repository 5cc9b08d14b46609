"""The parts of a participant's page that show maps: accuracy, layer preference, best vertices."""

from __future__ import annotations

import numpy as np

from bids_app.outputs import sidecar_of
from bids_app.report.brain import ColorScale, border_of, layers_figure, surface_figure
from bids_app.report.charts import predicted_figure, profile_figure
from bids_app.report.fading import Fading, corrected, participant_fading
from bids_app.report.page import (
    Block,
    Missing,
    Section,
    Table,
    Text,
    Verdict,
    number,
    percent,
    picture,
)
from bids_app.report.sources import FloatArray, GroupFiles, ParticipantFiles, column, to_float
from bids_app.statistics import SIGNIFICANCE, p_number
from bids_app.surface.mesh import SurfaceMesh

N_BEST = 100


def layer_sections(files: ParticipantFiles) -> list[Section]:
    """Accuracy and preference of a model's layers."""
    return [
        accuracy_section(files, files.mesh),
        preference_section(files, files.mesh),
        profile_section(files),
    ]


def accuracy_section(files: ParticipantFiles, mesh: SurfaceMesh) -> Section:
    """How well the layers predict the responses."""
    section = Section("accuracy", "Accuracy")
    section.add("highest accuracy over layers", lambda: best_layer_picture(files, mesh))
    section.add(
        "accuracy of every layer",
        lambda: every_layer_picture(files, mesh, participant_fading(files)),
    )
    section.add("layers in numbers", lambda: layers_table(files))
    return section


def best_layer_picture(files: ParticipantFiles, mesh: SurfaceMesh) -> Block:
    """Highest accuracy over layers, faded by p, with the significant part outlined."""
    best = files.accuracy.max(axis=0)
    fading = participant_fading(files)
    inside = np.zeros(best.shape, dtype=bool)
    if fading.p is not None:
        inside = corrected(fading.p) < SIGNIFICANCE
    border, why = border_of(inside, best)
    scale = ColorScale.accuracy("highest accuracy over layers (Pearson r)", best)
    line = (
        f"The black line surrounds the {int(inside.sum())} vertices with q < .05 (p of the best"
        " layer times the number of layers, over vertices)."
        if border is not None
        else f"q < .05 at {int(inside.sum())} vertices: {why}."
    )
    return picture(
        surface_figure(best, scale, mesh=mesh, outline=border, opacity=fading.opacity),
        alt="Highest prediction accuracy over layers on the inflated cortex, lateral and medial"
        f" views of both hemispheres; {int(inside.sum())} vertices with q < .05",
        caption="Highest accuracy over layers: correlation of predicted and measured responses to"
        " music the model was not fitted to. A maximum over layers is above zero by chance. "
        + " ".join([fading.words, line]),
        source=f"{files.map_label('r')}, {files.map_label('p')}",
    )


def every_layer_picture(
    files: ParticipantFiles | GroupFiles,
    mesh: SurfaceMesh,
    fading: Fading,
    what: str = "Accuracy",
) -> Block:
    """Small multiples on one scale."""
    maps = files.accuracy
    titles = [f"{k} {name}" for k, name in enumerate(files.layer_names, start=1)]
    scale = ColorScale.accuracy("accuracy (Pearson r)", maps)
    return picture(
        layers_figure(maps, titles, scale, mesh=mesh, opacity=fading.layers),
        alt=f"{what} of each of {len(maps)} layers on lateral views of both hemispheres",
        caption=f"{what} of every layer, all on one scale; lateral views, left and right."
        f" {fading.words}",
        source=files.map_label("r"),
        dpi=90,
    )


def layers_table(files: ParticipantFiles) -> Block:
    """The layer summary as it is in the derivatives; maxima with their p."""
    p = participant_fading(files).p
    return Table(
        "Layers (p of the highest r: times the number of vertices)",
        ["layer", "name", "units", "mean r", "highest r", "p", "vertices with q < .05"],
        [
            [
                str(k + 1),
                row["name"],
                number(to_float(row["n_units"])),
                number(to_float(row["mean_r"]), 4),
                *_highest(files.accuracy[k], None if p is None else p[k]),
                percent(to_float(row["share_q05"])),
            ]
            for k, row in enumerate(files.layers)
        ],
        numeric=(2, 3, 4, 5, 6),
    )


def _highest(accuracy: FloatArray, p: FloatArray | None) -> tuple[str, str]:
    """The highest r of a layer and its p corrected over vertices; nothing without p."""
    if p is None:
        return "n/a", "not tested"
    vertex = int(np.nanargmax(accuracy))
    return number(accuracy[vertex]), p_number(min(1.0, p[vertex] * int(np.isfinite(p).sum())))


def preference_section(files: ParticipantFiles, mesh: SurfaceMesh) -> Section:
    """Which layers a vertex prefers."""
    section = Section("preference", "Layer preference")
    if reason := files.preference_missing:
        section.blocks.append(Missing("layer preference", reason))
        return section
    section.blocks.append(
        Text(
            "Positive slope: deeper layers predict the vertex better than the reference profile"
            " would let one expect; negative: shallower layers do. Center of mass and best layer"
            " follow the accuracy as well and are shown for description only."
        )
    )
    section.blocks += doubt_blocks(files)
    section.add("residual slope", lambda: slope_picture(files, mesh))
    section.add("curvature", lambda: curvature_picture(files, mesh, participant_fading(files)))
    section.add("center of mass", lambda: centroid_picture(files, mesh, "centroid"))
    section.add("best layer", lambda: centroid_picture(files, mesh, "argmax"))
    return section


NO_SLOPE = (
    "Nothing is claimed of the slope. A reference profile of another shape would separate both:"
    " other layers, or --slope-model linear where only curvature stands in the way."
)


def doubt_blocks(files: ParticipantFiles | GroupFiles) -> list[Block]:
    """That the slope cannot be separated from accuracy, where it cannot."""
    if not files.slope_doubt:
        return []
    return [Verdict(f"The {files.slope_doubt}. {NO_SLOPE}", "warning")]


def regressed_out(files: ParticipantFiles | GroupFiles) -> str:
    """What was taken out of a profile before its slope."""
    linear = files.settings.get("Settings", {}).get("slope_model") == "linear"
    return "the reference profile" + ("" if linear else " and curvature")


def slope_picture(files: ParticipantFiles, mesh: SurfaceMesh) -> Block:
    """The primary measure of preference."""
    slope = files.map("slope", desc="layerpref")[0]
    if not np.isfinite(slope).any():
        reason = files.settings.get("ReferenceMissing") or "every vertex is undefined"
        return Missing("residual slope", str(reason))
    depth = files.settings.get("Features", {}).get("LayerDepthDefinition", "0 to 1")
    fading = participant_fading(files)
    scale = ColorScale.diverging("residual slope (r per network depth)", slope)
    return picture(
        surface_figure(slope, scale, mesh=mesh, opacity=fading.opacity),
        alt="Residual slope of the layer profile on the inflated cortex, lateral and medial views"
        " of both hemispheres; positive values prefer deep layers",
        caption=f"Layer preference: slope over depth ({depth}) of what is left"
        f" of the accuracy profile after {regressed_out(files)} are regressed out. Red prefers deep"
        " layers, blue shallow ones. Untested: only the group level tests it. Of the accuracy:"
        f" {fading.words}",
        source=files.map_label("slope", desc="layerpref"),
    )


def curvature_picture(
    files: ParticipantFiles | GroupFiles, mesh: SurfaceMesh, fading: Fading
) -> Block:
    """Middle layers against both ends of the network, beside the slope."""
    values = files.map("curvature", desc="layerpref")[0]
    if not np.isfinite(values).any():
        reason = files.settings.get("ReferenceMissing") or "it needs five different depths"
        return Missing("curvature", str(reason))
    scale = ColorScale.diverging("curvature (r per square of depth)", values)
    return picture(
        surface_figure(values, scale, mesh=mesh, opacity=fading.opacity),
        alt="Curvature of the layer profile on the inflated cortex, lateral and medial views of"
        " both hemispheres; negative values prefer middle layers",
        caption="Curvature: coefficient of squared depth, beside depth and the reference profile."
        " Red: both ends of the network predict better than the reference lets expect; blue:"
        " layers in the middle do. A vertex with curvature alone has a slope of zero. Of the"
        f" accuracy: {fading.words}",
        source=files.map_label("curvature", desc="layerpref"),
    )


def centroid_picture(files: ParticipantFiles, mesh: SurfaceMesh, stat: str) -> Block:
    """Center of mass or best layer, in layers."""
    values = files.map(stat, desc="layerpref")[0]
    n_layers = len(files.layer_names)
    if stat == "centroid":
        what = "center of mass of the positive profile"
        scale = ColorScale.ordered(f"{what} (layer)", values)
    else:
        what = "best layer"
        scale = ColorScale(what, 1.0, float(n_layers), "viridis", whole=True)
    fading = participant_fading(files)
    return picture(
        surface_figure(values, scale, mesh=mesh, opacity=fading.opacity),
        alt=f"{what.capitalize()} per vertex on the inflated cortex, lateral and medial views",
        caption=f"{what.capitalize()}, in layers from 1 to {n_layers}. For description: it follows"
        f" the accuracy as well as the preference. Of the accuracy: {fading.words}",
        source=files.map_label(stat, desc="layerpref"),
    )


def profile_section(files: ParticipantFiles) -> Section:
    """Accuracy per layer of the best vertices."""
    section = Section("profile", "Profile of the best vertices")
    section.add("profile of the best vertices", lambda: profile_picture(files))
    section.add("predicted and measured", lambda: predicted_picture(files))
    return section


def chance_words(files: ParticipantFiles) -> str:
    """That the best vertices are no better than chance, where no vertex is."""
    p = participant_fading(files).p
    if p is None or (corrected(p) < SIGNIFICANCE).any():
        return ""
    return " No vertex has q < .05: these are the best of chance."


def predicted_picture(files: ParticipantFiles) -> Block:
    """Time courses of the best vertices, and what the model says of them."""
    path = files.own_table("timeseries.tsv", model=files.model, desc="predicted")
    rows = files.table(path)
    panels: dict[str, dict[str, list[dict[str, str]]]] = {}
    for row in rows:
        vertex = f"{row['hemisphere']} {row['vertex']}"
        heard = f"{row['stimulus']} ({row['presentation']})"
        panels.setdefault(vertex, {}).setdefault(heard, []).append(row)
    series = [
        (
            vertex,
            [
                (heard, column(own, "time_s"), column(own, "measured"), column(own, "predicted"))
                for heard, own in heard_rows.items()
            ],
        )
        for vertex, heard_rows in panels.items()
    ]
    return picture(
        predicted_figure(series),
        alt=f"Measured and predicted time courses of {len(series)} vertices during"
        f" {len(series[0][1])} presentations",
        caption=f"Measured responses, and what layer {rows[0]['layer']} says of them where their"
        " piece was held out. These are the vertices that this layer predicts best, and of those"
        " whose responses are alike (r above .7) the best alone: they were chosen for"
        " what is shown. Both in SD of the measured response: predictions are small where the"
        f" penalty is large.{chance_words(files)}",
        source=files.name(path),
    )


def profile_picture(files: ParticipantFiles) -> Block:
    """Quantiles over the vertices of highest layer-averaged accuracy."""
    accuracy = files.accuracy
    averaged = accuracy.mean(axis=0)
    usable = np.flatnonzero(np.isfinite(averaged))
    best = usable[np.argsort(-averaged[usable], kind="stable")[:N_BEST]]
    names = files.layer_names
    reference = np.full(len(names), np.nan)
    if not files.preference_missing:
        slope = files.json(sidecar_of(files.map_path("L", "slope", desc="layerpref")))
        reference = np.array(slope.get("ReferenceProfile") or reference, dtype=float)
    return picture(
        profile_figure(accuracy[:, best], names, reference),
        alt=f"Accuracy per layer of the {len(best)} vertices with the highest layer-averaged"
        " accuracy: median, middle half and middle 90 percent",
        caption=f"Accuracy per layer of the {len(best)} vertices with the highest layer-averaged"
        " accuracy. They were chosen by this very accuracy, so its height is too good; its shape"
        " over layers is hardly affected, since the average over layers made the choice."
        + chance_words(files),
        source=files.map_label("r"),
    )
