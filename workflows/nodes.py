"""What the builders of the participant level share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bids_app.workflows.interfaces.participant import DrawReport
from nipype.pipeline import engine as pe

from bids_app.analyses.folder.records import Record, input_files
from bids_app.config import Config
from bids_app.inputs.records import BoldRun, StudyPlan


def cleaning_inputs(runs: Sequence[BoldRun], config: Config) -> dict[str, Any]:
    """Runs of a participant, and how their responses are cleaned."""
    cleaning = config.cleaning
    return {
        "runs": list(runs),
        "files": [str(path) for path in (*input_files(runs), *cleaning.cortex_mask)],
        "cleaning": cleaning,
        "verbosity": config.running.verbosity,
    }


def ridge_inputs(config: Config, n_threads: int) -> dict[str, Any]:
    """How a ridge model is fitted, save its null."""
    return {
        "crop": config.model.crop,
        "alphas": list(config.model.alphas),
        "selection": config.model.selection,
        "n_threads": n_threads,
        "verbosity": config.running.verbosity,
    }


def report_node(plan: StudyPlan, record: Record, config: Config) -> pe.Node:
    """The node that draws a participant's page; it needs the files it shows, and grams_dir."""
    who = record.participant
    return pe.Node(
        DrawReport(
            output_dir=str(config.output_dir),
            participant=who,
            stimuli=sorted(record.stimuli),
            skipped=[(run.label, run.reason) for run in plan.skipped if run.participant == who],
            verbosity=config.running.verbosity,
        ),
        name="report",
    )
