"""How well any model of the music could predict a response that people share (noise ceiling).

Music is heard once, so that nothing but the other listeners says how much of a response is signal.
What they share bounds every model of the music that is the same for all of them. Responses that
are reliable, but peculiar to one person, may be predicted beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import TooFewError
from bids_app.group.isc import check_stimuli
from bids_app.pairs import unit_series
from bids_app.statistics import finite_mean

FloatArray = npt.NDArray[np.float64]

MIN_PEOPLE = 4
"""Participants below which there is no ceiling."""
_CHUNK = 2048


@dataclass(frozen=True, eq=False)
class SharedCeiling:
    """Ceilings of r from the response that participants share.

    Attributes
    ----------
    pair : (n_vertices,) float64
        Mean correlation over pairs: the share of a response's variance that is shared.
    leave_one_out : (n_participants, n_vertices) float64
        Correlation of each participant with the mean of the others: a lower bound. NaN where the
        participant is missing.
    participants : (n_participants, n_vertices) float64
        Ceiling of each participant, `leave_one_out` over the square root of the reliability of the
        others' mean.
    group : (n_vertices,) float64
        Ceiling of a participant's accuracy, over participants: square root of `pair`.
    n : (n_vertices,) int
        Participants that count: who has a response to every stimulus.
    n_undefined : int
        Vertices with enough participants whose `pair` is not above zero: no ceiling.
    """

    pair: FloatArray
    leave_one_out: FloatArray
    participants: FloatArray
    group: FloatArray
    n: npt.NDArray[np.int64]
    n_undefined: int

    @property
    def lower(self) -> FloatArray:
        """Mean of `leave_one_out` over participants, (n_vertices,)."""
        return finite_mean(self.leave_one_out)


def shared_ceiling(responses: npt.ArrayLike | Sequence[npt.ArrayLike]) -> SharedCeiling:
    """Ceiling of r for models of what participants share, from responses to the same stimuli.

    Parameters
    ----------
    responses : (n_participants, n_times, n_vertices) array, or one such array per stimulus
        Responses on one clock; z-scored here. A participant with a value that is not finite, or
        with a constant response, to some stimulus is missing at that vertex. Ratings of several
        raters are taken alike, scales in place of vertices. Memory-mapped arrays are read in
        pieces.

    Returns
    -------
    SharedCeiling
        NaN where fewer than four participants have a response, or the mean correlation over pairs
        is not above zero.

    Raises
    ------
    BadDataError
        If shapes disagree.
    TooFewError
        With fewer than four participants.

    Notes
    -----
    With N participants the mean over pairs is p = (var(sum of the z-scored series) - N) / (N (N -
    1)), the reliability of the mean of N - 1 of them R = (N - 1) p / (1 + (N - 2) p)
    (Spearman-Brown), and a participant's ceiling loo / sqrt(R). Stimuli are averaged in r, weighted
    by their samples, before the formula: a mean of ratios is biased.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.standard_normal((400, 1))  # times, vertices; noise of the same variance
    >>> people = shared + rng.standard_normal((8, 400, 1))
    >>> found = shared_ceiling(people)
    >>> bool(abs(found.group[0] - 0.5**0.5) < 0.05), bool(found.lower[0] < found.group[0])
    (True, True)
    >>> found.participants.shape, found.n.tolist(), found.n_undefined
    ((8, 1), [8], 0)
    """
    stimuli = check_stimuli(responses)
    n_participants, _, n_vertices = stimuli[0].shape
    if n_participants < MIN_PEOPLE:
        raise TooFewError(
            "A ceiling from what people share needs at least four participants.",
            where="responses",
            found=n_participants,
            wanted=f"{MIN_PEOPLE} or more",
            remedy="add participants, or leave this ceiling out",
        )
    weights = np.array([array.shape[1] for array in stimuli], dtype=np.float64)
    pair, count = np.empty(n_vertices), np.empty(n_vertices, dtype=np.int64)
    loo = np.empty((n_participants, n_vertices))
    for start in range(0, n_vertices, _CHUNK):
        part = slice(start, min(start + _CHUNK, n_vertices))
        series = [unit_series(np.asarray(one[:, :, part], dtype=np.float64)) for one in stimuli]
        missing = np.any([absent for _, absent in series], axis=0)
        n = (~missing).sum(axis=0)
        found = [_correlations(unit, missing, n) for unit, _ in series]
        pair[part] = np.average([one for one, _ in found], axis=0, weights=weights)
        loo[:, part] = np.average([one for _, one in found], axis=0, weights=weights)
        count[part] = n
    enough = count >= MIN_PEOPLE
    pair[~enough], loo[:, ~enough] = np.nan, np.nan
    positive = np.where(pair > 0, pair, np.nan)
    reliability = (count - 1) * positive / (1 + (count - 2) * positive)
    return SharedCeiling(
        pair=pair,
        leave_one_out=loo,
        participants=loo / np.sqrt(reliability),
        group=np.sqrt(positive),
        n=count,
        n_undefined=int((enough & ~(pair > 0)).sum()),
    )


def _correlations(
    unit: FloatArray, missing: npt.NDArray[np.bool_], n: npt.NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    """Mean r over pairs, (n_vertices,), and r with the others' mean, (n_participants, n_vertices).

    From series of length 1: their sum is all that pairs need.
    """
    unit = np.where(missing[:, np.newaxis], 0.0, unit)
    total = unit.sum(axis=0)
    square = np.einsum("tv,tv->v", total, total)
    own = np.einsum("stv,tv->sv", unit, total)
    pair = np.where(n > 1, (square - n) / np.maximum(n * (n - 1), 1), np.nan)
    rest = square - 2 * own + 1
    absent = missing | (rest < 1e-9)
    return pair, np.where(absent, np.nan, (own - 1) / np.sqrt(np.where(absent, 1.0, rest)))


def ceiling_fraction(
    r: npt.ArrayLike, ceiling: npt.ArrayLike, reliable: npt.ArrayLike, *, floor: float
) -> FloatArray:
    """Accuracy as a fraction of its ceiling, where the ceiling can be divided by.

    Parameters
    ----------
    r : (..., n_vertices) array
        Accuracy.
    ceiling : (n_vertices,) array
        Ceiling of r.
    reliable : (n_vertices,) bool array
        Where the shared response is significant.
    floor : float
        What the ceiling has to exceed.

    Returns
    -------
    (..., n_vertices) float64
        NaN where the ceiling is not above the floor or not reliable. Above 1 where a response is
        predicted beyond what people share.

    Examples
    --------
    >>> ceiling, reliable = [0.5, 0.05, 0.5], [True, True, False]
    >>> ceiling_fraction([0.2, 0.2, 0.2], ceiling, reliable, floor=0.1).tolist()
    [0.4, nan, nan]
    """
    top = np.asarray(ceiling, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        usable = np.asarray(reliable, dtype=bool) & (top > floor)
    return np.asarray(r, dtype=np.float64) / np.where(usable, top, np.nan)
