"""Spectra of responses and their weights in the variance of the group mean over music."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import fft

FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class PredictionModel:
    """Stimulus side of one layer: how held-out predictions follow from responses.

    All is in the orthonormal Fourier basis of each segment without the constant: first
    n_times // 2 cosines, then as many sines; at even lengths the last sine is zero.

    Attributes
    ----------
    matrices : callable
        (held-out segment, index of the penalty) -> one matrix (2 n_freq of the segment, 2 n_freq
        of the source) per source, in the order of `sources[segment]`.
    sources : sequence of sequences of int
        Segments that train the fold in which a segment is held out.
    fold_of : sequence of int
        Fold in which each segment is held out.
    n_times : sequence of int
        Samples of each segment.
    """

    matrices: Callable[[int, int], Sequence[npt.NDArray]]
    sources: Sequence[Sequence[int]]
    fold_of: Sequence[int]
    n_times: Sequence[int]

    @property
    def shares(self) -> FloatArray:
        """Weight of each segment in the mean over folds, (n_segments,)."""
        folds, sizes = np.unique(np.asarray(self.fold_of), return_counts=True)
        size_of = dict(zip(folds.tolist(), sizes.tolist(), strict=True))
        return np.array([1 / (len(folds) * size_of[fold]) for fold in self.fold_of])


def spectra_of(
    responses: Sequence[npt.NDArray], part: slice
) -> tuple[list[ComplexArray], npt.NDArray[np.bool_]]:
    """Fourier coefficients of z-scored responses, one complex number per frequency.

    Parameters
    ----------
    responses : sequence of (n_participants, n_times, n_vertices) arrays
        Responses of each segment.
    part : slice
        Vertices.

    Returns
    -------
    spectra : list of (n_participants, n_part, n_freq) complex64
        Cosine coefficient as real, sine coefficient as imaginary part; zero where missing.
    valid : (n_participants, n_part) bool
        Where the participant has responses in every segment.
    """
    spectra: list[ComplexArray] = []
    valid = np.ones(responses[0][:, 0, part].shape, dtype=bool)
    for array in responses:
        picked = np.moveaxis(np.asarray(array[:, :, part]), 1, 2)
        series = np.ascontiguousarray(picked, dtype=np.float64)
        finite = np.asarray(np.isfinite(series).all(axis=2))
        series[~finite] = 0.0
        largest = np.abs(series).max(axis=2)
        series -= series.mean(axis=2, keepdims=True)
        n_times = series.shape[2]
        deviation = np.sqrt(np.einsum("svt,svt->sv", series, series) / n_times)
        usable = finite & (deviation > 1e-10 * largest)
        series /= np.where(usable, deviation, 1.0)[:, :, np.newaxis]
        coefficients = fft.rfft(series.astype(np.float32), axis=2, norm="ortho")[:, :, 1:]
        coefficients = coefficients.conj() * np.float32(np.sqrt(2))
        if n_times % 2 == 0:
            coefficients[:, :, -1] = coefficients[:, :, -1].real / np.float32(np.sqrt(2))
        spectra.append(coefficients)
        valid &= usable
    for one in spectra:
        one[~valid] = 0
    return spectra, valid


class StackedWeights:
    """Weights of spectra in the variance, stacked over layers and the penalties in use.

    Parameters
    ----------
    models : iterable of PredictionModel
        One per layer, with the same segments, sources and folds; each is used once and let go.
    penalty : (n_layers, n_vertices) int array
        Index of the penalty of every layer and vertex.
    """

    def __init__(self, models: Iterable[PredictionModel], penalty: npt.NDArray) -> None:
        used = [np.unique(row).tolist() for row in penalty]
        n_columns = sum(len(alphas) for alphas in used)
        self.columns = np.empty(penalty.shape, dtype=np.intp)
        column = 0
        for layer, (model, alphas) in enumerate(zip(models, used, strict=True)):
            if layer == 0:
                self._allocate(model, n_columns)
            for alpha in alphas:
                self.columns[layer, penalty[layer] == alpha] = column
                for (b, c), power in self._power.items():
                    power[3 * column : 3 * column + 3] = _pair_weights(model, b, c, alpha)
                for segment in range(len(self._sources)):
                    for i, weight in _energy_weights(model, segment, alpha):
                        self._energy[segment, i][column] = weight
                column += 1

    def variance(
        self, spectra: list[ComplexArray], valid: npt.NDArray[np.bool_], part: slice
    ) -> FloatArray:
        """Variance of the group mean.

        Parameters
        ----------
        spectra : list of (n_participants, n_part, n_freq) complex64
            Of `spectra_of`.
        valid : (n_participants, n_part) bool
            Participants that count.
        part : slice
            Which vertices these are.

        Returns
        -------
        (n_layers, n_part) float64
            Variances.
        """
        scales = self._scales(spectra, valid)
        total = np.zeros(scales[0].shape)
        for (b, c), crossed in _crossed_power(spectra, self._power):
            own, other, shared = np.moveaxis(
                (crossed @ self._power[b, c].T).reshape(len(crossed), -1, 3), 2, 0
            )
            total += scales[b] ** 2 * own + scales[c] ** 2 * other
            total += 2 * scales[b] * scales[c] * shared
        chosen = np.take_along_axis(total.T, self.columns[:, part], axis=0)
        return np.asarray(np.maximum(chosen, 0.0))

    def _allocate(self, model: PredictionModel, n_columns: int) -> None:
        n_freq = [size // 2 for size in model.n_times]
        self._sources = [list(sources) for sources in model.sources]
        self._shares = model.shares
        self._power = {
            (b, c): np.empty((3 * n_columns, 2 * n_freq[b] * n_freq[c]), dtype=np.float32)
            for b, c in combinations(range(len(n_freq)), 2)
            if c in self._sources[b] or b in self._sources[c]
        }
        self._energy = {
            (segment, i): np.empty((n_columns, n_freq[i]), dtype=np.float32)
            for segment, sources in enumerate(self._sources)
            for i in sources
        }

    def _scales(
        self, spectra: list[ComplexArray], valid: npt.NDArray[np.bool_]
    ) -> list[FloatArray]:
        """What turns y'p into its share of the group mean r: (n_part, n_columns) per segment."""
        power = [np.abs(one) ** 2 for one in spectra]
        n = np.maximum(valid.sum(axis=0), 1)[:, np.newaxis]
        scales = []
        for segment, sources in enumerate(self._sources):
            energy = sum(power[i] @ self._energy[segment, i].T for i in sources)
            norm = np.sqrt(energy * power[segment].sum(axis=2, keepdims=True))
            inverse = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)
            mean = inverse.sum(axis=0, dtype=np.float64) / n
            scales.append(self._shares[segment] * mean / n)
        return scales


def _pair_weights(model: PredictionModel, b: int, c: int, alpha: int) -> npt.NDArray[np.float64]:
    """(3, 2 n_b n_c): y_b'p_b alone, y_c'p_c alone, their shared part."""
    n_b, n_c = (model.n_times[i] // 2 for i in (b, c))
    forward = np.zeros((2, n_b, n_c), dtype=np.complex128)
    backward = np.zeros((2, n_b, n_c), dtype=np.complex128)
    if c in model.sources[b]:
        matrix = model.matrices(b, alpha)[list(model.sources[b]).index(c)]
        forward[:] = _turning_and_mirroring(matrix)
    if b in model.sources[c]:
        matrix = model.matrices(c, alpha)[list(model.sources[c]).index(b)]
        turning, mirroring = _turning_and_mirroring(matrix)
        backward[0], backward[1] = turning.conj().T, mirroring.T
    # A rotation by a random phase halves squared amplitudes; at the Nyquist frequency, which
    # has none, nothing is halved on that side and nothing varies if it is on both.
    scale = np.full((n_b, n_c), 0.5)
    even = [model.n_times[i] % 2 == 0 for i in (b, c)]
    if even[0]:
        scale[-1] *= 2
    if even[1]:
        scale[:, -1] *= 2
    if all(even):
        scale[-1, -1] = 0
    weights = (
        scale * np.abs(forward) ** 2,
        scale * np.abs(backward) ** 2,
        scale * (forward * backward.conj()).real,
    )
    return np.stack([weight.ravel() for weight in weights])


def _energy_weights(
    model: PredictionModel, segment: int, alpha: int
) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Weights of each source's power in the expected energy of the prediction."""
    sources = model.sources[segment]
    for i, matrix in zip(sources, model.matrices(segment, alpha), strict=True):
        squared = (np.asarray(matrix, dtype=np.float64) ** 2).sum(axis=0)
        n = model.n_times[i] // 2
        weight = (squared[:n] + squared[n:]) / 2
        if model.n_times[i] % 2 == 0:
            weight[-1] = squared[n - 1]
        yield i, weight


def _crossed_power(
    spectra: list[ComplexArray], pairs: Iterable[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], npt.NDArray[np.float32]]]:
    """Squared sums over participants of crossed coefficients, (n_part, 2 n_b n_c) per pair."""
    for b, c in pairs:
        left = np.ascontiguousarray(np.moveaxis(spectra[b], 0, 2).conj())
        right = np.ascontiguousarray(np.moveaxis(spectra[c], 0, 1))
        n_part = len(left)
        crossed = np.empty((n_part, 2, left.shape[1] * right.shape[2]), dtype=np.float32)
        for plane, factor in enumerate((right, right.conj())):
            product = (left @ factor).reshape(n_part, -1)
            np.square(product.real, out=crossed[:, plane])
            crossed[:, plane] += np.square(product.imag)
        yield (b, c), crossed.reshape(n_part, -1)


def _turning_and_mirroring(matrix: npt.NDArray) -> npt.NDArray[np.complex128]:
    """Split the 2 x 2 block of each pair of frequencies: z -> t z + m conj(z), as (2, n, n).

    The first part sees the difference of two phases, the second their sum.
    """
    n_b, n_c = (size // 2 for size in matrix.shape)
    planes = np.asarray(matrix, dtype=np.float64).reshape(2, n_b, 2, n_c)
    turning = planes[0, :, 0] + planes[1, :, 1] + 1j * (planes[1, :, 0] - planes[0, :, 1])
    mirroring = planes[0, :, 0] - planes[1, :, 1] + 1j * (planes[1, :, 0] + planes[0, :, 1])
    return np.stack([turning, mirroring]).astype(np.complex128) / 2
