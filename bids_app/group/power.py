"""What a study could show, from its size alone: the closed forms behind ``musenc power``.

Standard deviations of the nulls follow from how many independent samples there are, from how much
listeners share, and from whose weights are used. Constants that only data give are defaults, with
where they were measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, stats

from bids_app.errors import ONE_OF_THESE, UsageError
from bids_app.group.claims import DETECTABLE
from bids_app.group.others import MIN_OTHERS, shared_training_scale
from bids_app.statistics import SIGNIFICANCE

SECONDS_PER_SAMPLE = 6.5
"""Seconds of music per independent sample of a prediction and a response: 268 kept seconds, TR 1 s,
delays of 3 to 9 s, high-pass 128 s; one resting run, layers of an untrained VGGish; 5.3 to 9.0 over
24 studies (12 combinations of participants, inter-subject correlation and weights)."""
SLOPE_RATIO = 0.45
"""Null SD of the residual slope over that of one layer's accuracy: .41 in closed form, over .9 for
the norms of predictions that it leaves out (the same studies, eight layers)."""
ALIGNMENT_SD = 0.12
"""SD over participants of atanh of the correlation of noise's slopes with the principal gradient
(.06 to .2, the same studies): brain noise follows the gradient."""
POWER = 0.8


@dataclass(frozen=True)
class Detectable:
    """Smallest effect that a study finds with a power of .8 at .05, one planned test.

    Attributes
    ----------
    what : str
        ``accuracy``, ``slope``, ``alignment`` or ``true alignment``.
    people, music : float
        Over people and over music; NaN where no result is possible.
    needed : float
        The larger one: a claim needs both.
    expected : float
        Expected effect; NaN where none was given.
    power : float
        Of both together at the expected effect, the smaller of the two; NaN without one.
    """

    what: str
    people: float
    music: float
    expected: float = float("nan")
    power: float = float("nan")

    @property
    def needed(self) -> float:
        """What people and music both can show."""
        return float(np.maximum(self.people, self.music))


def null_variances(
    n_participants: int, isc: float, weights: Literal["own", "others"] = "own"
) -> tuple[float, float]:
    """Variance of group-mean accuracy over music, and of a participant's about that mean.

    Parameters
    ----------
    n_participants : int
    isc : float
        Inter-subject correlation, from 0 to below 1.
    weights : {"own", "others"}
        Whose responses train.

    Returns
    -------
    music, people : float
        In units of the variance of one held-out correlation, over the number of pieces: of the
        mean over participants under shared random phases, and of a participant about that mean.

    Notes
    -----
    Accuracy on piece b, trained on the pieces c, is a sum of y_b' M y_c. The covariance of two such
    sums is the correlation of their scored responses times that of their training responses: of
    two sums of one direction (both score b), or of opposite directions (one scores b and trains on
    c, the other scores c and trains on b). The opposite sums of all pieces together count as one
    sum of the same direction. A participant's own responses correlate by 1, those of two
    participants by `isc`; means of n - 1 others have a variance of v = isc + (1 - isc) / (n - 1).

    Examples
    --------
    >>> null_variances(10, 0.0)
    (0.2, 2.0)
    >>> [round(one, 3) for one in null_variances(10, 0.2, "others")]
    [0.548, 0.656]
    """
    _check(n_participants, isc, weights)
    n = n_participants
    if weights == "own":
        within, between = 2.0, 2 * isc**2
    else:
        v = isc + (1 - isc) / (n - 1)
        of_means = isc + (1 - isc) * (n - 2) / (n - 1) ** 2
        within, between = 1 + isc**2 / v, isc * of_means / v + v
    return (within + (n - 1) * between) / n, within - between


def detectable_effects(
    n_participants: int,
    minutes: float,
    n_pieces: int,
    isc: float,
    *,
    expected_r: float | None = None,
    expected_slope: float | None = None,
    weights: Literal["own", "others"] = "own",
    crop: float = 15.0,
    seconds_per_sample: float = SECONDS_PER_SAMPLE,
    slope_ratio: float = SLOPE_RATIO,
    alignment_sd: float = ALIGNMENT_SD,
) -> list[Detectable]:
    """Smallest accuracy, slope and alignment that a study can show over people and over music.

    Parameters
    ----------
    n_participants : int
        At least 2; 3 with the others' weights.
    minutes : float
        Music per participant, all pieces together.
    n_pieces : int
        Pieces, at least 2; of each `crop` is left out at both ends.
    isc : float
        Inter-subject correlation of the responses where the effect is looked for.
    expected_r : float, optional
        Accuracy that is expected of a layer there: its power is given.
    expected_slope : float, optional
        Spread of the true residual slope over vertices. Default: half of `expected_r`.
    weights : {"own", "others"}
        Whose responses train.
    crop : float
        Seconds.
    seconds_per_sample, slope_ratio, alignment_sd : float
        As the constants of this module.

    Returns
    -------
    list of Detectable
        Accuracy (r) and slope (r per network depth) of one planned vertex or region, and alignment
        (mean correlation of measured slopes and gradient). With an expected slope also
        ``true alignment``: the correlation of slopes without noise that shows as such an alignment;
        NaN where even 1 would not show.

    Raises
    ------
    UsageError
        For sizes that make no study.

    Examples
    --------
    >>> found = detectable_effects(20, 30.0, 6, 0.1)
    >>> [(one.what, round(one.needed, 3)) for one in found]
    [('accuracy', 0.061), ('slope', 0.028), ('alignment', 0.082)]
    """
    music, people = null_variances(n_participants, isc, weights)
    kept = 60 * minutes - 2 * crop * n_pieces
    if n_pieces < 2 or kept < n_pieces * 2 * seconds_per_sample:
        raise UsageError(
            "There is too little music to train on and to score.",
            where="minutes, n_pieces",
            found=f"{minutes:g} minutes in {n_pieces} pieces, {kept:g} s without {crop:g} s at "
            "either end of each",
            wanted="two pieces or more, with some twenty seconds left of each",
            remedy="plan more or longer pieces, or a shorter crop",
        )
    scale = shared_training_scale(n_participants) if weights == "others" else 1.0
    sd = np.sqrt(seconds_per_sample / kept)
    whole = music + people * (1 - 1 / n_participants)  # of one participant
    noise = sd * np.sqrt(whole)
    slope = expected_slope
    if slope is None and expected_r is not None:
        slope = expected_r / 2
    found = []
    for what, unit, expected in (
        ("accuracy", sd, expected_r),
        ("slope", slope_ratio * sd, slope),
        ("alignment", alignment_sd / np.sqrt(whole), None),
    ):
        over_music, over_people = unit * np.sqrt(music), unit * np.sqrt(people)
        size = _effect_over_people(n_participants, scale) * over_people
        smallest = np.array([size, DETECTABLE * over_music])
        if what == "alignment":  # nulls are those of Fisher z
            smallest = np.tanh(smallest)
        power = float("nan")
        if expected is not None:
            power = min(
                _power_over_people(expected / over_people, n_participants, scale),
                float(stats.norm.sf(_critical() - expected / over_music)),
            )
        expected = float("nan") if expected is None else float(expected)
        found.append(Detectable(what, float(smallest[0]), float(smallest[1]), expected, power))
    if slope is not None:
        seen = slope / np.hypot(slope, slope_ratio * noise)
        true = np.array([found[-1].people, found[-1].music]) / seen
        true = np.where(true <= 1, true, np.nan)
        found.append(Detectable("true alignment", float(true[0]), float(true[1])))
    return found


def _critical() -> float:
    return float(stats.norm.isf(SIGNIFICANCE / 2))


def _power_over_people(effect: float, n: int, scale: float) -> float:
    """Power of a two-sided t over participants, t multiplied by `scale` before it is tested."""
    critical = float(stats.t.isf(SIGNIFICANCE / 2, n - 1)) / scale
    return float(stats.nct.sf(critical, n - 1, effect * np.sqrt(n)))


def _effect_over_people(n: int, scale: float) -> float:
    """Effect in standard deviations of participants that is found with a power of .8."""
    if n < 2:
        return float("nan")

    def lacking(effect: float) -> float:
        return _power_over_people(effect, n, scale) - POWER

    highest = 1.0
    while lacking(highest) < 0:
        highest *= 2
    return float(optimize.brentq(lacking, 0.0, highest, xtol=1e-6))


def _check(n_participants: int, isc: float, weights: str) -> None:
    least = MIN_OTHERS if weights == "others" else 2
    if weights not in ("own", "others"):
        raise UsageError(
            "Unknown weights.",
            where="weights",
            found=weights,
            wanted="own or others",
            remedy=ONE_OF_THESE,
        )
    if n_participants < least:
        raise UsageError(
            "A group needs more participants.",
            where="n_participants",
            found=n_participants,
            wanted=f"at least {least} with weights {weights}",
            remedy="plan more participants",
        )
    if not 0 <= isc < 1:
        raise UsageError(
            "A correlation is out of range.",
            where="isc",
            found=isc,
            wanted="from 0 to below 1",
            remedy="give the mean correlation between two participants, for example 0.1",
        )
