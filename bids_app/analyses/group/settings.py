"""Settings of every analysis of the group level, which decide what may share an output folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_app.analyses.folder.claims import check_settings
from bids_app.analyses.folder.read import RECORD, check_outputs, need_content, read_record
from bids_app.analyses.group.collect import read_encoding
from bids_app.config import Config
from bids_app.errors import UsageError
from bids_app.files import sha256_of_file
from bids_app.inputs.estimate import group_memory
from bids_app.outputs import (
    ALIGNMENT_DESC,
    EMOTION_LABEL,
    PARCELS_DESC,
    RATINGS_DESC,
    OutputTree,
    labeled,
    sidecar_of,
)
from bids_app.resources import gradient_files
from bids_app.surface.atlas import atlas_files

LOGGER = logging.getLogger("bids_app.analyses")

Settings = dict[str, dict[str, Any]]
OPTIONS = {ALIGNMENT_DESC: "--gradient", PARCELS_DESC: "--atlas"}


def group_settings(config: Config) -> Settings:
    """Settings by the description of the analysis; inference over participants has none.

    Gradients and atlases count by content: another path is the same setting.

    Raises
    ------
    MissingInputError, UsageError
        If a file is not there, or two gradients or atlases have the same name.
    """
    inference = config.inference_settings()
    settings: Settings = {"": inference}
    for option in config.statistics.gradients:
        chosen = gradient_files(option)
        need_content("A gradient file is not there.", chosen.paths)
        own = {"gradient": _checksums(chosen.paths), **config.alignment_settings()}
        _add(settings, ALIGNMENT_DESC, chosen.label, own)
    for option in config.statistics.atlases:
        label, paths = atlas_files(option)
        need_content("An atlas file is not there.", paths)
        _add(settings, PARCELS_DESC, label, {"atlas": _checksums(paths), **inference})
    return settings


def check_group_settings(
    tree: OutputTree, model: str, settings: Mapping[str, dict[str, Any]]
) -> None:
    """Refuse an analysis that the folder has of other settings.

    Raises
    ------
    InvalidInputError
        With what differs.
    """
    for desc, own in settings.items():
        kind = next((option for start, option in OPTIONS.items() if desc.startswith(start)), "")
        check_settings(tree, model, own, desc=desc, option=kind)


def left_behind(
    tree: OutputTree, model: str, participants: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, str]:
    """Results of other gradients and atlases that rest on other participants, and on whom.

    Returns
    -------
    dict of str to str
        Description to participants.
    """
    wanted = [f"sub-{label}" for label in participants]
    found = {}
    for start in OPTIONS:
        for label in tree.group_labels(model, start):
            desc = labeled(start, label)
            path = tree.group_table("settings.json", model=model, desc=desc)
            before = read_record(path, Participants=list)["Participants"]
            if desc not in settings and sorted(before) != sorted(wanted):
                found[desc] = ", ".join(before)
    return found


def _checksums(paths: Sequence[Path]) -> list[str]:
    return [sha256_of_file(path) for path in paths]


def _add(settings: Settings, start: str, label: str, own: dict[str, Any]) -> None:
    desc = labeled(start, label)
    if desc in settings:
        raise UsageError(
            f"Two of {OPTIONS[start]} have the same name.",
            found=label or "the default gradient",
            remedy=f"give each once, files with names of their own: {OPTIONS[start]} "
            "NAME=LEFT,RIGHT",
        )
    settings[desc] = own


def memory_of_group(tree: OutputTree, model: str, participants: Sequence[str]) -> float:
    """Bytes that the maps of these participants will take."""
    space = str(read_encoding(tree, participants[0], model)["Settings"]["space"])
    left = tree.participant_map(participants[0], "L", space, model=model, stat="r")
    layers = read_record(sidecar_of(left), DataArrays=list)["DataArrays"]
    return group_memory(len(participants), len(layers), space)


def check_files(
    tree: OutputTree, model: str, participants: Sequence[str], *, ratings: bool
) -> None:
    """Whether every file that will be read is there.

    Raises
    ------
    MissingInputError, BadDataError
    """
    for participant in participants:
        check_outputs(tree, read_encoding(tree, participant, model))
    for label, desc in ((EMOTION_LABEL, ""), (model, RATINGS_DESC)) if ratings else ():
        for participant in sorted(set(tree.participants_of(label, desc)) & set(participants)):
            path = tree.participant_settings(participant, label, desc)
            check_outputs(tree, read_record(path, **RECORD, LeftOut=dict))


def tell_changes(tree: OutputTree, model: str, participants: Sequence[str]) -> None:
    """Log who joined and who left since the group result that is there."""
    path = tree.group_table("settings.json", model=model)
    if not path.is_file():
        return
    known = read_record(path, Participants=list)["Participants"]
    before = {str(label).removeprefix("sub-") for label in known}
    for what, labels in (
        ("new since the last group result", set(participants) - before),
        ("in the last group result but not in this one", before - set(participants)),
    ):
        if labels:
            LOGGER.info("group: %s: %s", what, ", ".join(sorted(labels)))


def emotion_group_settings(
    tree: OutputTree, models: Sequence[str], config: Config
) -> dict[str, Any]:
    """Settings of the group analyses of ratings.

    Raises
    ------
    InvalidInputError
        If the output folder holds such results of other settings.
    """
    settings = {
        "n_permutations": config.statistics.n_permutations,
        "random_seed": config.statistics.random_seed,
    }
    check_settings(tree, EMOTION_LABEL, settings)
    for model in models:
        check_settings(tree, model, settings, desc=RATINGS_DESC)
    return settings
