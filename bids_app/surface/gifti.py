"""Surface data in GIFTI files: read a BOLD series, write maps that everybody can load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError
from bids_app.files import atomic_path, reading
from bids_app.inputs.files import need_content
from bids_app.loading import load_gifti
from bids_app.outputs import STRUCTURES


def read_gifti(path: Path) -> NDArray[np.float32]:
    """Read the data arrays of a GIFTI file as rows.

    Returns
    -------
    array of shape (n_arrays, n_vertices)

    Raises
    ------
    MissingInputError, BadDataError
        If the file is absent, unreadable or holds no data.
    """
    if not path.is_file():  # opening a named pipe would wait for ever
        need_content(path, "A surface file is missing.")
    with reading(
        path,
        "A surface file cannot be read.",
        wanted="a complete GIFTI file",
        remedy="fetch or write the file again",
    ):
        image = load_gifti(path)
        arrays = [np.asarray(array.data) for array in image.darrays]
        if any(array.shape != arrays[0].shape for array in arrays):
            raise ValueError(f"arrays of shapes {sorted({array.shape for array in arrays})}")
    if not arrays:
        raise BadDataError("A surface file holds no data.", where=path, wanted="data arrays")
    if len(arrays) == 1 and arrays[0].ndim == 2:
        return np.ascontiguousarray(arrays[0].T, dtype=np.float32)
    return np.stack(arrays).astype(np.float32, copy=False)


def read_surface(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read a mesh.

    Returns
    -------
    points : array of shape (n_vertices, 3)
    faces : array of shape (n_faces, 3)

    Raises
    ------
    BadDataError
        If the file holds no mesh.
    """
    wanted = "a GIFTI file with points and triangles"
    need_content(path, "A surface mesh is missing.")
    with reading(path, "A surface mesh cannot be read.", wanted=wanted):
        points, faces = load_gifti(path).agg_data(("pointset", "triangle"))
        return np.asarray(points, dtype=np.float64), np.asarray(faces, dtype=np.int64)


def write_gifti(
    path: Path,
    data: NDArray[np.floating],
    *,
    hemi: str,
    names: list[str],
    tr: float | None = None,
) -> Path:
    """Write rows of `data` as the named data arrays of a float32 GIFTI file.

    Parameters
    ----------
    path : Path
    data : array of shape (n_arrays, n_vertices)
    hemi : "L" or "R"
    names : list of n_arrays str
    tr : float or None
        Seconds between arrays; marks the file as a time series.
    """
    import nibabel as nib

    intent = "NIFTI_INTENT_TIME_SERIES" if tr is not None else "NIFTI_INTENT_NONE"
    meta = {"AnatomicalStructurePrimary": STRUCTURES[hemi]}
    if tr is not None:
        meta["TimeStep"] = f"{tr * 1000:.6f}"  # milliseconds, as FreeSurfer and fMRIPrep write it
    arrays = [
        nib.gifti.GiftiDataArray(
            np.ascontiguousarray(row, dtype=np.float32),
            intent=intent,
            datatype="NIFTI_TYPE_FLOAT32",
            meta=nib.gifti.GiftiMetaData({"Name": name}),
        )
        for row, name in zip(np.atleast_2d(data), names, strict=True)
    ]
    image = nib.gifti.GiftiImage(darrays=arrays, meta=nib.gifti.GiftiMetaData(meta))
    with atomic_path(path) as temporary:
        nib.save(image, temporary)
    return path
