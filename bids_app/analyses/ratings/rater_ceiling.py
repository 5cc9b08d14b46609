"""How well any model of what raters share could predict the ratings of one of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.repeats import FLOOR, scored_together
from bids_app.analyses.ratings.predicted import RatingModel, read_courses
from bids_app.config import Statistics
from bids_app.errors import BadDataError, reason_of
from bids_app.group import ceiling_fraction, shared_ceiling
from bids_app.group.ceiling import MIN_PEOPLE
from bids_app.group.claims import holds
from bids_app.outputs import OutputTree
from bids_app.pairs import pair_test

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RaterCeiling:
    """Ceilings of predictions of ratings.

    Attributes
    ----------
    ceiling, lower : array of shape (n_scales,)
        Highest r of a model of what raters share with the ratings of one of them, and its lower
        bound; NaN where raters have nothing in common.
    p : array of shape (n_scales,)
        Whether they have something in common, corrected over scales.
    n_raters : int
        People whose ratings differ.
    reason : str
        Why there is no ceiling; empty where there is one.
    """

    ceiling: FloatArray
    lower: FloatArray
    p: FloatArray
    n_raters: int
    reason: str = ""

    def fraction(self, r: FloatArray) -> FloatArray:
        """Accuracy over the ceiling, (n_layers, n_scales), where that can be divided by."""
        return ceiling_fraction(r, self.ceiling, holds(self.p), floor=FLOOR)


def rater_ceiling(
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    fitted: RatingModel,
    scales: Sequence[str],
    statistics: Statistics,
) -> RaterCeiling:
    """Ceiling of every scale, from the courses that were predicted.

    Parameters
    ----------
    tree : OutputTree
    model : str
        Label of the feature space.
    participants : sequence of str
        Each with ratings of their own.
    fitted : RatingModel
        How the ratings of all of them were predicted.
    scales : sequence of str
    statistics : Statistics
        Seed.
    """
    people: list[tuple[list[FloatArray], list[FloatArray]]] = []
    for participant in participants:
        courses = read_courses(tree, participant, model, fitted.stimuli, scales)
        if isinstance(courses, str):
            return _none(scales, len(people), courses)
        people.append(courses)
    if len(people) < MIN_PEOPLE:
        return _none(scales, len(people), f"{len(people)} people rated, {MIN_PEOPLE} are needed")
    delays, crop = fitted.model.delays, fitted.model.crop
    try:
        stacked = []
        for k in range(len(fitted.stimuli)):
            times, values = [t[k] for t, _ in people], [y[k] for _, y in people]
            stacked.append(scored_together(times, values, fitted.step, delays, crop))
        found = shared_ceiling(stacked)
    except BadDataError as error:
        return _none(scales, len(people), reason_of(error))
    p = pair_test(stacked, seed=statistics.random_seed).p_max
    return RaterCeiling(found.group, found.lower, p, len(people))


def _none(scales: Sequence[str], n_raters: int, reason: str) -> RaterCeiling:
    LOGGER.info("group: no ceiling of the ratings: %s", reason)
    nothing = np.full(len(scales), np.nan)
    return RaterCeiling(nothing, nothing, nothing, n_raters, reason)
