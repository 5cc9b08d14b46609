"""Where vertices are: coordinates in MNI305 and MNI152."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bids_app.surface.mesh import SurfaceMesh

FloatArray = npt.NDArray[np.float64]

MNI305_TO_MNI152 = np.array(
    [
        [0.9975, -0.0073, 0.0176, -0.0429],
        [0.0146, 1.0009, -0.0024, 1.5496],
        [-0.0130, -0.0093, 0.9971, 1.1840],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
"""FreeSurfer's affine from the space of fsaverage to MNI152 (its wiki, CoordinateSystems)."""


def mni305(mesh: SurfaceMesh) -> FloatArray:
    """Coordinates of the mid-thickness surface in mm, (n_vertices, 3), left hemisphere first.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> mni305(load_mesh("fsaverage3")).shape
    (1284, 3)
    """
    return np.vstack([(hemi.white + hemi.pial) / 2 for hemi in mesh.hemispheres])


def mni152(points: npt.ArrayLike) -> FloatArray:
    """Coordinates in MNI152 of points in MNI305, (n, 3), mm.

    Examples
    --------
    >>> mni152([[10.0, -20.0, 35.0]]).round(2).tolist()
    [[10.69, -18.41, 36.14]]
    """
    own = np.asarray(points, dtype=np.float64)
    return own @ MNI305_TO_MNI152[:3, :3].T + MNI305_TO_MNI152[:3, 3]
