"""Steps of the analyses of conditions."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from bids_app.workflows.interfaces.base import (
    CleaningInputSpec,
    RecordInputSpec,
    Step,
    WritingStep,
    load_content,
    save_content,
)
from nipype.interfaces.base import File, TraitedSpec, traits

from bids_app.analyses.conditions.participant import analyze_conditions
from bids_app.analyses.conditions.write import write_conditions
from bids_app.outputs import OutputTree
from bids_app.report import write_participant_report

LOGGER = logging.getLogger("bids_app.workflows")


class _FitInputSpec(CleaningInputSpec):
    conditions = traits.Dict(mandatory=True, desc="run label to Conditions")
    contrasts = traits.Dict(mandatory=True, desc="label to contrast")
    seed = traits.Any(desc="SeedRegion or None")
    target = traits.Any(desc="SeedRegion or None")
    max_lag = traits.Float(mandatory=True, desc="seconds")


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
            inputs.cleaning,
            seed=inputs.seed,
            target=inputs.target,
            max_lag=inputs.max_lag,
        )
        return {"results_file": save_content(folder, "conditions", results)}


class _WriteInputSpec(RecordInputSpec):
    results_file = File(exists=True, mandatory=True)


class WriteConditions(WritingStep):
    """A participant's maps and tables of conditions, and the page."""

    input_spec = _WriteInputSpec

    def _write(self, inputs: Any, tree: OutputTree) -> list[Path]:
        record = inputs.record
        files = write_conditions(tree, record, load_content(inputs.results_file))
        LOGGER.info("sub-%s: %d files of conditions written", record.participant, len(files))
        return [*files, write_participant_report(tree.root, record.participant)]
