"""BOLD of a run on the mesh of the analysis, whatever kind of file it is in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError
from bids_app.files import reading
from bids_app.inputs.files import need_content
from bids_app.inputs.records import BoldRun
from bids_app.loading import load_volume
from bids_app.resources import fslr_spheres
from bids_app.surface.gifti import read_gifti, read_surface
from bids_app.surface.mesh import SurfaceMesh
from bids_app.surface.painted import read_parcels, regions_of
from bids_app.surface.project import OwnSurfaces, read_cifti, volume_on_template
from bids_app.surface.resample import resample_barycentric


def read_bold(run: BoldRun, mesh: SurfaceMesh) -> NDArray[np.float32]:
    """BOLD of a run on the analysis mesh, both hemispheres, left first.

    Volumes that were censored have their place, and NaN.

    Surface GIFTI is read as it is, fsLR CIFTI is resampled over registered spheres, volumes are
    sampled between the participant's own (or the template's) white and pial surfaces.

    Returns
    -------
    array of shape (n_times, n_vertices)

    Raises
    ------
    BadDataError
        If hemispheres differ in length or the mesh is another one.
    """
    found = _read(run, mesh)
    if not run.censored:
        return found
    whole = np.full((run.n_volumes, found.shape[1]), np.nan, dtype=np.float32)
    whole[np.setdiff1d(np.arange(run.n_volumes), run.censored)] = found
    return whole


def _read(run: BoldRun, mesh: SurfaceMesh) -> NDArray[np.float32]:
    if run.kind == "parcels":
        names, series = read_parcels(run.bold_left)
        regions = regions_of(run.bold_left, run.parcels, mesh)
        if names != regions.names or len(series) != run.n_volumes - len(run.censored):
            raise BadDataError(
                "A parcellated series is not what its header says.",
                where=run.bold_left,
                found=f"{len(series)} volumes of {len(names)} regions",
                wanted=f"{run.n_volumes - len(run.censored)} of {len(regions.names)}",
            )
        return regions.paint(series)
    if run.kind == "cifti":
        return _cifti_on_mesh(run, mesh)
    if run.kind == "volume":
        surfaces = _own_surfaces(run.surfaces)
        need_content(run.bold_left, "A BOLD volume is missing.")
        wanted = "a complete NIfTI series"
        with reading(run.bold_left, "A BOLD volume cannot be read.", wanted=wanted):
            return np.asarray(volume_on_template(load_volume(run.bold_left), mesh, surfaces))
    left, right = read_gifti(run.bold_left), read_gifti(run.bold_right)
    if len(left) != run.n_volumes - len(run.censored):
        raise BadDataError(
            "The BOLD holds another number of volumes than its header says.",
            where=run.bold_left,
            found=f"{len(left)} volumes",
            wanted=f"{run.n_volumes - len(run.censored)}",
            remedy="copy the files again, or run fMRIPrep again for this run",
        )
    if len(left) != len(right):
        raise BadDataError(
            "The hemispheres differ in length.",
            where=run.label,
            found=f"{len(left)} volumes left, {len(right)} right",
            remedy="run fMRIPrep again for this run",
        )
    bold = np.hstack([left, right])
    if bold.shape[1] != mesh.n_vertices:
        raise BadDataError(
            "The BOLD is on another mesh.",
            where=run.label,
            found=f"{bold.shape[1]} vertices",
            wanted=f"{mesh.n_vertices} ({mesh.space})",
        )
    return bold


def _cifti_on_mesh(run: BoldRun, mesh: SurfaceMesh) -> NDArray[np.float32]:
    halves = [
        resample_barycentric(half, *read_surface(path), target, mask=np.isfinite(half).all(axis=0))
        for half, path, target in zip(
            read_cifti(run.bold_left), fslr_spheres(), mesh.spheres, strict=True
        )
    ]
    return np.hstack(halves).astype(np.float32)


def _own_surfaces(files: Sequence[Path]) -> tuple[OwnSurfaces, OwnSurfaces] | None:
    """A participant's surfaces: white, pial, registered sphere, left then right."""
    if not files:
        return None
    sides = []
    for white, pial, sphere in (files[:3], files[3:]):
        points, faces = read_surface(white)
        sides.append(OwnSurfaces(points, read_surface(pial)[0], read_surface(sphere)[0], faces))
    return sides[0], sides[1]
