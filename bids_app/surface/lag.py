"""Check of the onset: correlation of auditory cortex with the sound's envelope, over lags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from bids_app.seeds import generator
from bids_app.surface.lag_scan import (
    CLEAR,
    MIN_ROWS,
    UNCLEAR,
    LagRun,
    PreparedRun,
    lag_scan,
    lag_state,
    mean_z,
    peak_lag,
)
from bids_app.surface.mesh import SurfaceMesh

FloatArray = npt.NDArray[np.float64]

EXPECTED_LAGS = (-2.0, 10.0)
"""Seconds within which auditory cortex can follow the envelope if the onset is right."""
CLEAR_PEAK = 0.01
"""A peak that chance reaches more often says nothing about the onset."""
N_DRAWS, N_BOOTSTRAP = 499, 1000
"""Of phases behind the p of a peak, and of participants behind the interval of its lag."""

# Heschl's gyrus (MNI, mm), mirrored for the right hemisphere.
_AUDITORY_CENTER = (-48.0, -20.0, 7.0)


@dataclass(frozen=True, eq=False)
class FoundLag:
    """By how many seconds auditory cortex follows the loudness, for `find_lag`.

    Attributes
    ----------
    lags, curve : (n_lags,) float64
        Seconds, and the correlation of all runs; NaN where nothing can be correlated.
    lag : float
        Where the correlation is highest; NaN at the edge, and where it is not defined.
    r : float
        Highest correlation.
    p : float
        Share of draws, responses of the same spectrum with random phases, whose correlation at
        their own best lag is as high.
    at_edge : bool
        Whether the correlation is highest at the first or the last lag.
    low, high : float
        95 % interval of the lag over bootstrap draws of the participants; NaN for one of them.
    band : (2, n_lags) float64
        95 % interval of the curve; the curve itself for one participant.
    """

    lags: FloatArray
    curve: FloatArray
    lag: float
    r: float
    p: float
    at_edge: bool
    low: float
    high: float
    band: FloatArray

    @property
    def state(self) -> str:
        """Whether the lag is clear, at the edge or unclear."""
        return lag_state(self.p, at_edge=self.at_edge, below=CLEAR_PEAK)

    @property
    def clear(self) -> bool:
        """Whether noise seldom gives such a maximum, and it is not at the edge."""
        return self.state == CLEAR


def find_lag(
    people: Sequence[Sequence[LagRun]], lags: npt.ArrayLike, *, n_draws: int = N_DRAWS, seed: int
) -> FoundLag:
    """By how many seconds a region follows the loudness of the music.

    A right onset gives a maximum at the hemodynamic delay, about 5 s; a maximum at 17 s means that
    the music started 12 s later than stated.

    Parameters
    ----------
    people : sequence of sequences of LagRun
        Runs of each participant, with the responses of the vertices of a region, which are
        averaged. A run whose mean is constant or has fewer than 10 times is left out.
    lags : (n_lags,) array
        Seconds, increasing, equally spaced.
    n_draws : int
        Of phases, the same for all runs of a piece.
    seed : int
        Of phases and bootstrap.

    Raises
    ------
    BadDataError, UsageError
        As for `lag_scan`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> steps = np.arange(0.0, 200.0, 0.5)
    >>> loud = np.convolve(rng.standard_normal(400), np.ones(10), mode="same")
    >>> times = np.arange(0.0, 200.0, 2.0)
    >>> heard = np.interp(times - 5.0, steps, loud)[:, np.newaxis]
    >>> run = LagRun(heard + rng.standard_normal((100, 8)), times, loud, steps, silence=0.0)
    >>> found = find_lag([[run]], np.arange(-15.0, 26.0), n_draws=199, seed=0)
    >>> round(found.lag), found.state
    (5, 'clear')
    """
    at = np.asarray(lags, dtype=np.float64)
    within = (float(at[0]), float(at[-1]))
    means = [own for own in ([m for m in map(_mean_run, runs) if m] for runs in people) if own]
    if not means:
        none = np.full(at.size, np.nan)
        nothing = float("nan")
        return FoundLag(at, none, *(nothing,) * 3, False, nothing, nothing, np.stack([none, none]))
    found = lag_scan(
        list(chain(*means)),
        at,
        within=within,
        n_draws=n_draws,
        rng=generator(seed, "lag phases"),
        positive=True,
    )
    curve = found.curves[:, 0]
    low = high = float("nan")
    band = np.stack([curve, curve])
    if len(means) > 1:
        drawn = _bootstrap(means, at, generator(seed, "bootstrap of lags"))
        band = np.percentile(drawn, [2.5, 97.5], axis=0)
        low, high = np.percentile([peak_lag(one, at) for one in drawn], [2.5, 97.5]).tolist()
    lag, r, p = (float(one[0]) for one in (found.lag, found.r, found.p))
    return FoundLag(at, curve, lag, r, p, bool(found.at_edge[0]), low, high, band)


def _mean_run(run: LagRun) -> LagRun | None:
    """A run of the mean of its vertices, where it is there; None where there is too little."""
    mean = region_mean(np.asarray(run.responses))
    there = np.isfinite(mean)
    if there.sum() < MIN_ROWS:
        return None
    return replace(run, responses=mean[there, np.newaxis], times=np.asarray(run.times)[there])


def _bootstrap(
    people: Sequence[Sequence[LagRun]], lags: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Mean curves of participants drawn with replacement, (n_draws, n_lags)."""
    prepared = [[PreparedRun.of(run, lags) for run in own] for own in people]
    z = np.stack([mean_z(own)[:, 0] for own in prepared])
    weights = np.array([sum(len(run.z) - 3 for run in own) for own in prepared], dtype=float)
    drawn = rng.integers(0, len(z), (N_BOOTSTRAP, len(z)))
    total = np.einsum("dp,dpl->dl", weights[drawn], z[drawn])
    return np.asarray(np.tanh(total / weights[drawn].sum(axis=1, keepdims=True)))


def region_mean(bold: npt.NDArray[np.floating]) -> FloatArray:
    """Course of a region: the mean of its standardized vertices.

    Parameters
    ----------
    bold : (n_times, n_vertices) array
        Vertices that are constant or not finite are left out.

    Returns
    -------
    (n_times,) float64
        NaN at times without any value, and all NaN where no vertex is usable.

    Examples
    --------
    >>> region_mean(np.array([[1.0, 5.0, 0.0], [3.0, 5.0, 4.0]])).tolist()
    [-1.0, 1.0]
    """
    bold = np.asarray(bold, dtype=np.float64)
    times = np.isfinite(bold).any(axis=1)
    if not times.any():
        return np.full(len(bold), np.nan)
    series = bold[times]
    good = np.isfinite(series).all(axis=0)
    spread = np.where(good, np.std(np.where(good, series, 0.0), axis=0), 0.0)
    good &= spread > 1e-9 * np.maximum(1e-300, np.abs(np.where(good, series, 0.0)).max(axis=0))
    mean = np.full(len(bold), np.nan)
    if good.any():
        kept = series[:, good]
        mean[times] = np.mean((kept - kept.mean(axis=0)) / kept.std(axis=0), axis=1)
    return mean


def lag_warning(found: FoundLag) -> str | None:
    """Warning about an implausible lag.

    Parameters
    ----------
    found : FoundLag

    Returns
    -------
    str or None
        None where the lag is plausible, or not clear.

    Examples
    --------
    >>> at, curve = np.arange(-5.0, 21.0), np.zeros(26)
    >>> late = FoundLag(at, curve, 17.0, 0.4, 0.002, False, 16.5, 17.5, np.stack([curve, curve]))
    >>> lag_warning(late).split(":")[0]
    'auditory cortex follows the music by 17.0 s, outside -2 to 10 s'
    """
    if found.state == UNCLEAR:
        return None
    low, high = EXPECTED_LAGS
    if low <= found.lag <= high:
        return None
    told = f"{found.lag:.1f} s, outside {low:g} to {high:g} s"
    if found.at_edge:
        told = f"a lag at the edge of those tried ({found.lags[0]:g} to {found.lags[-1]:g} s)"
    return (
        f"auditory cortex follows the music by {told}: "
        "check the onset (`musenc onset` shows the curve)"
    )


def auditory_vertices(mesh: SurfaceMesh, radius: float = 14.0) -> npt.NDArray[np.int64]:
    """Vertices around Heschl's gyrus of both hemispheres, without an atlas.

    Parameters
    ----------
    mesh : SurfaceMesh
        A template of the fsaverage family.
    radius : float
        In mm around (48, -20, 7) on the mid-thickness surface.

    Returns
    -------
    (n,) int array
        Stacked numbering: left, then right.

    Examples
    --------
    >>> from bids_app.surface.mesh import load_mesh
    >>> mesh = load_mesh("fsaverage4")
    >>> found = auditory_vertices(mesh)
    >>> middle = np.abs((mesh.left.white + mesh.left.pial) / 2)[found[found < mesh.left.n_vertices]]
    >>> bool(np.linalg.norm(middle - [48, 20, 7], axis=1).max() < 20)
    True
    """
    chosen = []
    offset = 0
    for side, hemi in zip((1.0, -1.0), mesh.hemispheres, strict=True):
        center = np.array(_AUDITORY_CENTER) * [side, 1.0, 1.0]
        distance = np.linalg.norm((hemi.white + hemi.pial) / 2 - center, axis=1)
        chosen.append(offset + np.flatnonzero(distance <= radius))
        offset += hemi.n_vertices
    return np.concatenate(chosen)
