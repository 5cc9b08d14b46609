"""Whether predictions that were made beforehand agree with responses by an accident of the music.

No model is fitted here, so that a mean correlation is linear in the phases of the responses: every
draw rotates those of a stimulus, the same for all participants, layers and vertices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import check_shape
from bids_app.pairs import unit_series
from bids_app.seeds import random_phases

ComplexArray = npt.NDArray[np.complex128]
FloatArray = npt.NDArray[np.float64]

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class FixedMusicTest:
    """Mean correlations with fixed predictions, tested over the music.

    Attributes
    ----------
    r : (n_layers, n_tests) float64
        The mean correlations; NaN where nobody has one.
    sd : (n_layers, n_tests) float64
        Standard deviation under the null, in closed form.
    p, p_max : (n_layers, n_tests) float64
        One-sided; and corrected by the largest value of each draw, in units of `sd`, over all
        layers and tests.
    n_draws : int
    """

    r: FloatArray
    sd: FloatArray
    p: FloatArray
    p_max: FloatArray
    n_draws: int


def cross_spectra(predicted: npt.ArrayLike, measured: npt.ArrayLike) -> ComplexArray:
    """Parts of the correlation of every column by frequency; the sum of their real parts is r.

    Parameters
    ----------
    predicted, measured : (n_times, n_tests) array

    Returns
    -------
    (n_times // 2, n_tests) complex128
        From one cycle per stretch on; zero where a column is constant or not finite.

    Raises
    ------
    BadDataError
        If the shapes differ.

    Examples
    --------
    >>> x, y = np.random.default_rng(0).standard_normal((2, 21, 1))
    >>> parts = cross_spectra(x, y)
    >>> parts.shape, np.allclose(parts.real.sum(), np.corrcoef(x.T, y.T)[0, 1])
    ((10, 1), True)
    """
    x, y = (np.asarray(one, dtype=np.float64) for one in (predicted, measured))
    check_shape("measured responses", y, *x.shape)
    n_times = len(x)
    units = []
    for one in (x, y):
        unit, _ = unit_series(one[np.newaxis])
        units.append(np.fft.rfft(unit[0], axis=0)[1:])
    parts = np.conj(units[0]) * units[1] * (2 / n_times)
    if n_times % 2 == 0:
        parts[-1] /= 2
    return np.asarray(parts)


def add_spectra(total: ComplexArray | None, more: ComplexArray) -> ComplexArray:
    """The sum of cross spectra, of stretches that may differ in length.

    Examples
    --------
    >>> add_spectra(np.ones((1, 2), dtype=complex), np.ones((2, 2), dtype=complex)).real.tolist()
    [[2.0, 2.0], [1.0, 1.0]]
    """
    if total is None:
        return more.copy()
    short, long = sorted((total, more), key=len)
    found = long.copy()
    found[: len(short)] += short
    return found


def fixed_music_test(
    spectra: Sequence[Mapping[str, ComplexArray]],
    counts: npt.ArrayLike,
    *,
    wider: float = 1.0,
    n_draws: int = 10_000,
    seed: int,
) -> FixedMusicTest:
    """Test mean correlations of responses and fixed predictions against chance of the music.

    Parameters
    ----------
    spectra : sequence of n_layers mappings of stimulus to (n_freq, n_tests) array
        Of `cross_spectra`: sums over presentations, weighted as in a participant's mean, and over
        participants; they may be mapped files. The name of a stimulus, its checksum, gives the
        phases.
    counts : (n_layers, n_tests) array
        Participants in the sums.
    wider : float
        By how much correlations of series that end vary more (`accuracy_end_factor`).
    n_draws : int
    seed : int

    Returns
    -------
    FixedMusicTest

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> predicted, measured = rng.standard_normal((2, 100, 3))
    >>> measured[:, 0] += predicted[:, 0]
    >>> parts = cross_spectra(predicted, measured)
    >>> test = fixed_music_test([{"a": parts}], np.ones((1, 3)), n_draws=500, seed=0)
    >>> (test.p_max < 0.05).tolist()
    [[True, False, False]]
    """
    n = np.asarray(counts, dtype=np.float64)
    turns = {
        stimulus: np.exp(
            1j * np.stack([random_phases(seed, stimulus, b, len(own)) for b in range(n_draws)])
        )
        for stimulus, own in spectra[0].items()
    }
    r, sd, p, p_max = np.full((4, *n.shape), np.nan)
    largest = np.full(n_draws, -np.inf)
    for layer, of_layer in enumerate(spectra):
        for start in range(0, n.shape[1], _CHUNK):
            part = slice(start, start + _CHUNK)
            means = {
                stimulus: own[:, part] / np.maximum(n[layer, part], 1)
                for stimulus, own in of_layer.items()
            }
            power = sum((np.abs(own) ** 2).sum(axis=0) for own in means.values())
            known = np.flatnonzero((n[layer, part] > 0) & (power > 0))
            if not known.size:
                continue
            observed = sum(own.real.sum(axis=0) for own in means.values())[known]
            width = wider * np.sqrt(power[known] / 2)
            drawn = np.zeros((n_draws, len(known)))
            for stimulus, own in means.items():
                drawn += turns[stimulus].real @ own[:, known].real
                drawn -= turns[stimulus].imag @ own[:, known].imag
            drawn *= wider
            at = start + known
            r[layer, at], sd[layer, at] = observed, width
            p[layer, at] = (1 + (drawn >= observed).sum(axis=0)) / (1 + n_draws)
            np.maximum(largest, (drawn / width).max(axis=1), out=largest)
    reached = np.searchsorted(np.sort(largest), r / sd, side="left")
    p_max = np.where(np.isfinite(sd), (1 + n_draws - reached) / (1 + n_draws), np.nan)
    return FixedMusicTest(r, sd, p, p_max, n_draws)
