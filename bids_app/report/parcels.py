"""The part of the group page about regions of an atlas."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from bids_app.outputs import PARCELS_DESC, labeled
from bids_app.report.analyses import analysis_blocks
from bids_app.report.group_charts import profile_lines_figure
from bids_app.report.page import Block, Section, Table, Text, named_number, number, picture
from bids_app.report.sources import GroupFiles, column, to_float

_MAX_ROWS = 20
_MAX_LINES = 6


def regions_section(files: GroupFiles) -> list[Section]:
    """Regions of highest accuracy of every atlas; no section where no atlas was given."""
    found = files.tree.group_labels(files.model, PARCELS_DESC)
    if not found:
        return []
    section = Section("regions", "Regions")
    if len(found) > 1:
        section.blocks.append(
            Text(
                f"There are results of {len(found)} atlases ({', '.join(found)}). P-values are"
                " corrected over the regions of each, not over atlases."
            )
        )
    for label in found:
        path = files.file("summary.tsv", desc=labeled(PARCELS_DESC, label))
        section.add(f"regions of {label}", partial(region_blocks, files, path))
        section.add(
            f"settings of the regions of {label}",
            partial(analysis_blocks, files, PARCELS_DESC, label),
        )
    return [section]


def region_blocks(files: GroupFiles, path: Path) -> list[Block]:
    """Profiles over layers and numbers of the regions of highest accuracy."""
    rows = files.table(path)
    accuracy = column(rows, "accuracy")
    order = np.argsort(-np.nan_to_num(accuracy, nan=-np.inf), kind="stable")
    best = [rows[k] for k in order if np.isfinite(accuracy[k])]
    layers = [name for name in rows[0] if name.startswith("r_")]
    series = [
        (
            f"{row['name']} ({row['hemisphere']})",
            np.array([to_float(row[name]) for name in layers]),
        )
        for row in best[:_MAX_LINES]
    ]
    atlas = files.json(path.with_suffix(".json"))["Atlas"]
    shown = (
        "accuracy",
        "accuracy_p",
        "accuracy_p_music",
        "predicted",
        "n_shown",
        "slope",
        "slope_p",
        "slope_p_music",
        "centroid",
    )
    return [
        picture(
            profile_lines_figure(series, files.layer_names, "mean accuracy of the region (r)"),
            alt=f"Accuracy over layers of the {len(series)} regions of {atlas} with the highest"
            f" accuracy: {', '.join(name for name, _ in series)}",
            caption=f"Mean accuracy of every layer in the {len(series)} regions of {atlas} where"
            " it is highest on average. They were chosen by what is shown, so their height is not"
            " an estimate.",
            source=files.name(path),
        ),
        Table(
            f"The {min(_MAX_ROWS, len(best))} regions of {atlas} with the highest accuracy, of"
            f" {len(rows)}; p over people and over music, each corrected over regions (predicted:"
            " both); participants who show it by themselves (p of their own < .05 over the"
            " region's vertices and layers). Every region, layer and participant is in the tables.",
            [
                "region",
                "side",
                "mean r",
                "people",
                "music",
                "predicted",
                "by themselves",
                "residual slope",
                "people",
                "music",
                "center of mass",
            ],
            [
                [
                    row["name"],
                    row["hemisphere"],
                    *(region_cell(row, name) for name in shown),
                ]
                for row in best[:_MAX_ROWS]
            ],
            numeric=range(2, 11),
        ),
    ]


def region_cell(row: dict[str, str], name: str) -> str:
    """A number of the table of regions as the page has it."""
    if name == "predicted":
        return {"True": "yes", "False": "no"}.get(row.get(name, ""), "not tested")
    if name == "n_shown":
        shown = to_float(row.get(name))
        return f"{shown:.0f} of {row['n']}" if np.isfinite(shown) else "n/a"
    if name in ("n_voxels", "n_predicted"):
        return number(to_float(row.get(name)), 0)
    return named_number(name, to_float(row.get(name)), 4 if name == "accuracy" else 3)
