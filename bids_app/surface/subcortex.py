"""Subcortical voxels of CIFTI files (91k grayordinates): read, smoothed, written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.spatial import cKDTree

from bids_app.errors import BadDataError
from bids_app.files import atomic_path, reading
from bids_app.loading import load_volume
from bids_app.surface.atlas import BOTH, Atlas

LABEL = "subcortex"
_PREFIX = "CIFTI_STRUCTURE_"
_SIDES = {"LEFT": "L", "RIGHT": "R"}
_REACH = 3.0
"""Standard deviations within which a neighbor counts."""
_COLUMNS = 2048
_WANTED = "a CIFTI file with subcortical voxels, such as space-fsLR_den-91k_bold.dtseries.nii"


@dataclass(frozen=True, eq=False)
class Subcortex:
    """Which voxels a file has, and of which structures.

    Attributes
    ----------
    voxels : (n_voxels, 3) int array
        Numbers in the volume, from 0.
    structures : (n_voxels,) array of str
        CIFTI's name of the structure of each.
    affine : (4, 4) array
        From numbers to mm.
    shape : tuple of 3 int
        Of the volume.
    """

    voxels: NDArray[np.intp]
    structures: NDArray[np.str_]
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]

    @property
    def points(self) -> NDArray[np.float64]:
        """Where the voxels are, (n_voxels, 3), mm."""
        return np.asarray(self.voxels @ self.affine[:3, :3].T + self.affine[:3, 3])

    @property
    def voxel_volume(self) -> float:
        """Of one voxel, mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """Structure of each voxel, from 1 in the order of the file."""
        names = list(dict.fromkeys(self.structures.tolist()))
        return np.array([names.index(one) + 1 for one in self.structures.tolist()])

    @property
    def atlas(self) -> Atlas:
        """The structures as regions."""
        names, sides = {}, {}
        for number, name in enumerate(dict.fromkeys(self.structures.tolist()), start=1):
            names[number], sides[number] = structure_name(name)
        return Atlas(LABEL, self.numbers, names, sides, ())

    @property
    def axis(self) -> Any:
        """The same as nibabel has it."""
        from nibabel.cifti2 import BrainModelAxis

        return BrainModelAxis(
            self.structures, voxel=self.voxels, affine=self.affine, volume_shape=self.shape
        )

    def is_like(self, other: Subcortex) -> bool:
        """Whether the other has the same voxels of the same structures."""
        return (
            self.shape == other.shape
            and np.allclose(self.affine, other.affine, atol=1e-3)
            and np.array_equal(self.voxels, other.voxels)
            and np.array_equal(self.structures, other.structures)
        )

    def image(self, values: NDArray[np.floating], outside: float = np.nan) -> Any:
        """Values of the voxels as a volume, `outside` elsewhere."""
        from nibabel import Nifti1Image

        volume = np.full(self.shape, outside, dtype=np.float32)
        volume[tuple(self.voxels.T)] = values
        return Nifti1Image(volume, self.affine)


def structure_name(structure: str) -> tuple[str, str]:
    """Name and hemisphere of a structure of CIFTI.

    Examples
    --------
    >>> structure_name("CIFTI_STRUCTURE_ACCUMBENS_LEFT")
    ('Accumbens', 'L')
    >>> structure_name("CIFTI_STRUCTURE_BRAIN_STEM")
    ('Brain stem', 'both')
    """
    words = structure.removeprefix(_PREFIX).split("_")
    side = _SIDES.get(words[-1], BOTH)
    named = words[:-1] if words[-1] in _SIDES else words
    return " ".join(named).capitalize(), side


def read_subcortex(path: Path) -> tuple[Subcortex, NDArray[np.float32]]:
    """Subcortical voxels of a CIFTI file and their values, (n_maps or n_times, n_voxels).

    Raises
    ------
    BadDataError
        If the file cannot be read or has none.
    """
    with reading(path, "A CIFTI file cannot be read.", wanted=_WANTED):
        image: Any = load_volume(path)
        axis = image.header.get_axis(1)
        inside = np.flatnonzero(axis.volume_mask)
        values = np.empty((0, 0), dtype=np.float32)
        if len(inside):  # memory holds what lies between them, not the cortex before
            first, last = inside[0], inside[-1] + 1
            part = np.asarray(image.dataobj[:, first:last], dtype=np.float32)
            values = part[:, inside - first]
    if not values.size:
        raise BadDataError(
            "A CIFTI file has no subcortical voxel.",
            where=path,
            found=", ".join(sorted(set(map(str, axis.name)))),
            wanted=_WANTED,
        )
    own = axis[inside]
    x, y, z = (int(n) for n in own.volume_shape)
    found = Subcortex(
        np.asarray(own.voxel, dtype=np.intp),
        np.asarray(own.name, dtype=np.str_),
        np.asarray(own.affine, dtype=np.float64),
        (x, y, z),
    )
    return found, values


def write_scalars(
    path: Path, values: NDArray[np.floating], names: Sequence[str], subcortex: Subcortex
) -> Path:
    """Maps (n_maps, n_voxels) as ``dscalar.nii``."""
    from nibabel.cifti2 import ScalarAxis

    return write_cifti(path, values, ScalarAxis(list(names)), subcortex.axis)


def write_series(
    path: Path, values: NDArray[np.floating], start: float, tr: float, subcortex: Subcortex
) -> Path:
    """A series (n_times, n_voxels) as ``dtseries.nii``; `start` and `tr` in seconds."""
    from nibabel.cifti2 import SeriesAxis

    return write_cifti(path, values, SeriesAxis(start, tr, len(values)), subcortex.axis)


def write_cifti(
    path: Path, values: NDArray[np.floating], rows: Any, columns: Any, intent: str = ""
) -> Path:
    """A CIFTI file of float32 values between two axes of nibabel; `intent` is NIfTI's code."""
    from nibabel.cifti2 import Cifti2Image

    image = Cifti2Image(np.asarray(values, dtype=np.float32), header=(rows, columns))
    image.update_headers()
    image.nifti_header.set_data_dtype(np.float32)
    if intent:
        image.nifti_header.set_intent(intent, name=intent)
    with atomic_path(path) as temporary:
        temporary.write_bytes(image.to_bytes())
    return path


def smooth_within(
    values: NDArray[np.float32],
    points: NDArray[np.float64],
    numbers: NDArray[np.int64],
    fwhm: float,
    usable: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Gaussian smoothing that does not cross the borders of structures.

    Parameters
    ----------
    values : (n_times, n_voxels) array
    points : (n_voxels, 3) array
        mm.
    numbers : (n_voxels,) int array
        Structure of each voxel.
    fwhm : float
        Full width at half maximum, mm; 0 for none. Neighbors beyond three standard deviations
        do not count.
    usable : (n_voxels,) bool array
        The others take no part and stay as they are.

    Returns
    -------
    (n_times, n_voxels) float32

    Examples
    --------
    >>> points = np.array([[0.0, 0, 0], [2, 0, 0], [4, 0, 0]])
    >>> values = np.array([[1.0, 0.0, 8.0]], dtype=np.float32)
    >>> weight = np.exp(-(2**2) / (2 * (4 / 2.3548) ** 2))
    >>> smooth_within(values, points, np.array([1, 1, 2]), 4.0, np.ones(3, bool)).round(3).tolist()
    [[0.6669999957084656, 0.3330000042915344, 8.0]]
    >>> round(float(1 / (1 + weight)), 3)
    0.667
    """
    out = np.array(values, dtype=np.float32)
    if fwhm == 0:
        return out
    sigma = fwhm / np.sqrt(8 * np.log(2))
    for number in np.unique(numbers[usable]):
        own = np.flatnonzero(usable & (numbers == number))
        pairs = cKDTree(points[own]).query_pairs(_REACH * sigma, output_type="ndarray")
        distance = np.linalg.norm(points[own[pairs[:, 0]]] - points[own[pairs[:, 1]]], axis=1)
        weight = np.exp(-(distance**2) / (2 * sigma**2))
        itself = np.arange(len(own))
        rows = np.concatenate([itself, pairs[:, 0], pairs[:, 1]])
        columns = np.concatenate([itself, pairs[:, 1], pairs[:, 0]])
        weights = np.concatenate([np.ones(len(own)), weight, weight])
        matrix = coo_matrix((weights, (rows, columns)), shape=(len(own), len(own))).tocsr()
        total = np.asarray(matrix.sum(axis=1))
        for start in range(0, len(values), _COLUMNS):
            part = slice(start, start + _COLUMNS)
            out[part, own] = (matrix @ values[part, own].T.astype(np.float64) / total).T
    return out
