"""The page of the group: what holds over participants, graded by the tests behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_app.report.alignment import alignment_section, claim
from bids_app.report.brain import ColorScale, layers_figure, surface_figure
from bids_app.report.extras import clusters_section, emotion_section, isc_section
from bids_app.report.methods import group_methods
from bids_app.report.page import (
    Block,
    Facts,
    Missing,
    References,
    Section,
    Table,
    Text,
    Verdict,
    number,
    picture,
    write_page,
)
from bids_app.report.provenance import settings_blocks
from bids_app.report.sources import FloatArray, GroupFiles, column, to_float
from bids_app.surface.mesh import SurfaceMesh, load_mesh

LEVEL = 0.05


def write_group_report(output_dir: Path) -> Path:
    """Write ``group.html`` from the files of an output folder; nothing is computed again.

    Parameters
    ----------
    output_dir : Path
        The output folder.

    Returns
    -------
    Path
        The page. What is absent or cannot be drawn is shown as missing, with the reason.

    Raises
    ------
    CannotWriteError
        If the page cannot be written.
    """
    files = GroupFiles(Path(output_dir))
    mesh = load_mesh()
    sections = [
        summary_section(files),
        participants_section(files),
        accuracy_section(files, mesh),
        preference_section(files, mesh),
        alignment_section(files, mesh),
        isc_section(files, mesh),
        emotion_section(files, mesh),
        clusters_section(files),
        signs_section(files),
        methods_section(files),
        settings_section(files),
    ]
    return write_page(
        files.tree.group_report,
        title="Music encoding: group",
        subtitle="Group report of musenc-bidsapp",
        banner=control_banner(files),
        sections=sections,
    )


def control_banner(files: GroupFiles) -> str:
    """A warning where some participant's maps come from an untrained network."""
    untrained = []
    for path in sorted(files.root.glob("sub-*/func/sub-*_model-*_settings.json")):
        try:
            features = files.json(path).get("Features", {})
        except Exception:  # noqa: BLE001  (the participant's own page says what is wrong)
            continue
        if features.get("Untrained"):
            untrained.append(str(features.get("Weights", "random weights")))
    if not untrained:
        return ""
    return (
        f"The audio network was not trained ({', '.join(dict.fromkeys(untrained))}): this is a"
        " control. Nothing here says anything about the trained network."
    )


def summary_section(files: GroupFiles) -> Section:
    """The result in a few graded sentences."""
    section = Section("summary", "Summary")
    section.add("accuracy over participants", lambda: accuracy_verdict(files))
    section.add("alignment with the gradient", lambda: claim(files.alignment))
    section.add("summary of the result", lambda: summary_facts(files))
    return section


def accuracy_verdict(files: GroupFiles) -> Block:
    """Is any vertex predicted, over participants?"""
    rows = files.rows("summary.tsv", desc="layers")
    count = column(rows, "n_significant")
    if not np.nansum(count):
        return Verdict(
            "No vertex is predicted significantly over participants (sign flips, corrected for the"
            " maximum over layers and vertices, p < .05).",
            "warning",
        )
    best = rows[int(np.nanargmax(count))]
    return Verdict(
        f"Responses are predicted over participants: {number(np.nanmax(count))} vertices in layer"
        f" {best['layer']} ({best['name']}) have p < .05, corrected for the maximum over layers"
        " and vertices. This generalizes over people, not over music.",
        "good",
    )


def summary_facts(files: GroupFiles) -> Block:
    """Who and how many."""
    rows = files.rows("summary.tsv", desc="layers")
    highest = rows[int(np.nanargmax(column(rows, "max_r")))]
    participants = files.rows("summary.tsv", desc="participants")
    return Facts(
        [
            ("Participants in the tables", number(len(participants))),
            ("Layers", number(len(rows))),
            (
                "Highest mean accuracy",
                f"r = {number(to_float(highest['max_r']))} in layer {highest['layer']}"
                f" ({highest['name']})",
            ),
        ]
    )


def participants_section(files: GroupFiles) -> Section:
    """One row per participant."""
    section = Section("participants", "Participants")
    section.add("participants", lambda: participants_table(files))
    return section


def participants_table(files: GroupFiles) -> list[Block]:
    """The participants table as it is in the derivatives."""
    shown = {
        "participant_id": "participant",
        "status": "status",
        "mean_r": "mean r",
        "max_r": "highest r",
        "reference_vertices": "reference vertices",
        "n_degenerate": "vertices without a result",
        "settings_hash": "settings",
    }
    rows = files.rows("summary.tsv", desc="participants")
    numbers = {"mean_r": 4, "max_r": 3, "reference_vertices": 0, "n_degenerate": 0}
    body = [
        [
            number(to_float(row.get(name)), numbers[name])
            if name in numbers
            else row.get(name) or "n/a"
            for name in shown
        ]
        for row in rows
    ]
    blocks: list[Block] = [Table("Participants", list(shown.values()), body, numeric=(2, 3, 4, 5))]
    hashes = {row.get("settings_hash") for row in rows}
    if len(hashes) > 1:
        blocks.append(
            Verdict("The participants' maps were made with different settings.", "warning")
        )
    return blocks


def accuracy_section(files: GroupFiles, mesh: SurfaceMesh) -> Section:
    """How well the layers predict, over participants."""
    section = Section("accuracy", "Accuracy")
    section.add("accuracy and its significance", lambda: best_layer_picture(files, mesh))
    section.add("layer-averaged accuracy", lambda: layer_mean_picture(files, mesh))
    section.add("accuracy of every layer", lambda: every_layer_picture(files, mesh))
    section.add("layers in numbers", lambda: layers_table(files))
    section.add("participants per vertex", lambda: coverage_text(files))
    return section


def best_layer_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Highest group accuracy over layers; outlined where it is significant."""
    best = files.map("max", desc="layerpref")[0]
    p = files.map("p", desc="maxt")
    inside = _smallest(p) < LEVEL
    scale = ColorScale("highest mean accuracy over layers (Pearson r)", 0.0, _top(best))
    return picture(
        surface_figure(best, scale, mesh=mesh, outline=inside if inside.any() else None),
        alt="Highest mean accuracy over layers on the inflated cortex, lateral and medial views of"
        f" both hemispheres, {int(inside.sum())} significant vertices outlined",
        caption="Mean accuracy over participants, highest over layers. "
        + (
            f"The black line surrounds the {int(inside.sum())} vertices with p < .05 in some layer"
            " (one-sided sign flips, corrected for the maximum over layers and vertices)."
            if inside.any()
            else "No vertex is significant (sign flips, corrected for the maximum over layers and"
            " vertices), so there is no outline."
        ),
        source=f"{files.map_label('max', desc='layerpref')}, {files.map_label('p', desc='maxt')}",
    )


def layer_mean_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Layer-averaged accuracy, whose significance is the mask of the preference."""
    mean = files.map("r", desc="layermean")[0]
    inside = np.nan_to_num(files.map("p", desc="layermean")[0], nan=1.0) < LEVEL
    scale = ColorScale("layer-averaged accuracy (Pearson r)", 0.0, _top(mean))
    return picture(
        surface_figure(mean, scale, mesh=mesh, outline=inside if inside.any() else None),
        alt="Layer-averaged accuracy on the inflated cortex, lateral and medial views of both"
        f" hemispheres, {int(inside.sum())} significant vertices outlined",
        caption="Accuracy averaged over layers and participants. It does not look at differences"
        f" between layers, so its {int(inside.sum())} significant vertices (outlined; max-T"
        " p < .05) may serve as the mask of the layer preference.",
        source=f"{files.map_label('r', desc='layermean')}, {files.map_label('p', desc='layermean')}",
    )


def every_layer_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Small multiples on one scale."""
    maps = files.accuracy
    titles = [
        f"{k} {name}: {np.nanmax(row):.2f}"
        for k, (name, row) in enumerate(zip(files.layer_names, maps, strict=True), start=1)
    ]
    return picture(
        layers_figure(maps, titles, ColorScale("accuracy (Pearson r)", 0.0, _top(maps)), mesh=mesh),
        alt=f"Mean accuracy of each of {len(maps)} layers on lateral views of both hemispheres",
        caption="Mean accuracy of every layer, all on one scale; lateral views, left and right. The"
        " number is the highest r of the layer.",
        source=files.map_label("r"),
        dpi=90,
    )


def layers_table(files: GroupFiles) -> Block:
    """The layer summary as it is in the derivatives."""
    return Table(
        "Layers (mean inside the mask)",
        ["layer", "name", "mean r", "highest r", "significant vertices"],
        [
            [
                row["layer"],
                row["name"],
                number(to_float(row["mean_r"]), 4),
                number(to_float(row["max_r"])),
                number(to_float(row["n_significant"])),
            ]
            for row in files.rows("summary.tsv", desc="layers")
        ],
        numeric=(2, 3, 4),
    )


def coverage_text(files: GroupFiles) -> Block:
    """How many participants stand behind each vertex."""
    count = files.map("n")[0]
    most = int(np.nanmax(count))
    fewer = int(np.nansum(count < most))
    return Text(
        f"Every vertex rests on up to {most} participants; {fewer} of {len(count)} vertices on"
        " fewer (medial wall, or no signal in somebody)."
    )


def preference_section(files: GroupFiles, mesh: SurfaceMesh) -> Section:
    """Which layers a vertex prefers, over participants."""
    section = Section("preference", "Layer preference")
    section.add("residual slope", lambda: slope_picture(files, mesh))
    section.add("center of mass", lambda: centroid_picture(files, mesh))
    return section


def slope_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Mean residual slope; outlined where it differs from zero."""
    slope = files.map("slope", desc="layerpref")[0]
    if not np.isfinite(slope).any():
        return Missing("residual slope", "every vertex is undefined")
    inside = np.nan_to_num(files.map("p", desc="layerpref")[0], nan=1.0) < LEVEL
    top = float(np.nanquantile(np.abs(slope), 0.98))
    scale = ColorScale("mean residual slope (r per network depth)", -top, top, "coolwarm")
    return picture(
        surface_figure(slope, scale, mesh=mesh, outline=inside if inside.any() else None),
        alt="Mean residual slope on the inflated cortex, lateral and medial views of both"
        f" hemispheres, {int(inside.sum())} significant vertices outlined",
        caption="Layer preference: mean residual slope over participants. Red prefers deep layers,"
        " blue shallow ones, relative to the group's reference profile. "
        + (
            f"Outlined: {int(inside.sum())} vertices with p < .05 (two-sided sign flips, max-T)."
            if inside.any()
            else "No single vertex differs from zero (two-sided sign flips, max-T, p < .05)."
        ),
        source=f"{files.map_label('slope', desc='layerpref')},"
        f" {files.map_label('p', desc='layerpref')}",
    )


def centroid_picture(files: GroupFiles, mesh: SurfaceMesh) -> Block:
    """Center of mass of the group's profile inside the mask."""
    values = files.map("centroid", desc="layerpref")[0]
    inside = np.nan_to_num(files.map("p", desc="layermean")[0], nan=1.0) < LEVEL
    masked = bool(inside.any())
    shown = np.where(inside, values, np.nan) if masked else values
    low, high = (float(v) for v in np.nanquantile(shown, [0.02, 0.98]))
    return picture(
        surface_figure(
            shown,
            ColorScale("center of mass of the profile (layer)", low, high, "viridis"),
            mesh=mesh,
        ),
        alt="Center of mass of the mean accuracy profile on the inflated cortex, lateral and medial"
        " views of both hemispheres",
        caption="Center of mass of the positive group profile, in layers"
        + (", where the layer-averaged accuracy is significant." if masked else ", unmasked.")
        + " For description: it follows accuracy as well as preference.",
        source=files.map_label("centroid", desc="layerpref"),
    )


def signs_section(files: GroupFiles) -> Section:
    """What plus and minus mean."""
    section = Section("signs", "What the signs mean")
    orientation = "high values are transmodal (default mode), low values sensory and motor"
    try:
        record = files.alignment.get("gradient") or {}
        told = record.get("Orientation") if isinstance(record, dict) else None
    except Exception:  # noqa: BLE001  (the alignment's section says what is missing)
        told = None
    section.blocks.append(
        Facts(
            [
                ("Accuracy", "positive: the model predicts music it was not fitted to"),
                (
                    "Residual slope",
                    "positive: deeper layers than the reference profile; negative: shallower",
                ),
                ("Gradient", f"{orientation}{f'; {told}' if told else ''}"),
                (
                    "Alignment",
                    "positive: deep layers toward the transmodal end, shallow ones toward the"
                    " sensory end",
                ),
                ("Delays", "positive: the brain follows the music"),
                (
                    "Lagged correlation",
                    "rho_ij(h) = corr(i(t + h), j(t)): at positive h, j leads i",
                ),
            ]
        )
    )
    return section


def methods_section(files: GroupFiles) -> Section:
    """What a paper would say."""
    section = Section("methods", "Methods")

    def build() -> list[Block]:
        try:
            alignment = files.alignment
        except Exception:  # noqa: BLE001  (the alignment's section says what is missing)
            alignment = {}
        text = group_methods(files.settings, alignment)
        return [*(Text(paragraph) for paragraph in text.paragraphs), References(text.references)]

    section.add("methods text", build)
    return section


def settings_section(files: GroupFiles) -> Section:
    """Settings, versions, seeds."""
    section = Section("settings", "Settings, inputs and versions")

    def build() -> list[Block]:
        path = files.tree.group_map("L", "fsaverage5", model="vggish", stat="r")
        sidecar = files.json(path.with_name(path.name.split(".")[0] + ".json"))
        return settings_blocks(files.settings, sidecar)

    section.add("settings", build)
    return section


def _smallest(values: FloatArray) -> FloatArray:
    """Smallest over layers; 1 where there is no value."""
    return np.asarray(np.nan_to_num(values, nan=1.0).min(axis=0))


def _top(values: FloatArray) -> float:
    """End of a color scale that single vertices do not stretch."""
    return max(0.05, float(np.nanquantile(values, 0.999)))
