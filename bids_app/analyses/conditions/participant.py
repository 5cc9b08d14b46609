"""All analyses of conditions of one participant (the dissonance study)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_app.analyses.conditions.contrasts import (
    TrialRun,
    Weights,
    fit_contrasts,
    fit_interaction,
)
from bids_app.analyses.conditions.lags import LagSummary, RegionRun, correlate_regions
from bids_app.analyses.conditions.seeds import seed_series
from bids_app.analyses.participant.linear_models import (
    NOISE_MODEL,
    LinearMaps,
    MapContrast,
    RunFits,
)
from bids_app.analyses.participant.responses import read_run
from bids_app.analyses.participant.voxel_effects import VoxelEffects
from bids_app.analyses.participant.voxels import VoxelReader, Voxels
from bids_app.config import Cleaning, Model
from bids_app.emotion import parse_contrast
from bids_app.emotion.ppi import INTERACTION
from bids_app.inputs.conditions import Conditions
from bids_app.inputs.records import BoldRun
from bids_app.inputs.seeds import SeedRegion
from bids_app.surface.mesh import load_mesh

MODEL = {"HemodynamicModel": "spm", "NoiseModel": NOISE_MODEL}


@dataclass(frozen=True, eq=False)
class ConditionResult:
    """One contrast of one participant.

    Attributes
    ----------
    label : str
        In file names.
    contrast : str
        As the user wrote it.
    maps : LinearMaps
        The difference of conditions.
    ppi : LinearMaps or None
        Its interaction with the seed, where there is one.
    lags : LagSummary or None
        Correlation of seed and target, where there are both.
    """

    label: str
    contrast: str
    maps: LinearMaps
    ppi: LinearMaps | None
    lags: LagSummary | None


class _Contrast:
    """A contrast, and what the runs said of it so far."""

    def __init__(self, text: str, weights: Weights) -> None:
        self.text, self.weights = text, weights
        self.fits, self.interactions = RunFits(), RunFits()

    def is_in(self, run: BoldRun, conditions: tuple[str, ...]) -> bool:
        """Whether a run has all its conditions; where not, the reason is kept."""
        lacking = [c for c in self.weights if c not in conditions]
        if lacking:
            known = ", ".join(conditions) or "none"
            for fits in (self.fits, self.interactions):
                fits.skip(run, f"no trials: {', '.join(lacking)} (conditions: {known})")
        return not lacking

    def maps(self) -> LinearMaps:
        """The difference of conditions over the runs."""
        details = {"Contrast": self.text, **MODEL}
        shown = MapContrast(self.text, self.weights)
        return self.fits.combine([shown], details, analysis=f"the contrast {self.text}")

    def ppi(self, seed: SeedRegion) -> LinearMaps:
        """Its interaction with the seed over the runs."""
        details = {
            "Contrast": self.text,
            "Seed": seed.name,
            **MODEL,
            "Interaction": "product at the level of the BOLD signal, without deconvolution",
        }
        shown = MapContrast(INTERACTION, {INTERACTION: 1.0})
        return self.interactions.combine([shown], details, analysis=f"the contrast {INTERACTION}")


def contrast_voxels(
    runs: Sequence[BoldRun],
    conditions: Mapping[str, Conditions],
    contrasts: Mapping[str, str],
    cleaning: Cleaning,
    model: Model,
) -> list[tuple[str, VoxelEffects]]:
    """The contrasts at subcortical voxels, by label; parameters as of `analyze_conditions`."""
    read = VoxelReader(Voxels.of(model), cleaning)
    found = _contrasts(conditions, contrasts)
    for run in runs:
        own = conditions.get(run.label)
        there = own.conditions if own else ()
        whole = {label: c for label, c in found.items() if c.is_in(run, there)}
        if own is not None and whole:
            _fit(TrialRun.of(read(run), own), whole)
    maps = {label: contrast.maps() for label, contrast in found.items()}
    assert read.known is not None  # a contrast has maps
    return [(label, VoxelEffects(read.known, one)) for label, one in maps.items()]


def _contrasts(
    conditions: Mapping[str, Conditions], contrasts: Mapping[str, str]
) -> dict[str, _Contrast]:
    known = {name for of_run in conditions.values() for name in of_run.names}
    return {
        label: _Contrast(text, parse_contrast(text, known)) for label, text in contrasts.items()
    }


def _fit(trials: TrialRun, whole: Mapping[str, _Contrast]) -> None:
    fit_contrasts(
        trials,
        {label: c.weights for label, c in whole.items()},
        {label: c.fits for label, c in whole.items()},
    )


def analyze_conditions(
    runs: Sequence[BoldRun],
    conditions: Mapping[str, Conditions],
    contrasts: Mapping[str, str],
    cleaning: Cleaning,
    *,
    seed: SeedRegion | None,
    target: SeedRegion | None,
    max_lag: float,
) -> list[ConditionResult]:
    """Contrasts, interactions with the seed, and lagged correlations of one participant.

    Every run is read, scaled and smoothed once, and all its contrasts are fitted in one model.

    Parameters
    ----------
    runs : sequence of BoldRun
        Of one participant.
    conditions : mapping from run label to Conditions
        Runs without an entry are left out.
    contrasts : mapping from label to str
        As for `parse_contrast`, such as ``dissonant - consonant``; all other conditions of a run
        are in its design too.
    cleaning : Cleaning
    seed, target : SeedRegion or None
        On the surface, or in the volume (the maps stay cortical): i and j in
        ``rho(h) = corr(i(t + h), j(t))``.
    max_lag : float
        Seconds.

    Returns
    -------
    list of ConditionResult
        One per contrast.

    Raises
    ------
    UsageError
        If a contrast names an unknown condition; those there are listed.
    BadDataError, MissingInputError
        If no run can be used, or a region cannot be read.
    """
    found = _contrasts(conditions, contrasts)
    mesh = load_mesh(cleaning.space)
    regions: list[RegionRun] = []
    for run in runs:
        own = conditions.get(run.label)
        there = own.conditions if own else ()
        whole = {label: c for label, c in found.items() if c.is_in(run, there)}
        if own is None or not (whole or target):
            continue
        data = read_run(run, cleaning, mesh)
        phi = seed_series(seed, data) if seed else None
        if phi is not None and target is not None:
            regions.append(RegionRun(run, own, phi, seed_series(target, data)))
        if not whole:
            continue
        trials = TrialRun.of(data, own)
        _fit(trials, whole)
        if phi is not None:
            for contrast in whole.values():
                fit_interaction(trials, contrast.weights, phi, contrast.interactions)
    results = []
    for label, contrast in found.items():
        lags = None
        if seed is not None and target is not None:
            told: dict[str, Any] = {"Seed": seed.name, "Target": target.name}
            lags = correlate_regions(
                regions, contrast.text, contrast.weights, max_lag=max_lag, details=told
            )
        ppi = contrast.ppi(seed) if seed else None
        results.append(ConditionResult(label, contrast.text, contrast.maps(), ppi, lags))
    return results
