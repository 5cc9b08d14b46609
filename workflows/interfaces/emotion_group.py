"""Steps that relate ratings to brain and layers, over participants."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from bids_app.errors import BadDataError
from bids_app.outputs import OutputTree

from ..emotion_combine import infer_rating_maps, infer_rating_scores
from ..emotion_group_derivatives import write_rating_map_tests, write_score_tests
from ..emotion_ratings import reason_of
from .base import Step, StepInputSpec

LOGGER = logging.getLogger("bids_app.workflows")


class _GroupRatingsInputSpec(StepInputSpec):
    output_dir = traits.Str(mandatory=True)
    participants = traits.List(traits.Str, mandatory=True)
    files = InputMultiObject(File(exists=True), desc="settings files, for their content")
    settings = traits.Dict(mandatory=True)
    n_permutations = traits.Int(mandatory=True)
    seed = traits.Int(mandatory=True)


class _GroupMapsInputSpec(_GroupRatingsInputSpec):
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _GroupScoresInputSpec(_GroupRatingsInputSpec):
    model = traits.Str(mandatory=True, desc="model label")


class _WrittenOutputSpec(TraitedSpec):
    files = traits.List(traits.Str)


def _written(what: str, work: Callable[[], list[Path]]) -> dict[str, Any]:
    """Files of an analysis; none, and the reason in the log, where the data do not allow it."""
    LOGGER.info("group: %s", what)
    try:
        return {"files": [str(path) for path in work()]}
    except BadDataError as error:
        LOGGER.warning("group: %s is left out: %s", what, reason_of(error))
        return {"files": []}


class InferRatingMaps(Step):
    """Maps of ratings and brain over participants."""

    input_spec = _GroupMapsInputSpec
    output_spec = _WrittenOutputSpec
    _always_run = True  # the outputs may be gone although the work directory is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        tree = OutputTree(Path(inputs.output_dir))

        def work() -> list[Path]:
            tests = infer_rating_maps(
                tree,
                inputs.participants,
                n_permutations=inputs.n_permutations,
                seed=inputs.seed,
                n_threads=inputs.n_threads,
            )
            return write_rating_map_tests(tree, tests, inputs.settings)

        return _written("ratings and brain", work)


class InferRatingScores(Step):
    """Layers and ratings over participants."""

    input_spec = _GroupScoresInputSpec
    output_spec = _WrittenOutputSpec
    _always_run = True  # the outputs may be gone although the work directory is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        tree = OutputTree(Path(inputs.output_dir))

        def work() -> list[Path]:
            tests = infer_rating_scores(
                tree,
                inputs.model,
                inputs.participants,
                n_permutations=inputs.n_permutations,
                seed=inputs.seed,
            )
            return write_score_tests(tree, tests, inputs.settings)

        return _written("layers and ratings", work)
