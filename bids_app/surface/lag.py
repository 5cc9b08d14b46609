"""Is the music where the table says: auditory cortex against the sound's envelope, over lags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import UsageError, check_shape
from bids_app.seeds import generator
from bids_app.statistics import finite_mean, fisher_z
from bids_app.surface.lag_scan import peak_lag, turned
from bids_app.surface.mesh import SurfaceMesh

FloatArray = npt.NDArray[np.float64]

EXPECTED_LAGS = (-2.0, 10.0)
"""Seconds within which auditory cortex can follow the envelope if the onset is right."""
CLEAR_PEAK = 0.01
"""A peak that chance reaches more often says nothing about the onset."""

# Heschl's gyrus (MNI, mm), mirrored for the right hemisphere.
_AUDITORY_CENTER = (-48.0, -20.0, 7.0)
_MIN_TIMES = 10


@dataclass(frozen=True)
class LagSummary:
    """Where the curve of a group of runs has its maximum.

    Attributes
    ----------
    lag : float
        Seconds by which the responses follow the envelope, NaN where no curve is finite.
    low, high : float
        95 % interval of the lag over bootstrap draws of the curves; NaN for a single curve.
    curve : (n_lags,) float64
        Mean curve (over Fisher z).
    warning : str or None
        Where the lag lies outside `EXPECTED_LAGS`.
    """

    lag: float
    low: float
    high: float
    curve: FloatArray
    warning: str | None


def lag_curve(
    responses: npt.ArrayLike, envelope: npt.ArrayLike, tr: float, lags: npt.ArrayLike
) -> FloatArray:
    """Correlation of a region's mean response with an envelope, for every lag.

    At lag h, the response at time t meets the envelope at t - h. A right onset gives a maximum at
    the hemodynamic delay, about 5 s; a maximum at 17 s means that the music started 12 s later than
    stated.

    Parameters
    ----------
    responses : (n_times, n_vertices) array
        Responses of one presentation in auditory cortex, from the onset that is to be checked.
        Vertices that are constant or not finite are left out.
    envelope : (n_times,) array
        Loudness of the music at the same times. NaN where there is none.
    tr : float
        Seconds between times.
    lags : (n_lags,) array
        Seconds; between samples the envelope is interpolated linearly.

    Returns
    -------
    (n_lags,) float64
        Pearson r; NaN where fewer than 10 times overlap or one side is constant.

    Raises
    ------
    BadDataError
        If the shapes do not fit.
    UsageError
        If `tr` is not positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> envelope = np.convolve(rng.standard_normal(200), np.ones(5), mode="same")
    >>> responses = np.roll(envelope, 5)[:, np.newaxis] + rng.standard_normal((200, 8))
    >>> curve = lag_curve(responses, envelope, tr=1.0, lags=np.arange(0.0, 12.0))
    >>> int(curve.argmax())  # seconds after the music
    5
    """
    bold = np.asarray(responses, dtype=np.float64)
    sound = np.asarray(envelope, dtype=np.float64)
    check_shape("responses", bold, "n_times", "n_vertices")
    check_shape("envelope", sound, len(bold))
    if not tr > 0:
        raise UsageError("The repetition time is not positive.", where="tr", found=tr)
    signal = region_mean(bold)
    curve = [
        _correlation(signal[use], shifted)
        for use, shifted in _shifted(sound, np.isfinite(signal), tr, lags)
    ]
    return np.array(curve)


def null_curves(
    responses: npt.ArrayLike,
    envelope: npt.ArrayLike,
    tr: float,
    lags: npt.ArrayLike,
    *,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """The curve with random Fourier phases of the region's mean response.

    Parameters
    ----------
    responses, envelope, tr, lags
        As of `lag_curve`.
    n_draws : int
        Draws.
    rng : numpy.random.Generator
        Of the phases: a frequency gets the same ones whatever the number of times, so that runs
        with generators of one seed keep what they share.

    Returns
    -------
    (n_draws, n_lags) float64
        NaN where `lag_curve` is.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> envelope, lags = rng.standard_normal(200), np.arange(0.0, 12.0)
    >>> responses = np.roll(envelope, 5)[:, np.newaxis] + rng.standard_normal((200, 8))
    >>> curve = lag_curve(responses, envelope, 1.0, lags)
    >>> null = null_curves(responses, envelope, 1.0, lags, n_draws=99, rng=rng)
    >>> null.shape, bool(curve[5] > null.max())
    ((99, 12), True)
    """
    signal = region_mean(np.asarray(responses, dtype=np.float64))
    there = np.isfinite(signal)
    curves = np.full((n_draws, np.size(lags)), np.nan)
    if there.sum() < _MIN_TIMES:
        return curves
    draws = np.full((n_draws, signal.size), np.nan)
    draws[:, there] = turned(signal[there], n_draws, rng)
    shifted = _shifted(np.asarray(envelope, dtype=np.float64), there, tr, lags)
    for column, (use, earlier) in enumerate(shifted):
        if len(earlier) < _MIN_TIMES or np.ptp(earlier) == 0:
            continue
        centered = draws[:, use] - draws[:, use].mean(axis=1, keepdims=True)
        sound = earlier - earlier.mean()
        norms = np.linalg.norm(centered, axis=1) * np.linalg.norm(sound)
        curves[:, column] = centered @ sound / norms
    return curves


def peak_p(observed: npt.ArrayLike, null: npt.ArrayLike) -> float:
    """How often the highest value over lags is reached under the null: the lag is chosen in it.

    Parameters
    ----------
    observed : (n_lags,) array
        A curve.
    null : (n_draws, n_lags) array
        Curves under the null.

    Returns
    -------
    float
        (1 + b) / (1 + n_draws); NaN where the curve is not defined.

    Examples
    --------
    >>> import numpy as np
    >>> null = np.random.default_rng(0).normal(size=(99, 40))
    >>> bool(peak_p(np.linspace(0, 9, 40), null) == 0.01), bool(peak_p(null[0], null) > 0.01)
    (True, True)
    """
    curve, drawn = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    defined = np.isfinite(curve) & np.isfinite(drawn).all(axis=0)
    if not defined.any():
        return float("nan")
    reached = drawn[:, defined].max(axis=1) >= curve[defined].max()
    return float((1 + reached.sum()) / (1 + len(drawn)))


def _shifted(
    sound: FloatArray, there: npt.NDArray[np.bool_], tr: float, lags: npt.ArrayLike
) -> Iterator[tuple[npt.NDArray[np.bool_], FloatArray]]:
    """Per lag, the times to use and the sound heard that much earlier."""
    times = np.arange(sound.size) * tr
    heard = np.isfinite(sound)
    for lag in np.asarray(lags, dtype=np.float64):
        then = times - lag
        use = (then >= -1e-9) & (then <= times[-1] + 1e-9) & there
        earlier = np.interp(then, times[heard], sound[heard]) if heard.any() else then
        # Interpolating across a gap would invent sound.
        use &= np.interp(then, times, heard.astype(float)) > 1 - 1e-9
        yield use, earlier[use]


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


def _correlation(first: FloatArray, second: FloatArray) -> float:
    if first.size < _MIN_TIMES:
        return float("nan")
    first, second = first - first.mean(), second - second.mean()
    norm = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / norm) if norm > 0 else float("nan")


def summarize_lags(
    curves: npt.ArrayLike, lags: npt.ArrayLike, *, seed: int, n_draws: int = 1000
) -> LagSummary:
    """Mean curve, its maximum, and an interval over runs or participants.

    Parameters
    ----------
    curves : (n_curves, n_lags) array
        What `lag_curve` returns, one row per participant (or run).
    lags : (n_lags,) array
        Seconds, increasing, equally spaced.
    n_draws : int
        Bootstrap draws of the rows.
    seed : int
        Of the draws.

    Returns
    -------
    LagSummary

    Raises
    ------
    BadDataError
        If the shapes do not fit.

    Examples
    --------
    >>> lags = np.arange(0.0, 12.0)
    >>> curves = [0.3 * np.exp(-((lags - peak) ** 2) / 4) for peak in (4.5, 5.0, 5.5, 5.0)]
    >>> found = summarize_lags(curves, lags, seed=0)
    >>> bool(found.low <= found.lag <= found.high), round(found.lag), found.warning
    (True, 5, None)
    """
    rows, at = np.atleast_2d(np.asarray(curves, dtype=np.float64)), np.asarray(lags)
    check_shape("lags", at, *rows.shape[1:])
    z = fisher_z(rows)
    z = z[np.isfinite(z).any(axis=1)]
    if not len(z):
        empty = np.full(at.size, np.nan)
        return LagSummary(np.nan, np.nan, np.nan, empty, "the lag of the music is not defined")
    curve = np.tanh(finite_mean(z))
    lag = peak_lag(curve, at)
    low = high = float("nan")
    if len(z) > 1:
        rng = generator(seed, "bootstrap of lags")
        draws = [
            peak_lag(np.tanh(finite_mean(z[rng.integers(0, len(z), len(z))])), at)
            for _ in range(n_draws)
        ]
        low, high = (float(value) for value in np.nanpercentile(draws, [2.5, 97.5]))
    return LagSummary(lag, low, high, curve, lag_warning(lag))


def lag_warning(lag: float) -> str | None:
    """Warning about an implausible lag, None about a plausible one.

    Examples
    --------
    >>> lag_warning(5.0) is None, lag_warning(17.0) is None
    (True, False)
    """
    low, high = EXPECTED_LAGS
    if not np.isfinite(lag):
        return "the lag of the music is not defined"
    if low <= lag <= high:
        return None
    return (
        f"auditory cortex follows the music by {lag:.1f} s, outside {low:g} to {high:g} s: "
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
