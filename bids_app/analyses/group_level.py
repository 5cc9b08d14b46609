"""The plan of the group level: participants, models, and all problems, before computing."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bids_app.analyses.folder.read import RECORD, read_participant, read_record
from bids_app.analyses.group.alignment import missing_gradient
from bids_app.analyses.group.checks import check_files, disk_of_group, memory_of_group
from bids_app.analyses.group.collect import select_participants
from bids_app.analyses.group.others import OTHERS, OWN, chosen_weights, others_missing
from bids_app.analyses.group.own_plan import OwnPlan, plan_own_gradient
from bids_app.analyses.participant.preference import preference_missing
from bids_app.analyses.registry import (
    GroupSettings,
    check_group_settings,
    check_left_behind,
    choose_analyses,
    group_settings,
)
from bids_app.config import DEFAULT_FEATURES, Config
from bids_app.disk import free_bytes
from bids_app.errors import MissingInputError, MusencError, Problems
from bids_app.files import check_folder, sha256_of_file
from bids_app.inputs.denoised import atlas_label
from bids_app.inputs.estimate import check_group_memory
from bids_app.labels import safe_label
from bids_app.limits import format_bytes
from bids_app.meshes import N_VERTICES, SPACES
from bids_app.outputs import PARCELS_DESC, OutputTree, labeled, weights_label
from bids_app.resources import OWN_GRADIENT, choose_gradient, gradient_files
from bids_app.surface.atlas import (
    atlas_files,
    installed_networks,
    installed_option,
    read_atlas,
    read_networks,
)
from bids_app.surface.mesh import load_mesh

LOGGER = logging.getLogger("bids_app.analyses")


@dataclass(frozen=True)
class GroupCall:
    """A model with one choice of weights.

    Attributes
    ----------
    model : str
        Label of the participants' maps.
    others : bool
        Whether models are trained on the others' responses.
    """

    model: str
    others: bool

    @property
    def label(self) -> str:
        """Model label of the results."""
        return weights_label(self.model, others=self.others)


@dataclass(frozen=True)
class GroupPlan:
    """What the group level does about encoding models.

    Attributes
    ----------
    people : dict from model label to list of str
        Participants with complete maps.
    settings : GroupSettings
        Of every analysis.
    absent : dict from str to str
        Gradients that are not installed, and why nothing is aligned with them. None where no
        model has layers in order.
    calls : list of GroupCall
        What is done, one after the other: participants' own weights first.
    no_others : dict from str to str
        Models that cannot be trained on the others' responses, and why.
    memory : dict from model label to float
        Bytes that one step takes at most.
    disk : dict from label of a call to float
        Bytes of the work folder that the responses of everybody take.
    own : OwnPlan or None
        Of the study's own gradient, where it is asked for.
    """

    people: dict[str, list[str]] = field(default_factory=dict)
    settings: GroupSettings = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    calls: list[GroupCall] = field(default_factory=list)
    no_others: dict[str, str] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    disk: dict[str, float] = field(default_factory=dict)
    own: OwnPlan | None = None

    def short_of_disk(self, folder: Path) -> str:
        """What to tell where the work folder has no place for the responses, else nothing."""
        needed, free = max(self.disk.values(), default=0), free_bytes(folder)
        if needed <= free:
            return ""
        return (
            f"the responses of everybody take {format_bytes(int(needed))} of the work folder, and "
            f"{format_bytes(free)} are free at {folder}: give a --work-dir on a larger disk"
        )


def with_own_atlases(config: Config) -> Config:
    """The configuration, with the regions of parcellated series among the atlases.

    The installed atlas and networks stand in where none are given, unless something else has their
    name.
    """
    tree = OutputTree(config.output_dir)
    given = {atlas_label(option) for option in config.statistics.atlases}
    own = [
        f"{label}={','.join(str(path.absolute()) for path in tree.parcel_files(label))}"
        for label in tree.parcel_labels()
        if label not in given
    ]
    atlases = (*config.statistics.atlases, *own)
    networks = config.statistics.networks
    if any(tree.root.glob("sub-*/func/*_hemi-L_*den-10k_*statmap.func.gii")):
        named = {safe_label(atlas_label(option)) for option in (*atlases, *networks)}
        networks = networks or _free(tree, "networks", installed_networks("fsaverage5"), named)
        atlases = atlases or _free(tree, "atlas", installed_option("fsaverage5"), named)
    statistics = replace(config.statistics, atlases=atlases, networks=networks)
    return replace(config, statistics=statistics)


def _free(
    tree: OutputTree, kind: str, options: tuple[str, ...], named: Collection[str]
) -> tuple[str, ...]:
    """Installed files whose label nothing else has: neither in the call nor in the folder."""
    free = []
    for option in options:
        label, paths = atlas_files(option)
        reason = "another one of this name is given" if label in named else ""
        desc = labeled(PARCELS_DESC, label)
        for done in sorted(tree.root.glob(f"group_model-*_desc-{desc}_settings.json")):
            with suppress(MusencError):  # what is damaged is told with all other problems
                known = read_record(done, **RECORD)["Settings"]
                if known.get(kind) != [sha256_of_file(path) for path in paths]:
                    reason = reason or f"{done.name} is of other files of this name"
        if reason:
            LOGGER.info("group: the installed %s is left out: %s", label, reason)
        else:
            free.append(option)
    return tuple(free)


def plan_group_level(config: Config, problems: Problems) -> GroupPlan:
    """Choose participants, and find what would stop the group level, all of it.

    Parameters
    ----------
    config : Config
    problems : Problems
        Takes everything that is found; with any the plan is of no use.
    """
    tree, plan = OutputTree(config.output_dir), GroupPlan()
    chosen = bool(config.model.features or config.model.labels)
    models = [DEFAULT_FEATURES]
    with problems.collecting():
        models = list(config.model.group_labels) if chosen else tree.models() or models
    for model in models:
        with problems.collecting():
            plan.people[model] = select_participants(tree, model, config.selection)
    with problems.collecting():
        check_writable(tree)
    spaces, aligned = set(), set()
    for model, participants in plan.people.items():
        with problems.collecting():
            rows, _ = choose_analyses(tree, model, participants, config)
            check_files(tree, model, participants, rows)
            stored = read_participant(tree.participant_settings(participants[0], model))
            plan.memory[model] = needed = memory_of_group(tree, model, participants)
            check_group_memory(needed, config.running.memory, len(participants))
            spaces.add(space := str(stored["Settings"]["space"]))
            depth = stored["Settings"].get("layer_depth") or []
            if not preference_missing(depth, config.statistics.slope_model):
                aligned.add(space)
    with problems.collecting():
        _choose_calls(tree, plan, config)
    usable = set()
    for space in sorted(spaces):
        with problems.collecting():
            load_mesh(space)
            usable.add(space)
    before = len(problems.found)
    plan.absent.update(_absent_gradients(config, usable & aligned, problems))
    if OWN_GRADIENT in config.statistics.gradients and len(problems.found) == before:
        with problems.collecting():
            people = {who for own in plan.people.values() for who in own}
            plan = replace(plan, own=plan_own_gradient(tree, config, people, spaces))
    for options, read in (
        (config.statistics.atlases, read_atlas),
        (config.statistics.networks, read_networks),
    ):
        for option in options:
            with problems.collecting():
                atlas_files(option)
            for space in sorted(usable):
                with problems.collecting():
                    read(option, 2 * N_VERTICES[space])
    if len(problems.found) == before:  # the settings hold the checksums of these files
        with problems.collecting():
            plan.settings.update(group_settings(config))
            check_group_settings(tree, [one.label for one in plan.calls], plan.settings)
        for call in plan.calls:
            with problems.collecting():
                check_left_behind(tree, call.label, plan.settings)
    return plan


def _absent_gradients(
    config: Config, spaces: Collection[str], problems: Problems
) -> dict[str, str]:
    """Gradients that are not installed, and why; of a file that is given, a problem."""
    absent: dict[str, str] = {}
    for option in config.statistics.gradients:
        with problems.collecting():
            if choose_gradient(option).name == "file":
                gradient_files(option)
        for space in sorted(spaces) if option != OWN_GRADIENT else ():
            with problems.collecting():
                if reason := missing_gradient(option, space):
                    absent[option] = reason
    return absent


def _choose_calls(tree: OutputTree, plan: GroupPlan, config: Config) -> None:
    """What is asked for and possible; what is not, goes to `no_others`.

    Raises
    ------
    MissingInputError
        If nothing of what is asked for is possible.
    """
    for weights in chosen_weights(config.statistics.train_on):
        for model, participants in plan.people.items():
            others = weights == OTHERS
            reason = others_missing(tree, model, participants, config.cache_dir) if others else ""
            if reason:
                plan.no_others[model] = reason
                continue
            plan.calls.append(call := GroupCall(model, others))
            plan.disk[call.label] = disk_of_group(tree, model, participants, others=others)
    if plan.people and not plan.calls:
        raise MissingInputError(
            "Nothing can be trained on the others' responses.",
            where=tree.root,
            found="; ".join(f"model-{model}: {why}" for model, why in plan.no_others.items()),
            wanted="cleaned responses of three participants or more, and the features of the music",
            remedy="run the participant level again, give its --cache-dir, "
            f"or ask for --train-on {OWN}",
        )


def check_writable(tree: OutputTree) -> None:
    """Whether results can be written into the output folder.

    Raises
    ------
    CannotWriteError
    """
    maps = {tree.group_folder(space) for space in SPACES}
    for folder in (tree.root, tree.root / "logs", *sorted(maps)):
        check_folder(folder)
