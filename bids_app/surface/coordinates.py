"""From the space of fsaverage (MNI305) to MNI152, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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


def mni152(points: npt.ArrayLike) -> FloatArray:
    """Coordinates in MNI152 of points in MNI305, (n, 3), mm.

    Examples
    --------
    >>> mni152([[10.0, -20.0, 35.0]]).round(2).tolist()
    [[10.69, -18.41, 36.14]]
    """
    own = np.asarray(points, dtype=np.float64)
    return own @ MNI305_TO_MNI152[:3, :3].T + MNI305_TO_MNI152[:3, 3]


def from_mni152(points: npt.ArrayLike) -> FloatArray:
    """Coordinates in MNI305 of points in MNI152, (n, 3), mm.

    Examples
    --------
    >>> from_mni152(mni152([[10.0, -20.0, 35.0]])).round(6).tolist()
    [[10.0, -20.0, 35.0]]
    """
    own, back = np.asarray(points, dtype=np.float64), np.linalg.inv(MNI305_TO_MNI152)
    return own @ back[:3, :3].T + back[:3, 3]
