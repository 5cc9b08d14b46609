"""Resting runs whose connectivity runs along a cortical gradient."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.files import write_json
from bids_app.outputs import HEMISPHERES
from bids_app.surface.gifti import write_gifti
from bids_app.surface.mesh import SurfaceMesh

N_WAVES = 8


def front_to_back(mesh: SurfaceMesh) -> NDArray[np.float64]:
    """Planted gradient, (n_vertices,): -1 at the back of the sphere, 1 at its front."""
    return np.concatenate([np.asarray(sphere)[:, 1] for sphere in mesh.spheres]) / 100


def resting_series(
    n_times: int, place: NDArray[np.float64], rng: np.random.Generator, noise: float = 1.0
) -> NDArray[np.float32]:
    """Series of vertices that are the more alike, the nearer they are along a gradient.

    Parameters
    ----------
    n_times : int
    place : (n_vertices,) array
        From -1 to 1.
    rng : Generator
    noise : float
        Standard deviation of what every vertex has alone.

    Returns
    -------
    (n_times, n_vertices) float32
        Around 100.

    Examples
    --------
    >>> place = np.linspace(-1, 1, 50)
    >>> series = resting_series(400, place, np.random.default_rng(0))
    >>> r = np.corrcoef(series.T)[10]
    >>> bool(r[11:14].mean() > 0.3 > r[35:].mean())
    True
    """
    waves = np.cos(np.pi * np.outer(np.arange(1, N_WAVES + 1), (place + 1) / 2))
    series = rng.standard_normal((n_times, N_WAVES)) @ waves
    series += noise * rng.standard_normal((n_times, len(place)))
    return (100 + series).astype(np.float32)


def write_resting_run(
    fmriprep: Path,
    entities: Mapping[str, str],
    series: NDArray[np.float32],
    *,
    tr: float = 2.0,
    space: str = "fsaverage5",
) -> list[Path]:
    """Write a run as fMRIPrep leaves it, without confounds; both files.

    Parameters
    ----------
    fmriprep : Path
    entities : mapping
        Of the run: ``sub``, ``task`` and further ones, in their order.
    series : (n_times, n_vertices) array
        Left hemisphere first.
    tr : float
        Seconds.
    space : str
        Mesh.
    """
    stem = "_".join(f"{key}-{label}" for key, label in entities.items())
    folder = fmriprep / f"sub-{entities['sub']}" / "func"
    names = [str(volume) for volume in range(len(series))]
    files = []
    for hemi, half in zip(HEMISPHERES, np.split(series, 2, axis=1), strict=True):
        path = folder / f"{stem}_hemi-{hemi}_space-{space}_bold.func.gii"
        files.append(write_gifti(path, half, hemi=hemi, names=names, tr=tr))
        told = {"RepetitionTime": tr, "SliceTimingCorrected": True, "StartTime": tr / 2}
        write_json(path.with_name(path.name.replace(".func.gii", ".json")), told)
    return files
