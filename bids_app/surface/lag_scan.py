"""By how many seconds responses follow a feature, with the choice of the lag inside its null."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.fft import dct, irfft, next_fast_len

from bids_app.errors import FINITE, BadDataError, UsageError, check_shape
from bids_app.statistics import SIGNIFICANCE, fisher_z

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
ComplexArray = npt.NDArray[np.complex128]

MIN_ROWS = 10
"""Volumes below which nothing is correlated."""
SPREAD = 1e-6
"""Share of its size below which the spread of a feature is rounding of what is constant."""
WITHIN = (0.0, 12.0)
"""Seconds between which a response to music can have its peak."""
CLEAR, AT_EDGE, UNCLEAR = "clear", "at the edge", "unclear"
"""States of a lag: found; the first or last lag that was tried; not significant."""


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
        Feature of the music, finer in time than the responses, with the same drifts removed. Runs
        with the same feature are runs of one piece.
    feature_times : (n_steps,) array
        Seconds in the music, equally spaced.
    silence : float or None
        Value of the feature before and after the music. None: the value is not known, and rows
        that need it at any lag are left out at all lags.
    heard : (float, float) or None
        Seconds in the music between which it was heard, where that is not all of the feature.
    """

    responses: npt.ArrayLike
    times: npt.ArrayLike
    feature: npt.ArrayLike
    feature_times: npt.ArrayLike
    silence: float | None = None
    heard: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class LagScan:
    """How responses follow a feature, for `lag_scan`.

    Attributes
    ----------
    lags : (n_lags,) float64
        Seconds; at positive ones the brain follows the music.
    curves : (n_lags, n_vertices) float64
        Correlation, mean of Fisher z over runs weighted by their times less 3; NaN where a
        response is constant or not finite in any run, or the feature is constant (see `varies`).
    lag : (n_vertices,) float64
        Where the correlation is largest in size, refined by a parabola; NaN at the edge.
    r : (n_vertices,) float64
        Correlation there, or at the edge.
    at_edge : (n_vertices,) bool
        Whether the correlation is largest at the first or last lag: the peak may lie beyond it.
    p, p_corrected : (n_vertices,) float64
        Share of draws, responses of the same spectrum with random phases, whose correlation at
        their own best lag is as large: at this vertex, and at the best of all vertices. At least
        1 / (n_draws + 1).
    highest : (n_draws,) float64
        Of the best of all vertices in every draw; -1 where no vertex is defined.
    """

    lags: FloatArray
    curves: FloatArray
    lag: FloatArray
    r: FloatArray
    at_edge: BoolArray
    p: FloatArray
    p_corrected: FloatArray
    highest: FloatArray


def lag_scan(
    runs: Sequence[LagRun],
    lags: npt.ArrayLike,
    *,
    within: tuple[float, float] = WITHIN,
    n_draws: int,
    rng: np.random.Generator,
    positive: bool = False,
) -> LagScan:
    """By how many seconds, and how well, responses follow a feature of the music.

    All lags use the same rows: those whose music is known at every lag. The feature is
    interpolated, never the responses. The null gives the half cosines of the responses over these
    rows random phases, the same for all vertices and for all runs with the same feature, and
    chooses the lag again in every draw. The music, the autocorrelation of the responses and the
    correlation between vertices are those of the data.

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
    positive : bool
        Whether the lag is where the correlation is highest, not where it is largest in size.

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
    inside = chosen_lags(at, within)
    prepared = [PreparedRun.of(run, at) for run in runs]
    check_shape("runs", prepared, "n_runs")
    curves = mean_curves(prepared)
    defined = np.isfinite(curves).all(axis=0)
    size = _height if positive else np.abs
    lag, best, at_edge = best_lag(size(curves[inside]), at[inside])
    r = np.where(defined, curves[inside[best], np.arange(defined.size)], np.nan)
    height = size(r)
    reached, highest = np.zeros(defined.size), np.empty(n_draws)
    short = [run.at(inside) for run in prepared]
    for number, turns in enumerate(random_turns(short, n_draws, rng)):
        top = np.tanh(size(mean_z(short, turns)).max(axis=0))
        reached += top >= height
        highest[number] = np.max(top[defined], initial=-1.0)
    p = np.where(defined, (1 + reached) / (1 + n_draws), np.nan)
    return LagScan(at, curves, lag, r, at_edge, p, share_reached(height, highest), highest)


def lag_state(p: float, *, at_edge: bool, below: float = SIGNIFICANCE) -> str:
    """State of a lag: `CLEAR`, `AT_EDGE` or `UNCLEAR`.

    Parameters
    ----------
    p : float
    at_edge : bool
        Whether it is the first or the last lag that was tried.
    below : float
        Level of the test.

    Examples
    --------
    >>> [lag_state(p, at_edge=edge) for p, edge in ((0.2, False), (0.01, True), (0.01, False))]
    ['unclear', 'at the edge', 'clear']
    """
    if not p < below:
        return UNCLEAR
    return AT_EDGE if at_edge else CLEAR


def share_reached(heights: FloatArray, draws: FloatArray) -> FloatArray:
    """P of heights against draws, (1 + b) / (1 + n_draws) with b draws that are as high.

    Parameters
    ----------
    heights : array of any shape
    draws : (n_draws,) array

    Returns
    -------
    float64 array of the shape of `heights`
        NaN where `heights` is NaN.

    Examples
    --------
    >>> share_reached(np.array([0.5, 2.0, np.nan]), np.array([0.0, 1.0, 1.5])).tolist()
    [0.75, 0.25, nan]
    """
    reached = len(draws) - np.searchsorted(np.sort(draws), heights, side="left")
    return np.where(np.isfinite(heights), (1 + reached) / (1 + len(draws)), np.nan)


def _height(r: FloatArray) -> FloatArray:
    return r


def chosen_lags(lags: FloatArray, within: tuple[float, float]) -> npt.NDArray[np.intp]:
    """Numbers of the lags that may be chosen.

    Parameters
    ----------
    lags : (n_lags,) array
        Seconds.
    within : (float, float)
        Seconds of the first and the last of them.

    Returns
    -------
    (n_chosen,) array of int

    Raises
    ------
    UsageError
        Fewer than three, or lags that are not equally spaced.

    Examples
    --------
    >>> chosen_lags(np.arange(-2.0, 6.0), (0.0, 3.0)).tolist()
    [2, 3, 4, 5]
    """
    inside = np.flatnonzero((lags >= within[0] - 1e-9) & (lags <= within[1] + 1e-9))
    if inside.size < 3 or not np.allclose(np.diff(lags), lags[1] - lags[0]):
        raise UsageError(
            "These lags cannot be scanned.",
            where="lags, within",
            found=f"{inside.size} of {lags.size} lags from {within[0]:g} to {within[1]:g} s",
            wanted="equally spaced lags, three or more of them within",
            remedy="scan more lags at equal steps, or widen the range",
        )
    return inside


def best_lag(
    heights: FloatArray, lags: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.intp], BoolArray]:
    """Where curves are highest.

    Parameters
    ----------
    heights : (n_lags, n_vertices) float64
    lags : (n_lags,) float64
        Seconds.

    Returns
    -------
    lag : (n_vertices,) float64
        Refined by a parabola; NaN at the edge, and where a curve is not defined.
    best : (n_vertices,) int array
        Number of the highest; 0 where a curve is not defined.
    at_edge : (n_vertices,) bool
        Whether that is the first or the last lag.

    Examples
    --------
    >>> heights = np.array([[0.0, 0.3], [0.2, 0.2], [0.2, 0.1], [0.0, 0.0]])
    >>> lag, best, at_edge = best_lag(heights, np.arange(4.0))
    >>> lag.tolist(), best.tolist(), at_edge.tolist()
    ([1.5, nan], [1, 0], [False, True])
    """
    defined = np.isfinite(heights).all(axis=0)
    best = np.where(defined, np.where(defined, heights, 0.0).argmax(axis=0), 0)
    at_edge = defined & ((best == 0) | (best == len(lags) - 1))
    lag = np.full(defined.size, np.nan)
    for v in np.flatnonzero(defined & ~at_edge):
        lag[v] = peak_lag(heights[:, v], lags)
    return lag, best, at_edge


def random_turns(
    runs: Sequence[PreparedRun], n_draws: int, rng: np.random.Generator
) -> Iterator[list[ComplexArray]]:
    """Random phases for the frequencies of each run, in every draw.

    Runs of one piece share them, since an accidental agreement with the piece recurs in each of its
    runs.

    Parameters
    ----------
    runs : sequence of PreparedRun
    n_draws : int
    rng : numpy.random.Generator

    Yields
    ------
    list of (n_frequencies,) complex arrays
        Of each run, of absolute value 1.
    """
    pieces: list[FloatArray] = []
    piece_of: list[int] = []
    for run in runs:
        known = (k for k, one in enumerate(pieces) if np.array_equal(one, run.feature))
        number = next(known, len(pieces))
        if number == len(pieces):
            pieces.append(run.feature)
        piece_of.append(number)
    sizes = [run.n_frequencies for run in runs]
    longest = [
        max(size for size, k in zip(sizes, piece_of, strict=True) if k == number)
        for number in range(len(pieces))
    ]
    for _ in range(n_draws):
        drawn = [np.exp(2j * np.pi * rng.random(size)) for size in longest]
        yield [drawn[k][:size] for size, k in zip(sizes, piece_of, strict=True)]


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """Rows that have music at every lag, standardized; and where the feature is needed.

    Attributes
    ----------
    z : (n_rows, n_vertices) float64
        Of norm 1 over the rows; NaN for a response that is constant or not finite.
    x : (n_lags, n_rows) float64
        The feature that the rows meet at every lag, of norm 1; NaN where it is constant.
    feature : (n_steps,) float64
        As of `LagRun`.
    """

    z: FloatArray
    x: FloatArray
    feature: FloatArray

    @classmethod
    def of(cls, run: LagRun, lags: FloatArray) -> PreparedRun:
        """The rows of a run.

        Raises
        ------
        BadDataError
            Shapes that do not fit, a feature that is not finite, or fewer than 10 rows.
        """
        y, times, feature, steps = (
            np.asarray(x, dtype=np.float64)
            for x in (run.responses, run.times, run.feature, run.feature_times)
        )
        check_shape("responses", y, "n_times", "n_vertices")
        check_shape("times", times, len(y))
        check_shape("feature", feature, "n_steps")
        check_shape("feature_times", steps, len(feature))
        if not np.isfinite(feature).all():
            raise BadDataError(
                "A feature is not finite.",
                where="feature",
                found=f"{np.count_nonzero(~np.isfinite(feature))} of {feature.size} steps",
                wanted="finite values",
                remedy=FINITE,
            )
        known = np.ones(len(y), dtype=bool)
        if run.silence is None:
            first, last = run.heard or (-np.inf, np.inf)
            known = known_rows(times, (max(first, steps[0]), min(last, steps[-1])), lags)
        if known.sum() < MIN_ROWS:
            raise BadDataError(
                "A run is too short for these lags.",
                where="lags",
                found=f"{known.sum()} rows with music at every lag from {lags[0]:g} to "
                f"{lags[-1]:g} s",
                wanted=f"at least {MIN_ROWS}",
                remedy="scan fewer lags, or give the feature for longer than the responses",
            )
        rows = y[known]
        finite = np.isfinite(rows).all(axis=0)
        centered = rows - rows.mean(axis=0)
        norm = np.linalg.norm(centered, axis=0)
        usable = finite & (norm > 1e-9 * np.maximum(1e-300, np.abs(rows).max(axis=0)))
        z = np.where(usable, centered / np.where(usable, norm, 1), np.nan)
        outside = run.silence
        when = times[known] - lags[:, np.newaxis]
        x = np.interp(when, steps, feature, left=outside, right=outside)
        x -= x.mean(axis=1, keepdims=True)
        size = np.linalg.norm(x, axis=1, keepdims=True)
        x = np.divide(x, size, out=np.full_like(x, np.nan), where=size > 0)
        return cls(z, x, feature)

    def at(self, chosen: npt.NDArray[np.intp]) -> PreparedRun:
        """The same at some of the lags."""
        return replace(self, x=self.x[chosen])

    @property
    def n_frequencies(self) -> int:
        """Half cosines of its rows, but the constant one."""
        return int(next_fast_len(len(self.z), real=True)) - 1

    @cached_property
    def _waves(self) -> npt.NDArray[np.float32]:
        """Responses as half cosines over the rows, (n_vertices, n_frequencies).

        A mirror has no jump at its ends, whose leakage makes the null of slow responses too narrow.
        Its last value is held for as long as makes a transform fast.
        """
        held = np.pad(self.z, ((0, self.n_frequencies + 1 - len(self.z)), (0, 0)), mode="edge")
        return np.asarray(dct(held.T.astype(np.float32), axis=1)[:, 1:])

    def curves(self, turns: ComplexArray | None = None) -> FloatArray:
        """Correlation at every lag, (n_lags, n_vertices), of responses with rotated phases."""
        if turns is None:
            return np.asarray(self.x @ self.z)
        n, size = len(self.z), self.n_frequencies + 1
        turned = np.zeros((len(self._waves), size + 1), dtype=np.complex64)
        np.multiply(self._waves, turns.astype(np.complex64), out=turned[:, 1:size])
        y = irfft(turned, n=2 * size, axis=1)[:, :n]
        y -= y.mean(axis=1, keepdims=True)
        norm = np.linalg.norm(y, axis=1)
        return np.asarray((self.x.astype(np.float32) @ y.T) / norm, dtype=np.float64)


def known_rows(times: FloatArray, heard: tuple[float, float], lags: FloatArray) -> BoolArray:
    """Rows whose music is known at every lag.

    Parameters
    ----------
    times : (n_times,) float64
        Seconds in the music at which the rows were sampled.
    heard : (float, float)
        Seconds in the music from which to which it is known.
    lags : (n_lags,) float64
        Seconds, increasing.

    Returns
    -------
    (n_times,) bool array

    Examples
    --------
    >>> known_rows(np.arange(6.0), (0.0, 5.0), np.array([-1.0, 0.0, 1.0, 2.0])).tolist()
    [False, False, True, True, True, False]
    """
    first, last = heard
    return np.asarray((times - lags[-1] >= first - 1e-9) & (times - lags[0] <= last + 1e-9))


def varies(
    feature: FloatArray, feature_times: FloatArray, times: FloatArray, lags: FloatArray, size: float
) -> bool:
    """Whether a feature has a spread at every lag; nothing can be correlated where it has none.

    Parameters
    ----------
    feature, feature_times : (n_steps,) float64
        As of `LagRun`.
    times : (n_rows,) float64
        Seconds in the music at which the rows were sampled that are correlated.
    lags : (n_lags,) float64
        Seconds.
    size : float
        Largest absolute value of the feature before its mean was removed: of a constant feature,
        rounding errors of this size remain.

    Returns
    -------
    bool

    Examples
    --------
    >>> steps, lags = np.arange(40.0), np.arange(3.0)
    >>> held = np.full(40, 120.1)
    >>> changing = held + np.sin(steps)
    >>> [varies(x - x.mean(), steps, steps[5:], lags, 121.0) for x in (held, changing)]
    [False, True]
    """
    then = np.interp(times - lags[:, np.newaxis], feature_times, feature)
    return bool((then.std(axis=1) > SPREAD * size).all())


def mean_curves(runs: Sequence[PreparedRun]) -> FloatArray:
    """Correlation at every lag, mean over runs of Fisher z weighted by rows less 3.

    Parameters
    ----------
    runs : sequence of PreparedRun

    Returns
    -------
    (n_lags, n_vertices) float64

    Examples
    --------
    >>> x = np.sin(np.arange(40.0))
    >>> one = LagRun(x[:, np.newaxis], np.arange(40.0), x, np.arange(40.0))
    >>> run = PreparedRun.of(one, np.arange(3.0))
    >>> mean_curves([run, run])[:, 0].round(1).tolist()
    [1.0, 0.5, -0.4]
    """
    return np.asarray(np.tanh(mean_z(runs)))


def mean_z(runs: Sequence[PreparedRun], turns: Sequence[ComplexArray] | None = None) -> FloatArray:
    """Fisher z at every lag, mean over runs weighted by rows less 3.

    Parameters
    ----------
    runs : sequence of PreparedRun
    turns : sequence of (n_frequencies,) complex arrays, optional
        Phases from :func:`random_turns` that the responses of each run are rotated by.

    Returns
    -------
    (n_lags, n_vertices) float64

    Examples
    --------
    >>> x = np.sin(np.arange(40.0))
    >>> one = LagRun(x[:, np.newaxis], np.arange(40.0), x, np.arange(40.0))
    >>> run = PreparedRun.of(one, np.arange(3.0))
    >>> mean_z([run])[1:, 0].round(1).tolist()
    [0.6, -0.4]
    """
    weights = [len(run.z) - 3 for run in runs]
    given = [None] * len(runs) if turns is None else turns
    z = [w * fisher_z(run.curves(turn)) for w, run, turn in zip(weights, runs, given, strict=True)]
    return np.asarray(np.sum(z, axis=0) / sum(weights))


def peak_lag(curve: npt.ArrayLike, lags: npt.ArrayLike) -> float:
    """Lag of the maximum, refined by a parabola through its neighbors; NaN without a finite value.

    Parameters
    ----------
    curve : (n_lags,) array
    lags : (n_lags,) array
        Increasing, equally spaced.

    Returns
    -------
    float

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
