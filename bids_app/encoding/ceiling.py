"""How well any model could predict a response to a stimulus that a person heard repeatedly.

What repeats have in common is signal, the rest is noise of which no model knows (noise ceiling).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.errors import TooFewError, check_shape

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RepeatCeiling:
    """Ceilings of a response from repeats of its stimulus.

    Attributes
    ----------
    signal_power : ndarray, shape (n_vertices,)
        Variance over time of the response without noise, unbiased; at or below zero where repeats
        have nothing in common.
    cc_max : ndarray, shape (n_vertices,)
        Largest correlation of any prediction with the mean of the repeats; NaN where the signal
        power is not above zero.
    explainable : ndarray, shape (n_vertices,)
        Share of the variance of one repeat that is signal, corrected for the number of repeats;
        at or below zero where there is none.
    n_undefined : int
        Vertices whose signal power is not above zero.
    """

    signal_power: FloatArray
    cc_max: FloatArray
    explainable: FloatArray
    n_undefined: int

    @property
    def single(self) -> FloatArray:
        """Largest correlation of any prediction with one repeat, (n_vertices,): a ceiling of r."""
        return np.sqrt(np.where(self.explainable > 0, self.explainable, np.nan))


def repeat_ceiling(repeats: ArrayLike) -> RepeatCeiling:
    """Signal power, CC_max and explainable variance from repeats of a stimulus.

    Parameters
    ----------
    repeats : array_like, shape (n_repeats, n_times, n_vertices)
        Responses of one person, sample for sample; NaN at a vertex where one
        is not finite, or constant.

    Returns
    -------
    RepeatCeiling

    Raises
    ------
    BadDataError
        If the array has another shape.
    TooFewError
        With fewer than two repeats.

    Notes
    -----
    With R repeats r_k and population variances over time the signal power is SP = (var(sum r_k) -
    sum var(r_k)) / (R (R - 1)) (Sahani and Linden 2003), CC_max = sqrt(SP / var(mean r_k)) (Schoppe
    et al. 2016, doi:10.3389/fncom.2016.00010). Explainable variance is that of z-scored repeats, EV
    - (1 - EV) / (R - 1) with EV = var(mean), which is their mean correlation over pairs. A ceiling
    of r is a correlation: divide r by `cc_max` or `single`, r squared by a share of variance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> repeats = rng.standard_normal((2000, 1)) + rng.standard_normal((3, 2000, 1))
    >>> found = repeat_ceiling(repeats)  # signal and noise of variance 1
    >>> found.signal_power.round(1).item(), found.explainable.round(1).item()
    (1.0, 0.5)
    >>> bool(abs(found.cc_max[0] - 0.75**0.5) < 0.02)
    True
    """
    series = _checked(repeats)
    n = len(series)
    power = _signal_power(series)
    z = (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, keepdims=True)
    explained = z.mean(axis=0).var(axis=0)
    positive = np.where(power > 0, power, np.nan)
    return RepeatCeiling(
        signal_power=power,
        cc_max=np.sqrt(positive / series.mean(axis=0).var(axis=0)),
        explainable=explained - (1 - explained) / (n - 1),
        n_undefined=int((np.isfinite(power) & ~(power > 0)).sum()),
    )


def normalized_correlation(repeats: ArrayLike, prediction: ArrayLike) -> FloatArray:
    """Correlation of a prediction with the signal of repeated responses (CC_norm).

    Parameters
    ----------
    repeats : array_like, shape (n_repeats, n_times, n_vertices)
        As in :func:`repeat_ceiling`.
    prediction : array_like, shape (n_times, n_vertices)
        Of the response to the stimulus.

    Returns
    -------
    ndarray, shape (n_vertices,)
        cov(mean of the repeats, prediction) / sqrt(var(prediction) SP): the correlation with the
        mean of the repeats over `cc_max`. It may pass 1. NaN where the signal power is not above
        zero or the prediction is constant.

    Raises
    ------
    BadDataError, TooFewError
        As `repeat_ceiling`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.standard_normal((4000, 1))
    >>> repeats = signal + 2 * rng.standard_normal((3, 4000, 1))
    >>> bool(abs(normalized_correlation(repeats, signal)[0] - 1) < 0.1)
    True
    """
    series = _checked(repeats)
    predicted = np.asarray(prediction, dtype=np.float64)
    check_shape("prediction", predicted, *series.shape[1:])
    power = _signal_power(series)
    mean = series.mean(axis=0)
    together = ((mean - mean.mean(axis=0)) * (predicted - predicted.mean(axis=0))).mean(axis=0)
    scale = predicted.var(axis=0) * power
    return together / np.sqrt(np.where(scale > 0, scale, np.nan))


def _checked(repeats: ArrayLike) -> FloatArray:
    series = np.asarray(repeats, dtype=np.float64)
    check_shape("repeats", series, "n_repeats", "n_times", "n_vertices")
    if len(series) < 2:
        raise TooFewError(
            "A ceiling from repeats needs at least two of them.",
            where="repeats",
            found=len(series),
            wanted="two or more",
            remedy="give the series of each hearing of the piece, or leave this ceiling out",
        )
    largest = np.abs(series).max(axis=1)
    with np.errstate(invalid="ignore"):
        moves = np.ptp(series, axis=1) > 1e-10 * largest
    return np.where(moves.all(axis=0), series, np.nan)


def _signal_power(series: FloatArray) -> FloatArray:
    n = len(series)
    whole = series.sum(axis=0).var(axis=0) - series.var(axis=1).sum(axis=0)
    return np.asarray(whole / (n * (n - 1)))
