"""From analysis frames to the patches of VGGish, so that all feature spaces share one clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_app.errors import BadDataError
from bids_app.features.logmel import PATCH_SECONDS


@dataclass(frozen=True)
class Unit:
    """What a column is: short name, LongName and Units as in a BIDS sidecar."""

    name: str
    long_name: str
    units: str


@dataclass(frozen=True)
class FeatureSeries:
    """One layer of a feature space for one stimulus.

    Attributes
    ----------
    name : str
        Of the layer.
    values : array of shape (n_patches, n_units)
        float64 at the patch rate.
    units : tuple of Unit
        One per column.
    """

    name: str
    values: np.ndarray
    units: tuple[Unit, ...]


def patch_means(
    frame_times: np.ndarray,
    values: np.ndarray,
    patch_times: np.ndarray,
    width: float = PATCH_SECONDS,
) -> np.ndarray:
    """Mean of the frames whose center lies in each patch.

    Parameters
    ----------
    frame_times : array of shape (n_frames,)
        Increasing, in seconds.
    values : array of shape (n_frames, ...)
    patch_times : array of shape (n_patches,)
        Centers of the patches in seconds.
    width : float
        Seconds of sound in a patch; a longer context is cut at the ends of the audio.

    Returns
    -------
    means : array of shape (n_patches, ...)
        float64.

    Raises
    ------
    BadDataError
        A patch without frames.
    """
    start = np.searchsorted(frame_times, patch_times - width / 2, side="left")
    stop = np.searchsorted(frame_times, patch_times + width / 2, side="right")
    counts = stop - start
    if np.any(counts < 1):
        empty = patch_times[np.flatnonzero(counts < 1)[0]]
        raise BadDataError(
            "A patch has no frame in it.",
            where="frame_times",
            found=f"frames from {frame_times[0]:g} to {frame_times[-1]:g} s, none near {empty:g} s",
        )
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, 0, np.float64)])
    shape = (-1,) + (1,) * (values.ndim - 1)
    return (total[stop] - total[start]) / counts.reshape(shape)
