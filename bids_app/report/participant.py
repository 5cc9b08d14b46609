"""The page of one participant: what was done, how well, and can it be believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bids_app.outputs import OutputTree
from bids_app.report.conditions import participant_conditions
from bids_app.report.history import History, read_history
from bids_app.report.honesty import honesty_section
from bids_app.report.layer_maps import accuracy_section, preference_section, profile_section
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
    write_page,
)
from bids_app.report.provenance import settings_blocks
from bids_app.report.ratings import participant_ratings
from bids_app.report.responses import responses_section, stimuli_section
from bids_app.report.sources import (
    ParticipantFiles,
    column,
    shown_models,
    to_float,
)
from bids_app.status import StatusRow
from bids_app.surface.mesh import SurfaceMesh, load_mesh


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
    models = shown_models(OutputTree(Path(output_dir)).models_of(participant))
    files, *others = (
        ParticipantFiles(Path(output_dir), participant, model=model) for model in models
    )
    history = read_history(files, participant, status_rows, crash_files)
    mesh = load_mesh(files.space)
    sections = [
        summary_section(files, history),
        stimuli_section(files),
        responses_section(files),
        accuracy_section(files, mesh),
        preference_section(files, mesh),
        profile_section(files),
        *participant_conditions(files, mesh),
        *participant_ratings(files, mesh),
        honesty_section(files, history),
        *(section for other in others for section in model_sections(other, history, mesh)),
        methods_section(files),
        errors_section(history),
        settings_section(files),
    ]
    if files.only_conditions:
        sections = [*participant_conditions(files, mesh), errors_section(history)]
    return write_page(
        files.tree.participant_report(participant),
        title=f"Music encoding: sub-{participant}",
        subtitle="Participant report of musenc-bidsapp",
        banner=control_banner(files),
        sections=sections,
    )


def model_sections(files: ParticipantFiles, history: History, mesh: SurfaceMesh) -> list[Section]:
    """What the page shows of a further model."""
    summary = Section("summary", "Summary")
    summary.add("summary of the result", lambda: summary_facts(files))
    sections = [
        summary,
        accuracy_section(files, mesh),
        preference_section(files, mesh),
        profile_section(files),
        honesty_section(files, history),
        methods_section(files),
        settings_section(files),
    ]
    return [section.of_model(files.model) for section in sections]


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
            ("Model", model_text(files)),
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


def model_text(files: ParticipantFiles) -> str:
    """Label, features and layers of the model."""
    features, n_layers = files.settings["Features"], len(files.layers)
    weights = f" ({features['Weights']})" if features.get("Weights") else ""
    what = features.get("Network") or features.get("Features", "")
    return f"{files.model}: {what}, {n_layers} layer{'' if n_layers == 1 else 's'}{weights}"


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
