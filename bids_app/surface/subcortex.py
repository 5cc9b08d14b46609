"""Subcortical voxels of CIFTI files (91k grayordinates), or of an atlas in volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.spatial import cKDTree

from bids_app.errors import BadDataError
from bids_app.files import atomic_path, reading
from bids_app.inputs.files import need_content
from bids_app.inputs.names import parse_name
from bids_app.inputs.tables import read_frame
from bids_app.loading import load_volume
from bids_app.meshes import FSLR
from bids_app.surface.atlas import BOTH, Atlas

LABEL = "subcortex"
_PREFIX = "CIFTI_STRUCTURE_"
_SIDES = {"LEFT": "L", "RIGHT": "R"}
_REACH = 3.0
"""Standard deviations within which a neighbor counts."""
_COLUMNS = 2048
_VOLUMES = 64
"""Of a series, in memory at a time."""
_OTHER = f"{_PREFIX}OTHER"
"""What CIFTI calls voxels of an atlas; which region each has, `_REGIONS` of the file says."""
_REGIONS = "Regions"
_WANTED = "a CIFTI file with subcortical voxels, such as space-fsLR_den-91k_bold.dtseries.nii"


@dataclass(frozen=True, eq=False)
class Subcortex:
    """Which voxels a file has, and of which structures.

    Attributes
    ----------
    voxels : (n_voxels, 3) int array
        Numbers in the volume, from 0.
    structures : (n_voxels,) array of str
        CIFTI's name of the structure of each, or the name of a region of an atlas.
    affine : (4, 4) array
        From numbers to mm.
    shape : tuple of 3 int
        Of the volume.
    space : str
        ``fsLR`` of CIFTI's own voxels, else the space of the volumes.
    """

    voxels: NDArray[np.intp]
    structures: NDArray[np.str_]
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    space: str = FSLR

    @property
    def place(self) -> dict[str, str]:
        """Entities of file names: space, and density where it has one."""
        return place_of(self.space)

    @property
    def points(self) -> NDArray[np.float64]:
        """Coordinates of the voxels, (n_voxels, 3), mm."""
        return np.asarray(self.voxels @ self.affine[:3, :3].T + self.affine[:3, 3])

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """Number of each voxel's structure, (n_voxels,), from 1 in the order of the file."""
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
        """The voxels as an axis of nibabel's CIFTI files."""
        from nibabel.cifti2 import BrainModelAxis

        names = self.structures if self.space == FSLR else np.full(len(self.voxels), _OTHER)
        return BrainModelAxis(names, voxel=self.voxels, affine=self.affine, volume_shape=self.shape)

    @property
    def told(self) -> dict[str, str]:
        """Metadata with the names of regions that are no CIFTI structures."""
        if self.space == FSLR:
            return {}
        runs = [[name, len(list(own))] for name, own in groupby(self.structures.tolist())]
        return {_REGIONS: json.dumps({"space": self.space, "regions": runs})}

    def is_like(self, other: Subcortex) -> bool:
        """Whether the other has the same voxels of the same structures."""
        return (
            (self.shape, self.space) == (other.shape, other.space)
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


def place_of(space: str) -> dict[str, str]:
    """Entities of file names for voxels of a space.

    Examples
    --------
    >>> place_of("fsLR"), place_of("MNI152NLin2009cAsym")
    ({'space': 'fsLR', 'den': '91k'}, {'space': 'MNI152NLin2009cAsym'})
    """
    return {"space": FSLR, "den": "91k"} if space == FSLR else {"space": space}


def structure_name(structure: str) -> tuple[str, str]:
    """Name and hemisphere of a structure of CIFTI.

    Examples
    --------
    >>> structure_name("CIFTI_STRUCTURE_ACCUMBENS_LEFT")
    ('Accumbens', 'L')
    >>> structure_name("CIFTI_STRUCTURE_BRAIN_STEM")
    ('Brain stem', 'both')
    >>> structure_name("Inferior colliculus (L)")
    ('Inferior colliculus (L)', 'both')
    """
    if not structure.startswith(_PREFIX):
        return structure, BOTH
    words = structure.removeprefix(_PREFIX).split("_")
    side = _SIDES.get(words[-1], BOTH)
    named = words[:-1] if words[-1] in _SIDES else words
    return " ".join(named).capitalize(), side


def read_subcortex(path: Path) -> tuple[Subcortex, NDArray[np.float32]]:
    """Read the subcortical voxels of a CIFTI file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    subcortex : Subcortex
    values : (n_maps or n_times, n_voxels) float32

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
            remedy="run fMRIPrep again with --cifti-output 91k, or leave --subcortex out",
        )
    own = axis[inside]
    x, y, z = (int(n) for n in own.volume_shape)
    names, space = own.name, FSLR
    if told := dict(image.header.matrix.metadata or {}).get(_REGIONS):
        with reading(path, "The regions of a CIFTI file cannot be read.", wanted=_WANTED):
            known = json.loads(told)
            space = str(known["space"])
            names = np.concatenate([[str(name)] * int(count) for name, count in known["regions"]])
            if len(names) != len(inside):
                raise ValueError(f"{len(names)} voxels of regions, {len(inside)} in the file")
    found = Subcortex(
        np.asarray(own.voxel, dtype=np.intp),
        np.asarray(names, dtype=np.str_),
        np.asarray(own.affine, dtype=np.float64),
        (x, y, z),
        space,
    )
    return found, values


def read_labels(atlas: Path) -> tuple[Any, dict[int, str]]:
    """Read a NIfTI atlas, and the names of its regions by number.

    Names are read from the table of the same name (``.tsv`` with columns index and name, as of BIDS
    ``dseg``); without one, or where a number is not in it, ``region 7``.

    Raises
    ------
    MissingInputError, BadDataError
        If a file is not there, cannot be read, or has no region.
    """
    need_content(atlas, "An atlas cannot be read.")
    wanted = "a volume of whole numbers, 0 outside the regions (.nii, .nii.gz)"
    with reading(atlas, "An atlas cannot be read.", wanted=wanted):
        image = load_volume(atlas)
        values = np.asarray(image.dataobj)
        numbers = np.unique(values)
        if values.ndim != 3 or not np.isfinite(numbers).all() or (numbers % 1).any():
            raise ValueError(f"shape {values.shape}, or values that are no whole numbers")
        used = [int(n) for n in numbers if n > 0]
        if not used:
            raise ValueError("no number above 0")
    table, names = atlas.with_name(f"{atlas.name.split('.nii')[0]}.tsv"), {}
    if table.is_file():
        with reading(table, "The names of an atlas cannot be read.", wanted="index and name"):
            rows = read_frame(table)
            names = {int(k): str(n) for k, n in zip(rows["index"], rows["name"], strict=True)}
    return image, {number: names.get(number, f"region {number}") for number in used}


def read_labeled(volume: Path, atlas: Path) -> tuple[Subcortex, NDArray[np.float32]]:
    """Voxels of a series that an atlas of the same space has a region for, region by region.

    Parameters
    ----------
    volume : Path
        4-D, in an MNI space.
    atlas : Path
        3-D; brought to the voxels of the volume by nearest neighbor (nilearn).

    Returns
    -------
    Subcortex, and (n_times, n_voxels) float32

    Raises
    ------
    MissingInputError, BadDataError
        If a file cannot be read, or no voxel of the volume has a region.
    """
    from nilearn.image import resample_to_img

    labels, names = read_labels(atlas)
    with reading(volume, "A volume cannot be read.", wanted="a series of volumes"):
        image = load_volume(volume)
        if len(image.shape) != 4:
            raise ValueError(f"shape {image.shape}")
        first = image.slicer[..., 0]
        moved = resample_to_img(
            labels, first, interpolation="nearest", force_resample=True, copy_header=True
        )
        numbers = np.rint(np.asarray(moved.dataobj)).astype(np.int64)
        inside = np.argwhere(numbers > 0)
        of_voxel = numbers[tuple(inside.T)]
        order = np.argsort(of_voxel, kind="stable")
        inside, of_voxel = inside[order], of_voxel[order]
        values = np.concatenate(
            [
                np.asarray(image.dataobj[..., start : start + _VOLUMES])[tuple(inside.T)].T
                for start in range(0, image.shape[3], _VOLUMES)
            ]
        ).astype(np.float32)
    if not len(inside):
        raise BadDataError(
            "An atlas covers no voxel of a volume.",
            where=atlas,
            found=f"volume {volume.name} of shape {first.shape}",
            wanted="an atlas in the same MNI space",
            remedy="give an atlas in the space of fMRIPrep's volumes, MNI152NLin2009cAsym",
        )
    x, y, z = (int(n) for n in first.shape)
    found = Subcortex(
        inside.astype(np.intp),
        np.array([names[int(number)] for number in of_voxel]),
        np.asarray(image.affine, dtype=np.float64),
        (x, y, z),
        parse_name(volume).entities.get("space", "MNI"),
    )
    return found, values


def write_scalars(
    path: Path, values: NDArray[np.floating], names: Sequence[str], subcortex: Subcortex
) -> Path:
    """Write maps, (n_maps, n_voxels), as ``dscalar.nii``."""
    from nibabel.cifti2 import ScalarAxis

    return write_cifti(path, values, ScalarAxis(list(names)), subcortex.axis, told=subcortex.told)


def write_series(
    path: Path, values: NDArray[np.floating], start: float, tr: float, subcortex: Subcortex
) -> Path:
    """Write a series, (n_times, n_voxels), as ``dtseries.nii``; `start` and `tr` in seconds."""
    from nibabel.cifti2 import SeriesAxis

    rows = SeriesAxis(start, tr, len(values))
    return write_cifti(path, values, rows, subcortex.axis, told=subcortex.told)


def write_cifti(
    path: Path,
    values: NDArray[np.floating],
    rows: Any,
    columns: Any,
    intent: str = "",
    told: Mapping[str, str] | None = None,
) -> Path:
    """Write a CIFTI file of float32 values.

    Parameters
    ----------
    path : Path
    values : (n_rows, n_columns) array
    rows, columns : axes of nibabel
    intent : str
        NIfTI's code; that of the file's ending where empty.
    told : mapping of str to str, optional
        Metadata of the file.

    Returns
    -------
    Path
    """
    from nibabel.cifti2 import Cifti2Image, Cifti2MetaData

    image = Cifti2Image(np.asarray(values, dtype=np.float32), header=(rows, columns))
    if told:
        image.header.matrix.metadata = Cifti2MetaData(dict(told))
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
