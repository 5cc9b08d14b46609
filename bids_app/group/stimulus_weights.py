"""Spectra of responses and their weights in the variance of the group mean over music."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex64]
IntArray = npt.NDArray[np.intp]


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
        series = np.asarray(array[:, :, part], dtype=np.float64)
        finite = np.asarray(np.isfinite(series).all(axis=1))
        series = np.where(finite[:, np.newaxis], series, 0.0)
        largest = np.abs(series).max(axis=1)
        series -= series.mean(axis=1, keepdims=True)
        deviation = series.std(axis=1)
        usable = finite & (deviation > 1e-10 * largest)
        series /= np.where(usable, deviation, 1.0)[:, np.newaxis]
        n_times = series.shape[1]
        coefficients = np.fft.rfft(series, axis=1, norm="ortho")[:, 1:].conj() * np.sqrt(2)
        if n_times % 2 == 0:
            coefficients[:, -1] = coefficients[:, -1].real / np.sqrt(2)
        spectra.append(np.moveaxis(coefficients, 1, 2).astype(np.complex64))
        valid &= usable
    for one in spectra:
        one[~valid] = 0
    return spectra, valid


class LayerWeights:
    """Weights of crossed power spectra in the variance, for the penalties in use."""

    def __init__(self, model: PredictionModel, alphas: npt.NDArray) -> None:
        self.shares = model.shares
        self.pairs = [
            (b, c)
            for b, c in combinations(range(len(model.n_times)), 2)
            if c in model.sources[b] or b in model.sources[c]
        ]
        self._model = model
        self.power = {int(a): [self._pair(b, c, int(a)) for b, c in self.pairs] for a in alphas}
        self.energy = {int(a): self._energies(int(a)) for a in alphas}

    def _pair(self, b: int, c: int, alpha: int) -> npt.NDArray[np.float32]:
        """(2 n_b n_c, 3): y_b'p_b alone, y_c'p_c alone, their shared part."""
        n_b, n_c = (self._model.n_times[i] // 2 for i in (b, c))
        forward = np.zeros((2, n_b, n_c), dtype=np.complex128)
        backward = np.zeros((2, n_b, n_c), dtype=np.complex128)
        if c in self._model.sources[b]:
            matrix = self._model.matrices(b, alpha)[list(self._model.sources[b]).index(c)]
            forward[:] = _turning_and_mirroring(matrix)
        if b in self._model.sources[c]:
            matrix = self._model.matrices(c, alpha)[list(self._model.sources[c]).index(b)]
            turning, mirroring = _turning_and_mirroring(matrix)
            backward[0], backward[1] = turning.conj().T, mirroring.T
        # A rotation by a random phase halves squared amplitudes; at the Nyquist frequency, which
        # has none, nothing is halved on that side and nothing varies if it is on both.
        scale = np.full((n_b, n_c), 0.5)
        even = [self._model.n_times[i] % 2 == 0 for i in (b, c)]
        if even[0]:
            scale[-1] *= 2
        if even[1]:
            scale[:, -1] *= 2
        if all(even):
            scale[-1, -1] = 0
        weights = [
            scale * np.abs(forward) ** 2,
            scale * np.abs(backward) ** 2,
            scale * (forward * backward.conj()).real,
        ]
        return np.stack([w.ravel() for w in weights], axis=1).astype(np.float32)

    def _energies(self, alpha: int) -> list[list[npt.NDArray[np.float32]]]:
        """Per held-out segment and source: weights of power in the prediction's energy."""
        energies = []
        for segment, sources in enumerate(self._model.sources):
            found = []
            for i, matrix in zip(sources, self._model.matrices(segment, alpha), strict=True):
                squared = (np.asarray(matrix, dtype=np.float64) ** 2).sum(axis=0)
                n = self._model.n_times[i] // 2
                weight = (squared[:n] + squared[n:]) / 2
                if self._model.n_times[i] % 2 == 0:
                    weight[-1] = squared[n - 1]
                found.append(weight.astype(np.float32))
            energies.append(found)
        return energies

    def scales(
        self, power: list[npt.NDArray], valid: npt.NDArray[np.bool_], alpha: int, where: IntArray
    ) -> FloatArray:
        """What turns y'p into its share of the group mean r: (n_segments, n_where)."""
        n = np.maximum(valid[:, where].sum(axis=0), 1)
        out = np.empty((len(self.shares), len(where)))
        for segment, energies in enumerate(self.energy[alpha]):
            sources = self._model.sources[segment]
            energy = sum(
                power[i][:, where] @ weight for i, weight in zip(sources, energies, strict=True)
            )
            norm = np.sqrt(energy * power[segment][:, where].sum(axis=2), dtype=np.float64)
            inverse = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)
            out[segment] = self.shares[segment] * inverse.sum(axis=0) / n**2
        return out


def chunk_variance(
    spectra: list[ComplexArray],
    valid: npt.NDArray[np.bool_],
    layers: Sequence[LayerWeights],
    penalty: npt.NDArray,
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Variance of the group mean, (n_layers, n_part), and participants per vertex."""
    # The power of a real series; |cosine|^2 + |sine|^2 of one frequency.
    power = [np.abs(one) ** 2 for one in spectra]
    variance = np.zeros(penalty.shape)
    groups = [[(int(a), np.flatnonzero(row == a)) for a in np.unique(row)] for row in penalty]
    scales = [
        [(alpha, where, layer.scales(power, valid, alpha, where)) for alpha, where in found]
        for layer, found in zip(layers, groups, strict=True)
    ]
    for index, ((b, c), crossed) in enumerate(_crossed_power(spectra, layers[0].pairs)):
        for row, layer, found in zip(variance, layers, scales, strict=True):
            for alpha, where, scale in found:
                own, other, shared = (crossed[where] @ layer.power[alpha][index]).T
                row[where] += (
                    scale[b] ** 2 * own + scale[c] ** 2 * other + 2 * scale[b] * scale[c] * shared
                )
    return np.maximum(variance, 0.0), valid.sum(axis=0)


def _crossed_power(
    spectra: list[ComplexArray], pairs: Sequence[tuple[int, int]]
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
