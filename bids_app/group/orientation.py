"""The sign of a gradient: transmodal cortex has the high values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, check_shape

FloatArray = npt.NDArray[np.float64]

# Centers in mm (right-anterior-superior, left hemisphere; mirrored for the right), close to the
# surface of FreeSurfer's average brain: posterior cingulate, medial prefrontal, angular, middle
# temporal against primary visual, hand and mouth area of the central sulcus.
TRANSMODAL_CENTERS = (
    (-7.0, -50.0, 28.0),
    (-7.0, 50.0, 10.0),
    (-46.0, -66.0, 32.0),
    (-60.0, -22.0, -14.0),
)
SENSORY_CENTERS = ((-9.0, -88.0, 2.0), (-38.0, -26.0, 56.0), (-54.0, -8.0, 32.0))
_RADIUS = 12.0


@dataclass(frozen=True)
class GradientOrientation:
    """How a gradient was oriented.

    Attributes
    ----------
    flipped : bool
        Whether its sign was changed.
    method : str
        "coordinates".
    transmodal_mean, sensory_mean : float
        Means after orienting: default-mode against visual and somatomotor cortex.
    n_transmodal, n_sensory : int
        Vertices behind the means.
    """

    flipped: bool
    method: str
    transmodal_mean: float
    sensory_mean: float
    n_transmodal: int
    n_sensory: int


def orient_gradient(
    gradient: npt.ArrayLike,
    coordinates: npt.ArrayLike,
) -> tuple[FloatArray, GradientOrientation]:
    """Flip the sign of a gradient where transmodal cortex is below sensory cortex.

    Parameters
    ----------
    gradient : (n_vertices,) array
        Gradient; its sign is arbitrary. NaN on the medial wall.
    coordinates : (n_vertices, 3) array
        Vertex coordinates on the pial or white surface of fsaverage, mm. Vertices within 12 mm of
        fixed anatomical centers stand for the default-mode network, and for the visual and
        somatomotor networks.

    Returns
    -------
    gradient : (n_vertices,) float64
        The gradient, its sign changed if need be.
    orientation : GradientOrientation
        The decision, for the record.

    Raises
    ------
    BadDataError
        If shapes disagree, either side has no vertex with a value, or the means are equal.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> pial = np.vstack([one.pial for one in load_mesh("fsaverage4").hemispheres])
    >>> mirrored = np.column_stack([np.abs(pial[:, 0]), pial[:, 1:]])
    >>> far = np.linalg.norm(mirrored - [38.0, -26.0, 56.0], axis=1)  # from the hand area
    >>> gradient, record = orient_gradient(-far, pial)
    >>> record.flipped, np.array_equal(gradient, far)
    (True, True)
    >>> record.transmodal_mean > record.sensory_mean
    True
    """
    values = np.asarray(gradient, dtype=np.float64)
    points = np.asarray(coordinates, dtype=np.float64)
    check_shape("coordinates", points, *values.shape, 3)
    means, counts = [], []
    for name, centers in (("transmodal", TRANSMODAL_CENTERS), ("sensory", SENSORY_CENTERS)):
        inside = values[_near(points, centers) & np.isfinite(values)]
        if not len(inside):
            raise BadDataError(
                "A network has no vertex with a gradient value.",
                where=name,
                found="only NaN",
                wanted="a finite value near the centers of the network",
                remedy="give a gradient of both hemispheres' whole cortex",
            )
        means.append(float(inside.mean()))
        counts.append(len(inside))
    if means[0] == means[1]:
        raise BadDataError(
            "The gradient has the same mean in transmodal and sensory cortex.",
            where="gradient",
            found=f"mean {means[0]:g} in both",
            wanted="two means that differ",
            remedy="give a gradient from sensory to transmodal cortex",
        )
    flipped = means[0] < means[1]
    sign = -1.0 if flipped else 1.0
    return sign * values, GradientOrientation(
        flipped, "coordinates", sign * means[0], sign * means[1], counts[0], counts[1]
    )


def _near(points: FloatArray, centers: tuple[tuple[float, ...], ...]) -> npt.NDArray[np.bool_]:
    # Folding the hemispheres together lets one list of centers serve both.
    folded = points * np.array([1.0, 1.0, 1.0])
    folded[:, 0] = -np.abs(points[:, 0])
    distances = np.linalg.norm(folded[:, np.newaxis] - np.array(centers), axis=2)
    return distances.min(axis=1) < _RADIUS
