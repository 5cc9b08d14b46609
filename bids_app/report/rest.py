"""Resting runs on the page of a participant; absent where none were cleaned."""

from __future__ import annotations

from bids_app.outputs import REST_DESC
from bids_app.report.page import Block, Section, Table, Text, Verdict
from bids_app.report.sources import ParticipantFiles

SHOWN = {
    "run": "run",
    "n_volumes": "volumes",
    "n_dummy": "dropped at start",
    "n_censored": "censored",
    "n_kept": "kept",
    "degrees_of_freedom": "degrees of freedom",
    "n_degenerate_vertices": "vertices without signal",
}


def rest_sections(files: ParticipantFiles) -> list[Section]:
    """What was cleaned for the study's own gradient."""
    if not files.tree.participant_settings(files.participant, "", REST_DESC).is_file():
        return []
    section = Section("rest", "Resting runs")
    section.add("resting runs", lambda: rest_blocks(files))
    return [section]


def rest_blocks(files: ParticipantFiles) -> list[Block]:
    """One row per run, and what weakens them."""
    settings = files.json(files.tree.participant_settings(files.participant, "", REST_DESC))
    rows = files.table(files.own_table("summary.tsv", desc="restruns"))
    table = Table(
        "Resting runs, cleaned as the music's",
        list(SHOWN.values()),
        [[row.get(name) or "n/a" for name in SHOWN] for row in rows],
        numeric=range(1, len(SHOWN)),
    )
    told = Text(
        "The group level makes the study's own gradient of them (--gradient own). Nothing else"
        " rests on them."
    )
    warnings = [Verdict(f"{text}.", "warning") for text in settings.get("Warnings") or []]
    return [table, *warnings, told]
