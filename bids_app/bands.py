"""Filter of responses that were filtered before the analysis, to be applied to features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Band:
    """A Butterworth filter, run forward and backward, as XCP-D filters its denoised series.

    Attributes
    ----------
    low, high : float
        Frequencies in Hz that pass; 0 where there is no such end. Without both, a linear trend is
        removed.
    order : int
        Of both directions together.
    cutoff : float
        Period in seconds of an additional cosine high-pass; 0 for none.
    """

    low: float = 0.0
    high: float = 0.0
    order: int = 2
    cutoff: float = 0.0

    @property
    def record(self) -> dict[str, float]:
        """As settings and sidecars have it."""
        return {
            "low_hz": self.low,
            "high_hz": self.high,
            "order": self.order,
            "high_pass": self.cutoff,
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Band:
        """The band of a record."""
        names = ("low_hz", "high_hz", "order", "high_pass")
        low, high, order, cutoff = (float(record[name]) for name in names)
        return cls(low, high, int(order), cutoff)

    def __str__(self) -> str:
        if not (self.low or self.high):
            return "not filtered"
        ends = [f"{f:g} Hz" for f in (self.low, self.high) if f]
        kind = {(True, True): "{} to {}", (True, False): "above {}", (False, True): "below {}"}
        return f"{kind[bool(self.low), bool(self.high)].format(*ends)}, order {self.order}"

    def ends(self, tr: float) -> list[float]:
        """Frequencies in Hz at which the band ends, at samples every `tr` seconds.

        Raises
        ------
        BadDataError
            If the samples are too far apart for the band.
        """
        nyquist = 0.5 / tr
        high = self.high if self.high < nyquist else 0.0
        if self.low >= nyquist or (self.low and self.high and self.low >= self.high):
            raise BadDataError(
                "Series were filtered to a band that their sampling cannot hold.",
                where="SoftwareFilters",
                found=f"{self} at a repetition time of {tr:g} s",
                wanted=f"frequencies below {nyquist:g} Hz, the lower end first",
                remedy="correct the frequencies or RepetitionTime in the JSON sidecar",
            )
        return [f for f in (self.low, high) if f]

    def apply(self, values: FloatArray, tr: float) -> NDArray[np.float64]:
        """Filter a series, (n_times, ...), sampled every `tr` seconds, along its first axis.

        Raises
        ------
        BadDataError
            If the samples are too far apart for the band.
        """
        from scipy import signal

        series = np.asarray(values, dtype=np.float64)
        if len(series) < 2:
            return series - series
        series = signal.detrend(series, axis=0)
        if ends := self.ends(tr):
            kind = "bandpass" if len(ends) == 2 else ("highpass" if self.low else "lowpass")
            order = max(1, round(self.order / 2))
            sections = signal.butter(
                order, ends if len(ends) == 2 else ends[0], kind, fs=1 / tr, output="sos"
            )
            # Longer than the slowest wave of the band, as far as there are samples.
            padding = len(series) - 1
            series = signal.sosfiltfilt(sections, series, axis=0, padtype="odd", padlen=padding)
        return np.asarray(series)


HighPass = float | Band
"""Period in seconds of a cosine high-pass, 0 for a line; or the band of series denoised before."""


def high_pass_of(setting: Any) -> HighPass:
    """Filter from the value in a settings file.

    Parameters
    ----------
    setting : number or mapping

    Returns
    -------
    float or Band

    Examples
    --------
    >>> high_pass_of(128)
    128.0
    >>> str(high_pass_of({"low_hz": 0.01, "high_hz": 0.1, "order": 2, "high_pass": 0.0}))
    '0.01 Hz to 0.1 Hz, order 2'
    """
    return Band.of(setting) if isinstance(setting, Mapping) else float(setting)


def high_pass_setting(high_pass: HighPass) -> Any:
    """Value of a filter for a settings file.

    Parameters
    ----------
    high_pass : float or Band

    Returns
    -------
    float or dict

    Examples
    --------
    >>> high_pass_setting(128.0)
    128.0
    >>> high_pass_setting(Band(low=0.01, high=0.1))
    {'low_hz': 0.01, 'high_hz': 0.1, 'order': 2, 'high_pass': 0.0}
    """
    return high_pass.record if isinstance(high_pass, Band) else high_pass
