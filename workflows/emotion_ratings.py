"""Ratings as the analyses of emotion use them: found or missed, transformed, never constant."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bids_app.emotion import absolute_change, derivative, is_constant
from bids_app.errors import BadDataError, MusencError
from bids_app.inputs.ratings import Rating, RatingSet

Transform = Literal["value", "change", "absolute-change"]


def reason_of(error: MusencError) -> str:
    """An error in one line, for tables and logs."""
    return " ".join(str(part) for part in (error.what, error.where, error.found) if part)


def need_rating(ratings: RatingSet, participant: str, stimulus: str, scale: str) -> Rating:
    """A participant's rating of a stimulus.

    Raises
    ------
    BadDataError
        If there is none.
    """
    rating = ratings.find(participant, stimulus, scale)
    if rating is None:
        raise BadDataError(
            "A rating is missing.", where=f"sub-{participant}", found=f"no {scale} of {stimulus}"
        )
    return rating


def transformed(rating: Rating, transform: Transform) -> NDArray[np.float64]:
    """A rating's values, their change per second, or its size.

    Raises
    ------
    BadDataError
        If the rating is constant; participant, music and scale are named.
    """
    if is_constant(rating.values):
        who = "the group mean" if rating.participant is None else f"sub-{rating.participant}"
        raise BadDataError(
            "A rating is constant.",
            where=f"{rating.source} ({who})",
            found=f"{rating.scale} of {rating.stimulus} is {rating.values[0]:g} throughout",
            wanted="a rating that moves",
            remedy="leave the participant or the scale out",
        )
    if transform == "value":
        return rating.values
    if transform == "change":
        return derivative(rating.times, rating.values)
    return absolute_change(rating.times, rating.values)
