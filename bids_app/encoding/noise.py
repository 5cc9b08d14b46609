"""Null of a vertex' mean accuracy under noise of its own class.

Phase rotation assumes a periodic series, and slow noise in short pieces is not periodic. Here the
noise of a vertex is an autoregressive process of second order, or fractional (1/f) noise, plus
white noise, filtered as the responses were; classes of a grid of these are weighted by their
posterior probability (restricted likelihood). The frequency of each class is estimated from all
vertices together. The standard deviation of the mean r follows in first order from the expected
spectra of its class. Series simulated from the classes are fitted like responses, with penalties
and classes estimated again, and the result corrects the first order.

The null is for one participant's maps only: it has no responses that people or vertices share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, linalg, stats

from bids_app.encoding.folds import KeptRows
from bids_app.encoding.noise_grid import (
    WHITE_SHARES,
    autocorrelation,
    autocorrelations,
    noise_grid,
)
from bids_app.encoding.resolution import fourier_basis, fourier_coefficients
from bids_app.encoding.responses import Responses, check_responses, standardize
from bids_app.errors import check_shape
from bids_app.seeds import generator
from bids_app.statistics import SIGNIFICANCE

FloatArray = NDArray[np.float64]

# Iterations that estimate how common each class is among the vertices, and what every class has
# beforehand, in vertices.
N_ITERATIONS = 20
PRIOR_VERTICES = 10.0
# Simulated series.
N_SERIES = 512
# Longer segments have their likelihood from the spectrum, whose terms are then independent.
EXACT_SAMPLES = 128
# Frequencies at which observed spectra are held against expected ones, in cycles a sample, and how
# many neighbors count: at least so wide, and at least this many samples over all segments.
KNOTS = np.linspace(0, 0.5, 26)
WIDTH = 0.04
WIDTH_SAMPLES = 14
# Vertices worked on at a time.
CHUNK = 4096


@dataclass(frozen=True)
class NoiseClasses:
    """Noise classes at the kept rows of a plan.

    Attributes
    ----------
    parameters : ndarray, shape (n_classes, 4)
        Autocorrelation at one sample, partial autocorrelation at two, exponent of the memory (0
        for autoregressive processes), and share of white noise; the first class is white.
    power : tuple of ndarray, each (n_classes, n_freq)
        Expected power of z-scored noise per segment and signed frequency.
    """

    parameters: FloatArray
    power: tuple[FloatArray, ...]
    _likelihoods: tuple[_Likelihood, ...]

    def likelihoods(self, plan: KeptRows, responses: Responses) -> NDArray[np.float32]:
        """Restricted likelihood of each class at each vertex, the largest being 1.

        Parameters
        ----------
        plan : EncodingPlan or WholeSeries
        responses : list of ndarray, each (n_times, n_vertices)

        Returns
        -------
        ndarray of float32, shape (n_vertices, n_classes)
            1 throughout where there is no response.
        """
        n_vertices = check_responses(plan, responses)
        out = np.empty((n_vertices, len(self.parameters)), dtype=np.float32)
        for start in range(0, n_vertices, CHUNK):
            columns = slice(start, min(start + CHUNK, n_vertices))
            y, degenerate = standardize(plan, responses, columns)
            log = np.zeros((y.shape[1], len(self.parameters)))
            for segment, likelihood in zip(plan.segments, self._likelihoods, strict=True):
                log += likelihood.log(y[segment.offset : segment.offset + segment.size])
            log[degenerate] = 0.0
            out[columns] = np.exp(log - log.max(axis=1, keepdims=True))
        return out


def posterior(likelihoods: NDArray[np.float32], prior: FloatArray) -> NDArray[np.float32]:
    """Probability of each class of noise at each vertex.

    Parameters
    ----------
    likelihoods : ndarray, shape (n_vertices, n_classes)
        Of the responses, up to a factor per vertex.
    prior : ndarray, shape (n_classes,)
        How common each class is.

    Returns
    -------
    ndarray of float32, shape (n_vertices, n_classes)
        Rows sum to 1.

    Examples
    --------
    >>> likelihoods = np.array([[1.0, 3.0], [1.0, 1.0]], dtype=np.float32)
    >>> posterior(likelihoods, np.array([0.5, 0.5])).tolist()
    [[0.25, 0.75], [0.5, 0.5]]
    """
    joint = likelihoods * prior.astype(np.float32)
    joint /= joint.sum(axis=1, keepdims=True)
    return np.asarray(joint)


def shares_of_classes(likelihoods: NDArray[np.float32]) -> FloatArray:
    """How common each class of noise is among vertices, by expectation and maximization.

    Parameters
    ----------
    likelihoods : ndarray, shape (n_vertices, n_classes)
        Vertices of which all classes are as likely have no say.

    Returns
    -------
    ndarray, shape (n_classes,)
        Sums to 1.

    Examples
    --------
    >>> likelihoods = np.tile(np.array([[9.0, 1.0]], dtype=np.float32), (5000, 1))
    >>> shares = shares_of_classes(likelihoods)
    >>> bool(shares[0] > 0.9), round(shares.sum().item(), 9)
    (True, 1.0)
    """
    n_classes = likelihoods.shape[1]
    likelihoods = likelihoods[np.ptp(likelihoods, axis=1) > 0]
    prior = np.full(n_classes, 1 / n_classes)
    for _ in range(N_ITERATIONS):
        count = posterior(likelihoods, prior).sum(axis=0, dtype=np.float64)
        count += PRIOR_VERTICES / n_classes
        prior = count / count.sum()
    return prior


class _Likelihood:
    """Restricted likelihood of one segment under every class, the scale at its maximum.

    Parameters
    ----------
    operator : ndarray, shape (n_rows, n_volumes)
        What made the centered segment of the noise of its run.
    """

    def __init__(self, operator: FloatArray) -> None:
        self._bases: list[FloatArray] = []
        self._variances: list[FloatArray] = []
        self._exact = len(operator) <= EXACT_SAMPLES
        if self._exact:
            self._diagonalize(operator)
        else:
            self._spectra(operator)

    def _diagonalize(self, operator: FloatArray) -> None:
        """Coordinates in which both parts of the noise are independent."""
        values, vectors = linalg.eigh(operator @ operator.T)
        # What the filter and the mean took out is not in the data, and not in the likelihood.
        there = values > 1e-8 * values[-1]
        whiten = vectors[:, there] / np.sqrt(values[there])
        mixed = whiten.T @ operator
        for lags in autocorrelations(operator.shape[1]).T:
            variances, turn = linalg.eigh(mixed @ linalg.toeplitz(lags) @ mixed.T)
            self._bases.append(whiten @ turn)
            self._variances.append(_with_white(variances[:, np.newaxis]))
        flat = np.ones((whiten.shape[1], 1))
        self._variances[0] = np.concatenate([flat, self._variances[0]], axis=1)

    def _spectra(self, operator: FloatArray) -> None:
        """Frequencies, which in long segments are almost independent."""
        basis = fourier_basis(len(operator))
        mixed = basis.T @ operator
        size = (mixed**2).sum(axis=1)
        there = size > 1e-8 * size.max()
        scale = 1 / np.sqrt(size[there])
        self._bases = [basis[:, there] * scale]
        colored = _variances_of(mixed[there] * scale[:, np.newaxis])
        flat = np.ones((len(colored), 1))
        self._variances = [np.concatenate([flat, _with_white(colored)], axis=1)]

    def log(self, series: FloatArray) -> FloatArray:
        """Logarithm up to a constant, (n_vertices, n_classes), of series (n_rows, n_vertices)."""
        out = []
        for basis, variances in zip(self._bases, self._variances, strict=True):
            size = np.maximum((series.T @ basis) ** 2 @ (1 / variances), 1e-300)
            out.append(-0.5 * (np.log(variances).sum(axis=0) + len(variances) * np.log(size)))
        return np.concatenate(out, axis=1)


def noise_classes(
    plan: KeptRows, filters: Sequence[NDArray[np.floating]] | None = None
) -> NoiseClasses:
    """Noise classes at the kept rows of a plan.

    Parameters
    ----------
    plan : EncodingPlan or WholeSeries
        Its rows count; plans of other layers have the same.
    filters : list of ndarray, each (n_times, n_volumes), optional
        Drift filter of each presentation: the rows, at the volumes with music, of the matrix that
        removes drift from the run. Default: no drift was removed.

    Returns
    -------
    NoiseClasses

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> classes = noise_classes(plan)
    >>> classes.parameters.shape[1], len(classes.power)
    (4, 3)
    """
    operators = _operators(plan, filters)
    grid = noise_grid()
    power, likelihoods = [], []
    for segment in plan.segments:
        operator = operators[segment.block][segment.start : segment.stop]
        operator = operator - operator.mean(axis=0)
        likelihoods.append(_Likelihood(operator))
        power.append(_expected_power(operator))
    return NoiseClasses(grid, tuple(power), tuple(likelihoods))


def _operators(plan: KeptRows, filters: Sequence[NDArray[np.floating]] | None) -> list[FloatArray]:
    if filters is None:
        return [np.eye(length) for length in plan.lengths]
    check_shape("filters", filters, len(plan.lengths))
    for i, (one, length) in enumerate(zip(filters, plan.lengths, strict=True)):
        check_shape(f"filters[{i}]", one, length, "n_volumes")
    return [np.asarray(one, dtype=np.float64) for one in filters]


def _variances_of(rows: FloatArray) -> FloatArray:
    """Variance of each weighted sum (n, n_volumes) of every process, (n, n_processes)."""
    n_volumes = rows.shape[1]
    spectrum = fft.rfft(rows, n=fft.next_fast_len(2 * n_volumes, real=True), axis=1)
    own = fft.irfft(np.abs(spectrum) ** 2, n=fft.next_fast_len(2 * n_volumes, real=True), axis=1)
    own = own[:, :n_volumes]
    own[:, 1:] *= 2
    return np.maximum(own @ autocorrelations(n_volumes), 0)


def _with_white(colored: FloatArray) -> FloatArray:
    """Variances (n, n_processes) with every share of white noise, (n, n_processes x n_shares)."""
    shares = np.array(WHITE_SHARES)
    mixed = (1 - shares) * np.maximum(colored, 0)[:, :, np.newaxis] + shares
    return np.maximum(mixed.reshape(len(colored), -1), 1e-12)


def _expected_power(operator: FloatArray) -> FloatArray:
    """Expected power of z-scored noise, (n_classes, n_freq), as the closed form has it."""
    n_times = len(operator)
    n_freq = n_times // 2
    mixed = fourier_basis(n_times).T @ operator
    flat = (mixed**2).sum(axis=1)
    rows = [flat]
    for slow in _variances_of(mixed).T:
        rows += [(1 - share) * slow + share * flat for share in WHITE_SHARES]
    both = np.array(rows)
    power = 0.5 * (both[:, :n_freq] + both[:, n_freq:])
    if n_times % 2 == 0:
        power[:, -1] *= 2
    return _normalized(power, n_times)


def _normalized(power: NDArray[Any], n_times: int) -> NDArray[Any]:
    """Power of z-scored series: the squares of all coefficients sum to their number of samples."""
    counts = np.full(power.shape[-1], 2.0)
    if n_times % 2 == 0:
        counts[-1] = 1
    return np.asarray(power * (n_times / (power @ counts))[..., np.newaxis])


def _observed_power(plan: KeptRows, standardized: FloatArray) -> list[FloatArray]:
    """Power of z-scored series per segment, (n_vertices, n_freq)."""
    out = []
    for segment in plan.segments:
        series = standardized[segment.offset : segment.offset + segment.size]
        coefficients = fourier_coefficients(series)
        n_freq = segment.size // 2
        power = 0.5 * (coefficients[:, :n_freq] ** 2 + coefficients[:, n_freq:] ** 2)
        if segment.size % 2 == 0:
            power[:, -1] *= 2
        out.append(power)
    return out


class _Smoother:
    """Slow departures of observed spectra from those of the classes.

    The grid is coarse, and noise is not exactly of its form. The ratio of observed to expected
    power, averaged over neighboring frequencies of all segments, is what the classes lack.
    """

    def __init__(self, plan: KeptRows) -> None:
        frequencies = [np.arange(1, s.size // 2 + 1) / s.size for s in plan.segments]
        width = max(WIDTH, WIDTH_SAMPLES / plan.n_rows)
        self._kernels = [
            np.maximum(1 - np.abs(f[:, np.newaxis] - KNOTS) / width, 0) for f in frequencies
        ]
        step = KNOTS[1] - KNOTS[0]
        self._weights = [
            np.maximum(1 - np.abs(KNOTS[:, np.newaxis] - f) / step, 0) for f in frequencies
        ]

    def ratio(
        self, observed: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]
    ) -> NDArray[np.float32]:
        """Ratio of power at the knots, (n_vertices, n_knots)."""
        total = sum(kernel.sum(axis=0) for kernel in self._kernels)
        parts = zip(observed, expected, self._kernels, strict=True)
        ratios = sum((o / np.maximum(e, 1e-9)) @ kernel for o, e, kernel in parts)
        near = total > 1e-9
        ratios = np.where(near, ratios / np.where(near, total, 1), 1)
        return np.asarray(ratios, dtype=np.float32)

    def applied(
        self, ratio: NDArray[np.float32], expected: Sequence[NDArray[Any]], sizes: Sequence[int]
    ) -> list[NDArray[np.float32]]:
        """Expected power times the ratio, per segment."""
        out = []
        for weights, power, size in zip(self._weights, expected, sizes, strict=True):
            # A vertex without any power has no null either; zero would divide by zero.
            changed = power * np.maximum(ratio @ weights, 1e-6)
            out.append(_normalized(changed, size).astype(np.float32))
        return out


@dataclass(frozen=True)
class Noise:
    """Estimated noise of a set of series.

    Attributes
    ----------
    weights : ndarray of float32, shape (n_vertices, n_classes)
        Probability of each class.
    ratio : ndarray of float32, shape (n_vertices, n_knots)
        Power over that of the classes, at knots from zero to half a cycle a sample.
    """

    weights: NDArray[np.float32]
    ratio: NDArray[np.float32]


@dataclass(frozen=True)
class NoiseNull:
    """Noise of a participant's vertices, and series simulated from its classes.

    Attributes
    ----------
    classes : NoiseClasses
    vertices : Noise
        Of the responses.
    series : list of ndarray, each (n_times, n_series)
        Simulated responses.
    simulated : Noise
        Estimate from the simulated series.
    """

    classes: NoiseClasses
    vertices: Noise
    series: list[FloatArray]
    simulated: Noise

    def power(self, plan: KeptRows, noise: Noise, part: slice = slice(None)) -> list[NDArray[Any]]:
        """Expected power per segment, (n_part, n_freq), as the closed form takes it."""
        expected = _of_classes(self.classes, noise.weights[part])
        sizes = [segment.size for segment in plan.segments]
        return list(_Smoother(plan).applied(noise.ratio[part], expected, sizes))


def _of_classes(classes: NoiseClasses, weights: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [weights @ power.astype(np.float32) for power in classes.power]


def upper_scale(z: FloatArray) -> float:
    """Divisor of null z after which 5 % of them exceed the 95 % point of the normal distribution.

    Parameters
    ----------
    z : ndarray, shape (n_series,)
        Statistic over its first-order standard deviation; NaN are left out.

    Returns
    -------
    float
        From second and third moment about zero (Cornish and Fisher), which vary less than the
        share of the largest. The mean is zero: the sign of a held-out series is arbitrary, and its
        prediction does not depend on it. 1 where fewer than ten series have a value.

    Examples
    --------
    >>> z = np.random.default_rng(0).standard_normal(20_000)
    >>> round(upper_scale(1.2 * z), 1)
    1.2
    """
    finite = z[np.isfinite(z)]
    size = float(np.sqrt(np.mean(finite**2))) if finite.size >= 10 else 0.0
    if size == 0:
        return 1.0
    skewness = float(np.mean((finite / size) ** 3))
    point = float(stats.norm.isf(SIGNIFICANCE))
    return size * max(1 + skewness * (point**2 - 1) / (6 * point), 0.1)


def noise_null(
    plan: KeptRows,
    responses: Responses,
    *,
    filters: Sequence[NDArray[np.floating]] | None = None,
    n_series: int = N_SERIES,
    seed: int,
    purpose: str = "noise of a vertex' class",
) -> NoiseNull:
    """Estimate the noise of a participant's vertices and simulate more of it.

    Parameters
    ----------
    plan : EncodingPlan or WholeSeries
        Of any layer.
    responses : list of ndarray or Chosen, each (n_times, n_vertices)
        As given to :func:`bids_app.encoding.fit_encoding`.
    filters : list of ndarray, each (n_times, n_volumes), optional
        As in :func:`noise_classes`.
    n_series : int
        Simulated series. Each has the class of a vertex that is drawn.
    seed : int
        Seed of the analysis.
    purpose : str
        What the simulated series are for: other purposes have other series.

    Returns
    -------
    NoiseNull
        For all layers of the participant.

    Raises
    ------
    BadDataError
        Shapes that disagree.

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(
    ...     features @ features.T, [60, 60, 60], delays=(2.0, 6.0), crop=6.0, tr=1.0
    ... )
    >>> driven = np.roll(features, 4, axis=0) @ rng.standard_normal(8)
    >>> responses = np.split(np.stack([driven, rng.standard_normal(180)], axis=1), 3)
    >>> noise = noise_null(plan, responses, n_series=50, seed=0)
    >>> result = fit_encoding(plan, responses, null="noise", noise=noise)
    >>> (result.p < 0.01).tolist()
    [True, False]
    """
    classes = noise_classes(plan, filters)
    likelihoods = classes.likelihoods(plan, responses)
    prior = shares_of_classes(likelihoods)
    rng = generator(seed, purpose)
    drawn = _draw_classes(prior, n_series, rng)
    series = [
        operator @ _simulate(classes.parameters[drawn], operator.shape[1], rng)
        for operator in _operators(plan, filters)
    ]
    found = _noise(plan, classes, responses, posterior(likelihoods, prior))
    weights = posterior(classes.likelihoods(plan, series), prior)
    return NoiseNull(classes, found, series, _noise(plan, classes, series, weights))


def _noise(
    plan: KeptRows,
    classes: NoiseClasses,
    responses: Responses,
    weights: NDArray[np.float32],
) -> Noise:
    """Probabilities of the classes, and what their spectra lack."""
    smoother = _Smoother(plan)
    ratio = np.empty((len(weights), KNOTS.size), dtype=np.float32)
    for start in range(0, len(weights), CHUNK):
        part = slice(start, min(start + CHUNK, len(weights)))
        observed = _observed_power(plan, standardize(plan, responses, part)[0])
        ratio[part] = smoother.ratio(observed, _of_classes(classes, weights[part]))
    return Noise(weights, ratio)


def _draw_classes(prior: FloatArray, n_series: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Class of every simulated series: as often as it is among the vertices."""
    # One draw in each of equal steps: the shares are met more closely than by chance.
    steps = (np.arange(n_series) + rng.random(n_series)) / n_series
    shares = np.cumsum(prior)
    return np.minimum(np.searchsorted(shares / shares[-1], steps), prior.size - 1)


def _simulate(parameters: FloatArray, n_times: int, rng: np.random.Generator) -> FloatArray:
    """Noise of variance one, (n_times, n_series); parameters (n_series, 4)."""
    n_series = len(parameters)
    # A stretch of a longer circle, whose covariance is that of the process.
    circle = fft.next_fast_len(4 * n_times, real=True)
    lags = np.minimum(np.arange(circle), circle - np.arange(circle))
    spectrum = fft.rfft(rng.standard_normal((circle, n_series)), axis=0)
    white = rng.standard_normal((n_times, n_series))
    for process in np.unique(parameters[:, :3], axis=0):
        same = (parameters[:, :3] == process).all(axis=1)
        power = fft.rfft(autocorrelation(process, circle)[lags]).real
        spectrum[:, same] *= np.sqrt(np.maximum(power, 0))[:, np.newaxis]
    slow = fft.irfft(spectrum, n=circle, axis=0)[:n_times]
    share = parameters[:, 3]
    return np.asarray(np.sqrt(1 - share) * slow + np.sqrt(share) * white)
