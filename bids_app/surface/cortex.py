"""Which vertices are cortex, from the user's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.files import reading
from bids_app.outputs import STRUCTURES
from bids_app.surface.gifti import load_gifti

NO_CORTEX = ("unknown", "medialwall", "background", "corpuscallosum")


def read_cortex_mask(files: Sequence[Path], n_vertices: int) -> NDArray[np.bool_]:
    """Read a cortex mask of both hemispheres.

    Parameters
    ----------
    files : sequence of Path
        One file per hemisphere, left first, or one file for both. Shape GIFTI and tables of one
        number per line: cortex is where the number is finite and not zero. Label GIFTI: cortex is
        every label but key 0 and those called unknown, medial wall or corpus callosum.
    n_vertices : int
        Of both hemispheres together.

    Returns
    -------
    (n_vertices,) bool array
        Left, then right.

    Raises
    ------
    MissingInputError
        If a file is not there.
    BadDataError
        If a file cannot be read, is of the other hemisphere or another mesh, or marks no vertex.
    UsageError
        If there are more than two files.
    """
    paths = [Path(path) for path in files]
    if len(paths) not in (1, 2):
        raise UsageError(
            "--cortex-mask takes one or two files.", found=len(paths), wanted="LEFT,RIGHT"
        )
    sides = ("L", "R") if len(paths) == 2 else (None,)
    parts = [_read(path, side) for path, side in zip(paths, sides, strict=True)]
    wanted = n_vertices // len(parts)
    for path, part in zip(paths, parts, strict=True):
        if part.shape != (wanted,):
            raise BadDataError(
                "The cortex mask is on another mesh.",
                where=path,
                found=f"{part.size} vertices",
                wanted=f"{wanted}",
                remedy="give LEFT,RIGHT files on the mesh of --space",
            )
        if not part.any():
            raise BadDataError("The cortex mask marks no vertex as cortex.", where=path)
    return np.concatenate(parts)


def _read(path: Path, side: str | None) -> NDArray[np.bool_]:
    if not path.is_file():
        raise MissingInputError(
            "The file of --cortex-mask is not there.",
            where=path,
            remedy="give existing files, or fetch the named ones: `musenc prefetch cortex parcels`",
        )
    wanted = "label or shape GIFTI, or one number per line"
    with reading(path, "The cortex mask cannot be read.", wanted=wanted):
        if path.name.endswith(".gii"):
            return _read_gifti(path, side)
        values = np.loadtxt(path, delimiter="," if path.suffix == ".csv" else None, ndmin=1)
        return np.asarray(np.isfinite(values) & (values != 0))


def _read_gifti(path: Path, side: str | None) -> NDArray[np.bool_]:
    image: Any = load_gifti(path)
    structure = image.meta.get("AnatomicalStructurePrimary")
    if side is not None and structure in set(STRUCTURES.values()) - {STRUCTURES[side]}:
        raise BadDataError(
            "The cortex mask is of the other hemisphere.",
            where=path,
            found=structure,
            wanted=STRUCTURES[side],
            remedy="give the left file first: --cortex-mask LEFT,RIGHT",
        )
    values = np.asarray(image.darrays[0].data)
    cortex = np.isfinite(values) & (values != 0)
    for label in image.labeltable.labels:
        name = "".join(filter(str.isalpha, (label.label or "").lower()))
        if any(word in name for word in NO_CORTEX):
            cortex &= values != label.key
    return np.asarray(cortex)
