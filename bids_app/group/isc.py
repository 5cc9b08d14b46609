"""Inter-subject correlation of responses to the same stimuli.

Without a common response the phases of participants' series are independent. The null therefore
rotates the phases of each participant by independent draws, the same for all vertices. Under it the
pairwise mean is a U-statistic and skewed, so that p and the maximum are computed from draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, check_shape
from bids_app.seeds import generator
from bids_app.statistics import finite_mean, fisher_z

ComplexArray = npt.NDArray[np.complex64]
FloatArray = npt.NDArray[np.float64]

_CHUNK = 512
# Of the 95 % interval.
_TAILS = ((1 - 0.95) / 2, (1 + 0.95) / 2)


@dataclass(frozen=True, eq=False)
class IscResult:
    """Inter-subject correlation, Fisher-z averaged over stimuli.

    Attributes
    ----------
    leave_one_out : (n_participants, n_vertices) float64
        Correlation of each participant with the mean of the others (each z-scored); NaN where the
        participant or all the others are missing.
    leave_one_out_mean : (n_vertices,) float64
        Fisher-z mean of these over participants, back-transformed.
    pairwise : (n_vertices,) float64
        Fisher-z mean over pairs of participants, back-transformed.
    ci_low, ci_high : (n_vertices,) float64
        95 % bootstrap interval of `pairwise`, participants resampled, pairs of a participant with
        itself left out. It is descriptive, not a test.
    p : (n_vertices,) float64
        One-sided p of a positive mean over pairs, of draws with independent phases.
    p_max : (n_vertices,) float64
        The same corrected by the largest value over vertices of each draw, every vertex in units
        of its standard deviation.
    sd : (n_vertices,) float64
        Standard deviation of the mean over pairs under that null, in closed form.
    null_max : (n_draws,) float64
        Largest value of each draw.
    n_pairs : (n_vertices,) int
        Pairs that count.
    """

    leave_one_out: FloatArray
    leave_one_out_mean: FloatArray
    pairwise: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    p: FloatArray
    p_max: FloatArray
    sd: FloatArray
    null_max: FloatArray
    n_pairs: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairTest:
    """Mean correlation over pairs of series, and over stimuli, tested by random phases.

    Attributes
    ----------
    r : (n_vertices,) float64
        NaN where no stimulus has two series.
    sd : (n_vertices,) float64
        Standard deviation under the null, in closed form.
    p, p_max : (n_vertices,) float64
        One-sided, of draws with independent phases of every series; and corrected by the largest
        value over vertices of each draw, every vertex in units of its standard deviation.
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
    turns = [_turns(series.shape[:2], k, n_draws, seed) for k, series in enumerate(stimuli)]
    r, sd, p = np.empty((3, n_vertices))
    largest = np.full(n_draws, -np.inf)
    for start in range(0, n_vertices, _CHUNK):
        part = slice(start, min(start + _CHUNK, n_vertices))
        r[part], sd[part], drawn = _draw(stimuli, part, turns)
        with np.errstate(invalid="ignore"):
            beyond = (drawn >= r[part] * (1 - 1e-6)).sum(axis=0)
        p[part] = np.where(np.isfinite(r[part]), (1 + beyond) / (1 + n_draws), np.nan)
        if np.isfinite(sd[part]).any():
            np.maximum(largest, np.nanmax(drawn / sd[part], axis=1), out=largest)
    reached = np.searchsorted(np.sort(largest), r / sd * (1 - 1e-6), side="left")
    p_max = np.where(np.isfinite(r / sd), (1 + n_draws - reached) / (1 + n_draws), np.nan)
    return PairTest(r, sd, p, p_max, largest)


def isc(
    responses: npt.ArrayLike | Sequence[npt.ArrayLike],
    *,
    n_draws: int = 1000,
    n_bootstrap: int = 1000,
    seed: int,
) -> IscResult:
    """Leave-one-out and pairwise inter-subject correlation, tested by random phases.

    Parameters
    ----------
    responses : (n_participants, n_times, n_vertices) array, or one such array per stimulus
        Cleaned responses on the stimulus' clock. A participant with a value that is not finite, or
        with a constant response, is missing at that vertex for that stimulus. Memory-mapped arrays
        are read in pieces.
    n_draws : int
        Draws of phases. What is tested is the mean of r over pairs and stimuli.
    n_bootstrap : int
        Resamples of participants, for the interval.
    seed : int
        Seed of phases and bootstrap; all vertices share both.

    Returns
    -------
    IscResult
        Correlations, interval, p.

    Raises
    ------
    BadDataError
        If shapes disagree or there are fewer than three participants.

    Notes
    -----
    Hasson et al. 2004, doi:10.1126/science.1089506; bootstrap of Chen et al. 2016,
    doi:10.1016/j.neuroimage.2016.05.023. Leave-one-out values are not independent of one another:
    they are descriptive, and the pairwise mean is tested.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> responses = rng.standard_normal((5, 80, 2))  # participants, times, vertices
    >>> responses[:, :, 0] += 2 * rng.standard_normal(80)  # the same in everybody
    >>> result = isc(responses, n_draws=200, n_bootstrap=200, seed=0)
    >>> result.leave_one_out.shape, result.n_pairs.tolist()
    ((5, 2), [10, 10])
    >>> (result.pairwise > 0.5).tolist(), (result.p_max < 0.01).tolist()
    ([True, False], [True, False])
    """
    stimuli = _check(responses)
    n_participants, _, n_vertices = stimuli[0].shape
    draws = generator(seed, "isc bootstrap").multinomial(
        n_participants, np.full(n_participants, 1 / n_participants), size=n_bootstrap
    )
    pairs = np.triu_indices(n_participants, 1)
    weights = (draws[:, pairs[0]] * draws[:, pairs[1]]).astype(np.float64)
    leave_one_out = np.empty((n_participants, n_vertices))
    rows = np.empty((3, n_vertices))
    n_pairs = np.empty(n_vertices, dtype=np.int64)
    for start in range(0, n_vertices, _CHUNK):
        part = slice(start, min(start + _CHUNK, n_vertices))
        loo_z, pair_z = _average_stimuli(stimuli, part, pairs)
        leave_one_out[:, part] = np.tanh(loo_z)
        rows[:, part], n_pairs[part] = _bootstrap(pair_z, weights)
    tested = pair_test(stimuli, n_draws=n_draws, seed=seed)
    return IscResult(
        leave_one_out=leave_one_out,
        leave_one_out_mean=np.tanh(finite_mean(fisher_z(leave_one_out))),
        pairwise=np.tanh(rows[0]),
        ci_low=np.tanh(rows[1]),
        ci_high=np.tanh(rows[2]),
        p=tested.p,
        p_max=tested.p_max,
        sd=tested.sd,
        null_max=tested.null_max,
        n_pairs=n_pairs,
    )


def check_stimuli(responses: npt.ArrayLike | Sequence[npt.ArrayLike]) -> list[npt.NDArray]:
    """Responses as one array per stimulus.

    Parameters
    ----------
    responses : (n_participants, n_times, n_vertices) array, or one such array per stimulus

    Returns
    -------
    list of (n_participants, n_times, n_vertices) arrays

    Raises
    ------
    BadDataError
        If shapes disagree.

    Examples
    --------
    >>> [one.shape for one in check_stimuli(np.zeros((4, 20, 3)))]
    [(4, 20, 3)]
    """
    single = isinstance(responses, np.ndarray) and responses.ndim == 3
    arrays = [responses] if single else list(responses)  # type: ignore[arg-type]
    stimuli = [array if isinstance(array, np.ndarray) else np.asarray(array) for array in arrays]
    check_shape("responses", stimuli, "n_stimuli")
    n_participants, n_vertices = len(stimuli[0]), stimuli[0].shape[-1]
    for index, array in enumerate(stimuli):
        check_shape(f"responses[{index}]", array, n_participants, "n_times", n_vertices)
    return stimuli


def _check(responses: npt.ArrayLike | Sequence[npt.ArrayLike]) -> list[npt.NDArray]:
    stimuli = check_stimuli(responses)
    if min(len(stimuli[0]), *(array.shape[1] for array in stimuli)) < 3:
        raise BadDataError(
            "Inter-subject correlation needs at least three participants and times.",
            where="responses",
            found=[array.shape for array in stimuli],
            wanted="(n_participants, n_times, n_vertices), the first two 3 or more",
            remedy="add participants, or a longer stimulus",
        )
    return stimuli


def _average_stimuli(
    stimuli: list[npt.NDArray], part: slice, pairs: tuple[npt.NDArray, npt.NDArray]
) -> tuple[FloatArray, FloatArray]:
    """Fisher z of leave-one-out and pairwise correlations, averaged over stimuli."""
    loo, pair = [], []
    for responses in stimuli:
        unit, missing = unit_series(np.asarray(responses[:, :, part], dtype=np.float64))
        total = unit.sum(axis=0)
        with_total = np.einsum("stv,tv->sv", unit, total)
        total_square = np.einsum("tv,tv->v", total, total)
        # Correlation with the sum of the others, from inner products of unit vectors.
        rest_square = total_square - 2 * with_total + 1
        missing_loo = missing | (rest_square < 1e-9)
        r = (with_total - 1) / np.sqrt(np.where(missing_loo, 1, rest_square))
        loo.append(fisher_z(np.where(missing_loo, np.nan, r)))
        products = np.moveaxis(unit, 2, 0)
        gram = products @ products.transpose(0, 2, 1)
        r = gram[:, pairs[0], pairs[1]].T
        r[missing[pairs[0]] | missing[pairs[1]]] = np.nan
        pair.append(fisher_z(r))
    return finite_mean(np.stack(loo)), finite_mean(np.stack(pair))


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
    missing = np.asarray(~np.isfinite(series).all(axis=1))
    series = np.where(missing[:, np.newaxis], 0.0, series)
    largest = np.abs(series).max(axis=1)
    series = series - series.mean(axis=1, keepdims=True)
    norm = np.sqrt(np.einsum("stv,stv->sv", series, series))
    missing = missing | (norm <= 1e-10 * largest * np.sqrt(series.shape[1]))
    series /= np.where(missing, 1.0, norm)[:, np.newaxis]
    series[np.broadcast_to(missing[:, np.newaxis], series.shape)] = 0.0
    return series, missing


def _turns(shape: tuple[int, ...], stimulus: int, n_draws: int, seed: int) -> ComplexArray:
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


def _draw(
    stimuli: Sequence[npt.NDArray], part: slice, turns: Sequence[ComplexArray]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean r over pairs and stimuli, its standard deviation, and draws of it.

    From the length of the sum of n unit series: ``(|sum|^2 - n) / (n (n - 1))``. Returns
    (n_vertices,), (n_vertices,) and (n_draws, n_vertices).
    """
    n_vertices = stimuli[0][:, :, part].shape[2]
    observed, variance, count = np.zeros((3, n_vertices))
    drawn = np.zeros((turns[0].shape[1], n_vertices))
    for responses, turn in zip(stimuli, turns, strict=True):
        unit, missing = unit_series(np.asarray(responses[:, :, part], dtype=np.float64))
        n = (~missing).sum(axis=0)
        use = n > 1
        share = np.where(use, 1 / np.maximum(n * (n - 1), 1), 0.0)
        spectra = _unit_spectra(unit)
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


def _unit_spectra(unit: FloatArray) -> ComplexArray:
    """Fourier coefficients of series of length 1, whose squares add up to 1.

    (n_freq, n_participants, n_vertices) from (n_participants, n_times, n_vertices).
    """
    n_times = unit.shape[1]
    spectra = np.fft.rfft(unit, axis=1)[:, 1:] * np.sqrt(2 / n_times)
    if n_times % 2 == 0:
        spectra[:, -1] /= np.sqrt(2)
    return np.ascontiguousarray(np.swapaxes(spectra, 0, 1).astype(np.complex64))


def _bootstrap(pair_z: FloatArray, weights: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Mean and interval of the pairwise Fisher z: (3, n_vertices), and pairs that count."""
    finite = np.isfinite(pair_z)
    z = np.where(finite, pair_z, 0.0)
    n_pairs = finite.sum(axis=0)
    mean = np.where(n_pairs > 0, z.sum(axis=0) / np.maximum(n_pairs, 1), np.nan)
    total = weights.sum(axis=1, keepdims=True) if finite.all() else weights @ finite
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = weights @ z / total
    usable = np.isfinite(drawn)
    low, high = np.full((2, z.shape[1]), np.nan)
    some = usable.any(axis=0)
    if some.any():
        low[some], high[some] = np.nanquantile(drawn[:, some], _TAILS, axis=0)
    return np.stack([mean, low, high]), n_pairs
