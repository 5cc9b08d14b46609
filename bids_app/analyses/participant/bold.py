"""BOLD of a run on the mesh of the analysis, from any kind of file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError
from bids_app.files import reading
from bids_app.inputs.files import need_content
from bids_app.inputs.records import BoldRun
from bids_app.loading import load_volume
from bids_app.meshes import FSLR
from bids_app.plain import some_of
from bids_app.resources import fslr_spheres
from bids_app.surface.gifti import read_into, read_surface
from bids_app.surface.mesh import SurfaceMesh
from bids_app.surface.painted import read_parcels, regions_of
from bids_app.surface.project import OwnSurfaces, read_cifti, volume_on_template
from bids_app.surface.resample import resample_barycentric

LARGEST = 1e8
"""No scanner, and no scaling of what it measures, gives larger numbers."""
MOST = 0.5
_FAR = 20
"""Share of a hemisphere without numbers from which on a volume is lost."""


def read_bold(run: BoldRun, mesh: SurfaceMesh) -> NDArray[np.float32]:
    """BOLD of a run on the analysis mesh, both hemispheres, left first.

    Volumes that were censored have their place, and NaN.

    Surface GIFTI is read as it is, and so is CIFTI on fsLR; on other meshes CIFTI is resampled over
    registered spheres. Volumes are sampled between the participant's own (or the template's) white
    and pial surfaces.

    Returns
    -------
    array of shape (n_times, n_vertices)

    Raises
    ------
    BadDataError
        If hemispheres differ in length, the mesh is another one, or the values cannot be BOLD: both
        hemispheres the same, beyond what a scanner measures, or volumes without numbers.
    """
    found = _read(run, mesh)
    check_values(run, found)
    if not run.censored:
        return found
    whole = np.full((run.n_volumes, found.shape[1]), np.nan, dtype=np.float32)
    whole[np.setdiff1d(np.arange(run.n_volumes), run.censored)] = found
    return whole


def check_values(run: BoldRun, bold: NDArray[np.float32]) -> None:
    """Whether values can be BOLD of two hemispheres, (n_times, n_vertices), left first.

    Volumes that were censored are not among them.

    Raises
    ------
    BadDataError
    """
    remedy = (
        "copy the files again or run fMRIPrep again for this run, or leave it out with "
        "--exclude-run"
    )
    sides = np.split(bold, 2, axis=1)
    files = (run.bold_left, run.bold_right or run.bold_left)
    rows = zip(*sides, strict=True)
    same = all(np.array_equal(left, right, equal_nan=True) for left, right in rows)
    if same and _varies(sides[0]):
        raise BadDataError(
            "Both hemispheres of a run hold the same values.",
            where=files[1],
            found=f"the values of {files[0].name}",
            wanted="the right hemisphere's own",
            remedy=remedy,
        )
    volumes = np.setdiff1d(np.arange(run.n_volumes), run.censored)
    for side, path, values in zip(("left", "right"), files, sides, strict=True):
        lost, beyond = _numbers_of(values)
        if len(beyond):
            row, value = beyond[0]
            raise BadDataError(
                "A run holds values that cannot be BOLD.",
                where=path,
                found=f"{value:g} in volume {volumes[row]} (from 0) of the {side} hemisphere",
                wanted=f"no number beyond {LARGEST:g}",
                remedy=remedy,
            )
        lost = [int(volumes[row]) for row in lost if volumes[row] >= run.n_dummy]
        if lost:
            raise BadDataError(
                "Volumes of a run hold no numbers.",
                where=path,
                found=f"nothing, or zeros, in volume {some_of(lost)} of {len(values)} in the "
                f"{side} hemisphere (volumes from 0)",
                wanted="numbers in every volume: censored volumes filled with zeros are no BOLD",
                remedy=remedy,
            )


def odd_volumes(run: BoldRun, bold: NDArray[np.float32]) -> list[str]:
    """Warn of volumes that repeat the one before, in one hemisphere or both, or lie far from all.

    The change from one volume to the next is the root mean square over vertices; far is twenty
    times the median change.

    Parameters
    ----------
    run : BoldRun
    bold : array of shape (n_times, n_vertices)
        As of `read_bold`; censored volumes are NaN.

    Returns
    -------
    list of str
    """
    volumes = np.setdiff1d(np.arange(run.n_dummy, len(bold)), run.censored)
    # Per hemisphere, since one file alone may repeat: sums of squares, and of how many.
    sums = np.zeros((2, 2, max(len(volumes) - 1, 0)))
    for k, (before, after) in enumerate(pairwise(volumes)):
        with np.errstate(invalid="ignore"):
            change = bold[after] - bold[before]
        for side, own in enumerate(np.split(change, 2)):
            finite = own[np.isfinite(own)].astype(np.float64)
            sums[side, :, k] = finite @ finite, finite.size
    with np.errstate(invalid="ignore"):
        left, right, changes = (np.sqrt(a / n) for a, n in (*sums, sums.sum(axis=0)))
    moving = changes[changes > 0]
    far = volumes[1:][changes > _FAR * np.median(moving)] if moving.size else volumes[:0]
    both = _repeated(volumes, changes)
    told = [
        f"{repeated.size} volumes are the same as the one before{where} "
        f"({some_of(repeated)}, from 0): a scanner measures none twice"
        for repeated, where in (
            (both, ""),
            (np.setdiff1d(_repeated(volumes, left), both), " in the left hemisphere"),
            (np.setdiff1d(_repeated(volumes, right), both), " in the right hemisphere"),
        )
        if repeated.size
    ]
    if far.size:
        told.append(
            f"from one volume to the next the values change by more than {_FAR} times the usual at "
            f"volume {some_of(far)} (from 0): see whether the run should be used"
        )
    return told


def _repeated(volumes: NDArray[np.int_], changes: NDArray[np.float64]) -> NDArray[np.int_]:
    """Volumes without a change from the one before, of a series that changes elsewhere."""
    return volumes[1:][(changes == 0) & bool((changes > 0).any())]


def _varies(values: NDArray[np.float32]) -> bool:
    """Whether anything is there that could be the same."""
    finite = values[np.isfinite(values)]
    return bool(finite.size) and bool(finite.min() < finite.max())


def _numbers_of(values: NDArray[np.float32]) -> tuple[list[int], list[tuple[int, float]]]:
    """Rows in which most of a hemisphere has no number though it has in others; too large ones.

    Vertices without any number, as of the medial wall, do not count.
    """
    n_missing = np.zeros(values.shape[1], dtype=np.int64)
    absent = np.zeros(len(values))
    beyond: list[tuple[int, float]] = []
    for volume, row in enumerate(values):
        # Zeros are what censoring leaves, and what stands outside the field of view.
        missing = ~np.isfinite(row) | (row == 0)
        n_missing += missing
        absent[volume] = missing.sum()
        highest = float(np.abs(row[~missing]).max(initial=0.0))
        if highest > LARGEST and not beyond:
            beyond.append((volume, highest))
    always = int((n_missing == len(values)).sum())
    n_others = values.shape[1] - always
    if not n_others:
        return [], beyond
    return [int(k) for k in np.flatnonzero((absent - always) / n_others > MOST)], beyond


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
                remedy="make the parcellated series again",
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
    n_volumes = run.n_volumes - len(run.censored)
    bold = np.empty((n_volumes, mesh.n_vertices), dtype=np.float32)
    (n_left, on_left), (n_right, on_right) = (
        read_into(path, side)[0]
        for path, side in zip((run.bold_left, run.bold_right), mesh.split(bold), strict=True)
    )
    if n_left != n_volumes:
        raise BadDataError(
            "The BOLD holds another number of volumes than its header says.",
            where=run.bold_left,
            found=f"{n_left} volumes",
            wanted=f"{n_volumes}",
            remedy="copy the files again, or run fMRIPrep again for this run",
        )
    if n_left != n_right:
        raise BadDataError(
            "The hemispheres differ in length.",
            where=run.label,
            found=f"{n_left} volumes left, {n_right} right",
            wanted="one length",
            remedy="run fMRIPrep again for this run",
        )
    if (on_left, on_right) != (mesh.left.n_vertices, mesh.right.n_vertices):
        raise BadDataError(
            "The BOLD is on another mesh.",
            where=run.label,
            found=f"{on_left + on_right} vertices",
            wanted=f"{mesh.n_vertices} ({mesh.space})",
            remedy="give the --space that the files are in",
        )
    return bold


def _cifti_on_mesh(run: BoldRun, mesh: SurfaceMesh) -> NDArray[np.float32]:
    found = read_cifti(run.bold_left)
    if mesh.space == FSLR:
        if [half.shape[1] for half in found] != [hemi.n_vertices for hemi in mesh.hemispheres]:
            raise BadDataError(
                "A CIFTI series is on another mesh.",
                where=run.bold_left,
                found=f"{found[0].shape[1]} vertices left, {found[1].shape[1]} right",
                wanted=f"{mesh.left.n_vertices} each ({mesh.space})",
                remedy="run fMRIPrep with --cifti-output 91k, or give the --space of the files",
            )
        return np.hstack(found)
    halves = [
        resample_barycentric(half, *read_surface(path), target, mask=np.isfinite(half).all(axis=0))
        for half, path, target in zip(found, fslr_spheres(), mesh.spheres, strict=True)
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
