"""Was the music where the table says? Auditory cortex against loudness, over lags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.bands import HighPass
from bids_app.features.audio import load_audio
from bids_app.features.loudness import Loudness, loudness
from bids_app.features.timing import filtered
from bids_app.surface.lag import FoundLag, find_lag, lag_warning
from bids_app.surface.lag_scan import LagRun

STEP = 0.5
"""Seconds between lags, and between values of the loudness."""
LAGS = np.arange(-15.0, 25.5, STEP)
HEMODYNAMIC_DELAY = 5.0
"""Seconds by which the response is expected to follow what is heard."""
_SAMPLE_RATE = 8000


@dataclass(frozen=True)
class LagCheck:
    """Correlation of auditory cortex with the loudness of one presentation.

    Attributes
    ----------
    stimulus : str
    found : FoundLag
    """

    stimulus: str
    found: FoundLag

    @property
    def warning(self) -> str | None:
        """Warning for the user; None where the lag is plausible or the curve has no clear peak."""
        text = lag_warning(self.found)
        return None if text is None else f"{self.stimulus}: {text} (highest r {self.found.r:.2f})"

    def rows(self, run: str) -> list[dict[str, Any]]:
        """The curve as rows of a table."""
        return [
            {"run": run, "stimulus": self.stimulus, "lag_s": float(lag), "r": float(r)}
            for lag, r in zip(self.found.lags, self.found.curve, strict=True)
        ]


def read_loudness(stimuli: Sequence[tuple[str, Path]]) -> dict[str, Loudness]:
    """Loudness of audio files, by label."""
    return {
        label: loudness(load_audio(path, _SAMPLE_RATE), _SAMPLE_RATE) for label, path in stimuli
    }


def check_lag(
    stimulus: str,
    responses: NDArray[np.floating],
    times: NDArray[np.float64],
    sound: Loudness,
    *,
    tr: float,
    high_pass: HighPass,
    random_seed: int,
) -> LagCheck:
    """Compare responses in auditory cortex with the loudness of what was played.

    Parameters
    ----------
    stimulus : str
        Label.
    responses : array of shape (n_times, n_vertices)
        Cleaned responses in auditory cortex.
    times : array of shape (n_times,)
        Second of the audio file of each volume; outside the file nothing is heard.
    sound : Loudness
    tr : float
    high_pass : float or Band
        Seconds; the sound is filtered like the responses (0: not at all).
    random_seed : int
        Of the phases behind the p.
    """
    heard = (float(times[0]), float(times[-1]))
    run = loudness_run(responses, times, sound, heard, tr=tr, high_pass=high_pass)
    return LagCheck(stimulus, find_lag([[run]], LAGS, seed=random_seed))


def loudness_run(
    responses: NDArray[np.floating],
    times: NDArray[np.float64],
    sound: Loudness,
    heard: tuple[float, float],
    *,
    tr: float,
    high_pass: HighPass,
) -> LagRun:
    """Responses and the loudness of what was played, filtered like them.

    Parameters
    ----------
    responses : array of shape (n_times, n_vertices)
    times : array of shape (n_times,)
        Second of the audio file of each volume.
    sound : Loudness
    heard : (float, float)
        Seconds of the file between which it was played. Before and after, loudness is at its mean.
    tr : float
        Seconds that a value is the mean of, so that what is faster does not alias into volumes.
    high_pass : float or Band
    """
    first, last = max(0.0, heard[0]), min(sound.seconds, heard[1])
    steps = np.arange(first, last, STEP)
    values = sound.at(steps, tr)
    values -= values.mean()
    if high_pass:
        values = filtered(values, STEP, high_pass)
    return LagRun(responses, times, values, steps, silence=0.0)
