"""Where vertices are: coordinates in MNI305."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bids_app.surface.mesh import SurfaceMesh

FloatArray = npt.NDArray[np.float64]


def mni305(mesh: SurfaceMesh) -> FloatArray:
    """Coordinates of the mid-thickness surface in mm, (n_vertices, 3), left hemisphere first.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> mni305(load_mesh("fsaverage3")).shape
    (1284, 3)
    """
    return np.vstack([(hemi.white + hemi.pial) / 2 for hemi in mesh.hemispheres])
