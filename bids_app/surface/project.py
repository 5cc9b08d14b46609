"""BOLD that is not on the surface yet: volumes onto surfaces, CIFTI files into hemispheres."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError
from bids_app.files import reading
from bids_app.loading import load_volume
from bids_app.surface.coordinates import mni152
from bids_app.surface.mesh import SurfaceMesh
from bids_app.surface.resample import SphereMap, adaptive_sphere_map

Series = npt.NDArray[np.float32]

_N_DEPTHS = 7
# Volumes held in memory at a time; does not change the result.
_BLOCK = 32

_CIFTI_NAMES = ("CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT")


def project_volume(
    image: Any,
    white: npt.ArrayLike,
    pial: npt.ArrayLike,
    faces: npt.ArrayLike,
    *,
    onto: SphereMap | None = None,
) -> Series:
    """Sample a volume series between two surfaces.

    Each vertex gets the mean over seven depths from pial to white surface, by linear interpolation
    (nilearn's ``vol_to_surf``). The surfaces must be in the space of the volume: those of the
    participant for ``space-T1w``, the template's for an MNI space.

    Parameters
    ----------
    image : 4-D image
        As nibabel loads it; volumes are read a block at a time.
    white, pial : (n_vertices, 3) arrays
        Corresponding surfaces, mm, world coordinates of the volume.
    faces : (n_faces, 3) int array
        Triangles, 0-based.
    onto : SphereMap, optional
        Applied to each block.

    Returns
    -------
    (n_times, n_vertices) float32
        Vertices outside the image are NaN. With `onto`, its target vertices.

    Raises
    ------
    BadDataError
        If the image is not 4-D or the surfaces do not correspond.
    """
    from nilearn.surface import InMemoryMesh, vol_to_surf

    inner, outer = np.asarray(white, dtype=np.float64), np.asarray(pial, dtype=np.float64)
    triangles = np.asarray(faces, dtype=np.int64)
    if inner.shape != outer.shape or inner.shape[1:] != (3,):
        raise BadDataError(
            "White and pial surface do not correspond.",
            where="white, pial",
            found=f"{inner.shape} and {outer.shape}",
            wanted="the same (n_vertices, 3)",
            remedy="use both surfaces of the same participant and hemisphere",
        )
    if len(image.shape) != 4:
        raise BadDataError(
            "The volume is not a time series.",
            where="image",
            found=f"shape {image.shape}",
            wanted="four dimensions",
            remedy="give the preprocessed BOLD (desc-preproc_bold.nii.gz)",
        )
    n_times = image.shape[3]
    mesh, inner_mesh = InMemoryMesh(outer, triangles), InMemoryMesh(inner, triangles)
    depths = np.linspace(0.0, 1.0, _N_DEPTHS).tolist()
    parts = []
    for start in range(0, n_times, _BLOCK):
        chunk = image.slicer[..., start : start + _BLOCK]
        with warnings.catch_warnings():
            # Vertices outside the image: NaN is what is wanted.
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            series = vol_to_surf(chunk, mesh, inner_mesh=inner_mesh, depth=depths)
        rows = np.asarray(series, dtype=np.float64).reshape(len(inner), -1).T
        parts.append((rows if onto is None else onto.apply(rows)).astype(np.float32))
    return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class OwnSurfaces:
    """Surfaces of one hemisphere of a participant, as fMRIPrep writes them.

    Attributes
    ----------
    white, pial : (n_vertices, 3) array
        mm, in the space of the participant's T1w volume.
    sphere : (n_vertices, 3) array
        Registered to fsaverage (``space-fsaverage_desc-reg_sphere.surf.gii``).
    faces : (n_faces, 3) int array
    """

    white: npt.NDArray[np.floating]
    pial: npt.NDArray[np.floating]
    sphere: npt.NDArray[np.floating]
    faces: npt.NDArray[np.integer]


def volume_on_template(
    image: Any,
    mesh: SurfaceMesh,
    own: tuple[OwnSurfaces, OwnSurfaces] | None = None,
) -> Series:
    """Carry a volume series to both hemispheres of a template.

    Parameters
    ----------
    image : 4-D image
        In ``space-T1w`` with `own`, in an MNI152 space without.
    mesh : SurfaceMesh
        The template.
    own : (left, right) or None
        The participant's surfaces. Without them the template's are used, moved from MNI305 to
        MNI152: a group average, so that values of neighboring gyri mix.

    Returns
    -------
    (n_times, n_vertices) float32
        Left, then right.

    Raises
    ------
    BadDataError
        If the image is not 4-D or surfaces do not correspond.
    """
    sides = []
    for index, hemi in enumerate(mesh.hemispheres):
        if own is None:
            white, pial = mni152(hemi.white), mni152(hemi.pial)
            sides.append(project_volume(image, white, pial, hemi.faces))
        else:
            side = own[index]
            # Every vertex of the participant's finer mesh contributes.
            onto = adaptive_sphere_map(side.sphere, side.faces, hemi.registered, hemi.faces)
            sides.append(project_volume(image, side.white, side.pial, side.faces, onto=onto))
    return np.hstack(sides)


def read_cifti(path: Path) -> tuple[Series, Series]:
    """Cortex of a CIFTI series (``space-fsLR_den-91k_bold.dtseries.nii``), by hemisphere.

    Parameters
    ----------
    path : Path

    Returns
    -------
    left, right : (n_times, n_vertices) float32
        On the whole mesh (32,492 vertices for 91k); NaN where the file has no data (medial wall).

    Raises
    ------
    BadDataError
        If the file cannot be read or lacks a hemisphere.
    """
    with reading(path, "A CIFTI file cannot be read.", wanted="a dtseries.nii"):
        image: Any = load_volume(path)
        axis = image.header.get_axis(1)
        data = np.asarray(image.dataobj, dtype=np.float32)
        structures = {name: (where, model) for name, where, model in axis.iter_structures()}
    missing = [name for name in _CIFTI_NAMES if name not in structures]
    if missing:
        raise BadDataError(
            "A CIFTI file lacks a hemisphere.",
            where=path,
            found=", ".join(structures),
            wanted=" and ".join(_CIFTI_NAMES),
            remedy="run fMRIPrep again with --cifti-output 91k",
        )
    hemispheres = []
    for name in _CIFTI_NAMES:
        where, model = structures[name]
        full = np.full((len(data), model.nvertices[name]), np.nan, dtype=np.float32)
        full[:, model.vertex] = data[:, where]
        hemispheres.append(full)
    return hemispheres[0], hemispheres[1]
