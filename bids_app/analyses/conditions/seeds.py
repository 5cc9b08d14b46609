"""Regions whose series the analyses of conditions take: vertices, and one series per run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.responses import RunData, regress_out
from bids_app.emotion import first_eigenvariate
from bids_app.errors import BadDataError
from bids_app.inputs.seeds import SeedRegion, find_volume, read_volume_seed
from bids_app.surface.labels import read_label
from bids_app.surface.mesh import SurfaceMesh


def seed_series(seed: SeedRegion, data: RunData) -> NDArray[np.float64]:
    """First eigenvariate of a region in one run, without its dummy scans.

    Vertices outside the cortex mask take no part.

    Raises
    ------
    BadDataError, MissingInputError
        If the region is empty or on another mesh, or its volume is missing.
    """
    run = data.run
    if seed.kind == "volume":
        series = read_volume_seed(find_volume(run), seed.path or Path())
        if len(series) != run.n_volumes:
            raise BadDataError(
                "The volume and the surface series of a run differ in length.",
                where=run.label,
                found=f"{len(series)} and {run.n_volumes} volumes",
            )
    else:
        series = data.bold[:, seed_vertices(seed, data.mesh)]
    return first_eigenvariate(regress_out(data, series).values[run.n_dummy :])


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
        )
    found = np.flatnonzero(distance <= seed.radius)
    found = found if found.size else np.array([distance.argmin()])
    return np.asarray(found + (0 if x < 0 else mesh.left.n_vertices), dtype=np.intp)
