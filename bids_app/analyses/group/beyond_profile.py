"""Profiles over layers of accuracy and unique accuracy, per region of the cortex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.group.collect import GroupData
from bids_app.config import Statistics
from bids_app.surface.atlas import read_atlas, read_networks
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import load_mesh

FloatArray = NDArray[np.float64]

AUDITORY_RADIUS = 30.0
"""Millimeters around Heschl's gyrus: superior temporal plane and gyrus."""
NAMED = {"temporal": ("temp",), "default mode": ("default", "dmn")}
"""Regions of the profile, and what their names in an atlas contain."""
PROFILE_COLUMNS = {
    "region": "auditory cortex: within 30 mm of Heschl's gyrus; other cortex: the "
    "rest; temporal, default mode: regions whose names say so",
    "atlas": "atlas or networks whose regions they are; n/a for none",
    "n_vertices": "its vertices",
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "r": "mean accuracy of the layer alone",
    "unique": "mean unique accuracy",
    "unique_se": "its standard error over participants",
}


def profile_rows(
    data: GroupData, unique: FloatArray, statistics: Statistics
) -> list[dict[str, Any]]:
    """Profiles of plain and unique accuracy over layers, means and their standard errors."""
    n_people = len(unique)
    rows = []
    for region, (inside, atlas) in _regions(data, statistics).items():
        inside = (
            inside & np.isfinite(unique).all(axis=(0, 1)) & np.isfinite(data.r).all(axis=(0, 1))
        )
        if not inside.any():
            continue
        own, plain = unique[:, :, inside].mean(axis=2), data.r[:, :, inside].mean(axis=2)
        rows += [
            {
                "region": region,
                "atlas": atlas or "n/a",
                "n_vertices": int(inside.sum()),
                "layer": k + 1,
                "name": name,
                "r": float(plain[:, k].mean()),
                "unique": float(own[:, k].mean()),
                "unique_se": float(own[:, k].std(ddof=1) / np.sqrt(n_people)),
            }
            for k, name in enumerate(data.layer_names)
        ]
    return rows


def _regions(
    data: GroupData, statistics: Statistics
) -> Mapping[str, tuple[NDArray[np.bool_], str]]:
    """Auditory cortex and the rest; those of the first atlas, or networks, that names them.

    Every region with the label of its atlas, empty for none.
    """
    mesh, n_vertices = load_mesh(data.space), data.r.shape[2]
    auditory = np.isin(np.arange(n_vertices), auditory_vertices(mesh, AUDITORY_RADIUS))
    found = {"auditory cortex": (auditory, ""), "other cortex": (~auditory, "")}
    atlases = [
        *(read_atlas(option, n_vertices) for option in statistics.atlases),
        *(read_networks(option, n_vertices) for option in statistics.networks),
    ]
    for region, words in NAMED.items():
        for atlas in atlases:
            keys = [k for k, name in atlas.names.items() if any(w in name.lower() for w in words)]
            if keys:
                found[region] = np.isin(atlas.regions, keys), atlas.label
                break
    return found
