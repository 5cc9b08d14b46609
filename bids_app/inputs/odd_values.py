"""Values that stand for nothing, and columns that count."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_LEVELS = 4  # values that there must be before one of them can be far from the others
_FEW = 10  # rows that lie on a line by chance
_ON_THE_LINE = 0.1  # of a step, which rounding leaves


def far_value(values: ArrayLike, what: str = "samples") -> str:
    """Say that a value lies farther from the others than these from one another, as -999 does.

    Parameters
    ----------
    values : array
        Finite.
    what : str
        What they are values of.

    Returns
    -------
    str
        Empty where no value lies far, or there are fewer than four different ones.

    Examples
    --------
    >>> far_value([1, 2, 3, 5, -999, 4])
    '-999 (1 of 6 samples) lies far from all others (1 to 5)'
    >>> far_value([1, 2, 3, 5, 8, 4])
    ''
    """
    levels = np.unique(values)
    if len(levels) < _LEVELS:
        return ""
    for far, rest in ((levels[0], levels[1:]), (levels[-1], levels[:-1])):
        if min(abs(far - rest)) > rest[-1] - rest[0]:
            n, n_all = int(np.sum(values == far)), np.size(values)
            return (
                f"{far:g} ({n} of {n_all} {what}) lies far from all others ({rest[0]:g} to "
                f"{rest[-1]:g})"
            )
    return ""


def equal_step(values: ArrayLike, places: ArrayLike) -> float:
    """Step from row to row of a column that is a line over `places`; 0 where it is none.

    Parameters
    ----------
    values, places : array of shape (n_rows,)
        Finite; places grow.

    Examples
    --------
    >>> equal_step([4410 * k for k in range(20)], range(20))
    4410.0
    >>> equal_step([k % 7 for k in range(20)], range(20))
    0.0
    """
    own, at = np.asarray(values, dtype=np.float64), np.asarray(places, dtype=np.float64)
    if len(own) < _FEW:
        return 0.0
    line = np.interp(at, at[[0, -1]], own[[0, -1]])
    step = float(own[-1] - own[0]) / (len(own) - 1)
    return step if np.abs(own - line).max() <= _ON_THE_LINE * abs(step) else 0.0
