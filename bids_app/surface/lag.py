"""Is the music where the table says: auditory cortex against the sound's envelope, over lags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, UsageError, check_shape
from bids_app.seeds import generator
from bids_app.statistics import finite_mean, fisher_z
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
    signal = _region_mean(bold)
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
    signal = _region_mean(np.asarray(responses, dtype=np.float64))
    there = np.isfinite(signal)
    curves = np.full((n_draws, np.size(lags)), np.nan)
    if there.sum() < _MIN_TIMES:
        return curves
    draws = np.full((n_draws, signal.size), np.nan)
    draws[:, there] = _random_phases(signal[there], n_draws, rng)
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


@dataclass(frozen=True, eq=False)
class LagRun:
    """A presentation, for `lag_scan`.

    Attributes
    ----------
    responses : (n_times, n_vertices) array
        Cleaned responses of vertices or regions.
    times : (n_times,) array
        Seconds in the music at which they were sampled, increasing.
    feature : (n_steps,) array
        What they may follow, finer in time than the responses, with the same drifts taken out.
    feature_times : (n_steps,) array
        Seconds in the music, equally spaced.
    """

    responses: npt.ArrayLike
    times: npt.ArrayLike
    feature: npt.ArrayLike
    feature_times: npt.ArrayLike


@dataclass(frozen=True, eq=False)
class LagScan:
    """How responses follow a feature, for `lag_scan`.

    Attributes
    ----------
    lags : (n_lags,) float64
        Seconds; at positive ones the brain follows the music.
    curves : (n_lags, n_vertices) float64
        Correlation, mean of Fisher z over runs weighted by their times less 3; NaN where a
        response is constant or not finite in any run.
    lag : (n_vertices,) float64
        Where the correlation is largest in size, refined by a parabola; NaN at the edge.
    r : (n_vertices,) float64
        Correlation there, or at the edge.
    at_edge : (n_vertices,) bool
        Whether it is largest at an end of the lags that count: where the peak lies is not known.
    p, p_corrected : (n_vertices,) float64
        How often a feature of the same spectrum and random phases comes as far at its best lag, at
        this vertex, and at the best of all vertices. 1 / (n_draws + 1) at least.
    """

    lags: FloatArray
    curves: FloatArray
    lag: FloatArray
    r: FloatArray
    at_edge: npt.NDArray[np.bool_]
    p: FloatArray
    p_corrected: FloatArray


def lag_scan(
    runs: Sequence[LagRun],
    lags: npt.ArrayLike,
    *,
    within: tuple[float, float] = (0.0, 12.0),
    n_draws: int,
    rng: np.random.Generator,
) -> LagScan:
    """By how many seconds, and how well, responses follow a feature of the music.

    All lags use the same rows: those whose music is known at every lag. The feature is
    interpolated, never the responses. The null gives the feature random Fourier phases, the same
    for all vertices and for all runs with the same feature, and chooses the lag anew in every draw.

    Parameters
    ----------
    runs : sequence of LagRun
    lags : (n_lags,) array
        Seconds, increasing, equally spaced.
    within : (float, float)
        Seconds between which the lag is chosen.
    n_draws : int
        Draws of phases.
    rng : numpy.random.Generator
        Of the draws.

    Raises
    ------
    BadDataError
        Shapes that do not fit, a feature that is not finite, or a run with fewer than 10 rows.
    UsageError
        Fewer than three lags within, or lags that are not equally spaced.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> steps = np.arange(0.0, 300.0, 0.5)
    >>> feature = np.convolve(rng.standard_normal(600), np.ones(10), mode="same")
    >>> times = np.arange(0.0, 300.0, 2.0)
    >>> heard = np.interp(times - 5.4, steps, feature)
    >>> responses = heard[:, np.newaxis] + 2 * rng.standard_normal((150, 3))
    >>> run = LagRun(responses, times, feature, steps)
    >>> found = lag_scan([run], np.arange(-15.0, 16.0), n_draws=99, rng=rng)
    >>> bool(np.abs(found.lag - 5.4).max() < 1), found.p.tolist(), found.at_edge.any().item()
    (True, [0.01, 0.01, 0.01], False)
    """
    at = np.asarray(lags, dtype=np.float64)
    inside = np.flatnonzero((at >= within[0] - 1e-9) & (at <= within[1] + 1e-9))
    if inside.size < 3 or not np.allclose(np.diff(at), at[1] - at[0]):
        raise UsageError(
            "These lags cannot be scanned.",
            where="lags, within",
            found=f"{inside.size} of {at.size} lags from {within[0]:g} to {within[1]:g} s",
            wanted="equally spaced lags, three or more of them within",
        )
    prepared = [_ScannedRun.of(run, at) for run in runs]
    check_shape("runs", prepared, "n_runs")
    curves = _scan(prepared, [run.feature for run in prepared])
    chosen = np.abs(curves[inside])
    defined = np.isfinite(curves).all(axis=0)
    best = np.where(defined, np.where(defined, chosen, 0).argmax(axis=0), 0)
    at_edge = defined & ((best == 0) | (best == inside.size - 1))
    columns = np.arange(curves.shape[1])
    r = np.where(defined, curves[inside[best], columns], np.nan)
    lag = np.full(columns.size, np.nan)
    for v in np.flatnonzero(defined & ~at_edge):
        lag[v] = peak_lag(chosen[:, v], at[inside])
    reached, reached_anywhere = np.zeros(columns.size), np.zeros(columns.size)
    height = np.abs(r)
    # Runs of one piece share its phases: a chance agreement comes again in each.
    piece_of = [
        next(k for k, one in enumerate(prepared) if np.array_equal(one.feature, run.feature))
        for run in prepared
    ]
    pieces = list(dict.fromkeys(piece_of))
    for _ in range(n_draws):
        drawn = [_random_phases(prepared[k].feature, 1, rng)[0] for k in pieces]
        features = [drawn[pieces.index(k)] for k in piece_of]
        top = np.abs(_scan(prepared, features)[inside]).max(axis=0)
        reached += top >= height
        reached_anywhere += np.nanmax(top[defined], initial=0.0) >= height
    p, corrected = (
        np.where(defined, (1 + count) / (1 + n_draws), np.nan)
        for count in (reached, reached_anywhere)
    )
    return LagScan(at, curves, lag, r, at_edge, p, corrected)


@dataclass(frozen=True, eq=False)
class _ScannedRun:
    """Rows that have music at every lag, standardized; and where the feature is needed."""

    z: FloatArray
    when: FloatArray
    feature: FloatArray
    feature_times: FloatArray

    @classmethod
    def of(cls, run: LagRun, lags: FloatArray) -> _ScannedRun:
        y, times, feature, steps = (
            np.asarray(x, dtype=np.float64)
            for x in (run.responses, run.times, run.feature, run.feature_times)
        )
        check_shape("responses", y, "n_times", "n_vertices")
        check_shape("times", times, len(y))
        check_shape("feature", feature, "n_steps")
        check_shape("feature_times", steps, len(feature))
        if not np.isfinite(feature).all():
            raise BadDataError("A feature is not finite.", where="feature")
        known = (times - lags[-1] >= steps[0] - 1e-9) & (times - lags[0] <= steps[-1] + 1e-9)
        if known.sum() < _MIN_TIMES:
            raise BadDataError(
                "A run is too short for these lags.",
                where="lags",
                found=f"{known.sum()} rows with music at every lag from {lags[0]:g} to "
                f"{lags[-1]:g} s",
                wanted=f"at least {_MIN_TIMES}",
                remedy="scan fewer lags, or give the feature for longer than the responses",
            )
        rows = y[known]
        finite = np.isfinite(rows).all(axis=0)
        centered = rows - rows.mean(axis=0)
        norm = np.linalg.norm(centered, axis=0)
        usable = finite & (norm > 1e-9 * np.maximum(1e-300, np.abs(rows).max(axis=0)))
        z = np.where(usable, centered / np.where(usable, norm, 1), np.nan)
        return cls(z, times[known] - lags[:, np.newaxis], feature, steps)

    def curves(self, feature: FloatArray) -> FloatArray:
        """Correlation at every lag, (n_lags, n_vertices)."""
        x = np.interp(self.when, self.feature_times, feature)
        x -= x.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        return np.asarray(np.divide(x, norm, out=np.full_like(x, np.nan), where=norm > 0) @ self.z)


def _scan(runs: Sequence[_ScannedRun], features: Sequence[FloatArray]) -> FloatArray:
    weights = [len(run.z) - 3 for run in runs]
    z = [w * fisher_z(run.curves(x)) for w, run, x in zip(weights, runs, features, strict=True)]
    return np.asarray(np.tanh(np.sum(z, axis=0) / sum(weights)))


def others_lag(
    curves: npt.ArrayLike, lags: npt.ArrayLike, within: tuple[float, float] = (0.0, 12.0)
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Every participant's Fisher z at the lag that all others choose together.

    A lag chosen on the same participants would make their correlations larger than they are. Sign
    flips of the values at the others' lag are a test over people alone: everybody heard the same
    pieces, and a chance agreement with them has one sign in everybody.

    Parameters
    ----------
    curves : (n_participants, n_lags, n_regions) array
        As `LagScan.curves`.
    lags : (n_lags,) array
        Seconds.
    within : (float, float)
        Seconds between which the lag is chosen: where the others' mean z is largest in size.

    Returns
    -------
    chosen : (n_participants, n_regions) int array
        Numbers of the lags.
    z : (n_participants, n_regions) float64
        NaN where anybody's curve is not defined.

    Raises
    ------
    BadDataError
        Fewer than two participants, or shapes that do not fit.
    UsageError
        No lag within.

    Examples
    --------
    >>> lags = np.arange(0.0, 12.0)
    >>> curves = np.stack([0.3 * np.exp(-((lags - at) ** 2) / 8) for at in (4, 5, 5, 6)])
    >>> chosen, z = others_lag(curves[:, :, np.newaxis], lags)
    >>> lags[chosen[:, 0]].tolist()
    [5.0, 5.0, 5.0, 5.0]
    """
    z, at = fisher_z(np.asarray(curves, dtype=np.float64)), np.asarray(lags, dtype=np.float64)
    check_shape("curves", z, "n_participants", len(at), "n_regions")
    inside = np.flatnonzero((at >= within[0] - 1e-9) & (at <= within[1] + 1e-9))
    if not inside.size:
        raise UsageError("No lag lies within.", where="within", found=within)
    if len(z) < 2:
        raise BadDataError("A lag of the others needs two participants.", where="curves")
    others = np.abs(z.sum(axis=0) - z)[:, inside]
    defined = np.isfinite(z).all(axis=(0, 1))
    chosen = inside[np.where(defined, others, 0).argmax(axis=1)]
    own = np.take_along_axis(z, chosen[:, np.newaxis], axis=1)[:, 0]
    return chosen, np.where(defined, own, np.nan)


def _random_phases(signal: FloatArray, n_draws: int, rng: np.random.Generator) -> FloatArray:
    """Series with the amplitude spectrum of `signal` and random phases, (n_draws, n_times)."""
    spectrum = np.fft.rfft(signal)
    turns = np.exp(2j * np.pi * rng.random((spectrum.size, n_draws)).T)
    turns[:, 0] = 1
    return np.fft.irfft(spectrum * turns, n=signal.size, axis=1)


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


def _region_mean(bold: FloatArray) -> FloatArray:
    """Mean of the standardized vertices; all NaN where no vertex is usable."""
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


def peak_lag(curve: npt.ArrayLike, lags: npt.ArrayLike) -> float:
    """Lag of the maximum, refined by a parabola through its neighbors; NaN without a finite value.

    Parameters
    ----------
    curve : (n_lags,) array
    lags : (n_lags,) array
        Increasing, equally spaced.

    Examples
    --------
    >>> lags = np.arange(0.0, 12.0)
    >>> round(peak_lag(-((lags - 5.3) ** 2), lags), 2)
    5.3
    """
    values, at = np.asarray(curve, dtype=np.float64), np.asarray(lags, dtype=np.float64)
    if not np.isfinite(values).any():
        return float("nan")
    top = int(np.nanargmax(values))
    if 0 < top < values.size - 1 and np.isfinite(values[top - 1 : top + 2]).all():
        left, middle, right = values[top - 1 : top + 2]
        bend = left - 2 * middle + right
        if bend < 0:
            return float(at[top] + 0.5 * (left - right) / bend * (at[1] - at[0]))
    return float(at[top])


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
