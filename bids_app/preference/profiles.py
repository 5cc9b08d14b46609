"""Layer preference of a vertex from its profile of accuracies over layers.

The residual slope is the primary measure: argmax, centroid and raw slope follow how well a vertex
is predicted at all, the residual slope does not. The others describe and display.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, check_shape

FloatArray = npt.NDArray[np.float64]


def layer_depth(n_layers: int) -> FloatArray:
    """Depth of each layer: ordinal, 0 for the first and 1 for the last, (n_layers,)."""
    return np.linspace(0.0, 1.0, n_layers)


def residual_slope(
    profiles: npt.ArrayLike, depth: npt.ArrayLike, reference: npt.ArrayLike
) -> FloatArray:
    """Slope over depth of what a reference profile leaves of each vertex's profile.

    The profile is regressed on [1, reference]; the result is the least-squares slope of the
    residual on depth. Positive: deeper layers predict better than the reference lets expect.
    Adding a constant or a multiple of the reference to a profile changes nothing, so the measure
    does not follow overall accuracy.

    Parameters
    ----------
    profiles : (n_layers, n_vertices) array
        Accuracy (correlation) per layer.
    depth : (n_layers,) array
        Depth of the layers, usually 0 to 1 (`layer_depth`).
    reference : (n_layers,) array
        Reference profile; a constant one removes the mean only.

    Returns
    -------
    (n_vertices,) float64
        Slope, in correlation per unit of depth; NaN where any layer is not finite.

    Raises
    ------
    BadDataError
        If shapes disagree, there are fewer than three layers, depth is constant, depth or
        reference is not finite, or the reference is a linear function of depth (nothing is left).
    """
    profiles = _check_profiles(profiles)
    depth = _check_vector(depth, "depth", len(profiles))
    reference = _check_vector(reference, "reference", len(profiles))
    weights = _residual_slope_weights(depth, reference)
    finite = np.isfinite(profiles).all(axis=0)
    slopes = np.full(profiles.shape[1], np.nan)
    slopes[finite] = weights @ profiles[:, finite]
    return slopes


def centroid(profiles: npt.ArrayLike) -> FloatArray:
    """Center of mass of the positive part of each profile, in layers.

    Parameters
    ----------
    profiles : (n_layers, n_vertices) array
        Accuracy per layer; negative values count as zero.

    Returns
    -------
    (n_vertices,) float64
        Between 1 and n_layers; NaN where any layer is not finite or none is positive.
    """
    profiles = _check_profiles(profiles)
    positive = np.maximum(profiles, 0.0)
    mass = positive.sum(axis=0)
    layers = np.arange(1.0, len(profiles) + 1)
    defined = np.isfinite(mass) & (mass > 0)
    result = np.full(profiles.shape[1], np.nan)
    result[defined] = (layers @ positive[:, defined]) / mass[defined]
    return result


def preferred_layer(profiles: npt.ArrayLike) -> FloatArray:
    """Layer of the highest accuracy, 1-based; for display.

    Parameters
    ----------
    profiles : (n_layers, n_vertices) array
        Accuracy per layer.

    Returns
    -------
    (n_vertices,) float64
        1 to n_layers; the first of equal maxima. NaN where any layer is not finite or where all
        layers are equal (nothing is preferred).
    """
    profiles = _check_profiles(profiles)
    defined = np.isfinite(profiles).all(axis=0) & (profiles != profiles[0]).any(axis=0)
    result = np.full(profiles.shape[1], np.nan)
    result[defined] = profiles[:, defined].argmax(axis=0) + 1.0
    return result


def argmax_stability(profiles: npt.ArrayLike, preferred: npt.ArrayLike) -> FloatArray:
    """How often the preferred layer returns in resamples.

    Parameters
    ----------
    profiles : (n_resamples, n_layers, n_vertices) array
        One set of profiles per held-out stimulus, participant or bootstrap draw. Where averaging
        should be on Fisher z, pass Fisher z: the order of layers is the same.
    preferred : (n_vertices,) array
        Preferred layer (1-based) that the resamples are compared with, such as that of the whole
        sample; NaN where none is.

    Returns
    -------
    (n_vertices,) float64
        Share of resamples with the same preferred layer; NaN where it is undefined in any.

    Raises
    ------
    BadDataError
        If the array is not three-dimensional.
    """
    profiles = np.asarray(profiles, dtype=np.float64)
    check_shape("profiles", profiles, "n_resamples", "n_layers", "n_vertices")
    preferred = np.asarray(preferred, dtype=np.float64)
    choices = np.stack([preferred_layer(one) for one in profiles])
    defined = np.isfinite(preferred) & np.isfinite(choices).all(axis=0)
    return np.where(defined, (choices == preferred).mean(axis=0), np.nan)


def _residual_slope_weights(depth: FloatArray, reference: FloatArray) -> FloatArray:
    """Weights over layers whose product with a profile is its residual slope."""
    centered = depth - depth.mean()
    scale = centered @ centered
    if scale <= 0:
        raise BadDataError("Depth is constant.", where="depth", wanted="layers of different depth")
    deviation = reference - reference.mean()
    norm = np.linalg.norm(deviation)
    rest = centered
    # A reference that is constant up to rounding carries no direction to remove.
    if norm > 1e-12 * max(1.0, float(np.abs(reference).max())):
        direction = deviation / norm
        rest = centered - direction * (direction @ centered)
    if np.linalg.norm(rest) < 1e-6 * np.sqrt(scale):
        raise BadDataError(
            "The reference profile is a linear function of depth: no residual slope is left.",
            where="reference",
            remedy="Use another reference profile.",
        )
    return rest / scale


def _check_profiles(profiles: npt.ArrayLike) -> FloatArray:
    profiles = np.asarray(profiles, dtype=np.float64)
    check_shape("profiles", profiles, "n_layers", "n_vertices")
    return profiles


def _check_vector(values: npt.ArrayLike, name: str, n_layers: int) -> FloatArray:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (n_layers,) or n_layers < 3:
        raise BadDataError(
            f"{name} does not match the profiles' layers.",
            where=name,
            found=f"shape {values.shape} for {n_layers} layers",
            wanted="one value per layer, at least three layers",
        )
    if not np.isfinite(values).all():
        raise BadDataError(f"{name} is not finite.", where=name)
    return values
