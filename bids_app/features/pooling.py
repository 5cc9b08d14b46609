"""Layers of explicit features, and averages of their analysis frames over steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bids_app.errors import BadDataError
from bids_app.features.timing import between


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
    values : array of shape (n_times, n_units)
        float64 at the times of its sound.
    units : tuple of Unit
        One per column.
    told : mapping
        Fields for sidecars on how the values were computed.
    """

    name: str
    values: np.ndarray
    units: tuple[Unit, ...]
    told: Mapping[str, Any] = field(default_factory=dict)


def window_means(
    frame_times: np.ndarray, values: np.ndarray, times: np.ndarray, width: float
) -> np.ndarray:
    """Means of analysis frames over windows, which end with the frames.

    Parameters
    ----------
    frame_times : array of shape (n_frames,)
        Increasing, in seconds; the series is linear between them.
    values : array of shape (n_frames, ...)
    times : array of shape (n_times,)
        Middles of the windows in seconds.
    width : float
        Seconds of a window.

    Returns
    -------
    means : array of shape (n_times, ...)
        float64.

    Raises
    ------
    BadDataError
        A window beyond the frames.

    Examples
    --------
    >>> frame_times = np.arange(10) * 0.1
    >>> means = window_means(frame_times, np.arange(10.0), np.array([0.2, 0.5]), width=0.2)
    >>> means.round(3).tolist()
    [2.0, 5.0]
    """
    first, last = frame_times[0], frame_times[-1]
    begin, end = times - width / 2, times + width / 2
    # A frame stands for the sound around it.
    around = (frame_times[1] - first) if len(frame_times) > 1 else width
    beyond = (begin > last + around) | (end < first - around)
    if np.any(beyond):
        raise BadDataError(
            "A window has no frame in it.",
            where="frame_times",
            found=f"frames from {first:g} to {last:g} s, none near {times[beyond][0]:g} s",
            wanted="frames from the start to the end of the sound",
            remedy="compute the frames for the whole sound",
        )
    # Those that lie before the first or after the last frame take its value.
    begin = np.minimum(np.maximum(begin, first), last - 1e-9)
    matrix = between(frame_times, begin, np.maximum(np.minimum(end, last), begin + 1e-9))
    flat = values.reshape(len(values), -1)
    return np.asarray(matrix @ flat, dtype=np.float64).reshape(len(times), *values.shape[1:])
