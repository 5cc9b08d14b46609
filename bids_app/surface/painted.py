"""Parcellated series, painted onto the vertices of their regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bids_app.errors import BadDataError, UsageError
from bids_app.files import named_files, reading
from bids_app.inputs.tables import read_columns
from bids_app.loading import load_volume
from bids_app.meshes import FSLR, N_VERTICES
from bids_app.outputs import HEMISPHERES
from bids_app.resources import fslr_spheres
from bids_app.surface.atlas import Atlas, read_atlas
from bids_app.surface.gifti import read_surface
from bids_app.surface.mesh import SurfaceMesh, normalize_sphere

_STRUCTURES = {"L": "CIFTI_STRUCTURE_CORTEX_LEFT", "R": "CIFTI_STRUCTURE_CORTEX_RIGHT"}
_SHOWN = 4


@dataclass(frozen=True, eq=False)
class Regions:
    """Which vertices belong to which column of a parcellated series.

    Attributes
    ----------
    names : tuple of n_regions str
    of_vertex : int array of shape (n_vertices,)
        Number in `names` of each vertex, left hemisphere first; -1 for none.
    without : tuple of str
        Names of columns without a vertex: they are left out.
    """

    names: tuple[str, ...]
    of_vertex: NDArray[np.intp]
    without: tuple[str, ...] = ()

    def paint(self, series: NDArray[np.floating]) -> NDArray[np.float32]:
        """The series of its region at every vertex; NaN outside.

        Parameters
        ----------
        series : array of shape (n_times, n_regions)

        Returns
        -------
        array of shape (n_times, n_vertices)

        Examples
        --------
        >>> import numpy as np
        >>> regions = Regions(("a", "b"), np.array([1, -1, 0, 1]))
        >>> regions.paint(np.array([[3.0, 4.0]])).tolist()
        [[4.0, nan, 3.0, 4.0]]
        """
        painted = np.full((len(series), len(self.of_vertex)), np.nan, dtype=np.float32)
        inside = self.of_vertex >= 0
        painted[:, inside] = series[:, self.of_vertex[inside]]
        return painted

    @property
    def first(self) -> NDArray[np.intp]:
        """First vertex of each region, (n_regions,); -1 for a region without vertices."""
        inside = np.flatnonzero(self.of_vertex >= 0)
        numbers, place = np.unique(self.of_vertex[inside], return_index=True)
        found = np.full(len(self.names), -1)
        found[numbers] = inside[place]
        return found


def read_parcels(path: Path) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Read a parcellated series.

    Parameters
    ----------
    path : Path
        ``ptseries.nii``, or a table with a column per region.

    Returns
    -------
    names : tuple of n_regions str
    series : (n_times, n_regions) float32

    Raises
    ------
    BadDataError, InvalidInputError, MissingInputError
    """
    if path.name.endswith(".tsv"):
        frame = read_columns(path, "A parcellated series cannot be read.")
        return tuple(map(str, frame)), frame.to_numpy(dtype=np.float32)
    wanted = "a CIFTI file of regions by time"
    with reading(path, "A parcellated series cannot be read.", wanted=wanted):
        image = _load(path)
        axis = image.header.get_axis(1)
        return tuple(map(str, axis.name)), np.asarray(image.dataobj, dtype=np.float32)


def regions_of(path: Path, option: str, mesh: SurfaceMesh) -> Regions:
    """Vertices of the regions of a parcellated series.

    Parameters
    ----------
    path : Path
        The series. A CIFTI file holds the vertices of its regions.
    option : str
        As of ``--parcels``: two files hold the region of each vertex, one per hemisphere.
    mesh : SurfaceMesh

    Returns
    -------
    Regions

    Raises
    ------
    UsageError
        Neither the series nor the option has the vertices.
    BadDataError, MissingInputError
        The atlas or the spheres cannot be used, or names and regions do not meet.
    """
    if len(named_files(option)[1]) > 1:
        names = read_parcels(path)[0]
        return _of_atlas(names, read_atlas(option, mesh.n_vertices), path)
    if path.name.endswith(".tsv"):
        raise UsageError(
            "Nothing says which vertices the regions of a table have.",
            where=path,
            found="no vertices in the file",
            wanted=f"label files on {mesh.space} whose names are those of the columns",
            remedy="give --parcels NAME=LEFT.label.gii,RIGHT.label.gii (or .annot), or the "
            "ptseries.nii of the same run, which says its vertices",
        )
    with reading(path, "A parcellated series cannot be read.", wanted="a CIFTI file of regions"):
        return _of_axis(_load(path).header.get_axis(1), mesh, path)


def _load(path: Path) -> Any:
    image = load_volume(path)
    axis = image.header.get_axis(1)
    if not hasattr(axis, "nvertices") or not hasattr(axis, "vertices"):
        raise ValueError(f"its columns are a {type(axis).__name__}")
    return image


def _of_axis(axis: Any, mesh: SurfaceMesh, path: Path) -> Regions:
    halves = []
    for k, (hemi, structure) in enumerate(_STRUCTURES.items()):
        target = mesh.hemispheres[k]
        n_source = int(axis.nvertices.get(structure, 0))
        own = np.full(n_source, -1, dtype=np.intp)
        for number, places in enumerate(axis.vertices):
            own[np.asarray(places.get(structure, ()), dtype=np.intp)] = number
        if n_source == N_VERTICES[FSLR] and mesh.space != FSLR:
            points = normalize_sphere(read_surface(fslr_spheres()[k])[0])
            _, nearest = cKDTree(points).query(normalize_sphere(target.sphere))
            own = own[nearest]
        elif n_source != target.n_vertices:
            raise BadDataError(
                "A parcellated series is on another mesh.",
                where=path,
                found=f"{n_source} vertices in hemisphere {hemi}",
                wanted=f"{N_VERTICES[FSLR]} (fsLR 32k) or {target.n_vertices} ({mesh.space})",
                remedy="use one of these meshes, or another --space",
            )
        halves.append(own)
    names = tuple(map(str, axis.name))
    return _checked(names, np.concatenate(halves), path)


def _of_atlas(names: Sequence[str], atlas: Atlas, path: Path) -> Regions:
    number: dict[str, int] = {}
    for region, name in atlas.names.items():
        side = atlas.hemispheres[region]
        for spelled in _spellings(name, side):
            number.setdefault(spelled, region)
    repeated = {n for n in atlas.names.values() if list(atlas.names.values()).count(n) > 1}
    of_vertex = np.full(len(atlas.regions), -1, dtype=np.intp)
    for column, name in enumerate(names):
        if name in repeated or name not in number:
            continue
        of_vertex[atlas.regions == number[name]] = column
    if not (of_vertex >= 0).any():
        raise BadDataError(
            "The regions and the atlas have no name in common.",
            where=path,
            found="columns " + ", ".join(names[:_SHOWN]),
            wanted="regions " + ", ".join(list(atlas.names.values())[:_SHOWN]),
            remedy="give the atlas that the series were made with to --parcels",
        )
    return _checked(tuple(names), of_vertex, path)


def _spellings(name: str, side: str) -> list[str]:
    """How a region of a hemisphere is called."""
    half = f"{side.lower()}h"
    return [
        name,
        *(f"{start}{name}" for start in (f"{side}_", f"{half}_", f"{half.upper()}_")),
        *(f"{start}{name}" for start in (f"ctx-{half}-", f"ctx_{half}_")),
        *(f"{name}{end}" for end in (f"_{side}", f"_{half}")),
    ]


def _checked(names: tuple[str, ...], of_vertex: NDArray[np.intp], path: Path) -> Regions:
    there = set(np.unique(of_vertex[of_vertex >= 0]).tolist())
    without = tuple(name for k, name in enumerate(names) if k not in there)
    if not there:
        raise BadDataError(
            "No region has a vertex of the cortex.",
            where=path,
            found=f"{len(names)} regions, all outside",
            wanted="a region on the cortex or more",
            remedy="see whether atlas and --cortex-mask belong to this mesh",
        )
    return Regions(names, of_vertex, without)


def hemisphere_of(regions: Regions) -> list[str]:
    """L or R of each region, from its first vertex; empty where it has none.

    Examples
    --------
    >>> regions = Regions(("auditory", "visual"), np.array([0, -1, -1, 1]))
    >>> hemisphere_of(regions)
    ['L', 'R']
    """
    half = len(regions.of_vertex) // 2
    return ["" if v < 0 else HEMISPHERES[int(v >= half)] for v in regions.first]
