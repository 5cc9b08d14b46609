"""Closed form of the phase-rotation null of the mean cross-validated correlation.

Under the null every stimulus' response keeps its amplitude spectrum and gets random Fourier
phases, the same in training and testing; penalties stay. The standard deviation of the mean r
over folds then follows from power spectra and the resolution matrices, without refits.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from bids_app.encoding.plan import EncodingPlan


def fourier_basis(n_times: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Orthonormal cosines and sines without the constant.

    Parameters
    ----------
    n_times : int
        Samples.

    Returns
    -------
    cosines, sines : ndarray, shape (n_times, n_times // 2)
        At even lengths the last sine, of the Nyquist frequency, is zero.
    """
    phase = 2 * np.pi / n_times * np.outer(np.arange(n_times), np.arange(1, n_times // 2 + 1))
    cosines, sines = np.cos(phase), np.sin(phase)
    scale = np.full(n_times // 2, np.sqrt(2 / n_times))
    if n_times % 2 == 0:
        scale[-1] /= np.sqrt(2)
        sines[:, -1] = 0
    return cosines * scale, sines * scale


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
    """
    z = np.divide(statistic, sd, out=np.full(np.shape(statistic), np.nan), where=sd > 0)
    return special.ndtr(-z)


class Resolution:
    """Resolution matrices of the outer folds in the real Fourier basis of every segment.

    Fold k predicts its held-out block as M y; in the basis of cosines and sines the random phases
    are rotations in the plane of each frequency.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    """

    def __init__(self, plan: EncodingPlan) -> None:
        self.plan = plan
        self.bases = [fourier_basis(s.size) for s in plan.segments]
        # matrices[segment][alpha][training segment]: (2, n_freq of segment, 2, n_freq of training)
        self.matrices: list[list[dict[int, NDArray[Any]]]] = []
        self.fold_of: list[int] = []
        for segment in range(len(plan.segments)):
            fold = next(k for k, f in enumerate(plan.folds) if segment in f.segments)
            position = plan.folds[fold].segments.index(segment)
            self.fold_of.append(fold)
            self.matrices.append(self._block(plan.fold_plans[fold].outer[position], segment))

    def n_freq(self, segment: int) -> int:
        """Number of frequencies of a segment."""
        return self.bases[segment][0].shape[1]

    def training_segments(self, segment: int) -> list[int]:
        """Segments that train the fold in which this one is held out, ascending."""
        return sorted(self.matrices[segment][0])

    def _block(self, evaluation: int, segment: int) -> list[dict[int, NDArray[Any]]]:
        held_out = self.plan.evaluations[evaluation]
        training = self.plan.trainings[held_out.training]
        basis = np.concatenate(self.bases[segment], axis=1)
        left = (basis.T @ held_out.cross.astype(np.float64)).astype(np.float32)
        right: list[NDArray[np.float32]] = []
        sources, places = [], [0]
        for i, source in enumerate(self.plan.segments):
            columns = np.flatnonzero(
                (training.rows >= source.offset) & (training.rows < source.offset + source.size)
            )
            if columns.size == 0:
                continue
            basis = np.concatenate(self.bases[i], axis=1)[training.rows[columns] - source.offset]
            right.append((training.projector[:, columns] @ basis).astype(np.float32))
            sources.append(i)
            places.append(places[-1] + basis.shape[1])
        joined = np.concatenate(right, axis=1)
        out: list[dict[int, NDArray[Any]]] = []
        for a in range(self.plan.alphas.size):
            shrinkage = training.shrinkage[:, a].astype(np.float32)
            whole: NDArray[Any] = (left * shrinkage) @ joined
            out.append(
                {
                    i: np.ascontiguousarray(whole[:, places[n] : places[n + 1]]).reshape(
                        2, self.n_freq(segment), 2, self.n_freq(i)
                    )
                    for n, i in enumerate(sources)
                }
            )
        return out


class AnalyticNull:
    """Closed-form standard deviation of the mean r under phase rotation of the responses.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side; what depends on it alone is computed once.
    """

    def __init__(self, plan: EncodingPlan) -> None:
        self.plan = plan
        self.resolution = Resolution(plan)
        n_alphas = plan.alphas.size
        # Per held-out segment and penalty: weights of power spectra in numerator and energy.
        self._numerator: list[list[NDArray[np.float32]]] = []
        self._energy: list[list[NDArray[np.float32]]] = []
        for segment, per_alpha in enumerate(self.resolution.matrices):
            sources = self.resolution.training_segments(segment)
            numerators, energies = [], []
            for a in range(n_alphas):
                squared = [self._power(per_alpha[a][i], segment, i) for i in sources]
                energies.append(np.concatenate([e for _, e in squared]))
                numerators.append(np.concatenate([n for n, _ in squared], axis=1))
            self._numerator.append(numerators)
            self._energy.append(energies)

    def _power(
        self, matrix: NDArray[np.float32], segment: int, source: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        squared = np.einsum("afbg,afbg->fg", matrix, matrix)
        energy = squared.sum(axis=0)
        self._drop_nyquist(squared, segment, source)
        return squared, energy

    def _drop_nyquist(self, weights: NDArray[np.float32], segment: int, source: int) -> None:
        """The product of two Nyquist terms has no random phase: it has no variance."""
        sizes = self.plan.segments[segment].size, self.plan.segments[source].size
        if sizes[0] % 2 == 0 and sizes[1] % 2 == 0:
            weights[-1, -1] = 0

    def _spectra(
        self, responses: Sequence[NDArray[np.floating]], n_threads: int
    ) -> list[NDArray[np.float32]]:
        """Power of every segment, (n_vertices, n_freq)."""
        from bids_app.encoding.ridge import map_blocks, standardize

        def task(columns: slice) -> list[NDArray[np.float32]]:
            y, _ = standardize(self.plan, responses, columns)
            out = []
            for s in self.plan.segments:
                transformed = np.fft.rfft(y[s.offset : s.offset + s.size].T, norm="ortho")[:, 1:]
                out.append((transformed.real**2 + transformed.imag**2).astype(np.float32))
            return out

        blocks = map_blocks(task, responses[0].shape[1], n_threads)
        return [np.concatenate([b[i] for b in blocks]) for i in range(len(self.plan.segments))]

    def standard_deviation(
        self,
        responses: Sequence[NDArray[np.floating]],
        chosen: NDArray[np.intp],
        degenerate: NDArray[np.bool_],
        n_threads: int = 1,
    ) -> NDArray[np.float64]:
        """Standard deviation of the mean r at fixed penalties.

        Parameters
        ----------
        responses : list of ndarray, each (n_times, n_vertices)
            As given to :func:`fit_encoding`.
        chosen : ndarray of int, shape (n_folds, n_vertices)
            Index of the penalty per fold.
        degenerate : ndarray of bool, shape (n_vertices,)
            Vertices without a result.
        n_threads : int
            Groups of vertices worked on at a time.

        Returns
        -------
        ndarray, shape (n_vertices,)
            NaN where degenerate.
        """
        spectra = self._spectra(responses, n_threads)
        segments = self.plan.segments
        n_folds = len(self.plan.folds)
        share = [
            1 / (n_folds * len(self.plan.folds[self.resolution.fold_of[b]].segments))
            for b in range(len(segments))
        ]
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
            single = list(
                pool.map(lambda b: self._variance(b, spectra, chosen), range(len(segments)))
            )
            pairs = [p for p in combinations(range(len(segments)), 2) if self._coupled(*p)]
            shared = list(pool.map(lambda p: self._covariance(p[0], p[1], spectra, chosen), pairs))
        # Squared norm of prediction times squared norm of response: the scale of every r.
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = [1 / np.sqrt(energy) for _, energy in single]
            variance = np.zeros(degenerate.size)
            for b, (numerator, _) in enumerate(single):
                variance += share[b] ** 2 * numerator * scale[b] ** 2
            for (b, c), covariance in zip(pairs, shared, strict=True):
                variance += 2 * share[b] * share[c] * covariance * scale[b] * scale[c]
        variance[degenerate] = np.nan
        return np.sqrt(np.maximum(variance, 0))

    def _coupled(self, b: int, c: int) -> bool:
        return c in self.resolution.matrices[b][0] and b in self.resolution.matrices[c][0]

    def _variance(
        self, b: int, spectra: list[NDArray[np.float32]], chosen: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variance of y'p, and E|p|^2 times |y|^2, for one held-out segment."""
        sources = self.resolution.training_segments(b)
        picked = chosen[self.resolution.fold_of[b]]
        numerator, energy = np.empty(picked.size), np.empty(picked.size)
        for a, vertices in _groups(picked):
            power = np.concatenate([spectra[i][vertices] for i in sources], axis=1)
            weighted = power @ self._numerator[b][a].T
            numerator[vertices] = np.einsum("vf,vf->v", weighted, spectra[b][vertices])
            energy[vertices] = power @ self._energy[b][a]
        size = self.plan.segments[b].size
        both_signs = np.full(spectra[b].shape[1], 2.0, dtype=np.float32)
        if size % 2 == 0:
            both_signs[-1] = 1
        return numerator, energy * (spectra[b] @ both_signs)

    def _covariance(
        self, b: int, c: int, spectra: list[NDArray[np.float32]], chosen: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Covariance of y_b'p_b and y_c'p_c, which share y_b'M y_c and y_c'M y_b."""
        n_alphas = self.plan.alphas.size
        fold_b, fold_c = self.resolution.fold_of[b], self.resolution.fold_of[c]
        out = np.empty(chosen.shape[1])
        forward, backward = self.resolution.matrices[b], self.resolution.matrices[c]
        for pair, vertices in _groups(chosen[fold_b] * n_alphas + chosen[fold_c]):
            m, n = forward[pair // n_alphas][c], backward[pair % n_alphas][b]
            weights = np.einsum("afbg,bgaf->fg", m, n)
            self._drop_nyquist(weights, b, c)
            weighted = spectra[b][vertices] @ weights
            out[vertices] = np.einsum("vg,vg->v", weighted, spectra[c][vertices])
        return out


def _groups(labels: NDArray[np.intp]) -> list[tuple[int, NDArray[Any]]]:
    """Vertices of every label, labels ascending."""
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    return list(zip(values.tolist(), np.split(order, starts[1:]), strict=True))
