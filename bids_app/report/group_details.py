"""Parts of the group page that read the tables beside the maps."""

from __future__ import annotations

import numpy as np

from bids_app.outputs import sidecar_of
from bids_app.report.page import Block, Facts, Table, Text, number
from bids_app.report.sources import GroupFiles, to_float
from bids_app.statistics import SIGNIFICANCE


def left_out(files: GroupFiles, analysis: str) -> list[str]:
    """Why an analysis, or a part of it, was left out; empty where nothing says so."""
    path = files.file("summary.tsv", desc="analyses")
    rows = files.cells(path)[1] if path.is_file() else []
    return [
        ": ".join(filter(None, (row["part"], row["reason"])))
        for row in rows
        if row["analysis"] == analysis and row["state"] != "done"
    ]


def layer_alignment_blocks(files: GroupFiles) -> list[Block]:
    """Every layer's accuracy against the gradient, corrected over layers."""
    desc = files.of_gradient("layeralignment")
    group = files.json(files.file("statmap.json", desc=desc))["Group"]
    rows = files.rows("statmap.tsv", desc=desc)
    passed = sum(to_float(row["p_corrected"]) < SIGNIFICANCE for row in rows)
    return [
        Facts(
            [
                (
                    "Any layer's accuracy against the gradient",
                    f"largest |rho| {number(group['largest'])} in layer {group['layer']}"
                    f" ({group['name']}), p = {number(group['p_omnibus'])}",
                )
            ]
        ),
        Text(
            f"{passed} of {len(rows)} layers have p < .05, corrected by the largest absolute"
            " correlation over layers under each rotation. This is about where accuracy is high,"
            " not about layer preference: all layers may follow the gradient together."
        ),
        Table(
            "Group accuracy of every layer against the gradient",
            ["layer", "name", "rho", "spin p", "corrected p"],
            [
                [
                    row["layer"],
                    row["name"],
                    *(number(to_float(row[name])) for name in ("rho", "p_spin", "p_corrected")),
                ]
                for row in rows
            ],
            numeric=(2, 3, 4),
        ),
    ]


def stability_text(files: GroupFiles) -> Block:
    """How far the best layer can be trusted."""
    values = files.map("stability", desc="layerpref")[0]
    p = np.nan_to_num(files.map("p", desc="layermean")[0], nan=1.0)
    inside = np.isfinite(values) & (p < SIGNIFICANCE)
    where = "where the layer-averaged accuracy is significant"
    if not inside.any():
        inside, where = np.isfinite(values), "over the cortex"
    return Text(
        "The best layer of a vertex returns in"
        f" {np.median(values[inside]):.0%} of bootstrap samples of participants (median {where}):"
        " what its map shows beyond that is noise."
    )


def music_check_text(files: GroupFiles) -> Block:
    """How far the closed form of the null over music agrees with refits."""
    path = files.map_path("L", "p", desc="music")
    check = files.json(sidecar_of(path)).get("RefitCheck")
    if not check:
        return Text("The null over music was not compared with refits.")
    return Text(
        "Null over music: the standard deviation in closed form is"
        f" {number(check['median'])} of that of {check['n_draws']} refits with other phases"
        f" (median over {check['n_vertices']} vertices in layer {check['layer']}; 5 to 95 %:"
        f" {number(check['low'])} to {number(check['high'])})."
    )
