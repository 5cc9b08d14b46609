"""Steps that relate ratings to brain and layers, of participants."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bids_app.workflows.interfaces.base import (
    CleaningInputSpec,
    RecordInputSpec,
    RidgeInputSpec,
    Step,
    StepInputSpec,
    WritingStep,
    load_content,
    save_content,
)
from nipype.interfaces.base import File, TraitedSpec, traits

from bids_app.analyses.ratings.brain_glm import fit_rating_glm
from bids_app.analyses.ratings.brain_ridge import fit_rating_encoding
from bids_app.analyses.ratings.participant import attempt, read_cleaned, score_layers
from bids_app.analyses.ratings.write import write_rating_maps, write_rating_scores
from bids_app.features.cache import FeatureGrams
from bids_app.outputs import OutputTree

LOGGER = logging.getLogger("bids_app.workflows")


class _RatingInputSpec(StepInputSpec):
    ratings = traits.Any(mandatory=True, nohash=True, desc="RatingSet")
    ratings_sha256 = traits.Str(mandatory=True, desc="checksum of the ratings used")
    scales = traits.List(traits.Str, mandatory=True)


class _GlmInputSpec(CleaningInputSpec, _RatingInputSpec):
    participant = traits.Str(mandatory=True)
    emotion = traits.Any(mandatory=True, desc="Emotion")


class _GlmOutputSpec(TraitedSpec):
    maps_file = File(exists=True)


class RelateRatings(Step):
    """Linear model of responses and changes of ratings, of one participant."""

    input_spec = _GlmInputSpec
    output_spec = _GlmOutputSpec

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("sub-%s: ratings and brain", inputs.participant)
        outcome = attempt(
            fit_rating_glm,
            inputs.runs,
            inputs.ratings,
            inputs.cleaning,
            inputs.emotion,
            scales=inputs.scales,
        )
        return {"maps_file": save_content(folder, "maps", outcome)}


class _EncodingInputSpec(RidgeInputSpec, _RatingInputSpec):
    participant = traits.Str(mandatory=True)
    output_dir = traits.Str(mandatory=True)
    response_files = traits.List(traits.Str, desc="cleaned responses, where this call writes them")
    space = traits.Str(mandatory=True, desc="mesh")
    high_pass = traits.Float(mandatory=True, desc="seconds")
    random_seed = traits.Int(mandatory=True)


class _EncodingOutputSpec(TraitedSpec):
    accuracy_file = File(exists=True)


class PredictFromRatings(Step):
    """Responses predicted from past and from future ratings, of one participant."""

    input_spec = _EncodingInputSpec
    output_spec = _EncodingOutputSpec
    _always_run = True  # the responses may have changed under the same name

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        tree = OutputTree(Path(inputs.output_dir))
        outcome = attempt(
            fit_rating_encoding,
            read_cleaned(tree, inputs.participant, inputs.space),
            inputs.ratings,
            inputs.participant,
            scales=inputs.scales,
            crop=inputs.crop,
            alphas=inputs.alphas,
            selection=inputs.selection,
            null=inputs.null,
            high_pass=inputs.high_pass,
            random_seed=inputs.random_seed,
            n_threads=inputs.n_threads,
        )
        return {"accuracy_file": save_content(folder, "accuracy", outcome)}


class _ScoresInputSpec(RidgeInputSpec, _RatingInputSpec):
    grams_dir = traits.Directory(exists=True, mandatory=True)
    jobs = traits.List(traits.Any, mandatory=True, desc="ScoreJob records")


class _ScoresOutputSpec(TraitedSpec):
    scores_file = File(exists=True)


class ScoreLayers(Step):
    """Ratings of all participants predicted from every layer of a model."""

    input_spec = _ScoresInputSpec
    output_spec = _ScoresOutputSpec

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("layers and ratings of %d participants", len(inputs.jobs))
        scores = score_layers(
            FeatureGrams.load(Path(inputs.grams_dir)),
            inputs.ratings,
            inputs.jobs,
            inputs.scales,
            crop=inputs.crop,
            alphas=inputs.alphas,
            selection=inputs.selection,
            null=inputs.null,
            n_threads=inputs.n_threads,
        )
        return {"scores_file": save_content(folder, "scores", scores)}


class _WriteMapsInputSpec(RecordInputSpec):
    maps_file = File(exists=True, mandatory=True)
    accuracy_file = File(exists=True, mandatory=True)


class WriteRatingMaps(WritingStep):
    """Maps of ratings and brain in the output folder."""

    input_spec = _WriteMapsInputSpec

    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        return write_rating_maps(
            tree,
            inputs.record,
            *load_content(inputs.maps_file),
            *load_content(inputs.accuracy_file),
        )


class _WriteScoresInputSpec(RecordInputSpec):
    scores_file = File(exists=True, mandatory=True)


class WriteRatingScores(WritingStep):
    """Tables of layers and ratings in the output folder."""

    input_spec = _WriteScoresInputSpec

    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        scores = load_content(inputs.scores_file)[inputs.record.participant]
        return write_rating_scores(tree, inputs.record, scores)
