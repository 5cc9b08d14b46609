"""Variance of the correlation of two presentations that have nothing but noise.

Both are noise of the vertex' own class, each filtered as its run was. To first order the variance
of their correlation is the trace of the product of their covariances over the squared number of
samples, which are not taken for periodic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from bids_app.encoding.folds import KeptRows
from bids_app.encoding.noise import Noise, NoiseNull
from bids_app.encoding.noise_grid import WHITE_SHARES, autocorrelations

FloatArray = NDArray[np.float64]


class PairVariance:
    """Variance of the mean correlation over pairs of presentations, and over stimuli.

    Parameters
    ----------
    rows : EncodingPlan or WholeSeries
        With one segment per presentation.
    null : NoiseNull
        Noise of the vertices at these rows.
    filters : list of ndarray, each (n_times, n_volumes)
        What made the rows of the noise of their runs.
    stimuli : sequence of str
        Stimulus of every presentation. Those of one stimulus have equal lengths.

    Examples
    --------
    >>> from bids_app.encoding.folds import WholeSeries
    >>> from bids_app.encoding.noise import noise_null
    >>> rng, rows = np.random.default_rng(0), WholeSeries((50, 50))
    >>> null = noise_null(rows, [rng.standard_normal((50, 400)) for _ in range(2)], seed=0)
    >>> pairs = PairVariance(rows, null, [np.eye(50)] * 2, ["song", "song"])
    >>> round(pairs.of(null.vertices).mean().item() * 49, 1)  # white noise: 1 / 49
    1.0
    """

    def __init__(
        self,
        rows: KeptRows,
        null: NoiseNull,
        filters: Sequence[NDArray[np.floating]],
        stimuli: Sequence[str],
    ) -> None:
        self._rows, self._null = rows, null
        self._pairs: list[list[tuple[int, int]]] = []
        self._tables: list[FloatArray] = []
        for stimulus in sorted(set(stimuli)):
            own = [k for k, one in enumerate(stimuli) if one == stimulus]
            self._pairs.append(list(combinations(own, 2)))
            self._tables.append(_pair_tables([filters[k] for k in own]))

    def of(self, noise: Noise, part: slice = slice(None)) -> FloatArray:
        """The variance at some vertices.

        Parameters
        ----------
        noise : Noise
            `NoiseNull.vertices` or `NoiseNull.simulated`.
        part : slice
            Vertices.

        Returns
        -------
        ndarray, shape (n_part,)
        """
        weights = noise.weights[part].astype(np.float64)
        power = self._null.power(self._rows, noise, part)
        plain = [weights @ own for own in self._null.classes.power]
        total = np.zeros(len(weights))
        for pairs, table in zip(self._pairs, self._tables, strict=True):
            of_classes = weights @ table.T
            for number, (a, b) in enumerate(pairs):
                # What the spectra of the classes lack, as far as it concerns this sum.
                lacking = (power[a] * power[b]).sum(axis=1) / (plain[a] * plain[b]).sum(axis=1)
                total += of_classes[:, number] * lacking / len(pairs) ** 2
        return np.asarray(total / len(self._pairs) ** 2)


def _pair_tables(filters: Sequence[NDArray[np.floating]]) -> FloatArray:
    """Of every pair of presentations of a stimulus and every class, (n_pairs, n_classes)."""
    made = [np.asarray(one, dtype=np.float64) for one in filters]
    made = [one - one.mean(axis=0) for one in made]
    flat = [one @ one.T for one in made]
    pairs = list(combinations(range(len(made)), 2))
    lags = autocorrelations(max(one.shape[1] for one in made))
    columns = [[_ratio(flat[a], flat[b])] for a, b in pairs]
    for process in lags.T:
        slow = [one @ linalg.matmul_toeplitz(process[: one.shape[1]], one.T) for one in made]
        for share in WHITE_SHARES:
            mixed = [(1 - share) * s + share * f for s, f in zip(slow, flat, strict=True)]
            for column, (a, b) in zip(columns, pairs, strict=True):
                column.append(_ratio(mixed[a], mixed[b]))
    return np.array(columns)


def _ratio(first: FloatArray, second: FloatArray) -> float:
    """Variance of the correlation of two series with these covariances, to first order."""
    return float((first * second).sum() / (np.trace(first) * np.trace(second)))
