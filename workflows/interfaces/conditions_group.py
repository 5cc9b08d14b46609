"""Steps of the group level of conditions."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from bids_app.outputs import OutputTree
from bids_app.report import write_group_report

from ..condition_inference import Outcome, infer_maps
from ..condition_lags import finish_group, infer_lags
from .base import Step, StepInputSpec

LOGGER = logging.getLogger("bids_app.workflows")


class _InferInputSpec(StepInputSpec):
    output_dir = traits.Str(mandatory=True)
    group = traits.Any(mandatory=True, desc="ConditionGroup")
    label = traits.Str(mandatory=True, desc="contrast in file names")
    contrast = traits.Str(mandatory=True)
    files = InputMultiObject(File(exists=True), desc="settings files, for their content")


class _MapsInputSpec(_InferInputSpec):
    desc = traits.Str(mandatory=True, desc="which maps: nothing, or ppi")


class _InferOutputSpec(TraitedSpec):
    outcome_file = File(exists=True)


def _save(folder: str, outcome: Outcome) -> dict[str, Any]:
    path = Path(folder) / "outcome.pkl"
    path.write_bytes(pickle.dumps(outcome, protocol=5))
    return {"outcome_file": str(path)}


class InferConditionMaps(Step):
    """Group maps of a contrast or interaction, and their regression on the ratings."""

    input_spec = _MapsInputSpec
    output_spec = _InferOutputSpec
    _always_run = True  # the outputs may be gone although the work directory is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("group: %s %s", inputs.contrast, inputs.desc or "contrast")
        tree = OutputTree(Path(inputs.output_dir))
        return _save(
            folder, infer_maps(tree, inputs.group, inputs.label, inputs.contrast, inputs.desc)
        )


class InferConditionLags(Step):
    """Lagged correlations of seed and target over participants."""

    input_spec = _InferInputSpec
    output_spec = _InferOutputSpec
    _always_run = True

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("group: %s, lagged correlation", inputs.contrast)
        tree = OutputTree(Path(inputs.output_dir))
        return _save(folder, infer_lags(tree, inputs.group, inputs.label, inputs.contrast))


class _FinishInputSpec(StepInputSpec):
    output_dir = traits.Str(mandatory=True)
    group = traits.Any(mandatory=True, desc="ConditionGroup")
    settings = traits.Dict(mandatory=True)
    outcome_files = traits.List(File(exists=True), mandatory=True)


class _FinishOutputSpec(TraitedSpec):
    files = traits.List(traits.Str)


class FinishConditions(Step):
    """Tables of all tests, and the page."""

    input_spec = _FinishInputSpec
    output_spec = _FinishOutputSpec
    _always_run = True

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        output_dir = Path(inputs.output_dir)
        outcomes = [pickle.loads(Path(path).read_bytes()) for path in inputs.outcome_files]
        files = finish_group(OutputTree(output_dir), inputs.group, outcomes, inputs.settings)
        LOGGER.info("group: %d files of conditions written", len(files))
        files.append(write_group_report(output_dir))
        return {"files": [str(path) for path in files]}
