"""All analyses of conditions of one participant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.analyses.conditions.contrasts import (
    LagSummary,
    correlate_regions,
    fit_condition_contrast,
    fit_ppi,
)
from bids_app.analyses.participant.linear_models import EmotionMaps
from bids_app.inputs.conditions import Conditions
from bids_app.inputs.records import BoldRun
from bids_app.inputs.seeds import SeedRegion
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.mesh import load_mesh


@dataclass(frozen=True, eq=False)
class ConditionResult:
    """One contrast of one participant.

    Attributes
    ----------
    label : str
        In file names.
    contrast : str
        As the user wrote it.
    maps : EmotionMaps
        The difference of conditions.
    ppi : EmotionMaps or None
        Its interaction with the seed, where there is one.
    lags : LagSummary or None
        Correlation of seed and target, where there are both.
    """

    label: str
    contrast: str
    maps: EmotionMaps
    ppi: EmotionMaps | None
    lags: LagSummary | None


def analyze_conditions(
    runs: Sequence[BoldRun],
    conditions: Mapping[str, Conditions],
    contrasts: Mapping[str, str],
    *,
    seed: SeedRegion | None,
    target: SeedRegion | None,
    max_lag: float,
    space: str,
    cortex_mask: Sequence[Path],
    confounds: str,
    high_pass: float,
    smoothing: float,
) -> list[ConditionResult]:
    """Contrasts, interactions with the seed, and lagged correlations of one participant.

    Parameters
    ----------
    runs, conditions, seed, target, max_lag, confounds, high_pass, smoothing
        As for `fit_condition_contrast`, `fit_ppi` and `correlate_regions`.
    contrasts : mapping from label to str
    space : str
        Mesh.
    cortex_mask : sequence of Path
        As for `read_cortex_mask`; maps are NaN outside. Nothing is masked where empty.

    Returns
    -------
    list of ConditionResult
        One per contrast.
    """
    mesh = load_mesh(space)
    cleaning: dict[str, Any] = {"confounds": confounds, "high_pass": high_pass}
    inside = read_cortex_mask(cortex_mask, mesh.n_vertices) if cortex_mask else None

    def masked(maps: EmotionMaps) -> EmotionMaps:
        if inside is None:
            return maps
        blank = np.float32("nan")
        return replace(
            maps,
            effect=np.where(inside, maps.effect, blank),
            t=np.where(inside, maps.t, blank),
            z=np.where(inside, maps.z, blank),
        )

    results = []
    for label, contrast in contrasts.items():
        options: dict[str, Any] = {**cleaning, "smoothing": smoothing, "mesh": mesh}
        maps = fit_condition_contrast(runs, conditions, contrast, **options)
        ppi = lags = None
        if seed is not None:
            ppi = masked(fit_ppi(runs, conditions, contrast, seed, **options))
        if seed is not None and target is not None:
            lags = correlate_regions(
                runs, conditions, contrast, seed, target, mesh, max_lag=max_lag, **cleaning
            )
        results.append(ConditionResult(label, contrast, masked(maps), ppi, lags))
    return results
