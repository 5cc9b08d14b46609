"""Plan of a participant's work: models to fit, records, and their inputs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_app.analyses.folder.records import (
    Record,
    inputs_of,
    music_of,
    sources_of,
    sources_of_run,
)
from bids_app.analyses.participant.preference import preference_missing
from bids_app.analyses.participant.voxels import Voxels
from bids_app.analyses.participant.weights import check_saved_names
from bids_app.config import Config, FeatureSpace
from bids_app.errors import UsageError
from bids_app.features.layers import FittedLayers, choose_layers, layers_asked
from bids_app.features.registry import Space, find_space
from bids_app.features.timing import SAMPLING
from bids_app.files import read_json, remove_leftovers, sha256_of_file, write_text
from bids_app.inputs.records import Stimulus, StudyPlan
from bids_app.outputs import OutputTree, programs_of, write_dataset_files
from bids_app.report import citation, citation_files
from bids_app.resources import find_weights
from bids_app.surface.cortex import cortex_record
from bids_app.surface.mesh import load_mesh

LOGGER = logging.getLogger("bids_app.analyses")


def fitted_layers(config: Config, stimuli: Mapping[str, Path]) -> dict[str, FittedLayers]:
    """Layers that will be fitted, with their depth, by model label.

    Raises
    ------
    UsageError
        Layers or depths that do not exist or do not belong to every feature space.
    MissingInputError, BadDataError
        A file that has the layers is missing or unusable.
    """
    model = config.model
    spaces = {space.label: find_space(space.features) for space in model.spaces}
    if model.layer_depth and len(spaces) > 1:
        raise UsageError(
            "Depths are those of the layers of one feature space.",
            where="--layer-depth",
            found=f"--features {' '.join(model.features)}",
            wanted="one feature space with --layer-depth",
            remedy="fit one feature space in one call",
        )
    found = {}
    for label, row in spaces.items():
        order = row.layer_order(stimuli)
        found[label] = choose_layers(order, model.layers, model.layer_depth)
        check_saved_names(layers_asked(model.save_weights, found[label].names, order.names))
    return found


def write_descriptions(
    tree: OutputTree, plan: StudyPlan, suffixes: Sequence[str], space: str
) -> None:
    """Dataset description, ignore file, README and citations."""
    write_dataset_files(
        tree,
        sources=_source_datasets(plan),
        authors=_authors(plan),
        suffixes=suffixes,
        space=space,
    )
    remove_leftovers(tree.root)
    if not tree.group_report.is_file():  # the group level tells what was done
        for extension, text in citation_files(citation()).items():
            write_text(tree.root / f"CITATION.{extension}", text)


def _source_datasets(plan: StudyPlan) -> list[dict[str, str]]:
    return [
        {"Name": name, "URL": path.resolve().as_uri(), **_told_of(path)}
        for name, path in plan.dataset_links
    ]


def _told_of(folder: Path) -> dict[str, str]:
    """DOI of a source dataset, and its version: that of what generated it."""
    path = folder / "dataset_description.json"
    told = read_json(path) if path.is_file() else {}
    writer = next(iter(programs_of(told)), {})
    found = {"DOI": str(told.get("DatasetDOI") or ""), "Version": " ".join(writer.values())}
    return {key: value for key, value in found.items() if value}


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
class EncodingModel:
    """A feature space with the weights behind it and the settings of its maps."""

    space: FeatureSpace
    weights: str
    layers: FittedLayers
    settings: dict[str, Any]
    save_weights: tuple[str, ...] = ()
    mask: tuple[Path, ...] = ()
    voxels: Voxels = field(default_factory=Voxels)

    @property
    def label(self) -> str:
        """Model label."""
        return self.space.label

    @classmethod
    def of(cls, space: FeatureSpace, layers: FittedLayers, config: Config) -> EncodingModel:
        """Find the weights of a space, and say where its layers have no preference."""
        row, model = find_space(space.features), config.model
        weights = find_weights(row.weights or model.weights) if row.network else ""
        known = weights_checksum(weights) if weights else row.weights_identity
        settings = config.participant_settings(known, row.identity)
        own = {
            "cortex_mask": mask_record(config),
            "layers": list(layers.names),
            "layer_depth": list(layers.depth),
            "sampling": SAMPLING,
            "step": row.step,
        }
        if not config.cleaning.high_pass:
            own["trend"] = "a line out of every presentation"
        if reason := preference_missing(layers.depth, config.statistics.slope_model):
            LOGGER.warning("model-%s: %s", space.label, reason)
        asked = (model.save_weights, model.weights_mask, Voxels.of(model))
        return cls(space, weights, layers, settings | own, *asked)

    @property
    def _row(self) -> Space:
        return find_space(self.space.features)

    @property
    def asked(self) -> dict[str, str]:
        """What is to be saved of weights and subcortex: asking for others means doing it again."""
        found = self.voxels.asked
        if self.save_weights:
            told = [*self.save_weights, *map(sha256_of_file, self.mask)]
            found["save_weights"] = " ".join(told)
        return found

    def files(self, stimuli: Sequence[Stimulus]) -> list[Path]:
        """Files beside the audio that the features of these stimuli rest on."""
        return sorted({path for one in stimuli for path in self._row.files_of(one.label, one.path)})

    @property
    def description(self) -> dict[str, Any]:
        """What sidecars say of the features."""
        network = self._row.network
        told: dict[str, Any] = {
            "Features": self.settings["features"],
            "LayerOrder": self.layers.source or None,
            "LayerDepth": list(self.layers.depth),
            "LayerDepthDefinition": self.layers.definition,
        }
        if self.layers.left_out:
            told["LayersLeftOut"] = dict(self.layers.left_out)
        if record := self._row.stream_record():
            return {**told, **record}
        if network is None:
            return {**told, **self._row.corpus_record(), "Untrained": False}
        untrained = self.weights.startswith("random:")
        return {
            **told,
            "Network": network.name,
            "Weights": self.weights if untrained else Path(self.weights).name,
            "WeightsSHA256": self.settings["weights_sha256"],
            "Untrained": untrained,
        }


def weights_checksum(weights: str) -> str:
    """SHA-256 of a file of weights; ``random:SEED`` stands for itself."""
    if weights.startswith("random:"):
        return weights
    return sha256_of_file(Path(weights))


def mask_record(config: Config) -> dict[str, Any]:
    """The cortex mask by its content; one that cannot be used is an error before work begins."""
    return cortex_record(config.cleaning.cortex_mask, load_mesh(config.cleaning.space))


def participant_record(plan: StudyPlan, participant: str, model: EncodingModel) -> Record:
    """What a participant's maps of a model rest on."""
    runs = [run for run in plan.runs if run.participant == participant]
    heard = {p.stimulus for run in runs for p in run.presentations}
    files = model.files([s for s in plan.stimuli if s.label in heard])
    files += model.voxels.files(runs)
    return Record(
        participant=participant,
        model=model.label,
        settings=model.settings,
        sources=sources_of(plan, runs, files),
        inputs=inputs_of(runs, files, **model.asked),
        stimuli={s.label: s.sha256 for s in plan.stimuli if s.label in heard},
        features=model.description,
        notes=remarks_of(plan, model.space.features, heard),
        run_sources={run.label: sources_of_run(plan, run) for run in runs},
        music=music_of(plan, runs),
    )


def remarks_of(plan: StudyPlan, features: str, heard: Collection[str]) -> tuple[str, ...]:
    """What is odd about a feature space of these stimuli."""
    told = plan.remarks.get(features, {})
    own = (texts for label, texts in told.items() if label in {"", *heard})
    return tuple(dict.fromkeys(text for texts in own for text in texts))
