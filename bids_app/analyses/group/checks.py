"""Checks before a group analysis begins."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from bids_app.analyses.folder.read import RECORD, check_outputs, read_completed, read_record
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.clock import read_clock
from bids_app.analyses.group.collect import check_same_settings, read_encoding, read_encodings
from bids_app.errors import MusencError
from bids_app.inputs.estimate import FLOAT, group_memory, joint_memory
from bids_app.meshes import N_VERTICES
from bids_app.outputs import BEYOND_DESC, JOINT_DESC, JOINT_LABEL, OutputTree, sidecar_of

LOGGER = logging.getLogger("bids_app.analyses")


def memory_of_group(tree: OutputTree, model: str, participants: Sequence[str]) -> float:
    """Bytes that the maps of these participants will take."""
    space = str(read_encoding(tree, participants[0], model)["Settings"]["space"])
    left = tree.participant_map(participants[0], "L", space, model=model, stat="r")
    layers = read_record(sidecar_of(left), DataArrays=list)["DataArrays"]
    needed = group_memory(len(participants), len(layers), space)
    others = [(label, JOINT_DESC) for label in tree.joint_models(participants)]
    for label, desc in [(model, BEYOND_DESC), *others]:
        joint = tree.participant_settings(participants[0], label, desc)
        if joint.is_file():
            known = read_record(joint, HeldOutStimuli=list, Features=dict)
            n_models = 1 + len(layers if desc == BEYOND_DESC else known["Features"]["Spaces"])
            n_folds = len(known["HeldOutStimuli"])
            needed = max(needed, joint_memory(len(participants), n_models, n_folds, space))
    return needed


def disk_of_group(
    tree: OutputTree, model: str, participants: Sequence[str], *, others: bool
) -> float:
    """Bytes of the work folder that everybody's responses take.

    They are collected for the null over music and for inter-subject correlation, and their means
    where models are trained on the `others`.
    """
    space = str(read_encoding(tree, participants[0], model)["Settings"]["space"])
    n_times = 0
    for left in (one for who in participants for one in tree.responses(who, space)):
        with suppress(MusencError):  # what is damaged is told where it is read
            n_times += len(read_clock(sidecar_of(left)).times)
    return (2 + others) * n_times * 2 * N_VERTICES[space] * FLOAT


def check_files(
    tree: OutputTree, model: str, participants: Sequence[str], analyses: Sequence[GroupAnalysis]
) -> None:
    """Whether every file that `analyses` will read is as it was written, and they belong together.

    Raises
    ------
    MissingInputError, BadDataError, InvalidInputError
    """
    for participant in participants:
        check_outputs(tree, read_encoding(tree, participant, model))
    read_encodings(tree, model, participants)
    for desc in dict.fromkeys(row.rests_on for row in analyses if row.rests_on):
        check_participants(tree, model, participants, desc)
    if any(row.model == JOINT_LABEL for row in analyses):
        for label in tree.joint_models(participants):
            check_participants(tree, label, participants, JOINT_DESC)
    for row in (row for row in analyses if row.people):
        label = row.model or model
        for participant in sorted(set(tree.participants_of(label, row.desc)) & set(participants)):
            path = tree.participant_settings(participant, label, row.desc)
            check_outputs(tree, read_completed(path, **RECORD, LeftOut=dict))


def check_participants(
    tree: OutputTree, model: str, participants: Sequence[str], desc: str
) -> None:
    """Whether what these participants have under a description is as it was written.

    Joint models have to be of the same settings, too.

    Raises
    ------
    MissingInputError, BadDataError, InvalidInputError
    """
    people = sorted(set(tree.participants_of(model, desc)) & set(participants))
    paths = [tree.participant_settings(participant, model, desc) for participant in people]
    records = [read_completed(path, **RECORD) for path in paths]
    for record in records:
        check_outputs(tree, record)
    if desc in (BEYOND_DESC, JOINT_DESC):
        check_same_settings(tree, model, people, records, desc=desc)


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
