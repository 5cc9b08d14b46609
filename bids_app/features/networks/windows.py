"""Helpers for networks of the user's own: overlapping windows over a long sound, an identity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import MissingInputError
from bids_app.files import sha256_of, sha256_of_file


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a sound.

    Attributes
    ----------
    audio : array of shape (n_samples,)
        Always of the same length; zeros follow a sound that is shorter.
    start, seconds : float
        Where it begins, and how long it is.
    keep_from, keep_until : float
        Seconds in the sound that no neighbor hears with more around them: its middle half where
        windows overlap by half, and the ends of the sound.
    """

    audio: NDArray[np.float32]
    start: float
    seconds: float
    keep_from: float
    keep_until: float

    @property
    def center(self) -> float:
        """Seconds in the sound at the middle of the window."""
        return self.start + self.seconds / 2

    def kept(self, n_frames: int) -> Iterator[tuple[int, float]]:
        """Numbers and times, in the sound, of those frames that belong to this window.

        Parameters
        ----------
        n_frames : int
            Frames of equal length that fill the window.
        """
        for k in range(n_frames):
            time = self.start + (k + 0.5) * self.seconds / n_frames
            if self.keep_from <= time < self.keep_until:
                yield k, time


def windows(
    audio: NDArray[np.floating], sample_rate: int, seconds: float, hop: float | None = None
) -> Iterator[Window]:
    """Overlapping windows over a sound; the last one ends with it.

    Parameters
    ----------
    audio : array of shape (n_samples,)
    sample_rate : int
        Hz.
    seconds : float
        Length of a window.
    hop : float, optional
        Seconds between windows, default: half of their length.

    Examples
    --------
    >>> [(w.start, w.keep_from, w.keep_until) for w in windows(np.zeros(50), 10, seconds=2.0)]
    [(0.0, 0.0, 1.5), (1.0, 1.5, 2.5), (2.0, 2.5, 3.5), (3.0, 3.5, 5.0)]
    """
    size = round(seconds * sample_rate)
    step = max(1, round((seconds / 2 if hop is None else hop) * sample_rate))
    n_samples = len(audio)
    last = max(0, n_samples - size)
    starts = [*range(0, last, step), last]
    # Between two windows, the middle of what both hear.
    borders = [(a + b + size) / 2 for a, b in pairwise(starts)]
    edges = [0.0, *borders, float(n_samples)]
    for n, start in enumerate(starts):
        part = np.zeros(size, np.float32)
        heard = audio[start : start + size]
        part[: len(heard)] = heard
        yield Window(
            part,
            start / sample_rate,
            size / sample_rate,
            edges[n] / sample_rate,
            edges[n + 1] / sample_rate,
        )


def folder_identity(folder: str | Path) -> str:
    """Checksum of all files of a folder, such as that of a model: an identity for the contract.

    Raises
    ------
    MissingInputError
        There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingInputError(
            "The folder of a model is not there.",
            where=folder,
            found="no folder",
            wanted="a folder",
            remedy="correct the path, or download the model",
        )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sha256_of(*(f"{path.relative_to(folder)}\n{sha256_of_file(path)}\n" for path in files))
