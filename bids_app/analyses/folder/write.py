"""Tables and surface maps with the JSON files beside them, and the file that closes a result."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.config import settings_hash
from bids_app.files import atomic_path, write_json
from bids_app.outputs import HEMISPHERES, TABLE_FORMAT, OutputTree, sidecar_of
from bids_app.plain import cell
from bids_app.surface.gifti import write_gifti

Rows = Sequence[Mapping[str, Any]]


def write_rows(path: Path, rows: Rows, columns: Sequence[str] | None = None) -> Path:
    """A TSV file of these columns; without them, of those the rows have."""
    with atomic_path(path) as temporary:
        table = pd.DataFrame(list(rows), columns=None if columns is None else list(columns))
        texts = table.select_dtypes(exclude="number").columns
        table[texts] = table[texts].map(cell)
        table.rename(columns=cell).to_csv(
            temporary,
            sep="\t",
            index=False,
            na_rep="n/a",
            float_format=TABLE_FORMAT,
            quoting=csv.QUOTE_NONE,
        )
    return path


def described(columns: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The meaning of columns, as the JSON file beside a table has it."""
    return {name: {"Description": text} for name, text in columns.items()}


def write_table(
    path: Path, columns: Mapping[str, str], rows: Rows, extra: Mapping[str, Any] | None = None
) -> list[Path]:
    """A TSV file, and a JSON file with the meaning of its columns and whatever else is known."""
    write_rows(path, rows, list(columns))
    return [path, write_json(sidecar_of(path), {**(extra or {}), **described(columns)})]


def write_map(
    path_of: Callable[[str], Path],
    values: NDArray[np.floating],
    names: Sequence[str],
    sidecar: Mapping[str, Any],
    *,
    tr: float | None = None,
) -> list[Path]:
    """Both hemispheres of a map, and the JSON file beside each.

    Parameters
    ----------
    path_of : callable
        File of a hemisphere, ``"L"`` or ``"R"``.
    values : array of shape (n_arrays, n_vertices)
    names : sequence of n_arrays str
    sidecar : mapping
    tr : float or None
        Seconds between arrays of a time series.
    """
    written = []
    for hemi, half in zip(HEMISPHERES, np.split(values, 2, axis=-1), strict=True):
        path = write_gifti(path_of(hemi), half, hemi=hemi, names=list(names), tr=tr)
        written += [path, write_json(sidecar_of(path), dict(sidecar))]
    return written


def write_settings(
    tree: OutputTree,
    path: Path,
    settings: Mapping[str, Any],
    written: Sequence[Path],
    **fields: Any,
) -> Path:
    """The file that marks a result as complete, with what `fields` say of it."""
    content = {
        "SettingsHash": settings_hash(dict(settings)),
        "Settings": settings,
        **fields,
        "Outputs": sorted(str(file.relative_to(tree.root)) for file in written),
    }
    return write_json(path, content)
