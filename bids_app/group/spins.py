"""Random rotations of the cortical spheres and exact nearest vertices under them.

A rotation is drawn for the left hemisphere and mirrored for the right one (Alexander-Bloch et al.
2018, doi:10.1016/j.neuroimage.2018.05.070), so that homologous places stay together.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from bids_app.errors import BadDataError, check_shape

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]

_REFLECTION = np.diag([-1.0, 1.0, 1.0])


def random_rotations(n_rotations: int, rng: np.random.Generator) -> FloatArray:
    """Rotations drawn uniformly over all orientations.

    Parameters
    ----------
    n_rotations : int
        How many.
    rng : numpy.random.Generator
        Source of randomness: drawing in several calls gives the same rotations as in one.

    Returns
    -------
    (n_rotations, 3, 3) float64
        Proper rotation matrices (determinant 1).

    Examples
    --------
    >>> import numpy as np
    >>> rotations = random_rotations(5, np.random.default_rng(0))
    >>> rotations.shape, np.linalg.det(rotations).round(6).tolist()
    ((5, 3, 3), [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    q, r = np.linalg.qr(rng.standard_normal((n_rotations, 3, 3)))
    # The signs of R's diagonal make the decomposition unique, hence Q uniform (Mezzadri 2007).
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, np.newaxis, :]
    q[np.linalg.det(q) < 0, :, 0] *= -1
    return q


def mirror_rotations(rotations: npt.ArrayLike) -> FloatArray:
    """Rotations of the right hemisphere that mirror those of the left one.

    Parameters
    ----------
    rotations : (..., 3, 3) array
        Rotations in right-anterior-superior axes.

    Returns
    -------
    (..., 3, 3) float64
        Each conjugated by the reflection of the left-right axis.

    Examples
    --------
    >>> import numpy as np
    >>> quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # about up
    >>> bool(np.allclose(mirror_rotations(quarter), quarter.T))
    True
    """
    return _REFLECTION @ np.asarray(rotations, dtype=np.float64) @ _REFLECTION


class NearestVertex:
    """Exact nearest vertex of points on a sphere, by a lookup table.

    Space is cut into small cubes. For each cube that the sphere passes through, the table holds
    every vertex that is nearest to some point of the cube, so that a query compares one to three
    candidates instead of descending a tree. The answers are those of a k-d tree.

    Parameters
    ----------
    sphere : (n_vertices, 3) array
        Vertices of a sphere about the origin; only their directions count.
    cells_per_spacing : float
        Cubes per mean distance between neighboring vertices, up to 320 along each axis (131 MB).
        More make queries faster and the table larger; the answers are the same.

    Raises
    ------
    BadDataError
        If the shape is wrong or a vertex is not finite or at the origin.
    """

    def __init__(self, sphere: npt.ArrayLike, cells_per_spacing: float = 4.0) -> None:
        sphere = np.asarray(sphere, dtype=np.float64)
        check_shape("sphere", sphere, "n_vertices", 3)
        norms = np.linalg.norm(sphere, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise BadDataError(
                "A vertex is not finite or at the origin.",
                where="sphere",
                found=f"{(~(norms > 0) | ~np.isfinite(norms)).sum()} of {len(sphere)} vertices",
                wanted="points on a sphere around the origin",
                remedy="give the file of the sphere, no other surface",
            )
        self.directions: FloatArray = sphere / norms
        self._columns = np.ascontiguousarray(self.directions.T)
        spacing = np.sqrt(4 * np.pi / len(sphere))
        self._n_cells = min(int(np.ceil(2 * cells_per_spacing / spacing)), 320)
        self._build()

    def query(self, points: FloatArray) -> IntArray:
        """Find the nearest vertices.

        Parameters
        ----------
        points : (3, n_points) float64
            Points on the unit sphere. Neighbors in space should be neighbors in the array: the
            table is larger than the processor's cache.

        Returns
        -------
        (n_points,) int32
            Index of the nearest vertex of each point.
        """
        cells = ((points + 1.0) * (self._n_cells / 2)).astype(np.int32)
        x, y, z = np.minimum(cells, self._n_cells - 1, out=cells)
        # `take` is several times faster than indexing.
        nearest = self._table.take((x * self._n_cells + y) * self._n_cells + z)
        open_points = np.flatnonzero(nearest < 0)
        if not len(open_points):
            return nearest
        rows = ~nearest.take(open_points)
        here = points.take(open_points, axis=1)
        best = self._candidates[0].take(rows)
        closeness = self._closeness(best, here)
        for rank, start in enumerate(self._starts, start=1):
            rest = np.flatnonzero(rows >= start)
            other = self._candidates[rank].take(rows.take(rest))
            other_closeness = self._closeness(other, here.take(rest, axis=1))
            closer = np.flatnonzero(other_closeness > closeness.take(rest))
            changed = rest.take(closer)
            best[changed] = other.take(closer)
            closeness[changed] = other_closeness.take(closer)
        nearest[open_points] = best
        return nearest

    def _closeness(self, vertices: IntArray, points: FloatArray) -> FloatArray:
        x, y, z = self._columns.take(vertices, axis=1)
        return np.asarray(x * points[0] + y * points[1] + z * points[2])

    def _build(self) -> None:
        n_cells = self._n_cells
        size = 2.0 / n_cells
        centers, flat = self._cubes_on_sphere(n_cells, size)
        tree = cKDTree(self.directions)
        n_vertices = len(self.directions)
        n_neighbors = min(8, n_vertices)
        while True:
            distances, neighbors = tree.query(centers, k=n_neighbors)
            distances = distances.reshape(len(centers), n_neighbors)
            # A vertex farther than this from a cube's center is nearest to none of its points.
            reach = distances[:, 0] + np.sqrt(3) * size * (1 + 1e-9)
            if n_neighbors == n_vertices or (distances[:, -1] > reach).all():
                break
            n_neighbors = min(2 * n_neighbors, n_vertices)
        neighbors = neighbors.reshape(len(centers), n_neighbors)
        offset = self.directions[neighbors[:, :1]] - self.directions[neighbors]
        # The nearest vertex of the center beats another one over the whole cube where the
        # difference of scalar products stays positive at the cube's worst corner.
        lead = np.einsum("ijk,ik->ij", offset, centers)
        worst = (size / 2) * (1 + 1e-9) * np.abs(offset).sum(axis=2) + 1e-12
        keep = lead <= worst
        order = np.argsort(~keep, axis=1, kind="stable")
        counts = keep.sum(axis=1)
        candidates = np.take_along_axis(neighbors, order, axis=1).astype(np.int32)
        # One candidate is the answer; rows of several hide behind negative numbers, those with
        # more candidates after those with fewer.
        several = np.flatnonzero(counts > 1)
        several = several[np.argsort(counts[several], kind="stable")]
        self._table = np.zeros(n_cells**3, dtype=np.int32)
        self._table[flat] = candidates[:, 0]
        self._table[flat[several]] = ~np.arange(len(several), dtype=np.int32)
        self._candidates = np.ascontiguousarray(candidates[several, : counts.max()].T)
        # First row with more candidates than 1, 2, ...
        self._starts = np.searchsorted(counts[several], np.arange(2, counts.max() + 1)).tolist()

    @staticmethod
    def _cubes_on_sphere(n_cells: int, size: float) -> tuple[FloatArray, npt.NDArray[np.intp]]:
        middle = (np.arange(n_cells) + 0.5) * size - 1.0
        near = np.maximum(np.abs(middle) - size / 2, 0.0) ** 2
        far = (np.abs(middle) + size / 2) ** 2
        centers, flat = [], []
        slack = 1e-9
        for index in range(n_cells):
            low = near[index] + near[:, np.newaxis] + near
            high = far[index] + far[:, np.newaxis] + far
            rows, columns = np.nonzero((low <= 1.0 + slack) & (high >= 1.0 - slack))
            centers.append(np.c_[np.full(len(rows), middle[index]), middle[rows], middle[columns]])
            flat.append((index * n_cells + rows) * n_cells + columns)
        return np.vstack(centers), np.concatenate(flat)


class SphereRotator:
    """Source vertices of rotated maps inside a fixed mask, over both hemispheres.

    Parameters
    ----------
    spheres : pair of (n_vertices_left, 3) and (n_vertices_right, 3) arrays
        Left and right sphere in right-anterior-superior axes.
    mask : (n_left + n_right,) bool array
        Vertices for which a value is wanted.

    Raises
    ------
    BadDataError
        If the mask does not match the spheres.
    """

    def __init__(self, spheres: tuple[npt.ArrayLike, npt.ArrayLike], mask: npt.ArrayLike) -> None:
        # FreeSurfer's average spheres are the same on both sides, and one call follows another.
        self._lookups = [
            _lookup(np.ascontiguousarray(sphere, dtype=np.float64).tobytes(), np.shape(sphere))
            for sphere in spheres
        ]
        n_left, n_right = (len(lookup.directions) for lookup in self._lookups)
        mask = np.asarray(mask, dtype=bool)
        check_shape("mask", mask, n_left + n_right)
        self._points, self._order = [], []
        n_before = 0
        for lookup, part in zip(self._lookups, (mask[:n_left], mask[n_left:]), strict=True):
            points = lookup.directions[part]
            order = _spatial_order(points)
            self._points.append(np.ascontiguousarray(points[order].T))
            self._order.append(order + n_before)
            n_before += len(points)
        self._starts = (0, n_left)
        self.n_points = n_before

    def source_vertices(self, rotation: FloatArray) -> IntArray:
        """Vertex whose value each vertex of the mask receives when a map is rotated.

        Parameters
        ----------
        rotation : (3, 3) float64
            Rotation of the left hemisphere; the right one gets its mirror image.

        Returns
        -------
        (n_points,) int32
            For vertex v of the mask, the vertex nearest to rotation @ v (stacked numbering). This
            is what neuromaps' `gen_spinsamples` returns for the same rotation.
        """
        sources = np.empty(self.n_points, dtype=np.int32)
        for lookup, points, order, start, turn in zip(
            self._lookups,
            self._points,
            self._order,
            self._starts,
            (rotation, mirror_rotations(rotation)),
            strict=True,
        ):
            sources[order] = lookup.query(turn @ points) + np.int32(start)
        return sources


@lru_cache(maxsize=2)
def _lookup(coordinates: bytes, shape: tuple[int, ...]) -> NearestVertex:
    return NearestVertex(np.frombuffer(coordinates).reshape(shape))


def _spatial_order(points: FloatArray) -> npt.NDArray[np.intp]:
    """Order in which neighbors on the sphere mostly follow one another (bits interleaved)."""
    cells = ((points + 1.0) * 15.99).astype(np.int64)
    code = np.zeros(len(points), dtype=np.int64)
    for bit in range(5):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")
