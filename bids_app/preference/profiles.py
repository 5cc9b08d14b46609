"""Layer preference of a vertex from its profile of accuracies over layers.

The residual slope is the primary measure: argmax, centroid and raw slope follow how well a vertex
is predicted at all, the residual slope does not. The others describe and display.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from bids_app.errors import FINITE, BadDataError, check_shape

FloatArray = npt.NDArray[np.float64]
SlopeModel = Literal["quadratic", "linear"]
"""What is regressed out of a profile before its slope: with or without curvature."""
MIN_DEPTHS: dict[SlopeModel, int] = {"quadratic": 5, "linear": 3}
"""Different depths that a slope needs: fewer leave next to nothing beside what is regressed out."""
MAX_EXPLAINED = 0.95
"""Where more of depth is explained (`depth_explained`), slope cannot be separated from accuracy."""


def layer_depth(n_layers: int) -> FloatArray:
    """Depth of each layer: ordinal, 0 for the first and 1 for the last.

    Parameters
    ----------
    n_layers : int

    Returns
    -------
    (n_layers,) float64

    Examples
    --------
    >>> layer_depth(5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    return np.linspace(0.0, 1.0, n_layers)


def n_distinct(depth: npt.ArrayLike) -> int:
    """Number of different depths; those equal up to rounding are one.

    Parameters
    ----------
    depth : (n_layers,) array

    Returns
    -------
    int

    Examples
    --------
    >>> n_distinct([0.0, 0.5, 0.5, 1.0])
    3
    """
    return len(depth_averages(depth))


def depth_averages(depth: npt.ArrayLike) -> FloatArray:
    """Averages over layers of equal depth, as a matrix.

    Parameters
    ----------
    depth : (n_layers,) array
        Those equal up to rounding are one.

    Returns
    -------
    (n_depths, n_layers) float64
        Rows in order of depth, each of which sums to one.

    Examples
    --------
    >>> depth_averages([0.0, 0.5, 0.5, 1.0]).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    values = np.asarray(depth, dtype=np.float64)
    span = float(np.ptp(values)) if values.size else 0.0
    scaled = np.round((values - values.min()) / span, 9) if span > 0 else np.zeros_like(values)
    depths, place = np.unique(scaled, return_inverse=True)
    members = place == np.arange(len(depths))[:, np.newaxis]
    return np.asarray(members / members.sum(axis=1, keepdims=True))


def residual_slope(
    profiles: npt.ArrayLike,
    depth: npt.ArrayLike,
    reference: npt.ArrayLike,
    model: SlopeModel = "quadratic",
) -> FloatArray:
    """Slope of each profile over depth, with a reference profile and curvature regressed out.

    The profile is regressed on [1, reference, q], q = (d - mean d)^2 made orthogonal to depth d;
    the result is the least-squares slope of the residual on d. Positive: deeper layers predict
    better than expected from the reference. Adding a constant, a multiple of the reference or a
    multiple of q to a profile changes nothing: the measure follows neither overall accuracy nor
    a preference for layers in the middle or at both ends.

    Parameters
    ----------
    profiles : (n_layers, n_vertices) array
        Accuracy (correlation) per layer.
    depth : (n_layers,) array
        Depth of the layers, usually 0 to 1. Layers of equal depth are averaged first, so that a
        block counts once.
    reference : (n_layers,) array
        Reference profile; a constant one removes the mean only.
    model : {"quadratic", "linear"}
        ``linear`` leaves q out: the profile is regressed on [1, reference] only.

    Returns
    -------
    (n_vertices,) float64
        Slope, in correlation per unit of depth; NaN where any layer is not finite.

    Raises
    ------
    BadDataError
        If shapes disagree, there are fewer than five different depths (three layers with
        ``linear``), depth is constant, depth or reference is not finite, or nothing is left of
        depth.

    Examples
    --------
    >>> depth = layer_depth(7)
    >>> reference = np.array([0.1, 0.2, 0.25, 0.3, 0.28, 0.2, 0.15])
    >>> deep = 0.5 * reference + 0.1 * (depth - 0.5)  # deep layers gain over the reference
    >>> profiles = np.stack([reference, 3 * reference, deep], axis=1)
    >>> (residual_slope(profiles, depth, reference) > 0.01).tolist()
    [False, False, True]
    >>> residual_slope(profiles, depth, np.ones(7), "linear").round(2).tolist()  # raw slopes
    [0.04, 0.12, 0.12]
    """
    profiles = _check_profiles(profiles)
    _check_vector(depth, "depth", len(profiles))
    return apply_weights(slope_weights(depth, reference, model), profiles)


def apply_weights(weights: FloatArray, profiles: npt.ArrayLike) -> FloatArray:
    """Weighted sum over layers at every vertex.

    Parameters
    ----------
    weights : (n_layers,) array
    profiles : (n_layers, n_vertices) array
        Accuracies.

    Returns
    -------
    (n_vertices,) float64
        NaN where any layer is not finite.

    Examples
    --------
    >>> profiles = np.array([[0.1, 0.2], [0.3, np.nan], [0.2, 0.2]])
    >>> apply_weights(np.array([-1.0, 0.0, 1.0]), profiles).round(2).tolist()
    [0.1, nan]
    """
    profiles = _check_profiles(profiles)
    finite = np.isfinite(profiles).all(axis=0)
    values = np.full(profiles.shape[1], np.nan)
    values[finite] = weights @ profiles[:, finite]
    return values


def slope_weights(
    depth: npt.ArrayLike, reference: npt.ArrayLike, model: SlopeModel = "quadratic"
) -> FloatArray:
    """Weights of the layers whose product with a profile is its residual slope.

    Parameters
    ----------
    depth, reference, model
        As for `residual_slope`.

    Returns
    -------
    (n_layers,) float64

    Raises
    ------
    BadDataError
        As `residual_slope`.

    Examples
    --------
    >>> depth = layer_depth(7)
    >>> reference = np.array([0.1, 0.2, 0.25, 0.3, 0.28, 0.2, 0.15])
    >>> weights = slope_weights(depth, reference)
    >>> np.allclose([weights.sum(), weights @ reference], 0)
    True
    >>> profiles = np.random.default_rng(0).random((7, 4))
    >>> np.allclose(weights @ profiles, residual_slope(profiles, depth, reference))
    True
    """
    averages, centered, others = _slope_design(depth, reference, model)
    rest = _without(centered, others)
    if np.linalg.norm(rest) < 1e-6 * np.linalg.norm(centered):
        beside = "" if model == "linear" else " and its square"
        raise BadDataError(
            "The reference profile is a function of depth: no residual slope is left.",
            where="reference",
            found=f"a function of depth{beside}",
            wanted="a profile with another shape",
            remedy="Use another reference profile.",
        )
    return np.asarray(rest / (centered @ centered) @ averages)


def curvature_weights(depth: npt.ArrayLike, reference: npt.ArrayLike) -> FloatArray:
    """Weights of the layers whose product with a profile is its curvature.

    The profile is regressed on [1, reference, d, q] (`residual_slope`); its curvature is the
    coefficient of q. Depth is among the regressors, or a slope would be taken for curvature
    where the reference shares variance with both. Positive: both ends of the network predict better
    than expected from the reference. Negative: the middle does.

    Parameters
    ----------
    depth, reference
        As for `residual_slope`.

    Returns
    -------
    (n_layers,) float64
        In correlation per square of depth.

    Raises
    ------
    BadDataError
        As `residual_slope`.

    Examples
    --------
    >>> depth = layer_depth(7)
    >>> reference = np.array([0.1, 0.2, 0.25, 0.3, 0.28, 0.2, 0.15])
    >>> weights = curvature_weights(depth, reference)
    >>> np.allclose([weights.sum(), weights @ reference, weights @ depth], 0)
    True
    >>> round(float(weights @ (reference - 0.4 * depth**2)), 2)  # the middle predicts better
    -0.4
    """
    averages, centered, _ = _slope_design(depth, reference, "quadratic")
    bend = _bend(centered)
    rest = _without(bend, [centered, *_direction(averages @ np.asarray(reference, np.float64))])
    if np.linalg.norm(rest) < 1e-6 * np.linalg.norm(bend):
        raise BadDataError(
            "The reference profile is a function of depth and its square: no curvature is left.",
            where="reference",
            wanted="a profile with another shape",
            remedy="Use another reference profile.",
        )
    return np.asarray(rest / (rest @ rest) @ averages)


def depth_explained(
    depth: npt.ArrayLike, reference: npt.ArrayLike, model: SlopeModel = "quadratic"
) -> float:
    """Share of the variance of depth that the other regressors of the residual slope explain.

    R2 of depth on [1, reference, q] (`residual_slope`), or on [1, reference] with ``linear``.
    Near one the slope is confounded with accuracy. R2 of depth on the reference alone would miss a
    reference that is a sum of depth and curvature: q explains the curvature, and the rest is depth.

    Parameters
    ----------
    depth, reference, model
        As for `residual_slope`.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    BadDataError
        As `residual_slope`, but for a reference that leaves nothing.

    Examples
    --------
    >>> depth = layer_depth(7)
    >>> round(depth_explained(depth, [0.1, 0.2, 0.25, 0.3, 0.28, 0.2, 0.15]), 2)
    0.51
    >>> round(depth_explained(depth, 0.2 + 0.1 * depth + 0.001 * np.cos(9 * depth)), 2)
    1.0
    """
    _, centered, others = _slope_design(depth, reference, model)
    rest = _without(centered, others)
    return float(1 - (rest @ rest) / (centered @ centered))


def centroid(profiles: npt.ArrayLike, depth: npt.ArrayLike) -> FloatArray:
    """Center of mass of the positive part of each profile, in layers.

    Parameters
    ----------
    profiles : (n_layers, n_vertices) array
        Accuracy per layer; negative values count as zero.
    depth : (n_layers,) array
        Depth of the layers from 0 to 1, which stand for layers 1 and n_layers; layers of equal
        depth are averaged first.

    Returns
    -------
    (n_vertices,) float64
        Between 1 and n_layers; NaN where any layer is not finite or none is positive.

    Examples
    --------
    >>> profiles = np.array([[0.2, -0.1], [0.2, 0.0], [0.2, 0.3]])
    >>> centroid(profiles, layer_depth(3)).round(2).tolist()
    [2.0, 3.0]
    """
    profiles = _check_profiles(profiles)
    depth = np.asarray(depth, dtype=np.float64)
    check_shape("depth", depth, len(profiles))
    averages = depth_averages(depth)
    positive = averages @ np.maximum(profiles, 0.0)
    mass = positive.sum(axis=0)
    layers = 1.0 + averages @ depth * (len(profiles) - 1)
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

    Examples
    --------
    >>> preferred_layer([[0.1, 0.2, 0.3], [0.4, 0.2, 0.3], [0.2, 0.2, 0.1]]).tolist()
    [2.0, nan, 1.0]
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

    Examples
    --------
    >>> profiles = [[[0.1, 0.3], [0.2, 0.1]], [[0.1, 0.1], [0.3, 0.2]]]  # two held-out stimuli
    >>> argmax_stability(profiles, [2, 1]).tolist()
    [1.0, 0.5]
    """
    profiles = np.asarray(profiles, dtype=np.float64)
    check_shape("profiles", profiles, "n_resamples", "n_layers", "n_vertices")
    preferred = np.asarray(preferred, dtype=np.float64)
    choices = np.stack([preferred_layer(one) for one in profiles])
    defined = np.isfinite(preferred) & np.isfinite(choices).all(axis=0)
    return np.where(defined, (choices == preferred).mean(axis=0), np.nan)


def _slope_design(
    depth: npt.ArrayLike, reference: npt.ArrayLike, model: SlopeModel
) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
    """Averages over equal depths, centered depth, and what is regressed out before its slope."""
    depth = _check_vector(depth, "depth", np.size(depth))
    reference = _check_vector(reference, "reference", len(depth))
    averages = depth_averages(depth)
    centered = averages @ depth - (averages @ depth).mean()
    if not np.ptp(depth) > 0:
        raise BadDataError(
            "Depth is constant.",
            where="depth",
            found=f"{float(depth[0]):g} for all layers",
            wanted="layers of different depth",
            remedy="give each layer its own depth, from 0 to 1",
        )
    wanted, found = MIN_DEPTHS[model], n_distinct(depth)
    if model == "quadratic" and found < wanted:
        raise BadDataError(
            "A slope beside curvature needs more depths.",
            where="depth",
            found=f"{found} different depths",
            wanted=f"at least {wanted}",
            remedy="take the linear slope",
        )
    bend = [] if model == "linear" else [_bend(centered)]
    return averages, centered, [*_direction(averages @ reference), *bend]


def _bend(centered: FloatArray) -> FloatArray:
    """The square of centered depth, made orthogonal to depth and to a constant."""
    square = centered**2
    return _without(square - square.mean(), [centered])


def _direction(reference: npt.ArrayLike) -> list[FloatArray]:
    """The reference profile without its mean; none where it is constant up to rounding."""
    values = np.asarray(reference, dtype=np.float64)
    deviation = values - values.mean()
    constant = np.linalg.norm(deviation) <= 1e-12 * max(1.0, float(np.abs(values).max()))
    return [] if constant else [deviation]


def _without(vector: FloatArray, others: Sequence[FloatArray]) -> FloatArray:
    """The part of a vector that is orthogonal to others, which may depend on one another."""
    if not others:
        return vector
    columns = np.stack([other / np.linalg.norm(other) for other in others], axis=1)
    basis, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    kept = basis[:, sizes > 1e-7]
    # Twice: rounding of the first pass is taken out by the second.
    rest = vector - kept @ (kept.T @ vector)
    return np.asarray(rest - kept @ (kept.T @ rest))


def _check_profiles(profiles: npt.ArrayLike) -> FloatArray:
    profiles = np.asarray(profiles, dtype=np.float64)
    check_shape("profiles", profiles, "n_layers", "n_vertices")
    return profiles


def _check_vector(values: npt.ArrayLike, name: str, n_layers: int) -> FloatArray:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (n_layers,) or n_layers < 3:
        raise BadDataError(
            "An array does not match the profiles' layers.",
            where=name,
            found=f"shape {values.shape} for {n_layers} layers",
            wanted="one value per layer, at least three layers",
            remedy="give the values of the layers of the profiles, in their order",
        )
    if not np.isfinite(values).all():
        raise BadDataError(
            "An array holds values that are not finite.",
            where=name,
            found=f"{np.count_nonzero(~np.isfinite(values))} of {values.size}",
            wanted="finite values",
            remedy=FINITE,
        )
    return values
