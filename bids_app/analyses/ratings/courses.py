"""Courses of ratings for the analyses of emotion: which are usable, and their changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bids_app.emotion import absolute_change, is_constant
from bids_app.errors import BadDataError
from bids_app.inputs.ratings import Rating, RatingSet

TRANSFORM = "absolute-change"
"""What `change_of` takes of a rating, as sidecars say it."""


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
            "A rating is missing.",
            where=f"sub-{participant}",
            found=f"no {scale} of {stimulus}",
            wanted="a rating of every scale",
            remedy="add the rating, or leave the scale out of --scales",
        )
    return rating


def change_of(rating: Rating) -> NDArray[np.float64]:
    """Size of a rating's change per second.

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
    return absolute_change(rating.times, rating.values)
