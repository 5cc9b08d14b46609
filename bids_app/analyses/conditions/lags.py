"""Lagged correlation of two regions during conditions, of one participant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.lags import HEMODYNAMIC_DELAY
from bids_app.emotion import lagged_correlation
from bids_app.errors import BadDataError
from bids_app.inputs.conditions import Conditions
from bids_app.inputs.records import BoldRun, common_tr


@dataclass(frozen=True, eq=False)
class RegionRun:
    """Two regions in one run: its trials, and their series of shape (n_times,) without dummies."""

    run: BoldRun
    conditions: Conditions
    seed: NDArray[np.float64]
    target: NDArray[np.float64]

    def trials(self, condition: str) -> list[tuple[int, int]]:
        """First volume and the one after the last of every trial; those of its responses."""
        first = self.run.start_time + self.run.tr * self.run.n_dummy - HEMODYNAMIC_DELAY
        found = []
        for onset, duration in zip(*self.conditions.trials(condition), strict=True):
            start = max(0, int(np.ceil((onset - first) / self.run.tr - 1e-6)))
            stop = int(np.ceil((onset + duration - first) / self.run.tr - 1e-6))
            found.append((start, min(len(self.seed), stop)))
        return [(start, stop) for start, stop in found if stop > start]


@dataclass(frozen=True, eq=False)
class LagSummary:
    """Lagged correlation of two regions per condition, for one participant.

    Attributes
    ----------
    lags : array of shape (n_lags,)
        Seconds.
    names : list of n_profiles str
        Conditions, then the contrast.
    r : array of shape (n_profiles, n_lags)
        Correlation; for the contrast the weighted sum.
    negative, positive : array of shape (n_profiles,)
        Means over the lags -max_lag..-1 s and 1..max_lag s.
    convention : str
        What a positive lag means: ``positive lag means: target leads seed``.
    details : dict
        Settings, for the sidecar.
    """

    lags: NDArray[np.float64]
    names: list[str]
    r: NDArray[np.float64]
    negative: NDArray[np.float64]
    positive: NDArray[np.float64]
    convention: str
    details: dict[str, Any]

    def rows(self) -> list[dict[str, Any]]:
        """One row per profile and lag, with the convention in every row."""
        return [
            {"condition": name, "lag_s": lag, "r": r, "convention": self.convention}
            for name, profile in zip(self.names, self.r, strict=True)
            for lag, r in zip(self.lags, profile, strict=True)
        ]

    def means(self) -> list[dict[str, Any]]:
        """One row per profile: the means over negative and positive lags."""
        return [
            {
                "condition": name,
                "r_negative": low,
                "r_positive": high,
                "convention": self.convention,
            }
            for name, low, high in zip(self.names, self.negative, self.positive, strict=True)
        ]


def correlate_regions(
    regions: Sequence[RegionRun],
    contrast: str,
    weights: Mapping[str, float],
    *,
    max_lag: float,
    details: Mapping[str, Any],
) -> LagSummary:
    """Lagged correlation of two regions during each condition of a contrast.

    ``rho(h) = corr(seed(t + h), target(t))``. Trials are pooled without pairs across their borders;
    a trial's volumes are those taken `HEMODYNAMIC_DELAY` seconds after it.

    Parameters
    ----------
    regions : sequence of RegionRun
        Of one participant.
    contrast : str
        As the user wrote it.
    weights : mapping from condition to float
    max_lag : float
        Seconds.
    details : mapping
        Further settings for the sidecar.

    Raises
    ------
    BadDataError
        If there is no run, or runs differ in repetition time.
    """
    if not regions:
        raise BadDataError(
            "No run has trials.",
            where=contrast,
            found="no run",
            wanted="a run with trials of the contrast's conditions",
            remedy="correct --contrast, or the column trial_type of the events",
        )
    tr = common_tr({region.run.label: region.run.tr for region in regions})
    starts = np.cumsum([0, *(len(region.seed) for region in regions)])
    seed, target = (np.concatenate([getattr(r, n) for r in regions]) for n in ("seed", "target"))
    profiles = {}
    for name in weights:
        segments = [
            (int(start + first), int(start + last))
            for region, start in zip(regions, starts, strict=False)
            for first, last in region.trials(name)
        ]
        profiles[name] = lagged_correlation(seed, target, tr=tr, max_lag=max_lag, segments=segments)
    first_profile = next(iter(profiles.values()))
    r = [profile.r for profile in profiles.values()]
    r.append(np.sum([w * profiles[name].r for name, w in weights.items()], axis=0))
    lags, stacked = first_profile.lags, np.stack(r)
    return LagSummary(
        lags=lags,
        names=[*profiles, contrast],
        r=stacked,
        negative=stacked[:, lags <= -1.0].mean(axis=1),
        positive=stacked[:, lags >= 1.0].mean(axis=1),
        convention=first_profile.convention,
        details={
            **details,
            "Contrast": contrast,
            "MaxLag": max_lag,
            "HemodynamicDelay": HEMODYNAMIC_DELAY,
            "SignConvention": first_profile.convention,
        },
    )
