"""The parts of the group page that show maps: accuracy and layer preference."""

from __future__ import annotations

import numpy as np

from bids_app.group.claims import holds
from bids_app.plain import counted
from bids_app.report.brain import ColorScale, border_of, opacity_of, surface_figure
from bids_app.report.fading import LEGEND, group_fading
from bids_app.report.group_details import (
    left_out,
    music_check_text,
    stability_text,
    where_masked,
)
from bids_app.report.layer_maps import (
    curvature_picture,
    doubt_blocks,
    every_layer_picture,
    regressed_out,
)
from bids_app.report.page import Block, Missing, Section, Table, Text, named_number, number, picture
from bids_app.report.sources import BoolArray, FloatArray, GroupFiles, to_float
from bids_app.statistics import SIGNIFICANCE, p_number
from bids_app.surface.mesh import SurfaceMesh


def accuracy_section(files: GroupFiles) -> Section:
    """How well the layers predict, over participants."""
    mesh = files.mesh
    section = Section("accuracy", "Accuracy")
    section.add("accuracy and its significance", lambda: best_layer_picture(files, mesh))
    section.add("layer-averaged accuracy", lambda: layer_mean_picture(files, mesh))
    section.add(
        "accuracy of every layer",
        lambda: every_layer_picture(files, mesh, group_fading(files), "Mean accuracy"),
    )
    section.add("layers in numbers", lambda: layers_table(files))
    section.add("threshold-free cluster enhancement", lambda: tfce_text(files))
    section.add("check of the null over music", lambda: music_check_text(files))
    section.add("participants per vertex", lambda: coverage_text(files))
    return section


def best_layer_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Highest group accuracy over layers; outlined where some layer predicts the vertex."""
    best = files.accuracy.max(axis=0)
    inside, levels = _over_both(files, files.map("p", desc="maxt"), "music")
    fading = group_fading(files)
    border, why = border_of(inside, best)
    scale = ColorScale.accuracy("highest mean accuracy over layers (Pearson r)", best)
    return picture(
        surface_figure(best, scale, mesh=mesh, outline=border, opacity=fading.opacity),
        alt="Highest mean accuracy over layers on the inflated cortex, lateral and medial views of"
        f" both hemispheres, {int(inside.sum())} significant vertices outlined",
        caption="Mean accuracy over participants, highest over layers. "
        + (
            f"The black line surrounds the {int(inside.sum())} vertices that some layer predicts"
            f" ({levels}; over people corrected for the maximum over layers and vertices)."
            if border is not None
            else f"Predicted: {_vertices(inside)} ({levels}): {why}."
        )
        + f" {fading.words}",
        source=f"{files.map_label('r')}, {files.map_label('p', desc='maxt')},"
        f" {files.map_label('q', desc='music')}",
    )


def layer_mean_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Layer-averaged accuracy, whose significance is the mask of the preference."""
    mean = files.map("r", desc="layermean")[0]
    inside, levels = _over_both(files, files.map("p", desc="layermean"), "layermeanmusic")
    p, what = files.map("p", desc="layermean")[0], "over people (corrected over vertices)"
    if files.map_path("L", "p", desc="layermeanmusic").is_file():
        p = np.maximum(p, files.map("p", desc="layermeanmusic")[0])
        what = f"the larger of p {what} and p over music"
    border, why = border_of(inside, mean)
    scale = ColorScale.accuracy("layer-averaged accuracy (Pearson r)", mean)
    return picture(
        surface_figure(mean, scale, mesh=mesh, outline=border, opacity=opacity_of(p)),
        alt="Layer-averaged accuracy on the inflated cortex, lateral and medial views of both"
        f" hemispheres, {int(inside.sum())} significant vertices outlined",
        caption="Accuracy averaged over layers and participants. It does not look at differences"
        " between layers, so where it is significant may serve as the mask of the layer"
        f" preference: {_vertices(inside)} ({'outlined' if border is not None else why}; {levels})."
        f" {LEGEND} ({what}).",
        source=f"{files.map_label('r', desc='layermean')},"
        f" {files.map_label('p', desc='layermean')}",
    )


def layers_table(files: GroupFiles) -> Block:
    """The layer summary as it is in the derivatives; one number of vertices, maxima with p."""
    people = files.map("p", desc="maxt")
    rows = files.rows("summary.tsv", desc="layers")
    highest = [int(np.nanargmax(row)) for row in files.accuracy]
    return Table(
        f"Layers (mean {where_masked(files)}; p of the highest r: over people, corrected over"
        " layers and vertices; predicted: vertices over people and music)",
        ["layer", "name", "mean r", "highest r", "p", "predicted"],
        [
            [
                row["layer"],
                row["name"],
                number(to_float(row["mean_r"]), 4),
                number(files.accuracy[k, highest[k]]),
                p_number(people[k, highest[k]]),
                number(to_float(row.get("n_predicted"))),
            ]
            for k, row in enumerate(rows)
        ],
        numeric=(2, 3, 4, 5),
    )


def tfce_text(files: GroupFiles) -> Block:
    """What the test says that looks at extended effects."""
    inside = _significant(files.map("p", desc="tfce"))
    return Text(
        f"Threshold-free cluster enhancement: {_vertices(inside)} with"
        " p < .05 in some layer over people, corrected for the maximum over layers and vertices."
        " It finds extended effects and cannot say which vertex of them is meant."
    )


def prevalence_section(files: GroupFiles) -> list[Section]:
    """How many participants are predicted by themselves; no section where nobody counted."""
    path = files.file("summary.tsv", desc="prevalence")
    if not path.is_file():
        return []
    section = Section("prevalence", "How many participants show it")
    if not files.cells(path)[1]:
        reason = "; ".join(left_out(files, "prevalence")) or "nothing was counted"
        section.blocks.append(Missing("participants who show it", reason))
        return [section]
    section.add("participants who show it", lambda: prevalence_blocks(files))
    section.add("prevalence of every vertex", lambda: prevalence_picture(files, files.mesh))
    return [section]


def prevalence_blocks(files: GroupFiles) -> list[Block]:
    """Participants in whom something is predicted, layer by layer and in all."""
    rows = files.rows("summary.tsv", desc="prevalence")
    *layers, every = rows
    return [
        Text(
            f"{every['n_shown']} of {every['n']} participants show by themselves that some layer"
            " predicts some vertex (p of their own < .05 over all vertices and layers):"
            f" {_share(every)}. Of people in whom nothing is predicted .05 would show it too, so"
            " that the prevalence is (k/n - .05) / .95, and the least it can be, since a test"
            " misses some."
        ),
        Table(
            "Participants in whom a layer predicts some vertex (own p < .05 over vertices)",
            ["layer", "participants", "of", "prevalence", "95 % from", "to"],
            [
                [
                    row["layer"],
                    row["n_shown"],
                    row["n"],
                    *(
                        f"{to_float(row[name]):.2f}"
                        for name in ("prevalence", "prevalence_low", "prevalence_high")
                    ),
                ]
                for row in layers
            ],
            numeric=range(1, 6),
        ),
    ]


def _share(row: dict[str, str]) -> str:
    share, low, high = (
        100 * to_float(row[name]) for name in ("prevalence", "prevalence_low", "prevalence_high")
    )
    return f"at least {share:.0f} % of people (exact 95 % interval {low:.0f} to {high:.0f} %)"


def prevalence_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Highest prevalence over layers at every vertex."""
    highest = files.map("prevalence").max(axis=0)
    shown = files.map("n", desc="shown")
    most = int(np.nanmax(shown))
    fading = group_fading(files)
    scale = ColorScale("highest prevalence over layers", 0.0, 1.0)
    return picture(
        surface_figure(highest, scale, mesh=mesh, opacity=fading.opacity),
        alt="Highest prevalence over layers on the inflated cortex, lateral and medial views of"
        " both hemispheres",
        caption=f"Prevalence, the highest over layers: at most {most} participants show the same"
        " vertex and layer (p of their own < .05, not corrected). The highest of many layers is"
        " above zero by chance; the maps of single layers are not. Of the accuracy:"
        f" {fading.words}",
        source=f"{files.map_label('prevalence')}, {files.map_label('n', desc='shown')}",
    )


def coverage_text(files: GroupFiles) -> Block:
    """How many participants stand behind each vertex."""
    count = files.map("n")[0]
    most = int(np.nanmax(count))
    fewer = int(np.nansum(count < most))
    return Text(
        f"Every result rests on all {most} participants; {fewer} of {len(count)} vertices are left"
        " out, since somebody has none there (medial wall, or no signal)."
    )


def preference_section(files: GroupFiles) -> Section:
    """Which layers a vertex prefers, over participants."""
    mesh = files.mesh
    section = Section("preference", "Layer preference")
    if reason := files.preference_missing:
        section.blocks.append(Missing("layer preference", reason))
        return section
    section.blocks += doubt_blocks(files)
    section.add("residual slope", lambda: slope_picture(files, mesh))
    section.add("curvature", lambda: curvature_picture(files, mesh, group_fading(files)))
    section.add("slope and curvature in numbers", lambda: measures_table(files))
    section.add("center of mass", lambda: centroid_picture(files, mesh))
    section.add("stability of the best layer", lambda: stability_text(files))
    return section


def slope_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Mean residual slope; outlined where it differs from zero."""
    slope = files.map("slope", desc="layerpref")[0]
    if not np.isfinite(slope).any():
        return Missing("residual slope", "every vertex is undefined")
    inside, levels = _over_both(files, files.map("p", desc="layerpref"), "layerprefmusic")
    fading = group_fading(files)
    border, why = border_of(inside, slope)
    scale = ColorScale.diverging("mean residual slope (r per network depth)", slope)
    return picture(
        surface_figure(slope, scale, mesh=mesh, outline=border, opacity=fading.opacity),
        alt="Mean residual slope on the inflated cortex, lateral and medial views of both"
        f" hemispheres, {int(inside.sum())} significant vertices outlined",
        caption="Layer preference: mean residual slope over participants. Red prefers deep layers,"
        f" blue shallow ones, after {regressed_out(files)} of the group are regressed out. "
        + (
            f"Outlined: {int(inside.sum())} vertices ({levels}; over people two-sided max-T)."
            if border is not None
            else f"Different from zero: {_vertices(inside)} ({levels}): {why}."
        )
        + f" Of the accuracy: {fading.words}",
        source=f"{files.map_label('slope', desc='layerpref')},"
        f" {files.map_label('p', desc='layerpref')}",
    )


def measures_table(files: GroupFiles) -> Block:
    """Slope and curvature over the mask, as in the derivatives."""
    columns = ("mean", "sd", "lowest", "highest", "largest_t", "lowest_p", "n_significant")
    return Table(
        f"Slope and curvature ({where_masked(files)})",
        ["", "mean", "sd", "lowest", "highest", "largest |t|", "lowest p", "vertices p < .05"],
        [
            [row["measure"], *(named_number(name, to_float(row[name])) for name in columns)]
            for row in files.rows("summary.tsv", desc="layerpref")
        ],
        numeric=tuple(range(1, 8)),
    )


def centroid_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Center of mass of the group's profile inside the mask."""
    values = files.map("centroid", desc="layerpref")[0]
    inside, _ = _over_both(files, files.map("p", desc="layermean"), "layermeanmusic")
    masked = bool(n_inside := int(inside.sum()))
    shown = np.where(inside, values, np.nan) if masked else values
    scale = ColorScale.ordered("center of mass of the profile (layer)", shown)
    fading = group_fading(files)
    return picture(
        surface_figure(shown, scale, mesh=mesh, opacity=None if masked else fading.opacity),
        alt="Center of mass of the mean accuracy profile on the inflated cortex, lateral and medial"
        " views of both hemispheres",
        caption="Center of mass of the positive group profile, in layers"
        + (
            f", where the layer-averaged accuracy is significant ({n_inside} vertices)."
            if masked
            else f". Of the accuracy: {fading.words}"
        )
        + " For description: it follows accuracy as well as preference.",
        source=files.map_label("centroid", desc="layerpref"),
    )


def _over_both(files: GroupFiles, people: FloatArray, music: str) -> tuple[BoolArray, str]:
    """Vertices where people and music both hold in some map, and in words what was needed.

    `music` is the description of the map of q. Without it nothing holds.
    """
    if not files.map_path("L", "q", desc=music).is_file():
        return np.zeros(people.shape[1], dtype=bool), "not tested over music"
    inside = np.asarray(holds(people, files.map("q", desc=music)).any(axis=0))
    return inside, "p < .05 over people and q < .05 over music"


def _vertices(inside: BoolArray) -> str:
    return counted(int(inside.sum()), "vertex", "vertices")


def _significant(p: FloatArray) -> BoolArray:
    """Vertices that pass in some map."""
    return np.asarray(np.nan_to_num(p, nan=1.0).min(axis=0) < SIGNIFICANCE)
