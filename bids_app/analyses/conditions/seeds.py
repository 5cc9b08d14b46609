"""Regions whose series the analyses of conditions take: vertices, and one series per run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.responses import RunData, regress_out
from bids_app.emotion import first_eigenvariate
from bids_app.errors import BadDataError
from bids_app.inputs.seeds import SeedRegion, find_volume, read_volume_seed
from bids_app.surface.labels import seed_vertices


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
                wanted="one length",
                remedy="run fMRIPrep again for this run",
            )
    else:
        series = data.bold[:, seed_vertices(seed, data.mesh)]
    return first_eigenvariate(regress_out(data, series).values[run.n_dummy :])
