"""Refits at given penalties, on the few frequencies that carry the products.

A held-out prediction is a matrix times the training responses. In the basis of cosines and sines
a rotation of phases is a rotation in the plane of each frequency. Most frequencies of slow
responses and slow features contribute next to nothing to the product of response and prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bids_app.arrays import NUMPY, Arrays
from bids_app.group.music_spectra import response_spectra
from bids_app.statistics import fisher_mean

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.intp]
ComplexArray = npt.NDArray[np.complex64]

# Share of the products' variance that the frequencies left out may carry.
LOST = 1e-3


class _Segment(Protocol):
    label: str
    block: int
    start: int
    stop: int


class _Resolution(Protocol):
    sources: list[list[int]]
    fold_of: list[int]
    n_freq: list[int]

    def make(self, segment: int, alpha: int) -> list[npt.NDArray[Any]]:
        """One (2 n_freq of the segment, 2 n_freq of the source) per source."""


class MusicModel(Protocol):
    """What refits read of a `bids_app.encoding.EncodingPlan`."""

    lengths: tuple[int, ...]
    segments: Sequence[_Segment]
    folds: Sequence[Any]
    resolution: _Resolution
    ddof: int
    plain_mean: bool


@dataclass(frozen=True, eq=False)
class Turned:
    """Responses of several draws on the kept frequencies.

    Attributes
    ----------
    coefficients : list of (n_vertices, n_draws, 2 n_kept) float32
        Per segment, cosines and then sines; vertices first, since vertices are picked.
    norms : (n_segments, n_vertices) float64
        Squared norms over all frequencies; no rotation changes them.
    """

    coefficients: list[Float32Array]
    norms: FloatArray


@dataclass(frozen=True, eq=False)
class Spectra:
    """Fourier coefficients of a participant's z-scored responses.

    Attributes
    ----------
    z : list of (n_vertices, n_freq) complex64
        Per segment: cosine coefficient as real, sine coefficient as imaginary part.
    valid : (n_vertices,) bool
        Vertices with a response in every segment.
    """

    z: list[ComplexArray]
    valid: npt.NDArray[np.bool_]

    def turned(self, kept: Sequence[IntArray], turns: Sequence[npt.NDArray]) -> Turned:
        """The kept frequencies of every draw; `turns` is (n_draws, n_kept) per segment."""
        coefficients = []
        for z, frequencies, turn in zip(self.z, kept, turns, strict=True):
            product = z[:, frequencies][:, np.newaxis] * turn.astype(np.complex64)
            joined = np.concatenate([product.real, product.imag], axis=2)
            coefficients.append(np.ascontiguousarray(joined))
        norms = np.stack([(np.abs(z).astype(np.float64) ** 2).sum(axis=1) for z in self.z])
        return Turned(coefficients, norms)


def fourier(plan: MusicModel, responses: Sequence[npt.NDArray]) -> Spectra:
    """Fourier coefficients of responses at the kept rows of a plan, z-scored within each segment.

    Parameters
    ----------
    plan : EncodingPlan
    responses : sequence of (n_times, n_vertices) arrays
        One per presentation.

    Returns
    -------
    Spectra
        Zero at vertices that are constant or not finite in any segment.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> x = np.random.default_rng(0).standard_normal((120, 4))
    >>> plan = plan_encoding(x @ x.T, [60, 60], delays=(2.0, 4.0), crop=4.0, tr=1.0)
    >>> responses = np.random.default_rng(1).standard_normal((2, 60, 3))
    >>> responses[1, :, 2] = 0  # constant in one piece
    >>> spectra = fourier(plan, list(responses))
    >>> spectra.valid.tolist()
    [True, True, False]
    """
    z, valid = response_spectra(plan.segments, responses, slice(None), plan.ddof)
    for one in z:
        one[~valid] = 0
    return Spectra(z, valid)


class KeptRefits:
    """Accuracy of one layer under responses with rotated phases.

    Parameters
    ----------
    plan : EncodingPlan
    frequencies : list of arrays of int
        Kept frequencies of every segment, from 0 for one cycle, ascending.
    power : list of (n_freq,) arrays
        Mean power of the responses that train, per segment.
    lost : float
        Share of a prediction's mean energy that may be left out.
    """

    def __init__(
        self, plan: MusicModel, frequencies: list[IntArray], power: list[FloatArray], lost: float
    ) -> None:
        self.frequencies = frequencies
        self._plan, self._power, self._lost = plan, power, lost
        self._made: dict[tuple[int, int], tuple[Float32Array, Float32Array]] = {}

    @classmethod
    def of_layers(
        cls,
        plans: Sequence[MusicModel],
        scored: Sequence[Spectra],
        trained: Sequence[Spectra],
        penalties: npt.NDArray,
        lost: float = LOST,
    ) -> list[KeptRefits]:
        """One per layer, on the frequencies that some layer needs.

        Parameters
        ----------
        plans : sequence of n_layers EncodingPlan
        scored, trained : sequences of Spectra
            Of the participants.
        penalties : (n_participants, n_layers, n_folds, n_vertices) array of int
        lost : float
            Share of the variance of the products that may be left out, per layer and stimulus.
        """
        power = _mean_power(scored), _mean_power(trained)
        keep = [np.zeros(p.size, dtype=bool) for p in power[0]]
        for layer, plan in enumerate(plans):
            used = np.sort(penalties[:, layer].ravel())
            for alpha in {int(used[0]), int(used[used.size // 2])}:
                for chosen, carried in zip(keep, _carried(plan, alpha, *power), strict=True):
                    order = np.argsort(-carried, kind="stable")
                    share = np.cumsum(carried[order]) / max(carried.sum(), 1e-300)
                    chosen[order[: int(np.searchsorted(share, 1 - lost)) + 1]] = True
        frequencies = [np.flatnonzero(chosen) for chosen in keep]
        return [cls(plan, frequencies, power[1], lost) for plan in plans]

    def accuracy(
        self, target: Turned, source: Turned, penalties: npt.NDArray, arrays: Arrays = NUMPY
    ) -> Float32Array:
        """Mean r over folds.

        Parameters
        ----------
        target, source : Turned
            Responses that are scored, and those that train.
        penalties : (n_folds, n_vertices) array of int
        arrays : Arrays
            Where the products are done.

        Returns
        -------
        (n_draws, n_vertices) float32
        """
        resolution = self._plan.resolution
        scored = [arrays.put(one) for one in target.coefficients]
        training = scored
        if source is not target:
            training = [arrays.put(one) for one in source.coefficients]
        n_vertices, n_draws = target.coefficients[0].shape[:2]
        r = np.zeros((len(resolution.fold_of), n_vertices, n_draws))
        for segment, fold in enumerate(resolution.fold_of):
            for alpha in np.unique(penalties[fold]).tolist():
                where = np.flatnonzero(penalties[fold] == alpha)
                left, right = map(arrays.put, self._factors(segment, alpha))
                places = arrays.put(where)
                trained = arrays.join([training[i][places] for i in resolution.sources[segment]], 2)
                # One product for all draws: a stack of small ones would be several times slower.
                part = trained.reshape(-1, trained.shape[2]) @ right.T
                held_out = scored[segment][places].reshape(len(part), -1) @ left
                product = arrays.back(arrays.dot(part, held_out, axis=1))
                energy = arrays.back(arrays.dot(part, part, axis=1)).reshape(-1, n_draws)
                norm = np.sqrt(energy * target.norms[segment, where, np.newaxis])
                r[segment, where] = np.divide(
                    product.reshape(-1, n_draws), norm, out=np.zeros_like(norm), where=norm > 0
                )
        mean = np.mean if self._plan.plain_mean else fisher_mean
        folds = [mean(r[list(fold.segments)], axis=0) for fold in self._plan.folds]
        return np.asarray(mean(np.stack(folds), axis=0).T, dtype=np.float32)

    def _factors(self, segment: int, alpha: int) -> tuple[Float32Array, Float32Array]:
        """A resolution matrix on the kept frequencies as a product of two, on few directions.

        The columns of the first are orthonormal over all held-out frequencies, which the norm of
        a prediction counts, and given at the kept ones. Directions that the responses' power
        lets carry next to no energy are left out.
        """
        if (segment, alpha) not in self._made:
            resolution = self._plan.resolution
            columns, power = [], []
            matrices = resolution.make(segment, alpha)
            for i, matrix in zip(resolution.sources[segment], matrices, strict=True):
                picked = self.frequencies[i]
                columns.append(matrix[:, np.concatenate([picked, picked + resolution.n_freq[i]])])
                power += 2 * [self._power[i][picked]]
            amplitude = np.sqrt(np.concatenate(power))
            whole = np.concatenate(columns, axis=1).astype(np.float64)
            left, size, right = np.linalg.svd(whole * amplitude, full_matrices=False)
            carried = np.cumsum(size**2)
            n_kept = int(np.searchsorted(carried, (1 - self._lost) * carried[-1])) + 1
            right = size[:n_kept, np.newaxis] * right[:n_kept]
            right = np.divide(right, amplitude, out=np.zeros_like(right), where=amplitude > 0)
            rows = self.frequencies[segment]
            rows = np.concatenate([rows, rows + resolution.n_freq[segment]])
            self._made[segment, alpha] = (
                left[rows, :n_kept].astype(np.float32),
                right.astype(np.float32),
            )
        return self._made[segment, alpha]


def _mean_power(spectra: Sequence[Spectra]) -> list[FloatArray]:
    """Mean power of every segment over participants and vertices."""
    n_segments = len(spectra[0].z)
    return [
        np.mean([(np.abs(one.z[i]) ** 2).mean(axis=0, dtype=np.float64) for one in spectra], axis=0)
        for i in range(n_segments)
    ]


def _carried(
    plan: MusicModel, alpha: int, scored: list[FloatArray], trained: list[FloatArray]
) -> list[FloatArray]:
    """Variance of the products that passes through each frequency of each segment."""
    resolution = plan.resolution
    out = [np.zeros(p.size) for p in scored]
    for segment, sources in enumerate(resolution.sources):
        for i, matrix in zip(sources, resolution.make(segment, alpha), strict=True):
            planes = matrix.reshape(2, resolution.n_freq[segment], 2, resolution.n_freq[i])
            squared = np.einsum("afbg,afbg->fg", planes, planes, dtype=np.float64)
            carried = scored[segment][:, np.newaxis] * squared * trained[i]
            out[segment] += carried.sum(axis=1)
            out[i] += carried.sum(axis=0)
    return out
