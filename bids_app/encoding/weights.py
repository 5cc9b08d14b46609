"""Weights and held-out predictions, made only on request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.encoding.plan import EncodingPlan
from bids_app.encoding.responses import check_responses, standardize
from bids_app.errors import UsageError, check_shape


def penalty_indices(
    plan: EncodingPlan, alpha: NDArray[np.float64], n_vertices: int
) -> NDArray[np.intp]:
    """Positions of penalties in the plan's grid.

    Parameters
    ----------
    plan : EncodingPlan
    alpha : ndarray, shape (n_folds, n_vertices)
        Penalties.
    n_vertices : int

    Returns
    -------
    ndarray of int, shape (n_folds, n_vertices)
        0 where `alpha` is NaN.

    Raises
    ------
    BadDataError, UsageError
        When the penalties are not one per fold and vertex, or one is not in the grid.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> alpha = np.full((3, 2), plan.alphas[4])
    >>> alpha[:, 1] = np.nan
    >>> penalty_indices(plan, alpha, 2).tolist()
    [[4, 0], [4, 0], [4, 0]]
    """
    check_shape("alpha", alpha, len(plan.folds), n_vertices)
    usable = ~np.isnan(alpha)
    chosen = np.abs(np.log(plan.alphas)[:, None, None] - np.log(alpha)).argmin(axis=0)
    chosen[~usable] = 0
    if not np.allclose(plan.alphas[chosen[usable]], alpha[usable], rtol=1e-6):
        raise UsageError(
            "Penalties that are not in the plan's grid.",
            where="alpha",
            found=f"{np.unique(alpha[usable])[:5].tolist()}",
            wanted="penalties of plan.alphas",
            remedy="give the penalties that a fit of the same plan chose",
        )
    return chosen


def _prepare(
    plan: EncodingPlan, responses: Sequence[NDArray[np.floating]], alpha: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.bool_]]:
    n_vertices = check_responses(plan, responses)
    chosen = penalty_indices(plan, alpha, n_vertices)
    y, bad = standardize(plan, responses, slice(0, n_vertices))
    return y.astype(plan.dtype), chosen, bad


def predict(
    plan: EncodingPlan, responses: Sequence[NDArray[np.floating]], alpha: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Held-out predictions of the z-scored responses.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    responses : list of ndarray, each (n_times, n_vertices)
        As given to :func:`fit_encoding`.
    alpha : ndarray, shape (n_folds, n_vertices)
        Penalties of that fit.

    Returns
    -------
    tuple of ndarray, each (n_kept, n_vertices)
        One per presentation, at its kept rows, centered; NaN at degenerate vertices.

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> weights = rng.standard_normal((8, 1))
    >>> responses = np.split(np.roll(features, 4, axis=0) @ weights, 3)  # 4 s after the music
    >>> fit = fit_encoding(plan, responses, null="none")
    >>> predicted = predict(plan, responses, fit.alpha)
    >>> predicted[0].shape, bool(np.corrcoef(predicted[0][:, 0], responses[0][6:54, 0])[0, 1] > 0.9)
    ((48, 1), True)
    """
    y, chosen, bad = _prepare(plan, responses, alpha)
    out = np.empty((plan.n_rows, y.shape[1]))
    for k, fold in enumerate(plan.fold_plans):
        for index in fold.outer:
            held_out = plan.evaluations[index]
            training = plan.trainings[held_out.training]
            spectrum = training.projector @ y[training.rows]
            spectrum *= training.shrinkage[:, chosen[k]]
            out[held_out.rows] = held_out.cross @ spectrum
    out[:, bad] = np.nan
    sizes = np.cumsum([stop - start for start, stop in plan.rows])[:-1]
    return tuple(np.split(out, sizes))


def dual_weights(
    plan: EncodingPlan, responses: Sequence[NDArray[np.floating]], alpha: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Weights of the training rows, per fold.

    Parameters
    ----------
    plan, responses, alpha
        As in :func:`predict`.

    Returns
    -------
    tuple of ndarray, each (n_kept, n_vertices)
        Over the kept rows of all presentations; zero at rows that do not train the fold.

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> weights = rng.standard_normal((8, 1))
    >>> responses = np.split(np.roll(features, 4, axis=0) @ weights, 3)  # 4 s after the music
    >>> fit = fit_encoding(plan, responses, null="none")
    >>> dual = dual_weights(plan, responses, fit.alpha)
    >>> len(dual), dual[0].shape
    (3, (144, 1))
    >>> not dual[0][:48].any()  # the held-out stimulus has no weight
    True
    """
    y, chosen, bad = _prepare(plan, responses, alpha)
    out = []
    for k, fold in enumerate(plan.fold_plans):
        training = plan.trainings[plan.evaluations[fold.outer[0]].training]
        spectrum = training.projector @ y[training.rows]
        spectrum *= training.shrinkage[:, chosen[k]]
        weights = np.zeros((plan.n_rows, y.shape[1]))
        weights[training.rows] = training.projector.T @ spectrum
        weights[:, bad] = np.nan
        out.append(weights)
    return tuple(out)


def impulse_responses(
    plan: EncodingPlan,
    features: Sequence[NDArray[np.floating]],
    dual: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Back-project dual weights of one fold to the units of the features.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    features : list of ndarray, each (n_times, n_units)
        The features behind the plan's Gram matrix, or some of their units.
    dual : ndarray, shape (n_kept, n_vertices)
        From :func:`dual_weights`.

    Returns
    -------
    ndarray, shape (n_delays, n_units, n_vertices)
        Change of the z-scored response per unit of the feature, at every delay.

    Raises
    ------
    BadDataError
        When the features' samples are not those of the plan.

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> weights = rng.standard_normal((8, 1))
    >>> responses = np.split(np.roll(features, 4, axis=0) @ weights, 3)  # 4 s after the music
    >>> fit = fit_encoding(plan, responses, null="none")
    >>> dual = dual_weights(plan, responses, fit.alpha)
    >>> impulse = impulse_responses(plan, np.split(features, 3), dual[0])
    >>> impulse.shape, plan.shifts[np.abs(impulse).sum(axis=(1, 2)).argmax()].item()
    ((5, 8, 1), 4)
    """
    check_shape("features", features, len(plan.lengths))
    for i, (feature, length) in enumerate(zip(features, plan.lengths, strict=True)):
        check_shape(f"features[{i}]", feature, length, "n_units")
    out = np.zeros((plan.shifts.size, features[0].shape[1], dual.shape[1]))
    for segment in plan.segments:
        x = np.asarray(features[segment.block], dtype=np.float64)
        part = dual[segment.offset : segment.offset + segment.size]
        for i, shift in enumerate(plan.shifts):
            delayed = x[segment.start - shift : segment.stop - shift]
            out[i] += (delayed - delayed.mean(axis=0)).T @ part
    return out / plan.scale
