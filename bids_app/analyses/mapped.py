"""Responses of everybody in mapped files, the values of a vertex one after another.

Analyses of a group work through vertices in parts. With the times in the order of the scanner every
page of a file holds some of each vertex, and each part would read all of the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.disk import full_disk, is_full


def save_series(path: Path, values: NDArray[np.floating]) -> Path:
    """Write responses of shape (n_times, n_vertices) for `bids_app.loading.load_array`.

    Examples
    --------
    >>> import tempfile
    >>> values = np.arange(6.0).reshape(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = np.load(save_series(Path(folder) / "responses.npy", values))
    >>> found.tolist() == values.tolist(), found[:, 0].flags.contiguous
    (True, True)
    """
    np.save(path, np.asfortranarray(values))
    return path


def new_series(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Responses to be filled in, of shape (n_times, n_vertices) or (n_people, n_times, n_vertices).

    Raises
    ------
    CannotWriteError
        If the disk has no place for them.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = new_series(Path(folder) / "responses.npy", (4, 3, 2))
    ...     found.shape, found[0, :, 0].flags.contiguous
    ((4, 3, 2), True)
    """
    *people, n_times, n_vertices = shape
    if not people:
        return new_array(path, shape, fortran_order=True)
    return np.swapaxes(new_array(path, (*people, n_vertices, n_times)), -1, -2)


def new_array(
    path: Path, shape: tuple[int, ...], *, fortran_order: bool = False, dtype: Any = np.float32
) -> NDArray[Any]:
    """A mapped array of zeros to be filled in.

    Raises
    ------
    CannotWriteError
        If the disk has no place for it.
    """
    mapped = np.lib.format.open_memmap(path, "w+", dtype, shape, fortran_order=fortran_order)
    # The place is taken now: a disk that fills up later ends the process without a word.
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is not None:
        size = path.stat().st_size
        try:
            with path.open("r+b") as stream:
                allocate(stream.fileno(), 0, size)
        except OSError as error:
            if is_full(error):
                raise full_disk(error, [path.parent], file=path, needed=size) from error
            # Else a file system that takes none ahead.
    return mapped


def write_out(arrays: Iterable[Any]) -> None:
    """Have everything on the disk that was filled in: another machine may read it."""
    for one in arrays:
        one.flush()
