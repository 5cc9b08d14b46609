"""Settings in an output folder, the inputs of its results, and which results are complete."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_app.analyses.folder.read import RECORD, broken_outputs, read_completed, read_record
from bids_app.analyses.folder.records import Record
from bids_app.config import Cleaning, settings_difference, settings_hash
from bids_app.config.options import options_of
from bids_app.errors import InvalidInputError, MusencError
from bids_app.files import shared_lock, write_json
from bids_app.outputs import OutputTree

LOGGER = logging.getLogger("bids_app.analyses")


def claim_settings(
    tree: OutputTree, model: str, settings: Mapping[str, Any], *, desc: str = ""
) -> None:
    """Record the settings of a model label, or refuse other ones.

    Raises
    ------
    InvalidInputError
        If the output folder holds maps of the same label made with other settings.
    """
    claim(tree.model_settings(model, desc), settings)


def claim(path: Path, settings: Mapping[str, Any]) -> None:
    """Record settings in `path`, or refuse other ones.

    Raises
    ------
    InvalidInputError
        If other settings are there.
    """
    with shared_lock(path):
        if path.exists():
            known = read_record(path, **RECORD)
            if known["SettingsHash"] != settings_hash(dict(settings)):
                differs = settings_difference(known["Settings"], dict(settings))
                # Cleaned responses have no label: all models of a folder share them.
                cleaning = {name for name, _ in options_of(Cleaning)}
                shared = cleaning & {line.partition(":")[0] for line in differs}
                label = "; another model may have a --model-label of its own"
                raise InvalidInputError(
                    "The output folder holds maps made with other settings.",
                    where=path,
                    found="; ".join(differs),
                    wanted="the same settings for every participant",
                    remedy="use another output folder, or delete this one's maps"
                    + ("" if shared else label),
                )
            return
        write_json(path, {"SettingsHash": settings_hash(dict(settings)), "Settings": settings})


def is_current(tree: OutputTree, record: Record) -> bool:
    """Whether the outputs are as they were written, from these inputs and settings.

    The content of every file counts. A settings file that is damaged says nothing: what it was
    about is done again.
    """
    path = tree.participant_settings(record.participant, record.model, record.desc)
    if not path.exists():
        return False
    try:
        stored = read_completed(path, **RECORD)
    except MusencError as error:
        LOGGER.warning("%s is not what it was, and is made again: %s", path, error.found)
        return False
    wanted = {
        "SettingsHash": settings_hash(dict(record.settings)),
        "Inputs": record.inputs,
        "Stimuli": record.stimuli,
    }
    if any(stored.get(name) != value for name, value in wanted.items()):
        return False
    for file, problem, _ in broken_outputs(tree, stored):
        LOGGER.warning("%s is not as it was written, and is made again: %s", file, problem)
        return False
    return True


def check_settings(
    tree: OutputTree, model: str, settings: dict[str, Any], *, desc: str = "", option: str = ""
) -> None:
    """Refuse to mix group results of other settings in one folder.

    Parameters
    ----------
    tree : OutputTree
    model, desc : str
        Which group analysis.
    settings : dict
    option : str
        What gave the analysis its files, ``[NAME=]FILE,FILE``; empty where nothing did.

    Raises
    ------
    InvalidInputError
        If group results made with other settings are there.
    """
    path = tree.group_table("settings.json", model=model, desc=desc)
    if not path.exists():
        return
    known = read_record(path, **RECORD)
    if known["SettingsHash"] != settings_hash(settings):
        differs = settings_difference(known["Settings"], settings)
        other = any(line.startswith(f"{option.removeprefix('--')}:") for line in differs)
        rename = f"; or give these files a name of their own: {option} NAME=LEFT,RIGHT"
        raise InvalidInputError(
            "The output folder holds a group result made with other settings.",
            where=path,
            found="; ".join(differs),
            wanted="the same settings",
            remedy="give the settings of before; or delete this file, and the analysis is done "
            f"again with the new ones{rename if other else ''}",
        )
