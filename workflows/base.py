"""Run a level: plan, build the workflow, run it, and say what became of everybody."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_app.config import Config, FeatureSpace
from bids_app.features.spaces import check_space, file_of
from bids_app.features.vggish import LAYER_NAMES, resolve_layers
from bids_app.files import read_json, remove_leftovers, sha256_of_file, write_text
from bids_app.inputs.estimate import Estimate, check_memory, estimate_costs
from bids_app.inputs.rating_records import describe
from bids_app.inputs.records import BoldRun, StudyPlan
from bids_app.outputs import OutputTree, write_dataset_files
from bids_app.report import citation_bib, citation_md, write_participant_report
from bids_app.resources import find_weights
from bids_app.status import Status
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.mesh import load_mesh

from .completion import claim, claim_settings, input_files, is_current
from .derivatives import ParticipantRecord
from .emotion_plan import EmotionWork, find_ratings, plan_emotion
from .running import Failure, raise_failure, run_workflow

LOGGER = logging.getLogger("bids_app.workflows")


def run_participant_level(config: Config, plan: StudyPlan, run_id: str) -> Status:
    """Work on every participant of `plan`.

    Parameters
    ----------
    config : Config
    plan : StudyPlan
    run_id : str
        Names this call in logs.

    Returns
    -------
    Status
        One row per participant and per skipped run.
    """
    from .participant import init_participant_level_wf

    tree = OutputTree(config.output_dir)
    costs = costs_of(config, plan)
    check_memory(costs, config.running.memory)
    ratings = find_ratings(config, plan)
    models = [_EncodingModel.of(space, config) for space in config.model.spaces]
    write_descriptions(tree, plan)
    mask = {"cortex_mask": _mask_checksums(config)}
    claim(tree.response_settings, config.response_settings() | mask)
    for model in models:
        claim_settings(tree, model.label, model.settings)
    status = Status(run_id, "participant")
    for skipped in plan.skipped:
        status.add(
            skipped.participant,
            skipped.label,
            "skipped",
            skipped.reason,
            problem=skipped.problem,
        )
        if skipped.problem:
            LOGGER.warning("%s is skipped: %s", skipped.label, skipped.reason)
    records = {p: [_record(plan, p, model) for model in models] for p in plan.participants}
    work = plan_emotion(
        tree, config, ratings, {model.label: model.settings for model in models}, records, plan
    )
    _tell(status, work)
    jobs, pending = [], []
    for participant, own in records.items():
        open_records = [record for record in own if not is_current(tree, record)]
        if open_records:
            jobs.append(open_records)
        if open_records or work.records(participant):
            pending.append([*open_records, *work.records(participant)])
        else:
            status.add(participant, "", "done", "already there, with these settings and inputs")
            LOGGER.info("sub-%s: already done", participant)
    if pending:
        workflow = init_participant_level_wf(
            plan,
            jobs,
            config=config,
            weights={model.label: model.weights for model in models},
            work=work,
            n_threads=config.running.n_threads(len(pending)),
            costs=costs,
        )
        failures = run_workflow(workflow, config, run_id)
        _judge(status, tree, pending, failures)
    _tell_left_out(status, tree, work)
    status.write(tree.status(run_id))
    return status


def costs_of(config: Config, plan: StudyPlan) -> Estimate:
    """What the plan takes with these settings."""
    return estimate_costs(
        plan,
        space=config.responses.space,
        hop=config.model.hop,
        n_procs=config.running.n_procs,
    )


def write_descriptions(tree: OutputTree, plan: StudyPlan) -> None:
    """Dataset description, ignore file, README and citations."""
    write_dataset_files(tree, sources=_source_datasets(plan), authors=_authors(plan))
    remove_leftovers(tree.root)
    write_text(tree.root / "CITATION.md", citation_md())
    write_text(tree.root / "CITATION.bib", citation_bib())


def _tell(status: Status, work: EmotionWork) -> None:
    """Say what is done with ratings, and with whose not."""
    if work.study.reason:
        status.notes.append(f"ratings: {work.study.reason}")
        LOGGER.info("ratings: nothing is done: %s", work.study.reason)
        return
    LOGGER.info("ratings: %s (%s)", ", ".join(work.study.scales), work.study.source)
    warnings = [
        f"{describe(r.participant, r.stimulus, r.scale)}: {warning}"
        for r in work.study.ratings.ratings
        for warning in r.warnings
    ]
    for warning in (*work.study.ratings.warnings, *warnings):
        LOGGER.warning("ratings: %s", warning)
        status.notes.append(f"ratings: {warning}")
    for participant, reason in work.left_out.items():
        LOGGER.warning("sub-%s: nothing is done with ratings: %s", participant, reason)
        status.add(participant, "ratings", "skipped", reason)


def _tell_left_out(status: Status, tree: OutputTree, work: EmotionWork) -> None:
    """One row per analysis that a participant's ratings did not allow."""
    for record in work.planned:
        path = tree.participant_settings(record.participant, record.model, record.desc)
        if path.exists():
            for analysis, reason in read_json(path)["LeftOut"].items():
                status.add(record.participant, analysis, "skipped", reason)


def _source_datasets(plan: StudyPlan) -> list[dict[str, str]]:
    return [{"Name": name, "URL": path.resolve().as_uri()} for name, path in plan.dataset_links]


def _authors(plan: StudyPlan) -> list[str]:
    """Authors of the first source dataset that names any."""
    for folder in (plan.raw_dir, *plan.derivatives):
        description = None if folder is None else folder / "dataset_description.json"
        if description is not None and description.is_file():
            authors = read_json(description).get("Authors")
            if isinstance(authors, list) and authors:
                return [str(author) for author in authors]
    return []


@dataclass(frozen=True)
class _EncodingModel:
    """A feature space with the weights behind it and the settings of its maps."""

    space: FeatureSpace
    weights: str
    settings: dict[str, Any]
    save_weights: tuple[str, ...] = ()
    mask: tuple[Path, ...] = ()

    @property
    def label(self) -> str:
        return self.space.label

    @classmethod
    def of(cls, space: FeatureSpace, config: Config) -> _EncodingModel:
        check_space(space.features)
        weights = find_weights(config.model.weights) if space.is_network else ""
        layers = resolve_layers(config.model.layers or None) if space.is_network else ()
        settings = config.participant_settings(
            _weights_checksum(weights) if weights else "", space.features
        )
        own = {
            "cortex_mask": _mask_checksums(config),
            "layers": [LAYER_NAMES[n - 1] for n in layers] if config.model.layers else [],
        }
        model = config.model
        return cls(space, weights, settings | own, model.save_weights, model.weights_mask)

    @property
    def weights_asked(self) -> dict[str, str]:
        """What is to be saved of the weights: asking for others means doing it again."""
        if not self.save_weights:
            return {}
        return {"save_weights": " ".join([*self.save_weights, *map(sha256_of_file, self.mask)])}

    def files(self, stimuli: Sequence[str]) -> list[Path]:
        """Files of precomputed features of these stimuli."""
        found = {file_of(self.space.features, label) for label in stimuli}
        return sorted(path for path in found if path is not None)

    @property
    def description(self) -> dict[str, Any]:
        """What sidecars say of the features."""
        if not self.weights:
            return {"Features": self.settings["features"], "Untrained": False}
        untrained = self.weights.startswith("random:")
        return {
            "Features": self.settings["features"],
            "Network": "VGGish",
            "Weights": self.weights if untrained else Path(self.weights).name,
            "WeightsSHA256": self.settings["weights_sha256"],
            "Untrained": untrained,
        }


def _weights_checksum(weights: str) -> str:
    if weights.startswith("random:"):
        return weights
    return sha256_of_file(Path(weights))


def _mask_checksums(config: Config) -> list[str]:
    """The mask counts by content; one that cannot be used is told before work begins."""
    files = config.responses.cortex_mask
    if files:
        read_cortex_mask(files, load_mesh(config.responses.space).n_vertices)
    return [sha256_of_file(path) for path in files]


def _record(plan: StudyPlan, participant: str, model: _EncodingModel) -> ParticipantRecord:
    runs = [run for run in plan.runs if run.participant == participant]
    heard = {p.stimulus for run in runs for p in run.presentations}
    return ParticipantRecord(
        participant=participant,
        model=model.label,
        settings=model.settings,
        sources=sorted({source for run in runs for source in run.sources}),
        inputs={
            path.name: sha256_of_file(path)
            for path in (*input_files(runs), *model.files(sorted(heard)))
        }
        | {"plan": _timing_checksum(runs), **model.weights_asked},
        stimuli={s.label: s.sha256 for s in plan.stimuli if s.label in heard},
        features=model.description,
    )


def _timing_checksum(runs: Sequence[BoldRun]) -> str:
    """Checksum of what decides about alignment in time but is in no file named in the runs."""
    timing = [(r.label, r.tr, r.start_time, r.n_dummy, r.presentations) for r in runs]
    return hashlib.sha256(repr(timing).encode()).hexdigest()


def _judge(
    status: Status,
    tree: OutputTree,
    jobs: Sequence[Sequence[ParticipantRecord]],
    failures: list[Failure],
) -> None:
    """One row per participant worked on.

    Raises
    ------
    MusencError
        If the stimulus side failed: no participant could be worked on, and the cause is one.
    """
    for failure in failures:
        if failure.node.split(".")[-1].startswith(("features_", "loudness", "rating_scores_")):
            raise_failure(failure)
    for records in jobs:
        record = records[0]
        own = [f for f in failures if f".sub_{record.participant}_wf." in f"{f.node}."]
        if own:
            reason = f"{own[0].text} (crash file: {own[0].crash_file})"
        elif not all(is_current(tree, each) for each in records):
            reason = "the work stopped before its maps were complete"
        else:
            status.add(record.participant, "", "done")
            continue
        LOGGER.error("sub-%s failed: %s", record.participant, reason)
        status.add(record.participant, "", "failed", reason)
        rows = [row for row in status.rows if row.participant == record.participant]
        write_participant_report(
            tree.root,
            record.participant,
            status_rows=rows,
            crash_files=[failure.crash_file for failure in own],
        )
