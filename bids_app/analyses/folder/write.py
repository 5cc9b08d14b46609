"""Write tables and surface maps with their sidecars, and the settings file of a result."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.folder.records import of_hemisphere
from bids_app.config import settings_hash
from bids_app.errors import MusencError
from bids_app.files import (
    atomic_path,
    is_sealed,
    read_json,
    sha256_of_file,
    write_json,
    write_sealed,
)
from bids_app.meshes import MESHES
from bids_app.outputs import (
    HEMISPHERES,
    TABLE_FORMAT,
    OutputTree,
    cifti_fields,
    cifti_of,
    mesh_fields,
    sidecar_of,
)
from bids_app.plain import cell
from bids_app.surface.gifti import write_gifti
from bids_app.surface.grayordinates import grayordinates, write_dscalar

LOGGER = logging.getLogger("bids_app.analyses")

Rows = Sequence[Mapping[str, Any]]

OF_BIDS = {name: {"Units": "s", "Format": "number"} for name in ("onset", "duration")}
"""Columns that BIDS defines; its validator wants them described as numbers."""


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
    return {name: {"Description": text, **OF_BIDS.get(name, {})} for name, text in columns.items()}


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
    space: str,
    tr: float | None = None,
) -> list[Path]:
    """Both hemispheres of a map, and the JSON file beside each; on some meshes CIFTI, too.

    Of the `Sources` in the sidecar, files of the other hemisphere are left out.

    Parameters
    ----------
    path_of : callable
        File of a hemisphere, ``"L"`` or ``"R"``.
    values : array of shape (n_arrays, n_vertices)
    names : sequence of n_arrays str
    sidecar : mapping
    space : str
        Mesh.
    tr : float or None
        Seconds between arrays of a time series.
    """
    written = []
    for hemi, half in zip(HEMISPHERES, np.split(values, 2, axis=-1), strict=True):
        path = write_gifti(path_of(hemi), half, hemi=hemi, names=list(names), tr=tr)
        told = {**sidecar, **mesh_fields(hemi, space)}
        if "Sources" in told:
            told["Sources"] = of_hemisphere(told["Sources"], hemi)
        written += [path, write_json(sidecar_of(path), told)]
    if MESHES[space].cifti and tr is None:
        path = cifti_of(path_of(HEMISPHERES[0]))
        rows = np.atleast_2d(values)
        write_dscalar(path, rows, list(names), grayordinates(space, rows))
        told = {**sidecar, **cifti_fields(space)}
        written += [path, write_json(sidecar_of(path), told)]
    return written


def write_settings(
    tree: OutputTree,
    path: Path,
    settings: Mapping[str, Any],
    written: Sequence[Path],
    **fields: Any,
) -> Path:
    """The file that marks a result as complete, with what `fields` say of it.

    Every file `written` is named with its checksum, and the record has one of itself.
    """
    content = {
        "File": path.name,
        "SettingsHash": settings_hash(dict(settings)),
        "Settings": settings,
        **fields,
        "Outputs": checksums_of(tree, written),
    }
    return write_sealed(path, content)


def checksums_of(tree: OutputTree, files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files by their names below the output folder, sorted."""
    return {str(file.relative_to(tree.root)): sha256_of_file(file) for file in sorted(set(files))}


class Closing:
    """The file that marks a result as complete, while the result is made anew.

    Files that the result had before and has no more go when it is complete again, also where a
    process was killed in between.

    Parameters
    ----------
    tree : OutputTree
    done : Path
        The file that marks the result as complete.
    """

    def __init__(self, tree: OutputTree, done: Path) -> None:
        self.tree, self.done = tree, done
        self._before = done.with_name(f".{done.name}.before")

    def begin(self) -> None:
        """From here to `finish` the result is not complete."""
        with suppress(FileNotFoundError):
            self.done.replace(self._before)

    def finish(
        self,
        settings: Mapping[str, Any],
        written: Sequence[Path],
        *,
        leave: Sequence[Path] = (),
        **fields: Any,
    ) -> None:
        """Remove what is left of before, but for what to `leave`, and write the mark."""
        for path in self._named_before() - {*written, *leave}:
            LOGGER.info("%s is of an earlier result and is removed", path)
            with suppress(OSError):
                path.unlink()
        write_settings(self.tree, self.done, settings, written, **fields)
        with suppress(OSError):
            self._before.unlink()

    def _named_before(self) -> set[Path]:
        """Files of the result before; none where nothing can be trusted to say which."""
        try:
            before = read_json(self._before)
        except MusencError:
            return set()
        if not (isinstance(before, dict) and is_sealed(before)):
            return set()
        files = {self.tree.root / str(name) for name in before.get("Outputs", ())}
        return {path for path in files if path.is_file()}
