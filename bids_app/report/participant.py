"""The page of one participant: what was done, how well, and can it be believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bids_app.errors import BadDataError
from bids_app.report.brain import ColorScale, layers_figure, surface_figure
from bids_app.report.charts import carpet_figure, profile_figure, series_figure
from bids_app.report.honesty import honesty_section
from bids_app.report.methods import participant_methods
from bids_app.report.page import (
    Block,
    Facts,
    Missing,
    References,
    Section,
    Table,
    Text,
    Verbatim,
    Verdict,
    number,
    percent,
    picture,
    picture_from_file,
    write_page,
)
from bids_app.report.provenance import settings_blocks
from bids_app.report.sources import (
    FloatArray,
    History,
    ParticipantFiles,
    column,
    read_history,
    to_float,
)
from bids_app.status import StatusRow
from bids_app.surface.mesh import SurfaceMesh, load_mesh

N_BEST = 100


def write_participant_report(
    output_dir: Path,
    participant: str,
    *,
    status_rows: Sequence[StatusRow] = (),
    crash_files: Sequence[Path] = (),
) -> Path:
    """Write ``sub-XX.html`` from the files of an output folder; nothing is computed again.

    Parameters
    ----------
    output_dir : Path
        The output folder.
    participant : str
        Label without prefix.
    status_rows : sequence of StatusRow
        What became of the participants in this call. Without rows of this participant and without
        crash files, the newest log that names the participant is read.
    crash_files : sequence of Path
        Crash files of this participant.

    Returns
    -------
    Path
        The page. What is absent or cannot be drawn is shown as missing, with the reason.

    Raises
    ------
    CannotWriteError
        If the page cannot be written.
    """
    files = ParticipantFiles(Path(output_dir), participant)
    history = read_history(files, participant, status_rows, crash_files)
    mesh = load_mesh()
    sections = [
        summary_section(files, history),
        stimuli_section(files),
        responses_section(files),
        accuracy_section(files, mesh),
        preference_section(files, mesh),
        profile_section(files),
        honesty_section(files, history),
        methods_section(files),
        errors_section(history),
        settings_section(files),
    ]
    return write_page(
        files.tree.participant_report(participant),
        title=f"Music encoding: sub-{participant}",
        subtitle="Participant report of musenc-bidsapp",
        banner=control_banner(files),
        sections=sections,
    )


def control_banner(files: ParticipantFiles) -> str:
    """A warning where the network is not the trained one."""
    try:
        features = files.settings["Features"]
    except Exception:  # noqa: BLE001  (the settings section says what is missing)
        return ""
    if not features.get("Untrained"):
        return ""
    return (
        f"The audio network was not trained ({features.get('Weights', 'random weights')}): this is"
        " a control. Nothing here says anything about the trained network."
    )


def summary_section(files: ParticipantFiles, history: History) -> Section:
    """Status, runs used, runs skipped."""
    section = Section("summary", "Summary")
    for row in history.rows:
        if row.run == "":
            tone = {"done": "good", "failed": "warning"}.get(row.state, "neutral")
            reason = f": {row.reason}" if row.reason else ""
            section.blocks.append(Verdict(f"sub-{row.participant} {row.state}{reason}", tone))
    if not history.rows:
        section.blocks.append(
            Missing("status of the last call", "no log in the folder logs/ names this participant")
        )
    section.add("summary of the result", lambda: summary_facts(files))
    section.add("runs used", lambda: runs_table(files))
    skipped = [row for row in history.rows if row.run and row.state != "done"]
    if skipped:
        section.blocks.append(
            Table(
                "Runs not used",
                ["run", "state", "why"],
                [[row.run, row.state, row.reason or "no reason given"] for row in skipped],
            )
        )
    else:
        section.blocks.append(Text("No run was skipped or failed, as far as the log says."))
    return section


def summary_facts(files: ParticipantFiles) -> Block:
    """The result in a few lines."""
    settings, layers = files.settings, files.layers
    best = layers[int(np.nanargmax(column(layers, "max_r")))]
    widest = layers[int(np.nanargmax(column(layers, "share_q05")))]
    return Facts(
        [
            ("Held-out stimuli", ", ".join(settings["HeldOutStimuli"])),
            ("Model", f"VGGish, {len(layers)} layers ({settings['Features'].get('Weights')})"),
            (
                "Highest accuracy",
                f"r = {number(to_float(best['max_r']))} in layer {best['layer']} ({best['name']})",
            ),
            (
                "Largest significant share",
                f"{percent(to_float(widest['share_q05']))} of vertices with q < .05 in layer"
                f" {widest['layer']} ({widest['name']})",
            ),
            ("Vertices without a result", number(settings["DegenerateVertices"])),
            ("Vertices behind the reference profile", number(settings["ReferenceVertices"])),
        ]
    )


def runs_table(files: ParticipantFiles) -> list[Block]:
    """Runs used, and what was noticed about them."""
    shown = {
        "run": "run",
        "stimuli": "stimuli",
        "onsets_s": "onset (s)",
        "n_volumes": "volumes",
        "n_dummy": "dropped at start",
        "n_volumes_with_music": "with music",
        "repetition_time_s": "TR (s)",
        "sampling_time_s": "sampled at (s)",
    }
    blocks: list[Block] = [
        Table(
            "Runs used",
            list(shown.values()),
            [[row.get(name) or "n/a" for name in shown] for row in files.runs],
            numeric=range(2, len(shown)),
        )
    ]
    warnings = [
        [row["run"], row["warnings"]]
        for row in files.runs
        if row.get("warnings") not in (None, "", "n/a")
    ]
    if warnings:
        blocks.append(Table("What was noticed", ["run", "warning"], warnings))
    return blocks


def stimuli_section(files: ParticipantFiles) -> Section:
    """What was heard, and how the network sees it."""
    section = Section("stimuli", "Stimuli")
    section.add("stimuli", lambda: stimuli_table(files))
    try:
        stimuli = list(files.settings["Stimuli"])
    except Exception:  # noqa: BLE001  (the block above says what is missing)
        stimuli = []
    for stimulus in stimuli:
        path = files.figure_file(stimulus)
        if not path.is_file():
            section.blocks.append(
                Missing(
                    f"waveform, log-mel spectrogram and layers of {stimulus}",
                    f"sound and activations are not kept in the derivatives and no drawing of them"
                    f" was saved ({files.name(path)})",
                )
            )
            continue
        section.add(
            f"drawing of {stimulus}",
            lambda path=path, stimulus=stimulus: picture_from_file(
                path,
                alt=f"Waveform, log-mel spectrogram and layer activations of {stimulus} over time",
                caption=f"{stimulus}: sound, log-mel spectrogram and units of some layers over"
                " time, as the network sees it.",
            ),
        )
    return section


def stimuli_table(files: ParticipantFiles) -> Block:
    """One row per presentation."""
    checksums = files.settings["Stimuli"]
    tr = float(files.sidecar["RepetitionTime"])
    rows = [
        [
            str(item["Stimulus"]),
            str(item["Run"]),
            number(item["First"], 2),
            number(item["First"] + tr * (item["Count"] - 1), 2),
            number(item["Count"]),
            str(checksums.get(item["Stimulus"], "n/a"))[:16],
        ]
        for item in files.sidecar["SamplingTimes"]
    ]
    return Table(
        "Presentations (seconds of the audio file at the first and last volume)",
        ["stimulus", "run", "first (s)", "last (s)", "volumes", "SHA-256 (first 16)"],
        rows,
        numeric=(2, 3, 4),
    )


def responses_section(files: ParticipantFiles) -> Section:
    """Confounds, degrees of freedom, motion, and the cleaned responses."""
    section = Section("responses", "Responses")
    section.add("confounds and degrees of freedom", lambda: confounds_blocks(files))
    section.add("motion", lambda: motion_picture(files))
    section.add("carpet of the cleaned responses", lambda: carpet_picture(files))
    return section


def confounds_blocks(files: ParticipantFiles) -> list[Block]:
    """Degrees of freedom per run, and the names of the regressors."""
    shown = {
        "run": "run",
        "n_confounds": "confounds",
        "design_rank": "rank of the design",
        "degrees_of_freedom": "degrees of freedom",
        "n_degenerate_vertices": "vertices without signal",
    }
    table = Table(
        "Cleaning per run",
        list(shown.values()),
        [[row.get(name) or "n/a" for name in shown] for row in files.runs],
        numeric=range(1, len(shown)),
    )
    names = "\n\n".join(
        f"{row['run']}\n  {row.get('confounds', 'n/a').replace(',', ', ')}" for row in files.runs
    )
    return [table, Verbatim("Names of the confound regressors", names)]


def motion_picture(files: ParticipantFiles) -> Block:
    """Framewise displacement, where the design was saved."""
    path = files.own_table("timeseries.tsv", desc="design")
    rows = files.table(path)
    if "framewise_displacement" not in rows[0]:
        raise BadDataError("The design holds no framewise displacement", where=files.name(path))
    series: dict[str, dict[str, FloatArray]] = {}
    for run in dict.fromkeys(row.get("run", "") for row in rows):
        own = [row for row in rows if row.get("run", "") == run]
        series[run] = {"framewise displacement": column(own, "framewise_displacement")}
    return picture(
        series_figure(series, "mm"),
        alt=f"Framewise displacement over volumes in {len(series)} runs",
        caption="Head motion: framewise displacement from volume to volume, in mm.",
        source=files.name(path),
    )


def carpet_picture(files: ParticipantFiles) -> Block:
    """All presentations, well-predicted vertices on top."""
    responses = files.responses()
    presentations = [
        (str(sidecar["Stimulus"]), np.asarray(sidecar["StimulusTimes"], dtype=float), values)
        for sidecar, values in responses
    ]
    finite = np.all([np.isfinite(values).all(axis=0) for _, _, values in presentations], axis=0)
    # A participant without maps still has responses to show.
    try:
        rank, sorting = np.nanmax(files.accuracy, axis=0), "best predicted on top"
    except Exception:  # noqa: BLE001  (the accuracy section says what is missing)
        rank, sorting = np.zeros(len(finite)), "left hemisphere on top"
    usable = np.flatnonzero(finite)
    order = usable[np.argsort(-np.nan_to_num(rank[usable], nan=-np.inf), kind="stable")]
    return picture(
        carpet_figure(presentations, order),
        alt=f"Carpet of cleaned responses during {len(presentations)} presentations, one row per"
        " vertex, with the mean over vertices above each",
        caption="Responses after confounds and drift were removed, volumes with music only. Every"
        f" row is a vertex in units of its own standard deviation ({sorting}; evenly spaced among"
        f" {len(usable)} vertices); the line above is the mean of these rows. Stripes from top to"
        " bottom are what the whole cortex shares, often motion or breathing.",
        source=f"sub-{files.participant}/func/*_desc-clean_bold.func.gii",
    )


def accuracy_section(files: ParticipantFiles, mesh: SurfaceMesh) -> Section:
    """How well the layers predict the responses."""
    section = Section("accuracy", "Accuracy")
    section.add("highest accuracy over layers", lambda: best_layer_picture(files, mesh))
    section.add("accuracy of every layer", lambda: every_layer_picture(files, mesh))
    section.add("layers in numbers", lambda: layers_table(files))
    return section


def best_layer_picture(files: ParticipantFiles, mesh: SurfaceMesh) -> Block:
    """Highest accuracy over layers, with the significant part outlined."""
    best = files.map("max", desc="layerpref")[0]
    try:
        outline, note = np.nanmin(files.map("q"), axis=0) < 0.05, "q < .05 in some layer"
    except Exception:  # noqa: BLE001  (an outline is an addition)
        outline, note = None, ""
    tested = outline is not None and bool(outline.any())
    scale = ColorScale("highest accuracy over layers (Pearson r)", 0.0, _top(best))
    return picture(
        surface_figure(best, scale, mesh=mesh, outline=outline if tested else None),
        alt="Highest prediction accuracy over layers on the inflated cortex, lateral and medial"
        f" views of both hemispheres; at most r = {np.nanmax(best):.2f}",
        caption="Highest accuracy over layers: correlation of predicted and measured responses to"
        " music the model was not fitted to. A maximum over layers is above zero by chance."
        + (f" The black line surrounds {note} (not corrected over layers)." if tested else ""),
        source=files.map_label("max", desc="layerpref"),
    )


def every_layer_picture(files: ParticipantFiles, mesh: SurfaceMesh) -> Block:
    """Small multiples on one scale."""
    maps = files.accuracy
    titles = [
        f"{k} {name}: {np.nanmax(row):.2f}"
        for k, (name, row) in enumerate(zip(files.layer_names, maps, strict=True), start=1)
    ]
    return picture(
        layers_figure(maps, titles, ColorScale("accuracy (Pearson r)", 0.0, _top(maps)), mesh=mesh),
        alt=f"Accuracy of each of {len(maps)} layers on lateral views of both hemispheres",
        caption="Accuracy of every layer, all on one scale; lateral views, left and right. The"
        " number is the highest r of the layer.",
        source=files.map_label("r"),
        dpi=90,
    )


def layers_table(files: ParticipantFiles) -> Block:
    """The layer summary as it is in the derivatives."""
    return Table(
        "Layers",
        ["layer", "name", "units", "mean r", "highest r", "vertices with q < .05"],
        [
            [
                row["layer"],
                row["name"],
                number(to_float(row["n_units"])),
                number(to_float(row["mean_r"]), 4),
                number(to_float(row["max_r"])),
                percent(to_float(row["share_q05"])),
            ]
            for row in files.layers
        ],
        numeric=(2, 3, 4, 5),
    )


def preference_section(files: ParticipantFiles, mesh: SurfaceMesh) -> Section:
    """Which layers a vertex prefers."""
    section = Section("preference", "Layer preference")
    section.blocks.append(
        Text(
            "Positive slope: deeper layers predict the vertex better than the reference profile"
            " would let one expect; negative: shallower layers do. Center of mass and best layer"
            " follow the accuracy as well and are shown for description only."
        )
    )
    section.add("residual slope", lambda: slope_picture(files, mesh))
    section.add("center of mass", lambda: centroid_picture(files, mesh, "centroid"))
    section.add("best layer", lambda: centroid_picture(files, mesh, "argmax"))
    return section


def slope_picture(files: ParticipantFiles, mesh: SurfaceMesh) -> Block:
    """The primary measure of preference."""
    slope = files.map("slope", desc="layerpref")[0]
    if not np.isfinite(slope).any():
        reason = files.settings.get("ReferenceMissing") or "every vertex is undefined"
        return Missing("residual slope", str(reason))
    top = float(np.nanquantile(np.abs(slope), 0.98))
    scale = ColorScale("residual slope (r per network depth)", -top, top, "coolwarm")
    return picture(
        surface_figure(slope, scale, mesh=mesh),
        alt="Residual slope of the layer profile on the inflated cortex, lateral and medial views"
        " of both hemispheres; positive values prefer deep layers",
        caption="Layer preference: slope over depth (first layer 0, last layer 1) of what is left"
        " of the accuracy profile after the reference profile is regressed out. Red prefers deep"
        " layers, blue shallow ones. Untested and unmasked: only the group level tests it.",
        source=files.map_label("slope", desc="layerpref"),
    )


def centroid_picture(files: ParticipantFiles, mesh: SurfaceMesh, stat: str) -> Block:
    """Center of mass or best layer, in layers."""
    values = files.map(stat, desc="layerpref")[0]
    n_layers = len(files.layer_names)
    what = "center of mass of the positive profile" if stat == "centroid" else "best layer"
    low, high = (1.0, float(n_layers))
    if stat == "centroid":
        low, high = (float(v) for v in np.nanquantile(values, [0.02, 0.98]))
    return picture(
        surface_figure(values, ColorScale(f"{what} (layer)", low, high, "viridis"), mesh=mesh),
        alt=f"{what.capitalize()} per vertex on the inflated cortex, lateral and medial views",
        caption=f"{what.capitalize()}, in layers from 1 to {n_layers}. For description: it follows"
        " the accuracy as well as the preference.",
        source=files.map_label(stat, desc="layerpref"),
    )


def profile_section(files: ParticipantFiles) -> Section:
    """Accuracy per layer of the best vertices."""
    section = Section("profile", "Profile of the best vertices")
    section.add("profile of the best vertices", lambda: profile_picture(files))
    return section


def profile_picture(files: ParticipantFiles) -> Block:
    """Quantiles over the vertices of highest layer-averaged accuracy."""
    accuracy = files.accuracy
    averaged = accuracy.mean(axis=0)
    usable = np.flatnonzero(np.isfinite(averaged))
    best = usable[np.argsort(-averaged[usable], kind="stable")[:N_BEST]]
    names = files.layer_names
    slope = files.json(
        files.map_path("L", "slope", desc="layerpref").with_suffix("").with_suffix(".json")
    )
    reference = np.array(slope.get("ReferenceProfile") or [np.nan] * len(names), dtype=float)
    return picture(
        profile_figure(accuracy[:, best], names, reference),
        alt=f"Accuracy per layer of the {len(best)} vertices with the highest layer-averaged"
        " accuracy: median, middle half and middle 90 percent",
        caption=f"Accuracy per layer of the {len(best)} vertices with the highest layer-averaged"
        " accuracy. They were chosen by this very accuracy, so its height is too good; its shape"
        " over layers is not affected by the choice, since the average over layers made it.",
        source=files.map_label("r"),
    )


def methods_section(files: ParticipantFiles) -> Section:
    """What a paper would say."""
    section = Section("methods", "Methods")

    def build() -> list[Block]:
        text = participant_methods(files.settings, files.sidecar)
        return [*(Text(paragraph) for paragraph in text.paragraphs), References(text.references)]

    section.add("methods text", build)
    return section


def errors_section(history: History) -> Section:
    """Crash files, or their absence."""
    section = Section("errors", "Errors")
    failed = [row for row in history.rows if row.state == "failed"]
    for row in failed:
        where = f"run {row.run}" if row.run else f"sub-{row.participant}"
        section.blocks.append(
            Verdict(f"{where} failed: {row.reason or 'no reason given'}", "warning")
        )
    for crash in history.crashes:
        section.blocks.append(Verbatim(crash.name, crash.text, opened=True))
    if not failed and not history.crashes:
        section.blocks.append(Text("No errors were recorded."))
    return section


def settings_section(files: ParticipantFiles) -> Section:
    """Settings, inputs, versions, seeds."""
    section = Section("settings", "Settings, inputs and versions")
    section.add("settings", lambda: settings_blocks(files.settings, files.sidecar))
    return section


def _top(values: FloatArray) -> float:
    """End of a color scale that single vertices do not stretch."""
    return max(0.05, float(np.nanquantile(values, 0.999)))
