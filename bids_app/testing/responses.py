"""Planted responses to music: features of a layer, a linear functional, an HRF.

A vertex responds to one layer through a fixed linear functional of that layer's units, the same
for every stimulus. It is drawn in patch-rate Gram space: with U the leading eigenvectors of the
joint Gram matrix over all stimuli and x a random series, the response is U U'x. Each column of U is
a linear combination of the units, hence so is the response. The leading components weigh equally:
with an independent weight for every unit the first components, which all layers share, would carry
nearly all of the variance, and layers could hardly be distinguished. Since U U' does not
depend on the signs or the rotation of eigenvectors, layers with similar features respond similarly
to the same x.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, sparse
from scipy.signal import lfilter
from scipy.stats import gamma

from bids_app.errors import BadDataError

FloatArray = NDArray[np.float64]

HRF_SECONDS = 32.0


def canonical_hrf(step: float) -> FloatArray:
    """Double-gamma hemodynamic response of SPM, sampled every `step` seconds, unit sum.

    Parameters
    ----------
    step : float
        Seconds.

    Returns
    -------
    (n_samples,) float64
        Lags 0 to 32 s; peak at 5 s, undershoot at 15 s, ratio 6 (Friston et al. 1998).
    """
    lags = np.arange(0.0, HRF_SECONDS, step)
    response = gamma.pdf(lags, 6.0) - gamma.pdf(lags, 16.0) / 6.0
    return np.asarray(response / response.sum())


def hemodynamic_operator(
    patch_times: ArrayLike, times: ArrayLike, duration: float, step: float = 0.12
) -> sparse.csr_matrix:
    """Carry a patch series to volumes: interpolate, convolve with the HRF, sample.

    Parameters
    ----------
    patch_times : (n_patches,) array
        Centers of the patches, seconds into the music, ascending.
    times : (n_times,) array
        When the volumes were taken, seconds into the music; may be negative or beyond the end.
    duration : float
        Seconds of music: there is no drive before 0 and after `duration`.
    step : float
        Of the convolution, seconds.

    Returns
    -------
    (n_times, n_patches) CSR
        Linear interpolation between centers; the first and last patch are held to the borders.

    Raises
    ------
    BadDataError
        If the patch times are not an ascending series of at least two.
    """
    centers = np.asarray(patch_times, float)
    if centers.ndim != 1 or centers.size < 2 or np.any(np.diff(centers) <= 0):
        raise BadDataError(
            "Patch times must ascend.",
            where="patch_times",
            found=f"shape {centers.shape}",
            wanted="at least two ascending times",
            remedy="sort the patches by time",
        )
    volumes = np.asarray(times, float)
    kernel = canonical_hrf(step)
    heard = volumes[:, None] - step * np.arange(kernel.size)
    plays = (heard >= 0.0) & (heard <= duration)
    position = np.interp(heard[plays], centers, np.arange(centers.size))
    lower = np.minimum(position.astype(np.int64), centers.size - 2)
    upper_weight = position - lower
    row, lag = np.nonzero(plays)
    weight = kernel[lag]
    values = np.concatenate([weight * (1.0 - upper_weight), weight * upper_weight])
    rows, columns = np.concatenate([row, row]), np.concatenate([lower, lower + 1])
    return sparse.csr_matrix((values, (rows, columns)), shape=(volumes.size, centers.size))


def leading_components(gram: ArrayLike, n_components: int) -> FloatArray:
    """Leading eigenvectors of a Gram matrix.

    Parameters
    ----------
    gram : (n_patches, n_patches) array
        Symmetric, positive semidefinite.
    n_components : int
        How many; fewer are returned where the rank is lower.

    Returns
    -------
    (n_patches, n_components) float64
        Orthonormal, that of the largest eigenvalue first.

    Raises
    ------
    BadDataError
        If the matrix is not square or has no positive eigenvalue.
    """
    matrix = np.asarray(gram, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise BadDataError(
            "A Gram matrix must be square.",
            where="gram",
            found=matrix.shape,
            wanted="(n_rows, n_rows)",
            remedy="give features @ features.T",
        )
    n_rows = matrix.shape[0]
    first = max(0, n_rows - n_components)
    values, vectors = linalg.eigh(matrix, subset_by_index=(first, n_rows - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    if not values[0] > 0:
        raise BadDataError(
            "A Gram matrix without any positive eigenvalue.",
            where="gram",
            found=f"largest {values[0]:g}",
            wanted="an eigenvalue above 0",
            remedy="see whether the features are constant",
        )
    return np.asarray(vectors[:, values > 1e-9 * values[0]])


def plant_responses(
    components: Mapping[int, FloatArray],
    operators: sparse.csr_matrix,
    layers: NDArray[np.int64],
    drive: FloatArray,
    basis: sparse.csr_matrix,
) -> FloatArray:
    """Responses of all vertices to the layer planted at each.

    Parameters
    ----------
    components : mapping from layer to (n_patches, k) array
        As `leading_components` gives them, of the joint Gram matrix over all stimuli.
    operators : (n_times, n_patches) CSR
        Block-diagonal: `hemodynamic_operator` of every run.
    layers : (n_vertices,) int
        Planted layer, 0 where there is no response.
    drive : (n_patches, n_bumps) float64
        Random series, one per bump of `basis`.
    basis : (n_bumps, n_vertices) CSR
        Smooth bumps over cortex: neighbors share most of their functional.

    Returns
    -------
    (n_times, n_vertices) float64
        Mean 0 within the whole, unit variance over all times together; zeros where silent.
    """
    n_times = operators.shape[0]
    responses = np.zeros((n_times, layers.size))
    for layer in np.unique(layers[layers > 0]):
        vectors = components[int(layer)]
        where = np.flatnonzero(layers == layer)
        functional = basis[:, where].T @ (vectors.T @ drive).T
        responses[:, where] = (operators @ vectors) @ functional.T
    return standardize(responses)


def autocorrelated(
    shape: tuple[int, int], lengths: list[int], coefficient: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw AR(1) noise of unit variance, (n_series, n_times), independent between runs."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    start = 0
    gain = np.float32(np.sqrt(1.0 - coefficient**2))
    for length in lengths:
        run = slice(start, start + length)
        # The first sample already has the variance of the rest.
        noise[:, start + 1 : start + length] *= gain
        noise[:, run] = lfilter([1.0], np.array([1.0, -coefficient], np.float32), noise[:, run])
        start += length
    return noise


def standardize(series: NDArray[Any]) -> NDArray[Any]:
    """Remove the mean over time and scale to unit variance; constant columns become zero.

    Parameters
    ----------
    series : (n_times, n_series) array
        Keeps its precision; sums are taken in double precision.

    Returns
    -------
    (n_times, n_series) array
        Of the same type.
    """
    centered = series - series.mean(axis=0, dtype=np.float64).astype(series.dtype)
    deviation = centered.std(axis=0, dtype=np.float64)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-12)
    return np.asarray(centered * scale.astype(series.dtype))
