"""Classes of noise: autoregressive and fractional processes with shares of white noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# The grid: autoregressive processes by their autocorrelation at one sample and their partial
# autocorrelation at two; fractional noise by the exponent of its memory (power falls with the
# frequency to twice that); and the share of white noise in the variance before any filter.
AUTOCORRELATIONS = (0.2, 0.45, 0.65, 0.8, 0.9, 0.96)
PARTIAL = (-0.5, -0.25, 0.0)
MEMORY = (0.25, 0.38, 0.48)
WHITE_SHARES = (0.0, 0.25, 0.5, 0.75)


def noise_grid() -> FloatArray:
    """Parameters of every class, (n_classes, 4), as `NoiseClasses.parameters` has them.

    Examples
    --------
    >>> noise_grid().shape, noise_grid()[0].tolist()
    ((85, 4), [0.0, 0.0, 0.0, 1.0])
    """
    recursive = [(rho, partial, 0.0) for rho in AUTOCORRELATIONS for partial in PARTIAL]
    fractional = [(d / (1 - d), d / (2 - d), d) for d in MEMORY]
    colored = [(*p, share) for p in (*recursive, *fractional) for share in WHITE_SHARES]
    return np.array([(0.0, 0.0, 0.0, 1.0), *colored])


def autocorrelation(process: FloatArray, n_lags: int) -> FloatArray:
    """Autocorrelation of one process, white noise apart.

    Parameters
    ----------
    process : ndarray, shape (3,)
        The first numbers of a class.
    n_lags : int

    Returns
    -------
    ndarray, shape (n_lags,)

    Examples
    --------
    >>> autocorrelation(np.array([0.5, 0.0, 0.0]), 4).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """
    rho, partial, memory = process
    out = np.ones(max(n_lags, 2))
    out[1] = rho
    for lag in range(2, len(out)):
        if memory:
            out[lag] = out[lag - 1] * (lag - 1 + memory) / (lag - memory)
        else:
            out[lag] = rho * (1 - partial) * out[lag - 1] + partial * out[lag - 2]
    return out[:n_lags]


def autocorrelations(n_lags: int) -> FloatArray:
    """Autocorrelation of every process.

    Parameters
    ----------
    n_lags : int

    Returns
    -------
    ndarray, shape (n_lags, n_processes)
        Classes after the first are these with every share of white noise in turn.

    Examples
    --------
    >>> autocorrelations(3).shape
    (3, 21)
    """
    processes = noise_grid()[1 :: len(WHITE_SHARES), :3]
    return np.stack([autocorrelation(process, n_lags) for process in processes], axis=1)
