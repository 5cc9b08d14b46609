"""Steps of the participant level."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from bids_app.workflows.interfaces.base import (
    CleaningInputSpec,
    OutputDirInputSpec,
    RecordInputSpec,
    RidgeInputSpec,
    Step,
    StepInputSpec,
    WritingStep,
)
from nipype.interfaces.base import File, TraitedSpec, traits

from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.figures import copy_stimulus_figures, draw_stimuli
from bids_app.analyses.participant.lags import load_loudness, read_loudness, save_loudness
from bids_app.analyses.participant.layers import LayerFits, fit_layers
from bids_app.analyses.participant.preference import derive_preference, preference_missing
from bids_app.analyses.participant.responses import load_blocks, prepare_responses, save_blocks
from bids_app.analyses.participant.weights import save_weights
from bids_app.analyses.participant.write import write_participant, write_responses
from bids_app.errors import CannotWriteError
from bids_app.features.cache import FeatureGrams, load_or_compute_grams
from bids_app.features.vggish import resolve_device
from bids_app.outputs import OutputTree
from bids_app.report import write_participant_report
from bids_app.status import StatusRow

LOGGER = logging.getLogger("bids_app.workflows")


class _SoundsInputSpec(StepInputSpec):
    stimuli = traits.List(traits.Tuple(traits.Str, File(exists=True)), desc="label and audio file")


class _SpaceInputSpec(_SoundsInputSpec):
    features = traits.Str(mandatory=True, desc="feature space")
    weights = traits.Str(desc="file of the network's weights, or random:SEED; empty without one")


class _FeaturesInputSpec(_SpaceInputSpec):
    hop = traits.Float(mandatory=True, desc="seconds between patches")
    cache_dir = traits.Str(mandatory=True, nohash=True, desc="folder of the stimulus side")
    device = traits.Str("cpu", usedefault=True, nohash=True, desc="auto, cpu or cuda")


class _FeaturesOutputSpec(TraitedSpec):
    grams_dir = traits.Directory(exists=True, desc="folder of the Gram matrices")


class ComputeFeatures(Step):
    """Gram matrix of every layer over all stimuli, from the cache where it is there."""

    blas_threads = None  # it works alone, before the participants

    input_spec = _FeaturesInputSpec
    output_spec = _FeaturesOutputSpec
    _always_run = True  # the cache may be gone although this node's own result is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        grams = load_or_compute_grams(
            [(label, Path(path)) for label, path in inputs.stimuli],
            inputs.weights or None,
            features=inputs.features,
            hop=inputs.hop,
            cache_dir=Path(inputs.cache_dir),
            device=resolve_device(inputs.device) if inputs.weights else "cpu",
            progress=lambda message: LOGGER.info("features: %s", message),
        )
        try:
            draw_stimuli(grams, [(label, Path(path)) for label, path in inputs.stimuli])
        except CannotWriteError as error:
            LOGGER.warning("the pictures of the stimuli are left out: %s", error)
        return {"grams_dir": str(grams.path)}


class _LoudnessOutputSpec(TraitedSpec):
    loudness_file = File(exists=True)


class MeasureLoudness(Step):
    """Loudness of every stimulus over time, for the check of the onsets."""

    input_spec = _SoundsInputSpec
    output_spec = _LoudnessOutputSpec

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        sounds = read_loudness([(label, Path(path)) for label, path in inputs.stimuli])
        return {"loudness_file": str(save_loudness(Path(folder) / "loudness.npz", sounds))}


class _ResponsesInputSpec(CleaningInputSpec):
    participant = traits.Str(mandatory=True)
    loudness_file = File(exists=True, mandatory=True)
    random_seed = traits.Int(mandatory=True, desc="of the lag check")


class _ResponsesOutputSpec(TraitedSpec):
    blocks_file = File(exists=True)
    notes_file = File(exists=True, desc="summary, lag curves and design")


class PrepareResponses(Step):
    """Cleaned responses of one participant on the clock of the music."""

    input_spec = _ResponsesInputSpec
    output_spec = _ResponsesOutputSpec

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("sub-%s: cleaning %d runs", inputs.participant, len(inputs.runs))
        prepared = prepare_responses(
            inputs.runs,
            inputs.cleaning,
            sounds=load_loudness(Path(inputs.loudness_file)),
            random_seed=inputs.random_seed,
        )
        for row in prepared.summary:
            if row["warnings"]:
                LOGGER.warning("%s: %s", row["run"], row["warnings"])
        notes = {name: getattr(prepared, name) for name in ("summary", "lags", "design")}
        notes_file = Path(folder) / "notes.json"
        notes_file.write_text(json.dumps(notes))
        return {
            "blocks_file": str(save_blocks(Path(folder) / "blocks.npz", prepared.blocks)),
            "notes_file": str(notes_file),
        }


class _EncodingInputSpec(RidgeInputSpec):
    participant = traits.Str(mandatory=True)
    grams_dir = traits.Directory(exists=True, mandatory=True)
    blocks_file = File(exists=True, mandatory=True)
    delays = traits.Tuple(traits.Float, traits.Float, desc="seconds")
    layers = traits.List(traits.Str, desc="names of the layers to fit; empty: all")
    n_nulls = traits.Int(mandatory=True, desc="refits of the phase null")
    seed = traits.Int(mandatory=True)
    high_pass = traits.Float(mandatory=True, desc="seconds")


class _EncodingOutputSpec(TraitedSpec):
    fits_file = File(exists=True)


class FitLayers(Step):
    """Encoding models of all layers of one participant."""

    input_spec = _EncodingInputSpec
    output_spec = _EncodingOutputSpec

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        fits = fit_layers(
            FeatureGrams.load(Path(inputs.grams_dir)),
            load_blocks(Path(inputs.blocks_file)),
            layers=inputs.layers,
            delays=inputs.delays,
            crop=inputs.crop,
            alphas=inputs.alphas,
            selection=inputs.selection,
            null=inputs.null,
            n_nulls=inputs.n_nulls,
            seed=inputs.seed,
            high_pass=inputs.high_pass,
            n_threads=inputs.n_threads,
            progress=lambda layer, n_layers, name: LOGGER.info(
                "sub-%s: encoding layer %d of %d (%s)", inputs.participant, layer, n_layers, name
            ),
        )
        return {"fits_file": str(fits.save(Path(folder) / "fits.npz"))}


class _BlocksInputSpec(RecordInputSpec):
    blocks_file = File(exists=True, mandatory=True)


class _SharedInputSpec(_BlocksInputSpec):
    notes_file = File(exists=True, mandatory=True)


class WriteResponses(WritingStep):
    """Cleaned responses and tables of the runs, which all models share."""

    input_spec = _SharedInputSpec

    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        notes = json.loads(Path(inputs.notes_file).read_text())
        return write_responses(tree, inputs.record, load_blocks(Path(inputs.blocks_file)), **notes)


class _DerivativesInputSpec(_BlocksInputSpec):
    fits_file = File(exists=True, mandatory=True)
    shared_files = traits.List(traits.Str, desc="written for all models")
    weights_files = traits.List(
        traits.Str, usedefault=True, desc="weights, where they were asked for"
    )


class WriteDerivatives(WritingStep):
    """Layer preference, and everything a participant leaves in the output folder."""

    input_spec = _DerivativesInputSpec

    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        record: Record = inputs.record
        fits = LayerFits.load(Path(inputs.fits_file))
        if reason := preference_missing(len(fits.r)):
            LOGGER.info("sub-%s: model-%s: %s", record.participant, record.model, reason)
        written = write_participant(
            tree,
            record,
            fits,
            derive_preference(fits),
            load_blocks(Path(inputs.blocks_file)),
            shared=[Path(path) for path in (*inputs.shared_files, *inputs.weights_files)],
        )
        LOGGER.info(
            "sub-%s: %d files written (model-%s)", record.participant, len(written), record.model
        )
        return written


class _WeightsInputSpec(_BlocksInputSpec, _SpaceInputSpec):
    asked = traits.List(traits.Str, mandatory=True, desc="layers, or all")
    mask = traits.List(File(exists=True), desc="left and right, or both in one; empty: everywhere")
    grams_dir = traits.Directory(exists=True, mandatory=True)
    fits_file = File(exists=True, mandatory=True)


class SaveWeights(WritingStep):
    """Weights of single layers at their units."""

    input_spec = _WeightsInputSpec

    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        record: Record = inputs.record
        LOGGER.info("sub-%s: weights (model-%s)", record.participant, record.model)
        return save_weights(
            tree,
            record,
            inputs.asked,
            FeatureGrams.load(Path(inputs.grams_dir)),
            load_blocks(Path(inputs.blocks_file)),
            LayerFits.load(Path(inputs.fits_file)),
            stimuli={label: Path(path) for label, path in inputs.stimuli},
            features=inputs.features,
            weights=inputs.weights or None,
            mask=[Path(path) for path in inputs.mask],
        )


class _ReportInputSpec(OutputDirInputSpec):
    participant = traits.Str(mandatory=True)
    stimuli = traits.List(traits.Str, mandatory=True, desc="labels of what was heard")
    skipped = traits.List(traits.Tuple(traits.Str, traits.Str), desc="run left out, and why")
    grams_dir = traits.Directory(exists=True, mandatory=True)
    files = traits.List(traits.Str, desc="derivatives the page draws")
    rating_files = traits.List(traits.Str, desc="what ratings say, where this call writes it")


class _ReportOutputSpec(TraitedSpec):
    report_file = File(exists=True)


class DrawReport(Step):
    """The participant's page."""

    input_spec = _ReportInputSpec
    output_spec = _ReportOutputSpec
    _always_run = True  # the page may be gone although the work directory is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("sub-%s: drawing the report", inputs.participant)
        copy_stimulus_figures(
            FeatureGrams.load(Path(inputs.grams_dir)),
            Path(inputs.output_dir),
            inputs.participant,
            inputs.stimuli,
        )
        label = inputs.participant
        rows = [StatusRow(label, run, "skipped", reason) for run, reason in inputs.skipped]
        rows.append(StatusRow(label, "", "done"))
        page = write_participant_report(Path(inputs.output_dir), label, status_rows=rows)
        return {"report_file": str(page)}
