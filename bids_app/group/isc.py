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
from bids_app.pairs import pair_test, unit_series
from bids_app.seeds import generator
from bids_app.statistics import finite_mean, fisher_z

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
