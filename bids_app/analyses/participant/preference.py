"""Layer preference of one participant from the fits of all layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bids_app.analyses.participant.layers import LayerFits
from bids_app.preference import (
    centroid,
    layer_depth,
    preferred_layer,
    reference_profile,
    residual_slope,
)
from bids_app.statistics import SIGNIFICANCE, benjamini_hochberg

MIN_REFERENCE_VERTICES = 200
MIN_LAYERS = 3  # two points have no residual slope, and fewer no order


@dataclass(frozen=True)
class PreferenceMaps:
    """Maps of shape (n_vertices,) and how the reference of the slope came about.

    Attributes
    ----------
    slope, centroid, argmax, maximum : array of shape (n_vertices,)
    mean_q : array of shape (n_vertices,)
        q of the layer-averaged accuracy.
    n_reference : int
        Vertices the reference profile was averaged over.
    reason : str
        Why there is no slope; empty where there is one.
    reference : list of float
        The reference profile; empty where there is none.
    """

    slope: NDArray[np.float64]
    centroid: NDArray[np.float64]
    argmax: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean_q: NDArray[np.float64]
    n_reference: int
    reason: str
    reference: list[float]


def preference_missing(n_layers: int) -> str:
    """Why a model has no layer preference; empty where it has one."""
    if n_layers >= MIN_LAYERS:
        return ""
    return f"layer preference needs at least {MIN_LAYERS} layers; this model has {n_layers}"


def derive_preference(fits: LayerFits) -> PreferenceMaps | None:
    """Residual slope, centroid and argmax of every vertex's layer profile; None below 3 layers.

    The null standard deviation of the layer average is the layers' mean standard deviation (closed
    form, per vertex) times a ratio that refits give for the participant: the layers' dependence.
    """
    if preference_missing(len(fits.r)):
        return None
    profiles = fits.r.astype(np.float64)
    averaged = profiles.mean(axis=0)
    null_sd = fits.null_sd.astype(np.float64).mean(axis=0) * fits.average_sd_ratio
    p = norm.sf(averaged / null_sd)
    mean_q = benjamini_hochberg(p)
    reference = reference_profile(
        profiles, mean_q < SIGNIFICANCE, min_vertices=MIN_REFERENCE_VERTICES
    )
    slope = np.full(profiles.shape[1], np.nan)
    if reference.profile is not None:
        slope = residual_slope(profiles, layer_depth(len(profiles)), reference.profile)
    return PreferenceMaps(
        slope=slope,
        centroid=centroid(profiles),
        argmax=preferred_layer(profiles),
        maximum=profiles.max(axis=0),
        mean_q=mean_q,
        n_reference=reference.n_vertices,
        reason=reference.reason or "",
        reference=[] if reference.profile is None else [float(v) for v in reference.profile],
    )
