"""Steps of the analyses of conditions."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from bids_app.outputs import OutputTree
from bids_app.report import write_participant_report

from ..condition_derivatives import write_conditions
from ..condition_results import analyze_conditions
from .base import Step, StepInputSpec

LOGGER = logging.getLogger("bids_app.workflows")


class _FitInputSpec(StepInputSpec):
    runs = traits.List(traits.Any, mandatory=True, desc="BoldRun records")
    conditions = traits.Dict(mandatory=True, desc="run label to Conditions")
    files = InputMultiObject(File(exists=True), desc="files behind the runs, for their content")
    contrasts = traits.Dict(mandatory=True, desc="label to contrast")
    seed = traits.Any(desc="SeedRegion or None")
    target = traits.Any(desc="SeedRegion or None")
    max_lag = traits.Float(mandatory=True, desc="seconds")
    space = traits.Str(mandatory=True, desc="mesh")
    cortex_mask = traits.List(File(exists=True), desc="left and right, or both in one")
    confounds = traits.Str(mandatory=True, desc="strategy")
    high_pass = traits.Float(mandatory=True, desc="cutoff in seconds")
    smoothing = traits.Float(mandatory=True, desc="mm")


class _FitOutputSpec(TraitedSpec):
    results_file = File(exists=True)


class FitConditions(Step):
    """Contrasts, interactions with a seed and lagged correlations of one participant."""

    input_spec = _FitInputSpec
    output_spec = _FitOutputSpec

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        LOGGER.info("sub-%s: conditions of %d runs", inputs.runs[0].participant, len(inputs.runs))
        results = analyze_conditions(
            inputs.runs,
            inputs.conditions,
            inputs.contrasts,
            seed=inputs.seed,
            target=inputs.target,
            max_lag=inputs.max_lag,
            space=inputs.space,
            cortex_mask=[Path(path) for path in inputs.cortex_mask],
            confounds=inputs.confounds,
            high_pass=inputs.high_pass,
            smoothing=inputs.smoothing,
        )
        path = Path(folder) / "conditions.pkl"
        path.write_bytes(pickle.dumps(results, protocol=5))
        return {"results_file": str(path)}


class _WriteInputSpec(StepInputSpec):
    output_dir = traits.Str(mandatory=True)
    record = traits.Any(mandatory=True, desc="ConditionRecord")
    results_file = File(exists=True, mandatory=True)


class _WriteOutputSpec(TraitedSpec):
    files = traits.List(traits.Str)


class WriteConditions(Step):
    """A participant's maps and tables of conditions, and the page."""

    input_spec = _WriteInputSpec
    output_spec = _WriteOutputSpec
    _always_run = True  # the outputs may be gone although the work directory is kept

    def _run_step(self, inputs: Any, folder: str) -> dict[str, Any]:
        output_dir, record = Path(inputs.output_dir), inputs.record
        results = pickle.loads(Path(inputs.results_file).read_bytes())
        files = write_conditions(OutputTree(output_dir), record, results)
        LOGGER.info("sub-%s: %d files of conditions written", record.participant, len(files))
        files.append(write_participant_report(output_dir, record.participant))
        return {"files": [str(path) for path in files]}
