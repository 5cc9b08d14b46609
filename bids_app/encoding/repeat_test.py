"""Whether presentations of a piece to one person have something in common.

Series of rotated phases are periodic, and slow noise is not: for presentations of short pieces
`bids_app.pairs.pair_test` is too narrow. `repeat_test` has noise of the vertex' own class, and
takes from draws of phases only what vertices have in common.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from bids_app.encoding.folds import WholeSeries
from bids_app.encoding.noise import NoiseNull, noise_null, upper_scale
from bids_app.encoding.noise_pairs import PairVariance
from bids_app.encoding.responses import Chosen
from bids_app.pairs import CHUNK, PairTest, draw_pairs, phase_turns, unit_series

FloatArray = npt.NDArray[np.float64]

_N_SERIES = 2048
"""Simulated series that correct the first order."""


def repeat_test(
    stimuli: Sequence[npt.NDArray],
    filters: Sequence[Sequence[npt.NDArray[np.floating]]] | None = None,
    *,
    n_draws: int = 1000,
    seed: int,
) -> PairTest:
    """Whether presentations to one person have something in common, of slow noise in short pieces.

    Parameters
    ----------
    stimuli : sequence of (n_presentations, n_times, n_vertices) array
        Responses to the presentations of each stimulus, two or more.
    filters : sequence of sequences of (n_times, n_volumes) arrays, optional
        Of every presentation the rows, at these times, of the matrix that removed confounds and
        drift from its run. Default: nothing was removed.
    n_draws : int
        Draws of phases, for the maximum over vertices.
    seed : int
        Of the phases and of simulated noise.

    Returns
    -------
    PairTest
        NaN at vertices without a response to some presentation.

    Notes
    -----
    Noise has the vertex' own class (:func:`bids_app.encoding.noise_null`). The variance of the mean
    correlation gives the degrees of freedom of an F ratio, that of what presentations share to what
    they do not (Feldt 1965, doi:10.1007/BF02289499); its z (Paulson 1942) is divided by a scale
    that 5 % of simulated series exceed 1.645 after, where that is above 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> repeats = rng.standard_normal((2, 100, 40))  # presentations, times, vertices
    >>> repeats[:, :, 0] += 2 * rng.standard_normal(100)  # the same in both
    >>> found = repeat_test([repeats], n_draws=200, seed=0)
    >>> (found.p_max < 0.01).sum().item(), bool(found.p[0] < 1e-6)
    (1, True)
    """
    n_vertices = stimuli[0].shape[2]
    usable = np.flatnonzero(_complete(stimuli))
    r, sd, p, p_max = np.full((4, n_vertices), np.nan)
    if not usable.size:
        return PairTest(r, sd, p, p_max, np.full(n_draws, np.nan))
    noise, pairs = _noise_of(stimuli, filters, usable, seed)
    n = float(np.mean([len(series) for series in stimuli]))
    turns = [phase_turns(series.shape[:2], k, n_draws, seed) for k, series in enumerate(stimuli)]
    largest = np.full(n_draws, -np.inf)
    for start in range(0, usable.size, CHUNK):
        own = usable[start : start + CHUNK]
        r[own], periodic, drawn = draw_pairs(stimuli, own, turns)
        sd[own] = np.sqrt(pairs.of(noise.vertices, slice(start, start + own.size)))
        np.maximum(largest, _agreement_z(drawn, periodic, n).max(axis=1), out=largest)
    simulated = _agreement_z(_mean_r(stimuli, noise.series), np.sqrt(pairs.of(noise.simulated)), n)
    # Series of the classes say how much wider p has to be; real noise gives no leave to narrow it.
    z = _agreement_z(r[usable], sd[usable], n) / max(upper_scale(simulated), 1.0)
    p[usable] = special.ndtr(-z)
    reached = np.searchsorted(np.sort(largest), z, side="left")
    p_max[usable] = (1 + n_draws - reached) / (1 + n_draws)
    return PairTest(r, sd, p, p_max, largest)


def _complete(stimuli: Sequence[npt.NDArray]) -> npt.NDArray[np.bool_]:
    """Vertices with a response to every presentation."""
    n_vertices = stimuli[0].shape[2]
    there = np.empty(n_vertices, dtype=bool)
    for start in range(0, n_vertices, CHUNK):
        part = slice(start, min(start + CHUNK, n_vertices))
        missing = [unit_series(np.asarray(one[:, :, part], np.float64))[1] for one in stimuli]
        there[part] = ~np.concatenate(missing).any(axis=0)
    return there


def _noise_of(
    stimuli: Sequence[npt.NDArray],
    filters: Sequence[Sequence[npt.NDArray[np.floating]]] | None,
    usable: npt.NDArray[np.intp],
    seed: int,
) -> tuple[NoiseNull, PairVariance]:
    """Noise of the vertices in every presentation, and the variance that it gives."""
    heard = [(str(k), own) for k, series in enumerate(stimuli) for own in series]
    rows = WholeSeries(tuple(len(own) for _, own in heard))
    made = [np.eye(n) for n in rows.lengths] if filters is None else [f for s in filters for f in s]
    noise = noise_null(
        rows,
        [Chosen(own, usable) for _, own in heard],
        filters=made,
        n_series=_N_SERIES,
        seed=seed,
        purpose="noise of presentations",
    )
    return noise, PairVariance(rows, noise, made, [label for label, _ in heard])


def _agreement_z(r: FloatArray, sd: FloatArray, n: float) -> FloatArray:
    """Normal z of a mean correlation over the pairs of n series."""
    df = np.maximum(2 / (n * (n - 1) * sd**2) - 1, 1)
    within = (n - 1) * df
    root = np.cbrt(np.maximum(1 + (n - 1) * r, 0) / np.maximum(1 - r, 1e-9))
    a, b = 2 / (9 * df), 2 / (9 * within)
    return np.asarray(((1 - b) * root - (1 - a)) / np.sqrt(b * root**2 + a))


def _mean_r(stimuli: Sequence[npt.NDArray], series: Sequence[FloatArray]) -> FloatArray:
    """Mean r over pairs and stimuli of simulated series, in the order of presentations."""
    total, start = np.zeros(series[0].shape[1]), 0
    for n in map(len, stimuli):
        whole = unit_series(np.stack(series[start : start + n]))[0].sum(axis=0)
        total += ((whole**2).sum(axis=0) - n) / (n * (n - 1))
        start += n
    return total / len(stimuli)
