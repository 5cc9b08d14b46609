"""What spaces add to one another, on the pages; nothing where nobody asked for it."""

from __future__ import annotations

from bids_app.outputs import BEYOND_DESC
from bids_app.report.page import Block, Section, Table, Text, number, percent
from bids_app.report.sources import ParticipantFiles, to_float

BEYOND_TEXT = (
    "Unique accuracy is the accuracy of low-level sound (envelope, cochleagram, modulation and"
    " descriptors) and the layer together, minus that of low-level sound alone. Both models have a"
    " scale of their own for every space, and choose among the same candidates. A layer that adds"
    " nothing is a little below zero on average."
)


def joint_sections(files: ParticipantFiles) -> list[Section]:
    """What each layer adds to low-level sound, of a participant."""
    if not files.tree.participant_settings(files.participant, files.model, BEYOND_DESC).is_file():
        return []
    section = Section("beyond", "Beyond low-level sound")
    section.blocks.append(Text(BEYOND_TEXT))
    section.add("what each layer adds", lambda: beyond_table(files))
    return [section]


def beyond_table(files: ParticipantFiles) -> Block:
    """Means over all vertices of the mask; nothing is tested within a participant."""
    path = files.tree.participant_file(
        files.participant, "summary.tsv", model=files.model, desc=BEYOND_DESC
    )
    columns = ("mean_r", "mean_reduced_r", "mean_unique")
    return Table(
        "Means over all vertices; the group level tests them",
        ["layer", "r with it", "r without", "unique accuracy", "vertices above zero"],
        [
            [
                row["name"],
                *(number(to_float(row[name]), 4) for name in columns),
                percent(to_float(row["share_above"])),
            ]
            for row in files.table(path)
        ],
        numeric=(1, 2, 3, 4),
    )
