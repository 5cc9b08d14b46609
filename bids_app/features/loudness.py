"""Loudness of the music over time, for the check of the onset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_app.errors import LONGER, BadDataError, UsageError

_COMPRESSION = 0.3
"""Exponent that turns amplitude into loudness, about (Stevens 1957)."""


@dataclass(frozen=True, eq=False)
class Loudness:
    """Compressed amplitude of one audio file.

    Attributes
    ----------
    values : array of shape (n_frames,)
        Root mean square of each frame to the power of 0.3.
    frame : float
        Seconds per frame; frame n lasts from ``n * frame`` to ``(n + 1) * frame``.
    """

    values: np.ndarray
    frame: float

    @property
    def seconds(self) -> float:
        """How long the file is."""
        return self.values.size * self.frame

    def at(self, times: np.ndarray, width: float) -> np.ndarray:
        """Mean loudness in windows around some times.

        Parameters
        ----------
        times : array of shape (n_times,)
            Seconds in the audio file.
        width : float
            Seconds of each window; the repetition time, so that what is faster than the volumes
            does not alias into them. Windows end with the file.

        Returns
        -------
        array of shape (n_times,)
            NaN before the start and after the end of the file.

        Raises
        ------
        UsageError
            If `width` is not positive.
        """
        if not width > 0:
            raise UsageError(
                "A window has no length.",
                where="width",
                found=width,
                wanted="seconds, above 0",
                remedy="give the length of the window, for example 0.4",
            )
        end = self.seconds
        borders = np.arange(self.values.size + 1) * self.frame
        total = np.concatenate([[0.0], np.cumsum(self.values)]) * self.frame
        centers = np.asarray(times, dtype=np.float64)
        first, last = (np.clip(centers + half, 0, end) for half in (-width / 2, width / 2))
        heard = (centers >= 0) & (centers <= end) & (last > first)
        area = np.interp(last, borders, total) - np.interp(first, borders, total)
        return np.where(heard, area / np.where(heard, last - first, 1.0), np.nan)


def loudness(audio: np.ndarray, sample_rate: int, frame: float = 0.1) -> Loudness:
    """Loudness of a sound in frames.

    Parameters
    ----------
    audio : array of shape (n_samples,)
    sample_rate : int
        In Hz.
    frame : float
        Seconds.

    Returns
    -------
    Loudness
        Samples after the last whole frame do not count.

    Raises
    ------
    BadDataError
        If `audio` is shorter than a frame or has another shape.

    Examples
    --------
    >>> course = loudness(np.repeat([0.0, 1.0], 16000), sample_rate=16000)
    >>> course.seconds
    2.0
    >>> course.at(np.array([0.5, 1.0, 1.5, 3.0]), width=0.5).round(2).tolist()
    [0.0, 0.5, 1.0, nan]
    """
    n_samples = round(frame * sample_rate)
    samples = np.asarray(audio, dtype=np.float64)
    if samples.ndim != 1 or samples.size < n_samples:
        raise BadDataError(
            "Audio is shorter than one frame.",
            where="audio",
            found=f"shape {samples.shape}",
            wanted=f"at least {n_samples} samples in one dimension",
            remedy=LONGER,
        )
    frames = samples[: samples.size // n_samples * n_samples].reshape(-1, n_samples)
    power = np.einsum("ij,ij->i", frames, frames) / n_samples
    return Loudness(power ** (_COMPRESSION / 2), n_samples / sample_rate)
