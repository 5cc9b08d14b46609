"""Builder of the participant level; it only wires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bids_app.workflows.steps import connect_all, connect_by_name, step
from nipype.pipeline import engine as pe

from bids_app.analyses.conditions.participant import analyze_conditions, contrast_voxels
from bids_app.analyses.conditions.plan import ConditionPlan
from bids_app.analyses.conditions.write import write_conditions
from bids_app.analyses.folder.records import Record
from bids_app.analyses.page import draw_page
from bids_app.analyses.participant.joint import fit_joint_models, write_joint_models
from bids_app.analyses.participant.joint_models import JointModel, JointWork
from bids_app.analyses.participant.lag_maps import compute_courses, scan_lags, write_lag_scan
from bids_app.analyses.participant.lag_plan import LagJob, LagWork
from bids_app.analyses.participant.lags import read_loudness
from bids_app.analyses.participant.plan import EncodingModel
from bids_app.analyses.participant.repeats import heard_repeatedly
from bids_app.analyses.participant.rest_plan import RestPlan
from bids_app.analyses.participant.rest_runs import clean_rest, write_rest
from bids_app.analyses.participant.steps import (
    clean_runs,
    compare_presentations,
    compute_features,
    fit_model,
    save_model_weights,
    write_model,
)
from bids_app.analyses.participant.subcortex import fit_subcortex
from bids_app.analyses.participant.write import write_responses
from bids_app.analyses.ratings.participant import (
    predict_from_ratings,
    relate_ratings,
    relate_voxels,
    score_jobs,
    score_layers,
)
from bids_app.analyses.ratings.plan import RatingWork
from bids_app.analyses.ratings.write import write_rating_maps, write_rating_scores
from bids_app.config import Config
from bids_app.inputs.estimate import Estimate, score_memory
from bids_app.inputs.records import BoldRun, StudyPlan
from bids_app.outputs import CONDITIONS_LABEL, REST_DESC, OutputTree


@dataclass(frozen=True)
class Music:
    """What is to be done about music.

    Attributes
    ----------
    plan : StudyPlan
        Runs and stimuli.
    models : mapping from label to EncodingModel
    jobs : mapping from participant to list of Record
        Models to fit.
    ratings : RatingWork
        What is to be done with ratings.
    joint : JointWork
        What is to be done about joint models.
    lags : LagWork
        What is to be done about lag scans.
    """

    plan: StudyPlan
    models: Mapping[str, EncodingModel]
    jobs: Mapping[str, list[Record]]
    ratings: RatingWork
    joint: JointWork
    lags: LagWork = field(default_factory=LagWork)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do, besides pages."""
        rated = any(map(self.ratings.records, self.plan.participants))
        return not self.jobs and not self.joint.jobs and not self.lags.jobs and not rated

    @property
    def needed(self) -> Mapping[str, EncodingModel]:
        """Models whose features are needed; pages show the music of the first one."""
        return dict(list(self.models.items())[:1]) if self.is_done else self.models


def init_participant_level_wf(
    music: Music | None,
    contrasts: ConditionPlan | None,
    records: Sequence[Record],
    people: Sequence[str],
    *,
    config: Config,
    costs: Estimate,
    n_threads: int,
    rest: RestPlan | None = None,
    rest_records: Sequence[Record] = (),
) -> pe.Workflow:
    """Stimulus side of every model once, then all that is of one participant, and the pages.

    Parameters
    ----------
    music : Music or None
    contrasts : ConditionPlan or None
    records : sequence of Record
        Conditions to work on.
    people : sequence of str
        Whose page is to be drawn.
    config : Config
    costs : Estimate
        Memory that steps may take.
    n_threads : int
        Threads of each participant's encoding.
    rest : RestPlan or None
    rest_records : sequence of Record
        Resting runs to clean.

    Outputs
    -------
    None; the derivatives are in ``config.output_dir``.
    """
    builder = _Builder(config, costs, n_threads)
    study = None if contrasts is None else contrasts.study
    if music is not None:
        study = music.plan
        if not music.is_done or set(people) & set(music.plan.participants):
            builder.add_features(music)
        if not music.is_done:
            for who in dict.fromkeys([*music.jobs, *music.joint.jobs, *music.lags.jobs]):
                builder.add_models(who, music)
            builder.add_ratings(music)
    if contrasts is not None:
        for record in records:
            builder.add_conditions(contrasts, record)
    if rest is not None:
        for record in rest_records:
            builder.add_rest(rest, record)
    if study is not None:
        builder.add_pages(study, people)
    return builder.workflow


class _Builder:
    """Adds steps to the workflow, and remembers what later ones are connected to.

    Parameters
    ----------
    config, costs, n_threads
        As for `init_participant_level_wf`.
    """

    def __init__(self, config: Config, costs: Estimate, n_threads: int) -> None:
        self.config, self.costs, self.n_threads = config, costs, n_threads
        self.workflow = pe.Workflow(name="participant_level_wf")
        self.grams: dict[str, pe.Node] = {}  # by model
        self.features: dict[str, pe.Node] = {}  # by feature space
        self.courses: dict[str, pe.Node] = {}  # by feature whose lags are scanned
        self.sounds: pe.Node | None = None
        self.shared: dict[str, pe.Node] = {}  # who writes a participant's responses
        self.written: dict[str, list[pe.Node]] = {}  # what a participant's page waits for

    def add_features(self, music: Music) -> None:
        """Stimulus side of every model, and loudness."""
        stimuli = [(s.label, s.path) for s in music.plan.stimuli]
        heard = {s.label: s.sha256 for s in music.plan.stimuli}
        wanted = {
            m.space.features: (f"features_{label}", m.space, m.weights, m.settings)
            for label, m in music.needed.items()
        }
        for job, _ in music.joint.open:
            for space, weights in job.spaces:
                name = f"features_joint_{space.label}"
                wanted.setdefault(space.features, (name, space, weights, job.settings))
        for name, space, weights, settings in wanted.values():
            self.features[space.features] = step(
                compute_features,
                self.config,
                name,
                tree=OutputTree(self.config.output_dir),
                stimuli=stimuli,
                space=space,
                weights=weights,
                cache_dir=self.config.cache_dir,
                device=self.config.running.device,
                rests_on=(heard, settings),
                fresh=True,  # the cache may be gone
                blas_threads=None,  # it works alone, before the participants
                n_procs=self.config.running.n_procs,
                mem_gb=self.costs.feature_memory / 1e9,
            )
        for label, model in music.needed.items():
            self.grams[label] = self.features[model.space.features]
        for feature in music.lags.open:
            self.courses[feature.label] = step(
                compute_courses,
                self.config,
                f"course_{feature.label}",
                stimuli=stimuli,
                feature=feature,
                rests_on=(heard, [feature.row.checksum_of_files(*one) for one in stimuli]),
            )
        if music.jobs or music.joint.jobs or music.lags.jobs:
            self.sounds = step(
                read_loudness, self.config, "loudness", stimuli=stimuli, rests_on=heard
            )

    def add_models(self, who: str, music: Music) -> None:
        """Responses -> encoding and derivatives of every model of a participant."""
        records, runs = music.jobs.get(who, []), _runs_of(music.plan, who)
        first = [*records, *music.joint.records(who), *music.lags.records(who)][0]
        # Files count by content: paths in the settings stay while what is behind them changes.
        basis = (first.inputs, first.settings)
        own = {
            "prepared": self._step(clean_runs, who, runs=runs, rests_on=basis),
            "shared": self._writer(write_responses, who, record=first),
        }
        if records and heard_repeatedly([p.stimulus for run in runs for p in run.presentations]):
            durations = {s.label: s.duration for s in music.plan.stimuli}
            own["repeats"] = self._step(compare_presentations, who, durations=durations)
        connect_by_name(self.workflow, own, {"sounds": self.sounds})
        self.shared[who] = own["shared"]
        for record in records:
            label = record.model
            of_model = {
                "fits": self._fitted(fit_model, who, label, record=record),
                "files": self._writer(write_model, who, label, record=record, runs=runs),
            }
            if self.config.model.has_voxels:
                of_model["subcortex"] = self._threaded(
                    fit_subcortex, who, label, record=record, runs=runs, rests_on=basis
                )
            if self.config.model.save_weights:
                of_model["weights_files"] = self._writer(
                    save_model_weights,
                    who,
                    label,
                    record=record,
                    stimuli=[(s.label, s.path) for s in music.plan.stimuli],
                    space=music.models[label].space,
                    weights=music.models[label].weights,
                )
            connect_by_name(self.workflow, of_model, own | {"grams": self.grams[label]})
            self._keep(who, of_model["files"])
        for job, record in music.joint.jobs.get(who, []):
            self.add_joint(who, job, record, own)
        for scan, record in music.lags.jobs.get(who, []):
            self.add_lag_scan(who, scan, record, own, runs)

    def add_joint(self, who: str, job: JointModel, record: Record, own: dict[str, pe.Node]) -> None:
        """A joint model of a participant, or one for each layer of a network."""
        label = f"{job.label}_{job.desc}"
        of_job = {
            "fits": self._fitted(fit_joint_models, who, label, record=record, job=job),
            "files": self._writer(write_joint_models, who, label, record=record, job=job),
        }
        connect_by_name(self.workflow, of_job, own)
        needed = [self.features[space.features] for space, _ in job.spaces]
        connect_all(self.workflow, needed, of_job["fits"], "grams")
        self._keep(who, of_job["files"])

    def add_lag_scan(
        self,
        who: str,
        job: LagJob,
        record: Record,
        own: dict[str, pe.Node],
        runs: Sequence[BoldRun],
    ) -> None:
        """By how many seconds a participant follows a feature."""
        label = f"lags_{job.feature.label}"
        of_job = {
            "maps": self._threaded(scan_lags, who, label, record=record, job=job, runs=runs),
            "files": self._writer(write_lag_scan, who, label, record=record, job=job),
        }
        offered = own | {"courses": self.courses[job.feature.label]}
        connect_by_name(self.workflow, of_job, offered)
        self._keep(who, of_job["files"])

    def add_ratings(self, music: Music) -> None:
        """What ratings say about brain and layers, of all participants."""
        work = music.ratings
        told: dict[str, Any] = {"ratings": work.study.ratings, "scales": work.study.scales}
        for label, records in work.scores.items():
            if not records:
                continue
            scores = step(
                score_layers,
                self.config,
                f"rating_scores_{label}",
                jobs=score_jobs(records, music.plan, work.study, self.config.emotion.rate),
                n_threads=self.config.running.n_procs,
                n_procs=self.config.running.n_procs,
                mem_gb=score_memory(self.costs) / 1e9,
                **told,
            )
            connect_by_name(self.workflow, {"scores": scores}, {"grams": self.grams[label]})
            for record in records:
                write = self._writer(write_rating_scores, record.participant, label, record=record)
                connect_by_name(self.workflow, {"files": write}, {"scores": scores})
                self._keep(record.participant, write)
        for who, record in work.maps.items():
            told |= {"rests_on": (record.inputs, record.settings)}
            own = {
                "maps": self._step(relate_ratings, who, runs=_runs_of(music.plan, who), **told),
                "accuracy": self._threaded(
                    predict_from_ratings,
                    who,
                    tree=OutputTree(self.config.output_dir),
                    participant=who,
                    durations={one.label: one.duration for one in music.plan.stimuli},
                    fresh=True,  # the responses may have changed under the same name
                    **told,
                ),
                "files": self._writer(write_rating_maps, who, record=record),
            }
            if self.config.model.has_voxels:
                runs = _runs_of(music.plan, who)
                own["voxels"] = self._step(relate_voxels, who, runs=runs, **told)
            offered = {"shared": self.shared[who]} if who in self.shared else {}
            connect_by_name(self.workflow, own, offered)
            self._keep(who, own["files"])

    def add_conditions(self, plan: ConditionPlan, record: Record) -> None:
        """Contrasts of conditions of a participant, and their derivatives."""
        who, runs = record.participant, plan.runs_of(record.participant)
        own = {
            "results": self._step(
                analyze_conditions,
                who,
                part=CONDITIONS_LABEL,
                runs=runs,
                conditions={run.label: plan.conditions[run.label] for run in runs},
                contrasts=dict(plan.contrasts),
                seed=plan.seed,
                target=plan.target,
                max_lag=self.config.conditions.max_lag,
                rests_on=(record.inputs, record.settings),
            ),
            "files": self._writer(write_conditions, who, part=CONDITIONS_LABEL, record=record),
        }
        if self.config.model.has_voxels:
            own["voxels"] = self._step(
                contrast_voxels,
                who,
                part=CONDITIONS_LABEL,
                runs=runs,
                conditions={run.label: plan.conditions[run.label] for run in runs},
                contrasts=dict(plan.contrasts),
                rests_on=(record.inputs, record.settings),
            )
        connect_by_name(self.workflow, own)
        self._keep(who, own["files"])

    def add_rest(self, plan: RestPlan, record: Record) -> None:
        """Cleaned resting runs of a participant."""
        who = record.participant
        own = {
            "rest": self._step(
                clean_rest,
                who,
                part=REST_DESC,
                runs=plan.runs_of(who),
                cleaning=plan.cleaning,
                rests_on=(record.inputs, record.settings),
            ),
            "files": self._writer(write_rest, who, part=REST_DESC, record=record),
        }
        connect_by_name(self.workflow, own)
        self._keep(who, own["files"])

    def add_pages(self, study: StudyPlan, people: Sequence[str]) -> None:
        """The page of everybody of whom something is written, or whose page is not whole."""
        first = {"grams": next(iter(self.grams.values()))} if self.grams else {}
        for who in people:
            nodes = self.written.get(who, [])
            heard = {p.stimulus for run in _runs_of(study, who) for p in run.presentations}
            page = self._writer(
                draw_page,
                who,
                participant=who,
                stimuli=sorted(heard),
                skipped=[
                    (run.label, run.reason) for run in study.skipped if run.participant == who
                ],
            )
            connect_by_name(self.workflow, {"page": page}, first)
            if nodes:
                connect_all(self.workflow, nodes, page, "files")

    def _step(self, function: Any, who: str, label: str = "", **values: Any) -> pe.Node:
        """A step for one participant, and for one model where there is a label."""
        name = "_".join(filter(None, (function.__name__, who, label)))
        memory = self.costs.steps.get(function.__name__, self.costs.participant_memory)
        return step(function, self.config, name, who=who, mem_gb=memory / 1e9, **values)

    def _threaded(self, *args: Any, **values: Any) -> pe.Node:
        """A step that works in several threads."""
        return self._step(*args, n_threads=self.n_threads, n_procs=self.n_threads, **values)

    def _fitted(self, *args: Any, **values: Any) -> pe.Node:
        """A step whose products may be done on a GPU."""
        return self._threaded(*args, device=self.config.running.device, **values)

    def _writer(self, *args: Any, **values: Any) -> pe.Node:
        """A step that leaves files in the output folder, which may be gone at the next run."""
        tree = OutputTree(self.config.output_dir)
        return self._step(*args, tree=tree, fresh=True, **values)

    def _keep(self, who: str, node: pe.Node) -> None:
        self.written.setdefault(who, []).append(node)


def _runs_of(plan: StudyPlan, who: str) -> list[BoldRun]:
    return [run for run in plan.runs if run.participant == who]
