"""Surface data in GIFTI files: read a BOLD series, write maps that everybody can load."""

from __future__ import annotations

import base64
import math
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError
from bids_app.files import atomic_path, reading
from bids_app.inputs.files import need_content
from bids_app.outputs import STRUCTURES

_MAX_BYTES = 1 << 33  # an array with a run of hours on the finest mesh


@cache
def _bounded_gifti() -> Any:
    """GIFTI image of nibabel's, which unpacks no more than a file says it holds.

    Compressed data may grow a thousandfold, and may be said to lie in any file of the machine.
    """
    import nibabel as nib
    from nibabel.gifti.parse_gifti_fast import GiftiImageParser
    from nibabel.gifti.util import gifti_encoding_codes

    class Parser(GiftiImageParser):
        """Takes the compressed data; the rest is nibabel's."""

        def flush_chardata(self) -> None:
            if self.write_to == "Data" and self.da is not None:
                first = self.img.darrays[0] if self.img is not None else self.da
                if self.da.dims != first.dims:
                    raise ValueError(f"arrays of {first.dims} and {self.da.dims}")
                encoding = gifti_encoding_codes.label[self.da.encoding]
                if encoding == "External":
                    raise ValueError(f"its data are in another file ({self.da.ext_fname})")
                if encoding == "B64GZ":
                    self.da.data = _unpacked(self.da, "".join(self._char_blocks or []))
                    self._char_blocks = None
                    return
            super().flush_chardata()

    class Image(nib.gifti.GiftiImage):
        parser = Parser

    return Image


def load_gifti(path: Path) -> Any:
    """Open a GIFTI file with `nibabel`; whatever is wrong with it raises there."""
    return _bounded_gifti().from_filename(path)


def _unpacked(array: Any, text: str) -> NDArray[Any]:
    """Values of a compressed data array, of the size its attributes say.

    Raises
    ------
    ValueError
        Where the data are of another size.
    """
    from nibabel.gifti.util import array_index_order_codes, gifti_endian_codes
    from nibabel.nifti1 import data_type_codes

    kind: Any = data_type_codes.dtype[array.datatype]
    dtype = kind.newbyteorder(gifti_endian_codes.byteorder[array.endian])
    n_bytes = math.prod(array.dims) * dtype.itemsize
    if not 0 <= n_bytes <= _MAX_BYTES:
        raise ValueError(f"an array of {array.dims} numbers")
    content = zlib.decompressobj().decompress(base64.b64decode(text), n_bytes + 1)
    if len(content) != n_bytes:
        found = f"more than {n_bytes}" if len(content) > n_bytes else f"{len(content)}"
        raise ValueError(f"{found} bytes of data for an array of {n_bytes}")
    order: Any = array_index_order_codes.npcode[array.ind_ord]
    values: NDArray[Any] = np.frombuffer(bytearray(content), dtype)
    return values.reshape(tuple(array.dims), order=order)


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
    import nibabel as nib

    wanted = "a GIFTI file with points and triangles"
    with reading(path, "A surface mesh cannot be read.", wanted=wanted):
        points, faces = nib.load(path).agg_data(("pointset", "triangle"))  # type: ignore[attr-defined]
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
