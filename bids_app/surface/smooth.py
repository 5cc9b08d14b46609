"""Smoothing along the cortical surface by heat diffusion."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.special import ive

from bids_app.errors import BadDataError, UsageError, check_shape
from bids_app.surface.mesh import vertex_areas

FloatArray = npt.NDArray[np.float64]

_TOLERANCE = 1e-9
# Rows smoothed together, and vertices at once so that they stay in the processor's cache; neither
# changes the result.
_BLOCK = 32
_NEAR = 4096
_ROUNDS = 10


def smooth_surface(
    values: npt.ArrayLike,
    vertices: npt.ArrayLike,
    faces: npt.ArrayLike,
    fwhm: float,
    *,
    mask: npt.ArrayLike | None = None,
) -> FloatArray:
    """Smooth values on one hemisphere with the heat kernel of its mesh.

    The kernel is exp(-t M^-1 L) with the cotangent Laplacian L and the vertex areas M. Far from
    borders it is a Gaussian over geodesic distance with variance 2t along each axis, so that
    t = fwhm^2 / (16 ln 2). It keeps constants and the area-weighted sum of the values (areas of the
    triangles inside the mask), also at the border of the mask, across which nothing flows.

    Parameters
    ----------
    values : (..., n_vertices) array
        For example volumes by vertices. Rows without any finite value come back unchanged;
        vertices that are not finite in another row take no part, like masked ones.
    vertices : (n_vertices, 3) array
        Coordinates in mm of the surface along which distances count (mid-thickness).
    faces : (n_faces, 3) int array
        Triangles, 0-based.
    fwhm : float
        Full width at half maximum in mm; 0 changes nothing.
    mask : (n_vertices,) bool array, optional
        Vertices that take part (the cortex). The others keep their values.

    Returns
    -------
    (..., n_vertices) float64
        Smoothed values, not in place.

    Raises
    ------
    UsageError
        If `fwhm` is negative or not finite.
    BadDataError
        If a shape is wrong.

    References
    ----------
    Chung et al. 2005, NeuroImage 25 (heat kernel smoothing); Pinkall & Polthier 1993 (cotangents).

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> left = load_mesh("fsaverage4").left
    >>> spike = np.zeros(left.n_vertices)
    >>> spike[100] = 1.0
    >>> smooth = smooth_surface(spike, left.white, left.faces, fwhm=10.0)
    >>> bool(smooth[100] < 0.5), int(smooth.argmax())
    (True, 100)
    >>> constant = np.full(left.n_vertices, 3.0)
    >>> np.allclose(smooth_surface(constant, left.white, left.faces, 10.0), 3)
    True
    """
    result = np.array(values, dtype=np.float64)
    check_shape("values", result, *result.shape[:-1], len(np.asarray(vertices)))
    rows = result.reshape(-1, result.shape[-1])
    smooth_rows(rows, vertices, faces, fwhm, mask=mask)
    return rows.reshape(result.shape)


def smooth_rows(
    rows: npt.NDArray[np.floating],
    vertices: npt.ArrayLike,
    faces: npt.ArrayLike,
    fwhm: float,
    *,
    mask: npt.ArrayLike | None = None,
) -> None:
    """Smooth as `smooth_surface` does, in place and in the precision of the values.

    Parameters
    ----------
    rows : (n_rows, n_vertices) array
        Values, which are overwritten. Products are in double precision, some rows at a time.
    vertices, faces, fwhm, mask
        As for `smooth_surface`.

    Raises
    ------
    UsageError, BadDataError
        As `smooth_surface`.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> left = load_mesh("fsaverage3").left
    >>> rows = np.random.default_rng(0).standard_normal((2, left.n_vertices)).astype(np.float32)
    >>> before = rows.std()
    >>> smooth_rows(rows, left.white, left.faces, fwhm=20.0)
    >>> rows.dtype.name, bool(rows.std() < 0.8 * before)
    ('float32', True)
    """
    points, triangles, inside = _checked(vertices, faces, mask)
    check_shape("values", rows, len(rows), len(points))
    if not math.isfinite(fwhm) or fwhm < 0:
        raise UsageError(
            "The smoothing width is not a length.",
            where="fwhm",
            found=fwhm,
            wanted="millimeters, 0 or more",
            remedy="give --smoothing in mm, for example 6, or 0 for none",
        )
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(rows), _BLOCK)]
    complete = np.concatenate(
        [np.isfinite(rows[block][:, inside]).any(axis=1) for block in blocks] or [[]]
    ).astype(bool)
    for block in blocks:
        inside &= np.isfinite(rows[block][complete[block]]).all(axis=0)
    chosen = np.flatnonzero(complete)
    if fwhm == 0 or not chosen.size or not inside.any():
        return
    diffusion = _Diffusion(points, triangles, inside, fwhm)
    for start in range(0, chosen.size, _BLOCK):
        part = np.ix_(chosen[start : start + _BLOCK], inside)
        rows[part] = diffusion.apply(np.asarray(rows[part].T, dtype=np.float64)).T


def _checked(
    vertices: npt.ArrayLike, faces: npt.ArrayLike, mask: npt.ArrayLike | None
) -> tuple[FloatArray, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    points = np.asarray(vertices, dtype=np.float64)
    triangles = np.asarray(faces, dtype=np.int64)
    n_vertices = len(points)
    inside = np.ones(n_vertices, bool) if mask is None else np.array(mask, dtype=bool)
    check_shape("vertices", points, n_vertices, 3)
    check_shape("faces", triangles, len(triangles), 3)
    check_shape("mask", inside, n_vertices)
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < n_vertices:
        raise BadDataError(
            "The triangles name vertices that do not exist.",
            where="faces",
            found=f"{triangles.min()} to {triangles.max()}",
            wanted=f"0 to {n_vertices - 1}",
            remedy="give the triangles of the same mesh as the values",
        )
    return points, triangles, inside


class _Diffusion:
    """exp(-t M^-1 L) on the part of a mesh that is inside."""

    def __init__(
        self,
        points: FloatArray,
        triangles: npt.NDArray[np.int64],
        inside: npt.NDArray[np.bool_],
        fwhm: float,
    ) -> None:
        number = np.cumsum(inside) - 1
        kept = number[triangles[inside[triangles].all(axis=1)]]
        points = points[inside]
        areas = vertex_areas(points, kept.astype(np.int32))
        # Vertices without a triangle have nobody to share with: any area will do.
        areas[areas <= 0] = 1.0
        scale = sparse.diags(1.0 / np.sqrt(areas))
        operator = (scale @ cotangent_laplacian(points, kept) @ scale).tocsr()
        # Neighbors get numbers close to each other.
        self._order = reverse_cuthill_mckee(operator, symmetric_mode=True)
        self._root = np.sqrt(areas[self._order])[:, None]
        operator = operator[self._order][:, self._order]
        time = fwhm**2 / (16 * math.log(2))
        top = _bound(operator)
        self._coefficients = _chebyshev(time * top / 2)
        if not self._coefficients.size:
            return
        shifted = (operator * (4 / top) - 2 * sparse.identity(len(areas))).tocsr()
        starts = range(0, len(areas), _NEAR)
        self._parts = [(slice(a, a + _NEAR), shifted[a : a + _NEAR]) for a in starts]

    def apply(self, columns: FloatArray) -> FloatArray:
        """Of values (n_inside, n), by a Chebyshev series; the spectrum must not be negative."""
        coefficients = self._coefficients
        if not coefficients.size:
            return columns
        before = self._root * columns[self._order]
        current = np.vstack([matrix @ before for _, matrix in self._parts]) / 2
        total = coefficients[0] * before + coefficients[1] * current
        for coefficient in coefficients[2:]:
            for part, matrix in self._parts:
                following = matrix @ current
                following -= before[part]
                before[part] = following
                following *= coefficient
                total[part] += following
            before, current = current, before
        result = np.empty_like(total)
        result[self._order] = total / self._root
        return result


def _bound(operator: sparse.csr_matrix) -> float:
    """At least the largest eigenvalue, by quotients of a positive vector (Collatz, Wielandt)."""
    positive = abs(operator)
    vector = np.ones(operator.shape[0])
    bound = float((positive @ vector).max())
    for _ in range(_ROUNDS if bound else 0):
        # Any vector gives a bound; these approach the one that gives the smallest.
        vector += positive @ vector / bound
        bound = float(np.max(positive @ vector / vector))
    return bound


def cotangent_laplacian(vertices: FloatArray, faces: npt.NDArray[np.integer]) -> sparse.csr_matrix:
    """Stiffness matrix of a triangle mesh (linear finite elements).

    Parameters
    ----------
    vertices : (n_vertices, 3) array
    faces : (n_faces, 3) int array

    Returns
    -------
    (n_vertices, n_vertices) CSR matrix
        Symmetric, rows sum to 0, positive semi-definite.

    Examples
    --------
    >>> square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    >>> stiffness = cotangent_laplacian(square, np.array([[0, 1, 2], [0, 2, 3]]))
    >>> np.allclose(stiffness.sum(axis=1), 0), np.allclose((stiffness - stiffness.T).toarray(), 0)
    (True, True)
    """
    n_vertices = len(vertices)
    rows, columns, weights = [], [], []
    for corner in range(3):
        apex, first, second = (faces[:, (corner + k) % 3] for k in range(3))
        u, v = vertices[first] - vertices[apex], vertices[second] - vertices[apex]
        area = np.linalg.norm(np.cross(u, v), axis=1)
        flat = area < 1e-12
        cotangent = np.where(flat, 0.0, np.sum(u * v, axis=1) / np.where(flat, 1.0, area))
        rows += [first, second]
        columns += [second, first]
        weights += [cotangent / 2, cotangent / 2]
    shape = (n_vertices, n_vertices)
    off_diagonal = sparse.csr_matrix(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=shape
    )
    diagonal = np.asarray(off_diagonal.sum(axis=1)).ravel()
    return (sparse.diags(diagonal) - off_diagonal).tocsr()


def _chebyshev(half: float) -> FloatArray:
    """Coefficients of exp on a spectrum of twice this width; none where it has no width."""
    if half == 0:
        return np.empty(0)
    order = np.arange(int(8 * math.sqrt(half) + half) + 30)
    coefficients = 2.0 * (-1.0) ** order * ive(order, half)
    coefficients[0] /= 2
    last = np.flatnonzero(abs(coefficients) > _TOLERANCE)[-1]
    coefficients = coefficients[: max(last, 1) + 1]
    # The value at eigenvalue 0 (constants) is exactly 1.
    coefficients /= np.sum(coefficients * (-1.0) ** np.arange(coefficients.size))
    return np.asarray(coefficients)
