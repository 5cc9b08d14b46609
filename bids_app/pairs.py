"""Whether series of the same stimuli have something in common: mean correlation over pairs.

Without a common response the phases of the series are independent. `pair_test` therefore rotates
the phases of each series by independent draws, the same for all vertices. Under it the pairwise
mean is a U-statistic and skewed, so that p and the maximum are computed from draws. Draws are
periodic, which the series are not: they are widened by what slow series gain from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.seeds import generator

ComplexArray = npt.NDArray[np.complex64]
FloatArray = npt.NDArray[np.float64]

CHUNK = 256
"""Vertices that are looked at together."""


@dataclass(frozen=True, eq=False)
class PairTest:
    """Mean correlation over pairs of series, and over stimuli, tested against a null.

    Attributes
    ----------
    r : (n_vertices,) float64
        NaN where no stimulus has two series.
    sd : (n_vertices,) float64
        Standard deviation under the null, in closed form, of series that are not periodic.
    p, p_max : (n_vertices,) float64
        One-sided; and corrected by the largest value over vertices of each draw of independent
        phases, every vertex in units of its standard deviation (`pair_test`) or as normal z
        (`bids_app.encoding.repeat_test`).
    null_max : (n_draws,) float64
        Largest value of each draw.
    """

    r: FloatArray
    sd: FloatArray
    p: FloatArray
    p_max: FloatArray
    null_max: FloatArray


def pair_test(stimuli: Sequence[npt.NDArray], *, n_draws: int = 1000, seed: int) -> PairTest:
    """Whether series of the same stimuli have something in common.

    Parameters
    ----------
    stimuli : sequence of (n_series, n_times, n_vertices) array
        Responses of participants, or of one to several presentations; how many may differ between
        stimuli. Memory-mapped arrays are read in pieces.
    n_draws : int
        Draws of phases.
    seed : int
        Of the phases; all vertices share them.

    Returns
    -------
    PairTest

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> repeats = rng.standard_normal((2, 200, 2))  # presentations, times, vertices
    >>> repeats[:, :, 0] += 2 * rng.standard_normal(200)  # the same in both
    >>> found = pair_test([repeats], n_draws=200, seed=0)
    >>> (found.r > 0.5).tolist(), (found.p_max < 0.01).tolist()
    ([True, False], [True, False])
    """
    n_vertices = stimuli[0].shape[2]
    turns = [phase_turns(series.shape[:2], k, n_draws, seed) for k, series in enumerate(stimuli)]
    r, sd, p = np.empty((3, n_vertices))
    largest = np.full(n_draws, -np.inf)
    for start in range(0, n_vertices, CHUNK):
        part = slice(start, min(start + CHUNK, n_vertices))
        series = [_Units.of(one[:, :, part]) for one in stimuli]
        r[part], periodic, drawn = _draw(series, turns)
        wider = _end_factor(series)
        sd[part], drawn = periodic * wider, drawn * wider
        with np.errstate(invalid="ignore"):
            beyond = (drawn >= r[part] * (1 - 1e-6)).sum(axis=0)
        p[part] = np.where(np.isfinite(r[part]), (1 + beyond) / (1 + n_draws), np.nan)
        if np.isfinite(sd[part]).any():
            np.maximum(largest, np.nanmax(drawn / sd[part], axis=1), out=largest)
    reached = np.searchsorted(np.sort(largest), r / sd * (1 - 1e-6), side="left")
    p_max = np.where(np.isfinite(r / sd), (1 + n_draws - reached) / (1 + n_draws), np.nan)
    return PairTest(r, sd, p, p_max, largest)


def unit_series(series: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Center and scale each series to length 1; zero where missing.

    Parameters
    ----------
    series : (n_participants, n_times, n_vertices) array

    Returns
    -------
    unit : array of that shape
    missing : (n_participants, n_vertices) bool array
        Series with a value that is not finite, or constant.

    Examples
    --------
    >>> series = np.array([[[0.0], [2.0]], [[1.0], [1.0]]])  # two participants, two times
    >>> unit, missing = unit_series(series)
    >>> unit[:, :, 0].round(2).tolist(), missing[:, 0].tolist()
    ([[-0.71, 0.71], [0.0, 0.0]], [False, True])
    """
    n_times = series.shape[1]
    with np.errstate(invalid="ignore"):
        mean = series.sum(axis=1) / n_times
    missing = np.asarray(~np.isfinite(mean))
    if missing.any():
        series, mean = np.where(missing[:, np.newaxis], 0.0, series), np.where(missing, 0.0, mean)
    largest = np.maximum(series.max(axis=1), -series.min(axis=1))
    series = series - mean[:, np.newaxis]
    norm = np.sqrt(np.einsum("stv,stv->sv", series, series))
    missing = missing | (norm <= 1e-10 * largest * np.sqrt(n_times))
    series /= np.where(missing, np.inf, norm)[:, np.newaxis]
    return series, missing


@dataclass(frozen=True, eq=False)
class _Units:
    """Series of length 1, (n_series, n_times, n_vertices), and what several sums take of them.

    `missing` is (n_series, n_vertices), `spectra` (n_series, n_freq, n_vertices) with the constant.
    """

    values: FloatArray
    missing: npt.NDArray[np.bool_]
    spectra: npt.NDArray[np.complex128]

    @classmethod
    def of(cls, series: npt.NDArray) -> _Units:
        unit, missing = unit_series(np.asarray(series, dtype=np.float64))
        return cls(unit, missing, np.fft.rfft(unit, axis=1))


def phase_turns(shape: tuple[int, ...], stimulus: int, n_draws: int, seed: int) -> ComplexArray:
    """Unit numbers that turn every participant's frequencies, (n_freq, n_draws, n_participants).

    Those of a participant do not depend on how many there are. The Nyquist frequency has no
    phase but a sign.
    """
    n_participants, n_times = shape
    n_freq = n_times // 2
    turns = np.empty((n_freq, n_draws, n_participants), dtype=np.complex64)
    for participant in range(n_participants):
        rng = generator(seed, "isc phases", stimulus, participant)
        phases = rng.uniform(0, 2 * np.pi, (n_freq, n_draws))
        turns[:, :, participant] = np.exp(1j * phases)
    if n_times % 2 == 0:
        turns[-1] = np.sign(turns[-1].real)
    return turns


def draw_pairs(
    stimuli: Sequence[npt.NDArray],
    part: slice | npt.NDArray[np.intp],
    turns: Sequence[ComplexArray],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean r over pairs and stimuli, its standard deviation, and draws of it.

    From the length of the sum of n unit series: ``(|sum|^2 - n) / (n (n - 1))``. Returns
    (n_vertices,), (n_vertices,) and (n_draws, n_vertices).
    """
    return _draw([_Units.of(one[:, :, part]) for one in stimuli], turns)


def _draw(
    stimuli: Sequence[_Units], turns: Sequence[ComplexArray]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    n_vertices = stimuli[0].values.shape[2]
    observed, variance, count = np.zeros((3, n_vertices))
    drawn = np.zeros((turns[0].shape[1], n_vertices))
    for units, turn in zip(stimuli, turns, strict=True):
        unit = units.values
        n = (~units.missing).sum(axis=0)
        use = n > 1
        share = np.where(use, 1 / np.maximum(n * (n - 1), 1), 0.0)
        spectra = _unit_spectra(units)
        length = np.zeros_like(drawn)
        for own, turned in zip(spectra, turn, strict=True):
            total = turned @ own
            length += total.real**2 + total.imag**2
        power = spectra.real.astype(np.float64) ** 2 + spectra.imag.astype(np.float64) ** 2
        products = (power.sum(axis=1) ** 2 - (power**2).sum(axis=1)) / 2
        factor = np.full(len(products), 0.5)
        if unit.shape[1] % 2 == 0:
            factor[-1] = 1.0
        observed += share * (np.einsum("tv,tv->v", total := unit.sum(axis=0), total) - n)
        variance += (2 * share) ** 2 * (factor @ products)
        drawn += share * (length - n)
        count += use
    count = np.where(count > 0, count, np.nan)
    return observed / count, np.sqrt(variance) / count, drawn / count


def end_factor(
    stimuli: Sequence[npt.NDArray], part: slice = slice(None), furthest: float = 0.5
) -> FloatArray:
    """By how much r of series that end varies more than r of periodic ones.

    At a lag of k of n samples n - k products of two autocovariances count, where a periodic series
    has (n - k)^2 / n of them (Bartlett 1946, doi:10.2307/2983611).

    Parameters
    ----------
    stimuli : sequence of (n_series, n_times, n_vertices) array
        As of `pair_test`.
    part : slice
        Vertices.
    furthest : float
        Lags that count, as a share of the series; of half of it, all do.

    Returns
    -------
    (n_part,) float64
        At least 1.

    Examples
    --------
    >>> steps = np.random.default_rng(0).standard_normal((6, 100, 400))
    >>> slow = np.apply_along_axis(np.convolve, 1, steps, np.ones(8), "valid")
    >>> [end_factor([series]).mean().round(2).item() for series in (steps, slow)]
    [1.0, 1.03]
    """
    return _end_factor([_Units.of(one[:, :, part]) for one in stimuli], furthest)


def _end_factor(stimuli: Sequence[_Units], furthest: float = 0.5) -> FloatArray:
    plain, wide = np.zeros((2, stimuli[0].values.shape[2]))
    for units in stimuli:
        n_times = units.values.shape[1]
        lags = np.minimum(np.arange(n_times), n_times - np.arange(n_times)) / n_times
        apart = 1 - np.where(lags <= furthest, lags, 0.0)
        power = units.spectra.real**2 + units.spectra.imag**2
        own = np.fft.irfft(power, n=n_times, axis=1)
        products = own.sum(axis=0) ** 2 - (own**2).sum(axis=0)
        n = (~units.missing).sum(axis=0)
        share = np.where(n > 1, 1 / np.maximum(n * (n - 1), 1) ** 2, 0.0)
        plain += share * products.sum(axis=0)
        wide += share * (products / apart[:, np.newaxis]).sum(axis=0)
    return np.sqrt(np.maximum(wide / np.where(plain > 0, plain, np.inf), 1))


def _unit_spectra(units: _Units) -> ComplexArray:
    """Fourier coefficients whose squares add up to 1, (n_freq, n_participants, n_vertices)."""
    n_times = units.values.shape[1]
    spectra = units.spectra[:, 1:] * np.sqrt(2 / n_times)
    if n_times % 2 == 0:
        spectra[:, -1] /= np.sqrt(2)
    return np.ascontiguousarray(np.swapaxes(spectra, 0, 1).astype(np.complex64))
