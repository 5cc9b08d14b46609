"""Steps that relate ratings to brain and layers, over participants."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_app.workflows.interfaces.base import OutputDirInputSpec, WritingStep
from nipype.interfaces.base import File, InputMultiObject, traits

from bids_app.analyses.ratings.group import infer_rating_maps, infer_rating_scores
from bids_app.analyses.ratings.write_group import write_rating_map_tests, write_score_tests
from bids_app.errors import TooFewError, reason_of
from bids_app.outputs import OutputTree

LOGGER = logging.getLogger("bids_app.workflows")


class _GroupRatingsInputSpec(OutputDirInputSpec):
    participants = traits.List(traits.Str, mandatory=True)
    files = InputMultiObject(File(exists=True), desc="settings files, for their content")
    settings = traits.Dict(mandatory=True)
    n_permutations = traits.Int(mandatory=True)
    seed = traits.Int(mandatory=True)


class _GroupMapsInputSpec(_GroupRatingsInputSpec):
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _GroupScoresInputSpec(_GroupRatingsInputSpec):
    model = traits.Str(mandatory=True, desc="model label")


class _InferenceStep(WritingStep):
    """Writes nothing, and says why in the log, where the data do not allow it."""

    what = ""

    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        LOGGER.info("group: %s", self.what)
        try:
            return self._infer(inputs, tree)
        except TooFewError as error:
            LOGGER.warning("group: %s is left out: %s", self.what, reason_of(error))
            return []

    def _tell(self, left_out: Mapping[str, str]) -> None:
        for label, why in left_out.items():
            LOGGER.warning("group: %s without sub-%s: %s", self.what, label, why)

    @abstractmethod
    def _infer(self, inputs: Any, tree: OutputTree) -> list[Path]:
        """Files written."""


class InferRatingMaps(_InferenceStep):
    """Maps of ratings and brain over participants."""

    input_spec = _GroupMapsInputSpec
    what = "ratings and brain"

    def _infer(self, inputs: Any, tree: OutputTree) -> list[Path]:
        tests = infer_rating_maps(
            tree,
            inputs.participants,
            n_permutations=inputs.n_permutations,
            seed=inputs.seed,
            n_threads=inputs.n_threads,
        )
        self._tell(tests.group.left_out)
        return write_rating_map_tests(tree, tests, inputs.settings)


class InferRatingScores(_InferenceStep):
    """Layers and ratings over participants."""

    input_spec = _GroupScoresInputSpec
    what = "layers and ratings"

    def _infer(self, inputs: Any, tree: OutputTree) -> list[Path]:
        tests = infer_rating_scores(
            tree,
            inputs.model,
            inputs.participants,
            n_permutations=inputs.n_permutations,
            seed=inputs.seed,
        )
        self._tell(tests.group.left_out)
        return write_score_tests(tree, tests, inputs.settings)
