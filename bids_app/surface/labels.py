"""Vertices of a region that a label file names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError
from bids_app.inputs.seeds import SeedRegion, loaded
from bids_app.loading import load_gifti
from bids_app.surface.mesh import SurfaceMesh


def read_label(seed: SeedRegion, n_vertices: int) -> np.ndarray:
    """Vertices of a surface label.

    Parameters
    ----------
    seed : SeedRegion
        Of kind ``label``.
    n_vertices : int
        Vertices of its hemisphere.

    Returns
    -------
    ndarray of int
        Within the hemisphere, sorted.

    Raises
    ------
    MissingInputError
        If the file is not there.
    BadDataError
        If it is on another mesh, has no such label (those there are listed), or is empty.
    """
    path = seed.path or Path()
    if path.name.endswith(".label"):
        vertices = loaded(path, _label_vertices)
        if vertices.size and not 0 <= vertices.min() <= vertices.max() < n_vertices:
            _wrong_mesh(path, f"vertices {vertices.min()} to {vertices.max()}", n_vertices)
        return _not_empty(np.unique(vertices), seed)
    image = loaded(path, load_gifti)
    data = np.asarray(image.darrays[0].data if image.darrays else [])
    if data.shape != (n_vertices,):
        _wrong_mesh(path, f"shape {data.shape}", n_vertices)
    if seed.label is None:
        return _not_empty(np.flatnonzero(np.nan_to_num(data) > 0), seed)
    names = image.labeltable.get_labels_as_dict()
    keys = [key for key, name in names.items() if name == seed.label]
    if not keys:
        raise BadDataError(
            "A label file has no such label.",
            where=seed.text,
            found=", ".join(sorted(str(name) for name in names.values())[:40]) or "no names",
            wanted=seed.label,
            remedy="give one of the names that the file has",
        )
    return _not_empty(np.flatnonzero(np.isin(data, keys)), seed)


def _label_vertices(path: Path) -> np.ndarray:
    """Vertices of a FreeSurfer label, as many as its second line says."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [[float(cell) for cell in line.split()] for line in lines[2:] if line.strip()]
    if len(rows) != int(lines[1]) or any(len(row) < 4 or row[0] != int(row[0]) for row in rows):
        raise ValueError(f"{len(rows)} lines of vertices where {lines[1].strip()} are announced")
    return np.array([int(row[0]) for row in rows], dtype=np.int64)


def _wrong_mesh(path: Path, found: str, n_vertices: int) -> None:
    raise BadDataError(
        "A seed region is on another mesh.",
        where=path,
        found=found,
        wanted=f"{n_vertices} vertices per hemisphere",
        remedy="resample the label to the space of the analysis",
    )


def _not_empty(vertices: np.ndarray, seed: SeedRegion) -> np.ndarray:
    if vertices.size == 0:
        raise BadDataError(
            "A seed region is empty.",
            where=seed.text,
            found="no vertex",
            wanted="a vertex of the cortex or more",
            remedy="see whether the label has vertices, or give a larger radius",
        )
    return vertices


def seed_vertices(seed: SeedRegion, mesh: SurfaceMesh) -> NDArray[np.intp]:
    """Vertices of a surface seed in stacked numbering (left hemisphere first).

    A coordinate means the vertices of its hemisphere (the sign of x) whose mid-thickness point lies
    within the radius, or the nearest vertex where none does.
    """
    if seed.kind == "label":
        side = mesh.left if seed.hemi == "L" else mesh.right
        found = read_label(seed, side.n_vertices)
        return np.asarray(found + (0 if seed.hemi == "L" else mesh.left.n_vertices), dtype=np.intp)
    x, *_ = center = seed.center or (0.0, 0.0, 0.0)
    side = mesh.left if x < 0 else mesh.right
    distance = np.linalg.norm((side.white + side.pial) / 2 - np.asarray(center), axis=1)
    if distance.min() > 20.0:
        raise BadDataError(
            "A seed coordinate is far from the cortex.",
            where=seed.text,
            found=f"{distance.min():.1f} mm from the nearest vertex",
            wanted="a point of the cortex, in mm of the template",
            remedy="correct the coordinate: x,y,z in mm, left is negative x",
        )
    found = np.flatnonzero(distance <= seed.radius)
    found = found if found.size else np.array([distance.argmin()])
    return np.asarray(found + (0 if x < 0 else mesh.left.n_vertices), dtype=np.intp)
