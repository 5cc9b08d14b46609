"""Which vertices are cortex: from surfaces that need no download, from signal, or from files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.files import reading, sha256_of_file
from bids_app.loading import load_gifti, load_numbers
from bids_app.meshes import N_VERTICES
from bids_app.outputs import STRUCTURES
from bids_app.resources import (
    BUNDLED_CORTEX,
    SIGNAL_CORTEX,
    TEMPLATE_CORTEX,
    CortexChoice,
    cortex_mask_paths,
)
from bids_app.surface.gifti import read_gifti, read_surface
from bids_app.surface.mesh import Hemisphere, SurfaceMesh, adjacency_matrix, load_mesh
from bids_app.surface.sides import check_sides

BoolArray = NDArray[np.bool_]
NO_CORTEX = ("unknown", "medialwall", "background", "corpuscallosum")
WALL_RINGS = 4
"""The shipped thickness is zero on a quarter of the medial wall; that many rings fill it."""


def cortex_vertices(choice: CortexChoice, mesh: SurfaceMesh) -> BoolArray:
    """The vertices that ``--cortex-mask`` calls cortex.

    Parameters
    ----------
    choice : "nilearn", "template", "signal" or sequence of Path
        From `bids_app.resources.choose_cortex_mask`: `bundled_cortex`, the labels of the template,
        every vertex, or the files of `read_cortex_mask`.
    mesh : SurfaceMesh
        Of the analysis.

    Returns
    -------
    (n_vertices,) bool array
        Left, then right.

    Raises
    ------
    MissingInputError, BadDataError, UsageError
        As `read_cortex_mask`.
    """
    if choice == BUNDLED_CORTEX:
        return bundled_cortex(mesh)
    if choice == SIGNAL_CORTEX:
        return np.ones(mesh.n_vertices, dtype=bool)
    return read_cortex_mask(_files(choice, mesh.space), mesh.n_vertices)


def _files(choice: CortexChoice, space: str) -> list[Path]:
    paths = cortex_mask_paths(choice, space) if isinstance(choice, str) else choice
    return [Path(path) for path in paths]


def cortex_record(choice: CortexChoice, mesh: SurfaceMesh) -> dict[str, Any]:
    """Record of a mask for settings and sidecars, with checksums of its files.

    Parameters
    ----------
    choice, mesh
        As of `cortex_vertices`.

    Returns
    -------
    dict

    Raises
    ------
    MissingInputError, BadDataError, UsageError
        As `read_cortex_mask`.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> cortex_record("signal", load_mesh("fsaverage3"))
    {'Name': 'signal', 'SHA256': [], 'VerticesLeftOut': 0, 'Vertices': 1284}
    """
    inside = cortex_vertices(choice, mesh)
    if choice == BUNDLED_CORTEX:
        checksums = [hashlib.sha256(np.packbits(inside).tobytes()).hexdigest()]
    else:
        files = [] if choice == SIGNAL_CORTEX else _files(choice, mesh.space)
        checksums = [sha256_of_file(path) for path in files]
    return {
        "Name": choice if isinstance(choice, str) else "files",
        "SHA256": checksums,
        "VerticesLeftOut": int((~inside).sum()),
        "Vertices": mesh.n_vertices,
    }


def cortex_text(record: Mapping[str, Any]) -> str:
    """A mask in words, for plan, log and pages.

    Parameters
    ----------
    record : mapping
        From `cortex_record`.

    Returns
    -------
    str

    Examples
    --------
    >>> cortex_text({"Name": "template", "VerticesLeftOut": 1760, "Vertices": 20484})
    "all but the medial wall of the template's own labels; 1760 of 20484 vertices left out"
    """
    name = str(record["Name"])
    if name == SIGNAL_CORTEX:
        return "every vertex that has a signal (--cortex-mask signal)"
    what = {
        BUNDLED_CORTEX: "all but the medial wall of nilearn's fsaverage5 surfaces",
        TEMPLATE_CORTEX: "all but the medial wall of the template's own labels",
        "files": "as the files of --cortex-mask say",
    }[name]
    return f"{what}; {record['VerticesLeftOut']} of {record['Vertices']} vertices left out"


def bundled_cortex(mesh: SurfaceMesh) -> BoolArray:
    """Cortex from the files that nilearn ships.

    A vertex of fsaverage5 is medial wall where no triangle of the flattened surface has it or a
    neighbor of its whole ring (the cuts of the flattened surface are narrower, and count as
    cortex), or within `WALL_RINGS` rings of a thickness of zero. Vertices of other meshes are
    cortex where the nearest vertex on the registered sphere is.

    Parameters
    ----------
    mesh : SurfaceMesh
        Of a template; any other mesh has no medial wall here.

    Returns
    -------
    (n_vertices,) bool array
        Left, then right. On fsaverage5 807 and 797 vertices are wall. Dice with HCP's and ENIGMA's
        walls: .91 and .82 left, .90 and .83 right; with the flat surfaces alone .87 and .77, .86
        and .76.
    """
    if mesh.space not in N_VERTICES:
        return np.ones(mesh.n_vertices, dtype=bool)
    return np.concatenate(
        [_nearest(_bundled_wall(hemi.structure), hemi, mesh.space) for hemi in mesh.hemispheres]
    )


def _nearest(wall: BoolArray, hemi: Hemisphere, space: str) -> BoolArray:
    """Cortex of a hemisphere from the wall of fsaverage5, by the nearest vertex on the sphere."""
    if space == "fsaverage5":
        return ~wall
    coarse = load_mesh("fsaverage5")
    source = coarse.left if hemi.structure == STRUCTURES["L"] else coarse.right
    _, nearest = cKDTree(source.sphere).query(hemi.registered)
    return np.asarray(~wall[nearest])


@cache
def _bundled_wall(structure: str) -> BoolArray:
    """Medial wall of one hemisphere of fsaverage5."""
    from nilearn.datasets import fetch_surf_fsaverage

    files = fetch_surf_fsaverage("fsaverage5")
    side = "left" if structure == STRUCTURES["L"] else "right"
    mesh = load_mesh("fsaverage5")
    hemi = mesh.left if side == "left" else mesh.right
    neighbors = adjacency_matrix(hemi.faces, hemi.n_vertices)
    flat = np.zeros(hemi.n_vertices, dtype=bool)
    flat[read_surface(Path(files[f"flat_{side}"]))[1].ravel()] = True
    core = ~flat & ~np.asarray(neighbors @ flat)
    wall = np.asarray(read_gifti(Path(files[f"thick_{side}"]))[0] == 0)
    for _ in range(WALL_RINGS):
        wall = wall | np.asarray(neighbors @ wall)
    return wall | core | np.asarray(neighbors @ core)


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
            "--cortex-mask takes one or two files.",
            found=len(paths),
            wanted="LEFT,RIGHT",
            remedy="give a file per hemisphere with a comma between: LEFT,RIGHT",
        )
    parts = [_read(path) for path in paths]
    if len(paths) == 2:
        check_sides(paths, "--cortex-mask")
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
            raise BadDataError(
                "The cortex mask marks no vertex as cortex.",
                where=path,
                found="only zeros",
                wanted="values above 0 inside cortex",
                remedy="see whether the mask is inverted",
            )
    return np.concatenate(parts)


def _read(path: Path) -> NDArray[np.bool_]:
    if not path.is_file():
        raise MissingInputError(
            "The file of --cortex-mask is not there.",
            where=path,
            found="no file",
            wanted="a mask or label file",
            remedy="give existing files, or fetch the named ones: `musenc prefetch cortex parcels` "
            "(on fsLR `musenc prefetch meshes-fslr`)",
        )
    wanted = "label or shape GIFTI, or one number per line"
    with reading(path, "The cortex mask cannot be read.", wanted=wanted):
        if path.name.endswith(".gii"):
            return _read_gifti(path)
        values = load_numbers(path, separator="," if path.suffix == ".csv" else None)
        return np.asarray(np.isfinite(values) & (values != 0))


def _read_gifti(path: Path) -> NDArray[np.bool_]:
    image: Any = load_gifti(path)
    values = np.asarray(image.darrays[0].data)
    cortex = np.isfinite(values) & (values != 0)
    for label in image.labeltable.labels:
        name = "".join(filter(str.isalpha, (label.label or "").lower()))
        if any(word in name for word in NO_CORTEX):
            cortex &= values != label.key
    return np.asarray(cortex)
