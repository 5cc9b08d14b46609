"""The part of the group page about clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_app.errors import MissingInputError
from bids_app.outputs import sidecar_of
from bids_app.report.page import Block, Section, Table, Text, cell_text, number
from bids_app.report.sources import GroupFiles, Rows, to_float

_MAX_ROWS = 20


def clusters_section(files: GroupFiles) -> Section:
    """Cluster tables as they are in the derivatives."""
    section = Section("clusters", "Clusters")
    section.add("cluster tables", lambda: cluster_tables(files))
    return section


def cluster_tables(files: GroupFiles) -> list[Block]:
    """Every cluster table of the folder."""
    found = sorted(files.root.glob("group_*desc-clusters*.tsv"))
    if not found:
        raise MissingInputError("No cluster table was written", where="group_*_desc-clusters*.tsv")
    return [cluster_table(files, path) for path in found]


def cluster_table(files: GroupFiles, path: Path) -> Block:
    """One table; an empty one says that nothing survived."""
    names, rows = files.cells(path)
    if not rows:
        return Text(f"No cluster: {files.name(path)} is empty.")
    if "mni305_x" in names:
        return _places_table(files, path, rows)
    more = f", first {_MAX_ROWS} of {len(rows)}" if len(rows) > _MAX_ROWS else ""
    columns = files.json(sidecar_of(path)) if sidecar_of(path).is_file() else {}
    told = {name: columns.get(name, {}).get("Description", "") for name in names}
    words = "; ".join(f"{name}: {text}" for name, text in told.items() if text)
    return Table(
        f"{files.name(path)}{more}. {words}",
        names,
        [[cell_text(name, row[name]) for name in names] for row in rows[:_MAX_ROWS]],
        numeric=[k for k, name in enumerate(names) if np.isfinite(to_float(rows[0][name]))],
    )


def _places_table(files: GroupFiles, path: Path, rows: Rows) -> Block:
    """Where the clusters are, as a paper has it."""
    sidecar = files.json(sidecar_of(path)) if sidecar_of(path).is_file() else {}
    atlas = sidecar.get("Atlas")
    named = (
        f"Regions of {atlas}: that of the peak, and that with the largest share."
        if atlas
        else "Regions are not named and have no profiles: run `musenc prefetch parcels` once, or"
        " give --atlas."
    )
    more = f" First {_MAX_ROWS} of {len(rows)}." if len(rows) > _MAX_ROWS else ""

    def point(row: dict[str, str], space: str) -> str:
        return ", ".join(f"{to_float(row[f'{space}_{axis}']):.0f}" for axis in "xyz")

    regions = ("peak_label", "main_label") if atlas else ()
    return Table(
        "Clusters of significant layer-averaged accuracy (over people, and over music where that"
        " was tested), largest first; t over people. Coordinates of the peak in mm."
        f" {named}{more} Data: {files.name(path)}",
        [
            "",
            "side",
            *(("peak region", "main region") if atlas else ()),
            "area (mm2)",
            "vertices",
            "peak t",
            "MNI305 (x, y, z)",
            "MNI152 (x, y, z)",
        ],
        [
            [
                row["cluster"],
                row["hemisphere"],
                *(row[name] for name in regions),
                number(to_float(row["area"]), 0),
                row["n_vertices"],
                number(to_float(row["peak_value"]), 2),
                point(row, "mni305"),
                point(row, "mni152"),
            ]
            for row in rows[:_MAX_ROWS]
        ],
        numeric=range(2 + len(regions), 7 + len(regions)),
    )
