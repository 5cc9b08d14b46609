"""By how many seconds the responses of a group follow a feature, over people and over music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, UsageError, check_shape
from bids_app.statistics import fisher_z
from bids_app.surface.lag_scan import (
    WITHIN,
    FloatArray,
    LagRun,
    PreparedRun,
    best_lag,
    chosen_lags,
    mean_curves,
    mean_z,
    random_turns,
)


@dataclass(frozen=True, eq=False)
class OthersScan:
    """How the responses of a group follow a feature, for `others_scan`.

    Attributes
    ----------
    lags : (n_lags,) float64
        Seconds; at positive ones the brain follows the music.
    curves : (n_participants, n_lags, n_vertices) float64
        As `LagScan.curves`.
    chosen : (n_participants, n_vertices) int array
        Numbers of the lags that all others choose.
    z : (n_participants, n_vertices) float64
        Everybody's Fisher z at the others' lag: what is tested over people. NaN where anybody's
        curve is not defined.
    mean : (n_vertices,) float64
        Mean of `z`.
    lag : (n_vertices,) float64
        Where the mean curve is largest in size, refined by a parabola; NaN at the edge.
    at_edge : (n_vertices,) bool
        Whether it is largest at an end of the lags that count.
    draws : (n_draws, n_vertices) float64
        The mean under random phases of the responses, the same for everybody; the others choose
        their lag anew in every draw.
    p : (n_vertices,) float64
        How often a draw is as far from zero as the mean: over music, uncorrected.
    """

    lags: FloatArray
    curves: FloatArray
    chosen: npt.NDArray[np.intp]
    z: FloatArray
    mean: FloatArray
    lag: FloatArray
    at_edge: npt.NDArray[np.bool_]
    draws: FloatArray
    p: FloatArray


def others_scan(
    people: Sequence[Sequence[LagRun]],
    lags: npt.ArrayLike,
    *,
    n_draws: int,
    rng: np.random.Generator,
) -> OthersScan:
    """Lag and correlation of a group at the lag of the others, with a null over music.

    Everybody heard the same few pieces, so that a response that listeners share agrees with a
    feature by chance in everybody alike, and sign flips do not contain it. In every draw the
    responses to a piece get random phases, the same for all participants and vertices, so that what
    they share stays shared; the curves are computed, the lags chosen from the others, and the
    values averaged as they were in the data.

    Parameters
    ----------
    people : sequence of sequences of LagRun
        Runs of each participant; runs with the same feature are of one piece.
    lags : (n_lags,) array
        Seconds, increasing, equally spaced; the lag is chosen between the two of `WITHIN`.
    n_draws : int
        Draws of phases.
    rng : numpy.random.Generator
        Of the draws: the same ones for other vertices of the same runs, with the same seed.

    Returns
    -------
    OthersScan

    Raises
    ------
    BadDataError
        Fewer than two participants, or as for `lag_scan`.
    UsageError
        As for `lag_scan`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> steps = np.arange(0.0, 300.0, 0.5)
    >>> feature = np.convolve(rng.standard_normal(600), np.ones(10), mode="same")
    >>> heard = np.interp(steps[::2] - 5.4, steps, feature)[:, np.newaxis]
    >>> people = [
    ...     [LagRun(heard + 3 * rng.standard_normal((300, 2)), steps[::2], feature, steps)]
    ...     for _ in range(4)
    ... ]
    >>> found = others_scan(people, np.arange(0.0, 13.0), n_draws=99, rng=rng)
    >>> bool(np.abs(found.lag - 5.4).max() < 1), found.p.tolist()
    (True, [0.01, 0.01])
    """
    at = np.asarray(lags, dtype=np.float64)
    inside = chosen_lags(at, WITHIN)
    prepared = [[PreparedRun.of(run, at) for run in own] for own in people]
    curves = np.stack([mean_curves(own) for own in prepared])
    chosen, z = others_lag(curves, at, WITHIN)
    mean = z.mean(axis=0)
    together = np.tanh(fisher_z(curves[:, inside]).mean(axis=0))
    lag, _, at_edge = best_lag(np.abs(together), at[inside])
    short = [[run.at(inside) for run in own] for own in prepared]
    draws = np.empty((n_draws, mean.size))
    for number, turns in enumerate(random_turns(list(chain(*short)), n_draws, rng)):
        given = iter(turns)
        drawn = [mean_z(own, list(islice(given, len(own)))) for own in short]
        draws[number] = _at_others_lag(np.stack(drawn))[1].mean(axis=0)
    reached = (np.abs(draws) >= np.abs(mean)).sum(axis=0)
    p = np.where(np.isfinite(mean), (1 + reached) / (1 + n_draws), np.nan)
    return OthersScan(at, curves, chosen, z, mean, lag, at_edge, draws, p)


def others_lag(
    curves: npt.ArrayLike, lags: npt.ArrayLike, within: tuple[float, float] = WITHIN
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Every participant's Fisher z at the lag that all others choose together.

    A lag chosen on the same participants would make their correlations larger than they are. Sign
    flips of the values at the others' lag are a test over people alone: everybody heard the same
    pieces, and a chance agreement with them has one sign in everybody. `others_scan` has the test
    over music.

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
        raise UsageError(
            "No lag lies within.",
            where="within",
            found=within,
            wanted=f"some of the lags from {at.min():g} to {at.max():g} s",
            remedy="widen it, or scan more lags",
        )
    if len(z) < 2:
        raise BadDataError(
            "A lag of the others needs two participants.",
            where="curves",
            found=len(z),
            wanted="two or more",
            remedy="add a participant",
        )
    chosen, own = _at_others_lag(z[:, inside])
    return inside[chosen], own


def _at_others_lag(z: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Where the others' mean z is largest in size, and the own z there; (n_participants, n)."""
    chosen = np.abs(z.sum(axis=0) - z).argmax(axis=1)
    own = np.take_along_axis(z, chosen[:, np.newaxis], axis=1)[:, 0]
    defined = np.isfinite(z).all(axis=(0, 1))
    return np.where(defined, chosen, 0), np.where(defined, own, np.nan)
