"""Layer preference of one participant from the fits of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from bids_app.analyses.declare import Rows
from bids_app.analyses.participant.layers import LayerFits
from bids_app.preference import (
    MAX_EXPLAINED,
    MIN_DEPTHS,
    SlopeModel,
    apply_weights,
    centroid,
    curvature_weights,
    depth_explained,
    n_distinct,
    preferred_layer,
    reference_profile,
    residual_slope,
)
from bids_app.statistics import SIGNIFICANCE, benjamini_hochberg

MIN_REFERENCE_VERTICES = 200


@dataclass(frozen=True)
class PreferenceMaps:
    """Maps of shape (n_vertices,), and how the reference of the slope was chosen.

    Attributes
    ----------
    slope, curvature, centroid, argmax, maximum : array of shape (n_vertices,)
        Without a reference slope and curvature are NaN, as is curvature below five depths.
    mean_q : array of shape (n_vertices,)
        q of the layer-averaged accuracy.
    n_reference : int
        Vertices the reference profile was averaged over.
    reason : str
        Why there is no slope; empty where there is one.
    reference : list of float
        The reference profile; empty where there is none.
    explained : float
        Share of the variance of depth that reference and curvature explain; NaN without reference.
    doubt : str
        Why the slope cannot be separated from accuracy; empty where it can.
    """

    slope: NDArray[np.float64]
    curvature: NDArray[np.float64]
    centroid: NDArray[np.float64]
    argmax: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean_q: NDArray[np.float64]
    n_reference: int
    reason: str
    reference: list[float]
    explained: float
    doubt: str

    @property
    def rows(self) -> Rows:
        """One row per measure of preference: slope and curvature."""
        return [
            {"measure": name, **spread(values)}
            for name, values in (("slope", self.slope), ("curvature", self.curvature))
        ]


def spread(values: NDArray[np.float64]) -> dict[str, float]:
    """Mean, standard deviation and range of a map; NaN where it has no value."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {"n_vertices": 0} | dict.fromkeys(("mean", "sd", "lowest", "highest"), float("nan"))
    return {
        "n_vertices": finite.size,
        "mean": float(finite.mean()),
        "sd": float(finite.std()),
        "lowest": float(finite.min()),
        "highest": float(finite.max()),
    }


def preference_missing(depth: ArrayLike, model: SlopeModel) -> str:
    """Why a model whose layers have these depths has no layer preference; empty where it has.

    Parameters
    ----------
    depth : array of shape (n_layers,)
        Empty where the order of the layers is not known.
    model : {"quadratic", "linear"}
    """
    if not np.size(depth):
        return (
            "layer preference needs layers in order of depth, and nothing says their order; "
            "--layers or --layer-depth may"
        )
    wanted, found = MIN_DEPTHS[model], n_distinct(depth)
    n_layers = np.size(depth)
    if found >= wanted:
        return ""
    what = "layers" if found == n_layers else "different depths of layers"
    return f"layer preference needs at least {wanted} {what}; this model has {found}" + (
        f" (--slope-model linear needs {MIN_DEPTHS['linear']})"
        if found >= MIN_DEPTHS["linear"]
        else ""
    )


def slope_doubt(explained: float, model: SlopeModel) -> str:
    """Why a slope cannot be separated from accuracy; empty where it can."""
    if not explained > MAX_EXPLAINED:
        return ""
    beside = "" if model == "linear" else " and curvature"
    return (
        f"slope cannot be separated from accuracy: the reference profile{beside} explain"
        f"{'s' if model == 'linear' else ''} {explained:.3f} of the variance of depth, more than "
        f"{MAX_EXPLAINED}"
    )


def derive_preference(
    fits: LayerFits, depth: Sequence[float], model: SlopeModel
) -> PreferenceMaps | None:
    """Slope, curvature, centroid and argmax of every layer profile; None with too few depths.

    The null standard deviation of the layer average is the layers' mean standard deviation (closed
    form, per vertex) times a ratio that refits give for the participant: the layers' dependence.
    """
    profiles = fits.r.astype(np.float64)
    if preference_missing(depth, model):
        return None
    averaged = profiles.mean(axis=0)
    null_sd = fits.null_sd.astype(np.float64).mean(axis=0) * fits.average_sd_ratio
    p = norm.sf(averaged / null_sd)
    mean_q = benjamini_hochberg(p)
    reference = reference_profile(
        profiles, mean_q < SIGNIFICANCE, min_vertices=MIN_REFERENCE_VERTICES
    )
    slope, curvature = np.full((2, profiles.shape[1]), np.nan)
    explained = float("nan")
    if reference.profile is not None:
        slope = residual_slope(profiles, depth, reference.profile, model)
        explained = depth_explained(depth, reference.profile, model)
        if not preference_missing(depth, "quadratic"):
            curvature = apply_weights(curvature_weights(depth, reference.profile), profiles)
    return PreferenceMaps(
        slope=slope,
        curvature=curvature,
        centroid=centroid(profiles, depth),
        argmax=preferred_layer(profiles),
        maximum=profiles.max(axis=0),
        mean_q=mean_q,
        n_reference=reference.n_vertices,
        reason=reference.reason or "",
        reference=[] if reference.profile is None else [float(v) for v in reference.profile],
        explained=explained,
        doubt=slope_doubt(explained, model),
    )
