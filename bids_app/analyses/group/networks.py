"""Mean of every group map in every network."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import damaged, read_maps, read_record
from bids_app.analyses.folder.write import write_table
from bids_app.config import Statistics
from bids_app.errors import MusencError
from bids_app.files import sha256_of_file
from bids_app.group import parcel_table
from bids_app.meshes import N_VERTICES, mesh_at
from bids_app.outputs import (
    NETWORKS_DESC,
    OutputTree,
    hemispheres_of,
    labeled,
    parse_entities,
    sidecar_of,
)
from bids_app.statistics import SIGNIFICANCE
from bids_app.surface.atlas import Atlas, read_networks
from bids_app.surface.mesh import load_mesh

LOGGER = logging.getLogger("bids_app.analyses")

CHANCES = ("p", "q")
"""Maps of which the share below .05 is told and no mean."""
NO_MEAN = ("argmax",)
"""Maps that are numbers of something: they have no mean."""

NETWORK_COLUMNS = {
    "file": "left file of the group map",
    "model": "model label; n/a where the map belongs to none",
    "feature": "what it is about: a scale, a contrast, a stimulus; n/a for none",
    "stat": "statistic",
    "desc": "description in the name of the file",
    "map": "data array: a layer, or the name of the only one",
    "network": "name",
    "n_vertices": "vertices of the network with a value",
    "value": "mean over the network, weighted by area; n/a of p and q",
    "share": "of p and q: share of the network's area that is below .05, as the file has it",
}


def write_network_tables(tree: OutputTree, statistics: Statistics) -> list[Path]:
    """One table per atlas of networks, of all group maps of the folder.

    What cannot be read costs its rows, with a line in the log.
    """
    written: list[Path] = []
    for option in statistics.networks:
        maps = list(_group_maps(tree))
        rows: list[dict[str, Any]] = []
        sums: dict[str, str] = {}
        texts: dict[str, str] = {}
        atlas: Atlas | None = None
        for path, space in maps:
            try:
                atlas = read_networks(option, 2 * N_VERTICES[space])
                record = read_record(sidecar_of(path), DataArrays=list)
                rows += _rows_of(path, space, atlas, record["DataArrays"])
                sums[path.name] = sha256_of_file(path)
                texts[path.name] = str(record.get("Description") or "")
            except MusencError as error:
                LOGGER.warning("group: networks: %s is left out: %s", path.name, error)
        if atlas is None or not rows:
            continue
        path = tree.group_table("summary.tsv", desc=labeled(NETWORKS_DESC, atlas.label))
        read = [file for left, _ in maps if left.name in sums for file in hemispheres_of(left)]
        sources = [*map(tree.uri, read), *(file.resolve().as_uri() for file in atlas.files)]
        told = atlas.record | {"Maps": sums, "MapDescriptions": texts, "Sources": sources}
        written += write_table(path, NETWORK_COLUMNS, rows, told)
    return written


def _group_maps(tree: OutputTree) -> Iterator[tuple[Path, str]]:
    """Left files of the group's maps, and their meshes."""
    for path in sorted(tree.root.glob("tpl-*/func/*_statmap.func.gii")):
        entities = parse_entities(path)
        if entities.get("hemi") == "L" and entities.get("stat") not in NO_MEAN:
            space = mesh_at(entities.get("tpl", ""), entities.get("den", ""))
            if not space:
                LOGGER.warning("group: networks: %s is left out: no mesh that is known", path.name)
                continue
            yield path, space


def _rows_of(path: Path, space: str, atlas: Atlas, names: list[str]) -> list[dict[str, Any]]:
    values = read_maps(path, space).astype(np.float64)
    if len(names) != len(values):
        raise damaged(sidecar_of(path), f"{len(names)} DataArrays", f"the {len(values)} of the map")
    areas, entities = load_mesh(space).areas, parse_entities(path)
    chance = entities.get("stat") in CHANCES
    shown = np.where(np.isfinite(values), values < SIGNIFICANCE, np.nan) if chance else values
    rows = []
    for name, one in zip(names, shown, strict=True):
        table = parcel_table(one, atlas.regions, areas, label_names=atlas.names)
        for k, network in enumerate(table.names):
            told: NDArray[np.float64] = table.values
            rows.append(
                {
                    "file": path.name,
                    **{key: entities.get(key) for key in ("model", "feature", "stat", "desc")},
                    "map": name,
                    "network": network,
                    "n_vertices": table.n_vertices[k],
                    "value": np.nan if chance else told[k],
                    "share": told[k] if chance else np.nan,
                }
            )
    return rows
