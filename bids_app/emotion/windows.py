"""Names of the two directions of time between ratings and brain."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A part of a rating, before or after the moment of the response.

    Attributes
    ----------
    rating : str
        The part, ``past`` or ``future``, as in names of maps of predictions.
    brain : str
        Relation of the brain to the rating where this part explains the response: it ``follows``
        the past and ``precedes`` the future. As in names of maps of effects.
    delays : (float, float)
        Seconds from the rating to the predicted response.
    """

    rating: str
    brain: str
    delays: tuple[float, float]

    def holds(self, delay: float) -> bool:
        """Whether a delay in seconds is on this side of the response."""
        return delay * self.delays[0] > 0


WINDOWS = (
    Window("future", "precedes", (-10.0, -1.0)),
    Window("past", "follows", (1.0, 10.0)),
)
DELAYS = "delays"
"""Names maps with one array per delay."""
