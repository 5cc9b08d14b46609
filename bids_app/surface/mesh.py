"""Template meshes of both hemispheres: geometry, vertex areas, neighbors.

fsaverage5 (and its subsets fsaverage3 and fsaverage4) comes with nilearn and needs no download;
fsaverage6 and fsaverage are read from TemplateFlow's folder, fsLR from neuromaps'. Arrays over both
hemispheres are always stacked left, then right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.spatial import ConvexHull, cKDTree

from bids_app.errors import BadDataError, MissingInputError, UsageError, check_shape
from bids_app.meshes import DENSITIES, MESHES, N_VERTICES
from bids_app.outputs import STRUCTURES
from bids_app.resources import atlas_file
from bids_app.surface.coordinates import from_mni152
from bids_app.surface.gifti import read_gifti, read_surface

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]

SPHERE_RADIUS = 100.0
_NEUROMAPS = ("sphere", "registered", "midthickness", "inflated", "sulc")


@dataclass(frozen=True, eq=False)
class Hemisphere:
    """One hemisphere of a template.

    Attributes
    ----------
    structure : str
        GIFTI name: "CortexLeft" or "CortexRight".
    sphere : (n_vertices, 3) float64
        Sphere of the template, radius exactly 100, right-anterior-superior axes.
    white, pial, inflated : (n_vertices, 3) float64
        Surfaces, mm, in the space of fsaverage (MNI305). `inflated` is the pial surface where the
        template has no inflated one (densities read from TemplateFlow); white and pial surface are
        the mid-thickness where the template has but that (fsLR).
    faces : (n_faces, 3) int32
        Triangles, 0-based, outward normals.
    sulc : (n_vertices,) float64
        Sulcal depth, for display.
    on_fsaverage : (n_vertices, 3) float64, optional
        Sphere registered to that of fsaverage; None where it is `sphere`.
    """

    structure: str
    sphere: FloatArray
    white: FloatArray
    pial: FloatArray
    inflated: FloatArray
    faces: IntArray
    sulc: FloatArray
    on_fsaverage: FloatArray | None = None

    @property
    def registered(self) -> FloatArray:
        """Sphere registered to that of fsaverage, (n_vertices, 3)."""
        return self.sphere if self.on_fsaverage is None else self.on_fsaverage

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return len(self.sphere)

    @cached_property
    def areas(self) -> FloatArray:
        """Area of each vertex in mm2, (n_vertices,): a third of its triangles, mid-thickness."""
        return vertex_areas((self.white + self.pial) / 2, self.faces)


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """Both hemispheres of a template; stacked arrays are left, then right.

    Attributes
    ----------
    space : str
        Template name as fMRIPrep writes it, such as "fsaverage5".
    left, right : Hemisphere
        The hemispheres.
    """

    space: str
    left: Hemisphere
    right: Hemisphere

    @property
    def hemispheres(self) -> tuple[Hemisphere, Hemisphere]:
        """Left and right."""
        return self.left, self.right

    @property
    def n_vertices(self) -> int:
        """Number of vertices of both hemispheres together."""
        return self.left.n_vertices + self.right.n_vertices

    @property
    def spheres(self) -> tuple[FloatArray, FloatArray]:
        """Left and right sphere."""
        return self.left.sphere, self.right.sphere

    @cached_property
    def faces(self) -> IntArray:
        """Triangles of both hemispheres, 0-based in stacked numbering."""
        return np.vstack([self.left.faces, self.right.faces + np.int32(self.left.n_vertices)])

    @cached_property
    def areas(self) -> FloatArray:
        """Vertex areas in mm2, (n_vertices,)."""
        return np.concatenate([self.left.areas, self.right.areas])

    @cached_property
    def adjacency(self) -> sparse.csr_matrix:
        """Neighbors on the mesh, (n_vertices, n_vertices) boolean CSR without diagonal."""
        return adjacency_matrix(self.faces, self.n_vertices)

    def split(self, values: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
        """Split stacked values (..., n_vertices) into left and right.

        Raises
        ------
        BadDataError
            If the last axis has another length than the mesh.
        """
        check_shape(f"values for {self.space}", values, *values.shape[:-1], self.n_vertices)
        n_left = self.left.n_vertices
        return values[..., :n_left], values[..., n_left:]


def load_mesh(space: str = "fsaverage5") -> SurfaceMesh:
    """Load a template mesh.

    Parameters
    ----------
    space : {"fsaverage3", "fsaverage4", "fsaverage5", "fsaverage6", "fsaverage", "fsLR"}
        The first three come with nilearn; the others are read from TemplateFlow's or neuromaps'
        folder, where `musenc prefetch` puts them. Nothing is downloaded here.

    Returns
    -------
    SurfaceMesh
        Both hemispheres.

    Raises
    ------
    UsageError
        If the space is unknown.
    MissingInputError
        If the folder lacks a file.

    Examples
    --------
    >>> mesh = load_mesh("fsaverage3")
    >>> mesh.n_vertices, mesh.left.n_vertices, mesh.faces.shape
    (1284, 642, (2560, 3))
    >>> left, right = mesh.split(mesh.areas)
    >>> bool(500 < left.sum() / 100 < 1000)  # cm2 of a hemisphere
    True
    """
    if space not in MESHES:
        raise UsageError(
            "Unknown surface space.",
            where="space",
            found=space,
            wanted=", ".join(MESHES),
            remedy="give one of these with --space",
        )
    load = {
        "nilearn": _load_nilearn,
        "templateflow": _load_templateflow,
        "neuromaps": _load_neuromaps,
    }[MESHES[space].source]
    left, right = (load(space, hemi) for hemi in STRUCTURES)
    return SurfaceMesh(space=space, left=left, right=right)


def nearest_vertices(mesh: SurfaceMesh, space: str) -> npt.NDArray[np.intp]:
    """The vertex of a mesh that is nearest to each vertex of fsaverage5 or coarser.

    Parameters
    ----------
    mesh : SurfaceMesh
    space : {"fsaverage3", "fsaverage4", "fsaverage5"}

    Returns
    -------
    (n,) int array
        Stacked numbering, left then right, by the registered spheres. Of a mesh of fsaverage (or of
        no template) the first of each hemisphere, and all where it has no more.

    Examples
    --------
    >>> nearest_vertices(load_mesh("fsaverage4"), "fsaverage3").tolist() == [
    ...     *range(642), *range(2562, 2562 + 642)
    ... ]
    True
    """
    row, half = MESHES.get(mesh.space), mesh.n_vertices // 2
    if row is None or row.nested:
        first = np.arange(min(N_VERTICES[space], half))
        return np.concatenate([first, half + first])
    pairs = zip(mesh.hemispheres, load_mesh(space).spheres, strict=True)
    left, right = (cKDTree(hemi.registered).query(sphere)[1] for hemi, sphere in pairs)
    return np.concatenate([left, half + right])


def normalize_sphere(points: npt.ArrayLike, radius: float = SPHERE_RADIUS) -> FloatArray:
    """Move points radially onto a sphere about the origin.

    Parameters
    ----------
    points : (n_vertices, 3) array
        Coordinates; the shipped fsaverage5 spheres have radii of 99.993 to 100.008.
    radius : float
        Radius in mm.

    Returns
    -------
    (n_vertices, 3) float64
        The points at exactly that radius.

    Raises
    ------
    BadDataError
        If the shape is wrong or a point is not finite or lies at the origin.

    Examples
    --------
    >>> normalize_sphere([[0.0, 0.0, 99.9], [30.0, 40.0, 0.0]]).round(1).tolist()
    [[0.0, 0.0, 100.0], [60.0, 80.0, 0.0]]
    """
    points = np.asarray(points, dtype=np.float64)
    check_shape("points", points, "n_vertices", 3)
    norms = np.linalg.norm(points, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise BadDataError(
            "A point of the sphere is not finite or at the origin.",
            where="points",
            found=f"{np.count_nonzero(~(norms > 0) | ~np.isfinite(norms))} of {len(points)} points",
            wanted="points on a sphere around the origin",
            remedy="give the file of the sphere, no other surface",
        )
    return points / norms * radius


def vertex_areas(vertices: FloatArray, faces: IntArray) -> FloatArray:
    """Area of each vertex: a third of the area of the triangles around it.

    Parameters
    ----------
    vertices : (n_vertices, 3) array
        Coordinates, mm.
    faces : (n_faces, 3) int array
        Triangles, 0-based.

    Returns
    -------
    (n_vertices,) float64
        Areas in mm2; they sum to the area of the surface.

    Examples
    --------
    >>> square = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    >>> areas = vertex_areas(square, np.array([[0, 1, 2], [0, 2, 3]]))
    >>> areas.round(2).tolist(), round(float(areas.sum()), 2)
    ([1.33, 0.67, 1.33, 0.67], 4.0)
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    triangles = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    shares = np.repeat(triangles / 3, 3)
    areas = np.bincount(faces.ravel(), weights=shares, minlength=len(vertices))
    return np.asarray(areas, dtype=np.float64)


def adjacency_matrix(faces: IntArray, n_vertices: int) -> sparse.csr_matrix:
    """Neighbors on a triangle mesh.

    Parameters
    ----------
    faces : (n_faces, 3) int array
        Triangles, 0-based.
    n_vertices : int
        Number of vertices.

    Returns
    -------
    (n_vertices, n_vertices) boolean CSR matrix
        Symmetric, without diagonal.

    Examples
    --------
    >>> neighbors = adjacency_matrix(np.array([[0, 1, 2], [0, 2, 3]]), 4)
    >>> neighbors.toarray().astype(int).tolist()
    [[0, 1, 1, 1], [1, 0, 1, 0], [1, 1, 0, 1], [1, 0, 1, 0]]
    """
    edges = np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    rows = np.concatenate([edges[:, 0], edges[:, 1]])
    columns = np.concatenate([edges[:, 1], edges[:, 0]])
    ones = np.ones(len(rows), dtype=bool)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(n_vertices, n_vertices))


def _load_nilearn(space: str, hemi: str) -> Hemisphere:
    from nilearn.datasets import fetch_surf_fsaverage

    files = fetch_surf_fsaverage("fsaverage5")
    side = "left" if hemi == "L" else "right"
    keys = {"sphere": "sphere", "white": "white", "pial": "pial", "inflated": "infl"}
    surfaces = {name: read_surface(Path(files[f"{k}_{side}"])) for name, k in keys.items()}
    whole = _hemisphere(STRUCTURES[hemi], surfaces, Path(files[f"sulc_{side}"]))
    return whole if space == "fsaverage5" else _coarsen(whole, N_VERTICES[space])


def _load_templateflow(space: str, hemi: str) -> Hemisphere:
    surfaces = {
        name: read_surface(_templateflow_file(space, hemi, name, ".surf.gii"))
        for name in ("sphere", "white", "pial")
    }
    surfaces["inflated"] = surfaces["pial"]
    sulc = _templateflow_file(space, hemi, "sulc", ".shape.gii")
    return _hemisphere(STRUCTURES[hemi], surfaces, sulc)


def _load_neuromaps(space: str, hemi: str) -> Hemisphere:
    files = {name: atlas_file(space, name, hemi) for name in _NEUROMAPS}
    absent = [path for path in files.values() if not path.is_file()]
    if absent:
        raise MissingInputError(
            "The surfaces of a mesh are not installed.",
            where=absent[0].parent,
            found="without " + ", ".join(path.name for path in absent),
            wanted="the files as neuromaps.datasets.fetch_atlas downloads them",
            remedy=f"run `musenc prefetch {MESHES[space].prefetch}` where there is a network, or "
            f"use --space fsaverage5 instead of {space}",
        )
    surfaces = {name: read_surface(path) for name, path in files.items() if name != "sulc"}
    points, faces = surfaces["midthickness"]
    surfaces["white"] = surfaces["pial"] = from_mni152(points), faces
    found = _hemisphere(STRUCTURES[hemi], surfaces, files["sulc"])
    if found.n_vertices != N_VERTICES[space]:
        raise BadDataError(
            "The surfaces of a template are of another mesh.",
            where=files["sphere"],
            found=f"{found.n_vertices} vertices",
            wanted=f"{N_VERTICES[space]} ({space})",
            remedy=f"delete the file and run `musenc prefetch {MESHES[space].prefetch}`",
        )
    registered = normalize_sphere(surfaces["registered"][0])
    # Which sign is deep differs between programs; FreeSurfer's is that of the other meshes.
    other = _load_nilearn("fsaverage5", hemi)
    like = other.sulc[cKDTree(other.sphere).query(registered)[1]]
    sign = -1.0 if np.corrcoef(like, found.sulc)[0, 1] < 0 else 1.0
    return replace(found, sulc=sign * found.sulc, on_fsaverage=registered)


def _templateflow_file(space: str, hemi: str, suffix: str, extension: str) -> Path:
    # TemplateFlow touches its folder at import.
    from templateflow import api

    density = DENSITIES[space]
    found = api.ls(
        "fsaverage", hemi=hemi, density=density, suffix=suffix, desc=None, extension=extension
    )
    # The skeleton that TemplateFlow unpacks has empty files in place of what was not downloaded.
    present = [Path(path) for path in found if Path(path).is_file() and Path(path).stat().st_size]
    if len(present) != 1:
        raise MissingInputError(
            "A surface is not in TemplateFlow's folder.",
            where=f"tpl-fsaverage_hemi-{hemi}_den-{density}_{suffix}{extension}",
            found=f"{len(present)} files with content",
            wanted="one",
            remedy=f"Run `musenc prefetch` where there is a network, or use --space fsaverage5 "
            f"instead of {space}.",
        )
    return present[0]


def _hemisphere(
    structure: str, surfaces: dict[str, tuple[FloatArray, npt.NDArray[np.int64]]], sulc: Path
) -> Hemisphere:
    sphere, faces = surfaces["sphere"]
    for name, (points, _) in surfaces.items():
        check_shape(f"{name} surface of {structure}", points, *sphere.shape)
    sphere = normalize_sphere(sphere)
    return Hemisphere(
        structure=structure,
        sphere=sphere,
        white=surfaces["white"][0],
        pial=surfaces["pial"][0],
        inflated=surfaces["inflated"][0],
        faces=face_outward(sphere, faces),
        sulc=read_gifti(sulc)[0].astype(np.float64),
    )


def _coarsen(hemi: Hemisphere, n_vertices: int) -> Hemisphere:
    sphere = hemi.sphere[:n_vertices]
    # On a sphere the convex hull is the Delaunay triangulation.
    faces = ConvexHull(sphere).simplices.astype(np.int32)
    return Hemisphere(
        structure=hemi.structure,
        sphere=sphere,
        white=hemi.white[:n_vertices],
        pial=hemi.pial[:n_vertices],
        inflated=hemi.inflated[:n_vertices],
        faces=face_outward(sphere, faces),
        sulc=hemi.sulc[:n_vertices],
    )


def face_outward(sphere: FloatArray, faces: npt.NDArray[np.integer]) -> IntArray:
    """Triangles of a sphere, with vertices in the order whose normals point outward.

    Examples
    --------
    >>> points = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    >>> face_outward(points, np.array([[0, 2, 1]])).tolist()  # two vertices swapped
    [[1, 2, 0]]
    """
    a, b, c = (sphere[faces[:, k]] for k in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) < 0
    turned = faces.astype(np.int32)
    turned[inward] = turned[inward][:, ::-1]
    return turned
