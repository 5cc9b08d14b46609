"""Group analyses that a folder may have several of: one per gradient, one per atlas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from bids_app.errors import MusencError
from bids_app.outputs import ALIGNMENT_DESC, PARCELS_DESC, labeled
from bids_app.report.page import Block, Facts, Section, Table, Text, Verdict, named_number, number
from bids_app.report.provenance import shown
from bids_app.report.sources import GroupFiles, to_float

PRINCIPAL = "the principal gradient"


def analysis_blocks(files: GroupFiles, start: str, label: str) -> list[Block]:
    """Settings of an analysis with their hash, and whether it belongs to the rest of the page."""
    content = files.analysis(labeled(start, label))
    settings = {
        name: ", ".join(checksum[:12] for checksum in value)
        if name in ("gradient", "atlas", "networks")
        else shown(value)
        for name, value in content.get("Settings", {}).items()
    }
    told = "; ".join(f"{name}: {value}" for name, value in settings.items())
    of = f" of {label}" if start == PARCELS_DESC else ""
    blocks: list[Block] = [
        Facts(
            [
                (f"Settings hash{of}", str(content.get("SettingsHash", "n/a"))),
                (f"Settings{of}", told),
            ]
        )
    ]
    if reason := outdated(files, content):
        blocks.append(Verdict(reason, "warning"))
    return blocks


def outdated(files: GroupFiles, content: Mapping[str, Any]) -> str:
    """Why an analysis does not fit the group result on this page; empty where it does."""
    try:
        result = files.settings
    except MusencError:  # the section on settings says so
        return ""
    again = "Ask for it again to bring it up to date."
    people, now = set(content.get("Participants", ())), set(result.get("Participants", ()))
    if people != now:
        return (
            f"This rests on an earlier group result, of {len(people)} participants and not"
            f" {len(now)}: {', '.join(sorted(people ^ now))} are in one of the two. {again}"
        )
    same = content.get("InputsSHA256") == result.get("InputsSHA256")
    if not same or content.get("Inference") != result.get("SettingsHash"):
        return f"This rests on an earlier group result, of other maps or other settings. {again}"
    return ""


def gradients_section(files: GroupFiles) -> list[Section]:
    """All gradients that were tested; no section where there is one at most."""
    if len(files.gradients) < 2:
        return []
    section = Section("gradients", f"{len(files.gradients)} gradients")
    section.add("the number of gradients", partial(gradients_text, files))
    section.add("gradients in numbers", partial(gradients_table, files))
    return [section]


def gradients_text(files: GroupFiles) -> Block:
    """That several tests are several tests."""
    return Text(
        f"Alignment was tested with {len(files.gradients)} gradients in this folder. The claim"
        f" about {PRINCIPAL}, for a trained network, was declared beforehand and stands by itself;"
        " all other alignments are corrected together, each level by the largest |z| over all of"
        " them. Gradients that were tested elsewhere are not counted here."
    )


def gradients_table(files: GroupFiles) -> Block:
    """One row per gradient: p as computed and, corrected, in the table of claims."""
    rows = []
    for label in files.gradients:
        own = GroupFiles(files.root, model=files.model, gradient=label)
        group, content = own.alignment, own.analysis(labeled(ALIGNMENT_DESC, label))
        names = ("rho_mean", "p_spin", "rho_mean_partial", "p_spin_partial", "p_t", "p_music")
        rows.append(
            [
                label or PRINCIPAL,
                *(named_number(name, to_float(group.get(name))) for name in names),
                str(group.get("n_spins", "n/a")),
                number(len(content.get("Participants", ()))),
                str(content.get("SettingsHash", "n/a")),
            ]
        )
    return Table(
        "Gradients; p as computed. Corrected p are in the table of claims",
        [
            "gradient",
            "mean correlation",
            "spin p",
            "given accuracy",
            "spin p",
            "p over people",
            "p over music",
            "rotations",
            "participants",
            "settings hash",
        ],
        rows,
        numeric=range(1, 9),
    )
