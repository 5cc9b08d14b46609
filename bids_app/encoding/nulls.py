"""Closed form of the phase-rotation null of the mean cross-validated correlation.

Under the null every stimulus' response keeps its amplitude spectrum and gets random Fourier
phases, the same in training and testing; penalties stay. The standard deviation of the mean r
over folds then follows from power spectra and the resolution matrices, without refits.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bids_app.encoding.resolution import Resolution, groups, run_segments, run_tasks


def gaussian_p(statistic: NDArray[np.float64], sd: NDArray[np.float64]) -> NDArray[np.float64]:
    """One-sided p of a statistic with mean zero and known standard deviation under the null.

    Parameters
    ----------
    statistic, sd : ndarray
        Of the same shape.

    Returns
    -------
    ndarray
        NaN where either is NaN or the standard deviation is zero.

    Examples
    --------
    >>> gaussian_p(np.array([0.0, 1.96, np.nan]), np.ones(3)).round(3).tolist()
    [0.5, 0.025, nan]
    """
    z = np.divide(statistic, sd, out=np.full(np.shape(statistic), np.nan), where=sd > 0)
    return special.ndtr(-z)


class AnalyticNull:
    """Closed-form standard deviation of the mean r under phase rotation of the responses.

    Parameters
    ----------
    resolution : Resolution
        Of the plan; weights that depend on it alone are made once.
    """

    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self._made: dict[tuple[int, int], tuple[NDArray[Any], NDArray[Any]]] = {}

    def _drop_nyquist(self, weights: NDArray[Any], segment: int, source: int) -> None:
        """The product of two Nyquist terms has no random phase, so no variance."""
        segments = self.resolution.segments
        if segments[segment].size % 2 == 0 and segments[source].size % 2 == 0:
            weights[-1, -1] = 0

    def _power_weights(self, segment: int, alpha: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Weights of power spectra in the variance of y'p, and in the energy of p."""
        if (segment, alpha) not in self._made:
            numerators, energies = [], []
            matrices, n_freq = self.resolution.matrices(segment, alpha), self.resolution.n_freq
            for i, matrix in zip(self.resolution.sources[segment], matrices, strict=True):
                planes = matrix.reshape(2, n_freq[segment], 2, n_freq[i])
                squared = np.einsum("afbg,afbg->fg", planes, planes)
                energies.append(squared.sum(axis=0))
                self._drop_nyquist(squared, segment, i)
                numerators.append(squared)
            self._made[segment, alpha] = (
                np.concatenate(numerators, axis=1),
                np.concatenate(energies),
            )
        return self._made[segment, alpha]

    def _power(self, coefficients: NDArray[Any]) -> list[NDArray[Any]]:
        """Power of every segment per signed frequency, (n_vertices, n_freq)."""
        out = []
        for columns, n, segment in zip(
            self.resolution.columns,
            self.resolution.n_freq,
            self.resolution.segments,
            strict=True,
        ):
            part = coefficients[:, columns]
            power = 0.5 * (part[:, :n] ** 2 + part[:, n:] ** 2)
            if segment.size % 2 == 0:
                power[:, -1] *= 2
            out.append(power)
        return out

    def standard_deviation(
        self,
        coefficients: NDArray[Any],
        chosen: NDArray[np.intp],
        total: NDArray[np.float64],
        n_threads: int = 1,
    ) -> NDArray[np.float64]:
        """Standard deviation of the mean r at fixed penalties.

        Parameters
        ----------
        coefficients : ndarray, shape (n_vertices, n_coefficients)
            Fourier coefficients of the standardized responses.
        chosen : ndarray of int, shape (n_folds, n_vertices)
            Index of the penalty per fold.
        total : ndarray, shape (n_segments, n_vertices)
            Squared norms of the responses.
        n_threads : int
            Groups of vertices worked on at a time.

        Returns
        -------
        ndarray, shape (n_vertices,)
        """
        return self.of_power(self._power(coefficients), chosen, total, n_threads)

    def of_power(
        self,
        power: list[NDArray[Any]],
        chosen: NDArray[np.intp],
        total: NDArray[np.float64],
        n_threads: int = 1,
    ) -> NDArray[np.float64]:
        """The same for responses of any given spectra.

        Parameters
        ----------
        power : list of ndarray, each (n_vertices, n_freq)
            Per segment and signed frequency: half the sum of the squares of cosine and sine; at
            the Nyquist frequency the square of the cosine.
        chosen, total, n_threads
            As in :meth:`standard_deviation`; one total may serve all vertices.

        Returns
        -------
        ndarray, shape (n_vertices,)
        """
        fold_of = self.resolution.fold_of
        n_held_out = np.bincount(fold_of)
        share = 1 / (n_held_out.size * n_held_out[fold_of])
        numerator, energy = self._variances(power, chosen, n_threads)
        with np.errstate(divide="ignore", invalid="ignore"):
            # The first-order scale of r: ratio of expectations.
            scale = share[:, None] / np.sqrt(energy * total)
            variance = (numerator * scale**2).sum(axis=0)
            for b, c in combinations(range(len(fold_of)), 2):
                if c in self.resolution.sources[b] and b in self.resolution.sources[c]:
                    shared = self._covariance(b, c, power, chosen, n_threads)
                    variance += 2 * shared * scale[b] * scale[c]
        return np.sqrt(np.maximum(variance, 0))

    def _variances(
        self, power: list[NDArray[Any]], chosen: NDArray[np.intp], n_threads: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variance of y'p and expectation of p'p for every held-out segment."""
        shape = (len(power), chosen.shape[1])
        numerator, energy = np.zeros(shape), np.zeros(shape)

        def task(segment: int, alpha: int, vertices: NDArray[np.intp]) -> None:
            sources = self.resolution.sources[segment]
            weights, energies = self._power_weights(segment, alpha)
            picked = np.concatenate([power[i][vertices] for i in sources], axis=1)
            numerator[segment, vertices] = np.einsum(
                "vf,vf->v", picked @ weights.T, power[segment][vertices]
            )
            energy[segment, vertices] = picked @ energies

        run_segments(task, self.resolution.fold_of, chosen, n_threads)
        return numerator, energy

    def _covariance(
        self,
        b: int,
        c: int,
        power: list[NDArray[Any]],
        chosen: NDArray[np.intp],
        n_threads: int,
    ) -> NDArray[np.float64]:
        """Covariance of y_b'p_b and y_c'p_c, which share y_b'M y_c and y_c'M y_b."""
        n_alphas = int(chosen.max()) + 1
        fold_of, sources = self.resolution.fold_of, self.resolution.sources
        n_b, n_c = self.resolution.n_freq[b], self.resolution.n_freq[c]
        out = np.zeros(chosen.shape[1])
        used = np.unique(chosen[fold_of[c]]).tolist()
        matrices = {a: self.resolution.matrices(c, a)[sources[c].index(b)] for a in used}
        backward = {a: np.ascontiguousarray(m.T) for a, m in matrices.items()}

        def task(item: tuple[int, NDArray[np.intp]]) -> None:
            pair, vertices = item
            forward = self.resolution.matrices(b, pair // n_alphas)[sources[b].index(c)]
            product = forward * backward[pair % n_alphas]
            weights = product[:n_b, :n_c] + product[:n_b, n_c:]
            weights += product[n_b:, :n_c]
            weights += product[n_b:, n_c:]
            self._drop_nyquist(weights, b, c)
            weighted = power[b][vertices] @ weights
            out[vertices] = np.einsum("vg,vg->v", weighted, power[c][vertices])

        pairs = chosen[fold_of[b]] * n_alphas + chosen[fold_of[c]]
        run_tasks(task, groups(pairs), n_threads)
        return out
