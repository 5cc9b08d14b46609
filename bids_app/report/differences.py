"""The part of the group page about differences of models and layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import numpy as np

from bids_app.group.claims import holds
from bids_app.outputs import DIFFERENCE_DESC, labeled
from bids_app.report.analyses import analysis_blocks
from bids_app.report.brain import ColorScale, border_of, opacity_of, surface_figure
from bids_app.report.claims import DIFFERENCE, claims_about
from bids_app.report.fading import LEGEND
from bids_app.report.page import Block, Missing, Section, Text, Verdict, picture
from bids_app.report.sources import GroupFiles


def differences_section(files: GroupFiles) -> list[Section]:
    """Claims and map of every difference; no section where none was asked for."""
    found = files.tree.group_labels(files.model, DIFFERENCE_DESC)
    if not found:
        return []
    section = Section("differences", "Differences of models and layers")
    for label in found:
        told = files.json(files.file("statmap.json", desc=labeled(DIFFERENCE_DESC, label)))
        group = told["Group"]
        section.add(f"claims about {group['text']}", partial(_claims, files, group["text"]))
        section.add(f"check of {group['text']} over music", partial(_check, group))
        section.add(f"map of {group['text']}", partial(difference_picture, files, label, group))
        section.add(
            f"settings of {group['text']}", partial(analysis_blocks, files, DIFFERENCE_DESC, label)
        )
        section.add(f"other models of {group['text']}", partial(_others, files, told))
    return [section]


def _claims(files: GroupFiles, text: str) -> list[Block]:
    """Over the whole cortex, and at vertices."""
    measure = f"{DIFFERENCE} {text}"
    return [*claims_about(files, measure), *claims_about(files, f"{measure}, vertices")]


def _others(files: GroupFiles, told: Mapping[str, Any]) -> list[Block]:
    """A warning where maps of the other models are not those that were compared."""
    changed = [
        f"model-{model} of {who}"
        for model, compared in told.get("Inputs", {}).items()
        if model != files.model
        for who, checksum in compared.items()
        if checksum not in _checksums(files, who, model)
    ]
    if not changed:
        return []
    listed = ", ".join(changed)
    return [
        Verdict(
            f"This rests on maps that were made again since, or are gone: {listed}. "
            "Ask for it again to bring it up to date.",
            "warning",
        )
    ]


def _checksums(files: GroupFiles, who: str, model: str) -> Collection[str]:
    """Of all that the participant level wrote of a model."""
    path = files.tree.participant_settings(who.removeprefix("sub-"), model)
    return files.json(path).get("Outputs", {}).values() if path.is_file() else ()


def _check(group: dict) -> Block:
    told = (group.get("MusicRefits") or {}).get("told", "not tested over music")
    return Text(f"Null over music of the mean over {group['n_vertices']} vertices: {told}.")


def difference_picture(files: GroupFiles, label: str, group: dict) -> Block:
    """Mean difference; outlined where people and music both hold."""
    desc = labeled(DIFFERENCE_DESC, label)
    values = files.map("r", desc=desc)[0]
    if not np.isfinite(values).any():
        return Missing(f"map of {group['text']}", "every vertex is undefined")
    people = files.map("p", desc=desc)[0]
    inside = np.zeros(len(values), dtype=bool)
    levels = "not tested over music"
    music = labeled(f"{DIFFERENCE_DESC}music", label)
    if files.map_path("L", "q", desc=music).is_file():
        inside = holds(people, files.map("q", desc=music)[0])
        levels = "p < .05 over people, corrected over vertices, and q < .05 over music"
    border, why = border_of(inside, values)
    scale = ColorScale.diverging("mean difference of accuracies (r)", values)
    count = int(inside.sum())
    outlined = f"Outlined: {count} vertices" if border is not None else f"{count} vertices ({why})"
    return picture(
        surface_figure(values, scale, mesh=files.mesh, outline=border, opacity=opacity_of(people)),
        alt=f"Mean difference of accuracies, {group['text']}, on the inflated cortex, lateral and"
        f" medial views of both hemispheres, {count} significant vertices outlined",
        caption=f"Mean difference over participants: red where {group['first']} predicts better,"
        f" blue where {group['second']} does. {outlined}: {levels}. {LEGEND} (over people,"
        " corrected over vertices).",
        source=f"{files.map_label('r', desc=desc)}, {files.map_label('p', desc=desc)}",
    )
