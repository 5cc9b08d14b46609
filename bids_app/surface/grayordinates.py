"""Maps of both hemispheres as CIFTI files, which Connectome Workbench opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.meshes import MESHES, N_VERTICES
from bids_app.outputs import HEMISPHERES
from bids_app.resources import TEMPLATE_CORTEX, cortex_mask_paths
from bids_app.surface.atlas import BOTH, Atlas
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.subcortex import write_cifti

CORTEX = {"L": "CIFTI_STRUCTURE_CORTEX_LEFT", "R": "CIFTI_STRUCTURE_CORTEX_RIGHT"}
DENSE, PARCELS = "ConnDenseScalar", "ConnParcelScalr"


def grayordinates(space: str, values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Vertices that a CIFTI file of maps has, (n_vertices,).

    Those of the template's own labels, as in every 91k file, and others where a map has a value.

    Parameters
    ----------
    space : str
        Mesh whose row says that it has such labels.
    values : (n_maps, n_vertices) array
    """
    there = np.isfinite(values).any(axis=0)
    paths = cortex_mask_paths(TEMPLATE_CORTEX, space)
    if MESHES[space].own_cortex and all(path.is_file() for path in paths):
        return there | read_cortex_mask(paths, 2 * N_VERTICES[space])
    return np.ones_like(there)


def write_dscalar(
    path: Path, values: NDArray[np.floating], names: Sequence[str], inside: NDArray[np.bool_]
) -> Path:
    """Maps (n_maps, n_vertices), left hemisphere first, as ``dscalar.nii``.

    Parameters
    ----------
    path : Path
    values : (n_maps, n_vertices) array
    names : sequence of n_maps str
    inside : (n_vertices,) bool array
        Vertices that the file has.
    """
    from nibabel.cifti2 import BrainModelAxis, ScalarAxis

    left, right = (
        BrainModelAxis.from_surface(np.flatnonzero(half), len(half), name=CORTEX[hemi])
        for hemi, half in zip(HEMISPHERES, np.split(inside, 2), strict=True)
    )
    return write_cifti(path, values[:, inside], ScalarAxis(list(names)), left + right, DENSE)


def write_pscalar(
    path: Path,
    values: NDArray[np.floating],
    names: Sequence[str],
    atlas: Atlas,
    regions: Sequence[int],
) -> Path:
    """Values of regions of an atlas, (n_maps, n_regions), as ``pscalar.nii``.

    Parameters
    ----------
    path : Path
    values : (n_maps, n_regions) array
    names : sequence of n_maps str
    atlas : Atlas
        A name that both hemispheres have gets that of the hemisphere before it.
    regions : sequence of n_regions int
        Their numbers in the atlas.
    """
    from nibabel.cifti2 import ParcelsAxis, ScalarAxis

    halves = dict(zip(HEMISPHERES, np.split(atlas.regions, 2), strict=True))
    sizes = {CORTEX[hemi]: len(half) for hemi, half in halves.items()}
    shared = {name for name in atlas.names.values() if list(atlas.names.values()).count(name) > 1}
    parcels = []
    for number in map(int, regions):
        name, side = atlas.names[number], atlas.hemispheres[number]
        told = f"{side}_{name}" if name in shared and side != BOTH else name
        vertices: dict[str, Any] = {
            CORTEX[hemi]: np.flatnonzero(half == number)
            for hemi, half in halves.items()
            if (half == number).any()
        }
        parcels.append((told, vertices))
    n = len(parcels)
    axis = ParcelsAxis(
        [name for name, _ in parcels],
        np.fromiter((np.empty((0, 3), dtype=int) for _ in range(n)), dtype=object, count=n),
        np.array([vertices for _, vertices in parcels], dtype=object),
        nvertices=sizes,
    )
    return write_cifti(path, values, ScalarAxis(list(names)), axis, PARCELS)
