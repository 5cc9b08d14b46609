"""Run a level: plan, build the workflow, run it, and say what became of everybody."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_app.config import Config, FeatureSpace, settings_difference, settings_hash
from bids_app.errors import InvalidInputError
from bids_app.features.spaces import check_space, file_of
from bids_app.features.vggish import LAYER_NAMES, resolve_layers
from bids_app.files import read_json, sha256_of_file, shared_lock, write_json, write_text
from bids_app.inputs.records import BoldRun, StudyPlan
from bids_app.outputs import OutputTree, write_dataset_files
from bids_app.report import citation_bib, citation_md, write_participant_report
from bids_app.resources import find_weights
from bids_app.status import Status
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.mesh import load_mesh

from .derivatives import ParticipantRecord
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
    models = [_EncodingModel.of(space, config) for space in config.model.spaces]
    write_descriptions(tree, plan)
    mask = {"cortex_mask": _mask_checksums(config)}
    _claim(tree.response_settings, config.response_settings() | mask)
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
    jobs = []
    for participant in plan.participants:
        records = [_record(plan, participant, model) for model in models]
        open_records = [record for record in records if not _is_current(tree, record)]
        if open_records:
            jobs.append(open_records)
        else:
            status.add(participant, "", "done", "already there, with these settings and inputs")
            LOGGER.info("sub-%s: already done", participant)
    if jobs:
        workflow = init_participant_level_wf(
            plan,
            jobs,
            config=config,
            weights={model.label: model.weights for model in models},
            n_threads=config.running.n_threads(len(jobs)),
        )
        failures = run_workflow(workflow, config, run_id)
        _judge(status, tree, jobs, failures)
    status.write(tree.status(run_id))
    return status


def write_descriptions(tree: OutputTree, plan: StudyPlan) -> None:
    """Dataset description, ignore file, README and citations."""
    write_dataset_files(tree, sources=_source_datasets(plan), authors=_authors(plan))
    write_text(tree.root / "CITATION.md", citation_md())
    write_text(tree.root / "CITATION.bib", citation_bib())


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
        return cls(space, weights, settings | own)

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


def claim_settings(tree: OutputTree, model: str, settings: dict[str, Any]) -> None:
    """Record the settings of a model label, or refuse other ones.

    Raises
    ------
    InvalidInputError
        If the output folder holds maps of the same label made with other settings.
    """
    _claim(tree.model_settings(model), settings)


def _claim(path: Path, settings: dict[str, Any]) -> None:
    with shared_lock(path):
        if path.exists():
            known = read_json(path)
            if known["SettingsHash"] != settings_hash(settings):
                raise InvalidInputError(
                    "The output folder holds maps made with other settings.",
                    where=path,
                    found="; ".join(settings_difference(known["Settings"], settings)),
                    wanted="the same settings for every participant",
                    remedy="use another output folder, or delete this one's maps; another model "
                    "may have a --model-label of its own",
                )
            return
        write_json(path, {"SettingsHash": settings_hash(settings), "Settings": settings})


def _record(plan: StudyPlan, participant: str, model: _EncodingModel) -> ParticipantRecord:
    from .participant import input_files

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
        | {"plan": _timing_checksum(runs)},
        stimuli={s.label: s.sha256 for s in plan.stimuli if s.label in heard},
        features=model.description,
    )


def _timing_checksum(runs: Sequence[BoldRun]) -> str:
    """Checksum of what decides about alignment in time but is in no file named in the runs."""
    timing = [(r.label, r.tr, r.start_time, r.n_dummy, r.presentations) for r in runs]
    return hashlib.sha256(repr(timing).encode()).hexdigest()


def _is_current(tree: OutputTree, record: ParticipantRecord) -> bool:
    """Whether the outputs are complete and were made from these inputs and settings."""
    path = tree.participant_settings(record.participant, record.model)
    if not path.exists():
        return False
    stored = read_json(path)
    return (
        stored["SettingsHash"] == settings_hash(dict(record.settings))
        and stored["Inputs"] == dict(record.inputs)
        and stored["Stimuli"] == dict(record.stimuli)
        and all((tree.root / name).exists() for name in stored["Outputs"])
    )


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
        if failure.node.split(".")[-1].startswith(("features_", "loudness")):
            raise_failure(failure)
    for records in jobs:
        record = records[0]
        own = [f for f in failures if f".sub_{record.participant}_wf." in f"{f.node}."]
        if own:
            reason = f"{own[0].text} (crash file: {own[0].crash_file})"
        elif not all(_is_current(tree, each) for each in records):
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
