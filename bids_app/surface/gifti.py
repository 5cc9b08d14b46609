"""Surface data in GIFTI files: read a BOLD series, write maps that everybody can load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import WRITE_AGAIN, BadDataError
from bids_app.files import atomic_path, reading
from bids_app.inputs.files import need_content
from bids_app.loading import load_gifti
from bids_app.outputs import STAT_INTENTS, STRUCTURES, parse_entities

_ARRAY, _END, _COUNT = b"<DataArray", b"</GIFTI>", b'NumberOfDataArrays="%d"'


@dataclass(frozen=True, eq=False)
class Gifti:
    """What a GIFTI file of maps or a time series holds.

    Attributes
    ----------
    values : array of shape (n_arrays, n_vertices)
    names : list of str
        Of the arrays; empty text where the file gives none.
    meta : dict of str
        Of the file.
    """

    values: NDArray[np.float32]
    names: list[str]
    meta: dict[str, str]


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
    return read_named(path).values


def read_named(path: Path) -> Gifti:
    """Read the data arrays of a GIFTI file as rows, with their names and the file's metadata.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Gifti
        With values of shape (n_arrays, n_vertices).

    Raises
    ------
    MissingInputError, BadDataError
        As `read_gifti`.
    """
    if not path.is_file():  # opening a named pipe would wait for ever
        need_content(path, "A surface file is missing.")
    with reading(
        path,
        "A surface file cannot be read.",
        wanted="a complete GIFTI file",
    ):
        image = load_gifti(path)
        arrays = [np.asarray(array.data) for array in image.darrays]
        if any(array.shape != arrays[0].shape for array in arrays):
            raise ValueError(f"arrays of shapes {sorted({array.shape for array in arrays})}")
        names, meta = _told(image)
    if not arrays:
        raise BadDataError(
            "A surface file holds no data.",
            where=path,
            found="no data array",
            wanted="data arrays",
            remedy=WRITE_AGAIN,
        )
    if len(arrays) == 1 and arrays[0].ndim == 2:
        return Gifti(np.ascontiguousarray(arrays[0].T, dtype=np.float32), names, meta)
    return Gifti(np.stack(arrays).astype(np.float32, copy=False), names, meta)


def read_into(path: Path, rows: NDArray[np.float32]) -> tuple[tuple[int, int], Gifti]:
    """Read the data arrays of a GIFTI file into an array that exists.

    Parameters
    ----------
    path : Path
    rows : array of shape (n_arrays, n_vertices)
        Filled where the file has rows of this length.

    Returns
    -------
    shape : (int, int)
        Of the file: arrays and vertices.
    file : Gifti
        With the rows as its values.

    Raises
    ------
    MissingInputError, BadDataError
        As `read_gifti`.
    """
    need_content(path, "A surface file is missing.")
    shape = (0, 0)

    def take(values: NDArray[Any]) -> None:
        nonlocal shape
        # All volumes in one array: vertices by times.
        new = values.T if values.ndim == 2 else values.reshape(1, -1)
        n_before, n_vertices = shape
        if n_before and n_vertices != new.shape[1]:
            raise ValueError(f"arrays of {n_vertices} and {new.shape[1]} vertices")
        shape = n_before + len(new), new.shape[1]
        if shape[1] == rows.shape[1]:
            there = rows[n_before : shape[0]]
            there[:] = new[: len(there)]

    with reading(
        path,
        "A surface file cannot be read.",
        wanted="a complete GIFTI file",
    ):
        image = load_gifti(path, each=take)
    if not shape[0]:
        raise BadDataError(
            "A surface file holds no data.",
            where=path,
            found="no data array",
            wanted="data arrays",
            remedy=WRITE_AGAIN,
        )
    return shape, Gifti(rows, *_told(image))


def _told(image: Any) -> tuple[list[str], dict[str, str]]:
    """Names of the data arrays, and metadata of the file."""
    names = [str(array.meta.get("Name", "")) for array in image.darrays]
    return names, {str(key): str(value) for key, value in image.meta.items()}


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


def title_of(path: Path) -> str:
    """Title in the metadata of a surface file: its name without extension.

    Examples
    --------
    >>> title_of(Path("sub-01_hemi-L_bold.func.gii"))
    'sub-01_hemi-L_bold'
    """
    return Path(path).name.split(".")[0]


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

    Notes
    -----
    Metadata hold the participant and the name of the file, so that a file under another's name is
    recognized. The intent is that of the statistic in the name, if there is one.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sub-01_hemi-L_stat-r_statmap.func.gii"
    ...     _ = write_gifti(
    ...         path, np.array([[0.1, 0.2], [0.3, 0.4]]), hemi="L", names=["conv1", "pool1"]
    ...     )
    ...     found = read_named(path)
    >>> found.names, found.values.astype(float).round(1).tolist()
    (['conv1', 'pool1'], [[0.1, 0.2], [0.3, 0.4]])
    """
    import nibabel as nib

    entities = parse_entities(path)
    intent = "TIME_SERIES" if tr is not None else STAT_INTENTS.get(entities.get("stat", ""), "NONE")
    meta = {"AnatomicalStructurePrimary": STRUCTURES[hemi], "Title": title_of(path)}
    if participant := entities.get("sub"):
        meta["SubjectID"] = f"sub-{participant}"
    if tr is not None:
        meta["TimeStep"] = f"{tr * 1000:.6f}"  # milliseconds, as FreeSurfer and fMRIPrep write it
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        # An image of all arrays would take as text four times what they take as numbers.
        for number, (row, name) in enumerate(zip(np.atleast_2d(data), names, strict=True)):
            array = nib.gifti.GiftiDataArray(
                np.ascontiguousarray(row, dtype=np.float32),
                intent=f"NIFTI_INTENT_{intent}",
                datatype="NIFTI_TYPE_FLOAT32",
                meta=nib.gifti.GiftiMetaData({"Name": name}),
            )
            image = nib.gifti.GiftiImage(darrays=[array], meta=nib.gifti.GiftiMetaData(meta))
            content = image.to_bytes()
            start, end = content.index(_ARRAY), content.rindex(_END)
            if number == 0:
                stream.write(content[:start].replace(_COUNT % 1, _COUNT % len(names), 1))
            stream.write(content[start:end])
        stream.write(_END)
    return path


def write_labels(path: Path, keys: NDArray[np.integer], names: Sequence[str], *, hemi: str) -> Path:
    """Write the key of every vertex as a label GIFTI file.

    Parameters
    ----------
    path : Path
    keys : array of shape (n_vertices,)
    names : sequence of str
        Name of key 0, 1, ...
    hemi : "L" or "R"
    """
    import nibabel as nib

    table = nib.gifti.GiftiLabelTable()
    for key, name in enumerate(names):
        label: Any = nib.gifti.GiftiLabel(key, 1.0, 1.0, 1.0, 0.0 if key == 0 else 1.0)
        label.label = name
        table.labels.append(label)
    array = nib.gifti.GiftiDataArray(
        np.asarray(keys, dtype=np.int32), "NIFTI_INTENT_LABEL", "NIFTI_TYPE_INT32"
    )
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": STRUCTURES[hemi]})
    image = nib.gifti.GiftiImage(darrays=[array], labeltable=table, meta=meta)
    with atomic_path(path) as temporary:
        nib.save(image, temporary)
    return path
