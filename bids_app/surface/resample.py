"""Resample maps from one mesh to another over registered spheres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.spatial import cKDTree

from bids_app.errors import BadDataError, check_shape
from bids_app.surface.mesh import normalize_sphere

FloatArray = npt.NDArray[np.float64]

# Share of a target vertex' weight that must remain.
_MIN_WEIGHT = 1e-6


@dataclass(frozen=True, eq=False)
class SphereMap:
    """Weights from the vertices of one sphere to those of another.

    Attributes
    ----------
    weights : (n_target, n_source) CSR float64
        Rows sum to 1.
    """

    weights: sparse.csr_matrix

    def apply(self, values: npt.ArrayLike, mask: npt.ArrayLike | None = None) -> FloatArray:
        """Resample values, leaving source vertices outside a mask out of the weights.

        Parameters
        ----------
        values : (..., n_source) array
            Source values; those that are not finite are left out like masked ones.
        mask : (n_source,) bool array, optional
            Source vertices that count (the cortex). Without it all finite values do.

        Returns
        -------
        (..., n_target) float64
            Weighted means of what remains; NaN where nothing does.

        Raises
        ------
        BadDataError
            If the number of vertices differs from the source sphere.
        """
        values = np.asarray(values, dtype=np.float64)
        n_source = self.weights.shape[1]
        inside = np.ones(n_source, bool) if mask is None else np.asarray(mask, dtype=bool)
        check_shape("values", values, *values.shape[:-1], n_source)
        check_shape("mask", inside, n_source)
        rows = values.reshape(-1, n_source)
        use = inside & np.isfinite(rows)
        remaining = (self.weights @ use.astype(np.float64).T).T
        total = (self.weights @ np.where(use, rows, 0.0).T).T
        valid = remaining >= _MIN_WEIGHT
        result = np.where(valid, total / np.where(valid, remaining, 1.0), np.nan)
        return result.reshape(*values.shape[:-1], -1)


def sphere_map(
    source_sphere: npt.ArrayLike, source_faces: npt.ArrayLike, target_sphere: npt.ArrayLike
) -> SphereMap:
    """Find the source triangle around every target vertex and its barycentric weights.

    Parameters
    ----------
    source_sphere : (n_source, 3) array
        Source sphere, registered to the target one; any radius.
    source_faces : (n_faces, 3) int array
        Triangles of the source sphere, 0-based.
    target_sphere : (n_target, 3) array
        Target sphere; any radius.

    Returns
    -------
    SphereMap
        Weights.

    Raises
    ------
    BadDataError
        If a shape is wrong or the source triangles do not cover the sphere.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> coarse, fine = load_mesh("fsaverage3").left, load_mesh("fsaverage4").left
    >>> to_fine = sphere_map(coarse.sphere, coarse.faces, fine.sphere)
    >>> to_fine.weights.shape
    (2562, 642)
    >>> values = to_fine.apply(coarse.sphere[:, 2])  # a smooth map
    >>> np.allclose(values, fine.sphere[:, 2], atol=1)
    True
    """
    source = normalize_sphere(source_sphere, 1.0)
    target = normalize_sphere(target_sphere, 1.0)
    faces = np.asarray(source_faces)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.min() < 0 or faces.max() >= len(source):
        raise BadDataError(
            "Triangles do not belong to the source sphere.",
            where="source_faces",
            found=f"shape {faces.shape}, vertices {faces.min()} to {faces.max()}",
            wanted=f"(n_faces, 3), vertices 0 to {len(source) - 1}",
            remedy="give the triangles of the same file as the source sphere",
        )
    # The triangle's center is near the point, but need not be the nearest one.
    centers = source[faces].mean(axis=1)
    tree = cKDTree(centers / np.linalg.norm(centers, axis=1, keepdims=True))
    vertices = np.zeros((len(target), 3), dtype=np.int64)
    weights = np.zeros((len(target), 3))
    open_points = np.arange(len(target))
    for n_candidates in (8, 64, 512):
        n_candidates = min(n_candidates, len(faces))
        _, near = tree.query(target[open_points], k=n_candidates)
        near = near.reshape(len(open_points), n_candidates)
        found, chosen = _best_triangle(source[faces], near, target[open_points])
        vertices[open_points] = faces[chosen]
        weights[open_points] = np.maximum(found, 0.0)
        open_points = open_points[found.min(axis=1) < -1e-9]
        if not len(open_points):
            break
    else:
        raise BadDataError(
            "Some target vertices lie in no source triangle.",
            where="source_faces",
            found=f"{len(open_points)} vertices",
            wanted="a closed sphere",
            remedy="give the whole sphere, not a patch of it",
        )
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(target)), 3)
    matrix = sparse.csr_matrix(
        (weights.ravel(), (rows, vertices.ravel())), shape=(len(target), len(source))
    )
    return SphereMap(matrix)


def adaptive_sphere_map(
    source_sphere: npt.ArrayLike,
    source_faces: npt.ArrayLike,
    target_sphere: npt.ArrayLike,
    target_faces: npt.ArrayLike,
    *,
    source_areas: npt.ArrayLike | None = None,
    target_areas: npt.ArrayLike | None = None,
) -> SphereMap:
    """Barycentric weights that use every source vertex, also when the target mesh is coarser.

    Where source vertices lie around a target vertex that its own triangle does not reach, the
    weights are the transposed weights of an interpolation of the source vertices from the target
    mesh. Each source vertex then contributes in proportion to its area. This is the rule
    of Connectome Workbench's ADAP_BARY_AREA.

    Parameters
    ----------
    source_sphere, source_faces : (n_source, 3) and (n_source_faces, 3) arrays
        Source sphere and its triangles, 0-based.
    target_sphere, target_faces : (n_target, 3) and (n_target_faces, 3) arrays
        Target sphere, registered to the source one, and its triangles.
    source_areas, target_areas : (n_source,) and (n_target,) arrays, optional
        Vertex areas on the anatomical surfaces, mm2; equal ones unless both are given.

    Returns
    -------
    SphereMap
        Weights.

    Raises
    ------
    BadDataError
        If shapes disagree or triangles do not cover a sphere.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> coarse, fine = load_mesh("fsaverage3").left, load_mesh("fsaverage4").left
    >>> plain = sphere_map(fine.sphere, fine.faces, coarse.sphere)
    >>> every = adaptive_sphere_map(fine.sphere, fine.faces, coarse.sphere, coarse.faces)
    >>> used = [int((one.weights.sum(axis=0) > 1e-6).sum()) for one in (plain, every)]
    >>> used[0] < used[1] == fine.n_vertices
    True
    """
    forward = sphere_map(source_sphere, source_faces, target_sphere).weights
    backward = sphere_map(target_sphere, target_faces, source_sphere).weights.T.tocsr()
    n_target, n_source = forward.shape
    if source_areas is None or target_areas is None:
        source_areas, target_areas = np.ones(n_source), np.ones(n_target)
    source_areas, target_areas = np.asarray(source_areas), np.asarray(target_areas)
    check_shape("source_areas", source_areas, n_source)
    check_shape("target_areas", target_areas, n_target)
    for matrix in (forward, backward):
        matrix.eliminate_zeros()
    reached = (forward != 0).astype(np.int8)
    around = (backward != 0).astype(np.int8)
    beyond = (around - around.multiply(reached)).sum(axis=1)
    turned = np.asarray(beyond).ravel() > 0
    weights = sparse.diags(target_areas * ~turned) @ forward
    weights = weights + sparse.diags(target_areas * turned) @ backward
    total = np.asarray(weights.sum(axis=0)).ravel()
    weights = weights @ sparse.diags(
        np.where(total > 0, source_areas / np.where(total, total, 1), 0)
    )
    rows = np.asarray(weights.sum(axis=1)).ravel()
    return SphereMap(sparse.csr_matrix(sparse.diags(1 / np.where(rows > 0, rows, 1)) @ weights))


def resample_barycentric(
    values: npt.ArrayLike,
    source_sphere: npt.ArrayLike,
    source_faces: npt.ArrayLike,
    target_sphere: npt.ArrayLike,
    target_faces: npt.ArrayLike | None = None,
    *,
    mask: npt.ArrayLike | None = None,
) -> FloatArray:
    """Resample one hemisphere's maps over registered spheres, the medial wall left out.

    The zeros that files store on the medial wall must not bleed into the cortex: pass the cortex
    as `mask`. A target vertex with any cortex among its source vertices gets the mean of that.

    Parameters
    ----------
    values : (..., n_source) array
        Source maps.
    source_sphere : (n_source, 3) array
        Source sphere, registered to the target one.
    source_faces : (n_source_faces, 3) int array
        Its triangles, 0-based.
    target_sphere : (n_target, 3) array
        Target sphere.
    target_faces : (n_target_faces, 3) int array, optional
        Its triangles; with them the rule is that of `adaptive_sphere_map`, else plain barycentric
        interpolation at the target vertices.
    mask : (n_source,) bool array, optional
        Source vertices in cortex.

    Returns
    -------
    (..., n_target) float64
        Resampled maps; NaN where no source vertex is cortex.

    Raises
    ------
    BadDataError
        If shapes disagree or the triangles do not cover the sphere.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> coarse, fine = load_mesh("fsaverage3").left, load_mesh("fsaverage4").left
    >>> cortex = fine.sphere[:, 0] < 50
    >>> values = np.where(cortex, 1.0, 0.0)  # files store zero on the medial wall
    >>> out = resample_barycentric(
    ...     values, fine.sphere, fine.faces, coarse.sphere, coarse.faces, mask=cortex
    ... )
    >>> np.unique(out.round(6)).tolist(), bool(np.isnan(out).mean() > 0.1)
    ([1.0, nan], True)
    """
    if target_faces is None:
        rule = sphere_map(source_sphere, source_faces, target_sphere)
    else:
        rule = adaptive_sphere_map(source_sphere, source_faces, target_sphere, target_faces)
    return rule.apply(values, mask)


def _best_triangle(
    corners: FloatArray, near: npt.NDArray, points: FloatArray
) -> tuple[FloatArray, npt.NDArray]:
    """Weights of the candidate triangle that contains each point best, and its index."""
    best = np.full((len(points), 3), -np.inf)
    chosen = near[:, 0].copy()
    for candidate in near.T:
        a, b, c = (corners[candidate, k] for k in range(3))
        # The ray through the point meets the triangle's plane at wa a + wb b + wc c.
        weights = np.stack(
            [
                np.einsum("ij,ij->i", points, np.cross(b, c)),
                np.einsum("ij,ij->i", points, np.cross(c, a)),
                np.einsum("ij,ij->i", points, np.cross(a, b)),
            ],
            axis=1,
        )
        volume = np.einsum("ij,ij->i", a, np.cross(b, c))
        total = weights.sum(axis=1)
        # Behind the sphere's center or degenerate: not this one.
        ahead = (np.abs(volume) > 1e-15) & (total * np.sign(volume) > 0)
        weights = (
            np.where(ahead[:, np.newaxis], weights, -np.inf)
            / np.where(ahead, total, 1.0)[:, np.newaxis]
        )
        better = weights.min(axis=1) > best.min(axis=1)
        best[better], chosen[better] = weights[better], candidate[better]
    return best, chosen
