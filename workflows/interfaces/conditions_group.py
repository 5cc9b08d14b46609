"""Steps of the group level of conditions."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bids_app.workflows.interfaces.base import (
    OutputDirInputSpec,
    Step,
    WritingStep,
    load_content,
    save_content,
)
from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from bids_app.analyses.conditions.group import infer_maps
from bids_app.analyses.conditions.group_lags import finish_group, infer_lags
from bids_app.outputs import OutputTree
from bids_app.report import write_group_report

LOGGER = logging.getLogger("bids_app.workflows")


class _GroupInputSpec(OutputDirInputSpec):
    group = traits.Any(mandatory=True, desc="ConditionGroup")


class _InferInputSpec(_GroupInputSpec):
    label = traits.Str(mandatory=True, desc="contrast in file names")
    contrast = traits.Str(mandatory=True)
    files = InputMultiObject(File(exists=True), desc="settings files, for their content")


class _MapsInputSpec(_InferInputSpec):
    desc = traits.Str(mandatory=True, desc="which maps: nothing, or ppi")


class _InferOutputSpec(TraitedSpec):
    outcome_file = File(exists=True)


class InferConditionMaps(Step):
    """Group maps of a contrast or interaction, and their regression on the ratings."""

    input_spec = _MapsInputSpec
    output_spec = _InferOutputSpec
    _always_run = True  # the outputs may be gone although the work directory is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("group: %s %s", inputs.contrast, inputs.desc or "contrast")
        tree = OutputTree(Path(inputs.output_dir))
        outcome = infer_maps(tree, inputs.group, inputs.label, inputs.contrast, inputs.desc)
        return {"outcome_file": save_content(folder, "outcome", outcome)}


class InferConditionLags(Step):
    """Lagged correlations of seed and target over participants."""

    input_spec = _InferInputSpec
    output_spec = _InferOutputSpec
    _always_run = True

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("group: %s, lagged correlation", inputs.contrast)
        tree = OutputTree(Path(inputs.output_dir))
        outcome = infer_lags(tree, inputs.group, inputs.label, inputs.contrast)
        return {"outcome_file": save_content(folder, "outcome", outcome)}


class _FinishInputSpec(_GroupInputSpec):
    settings = traits.Dict(mandatory=True)
    outcome_files = traits.List(File(exists=True), mandatory=True)


class FinishConditions(WritingStep):
    """Tables of all tests, and the page."""

    input_spec = _FinishInputSpec

    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        outcomes = [load_content(path) for path in inputs.outcome_files]
        files = finish_group(tree, inputs.group, outcomes, inputs.settings)
        LOGGER.info("group: %d files of conditions written", len(files))
        return [*files, write_group_report(tree.root)]
