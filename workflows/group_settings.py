"""Settings of every analysis of the group level, which decide what may share an output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_app.config import Config
from bids_app.errors import UsageError
from bids_app.files import sha256_of_file
from bids_app.outputs import ALIGNMENT_DESC, PARCELS_DESC, OutputTree, labeled
from bids_app.resources import gradient_files
from bids_app.surface.atlas import atlas_files

from .completion import check_settings
from .stored import need_content, read_record

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
