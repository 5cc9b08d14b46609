"""Small meshes without a template."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from bids_app.outputs import STRUCTURES
from bids_app.surface.mesh import (
    FloatArray,
    Hemisphere,
    IntArray,
    SurfaceMesh,
    face_outward,
    normalize_sphere,
)


def icosahedral_mesh(n_subdivisions: int = 2) -> SurfaceMesh:
    """A subdivided icosahedron, mirrored for the right hemisphere.

    Parameters
    ----------
    n_subdivisions : int
        0 gives 12 vertices per hemisphere, then 42, 162, 642, 2562, ...

    Returns
    -------
    SurfaceMesh
        Every surface is the sphere itself; sulc is the height above the equator.
    """
    vertices, faces = _icosahedron()
    for _ in range(n_subdivisions):
        vertices, faces = _subdivide(vertices, faces)
    mirrored = vertices * np.array([-1.0, 1.0, 1.0])
    hemispheres = []
    for structure, points in zip(STRUCTURES.values(), (vertices, mirrored), strict=True):
        sphere = normalize_sphere(points)
        hemispheres.append(
            Hemisphere(
                structure=structure,
                sphere=sphere,
                white=sphere,
                pial=sphere,
                inflated=sphere,
                faces=face_outward(sphere, faces),
                sulc=sphere[:, 2].copy(),
            )
        )
    return SurfaceMesh(f"icosahedron{n_subdivisions}", hemispheres[0], hemispheres[1])


def _icosahedron() -> tuple[FloatArray, IntArray]:
    golden = (1 + 5**0.5) / 2
    base = np.array([[0.0, a, b] for a in (-1, 1) for b in (-golden, golden)])
    vertices = np.vstack([np.roll(base, shift, axis=1) for shift in range(3)])
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    return vertices, ConvexHull(vertices).simplices.astype(np.int32)


def _subdivide(vertices: FloatArray, faces: IntArray) -> tuple[FloatArray, IntArray]:
    n_vertices = len(vertices)
    edges = np.sort(np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    midpoints = vertices[unique].sum(axis=1)
    midpoints /= np.linalg.norm(midpoints, axis=1, keepdims=True)
    ab, bc, ca = (n_vertices + inverse.reshape(3, -1)).astype(np.int32)
    a, b, c = faces.T
    finer = np.vstack([np.c_[a, ab, ca], np.c_[b, bc, ab], np.c_[c, ca, bc], np.c_[ab, bc, ca]])
    return np.vstack([vertices, midpoints]), finer
