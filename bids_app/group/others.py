"""Weights of the others: what models are trained on, and what shared training does to tests.

A participant's models may be trained on the mean response of all other participants and scored on
the participant's own held-out responses. What listeners share is learned from many recordings in
place of one. The price is a dependence over participants: everybody trains everybody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError, UsageError, check_shape

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Responses = Sequence[Sequence[NDArray[Any]]]

MIN_OTHERS = 3
"""Fewest participants: of two, each would train the other, and no test over people is left."""


def shared_training_scale(n_participants: int) -> float:
    """Factor for a t over participants whose models were trained on the others' responses.

    Parameters
    ----------
    n_participants : int
        At least 3.

    Returns
    -------
    float
        sqrt((n - 2) / (2 (n - 1))): .71 for many participants, .67 for 12, .5 for 3.

    Raises
    ------
    UsageError
        With fewer than three.

    Notes
    -----
    The accuracy of p is a sum over the others q of a(p, q) / (n - 1), a(p, q) = y_p' M y_q:
    response of p, model of q. Where responses share nothing, a of different pairs are uncorrelated,
    but a(p, q) and a(q, p) are the same product of two recordings, up to the direction of M. So the
    values of two participants correlate by 1 / (n - 1). Their mean has twice the variance that
    independent values would have, and their variance over participants is smaller by the factor
    1 - 1 / (n - 1). A t that ignores both is too large by sqrt(2 (n - 1) / (n - 2)). The factor
    is exact where M is symmetric and too careful elsewhere. It holds for every sum of accuracies
    alike: layers, slopes, regions, correlations with a gradient.

    Examples
    --------
    >>> round(shared_training_scale(12), 3)
    0.674
    """
    if n_participants < MIN_OTHERS:
        raise UsageError(
            "Weights of the others need more participants.",
            where="n_participants",
            found=n_participants,
            wanted=f"at least {MIN_OTHERS}",
            remedy="add participants, or train on each one's own responses",
        )
    return float(np.sqrt((n_participants - 2) / (2 * (n_participants - 1))))


def means_of_others(
    responses: Responses,
    stimuli: Sequence[Sequence[str]],
    times: Sequence[Sequence[NDArray[np.floating]]],
    clock_of: Sequence[int],
    kept: Sequence[Sequence[slice]],
) -> list[list[Float32Array]]:
    """Mean response of all others to what each participant heard, at that participant's times.

    Parameters
    ----------
    responses : per participant a sequence of (n_times, n_vertices) arrays, one per presentation
        Responses; a vertex that is constant or not finite in one presentation is missing.
    stimuli : per clock a sequence of str
        Stimulus of every presentation. Every clock has the same stimuli.
    times : per clock a sequence of (n_times,) arrays
        Seconds of the stimulus that each sample was taken at, ascending.
    clock_of : (n_participants,) sequence of int
        Clock of every participant.
    kept : per clock a sequence of slice
        Rows of each presentation that models use; responses are z-scored over them, so that
        everybody counts alike.

    Returns
    -------
    list of lists of (n_times, n_vertices) float32 arrays
        Shaped as `responses`. A presentation gets the mean over all others, each of them averaged
        over the hearings of that stimulus. Responses of other clocks are interpolated linearly.
        NaN where nobody else has a response.

    Raises
    ------
    BadDataError
        Shapes that disagree, fewer than three participants, a stimulus that another clock lacks.

    Examples
    --------
    >>> own = [[np.array([[1.0], [2.0], [3.0]]) * k] for k in (1, -1, 5)]
    >>> mean = means_of_others(own, [["a"]], [[np.arange(3.0)]], [0, 0, 0], [[slice(0, 3)]])
    >>> mean[1][0].ravel().astype(float).round(2).tolist()
    [-1.22, 0.0, 1.22]
    """
    _check(responses, stimuli, times, clock_of, kept)
    known = [
        _standardized(own, kept[clock]) for own, clock in zip(responses, clock_of, strict=True)
    ]
    n_clocks = len(stimuli)
    sums: list[list[FloatArray]] = []
    counts: list[FloatArray] = []
    for clock in range(n_clocks):
        members = [one for one, own in zip(known, clock_of, strict=True) if own == clock]
        sums.append([np.sum(parts, axis=0) for parts in zip(*(m[0] for m in members), strict=True)])
        counts.append(np.sum([m[1] for m in members], axis=0, dtype=np.float64))
    moved = {
        (to, k): [
            _moves(stimuli[at], times[at], stimuli[to][k], times[to][k], k if at == to else None)
            for at in range(n_clocks)
        ]
        for to in range(n_clocks)
        for k in range(len(stimuli[to]))
    }
    totals = {
        key: (
            np.sum([_moved(s, m) for s, m in zip(sums, own, strict=True)], axis=0),
            np.sum([_covered(m)[:, None] * c for c, m in zip(counts, own, strict=True)], axis=0),
        )
        for key, own in moved.items()
    }
    out: list[list[Float32Array]] = []
    for (z, present), clock in zip(known, clock_of, strict=True):
        means = []
        for k in range(len(stimuli[clock])):
            total, count = totals[clock, k]
            own = moved[clock, k][clock]
            n = count - _covered(own)[:, None] * present
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = np.where(n > 0.5, (total - _moved(z, own)) / n, np.nan)
            means.append(mean.astype(np.float32))
        out.append(means)
    return out


# Position of a hearing, first row, second row, share of the second, whether it was sampled then.
_Move = tuple[int, NDArray[np.intp], NDArray[np.intp], FloatArray, FloatArray]


def _moves(
    stimuli: Sequence[str],
    times: Sequence[NDArray[np.floating]],
    wanted: str,
    at: NDArray[np.floating],
    same: int | None,
) -> list[_Move]:
    """How the hearings of a stimulus on one clock are brought to the times of another."""
    found: list[_Move] = []
    target = np.asarray(at, dtype=np.float64)
    for k, name in enumerate(stimuli):
        if name != wanted:
            continue
        own = np.asarray(times[k], dtype=np.float64)
        if k == same:
            rows = np.arange(len(own))
            found.append((k, rows, rows, np.zeros(len(own)), np.ones(len(own))))
            continue
        place = np.interp(target, own, np.arange(len(own)))
        low = np.minimum(place.astype(np.intp), max(len(own) - 2, 0))
        high = np.minimum(low + 1, len(own) - 1)
        half = float(np.median(np.diff(own))) / 2 if len(own) > 1 else 0.0
        there = (target >= own[0] - half) & (target <= own[-1] + half)
        found.append((k, low, high, place - low, there.astype(np.float64)))
    return found


def _moved(z: Sequence[FloatArray], moves: Sequence[_Move]) -> FloatArray:
    """Sum over hearings of interpolated responses, so that each row is a mean over them."""
    shares = _covered_each(moves)
    parts = [
        share[:, None] * ((1 - part)[:, None] * z[k][low] + part[:, None] * z[k][high])
        for (k, low, high, part, _), share in zip(moves, shares, strict=True)
    ]
    return np.asarray(np.sum(parts, axis=0))


def _covered_each(moves: Sequence[_Move]) -> list[FloatArray]:
    """Share of every hearing in each row: one over the hearings that were sampled then."""
    n = np.sum([there for *_, there in moves], axis=0)
    return [there / np.maximum(n, 1) for *_, there in moves]


def _covered(moves: Sequence[_Move]) -> FloatArray:
    """1 where some hearing was sampled, (n_times,)."""
    return np.asarray(np.max([there for *_, there in moves], axis=0), dtype=np.float64)


def _standardized(
    responses: Sequence[NDArray[Any]], kept: Sequence[slice]
) -> tuple[list[FloatArray], FloatArray]:
    """Z-scored responses, zero where missing, and 1 where there are any, (n_vertices,)."""
    z, present = [], np.ones(responses[0].shape[1], dtype=bool)
    for one, rows in zip(responses, kept, strict=True):
        y = np.asarray(one, dtype=np.float64)
        inside = y[rows]
        with np.errstate(invalid="ignore"):
            mean, deviation = inside.mean(axis=0), inside.std(axis=0)
            present &= np.isfinite(deviation) & (deviation > 0) & np.isfinite(y).all(axis=0)
            z.append((y - mean) / np.where(deviation > 0, deviation, 1.0))
    for one in z:
        one[:, ~present] = 0.0
    return z, present.astype(np.float64)


def _check(
    responses: Responses,
    stimuli: Sequence[Sequence[str]],
    times: Sequence[Sequence[NDArray[np.floating]]],
    clock_of: Sequence[int],
    kept: Sequence[Sequence[slice]],
) -> None:
    if len(responses) < MIN_OTHERS:
        raise BadDataError(
            "Weights of the others need more participants.",
            where="responses",
            found=len(responses),
            wanted=f"at least {MIN_OTHERS}",
            remedy="add participants, or train on each one's own responses",
        )
    check_shape("clock_of", clock_of, len(responses))
    n_vertices = int(responses[0][0].shape[-1])
    for name, sides in (("times", times), ("kept", kept)):
        check_shape(name, sides, len(stimuli))
    for clock, names in enumerate(stimuli):
        if set(names) != set(stimuli[0]):
            raise BadDataError(
                "Not everybody heard the same stimuli.",
                where=f"stimuli[{clock}]",
                found=sorted(set(names)),
                wanted=sorted(set(stimuli[0])),
                remedy="leave out the stimuli that somebody did not hear",
            )
        check_shape(f"times[{clock}]", times[clock], len(names))
        check_shape(f"kept[{clock}]", kept[clock], len(names))
    for p, own in enumerate(responses):
        if not 0 <= clock_of[p] < len(stimuli):
            raise BadDataError(
                "A participant has a clock that is not there.",
                where=f"clock_of[{p}]",
                found=clock_of[p],
                wanted=f"0 to {len(stimuli) - 1}",
                remedy="give each participant the number of a clock, from 0",
            )
        check_shape(f"responses[{p}]", own, len(stimuli[clock_of[p]]))
        for k, (one, at) in enumerate(zip(own, times[clock_of[p]], strict=True)):
            check_shape(f"responses[{p}][{k}]", one, len(at), n_vertices)
