"""Z-scored units of single layers, for what cannot be done with inner products."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bids_app.errors import UsageError
from bids_app.features.registry import Sound, find_space
from bids_app.features.sources import stimulus_patches

_PATCHES = 16  # patches that go through the network together: conv1 takes 1.6 MB for each


def scaled_layers(
    label: str,
    path: str | Path,
    layers: Sequence[str],
    *,
    features: str,
    weights: str | None = None,
    hop: float = 0.48,
) -> dict[str, np.ndarray]:
    """Units of some layers of one stimulus as they enter its Gram matrices.

    Parameters
    ----------
    label : str
        Of the stimulus.
    path : str or Path
        Audio file.
    layers : sequence of str
        Names.
    features : str
        Feature space; not a change of another one.
    weights : str, optional
        Of the network.
    hop : float
        Seconds between patches.

    Returns
    -------
    dict of str to array of shape (n_patches, n_units)
        Z-scored over the patches; zero where constant.

    Raises
    ------
    UsageError
        The units of a change are curves of a whole layer and are not kept.
    """
    space = find_space(features)
    if space.base is not None:
        raise UsageError(
            "Weights of changes cannot be saved.", where="--save-weights", found=features
        )
    if space.network is None:
        series = space.values(Sound.read(label, path, hop))
        return {s.name: _scaled(s.values) for s in series if s.name in layers}
    model = space.load(weights)
    patches = stimulus_patches(path, hop)[0]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in layers}
    for start in range(0, len(patches), _PATCHES):
        for name, values in space.network.activations(model, patches[start : start + _PATCHES]):
            if name in parts:
                parts[name].append(values)
    return {name: _scaled(np.concatenate(values)) for name, values in parts.items()}


def _scaled(values: np.ndarray) -> np.ndarray:
    import torch

    from bids_app.features.gram import StimulusScaler

    units = torch.from_numpy(np.ascontiguousarray(values))
    out = torch.empty_like(units)
    StimulusScaler([len(values)])(units, out)
    return out.numpy()
