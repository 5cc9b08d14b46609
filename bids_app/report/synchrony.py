"""The part of the group page about what listeners share: responses, and head motion."""

from __future__ import annotations

import re
from pathlib import Path

from bids_app.errors import MissingInputError
from bids_app.group.claims import holds
from bids_app.outputs import MOTION_DESC, parse_entities, sidecar_of
from bids_app.plain import counted
from bids_app.report.brain import ColorScale, border_of, opacity_of, surface_figure
from bids_app.report.fading import LEGEND, significant
from bids_app.report.group_details import left_out
from bids_app.report.page import Block, Section, Text, Verdict, number, picture
from bids_app.report.sources import BoolArray, GroupFiles, to_float
from bids_app.statistics import p_told
from bids_app.surface.mesh import SurfaceMesh


def isc_section(files: GroupFiles) -> Section:
    """Correlation of responses between participants."""
    section = Section("isc", "Correlation between participants")
    section.add("intersubject correlation", lambda: isc_pictures(files, files.mesh))
    section.add("head motion", lambda: motion_blocks(files))
    return section


def motion_blocks(files: GroupFiles) -> list[Block]:
    """Whether head motion is shared between participants, too."""
    path = files.tree.group_table("summary.tsv", desc=MOTION_DESC)
    rows = files.cells(path)[1] if path.is_file() else []
    if not rows:  # the table of analyses says why
        return []
    names = {"framewise_displacement": "framewise displacement", "std_dvars": "standardized DVARS"}
    told = "; ".join(
        f"{names.get(row['trace'], row['trace'])}: mean r {number(to_float(row['r']))},"
        f" {p_told(to_float(row['p']))}"
        for row in rows
    )
    if any(holds(to_float(row["p"])) for row in rows):
        return [
            Verdict(
                f"Head motion is shared between participants ({told}): where responses follow the"
                " music, motion that follows it is another explanation.",
                "warning",
            )
        ]
    return [
        Text(
            "Head motion of participants who hear the same music is not shown to correlate"
            f" ({told}; logarithms, mean over pairs, p corrected over both)."
        )
    ]


def isc_pictures(files: GroupFiles, mesh: SurfaceMesh) -> list[Block]:
    """One map per kind of correlation."""
    found = files.maps("*_stat-isc_*_statmap.func.gii")
    if not found:
        reasons = "; ".join(left_out(files, "isc"))
        raise MissingInputError(
            "No intersubject correlation was saved.", where="stat-isc", found=reasons or None
        )
    blocks: list[Block] = []
    for path in found:
        kind = {
            "pairwise": "mean over pairs of participants",
            "leaveoneout": "each participant with the mean of the others",
        }.get(parse_entities(path).get("desc", ""), "")
        values = files.both(path)[0]
        stem = path.name.replace("_stat-isc_", "_stat-p_")
        p_path = path.with_name(re.sub(r"_desc-[a-z]+_", "_desc-iscmaxt_", stem))
        inside = significant(files, p_path)
        border, why = (None, "") if inside is None else border_of(inside, values)
        single = path.with_name(p_path.name.replace("_desc-iscmaxt_", "_desc-isc_"))
        opacity = opacity_of(files.both(single)[0]) if single.is_file() else None
        told = files.json(sidecar_of(path))
        stimuli = ", ".join(told.get("Stimuli") or []) or "all stimuli"
        blocks.append(
            picture(
                surface_figure(
                    values,
                    ColorScale.accuracy("correlation between participants (r)", values),
                    mesh=mesh,
                    outline=border,
                    opacity=opacity,
                ),
                alt=f"Intersubject correlation, {kind}, on the inflated cortex, lateral and medial"
                " views of both hemispheres",
                caption=f"Intersubject correlation of the cleaned responses ({kind}; {stimuli}):"
                " how much of a response participants share. What they do not share, no model of"
                " the music can predict for all of them. "
                + _outline_words(inside, _description(files, p_path), why)
                + (f" {LEGEND} (not corrected)." if opacity is not None else ""),
                source=files.both_names(path),
            )
        )
        blocks += [Text(f"Left out: {reason}") for reason in told.get("LeftOut") or []]
    return blocks


def _outline_words(inside: BoolArray | None, told: str, why: str) -> str:
    if inside is None:
        return "Nothing is outlined: no p-value is below .05, or none was computed."
    if why:
        return f"p < .05 at {counted(int(inside.sum()), 'vertex', 'vertices')} ({told}): {why}."
    return f"Outlined: {counted(int(inside.sum()), 'vertex', 'vertices')}, p < .05 ({told})."


def _description(files: GroupFiles, path: Path) -> str:
    """What a map's sidecar says it is."""
    if not sidecar_of(path).is_file():
        return "not described"
    return str(files.json(sidecar_of(path)).get("Description", "not described"))
