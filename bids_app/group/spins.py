"""Random rotations of the cortical spheres and exact nearest vertices under them.

A rotation is drawn for the left hemisphere and mirrored for the right one (Alexander-Bloch et al.
2018, doi:10.1016/j.neuroimage.2018.05.070), so that homologous places stay together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from bids_app.errors import BadDataError

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
        Source of randomness; rotations come in its order, whatever the number asked for at once.

    Returns
    -------
    (n_rotations, 3, 3) float64
        Proper rotation matrices (determinant 1).
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
        if sphere.ndim != 2 or sphere.shape[1] != 3 or len(sphere) < 1:
            raise BadDataError(
                "Sphere coordinates have the wrong shape.",
                where="sphere",
                found=f"shape {sphere.shape}",
                wanted="(n_vertices, 3)",
            )
        norms = np.linalg.norm(sphere, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise BadDataError("A vertex is not finite or at the origin.", where="sphere")
        self.directions: FloatArray = sphere / norms
        spacing = np.sqrt(4 * np.pi / len(sphere))
        self._n_cells = min(int(np.ceil(2 * cells_per_spacing / spacing)), 320)
        self._candidates, self._counts, self._rows = self._build()

    def query(self, points: FloatArray) -> IntArray:
        """Find the nearest vertices.

        Parameters
        ----------
        points : (n_points, 3) float64
            Points on the unit sphere.

        Returns
        -------
        (n_points,) int32
            Index of the nearest vertex of each point.
        """
        cells = ((points + 1.0) * (self._n_cells / 2)).astype(np.int32)
        np.minimum(cells, self._n_cells - 1, out=cells)
        flat = (cells[:, 0] * self._n_cells + cells[:, 1]) * self._n_cells + cells[:, 2]
        rows = self._rows[flat]
        counts = self._counts[rows]
        nearest = self._candidates[0][rows]
        open_points = np.flatnonzero(counts > 1)
        if not len(open_points):
            return nearest
        rows, counts = rows[open_points], counts[open_points]
        here = points[open_points]
        best = nearest[open_points]
        closeness = np.einsum("ij,ij->i", self.directions[best], here)
        for rank in range(1, len(self._candidates)):
            rest = np.flatnonzero(counts > rank)
            if not len(rest):
                break
            other = self._candidates[rank][rows[rest]]
            other_closeness = np.einsum("ij,ij->i", self.directions[other], here[rest])
            closer = other_closeness > closeness[rest]
            best[rest[closer]] = other[closer]
            closeness[rest[closer]] = other_closeness[closer]
        nearest[open_points] = best
        return nearest

    def _build(self) -> tuple[IntArray, IntArray, IntArray]:
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
        counts = keep.sum(axis=1).astype(np.int32)
        ordered = np.take_along_axis(neighbors, order, axis=1)[:, : counts.max()]
        rows = np.zeros(n_cells**3, dtype=np.int32)
        rows[flat] = np.arange(len(centers), dtype=np.int32)
        return np.ascontiguousarray(ordered.T, dtype=np.int32), counts, rows

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
        self._lookups = [NearestVertex(sphere) for sphere in spheres]
        n_left, n_right = (len(lookup.directions) for lookup in self._lookups)
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != (n_left + n_right,):
            raise BadDataError(
                "Mask and spheres have different numbers of vertices.",
                where="mask",
                found=f"shape {mask.shape}",
                wanted=f"({n_left + n_right},): {n_left} left, then {n_right} right",
            )
        self._points = [
            np.ascontiguousarray(lookup.directions[part])
            for lookup, part in zip(self._lookups, (mask[:n_left], mask[n_left:]), strict=True)
        ]
        self._starts = (0, n_left)
        self.n_points = int(mask.sum())

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
        parts = []
        for lookup, points, start, turn in zip(
            self._lookups,
            self._points,
            self._starts,
            (rotation, mirror_rotations(rotation)),
            strict=True,
        ):
            parts.append(lookup.query(points @ turn.T) + np.int32(start))
        return np.concatenate(parts)
