"""The choices of the LEA toolbox (Linearized Encoding Analysis, S.-G. Kim, 2024), reimplemented.

Series on a regular grid from zero with missing values as zero; delayed columns and responses
z-scored within each stimulus (N - 1); an unpenalized bias, which z-scoring makes zero; raw
penalties; the smallest penalty at the minimum of the summed inner squared error; plain mean of r.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, linalg

from bids_app.encoding.gram import delay_samples, delayed_features, kept_rows
from bids_app.encoding.plan import (
    EncodingPlan,
    check_alphas,
    check_stimuli,
    plan_from_kernel,
)
from bids_app.encoding.resolution import groups
from bids_app.encoding.responses import standardize
from bids_app.encoding.weights import penalty_indices
from bids_app.errors import BadDataError, UsageError, check_shape
from bids_app.seeds import generator
from bids_app.statistics import benjamini_hochberg

LEA_ALPHAS: tuple[float, ...] = tuple((10.0 ** np.arange(-5, 5.25, 0.5)).tolist())


def regular_series(times: ArrayLike, values: ArrayLike, tr: float) -> NDArray[np.float64]:
    """A series on the grid 0, tr, 2 tr, ... up to its last sample.

    Parameters
    ----------
    times : array_like, shape (n_samples,)
        Seconds, increasing.
    values : array_like, shape (n_samples,) or (n_samples, n_columns)
        Samples.
    tr : float
        Step of the grid in seconds.

    Returns
    -------
    ndarray, shape (n_times, n_columns)
        Linear interpolation; zero before the first sample and where a value is missing.

    Raises
    ------
    BadDataError
        When the times do not increase, fit the values, or reach zero.

    Examples
    --------
    >>> regular_series([0.5, 1.5, 2.5], [1.0, 3.0, 5.0], tr=1.0).ravel().tolist()
    [0.0, 2.0, 4.0]
    """
    t = np.asarray(times, dtype=np.float64)
    x = np.asarray(values, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    check_shape("times", t, len(x))
    if not t.size or not np.isfinite(t).all() or np.any(np.diff(t) <= 0) or t[-1] < 0:
        raise BadDataError(
            "Times must increase and end after zero.",
            where="times",
            found=f"{t.size} times" + (f" from {t[0]:g} to {t[-1]:g} s" if t.size else ""),
            wanted="finite times in seconds, each later than the one before",
            remedy="sort the rows by time and remove repeated ones",
        )
    grid = np.arange(int(np.floor(t[-1] / tr + 1e-9)) + 1) * tr
    columns = [np.interp(grid, t, column, left=0.0, right=0.0) for column in x.T]
    return np.nan_to_num(np.stack(columns, axis=1), nan=0.0)


def _high_passed(series: NDArray[np.float64], tr: float, cutoff: float) -> NDArray[np.float64]:
    """Remove the discrete cosines slower than a cutoff in seconds, and the mean."""
    n_slow = int(np.floor(2 * series.shape[0] * tr / cutoff)) + 1
    transformed = fft.dct(series, axis=0, norm="ortho")
    transformed[:n_slow] = 0
    return fft.idct(transformed, axis=0, norm="ortho")


def lea_series(
    features: Sequence[NDArray[Any]],
    responses: Sequence[NDArray[Any]],
    *,
    tr: float,
    feature_times: Sequence[ArrayLike] | None,
    response_times: Sequence[ArrayLike] | None,
    high_pass: float | None,
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Features and responses on one grid, up to the end of the shorter of both.

    Parameters
    ----------
    features, responses : list of ndarray
        One per stimulus; lengths may differ.
    tr : float
        Step of the grid in seconds.
    feature_times, response_times : list of array_like, optional
        Seconds of the samples; default 0, tr, 2 tr, ...
    high_pass : float, optional
        Cutoff in seconds of a discrete cosine high-pass of both.

    Returns
    -------
    features, responses : list of ndarray
        The same number of samples in each stimulus.

    Raises
    ------
    BadDataError, UsageError
        When times do not match series, or `high_pass` is not positive.

    Examples
    --------
    >>> x, y = lea_series(
    ...     [np.ones((20, 3))],
    ...     [np.ones((18, 5))],
    ...     tr=1.0,
    ...     feature_times=[np.arange(20) + 0.5],
    ...     response_times=None,
    ...     high_pass=None,
    ... )
    >>> x[0].shape, y[0].shape
    ((18, 3), (18, 5))
    """

    def regular(
        series: Sequence[NDArray[Any]], times: Sequence[ArrayLike] | None, name: str
    ) -> list[NDArray[np.float64]]:
        if times is not None:
            check_shape(name, times, len(series))
        return [
            regular_series(np.arange(len(s)) * tr if times is None else times[i], s, tr)
            for i, s in enumerate(series)
        ]

    x = regular(features, feature_times, "feature_times")
    y = regular(responses, response_times, "response_times")
    ends = [min(len(a), len(b)) for a, b in zip(x, y, strict=True)]
    x = [a[:end] for a, end in zip(x, ends, strict=True)]
    y = [b[:end] for b, end in zip(y, ends, strict=True)]
    if high_pass is not None:
        if not high_pass > 0:
            raise UsageError(
                "high_pass must be positive.",
                where="high_pass",
                found=high_pass,
                wanted="a period in seconds, above 0",
                remedy="give for example 128, or None for no filter",
            )
        x, y = ([_high_passed(a, tr, high_pass) for a in s] for s in (x, y))
    return x, y


def standardized_design(
    feature: NDArray[np.float64], shifts: NDArray[np.intp], rows: tuple[int, int]
) -> NDArray[np.float64]:
    """Delayed columns of one stimulus, z-scored with N - 1; constant columns become zero.

    Parameters
    ----------
    feature : ndarray, shape (n_times, n_units)
    shifts : ndarray of int, shape (n_delays,)
        Delays in samples.
    rows : (start, stop)
        Kept rows.

    Returns
    -------
    ndarray, shape (stop - start, n_delays x n_units)

    Examples
    --------
    >>> found = standardized_design(np.arange(6.0)[:, np.newaxis] ** 2, np.array([1, 2]), (2, 6))
    >>> found.shape, found.std(axis=0, ddof=1).round(6).tolist()
    ((4, 2), [1.0, 1.0])
    """
    columns = delayed_features(feature, shifts, rows)
    columns -= columns.mean(axis=0)
    sd = columns.std(axis=0, ddof=1)
    varies = sd > 1e-12 * np.abs(feature).max(initial=1e-300)
    return np.where(varies, columns / np.where(varies, sd, 1), 0.0)


def plan_lea(
    features: Sequence[NDArray[np.float64]],
    *,
    stimuli: Sequence[str] | None,
    delays: tuple[float, float],
    crop: float,
    tr: float,
    alphas: ArrayLike | None,
) -> tuple[EncodingPlan, list[NDArray[np.float64]]]:
    """Plan on explicit standardized columns, in float64 with raw penalties.

    Parameters
    ----------
    features : list of ndarray, each (n_times, n_units)
        From :func:`lea_series`.
    stimuli, delays, crop, tr, alphas
        As in :func:`nested_ridge`; penalties default to 10^(-5:0.5:5).

    Returns
    -------
    EncodingPlan
        One fold per stimulus.
    list of ndarray, each (n_kept, n_units * n_delays)
        The standardized columns.

    Raises
    ------
    BadDataError
        With fewer than three stimuli: nothing would be left to choose the penalty on.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> features = [rng.standard_normal((60, 4)) for _ in range(3)]
    >>> plan, columns = plan_lea(
    ...     features, stimuli=None, delays=(2.0, 4.0), crop=6.0, tr=1.0, alphas=None
    ... )
    >>> len(plan.folds), columns[0].shape  # 48 rows kept, 4 units at 3 delays
    (3, (48, 12))
    """
    labels = check_stimuli(stimuli, len(features))
    if len(set(labels)) < 3:
        raise BadDataError(
            "The lea preset needs three stimuli.",
            where="features",
            found=f"{len(set(labels))}",
            wanted="at least 3",
            remedy="leave the preset out",
        )
    shifts = delay_samples(delays, tr)
    lengths = [len(f) for f in features]
    rows = kept_rows(lengths, shifts, crop, tr)
    designs = [standardized_design(f, shifts, r) for f, r in zip(features, rows, strict=True)]
    stacked = np.concatenate(designs)
    if not stacked.any():
        raise BadDataError(
            "The features do not vary over the kept rows.",
            where="features",
            found="only constants",
            wanted="features that vary within a stimulus",
            remedy="leave this layer out, or use a shorter crop",
        )
    plan = plan_from_kernel(
        stacked @ stacked.T,
        lengths,
        rows,
        labels,
        shifts=shifts,
        tr=tr,
        alphas=check_alphas(LEA_ALPHAS if alphas is None else alphas),
        ddof=1,
        plain_mean=True,
        leave_one_out=True,
        dtype=np.float64,
    )
    return plan, designs


def _randomized(series: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Phases of every unit drawn independently; constant and Nyquist terms stay."""
    transformed = np.fft.rfft(series, axis=0)
    n_free = (series.shape[0] - 1) // 2
    phases = rng.uniform(-np.pi, np.pi, (n_free, series.shape[1]))
    transformed[1 : n_free + 1] *= np.exp(1j * phases)
    return np.fft.irfft(transformed, n=series.shape[0], axis=0)


def lea_null(
    plan: EncodingPlan,
    features: Sequence[NDArray[np.float64]],
    responses: Sequence[NDArray[np.float64]],
    alpha: NDArray[np.float64],
    mean_r: NDArray[np.float64],
    *,
    n_draws: int = 1000,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Null of the toolbox: features with independent random phases per unit, penalties fixed.

    Parameters
    ----------
    plan : EncodingPlan
        From :func:`plan_lea`.
    features, responses : list of ndarray
        From :func:`lea_series`.
    alpha : ndarray, shape (n_folds, n_vertices)
        Penalties of the observed fit.
    mean_r : ndarray, shape (n_vertices,)
        Observed mean r.
    n_draws : int
        Randomizations.
    seed : int
        Seed; the draws depend on nothing else.

    Returns
    -------
    p, q : ndarray, shape (n_vertices,)
        (1 + b) / (1 + n) and Benjamini-Hochberg.
    draws : ndarray, shape (n_draws, n_vertices)
        Mean r under the null.

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = [rng.standard_normal((60, 4)) for _ in range(3)]
    >>> responses = [
    ...     np.stack([np.roll(x[:, 0], 3), rng.standard_normal(60)], axis=1) for x in features
    ... ]
    >>> plan, _ = plan_lea(features, stimuli=None, delays=(2.0, 4.0), crop=6.0, tr=1.0, alphas=None)
    >>> fit = fit_encoding(plan, responses, selection="sse", null="none")
    >>> p, q, draws = lea_null(plan, features, responses, fit.alpha, fit.mean_r, n_draws=19, seed=0)
    >>> p.tolist(), draws.shape
    ([0.05, 0.65], (19, 2))
    """
    y, bad = standardize(plan, responses, slice(0, responses[0].shape[1]))
    chosen = penalty_indices(plan, alpha, y.shape[1])
    draws = np.zeros((n_draws, y.shape[1]))
    for draw in range(n_draws):
        rng = generator(seed, "phases of units", draw)
        design = np.concatenate(
            [
                standardized_design(_randomized(f, rng), plan.shifts, r)
                for f, r in zip(features, plan.rows, strict=True)
            ]
        )
        kernel = design @ design.T
        for k, fold in enumerate(plan.folds):
            train, tests = fold.outer.train, fold.outer.tests
            values, vectors = linalg.eigh(kernel[np.ix_(train, train)])
            spectrum = vectors.T @ y[train]
            for a, vertices in groups(chosen[k]):
                dual = vectors @ (
                    spectrum[:, vertices] / (np.maximum(values, 0) + plan.alphas[a])[:, None]
                )
                for test in tests:
                    predicted, target = kernel[np.ix_(test, train)] @ dual, y[test][:, vertices]
                    norm = np.linalg.norm(predicted, axis=0) * np.linalg.norm(target, axis=0)
                    product = (predicted * target).sum(axis=0)
                    r = np.divide(product, norm, out=np.zeros_like(product), where=norm > 0)
                    draws[draw, vertices] += r / (len(tests) * len(plan.folds))
    draws[:, bad] = np.nan
    p = np.where(bad, np.nan, (1 + (draws >= mean_r).sum(axis=0)) / (1 + n_draws))
    return p, benjamini_hochberg(p), draws
