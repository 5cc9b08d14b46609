"""How much, and how suddenly, any feature space changes over time.

Everything is computed from inner products between patches, so it works as well for a layer with
393,216 units, whose Gram matrix is all there is, as for a few explicit descriptors.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from bids_app.errors import BadDataError
from bids_app.features.pooling import Unit

UNITS = (
    Unit("change", "Distance between successive feature vectors", "a.u."),
    Unit("novelty", "Novelty: contrast between the sound before and after (Foote 2000)", "a.u."),
    Unit("boundary", "Boundaries: peaks of novelty, smoothed", "a.u."),
)
_CONTEXT_SECONDS = 8.0
_SMOOTHING_SECONDS = 1.0


def change_curves(gram: np.ndarray, hop: float) -> np.ndarray:
    """Change, novelty and boundary curves of one stimulus.

    *change* at patch t is the Euclidean distance between the vectors of t - 1 and t (the first
    patch repeats the second). *novelty* correlates the cosine self-similarity with a checkerboard
    of 8 s on either side, tapered by a Gaussian (Foote 2000), negative values set to zero.
    *boundary* keeps the peaks of novelty that stand out by its standard deviation, smoothed with
    1 s (standard deviation).

    Parameters
    ----------
    gram : array of shape (n_patches, n_patches)
        Inner products within one stimulus.
    hop : float
        Seconds between patches.

    Returns
    -------
    curves : array of shape (n_patches, 3)
        Columns as in ``UNITS``.

    Raises
    ------
    BadDataError
        Not a square matrix of at least three patches.

    Examples
    --------
    >>> features = np.repeat(np.eye(2), 20, axis=0)  # the vector changes once, at patch 20
    >>> change, novelty, boundary = change_curves(features @ features.T, hop=0.48).T
    >>> np.flatnonzero(change).tolist(), novelty.argmax().item()
    ([20], 20)
    """
    gram = np.asarray(gram, dtype=np.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or len(gram) < 3:
        raise BadDataError(
            "Change over time needs at least three patches.",
            where="gram",
            found=f"shape {gram.shape}",
            wanted="(n_patches, n_patches)",
            remedy="leave out stimuli shorter than two seconds",
        )
    power = np.diag(gram)
    squared = power[1:] + power[:-1] - 2 * np.diag(gram, 1)
    change = np.sqrt(np.maximum(squared, 0))
    novelty = _novelty(gram, max(1, round(_CONTEXT_SECONDS / hop)))
    peaks = np.zeros(len(gram))
    places, _ = find_peaks(novelty, prominence=max(novelty.std(), np.finfo(float).tiny))
    peaks[places] = novelty[places]
    boundary = gaussian_filter1d(peaks, _SMOOTHING_SECONDS / hop, mode="constant")
    return np.column_stack([np.concatenate([change[:1], change]), novelty, boundary])


def _novelty(gram: np.ndarray, half: int) -> np.ndarray:
    norms = np.sqrt(np.diag(gram))
    scale = np.where(norms > 0, norms, np.inf)
    similarity = gram / scale[:, np.newaxis] / scale
    place = np.arange(-half, half) + 0.5
    taper = np.exp(-2 * (place / half) ** 2)
    signs = np.sign(place)
    kernel = np.outer(signs * taper, signs * taper)
    # Mirrored ends: otherwise start and end of the piece would be its strongest boundaries.
    padded = np.pad(similarity, half, mode="symmetric")
    n_patches = len(gram)
    curve = np.empty(n_patches)
    for t in range(n_patches):
        curve[t] = np.sum(kernel * padded[t : t + 2 * half, t : t + 2 * half])
    return np.maximum(curve / np.abs(kernel).sum(), 0)
