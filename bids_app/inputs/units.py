"""Detect times in another unit than seconds by the length of the music."""

from __future__ import annotations

_MUCH_LONGER = 30.0
_UNITS = ((1e-3, "milliseconds"), (60.0, "minutes"), (1e-6, "microseconds"))


def covers(last: float, length: float) -> bool:
    """Whether a series that ends at `last` can be of music of this length, both in seconds.

    It ends after the middle of the music, and neither by half of it nor by 30 s after it.

    Examples
    --------
    >>> covers(55.0, 60.0), covers(20.0, 60.0), covers(150.0, 60.0)
    (True, False, False)
    """
    return 0.5 * length <= last <= 1.5 * length + _MUCH_LONGER


def other_unit(last: float, length: float, first: float = 0.0) -> str:
    """The end of a sentence about times: in which unit they would fit; empty where in none.

    Parameters
    ----------
    last, length : float
        Last time, and seconds of the music.
    first : float
        First time; times of day, of which the last alone may fit, begin late.

    Examples
    --------
    >>> other_unit(59000.0, 60.0)
    '; in milliseconds they would fit'
    >>> other_unit(36059.8, 60.0, first=36000.0)
    ''
    """
    fits = (
        unit
        for factor, unit in _UNITS
        if covers(last * factor, length) and covers((last - first) * factor, length)
    )
    return next((f"; in {unit} they would fit" for unit in fits), "")
