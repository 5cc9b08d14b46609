"""Steps that relate ratings to brain and layers, of participants."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from bids_app.features.cache import FeatureGrams
from bids_app.outputs import OutputTree
from bids_app.surface.mesh import load_mesh

from ..emotion import fit_rating_glm
from ..emotion_derivatives import write_rating_maps, write_rating_scores
from ..emotion_encoding import fit_rating_encoding
from ..emotion_participant import attempt, read_cleaned, score_layers
from .base import Step, StepInputSpec, load_content, save_content

LOGGER = logging.getLogger("bids_app.workflows")


class _RatingInputSpec(StepInputSpec):
    ratings = traits.Any(mandatory=True, nohash=True, desc="RatingSet")
    ratings_sha256 = traits.Str(mandatory=True, desc="checksum of the ratings used")
    scales = traits.List(traits.Str, mandatory=True)


class _GlmInputSpec(_RatingInputSpec):
    participant = traits.Str(mandatory=True)
    runs = traits.List(traits.Any, mandatory=True, desc="BoldRun records")
    files = InputMultiObject(File(exists=True), desc="files behind the runs, for their content")
    space = traits.Str(mandatory=True, desc="mesh")
    cortex_mask = traits.List(File(exists=True), desc="left and right, or both in one")
    confounds = traits.Str(mandatory=True, desc="strategy")
    high_pass = traits.Float(mandatory=True, desc="cutoff in seconds")
    smoothing = traits.Float(mandatory=True, desc="mm")
    hrf = traits.Str(mandatory=True)
    delays = traits.Tuple(traits.Float, traits.Float, desc="seconds, for fir")


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
            scales=inputs.scales,
            confounds=inputs.confounds,
            high_pass=inputs.high_pass,
            smoothing=inputs.smoothing,
            mesh=load_mesh(inputs.space),
            cortex_mask=[Path(path) for path in inputs.cortex_mask],
            hrf=inputs.hrf,
            delays=inputs.delays,
        )
        return {"maps_file": save_content(folder, "maps", outcome)}


class _RidgeInputSpec(_RatingInputSpec):
    participant = traits.Str(mandatory=True)
    output_dir = traits.Str(mandatory=True)
    response_files = traits.List(traits.Str, desc="cleaned responses, where this call writes them")
    space = traits.Str(mandatory=True, desc="mesh")
    crop = traits.Float(mandatory=True, desc="seconds")
    alphas = traits.List(traits.Float, mandatory=True)
    selection = traits.Str(mandatory=True)
    null = traits.Str(mandatory=True)
    high_pass = traits.Float(mandatory=True, desc="seconds")
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _RidgeOutputSpec(TraitedSpec):
    accuracy_file = File(exists=True)


class PredictFromRatings(Step):
    """Responses predicted from past and from future ratings, of one participant."""

    input_spec = _RidgeInputSpec
    output_spec = _RidgeOutputSpec
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
            n_threads=inputs.n_threads,
        )
        return {"accuracy_file": save_content(folder, "accuracy", outcome)}


class _ScoresInputSpec(_RatingInputSpec):
    grams_dir = traits.Directory(exists=True, mandatory=True)
    jobs = traits.List(traits.Any, mandatory=True, desc="ScoreJob records")
    crop = traits.Float(mandatory=True, desc="seconds")
    alphas = traits.List(traits.Float, mandatory=True)
    selection = traits.Str(mandatory=True)
    null = traits.Str(mandatory=True)
    n_threads = traits.Int(1, usedefault=True, nohash=True)


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


class _WrittenOutputSpec(TraitedSpec):
    files = traits.List(traits.Str)


class _WriteMapsInputSpec(StepInputSpec):
    output_dir = traits.Str(mandatory=True)
    record = traits.Any(mandatory=True, desc="ParticipantRecord")
    maps_file = File(exists=True, mandatory=True)
    accuracy_file = File(exists=True, mandatory=True)


class WriteRatingMaps(Step):
    """Maps of ratings and brain in the output folder."""

    input_spec = _WriteMapsInputSpec
    output_spec = _WrittenOutputSpec
    _always_run = True  # the outputs may be gone although the work directory is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        written = write_rating_maps(
            OutputTree(Path(inputs.output_dir)),
            inputs.record,
            *load_content(inputs.maps_file),
            *load_content(inputs.accuracy_file),
        )
        return {"files": [str(path) for path in written]}


class _WriteScoresInputSpec(StepInputSpec):
    output_dir = traits.Str(mandatory=True)
    record = traits.Any(mandatory=True, desc="ParticipantRecord")
    scores_file = File(exists=True, mandatory=True)


class WriteRatingScores(Step):
    """Tables of layers and ratings in the output folder."""

    input_spec = _WriteScoresInputSpec
    output_spec = _WrittenOutputSpec
    _always_run = True  # the outputs may be gone although the work directory is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        scores = load_content(inputs.scores_file)[inputs.record.participant]
        tree = OutputTree(Path(inputs.output_dir))
        written = write_rating_scores(tree, inputs.record, scores)
        return {"files": [str(path) for path in written]}
