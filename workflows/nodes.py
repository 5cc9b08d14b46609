"""What the builders of the participant level share."""

from __future__ import annotations

from nipype.pipeline import engine as pe

from bids_app.config import Config
from bids_app.inputs.records import StudyPlan

from .derivatives import ParticipantRecord
from .interfaces.participant import DrawReport


def report_node(plan: StudyPlan, record: ParticipantRecord, config: Config) -> pe.Node:
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
