"""Joint models of a call: their spaces, candidates, settings, and those still to be fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.claims import claim_settings, is_current
from bids_app.analyses.folder.records import Record, inputs_of, sources_of, sources_of_run
from bids_app.analyses.participant.plan import EncodingModel, mask_record, weights_checksum
from bids_app.config import Config, FeatureSpace
from bids_app.config.sections import LOW_LEVEL
from bids_app.encoding.joint_plan import candidate_weights, n_fixed_candidates, weights_beyond
from bids_app.errors import UsageError
from bids_app.features.registry import Space, find_space
from bids_app.features.timing import SAMPLING
from bids_app.inputs.records import StudyPlan
from bids_app.outputs import BEYOND_DESC, JOINT_DESC, OutputTree, model_label
from bids_app.resources import find_weights
from bids_app.seeds import generator

PURPOSE = "candidates of joint models"
"""Of the draws of candidates."""
WHOLE = "all"
"""Layer that stands for a space whose layers lie side by side."""


def rival_weights(n_rivals: int, n_candidates: int, seed: int) -> NDArray[np.float64]:
    """Candidates of the rivals of a layer: half of all, (n_candidates // 2, n_rivals)."""
    fewest = 2 * n_fixed_candidates(n_rivals)
    _check_candidates(n_candidates, fewest, ", each with and without a layer")
    return candidate_weights(n_rivals, n_candidates // 2, generator(seed, PURPOSE))


def _check_candidates(found: int, fewest: int, more: str = "") -> None:
    if found < fewest:
        raise UsageError(
            "There are too few candidates.",
            where="--candidates",
            found=found,
            wanted=f"at least {fewest}: every space alone, all together, and all but one{more}",
            remedy="give a larger --candidates, or fewer spaces",
        )


def layer_weights(rivals: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Candidates of the rivals and a layer, whose column is the last."""
    return weights_beyond(rivals, generator(seed, PURPOSE, "with a layer"))


@dataclass(frozen=True)
class Source:
    """One feature space of a joint model.

    Attributes
    ----------
    space : FeatureSpace
    layer : str
    weights : str
        Of its network; empty for other spaces.
    """

    space: FeatureSpace
    layer: str
    weights: str = ""

    @classmethod
    def of(cls, features: str, layer: str, config: Config, stimuli: Mapping[str, Path]) -> Source:
        """A space as in ``--joint``, and the layer that stands for it.

        Raises
        ------
        UsageError
            There is no such space or layer, or one of several layers has to be named.
        """
        row = find_space(features)
        order = row.layer_order(stimuli)
        names = order.names
        chosen = layer or (names[0] if len(names) == 1 else WHOLE)
        if chosen not in names:
            raise UsageError(
                "A space of a joint model needs one of its layers.",
                where="--joint",
                found=(f"{features}@{layer}" if layer else features) + order.why_not(layer),
                wanted=f"{features}@LAYER, with one of {', '.join(names)}",
                remedy="add @LAYER to the space",
            )
        weights = find_weights(row.weights or config.model.weights) if row.network else ""
        return cls(FeatureSpace(features, model_label(features)), chosen, weights)

    @property
    def row(self) -> Space:
        """The space in the registry."""
        return find_space(self.space.features)

    @property
    def name(self) -> str:
        """As in the names of files and on the page."""
        layers = self.row.layers
        whole = len(layers) == 1 or self.layer == WHOLE
        return self.space.label if whole else f"{self.space.label} {self.layer}"

    @property
    def record(self) -> dict[str, str]:
        """What identifies its features, for settings."""
        weights = weights_checksum(self.weights) if self.weights else self.row.weights_identity
        return {
            "features": self.row.identity,
            "weights_sha256": weights,
            "layer": self.layer,
        }


@dataclass(frozen=True)
class JointModel:
    """A joint model, or one for every layer of a network beside low-level sound.

    Attributes
    ----------
    label, desc : str
        Model label of its maps, and description of the file that closes them.
    sources : tuple of Source
        Its spaces; the rivals of the layers where there are `layers`.
    settings : dict
        What changes its maps.
    own : EncodingModel or None
        Whose `layers` they are.
    layers : tuple of str
        Each has a joint model of its own with `sources`; none for a single model.
    """

    label: str
    desc: str
    sources: tuple[Source, ...]
    settings: dict[str, Any]
    own: EncodingModel | None = None
    layers: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Of its spaces."""
        return [source.name for source in self.sources]

    @property
    def weights(self) -> NDArray[np.float64]:
        """Candidates of `sources` together, (n_candidates, n_sources)."""
        n, seed = int(self.settings["candidates"]), int(self.settings["random_seed"])
        if self.layers:
            return rival_weights(len(self.sources), n, seed)
        _check_candidates(n, n_fixed_candidates(len(self.sources)))
        return candidate_weights(len(self.sources), n, generator(seed, PURPOSE))

    @property
    def weights_beyond(self) -> NDArray[np.float64]:
        """Candidates of `sources` and a layer, (n_candidates, n_sources + 1)."""
        return layer_weights(self.weights, int(self.settings["random_seed"]))

    @property
    def spaces(self) -> list[tuple[FeatureSpace, str]]:
        """Feature spaces that it needs, with their weights; that of the layers last."""
        found = [(source.space, source.weights) for source in self.sources]
        return found if self.own is None else [*found, (self.own.space, self.own.weights)]

    @property
    def guessed(self) -> dict[str, str]:
        """Other music that its spaces know, and what of them is a guess."""
        own = [] if self.own is None else [find_space(self.own.space.features)]
        rows = [*(source.row for source in self.sources), *own]
        return {key: text for row in rows for key, text in row.corpus_record().items()}

    def record(self, plan: StudyPlan, participant: str) -> Record:
        """What a participant's maps rest on."""
        runs = [run for run in plan.runs if run.participant == participant]
        labels = {p.stimulus for run in runs for p in run.presentations}
        heard = [stimulus for stimulus in plan.stimuli if stimulus.label in labels]
        files = {
            path
            for source in self.sources
            for one in heard
            for path in source.row.files_of(one.label, one.path)
        }
        if self.own is not None:
            files |= set(self.own.files(heard))
        there = sorted(files)
        return Record(
            participant=participant,
            model=self.label,
            settings=self.settings,
            sources=sources_of(plan, runs, there),
            inputs=inputs_of(runs, there),
            stimuli={s.label: s.sha256 for s in heard},
            features={"Spaces": self.names, "Features": self.settings["spaces"], **self.guessed},
            desc=self.desc,
            run_sources={run.label: sources_of_run(plan, run) for run in runs},
        )


def joint_models(
    config: Config, stimuli: Mapping[str, Path], models: Mapping[str, EncodingModel]
) -> list[JointModel]:
    """What ``--joint`` and ``--beyond`` ask for.

    Raises
    ------
    UsageError
        A space or layer is not there, a name is taken, or there are too few candidates.
    """
    found = []
    for label, spaces in config.joint.models.items():
        if label in models:
            raise UsageError(
                "A joint model has the name of another model.",
                where="--joint",
                found=label,
                wanted=f"a name that is none of {', '.join(models)}",
                remedy="give another name before the =",
            )
        sources = tuple(Source.of(name, layer, config, stimuli) for name, layer in spaces)
        found.append(JointModel(label, JOINT_DESC, sources, _settings(config, sources)))
    if config.joint.beyond == "low-level":
        rivals = tuple(Source.of(name, "", config, stimuli) for name in LOW_LEVEL)
        for label, model in models.items():
            if config.joint.is_rival(model.space.features):
                continue
            settings = model.settings | _of_candidates(config, rivals)
            own = tuple(model.layers.names)
            found.append(JointModel(label, BEYOND_DESC, rivals, settings, model, own))
    for one in found:
        _ = one.weights  # too few are refused before any work
    return found


def _of_candidates(config: Config, sources: Sequence[Source]) -> dict[str, Any]:
    return {
        "spaces": [source.record for source in sources],
        "candidates": config.joint.candidates,
    }


def _settings(config: Config, sources: Sequence[Source]) -> dict[str, Any]:
    alone = ("features", "weights_sha256", "layers", "layer_depth", "slope_model")
    known = config.participant_settings("", "")
    return {
        **{name: value for name, value in known.items() if name not in alone},
        "cortex_mask": mask_record(config),
        "sampling": SAMPLING,
        **_of_candidates(config, sources),
    }


@dataclass(frozen=True)
class JointWork:
    """What is to be done about joint models in one call.

    Attributes
    ----------
    models : list of JointModel
    jobs : dict from participant to list of (JointModel, Record)
        What is not current.
    """

    models: list[JointModel] = field(default_factory=list)
    jobs: dict[str, list[tuple[JointModel, Record]]] = field(default_factory=dict)

    @property
    def open(self) -> list[tuple[JointModel, Record]]:
        """What is to be done, of everybody."""
        return [job for own in self.jobs.values() for job in own]

    def records(self, participant: str) -> list[Record]:
        """What is to be done for a participant."""
        return [record for _, record in self.jobs.get(participant, [])]


def plan_joint_work(
    tree: OutputTree, config: Config, plan: StudyPlan, models: Mapping[str, EncodingModel]
) -> JointWork:
    """Decide what is to be done; nobody may have other settings, nothing current is done again.

    Raises
    ------
    UsageError, InvalidInputError
    """
    found = joint_models(config, {s.label: s.path for s in plan.stimuli}, models)
    work = JointWork(found)
    for model in found:
        claim_settings(tree, model.label, model.settings, desc=model.desc)
        for who in plan.participants:
            record = model.record(plan, who)
            if not is_current(tree, record):
                work.jobs.setdefault(who, []).append((model, record))
    return work
