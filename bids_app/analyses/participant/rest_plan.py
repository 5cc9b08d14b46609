"""Plan of the resting runs to clean; all problems are reported before computing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bids_app.analyses.folder.records import Record, inputs_of, sources_of, sources_of_run
from bids_app.analyses.participant.plan import mask_record
from bids_app.config import Cleaning, Config
from bids_app.errors import InvalidInputError, UsageError
from bids_app.inputs.denoised import effective_cleaning
from bids_app.inputs.records import BoldRun, StudyPlan
from bids_app.outputs import REST_DESC
from bids_app.plain import some_of


@dataclass(frozen=True)
class RestPlan:
    """Resting runs of a study.

    Attributes
    ----------
    study : StudyPlan
        The runs; those of the task that cannot be used are skipped.
    cleaning : Cleaning
        What is still to be done to them.
    settings : mapping
        That change them.
    left_out : mapping from participant to str
        Who has none, and why.
    """

    study: StudyPlan
    cleaning: Cleaning
    settings: Mapping[str, Any]
    left_out: Mapping[str, str]

    @property
    def participants(self) -> tuple[str, ...]:
        """Labels of those who have resting runs."""
        return self.study.participants

    def runs_of(self, participant: str) -> list[BoldRun]:
        """Resting runs of a participant."""
        return [run for run in self.study.runs if run.participant == participant]

    def record(self, participant: str) -> Record:
        """What a participant's cleaned resting runs rest on."""
        runs = self.runs_of(participant)
        return Record(
            participant=participant,
            model="",
            settings=dict(self.settings),
            sources=sources_of(self.study, runs),
            inputs=inputs_of(runs),
            desc=REST_DESC,
            run_sources={run.label: sources_of_run(self.study, run) for run in runs},
        )


def plan_rest(config: Config, study: StudyPlan, with_music: Collection[str] = ()) -> RestPlan:
    """Tell participants without resting runs, and refuse what are none.

    Parameters
    ----------
    config : Config
    study : StudyPlan
        Of the runs of ``--rest-task``, made without regard to music.
    with_music : collection of str
        Labels of runs in which music was heard.

    Raises
    ------
    UsageError
        If music was heard in a run.
    InvalidInputError
        If series are those of regions.
    """
    task = config.selection.rest_task
    heard = sorted({run.label for run in study.runs} & set(with_music))
    if heard:
        raise UsageError(
            "Music was heard in the runs that should be resting ones.",
            where=f"--rest-task {task}",
            found=some_of(heard),
            wanted="a task without music",
            remedy="name the task of the resting runs",
        )
    regions = [run.label for run in study.runs if run.kind == "parcels"]
    if regions:
        raise InvalidInputError(
            "Resting runs are series of regions.",
            where=f"--rest-task {task}",
            found=some_of(regions),
            wanted="series of vertices, which a gradient is made of",
            remedy="leave --rest-task out, or add surface BOLD to the derivatives",
        )
    nobody = [run for run in study.skipped if not (run.run_label or run.problem)]
    cleaning = effective_cleaning(config.cleaning, study.runs)
    settings = replace(config, cleaning=cleaning).rest_settings()
    return RestPlan(
        replace(study, skipped=tuple(run for run in study.skipped if run not in nobody)),
        cleaning,
        settings | {"cortex_mask": mask_record(config)},
        {run.participant: f"no resting run (task-{task})" for run in nobody},
    )


def without_rest(plan: StudyPlan, rest: RestPlan | None) -> StudyPlan:
    """The plan of the music, in which resting runs that are used are not among the skipped."""
    if rest is None:
        return plan
    known = {run.label for run in rest.study.runs}
    known |= {run.label for run in rest.study.skipped if run.run_label}
    return replace(plan, skipped=tuple(r for r in plan.skipped if r.label not in known))
