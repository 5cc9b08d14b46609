"""Nested cross-validated ridge regression on explicit features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bids_app.encoding.gram import feature_gram
from bids_app.encoding.lea import lea_series, plan_lea
from bids_app.encoding.plan import DEFAULT_ALPHAS, EncodingPlan, plan_encoding
from bids_app.encoding.ridge import EncodingResult, fit_encoding
from bids_app.encoding.weights import dual_weights, impulse_responses, predict
from bids_app.errors import FINITE, ONE_OF_THESE, BadDataError, UsageError, check_shape


def check_features(
    features: Sequence[ArrayLike], responses: Sequence[ArrayLike], *, same_length: bool = True
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Features and responses as lists of two-dimensional arrays that fit together.

    Parameters
    ----------
    features, responses : sequence of array_like, each (n_times,) or (n_times, n_columns)
        One per stimulus.
    same_length : bool
        Whether both must have the same number of samples in each stimulus.

    Returns
    -------
    features : list of ndarray, each (n_times, n_units)
    responses : list of ndarray, each (n_times, n_vertices)

    Raises
    ------
    BadDataError
        Naming the argument, when their numbers, lengths or units disagree, when there are no
        samples in common, or features are not finite.

    Examples
    --------
    >>> x, y = check_features([np.zeros(9)], [np.zeros((9, 4))])
    >>> x[0].shape, y[0].shape
    ((9, 1), (9, 4))
    """
    x = [np.atleast_1d(f) for f in features]
    y = [np.atleast_1d(r) for r in responses]
    x = [f[:, None] if f.ndim == 1 else f for f in x]
    y = [r[:, None] if r.ndim == 1 else r for r in y]
    check_shape("responses", y, len(x) or "n_stimuli")
    n_units: int | str = "n_units"
    n_vertices: int | str = "n_vertices"
    for i, (f, r) in enumerate(zip(x, y, strict=True)):
        n_times = len(f) if same_length else 0
        check_shape(f"responses[{i}]", r, n_times or "n_times", n_vertices)
        check_shape(f"features[{i}]", f, "n_times", n_units)
        n_units, n_vertices = f.shape[1], r.shape[1]
        if same_length and not np.isfinite(f).all():
            raise BadDataError(
                "features hold NaN or infinity.",
                where=f"features[{i}]",
                found=f"{np.count_nonzero(~np.isfinite(f))} such values in shape {f.shape}",
                wanted="finite values",
                remedy=FINITE,
            )
    return x, y


def _check_preset(preset: str | None, *of_lea: object) -> None:
    """Whether the preset is known, and has the arguments that belong to it."""
    if preset not in (None, "lea"):
        raise UsageError(
            "Unknown preset.",
            where="preset",
            found=preset,
            wanted="None or lea",
            remedy=ONE_OF_THESE,
        )
    if preset is None and any(value is not None for value in of_lea):
        raise UsageError(
            "Times and a high-pass belong to the lea preset.",
            where="feature_times, response_times, high_pass",
            remedy='resample before, or use preset="lea"',
        )


def nested_ridge(
    features: Sequence[ArrayLike],
    responses: Sequence[ArrayLike],
    *,
    delays: tuple[float, float],
    crop: float,
    tr: float,
    alphas: ArrayLike | None = None,
    selection: Literal["r", "sse"] = "r",
    preset: Literal["lea"] | None = None,
    stimuli: Sequence[str] | None = None,
    durations: Mapping[str, float] | None = None,
    null: Literal["analytic", "noise", "none"] = "analytic",
    seed: int | None = None,
    weights: bool = False,
    predictions: bool = False,
    feature_times: Sequence[ArrayLike] | None = None,
    response_times: Sequence[ArrayLike] | None = None,
    high_pass: float | None = None,
    dtype: DTypeLike = np.float64,
    n_threads: int = 1,
) -> EncodingResult:
    """Predict responses from delayed features by nested leave-one-stimulus-out ridge regression.

    Parameters
    ----------
    features : list of array, each (n_times, n_units)
        One per presentation of a stimulus; taken as they are, centered after delaying.
    responses : list of array, each (n_times, n_vertices)
        On the same samples; z-scored per presentation over the kept rows.
    delays : (float, float)
        First and last delay in seconds, positive when the response follows the stimulus.
    crop : float
        Seconds left out at both ends.
    tr : float
        Seconds between samples.
    alphas : array_like, optional
        Penalties, strictly increasing, relative to the mean diagonal of the delayed kernel.
        Default: 20 values from 1e-3 to 1e5.
    selection : {"r", "sse"}
        Penalty by mean inner r, or by summed inner squared error.
    preset : {"lea"}, optional
        The choices of the LEA toolbox instead: features and responses may differ in length and
        may miss values (zero), delayed columns and responses are z-scored per stimulus, raw
        penalties 10^(-5:0.5:5), ``selection="sse"`` whatever is given, leave one stimulus out,
        plain mean of r, float64. Its own null is :func:`bids_app.encoding.lea.lea_null`.
    stimuli : sequence of str, optional
        Stimulus of every presentation; repeats share a fold. Default: all differ.
    durations : mapping of str to float, optional
        As for :func:`bids_app.encoding.plan_encoding`.
    null : {"analytic", "noise", "none"}
        Phase-rotation null of the responses in closed form (by refits where a stimulus was
        presented more than once), noise of a vertex' own class, or none.
    seed : int, optional
        Seed of the refits or of the noise estimate, required for both.
    weights : bool
        Return the impulse responses of every unit (with ``lea``: of the z-scored columns).
    predictions : bool
        Return the held-out predictions.
    feature_times, response_times : list of array_like, optional
        With ``lea``: seconds of the samples; default 0, tr, 2 tr, ...
    high_pass : float, optional
        With ``lea``: cutoff in seconds of a discrete cosine high-pass of both.
    dtype : dtype
        Precision of the products; float32 is about three times faster.
    n_threads : int
        Blocks of vertices worked on at a time.

    Returns
    -------
    EncodingResult

    Raises
    ------
    BadDataError, UsageError
        Both ValueErrors, naming the argument.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = [rng.standard_normal((60, 8)) for _ in range(3)]
    >>> weights = rng.standard_normal((8, 1))
    >>> driven = [np.roll(piece, 4, axis=0) @ weights for piece in features]  # 4 s after the music
    >>> responses = [np.hstack([one, rng.standard_normal((60, 1))]) for one in driven]
    >>> result = nested_ridge(features, responses, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> result.r.shape, (result.mean_r > 0.9).tolist(), (result.q < 0.05).tolist()
    ((3, 2), [True, False], [True, False])
    """
    _check_preset(preset, feature_times, response_times, high_pass)
    x, y = check_features(features, responses, same_length=preset is None)
    designs: list[NDArray[np.float64]] | None = None
    if preset == "lea":
        selection = "sse"
        x, y = lea_series(
            x,
            y,
            tr=tr,
            feature_times=feature_times,
            response_times=response_times,
            high_pass=high_pass,
        )
        plan, designs = plan_lea(x, stimuli=stimuli, delays=delays, crop=crop, tr=tr, alphas=alphas)
    else:
        plan = plan_encoding(
            feature_gram(x),
            [f.shape[0] for f in x],
            stimuli=stimuli,
            durations=durations,
            delays=delays,
            crop=crop,
            tr=tr,
            alphas=DEFAULT_ALPHAS if alphas is None else alphas,
            dtype=dtype,
        )
    result = fit_encoding(plan, y, selection=selection, null=null, seed=seed, n_threads=n_threads)
    if weights:
        result = replace(result, weights=_weights(plan, x, designs, y, result.alpha))
    if predictions:
        result = replace(result, predictions=predict(plan, y, result.alpha))
    return result


def _weights(
    plan: EncodingPlan,
    features: Sequence[NDArray[Any]],
    designs: Sequence[NDArray[np.float64]] | None,
    responses: Sequence[NDArray[Any]],
    alpha: NDArray[np.float64],
) -> tuple[NDArray[np.float64], ...]:
    """Impulse responses per fold, (n_delays, n_units, n_vertices)."""
    duals = dual_weights(plan, responses, alpha)
    if designs is None:
        return tuple(impulse_responses(plan, features, dual) for dual in duals)
    columns = np.concatenate(designs)
    shape = (features[0].shape[1], plan.shifts.size, -1)
    return tuple((columns.T @ dual).reshape(shape).transpose(1, 0, 2) for dual in duals)
