"""The part of the group page about networks by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from bids_app.files import sha256_of_file
from bids_app.outputs import NETWORKS_DESC, parse_entities
from bids_app.report.page import Block, Section, Table, Verdict, number
from bids_app.report.sources import GroupFiles, Rows, to_float

_SHARES = {"p": "share with p < .05: ", "q": "share with q < .05: "}


def networks_section(files: GroupFiles) -> list[Section]:
    """Means of the group's maps in every network; no section without networks."""
    found = sorted(files.root.glob(f"group_desc-{NETWORKS_DESC}*_summary.tsv"))
    if not found:
        return []
    section = Section("networks", "Networks")
    for path in found:
        label = parse_entities(path)["desc"].removeprefix(NETWORKS_DESC)
        section.add(f"networks of {label}", partial(network_blocks, files, path, label))
    return [section]


def network_blocks(files: GroupFiles, path: Path, label: str) -> list[Block]:
    """Maps of one array by networks, and whether the maps are still those of the table."""
    rows, sidecar = files.table(path), files.json(path.with_suffix(".json"))
    texts = sidecar.get("MapDescriptions", {})
    networks = list(dict.fromkeys(row["network"] for row in rows))
    by_file: dict[str, Rows] = {}
    for row in rows:
        by_file.setdefault(row["file"], []).append(row)
    body, layered = [], 0
    for own in by_file.values():
        if len({row["map"] for row in own}) > 1:
            layered += 1
            continue
        cells = {row["network"]: row for row in own}
        title = _title(own[0], texts.get(own[0]["file"], ""))
        body.append([title, *(_cell(cells.get(name)) for name in networks)])
    blocks: list[Block] = [
        Table(
            f"Means of the group's maps in the networks of {label}, both hemispheres, weighted by"
            " area; of p and q the share of the area below .05, as the map corrects it. They"
            " describe maps and test nothing; the tests of accuracy and slope per network are under"
            f" Regions. {layered} maps of several layers or contrasts are in {files.name(path)}.",
            ["map", *networks],
            body,
            numeric=range(1, len(networks) + 1),
        )
    ]
    if changed := _changed(files, sidecar.get("Maps", {})):
        blocks.append(
            Verdict(
                f"{changed} of the maps are others by now, and later ones are not in the table. Run"
                " the group level with --networks again to bring it up to date.",
                "warning",
            )
        )
    return blocks


def _changed(files: GroupFiles, sums: Mapping[str, str]) -> int:
    """How many maps are not as they were."""
    folder = files.tree.group_folder(files.space)
    return sum(
        not (folder / name).is_file() or sha256_of_file(folder / name) != known
        for name, known in sums.items()
    )


def _title(row: dict[str, str], said: str) -> str:
    """Model and feature, then what was `said` of the map, without its details."""
    said = said or " ".join(row[name] for name in ("stat", "desc") if row[name] != "n/a")
    about = " ".join(row[name] for name in ("model", "feature") if row[name] != "n/a")
    what = _SHARES.get(row["stat"], "") + re.split("[:;]", said)[0]
    return f"{about}: {what}" if about else what


def _cell(row: dict[str, str] | None) -> str:
    if row is None:
        return "n/a"
    value, share = to_float(row["value"]), to_float(row["share"])
    return number(value if np.isfinite(value) else share)
