"""Parts of the group page that read the tables beside the maps."""

from __future__ import annotations

import numpy as np

from bids_app.errors import LEVEL_AGAIN, MissingInputError
from bids_app.features.registry import COMPONENTS, derived_from
from bids_app.outputs import ALIGNMENT_DESC, CONTROLS_DESC, TWINS_DESC, sidecar_of
from bids_app.report.page import Block, Facts, Table, Text, named_number, number
from bids_app.report.side_by_side import settings_of
from bids_app.report.sources import GroupFiles, to_float
from bids_app.statistics import p_told

CORTEX = "over the whole cortex"


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
    return [
        Facts(
            [
                (
                    "Any layer's accuracy against the gradient",
                    f"largest |rho| {number(group['largest'])} in layer {group['layer']}"
                    f" ({group['name']}), {p_told(to_float(group['p_omnibus']))}",
                )
            ]
        ),
        Text(
            "Spin p is corrected by the largest absolute correlation over layers under each"
            " rotation; p over people and music are not corrected here but in the table of claims."
            " This is about where accuracy is high, not about layer preference: all layers may"
            " follow the gradient together."
        ),
        Table(
            "Group accuracy of every layer against the gradient",
            ["layer", "name", "rho", "spin p", "corrected", "p over people", "p over music"],
            [
                [
                    row["layer"],
                    row["name"],
                    *(
                        named_number(name, to_float(row.get(name)))
                        for name in ("rho", "p_spin", "p_corrected", "p_people", "p_music")
                    ),
                ]
                for row in rows
            ],
            numeric=range(2, 7),
        ),
    ]


def depth_controls(files: GroupFiles) -> list[Block]:
    """The alignment with fewer layers, with depths exchanged, and in untrained networks."""
    path = files.file("statmap.tsv", desc=files.of_gradient(CONTROLS_DESC))
    if not path.is_file():  # of the version before
        return []
    body, drawn = [], ""
    for row in files.table(path):
        rho, share = to_float(row["rho"]), to_float(row["share"])
        body.append([row["control"], row["n_layers"], number(rho)])
        if np.isfinite(share):
            drawn = (
                f" {share:.1%} of the orders of the layers align as strongly as theirs (at most"
                f" |rho| {number(to_float(row['largest']))}). Neighboring layers are alike, so that"
                " this share is no p."
            )
    twins = files.file("statmap.json", desc=files.of_gradient(TWINS_DESC))
    if twins.is_file():
        untrained = [to_float(one) for one in files.json(twins)["Group"]["rho_untrained"]]
        mean = number(float(np.mean(untrained)))
        body.append([f"untrained, mean of {len(untrained)}", body[0][1], mean])
    body += [_cut(one, n) for one, n in _cuts(files)]
    why = files.json(path.with_suffix(".json")).get("Group", {}).get("LeftOut", {})
    reasons = "".join(f" No {name}: {reason}." for name, reason in why.items())
    return [
        Table("Controls of depth", ["layers", "number", "mean rho"], body, numeric=(1, 2)),
        Text(f"An alignment of depth needs the layers in their order.{drawn}{reasons}"),
    ]


def _cuts(files: GroupFiles) -> list[tuple[GroupFiles, int]]:
    """Models of the same layers, each cut to as many principal components."""
    wanted = str(settings_of(files).get("features"))
    found = []
    for label in files.tree.group_models():
        other = GroupFiles(files.root, model=label, gradient=files.gradient)
        before, plain = derived_from(str(settings_of(other).get("features")))
        n = before.removeprefix(COMPONENTS).removesuffix(":")
        if n.isdigit() and plain == wanted:
            found.append((other, int(n)))
    return sorted(found, key=lambda one: one[1])


def _cut(files: GroupFiles, n: int) -> list[str]:
    """Its alignment, in its own mask."""
    path = files.file("statmap.json", desc=files.of_gradient(ALIGNMENT_DESC))
    rho = files.alignment.get("rho_mean") if path.is_file() else None
    layers = len(settings_of(files).get("layers") or ())
    return [f"{n} components of each (model-{files.model})", str(layers), number(to_float(rho))]


def where_masked(files: GroupFiles) -> str:
    """Where means of layers and slopes are taken: the mask may be the whole cortex."""
    mask = files.map("n", desc="mask")[0] > 0
    known = np.isfinite(files.accuracy).all(axis=0)
    return CORTEX if np.array_equal(mask & known, known) else "inside the mask"


def stability_text(files: GroupFiles) -> Block:
    """How far the best layer can be trusted."""
    values = files.map("stability", desc="layerpref")[0]
    inside = np.isfinite(values) & (files.map("n", desc="mask")[0] > 0)
    where = where_masked(files)
    if not inside.any():
        inside, where = np.isfinite(values), CORTEX
    return Text(
        "The best layer of a vertex returns in"
        f" {np.median(values[inside]):.0%} of bootstrap samples of participants (median {where}):"
        " what its map shows beyond that is noise."
    )


def music_check_text(files: GroupFiles) -> Block:
    """How far the closed form of the null over music agrees with refits."""
    path = sidecar_of(files.map_path("L", "p", desc="music"))
    if not path.is_file():
        reasons = "; ".join(left_out(files, "music")) or "by an earlier version"
        raise MissingInputError(
            "Nothing was tested over music.", where=path.name, found=reasons, remedy=LEVEL_AGAIN
        )
    content = files.json(path)
    told = (content.get("RefitCheck") or {}).get("told", "not compared with refits")
    left = [f"sub-{who} ({why})" for who, why in (content.get("LeftOut") or {}).items()]
    return Text(
        f"Null over music, accuracy of layers: {told}. Responses are those of"
        f" {number(content.get('ParticipantsBehind'))} participants"
        + (f"; without {', '.join(left)}." if left else ".")
    )
