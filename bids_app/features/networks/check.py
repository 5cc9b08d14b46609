"""What a network costs, and what its layers are: one piece of music through the contract."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_app.features.networks.own import CheckedNetwork


@dataclass(frozen=True)
class LayerReport:
    """One layer.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Of a frame.
    n_constant : int
        Units that never change: they predict nothing.
    """

    name: str
    shape: tuple[int, ...]
    n_constant: int

    @property
    def n_units(self) -> int:
        """Numbers in a frame."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class NetworkReport:
    """A network over one sound.

    Attributes
    ----------
    layers : tuple of LayerReport
        In order of depth.
    first, last, duration : float
        Seconds of the first and the last frame, and of the sound.
    n_frames : int
    seconds : float
        Processor seconds.
    peak : int
        Bytes by which the memory of the process grew, at most.
    """

    layers: tuple[LayerReport, ...]
    first: float
    last: float
    duration: float
    n_frames: int
    seconds: float
    peak: int

    @property
    def rate(self) -> float:
        """Frames per second; NaN for a single one."""
        return (self.n_frames - 1) / (self.last - self.first) if self.n_frames > 1 else np.nan


def check_network(network: CheckedNetwork, audio: NDArray[np.floating]) -> NetworkReport:
    """Let a network hear a sound and hold all it says to the contract.

    Parameters
    ----------
    network : CheckedNetwork
    audio : array of shape (n_samples,)
        At the rate of the network, full scale is 1.

    Raises
    ------
    BadDataError
        As :meth:`CheckedNetwork.__call__`.
    """
    before, started = _peak_memory(), time.process_time()
    n_frames, first, last = 0, np.nan, np.nan
    lowest: dict[str, NDArray[np.float32]] = {}
    highest: dict[str, NDArray[np.float32]] = {}
    for last, layers in network(audio.astype(np.float32)):
        if n_frames == 0:
            first = last
            lowest = {name: values.copy() for name, values in layers.items()}
            highest = {name: values.copy() for name, values in layers.items()}
        for name, values in layers.items():
            np.minimum(lowest[name], values, out=lowest[name])
            np.maximum(highest[name], values, out=highest[name])
        n_frames += 1
    rows = tuple(
        LayerReport(name, low.shape, int(np.count_nonzero(low == highest[name])))
        for name, low in lowest.items()
    )
    return NetworkReport(
        layers=rows,
        first=first,
        last=last,
        duration=len(audio) / network.sample_rate,
        n_frames=n_frames,
        seconds=time.process_time() - started,
        peak=_peak_memory() - before,
    )


def _peak_memory() -> int:
    """Most bytes that the process has held so far."""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else held * 1024
