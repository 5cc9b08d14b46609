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
from bids_app.seeds import generator
from bids_app.surface.lag import CLEAR_PEAK, lag_curve, lag_warning, null_curves, peak_lag, peak_p

LAGS = np.arange(-15.0, 25.5, 0.5)
HEMODYNAMIC_DELAY = 5.0
"""Seconds by which the response is expected to follow what is heard."""
N_DRAWS = 499
"""Of phases behind the p of a peak."""
_SAMPLE_RATE = 8000


@dataclass(frozen=True)
class LagCheck:
    """Correlation of auditory cortex with the loudness of one presentation.

    Attributes
    ----------
    stimulus : str
    lags, curve : arrays of shape (n_lags,)
        Seconds by which the response comes after the sound, and Pearson r.
    p : float
        Of the highest correlation, against random phases of the response.
    """

    stimulus: str
    lags: NDArray[np.float64]
    curve: NDArray[np.float64]
    p: float

    @property
    def lag(self) -> float:
        """Lag of the maximum, NaN where there is none."""
        return peak_lag(self.curve, self.lags)

    @property
    def r(self) -> float:
        """Highest correlation, NaN where there is none."""
        return float(np.nanmax(self.curve)) if np.isfinite(self.curve).any() else float("nan")

    @property
    def warning(self) -> str | None:
        """What to tell the user; None where the lag is plausible or the curve has no clear peak."""
        text = lag_warning(self.lag) if self.p < CLEAR_PEAK else None
        return None if text is None else f"{self.stimulus}: {text} (highest r {self.r:.2f})"

    def rows(self, run: str) -> list[dict[str, Any]]:
        """The curve as rows of a table."""
        return [
            {"run": run, "stimulus": self.stimulus, "lag_s": float(lag), "r": float(r)}
            for lag, r in zip(self.lags, self.curve, strict=True)
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
    heard = heard_at(sound, times, tr=tr, high_pass=high_pass)
    curve = lag_curve(responses, heard, tr, LAGS)
    rng = generator(random_seed, "lag phases")
    null = null_curves(responses, heard, tr, LAGS, n_draws=N_DRAWS, rng=rng)
    return LagCheck(stimulus, LAGS, curve, peak_p(curve, null))


def heard_at(
    sound: Loudness, times: NDArray[np.float64], *, tr: float, high_pass: HighPass
) -> NDArray[np.float64]:
    """Loudness at `times`, filtered like the responses; NaN where nothing is heard."""
    heard = sound.at(times, tr)
    inside = np.isfinite(heard)
    if high_pass and inside.any():
        heard[inside] = filtered(heard[inside] - heard[inside].mean(), tr, high_pass)
    return heard
