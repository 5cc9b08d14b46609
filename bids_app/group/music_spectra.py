"""Fourier coefficients of z-scored responses, one complex number per frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft

# A response is constant where its standard deviation is below this share of its mean.
_CONSTANT = 1e-10


class Rows(Protocol):
    """Rows of a presentation that are scored by themselves."""

    @property
    def block(self) -> int: ...  # noqa: D102
    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def stop(self) -> int: ...  # noqa: D102


def response_spectra(
    segments: Sequence[Rows],
    responses: Sequence[NDArray[Any]],
    vertices: slice | NDArray[np.intp],
    ddof: int,
) -> tuple[list[NDArray[np.complex64]], NDArray[np.bool_]]:
    """Fourier coefficients of a participant's responses, z-scored within each segment.

    Parameters
    ----------
    segments : sequence of segments
        Rows of each presentation.
    responses : sequence of (n_times, n_vertices) arrays
        One per presentation; only what is needed is read.
    vertices : slice or int array
        Which vertices.
    ddof : int
        Divisor of the variance is n - ddof.

    Returns
    -------
    spectra : list of (n_vertices, n_freq) complex64
        By segment, of 1, 2, ... cycles: cosine coefficient as real, sine coefficient as imaginary
        part of an orthonormal basis. Zero where the segment cannot be z-scored.
    usable : (n_vertices,) bool
        Vertices that are finite and not constant in every segment.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> segment = SimpleNamespace(block=0, start=5, stop=45)
    >>> responses = [np.random.default_rng(0).standard_normal((50, 3))]
    >>> responses[0][:, 2] = 1.0
    >>> (spectrum,), usable = response_spectra([segment], responses, slice(0, 3), ddof=0)
    >>> spectrum.shape, usable.tolist()
    ((3, 20), [True, True, False])
    """
    found = []
    usable = np.ones(np.asarray(responses[0][:1, vertices]).shape[1], dtype=bool)
    for segment in segments:
        part = np.asarray(responses[segment.block][segment.start : segment.stop, vertices])
        n_times = len(part)
        series = np.ascontiguousarray(part.T, dtype=np.float64)
        mean = series.sum(axis=1, keepdims=True) / n_times
        finite = np.isfinite(mean[:, 0])
        if not finite.all():
            series[~finite], mean[~finite] = 0.0, 0.0
        series -= mean
        deviation = np.sqrt(np.einsum("vt,vt->v", series, series) / (n_times - ddof))
        good = finite & (deviation > _CONSTANT * np.abs(mean[:, 0]))
        usable &= good
        factor = (np.sqrt(2) * good / np.where(good, deviation, 1.0)).astype(np.float32)
        # The sine coefficient has the opposite sign of the transform's.
        coefficients = fft.rfft(series.astype(np.float32), axis=1, norm="ortho")[:, 1:].conj()
        coefficients *= factor[:, np.newaxis]
        if n_times % 2 == 0:
            coefficients[:, -1] = coefficients[:, -1].real / np.float32(np.sqrt(2))
        found.append(coefficients)
    return found, usable
