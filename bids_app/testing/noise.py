"""Noise of a simulated BOLD series: own and shared noise, drift, motion, physiology.

Arrays here are (n_vertices, n_times), time last, so that filters run along memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from bids_app.errors import BadDataError
from bids_app.surface.mesh import SurfaceMesh
from bids_app.testing.confounds import Nuisance, draw_nuisance
from bids_app.testing.cortex import smooth_basis, smoothing_operator
from bids_app.testing.responses import FloatArray, autocorrelated, standardize


@dataclass(frozen=True)
class NoiseShares:
    """How the variance that is not signal is divided; what is left is the participant's own noise.

    Attributes
    ----------
    shared : float
        Noise that all participants have in common: responses to the music that no layer explains.
    drift : float
        Slow change of the scanner, periods beyond 128 s.
    motion, physiology : float
        What the motion parameters and the tissue components of the confounds table explain.
    autocorrelation : float
        Lag-1 correlation of own and shared noise, per second.
    """

    shared: float = 0.08
    drift: float = 0.10
    motion: float = 0.08
    physiology: float = 0.12
    autocorrelation: float = 0.5

    def __post_init__(self) -> None:
        parts = (self.shared, self.drift, self.motion, self.physiology)
        if min(parts) < 0 or self.own < 0 or not 0 <= self.autocorrelation < 1:
            raise BadDataError(
                "Shares of noise must be positive and add up to at most one.",
                found=self,
                wanted="shares of 0 or more, 1 together; autocorrelation from 0 to below 1",
                remedy="lower the shares",
            )

    @property
    def own(self) -> float:
        """What is left for the participant's own noise."""
        return 1.0 - self.shared - self.drift - self.motion - self.physiology


def smooth_noise(
    operator: sparse.csr_matrix, lengths: list[int], coefficient: float, rng: np.random.Generator
) -> FloatArray:
    """Draw noise that is smooth over cortex and autocorrelated, unit variance.

    Parameters
    ----------
    operator : (n_vertices, n_vertices) CSR
        `smoothing_operator`.
    lengths : list of int
        Volumes of each run.
    coefficient : float
        Lag-1 autocorrelation.
    rng : Generator
        Source.

    Returns
    -------
    (n_times, n_vertices) float64
        Exactly zero mean and unit variance over all runs.
    """
    white = autocorrelated((operator.shape[0], sum(lengths)), lengths, coefficient, rng)
    return standardize((operator.astype(np.float32) @ white).T)


def slow_drift(n_times: int, tr: float) -> FloatArray:
    """Trend and cosines with periods above 128 s, (n_times, n_terms), unit variance."""
    middle = (np.arange(n_times) + 0.5) / n_times
    n_cosines = int(2 * n_times * tr // 128.0)
    terms = [middle - 0.5, *(np.cos(np.pi * k * middle) for k in range(1, n_cosines + 1))]
    return standardize(np.stack(terms, axis=1))


def combine(
    signal: FloatArray,
    signal_share: FloatArray,
    parts: dict[str, FloatArray],
    shares: NoiseShares,
) -> FloatArray:
    """Add signal and noise with the stated shares of variance.

    Parameters
    ----------
    signal : (n_times, n_vertices) float64
        Unit variance or zero.
    signal_share : (n_vertices,) float64
        Share of the signal in each vertex' variance.
    parts : dict of (n_times, n_vertices) float64
        `own` and the names of `NoiseShares`, unit variance.
    shares : NoiseShares
        How what is not signal is divided.

    Returns
    -------
    (n_times, n_vertices) float64
        Variance one on average (exactly but for chance correlations of the parts).
    """
    series = np.sqrt(signal_share) * signal
    rest = np.sqrt(1.0 - signal_share)
    for name, part in parts.items():
        series += np.sqrt(getattr(shares, name)) * rest * part
    return series


class NoiseSource:
    """Noise of all participants of a study on one mesh.

    Parameters
    ----------
    mesh : SurfaceMesh
        Where.
    lengths : list of int
        Volumes of each run.
    tr : float
        Seconds.
    shares : NoiseShares
        Composition.
    seed : int
        Of all draws.
    """

    def __init__(
        self, mesh: SurfaceMesh, lengths: list[int], tr: float, shares: NoiseShares, seed: int
    ) -> None:
        self.lengths, self.tr, self.shares, self.seed = lengths, tr, shares, seed
        self.operator = smoothing_operator(mesh, 1)
        self.maps = smooth_basis(mesh, 45.0, np.random.default_rng([seed, 1]))
        self.common = self._noise(np.random.default_rng([seed, 2]))

    def _noise(self, rng: np.random.Generator) -> FloatArray:
        coefficient = self.shares.autocorrelation**self.tr
        return smooth_noise(self.operator, self.lengths, coefficient, rng)

    def _leak(self, series: list[FloatArray], rng: np.random.Generator) -> FloatArray:
        """Spread the columns of each run's series over cortex by smooth random maps."""
        stacked = np.concatenate([standardize(run) for run in series])
        weights = rng.standard_normal((stacked.shape[1], self.maps.shape[0]))
        return standardize((stacked @ (weights @ self.maps)).astype(np.float32))

    def draw(self, participant: int) -> tuple[dict[str, FloatArray], list[Nuisance]]:
        """Noise of one participant: parts for `combine`, and the nuisance series of each run."""
        rng = np.random.default_rng([self.seed, 3, participant])
        nuisance = [draw_nuisance(length, self.tr, rng) for length in self.lengths]
        drift = [slow_drift(length, self.tr) for length in self.lengths]
        n_terms = max(run.shape[1] for run in drift)
        drift = [np.pad(run, ((0, 0), (0, n_terms - run.shape[1]))) for run in drift]
        parts = {
            "own": self._noise(rng),
            "shared": self.common,
            "drift": self._leak(drift, rng),
            "motion": self._leak([run.motion for run in nuisance], rng),
            "physiology": self._leak([run.physiology for run in nuisance], rng),
        }
        return parts, nuisance
