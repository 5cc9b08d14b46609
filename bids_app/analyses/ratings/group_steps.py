"""The steps of the group level of ratings: test, and write what the data allow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_app.analyses.ratings.group import infer_rating_maps, infer_rating_scores
from bids_app.analyses.ratings.write_group import write_rating_map_tests, write_score_tests
from bids_app.config import Statistics
from bids_app.errors import TooFewError, reason_of
from bids_app.outputs import OutputTree

LOGGER = logging.getLogger("bids_app.analyses")


def relate_rating_maps(
    tree: OutputTree,
    participants: Sequence[str],
    settings: Mapping[str, Any],
    statistics: Statistics,
    n_threads: int,
) -> list[Path]:
    """Maps of ratings and brain over participants."""

    def infer() -> list[Path]:
        tests = infer_rating_maps(
            tree,
            participants,
            n_permutations=statistics.n_permutations,
            seed=statistics.random_seed,
            n_threads=n_threads,
        )
        _tell("ratings and brain", tests.group.left_out)
        return write_rating_map_tests(tree, tests, settings)

    return _if_enough("ratings and brain", infer)


def relate_rating_scores(
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    settings: Mapping[str, Any],
    statistics: Statistics,
) -> list[Path]:
    """Layers and ratings over participants."""

    def infer() -> list[Path]:
        tests = infer_rating_scores(
            tree,
            model,
            participants,
            n_permutations=statistics.n_permutations,
            seed=statistics.random_seed,
        )
        _tell("layers and ratings", tests.group.left_out)
        return write_score_tests(tree, tests, settings)

    return _if_enough("layers and ratings", infer)


def _if_enough(what: str, infer: Callable[[], list[Path]]) -> list[Path]:
    """Files that `infer` writes; none, with a reason in the log, where the data do not allow it."""
    LOGGER.info("group: %s", what)
    try:
        return infer()
    except TooFewError as error:
        LOGGER.warning("group: %s is left out: %s", what, reason_of(error))
        return []


def _tell(what: str, left_out: Mapping[str, str]) -> None:
    for label, why in left_out.items():
        LOGGER.warning("group: %s without sub-%s: %s", what, label, why)
