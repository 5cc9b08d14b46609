"""Steps of the group level."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bids_app.workflows.interfaces.base import (
    OutputDirInputSpec,
    Step,
    StepInputSpec,
    WritingStep,
    load_content,
    save_content,
)
from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from bids_app.analyses.group.accuracy import group_accuracy, group_preference
from bids_app.analyses.group.alignment import align, load_gradient
from bids_app.analyses.group.collect import load_fold_maps, load_group
from bids_app.analyses.group.isc import group_isc
from bids_app.analyses.group.music_null import group_music_null
from bids_app.analyses.group.parcels import summarize_atlas
from bids_app.analyses.group.write import write_group
from bids_app.analyses.participant.preference import preference_missing
from bids_app.outputs import OutputTree
from bids_app.report import write_group_report
from bids_app.surface.atlas import read_atlas

LOGGER = logging.getLogger("bids_app.workflows")


class _DataInputSpec(StepInputSpec):
    data_file = File(exists=True, mandatory=True)


class _TestedInputSpec(_DataInputSpec):
    accuracy_file = File(exists=True, mandatory=True)
    preference_file = File(exists=True, mandatory=True)


class _AggregateInputSpec(OutputDirInputSpec):
    model = traits.Str(mandatory=True, desc="model label")
    participants = traits.List(traits.Str, mandatory=True)
    files = InputMultiObject(File(exists=True), desc="settings files, for their content")


class _DataOutputSpec(TraitedSpec):
    data_file = File(exists=True)


class AggregateParticipants(Step):
    """Accuracy maps of all participants."""

    input_spec = _AggregateInputSpec
    output_spec = _DataOutputSpec
    _always_run = True  # maps may have changed behind the same settings

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("group: reading %d participants", len(inputs.participants))
        data = load_group(OutputTree(Path(inputs.output_dir)), inputs.model, inputs.participants)
        return {"data_file": save_content(folder, "data", data)}


class _AccuracyInputSpec(OutputDirInputSpec, _DataInputSpec):
    atlas = traits.Str("", usedefault=True, desc="names the peaks of clusters")
    files = InputMultiObject(File(exists=True), desc="files of the atlas, for their content")
    n_permutations = traits.Int(mandatory=True)
    seed = traits.Int(mandatory=True)
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _AccuracyOutputSpec(TraitedSpec):
    accuracy_file = File(exists=True)
    preference_file = File(exists=True)


class InferAccuracy(Step):
    """Group accuracy and layer preference."""

    input_spec = _AccuracyInputSpec
    output_spec = _AccuracyOutputSpec

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("group: accuracy and layer preference")
        data = load_content(inputs.data_file)
        options = {
            "n_permutations": inputs.n_permutations,
            "seed": inputs.seed,
            "n_threads": inputs.n_threads,
        }
        n_vertices = data.r.shape[2]
        atlas = read_atlas(inputs.atlas, n_vertices) if inputs.atlas else None
        accuracy = group_accuracy(data, atlas=atlas, **options)
        fold_r = load_fold_maps(OutputTree(Path(inputs.output_dir)), data, "r")
        return {
            "accuracy_file": save_content(folder, "accuracy", accuracy),
            "preference_file": save_content(
                folder, "preference", group_preference(data, fold_r, accuracy, **options)
            ),
        }


class _AlignmentInputSpec(_TestedInputSpec):
    gradients = traits.List(traits.Str, mandatory=True)
    n_spins = traits.Int(mandatory=True)
    method = traits.Enum("spearman", "pearson", usedefault=True)
    seed = traits.Int(mandatory=True)
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _AlignmentOutputSpec(TraitedSpec):
    alignment_file = File(exists=True)


class AlignWithGradients(Step):
    """Alignment of layer preference with every gradient."""

    input_spec = _AlignmentInputSpec
    output_spec = _AlignmentOutputSpec
    _always_run = True  # the gradient file may have changed under the same name

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        data = load_content(inputs.data_file)
        accuracy, preference = map(load_content, (inputs.accuracy_file, inputs.preference_file))
        if preference is None:
            reason = preference_missing(len(data.layer_names))
            LOGGER.info("group: model-%s is not aligned with a gradient: %s", data.model, reason)
            return {"alignment_file": save_content(folder, "alignment", [])}
        aligned = []
        for option in inputs.gradients:
            LOGGER.info("group: alignment with %s, %d rotations", option, inputs.n_spins)
            gradient = load_gradient(option, data.space)
            report = align(
                data,
                accuracy,
                preference,
                gradient.values,
                n_spins=inputs.n_spins,
                method=inputs.method,
                seed=inputs.seed,
                n_threads=inputs.n_threads,
            )
            LOGGER.info("group: %s", report.statement)
            aligned.append((gradient, report))
        return {"alignment_file": save_content(folder, "alignment", aligned)}


class _IscInputSpec(OutputDirInputSpec, _DataInputSpec):
    seed = traits.Int(mandatory=True)


class _IscOutputSpec(TraitedSpec):
    isc_file = File(exists=True)


class CorrelateParticipants(Step):
    """Inter-subject correlation of the cleaned responses."""

    input_spec = _IscInputSpec
    output_spec = _IscOutputSpec
    _always_run = True  # what it reads from folders may have come since

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("group: inter-subject correlation")
        data = load_content(inputs.data_file)
        outcome = group_isc(
            OutputTree(Path(inputs.output_dir)),
            data.participants,
            data.stimuli,
            Path(folder),
            space=data.space,
            seed=inputs.seed,
        )
        for reason in outcome.reasons:
            LOGGER.warning("group: left out of the inter-subject correlation: %s", reason)
        return {"isc_file": save_content(folder, "isc", outcome)}


class _MusicInputSpec(OutputDirInputSpec, _DataInputSpec):
    seed = traits.Int(mandatory=True)
    cache_dir = traits.Str(mandatory=True, nohash=True)
    accuracy_file = File(exists=True, mandatory=True)
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _MusicOutputSpec(TraitedSpec):
    music_file = File(exists=True)


class InferOverMusic(Step):
    """Null of the group accuracy over music."""

    input_spec = _MusicInputSpec
    output_spec = _MusicOutputSpec
    _always_run = True  # what it reads from folders may have come since

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("group: null over music")
        outcome = group_music_null(
            OutputTree(Path(inputs.output_dir)),
            load_content(inputs.data_file),
            load_content(inputs.accuracy_file).mean_r,
            Path(inputs.cache_dir),
            Path(folder),
            seed=inputs.seed,
            n_threads=inputs.n_threads,
        )
        for reason in outcome.reasons:
            LOGGER.warning("group: no null over music: %s", reason)
        return {"music_file": save_content(folder, "music", outcome)}


class _AtlasInputSpec(_TestedInputSpec):
    atlases = traits.List(traits.Str)
    n_permutations = traits.Int(mandatory=True)
    seed = traits.Int(mandatory=True)


class _AtlasOutputSpec(TraitedSpec):
    atlases_file = File(exists=True)


class SummarizeAtlases(Step):
    """Accuracy and preference per region of every atlas."""

    input_spec = _AtlasInputSpec
    output_spec = _AtlasOutputSpec
    _always_run = True  # an atlas file may have changed under the same name

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        data = load_content(inputs.data_file)
        summaries = [
            summarize_atlas(
                data,
                load_content(inputs.accuracy_file),
                load_content(inputs.preference_file),
                read_atlas(option, data.r.shape[2]),
                n_permutations=inputs.n_permutations,
                seed=inputs.seed,
            )
            for option in inputs.atlases or []
        ]
        return {"atlases_file": save_content(folder, "atlases", summaries)}


class _WriteInputSpec(OutputDirInputSpec, _TestedInputSpec):
    settings = traits.Dict(mandatory=True)
    alignment_file = File(exists=True, mandatory=True)
    isc_file = File(exists=True, mandatory=True)
    music_file = File(exists=True, mandatory=True)
    atlases_file = File(exists=True, mandatory=True)
    rating_files = traits.List(traits.Str, desc="what ratings say, for the page")


class WriteGroup(WritingStep):
    """Group maps, tables and report."""

    input_spec = _WriteInputSpec

    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        files = write_group(
            tree,
            load_content(inputs.data_file),
            load_content(inputs.accuracy_file),
            load_content(inputs.preference_file),
            load_content(inputs.alignment_file),
            load_content(inputs.isc_file),
            load_content(inputs.music_file),
            load_content(inputs.atlases_file),
            inputs.settings,
        )
        LOGGER.info("group: %d files written, drawing the report", len(files))
        return [*files, write_group_report(tree.root)]
