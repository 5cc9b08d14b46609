"""Conditions and the brain (the dissonance study): contrasts, coupling with a seed, lags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.conditions.seeds import seed_series
from bids_app.analyses.participant.linear_models import NOISE_MODEL, EmotionMaps, RunFits
from bids_app.analyses.participant.responses import RunData, prepare_run
from bids_app.emotion import (
    build_design,
    convolved,
    lagged_correlation,
    parse_contrast,
    ppi_columns,
)
from bids_app.emotion.ppi import INTERACTION
from bids_app.errors import BadDataError, MusencError, reason_of
from bids_app.inputs.conditions import Conditions
from bids_app.inputs.records import BoldRun
from bids_app.inputs.seeds import SeedRegion
from bids_app.surface.mesh import SurfaceMesh

MODEL = {"HemodynamicModel": "spm", "NoiseModel": NOISE_MODEL}


def fit_condition_contrast(
    runs: Sequence[BoldRun],
    conditions: Mapping[str, Conditions],
    contrast: str,
    *,
    confounds: str,
    high_pass: float,
    smoothing: float = 0.0,
    mesh: SurfaceMesh | None = None,
) -> EmotionMaps:
    """Contrast of conditions of one participant, such as ``dissonant - consonant``.

    Parameters
    ----------
    runs : sequence of BoldRun
        Of one participant.
    conditions : mapping from run label to Conditions
        Runs without an entry are left out.
    contrast : str
        As for `parse_contrast`; all other conditions of a run are in its design too.
    confounds, high_pass, smoothing
        As for the responses of the encoding models.
    mesh : SurfaceMesh, optional
        Of the analysis; default: fsaverage5.

    Returns
    -------
    EmotionMaps
        One map, named by the contrast.

    Raises
    ------
    UsageError
        If the contrast names an unknown condition; those there are listed.
    BadDataError
        If no run can be used.
    """
    weights = _weights(conditions, contrast)

    def effects(run: BoldRun, data: RunData) -> tuple[dict[str, NDArray[np.float64]], _Weights]:
        return condition_columns(conditions[run.label], data.frame_times), weights

    return _fit(
        runs,
        conditions,
        weights,
        contrast,
        effects,
        partial(
            prepare_run, confounds=confounds, high_pass=high_pass, smoothing=smoothing, mesh=mesh
        ),
        details={"Contrast": contrast, **MODEL},
    )


def fit_ppi(
    runs: Sequence[BoldRun],
    conditions: Mapping[str, Conditions],
    contrast: str,
    seed: SeedRegion,
    mesh: SurfaceMesh,
    *,
    confounds: str,
    high_pass: float,
    smoothing: float = 0.0,
) -> EmotionMaps:
    """Psychophysiological interaction: third effect of ``[phi, X c, phi * (X c)]``.

    phi is the first eigenvariate of the seed's series, from which confounds and drift are removed.

    Parameters
    ----------
    runs, conditions, contrast, confounds, high_pass, smoothing
        As for `fit_condition_contrast`.
    seed : SeedRegion
        On the surface, or in the volume (the maps stay cortical).
    mesh : SurfaceMesh
        Of the runs.

    Returns
    -------
    EmotionMaps
        One map, ``interaction``.

    Raises
    ------
    UsageError, BadDataError, MissingInputError
        As for `fit_condition_contrast`; or if the seed cannot be read, or its volume is missing.
    """
    weights = _weights(conditions, contrast)

    def effects(run: BoldRun, data: RunData) -> tuple[dict[str, NDArray[np.float64]], _Weights]:
        columns = condition_columns(conditions[run.label], data.frame_times)
        contrasted = np.sum([w * columns[name] for name, w in weights.items()], axis=0)
        phi = seed_series(seed, run, mesh, confounds=confounds, high_pass=high_pass)
        return ppi_columns(phi, contrasted), {INTERACTION: 1.0}

    return _fit(
        runs,
        conditions,
        weights,
        INTERACTION,
        effects,
        partial(
            prepare_run, confounds=confounds, high_pass=high_pass, smoothing=smoothing, mesh=mesh
        ),
        details={
            "Contrast": contrast,
            "Seed": seed.name,
            **MODEL,
            "Interaction": "product at the level of the BOLD signal, without deconvolution",
        },
    )


_Weights = Mapping[str, float]
_Effects = Callable[[BoldRun, RunData], tuple[dict[str, NDArray[np.float64]], _Weights]]


def _weights(conditions: Mapping[str, Conditions], contrast: str) -> dict[str, float]:
    return parse_contrast(contrast, {c for of_run in conditions.values() for c in of_run.names})


def _fit(
    runs: Sequence[BoldRun],
    conditions: Mapping[str, Conditions],
    weights: Mapping[str, float],
    name: str,
    effects: _Effects,
    prepare: Callable[[BoldRun], RunData],
    *,
    details: dict[str, Any],
) -> EmotionMaps:
    fits = RunFits()
    for run in runs:
        there = conditions[run.label].conditions if run.label in conditions else ()
        lacking = [c for c in weights if c not in there]
        if lacking:
            known = ", ".join(there) or "none"
            fits.skip(run, f"no trials: {', '.join(lacking)} (conditions: {known})")
            continue
        data = prepare(run)
        columns, chosen = effects(run, data)
        design = build_design(columns, data.nuisance, len(data.frame_times))
        try:
            fits.fit(data, design, design.contrast(chosen))
        except MusencError as error:
            fits.skip(run, reason_of(error))
    return fits.combine([name], details, analysis=f"the contrast {name}")


def condition_columns(
    conditions: Conditions, frame_times: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """One convolved boxcar per condition of a run."""
    columns = {}
    for name in conditions.conditions:
        onsets, durations = conditions.trials(name)
        columns[name] = convolved(onsets, durations, np.ones(len(onsets)), frame_times)
    return columns


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


def correlate_regions(
    runs: Sequence[BoldRun],
    conditions: Mapping[str, Conditions],
    contrast: str,
    seed: SeedRegion,
    target: SeedRegion,
    mesh: SurfaceMesh,
    *,
    confounds: str,
    high_pass: float,
    max_lag: float = 20.0,
    hemodynamic_delay: float = 5.0,
) -> LagSummary:
    """Lagged correlation of two regions during each condition of a contrast.

    Trials are pooled without pairs across their borders; a trial's volumes are those taken
    `hemodynamic_delay` seconds after it.

    Parameters
    ----------
    runs, conditions, contrast, mesh, confounds, high_pass
        As for `fit_ppi`.
    seed, target : SeedRegion
        i and j in ``rho(h) = corr(i(t + h), j(t))``.
    max_lag : float
        Seconds.
    hemodynamic_delay : float
        Seconds.

    Returns
    -------
    LagSummary

    Raises
    ------
    UsageError, BadDataError, MissingInputError
        As for `fit_ppi`.
    """
    weights = _weights(conditions, contrast)
    series: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = ([], [])
    segments: dict[str, list[tuple[int, int]]] = {name: [] for name in weights}
    length = 0
    for run in runs:
        if run.label not in conditions:
            continue
        for region, parts in zip((seed, target), series, strict=True):
            parts.append(seed_series(region, run, mesh, confounds=confounds, high_pass=high_pass))
        n_times = len(series[0][-1])
        first = run.start_time + run.tr * run.n_dummy - hemodynamic_delay
        for name, found in segments.items():
            for onset, duration in zip(*conditions[run.label].trials(name), strict=True):
                start = max(0, int(np.ceil((onset - first) / run.tr - 1e-6)))
                stop = min(n_times, int(np.ceil((onset + duration - first) / run.tr - 1e-6)))
                if stop > start:
                    found.append((length + start, length + stop))
        length += n_times
    if not series[0]:
        raise BadDataError(
            "No run has trials.", found=", ".join(run.label for run in runs) or "no runs"
        )
    joined = [np.concatenate(parts) for parts in series]
    profiles = {
        name: lagged_correlation(*joined, tr=runs[0].tr, max_lag=max_lag, segments=found)
        for name, found in segments.items()
    }
    first_profile = next(iter(profiles.values()))
    r = [profile.r for profile in profiles.values()]
    r.append(np.sum([w * profiles[name].r for name, w in weights.items()], axis=0))
    lags = first_profile.lags
    stacked = np.stack(r)
    return LagSummary(
        lags=lags,
        names=[*profiles, contrast],
        r=stacked,
        negative=stacked[:, lags <= -1.0].mean(axis=1),
        positive=stacked[:, lags >= 1.0].mean(axis=1),
        convention=first_profile.convention,
        details={
            "Seed": seed.name,
            "Target": target.name,
            "Contrast": contrast,
            "MaxLag": max_lag,
            "HemodynamicDelay": hemodynamic_delay,
            "SignConvention": first_profile.convention,
        },
    )
