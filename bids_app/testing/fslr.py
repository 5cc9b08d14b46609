"""A small stand-in for the files of fsLR, made from the surfaces of fsaverage5."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from bids_app.meshes import FSLR, N_VERTICES
from bids_app.outputs import STRUCTURES
from bids_app.resources import atlas_file
from bids_app.surface.coordinates import mni152
from bids_app.surface.cortex import bundled_cortex
from bids_app.surface.gifti import write_gifti, write_labels
from bids_app.surface.mesh import face_outward, load_mesh
from bids_app.surface.resample import sphere_map

FloatArray = npt.NDArray[np.float64]


def geodesic_sphere(frequency: int) -> FloatArray:
    """Points of an icosahedron whose edges are divided, (10 frequency**2 + 2, 3), radius 1.

    Examples
    --------
    >>> geodesic_sphere(12).shape
    (1442, 3)
    """
    golden = (1 + 5**0.5) / 2
    base = np.array([[0.0, a, b] for a in (-1, 1) for b in (-golden, golden)])
    corners = np.vstack([np.roll(base, shift, axis=1) for shift in range(3)])
    steps = np.array(
        [(i, j, frequency - i - j) for i in range(frequency + 1) for j in range(frequency + 1 - i)]
    )
    points = (steps @ corners[ConvexHull(corners).simplices] / frequency).reshape(-1, 3)
    _, first = np.unique(points.round(9), axis=0, return_index=True)
    points = points[first]
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


@contextmanager
def small_fslr(
    folder: Path, frequency: int = 12, spheres: Sequence[FloatArray] = ()
) -> Iterator[Path]:
    """Within the block fsLR is a mesh whose files are below `folder`.

    The sphere is a turned copy of the one that is registered to fsaverage; mid-thickness, inflated
    surface, depth and cortex are those of fsaverage5.

    Parameters
    ----------
    folder : Path
    frequency : int
        Of a small sphere, see `geodesic_sphere`.
    spheres : (left, right), optional
        Registered spheres to use instead.
    """
    points = [*spheres] or [100 * geodesic_sphere(frequency)] * 2
    given = {"NEUROMAPS_DATA": str(folder)}
    with patch.dict("os.environ", given), patch.dict(N_VERTICES, {FSLR: len(points[0])}):
        write_fslr(points)
        yield folder


def write_fslr(spheres: Sequence[FloatArray]) -> None:
    """Files of the template where the program looks for them."""
    coarse = load_mesh("fsaverage5")
    cortex = np.split(bundled_cortex(coarse), 2)
    for number, (hemi, part) in enumerate(zip(STRUCTURES, coarse.hemispheres, strict=True)):
        points = spheres[number]
        turned = Rotation.from_euler("xyz", (20, 50, 75), degrees=True).apply(points)
        faces = face_outward(points, ConvexHull(points).simplices)
        onto = sphere_map(part.sphere, part.faces, points)

        def carried(values: FloatArray, onto: Any = onto) -> FloatArray:
            return np.asarray(onto.apply(values.T).T)

        middle = mni152(carried((part.white + part.pial) / 2))
        for name, own in (
            ("sphere", turned),
            ("registered", points),
            ("midthickness", middle),
            ("inflated", carried(part.inflated)),
        ):
            write_surface(atlas_file(FSLR, name, hemi), own, faces)
        depth = -carried(part.sulc)[np.newaxis]  # the other sign, as of other programs
        write_gifti(atlas_file(FSLR, "sulc", hemi), depth, hemi=hemi, names=["sulc"])
        inside = carried(cortex[number].astype(np.float64)) > 0.5
        path = atlas_file(FSLR, "cortex", hemi)
        write_labels(path, inside.astype(int), ("???", "cortex"), hemi=hemi)


def write_surface(path: Path, points: FloatArray, faces: npt.NDArray[np.integer]) -> Path:
    """A mesh as GIFTI."""
    import nibabel as nib

    image = nib.gifti.GiftiImage()
    for values, intent in (
        (np.asarray(points, dtype=np.float32), "NIFTI_INTENT_POINTSET"),
        (np.asarray(faces, dtype=np.int32), "NIFTI_INTENT_TRIANGLE"),
    ):
        image.add_gifti_data_array(nib.gifti.GiftiDataArray(values, intent=intent))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path
