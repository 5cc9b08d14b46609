"""Parts of a participant's page that concern all analyses."""

from __future__ import annotations

import numpy as np

from bids_app.plain import counted
from bids_app.report.citations import CitedText
from bids_app.report.explorers import link_participant
from bids_app.report.fading import participant_fading
from bids_app.report.history import History
from bids_app.report.methods import Done, participant_methods
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
)
from bids_app.report.provenance import settings_blocks
from bids_app.report.sources import (
    ParticipantFiles,
    column,
    to_float,
)
from bids_app.statistics import p_told


def model_summary(files: ParticipantFiles) -> Section:
    """The result of a further model in a few lines."""
    section = Section("summary", "Summary")
    section.add("summary of the result", lambda: summary_facts(files))
    section.add("warnings", lambda: warning_blocks(files))
    link_participant(section, files)
    return section


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
    section.add("warnings", lambda: warning_blocks(files))
    link_participant(section, files)
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
    position = int(np.nanargmax(column(layers, "share_q05")))
    widest = layers[position]
    return Facts(
        [
            ("Held-out stimuli", ", ".join(settings["HeldOutStimuli"])),
            ("Model", model_text(files)),
            ("Strongest vertex", strongest_vertex(files)),
            (
                "Largest significant share",
                f"{percent(to_float(widest['share_q05']))} of vertices with q < .05 in layer"
                f" {position + 1} ({widest['name']})"
                if to_float(widest["share_q05"]) > 0
                else "no vertex with q < .05 in any layer",
            ),
            ("Cortex", files.cortex),
            ("Vertices without a result", number(settings["DegenerateVertices"])),
            (
                "Vertices behind the reference profile",
                f"{number(settings['ReferenceVertices'])} (mean over layers significant)",
            ),
        ]
    )


def warning_blocks(files: ParticipantFiles) -> list[Block]:
    """What weakens the result, as the settings file has it."""
    warnings = files.settings.get("Warnings") or []
    return [Verdict(f"{str(text)[:1].upper()}{str(text)[1:]}.", "warning") for text in warnings]


def strongest_vertex(files: ParticipantFiles) -> str:
    """The highest accuracy with its p, corrected over layers and vertices."""
    p = participant_fading(files).p
    if p is None:
        return "not shown, since it was not tested"
    layer, vertex = np.unravel_index(np.nanargmax(files.accuracy), files.accuracy.shape)
    corrected = min(1.0, float(p[layer, vertex]) * int(np.isfinite(p).sum()))
    return (
        f"{p_told(corrected)} (corrected over {counted(len(p), 'layer')} and"
        f" {counted(int(np.isfinite(p).any(axis=0).sum()), 'vertex', 'vertices')}, Bonferroni):"
        f" r = {number(files.accuracy[layer, vertex])} in layer {layer + 1}"
        f" ({files.layer_names[layer]})"
    )


def model_text(files: ParticipantFiles) -> str:
    """Label, features and layers of the model."""
    features, n_layers = files.settings["Features"], len(files.layers)
    weights = f" ({features['Weights']})" if features.get("Weights") else ""
    what = features.get("Network") or features.get("Features", "")
    return f"{files.model}: {what}, {counted(n_layers, 'layer')}{weights}"


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
        done = Done(files.preprocessing, files.runs)
        return methods_blocks(participant_methods(files.settings, files.sidecar, done))

    section.add("methods text", build)
    return section


def methods_blocks(text: CitedText) -> list[Block]:
    """The text, and the same to be pasted."""
    return [
        *(Text(paragraph) for paragraph in text.paragraphs),
        References(text.references),
        Verbatim("The same in Markdown", text.markdown),
        Verbatim("The same in LaTeX", text.latex),
        Verbatim("References in BibTeX", text.bibtex),
    ]


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
