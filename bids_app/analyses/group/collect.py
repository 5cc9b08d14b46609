"""Collect participants' results from the output folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import (
    AGAIN,
    CORRELATION,
    POSITIVE,
    broken_outputs,
    read_completed,
    read_maps,
    read_participant,
    read_record,
)
from bids_app.config import Selection, settings_difference
from bids_app.errors import (
    BadDataError,
    InvalidInputError,
    MissingInputError,
    MusencError,
    NothingSelectedError,
)
from bids_app.features.timing import SAMPLING
from bids_app.files import sha256_of_file
from bids_app.group import shared_training_scale
from bids_app.labels import safe_label
from bids_app.loading import load_array
from bids_app.outputs import (
    HEMISPHERES,
    OutputTree,
    has_others_weights,
    hemispheres_of,
    sidecar_of,
)
from bids_app.statistics import fisher_z

LOGGER = logging.getLogger("bids_app.analyses")

MIN_PARTICIPANTS = 2


@dataclass(frozen=True)
class GroupData:
    """Accuracy maps of all participants.

    Attributes
    ----------
    model : str
        Model label.
    participants : list of str
        Labels without prefix, sorted.
    r : array of shape (n_participants, n_layers, n_vertices)
        Accuracy; NaN at degenerate vertices.
    layer_names : list of str
    stimuli : list of str
        What was heard.
    held_out : list of str
        Stimuli held out in turn; those of one fold joined by ``+``.
    settings : dict
        Settings all participants share.
    rows : list of dict
        One row per participant: what went in.
    fold_files : mapping from str to Path
        ``r`` and ``alpha`` of every fold where they are not those of the participants' maps:
        (n_participants, n_folds, n_layers, n_vertices), memory-mapped.
    """

    model: str
    participants: list[str]
    r: NDArray[np.float32]
    layer_names: list[str]
    stimuli: list[str]
    held_out: list[str]
    settings: dict[str, Any]
    rows: list[dict[str, Any]]
    fold_files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def people_scale(self) -> float:
        """What a t over participants is multiplied by: 1 but with the others' weights."""
        others = has_others_weights(self.model)
        return shared_training_scale(len(self.participants)) if others else 1.0

    @property
    def space(self) -> str:
        """Mesh of the maps."""
        return str(self.settings["space"])

    @property
    def depth(self) -> list[float]:
        """Depth of the layers from 0 to 1; empty where nothing says their order."""
        return [float(depth) for depth in self.settings["layer_depth"]]

    @property
    def n_per_vertex(self) -> NDArray[np.int64]:
        """Participants with finite accuracy in all layers, (n_vertices,)."""
        return np.asarray(np.isfinite(self.r).all(axis=1).sum(axis=0))


def select_participants(tree: OutputTree, model: str, selection: Selection) -> list[str]:
    """Participants with complete maps that pass the filters.

    Raises
    ------
    MissingInputError, NothingSelectedError, InvalidInputError
        If there are none, the filters leave none, or there is only one.
    """
    there = tree.participants_of(model)
    if not there:
        raise MissingInputError(
            "The output folder holds no participant maps.",
            where=tree.root,
            found="no such file",
            wanted=f"sub-*/func/*_model-{model}_settings.json",
            remedy="run the participant level into this folder first",
        )
    unknown = sorted(set(selection.participants) - set(there))
    if unknown:
        raise NothingSelectedError(
            "Participants were asked for that have no complete maps.",
            where=tree.root,
            found=f"complete: {', '.join(there)}",
            wanted=", ".join(unknown),
            remedy="run the participant level for them, or leave them out",
        )
    chosen = [p for p in there if p in selection.participants or not selection.participants]
    if len(chosen) < MIN_PARTICIPANTS:
        raise InvalidInputError(
            "A group needs at least two participants.",
            where=tree.root,
            found=", ".join(chosen),
            wanted="two or more",
            remedy="run the participant level for more participants",
        )
    return chosen


def read_encoding(tree: OutputTree, participant: str, model: str) -> dict[str, Any]:
    """The settings file of a participant's encoding model.

    Raises
    ------
    MissingInputError, BadDataError
    """
    return read_participant(
        tree.participant_settings(participant, model),
        Stimuli=dict,
        HeldOutStimuli=list,
        DegenerateVertices=int,
        ReferenceVertices=int,
    )


def read_encodings(
    tree: OutputTree, model: str, participants: Sequence[str]
) -> list[dict[str, Any]]:
    """The settings files of an encoding model, of participants who belong together.

    Raises
    ------
    MissingInputError, BadDataError
    InvalidInputError
        If settings, held-out stimuli or their audio differ between participants.
    """
    settings = [read_encoding(tree, p, model) for p in participants]
    _check_depth(tree, model, participants, settings)
    check_same_settings(tree, model, participants, settings)
    _check_same_folds(tree, model, participants, settings)
    return settings


def load_group(tree: OutputTree, model: str, participants: Sequence[str]) -> GroupData:
    """Read the accuracy maps of one model of `participants` and check that they belong together.

    Raises
    ------
    InvalidInputError
        If settings, held-out stimuli or their audio differ between participants.
    BadDataError
        If maps differ in shape or layers.
    """
    LOGGER.info("group: reading %d participants", len(participants))
    settings = read_encodings(tree, model, participants)
    maps: list[NDArray[np.float32]] = []
    rows: list[dict[str, Any]] = []
    names: list[str] = []
    for participant, own in zip(participants, settings, strict=True):
        paths = [
            tree.participant_map(participant, hemi, own["Settings"]["space"], model=model, stat="r")
            for hemi in HEMISPHERES
        ]
        layers = read_record(sidecar_of(paths[0]), DataArrays=list)["DataArrays"]
        names = names or layers
        profile = read_maps(
            paths[0], own["Settings"]["space"], n_arrays=len(layers), bounds=CORRELATION
        )
        if layers != names:
            raise BadDataError(
                "The maps of a participant do not match the others'.",
                where=paths[0],
                found=f"{len(layers)} layers: {', '.join(map(str, layers))}",
                wanted=f"{len(names)} layers, as of sub-{participants[0]}: {', '.join(names)}",
                remedy="run the participant level again for this participant",
            )
        if not np.isfinite(profile).all(axis=0).any():
            raise BadDataError(
                "An accuracy map has no value in all layers at any vertex.",
                where=paths[0],
                found="NaN",
                wanted="finite values inside cortex",
                remedy="run the participant level again, or leave this participant out with "
                "--participant-label",
            )
        _check_mean(tree, participant, model, own, profile)
        maps.append(profile)
        rows.append(_row(participant, own, paths, profile))
    return GroupData(
        model=model,
        participants=list(participants),
        r=np.stack(maps),
        layer_names=names,
        stimuli=sorted(settings[0]["Stimuli"]),
        held_out=settings[0]["HeldOutStimuli"],
        settings=settings[0]["Settings"],
        rows=rows,
    )


MEAN_TOLERANCE = 1e-4
"""Of correlations; single precision is a thousand times finer."""


def _check_mean(
    tree: OutputTree, participant: str, model: str, own: dict[str, Any], r: NDArray[np.float32]
) -> None:
    """Whether accuracy is the mean of that of the held-out stimuli, by Fisher's z or plainly.

    Raises
    ------
    MissingInputError, BadDataError
    """
    space, held_out = str(own["Settings"]["space"]), own["HeldOutStimuli"]
    fisher, plain = np.zeros(r.shape), np.zeros(r.shape)
    for held in held_out:
        fold = _read_fold(tree, participant, model, space, str(held), "r", len(r))
        fisher += fisher_z(fold) / len(held_out)
        plain += fold / len(held_out)
    fisher = np.tanh(fisher)
    apart = np.minimum(np.abs(fisher - r), np.abs(plain - r))
    other = np.isfinite(r) != np.isfinite(plain)
    if held_out and (other.any() or (apart > MEAN_TOLERANCE).any()):
        layer, vertex = np.unravel_index(np.nanargmax(np.where(other, np.inf, apart)), r.shape)
        left = tree.participant_map(participant, HEMISPHERES[0], space, model=model, stat="r")
        n_left = r.shape[1] // 2
        raise BadDataError(
            "The accuracy of a participant is not the mean of its held-out stimuli.",
            where=hemispheres_of(left)[int(vertex >= n_left)],
            found=f"{r[layer, vertex]:.4g} in array {layer + 1}, vertex {vertex % n_left}",
            wanted=f"{fisher[layer, vertex]:.4g}, from {', '.join(map(str, held_out))}",
            remedy=AGAIN,
        )


def _read_fold(
    tree: OutputTree, participant: str, model: str, space: str, held: str, stat: str, n_layers: int
) -> NDArray[np.float32]:
    left = tree.participant_map(
        participant, HEMISPHERES[0], space, model=model, stat=stat, stim=safe_label(held)
    )
    bounds = POSITIVE if stat == "alpha" else CORRELATION
    return read_maps(left, space, n_arrays=n_layers, bounds=bounds)


def load_fold_maps(tree: OutputTree, data: GroupData, stat: str) -> NDArray[np.float32]:
    """Maps per held-out stimulus, in the order of ``data.held_out``.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
    stat : {"r", "alpha"}

    Returns
    -------
    array of shape (n_participants, n_folds, n_layers, n_vertices)
    """
    if data.fold_files:
        return np.asarray(load_array(data.fold_files[stat], mapped=True))
    n_layers = len(data.layer_names)
    return np.stack(
        [
            np.stack(
                [
                    _read_fold(tree, person, data.model, data.space, held, stat, n_layers)
                    for held in data.held_out
                ]
            )
            for person in data.participants
        ]
    )


def check_same_settings(
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    settings: Sequence[dict[str, Any]],
    *,
    desc: str = "",
) -> None:
    """Refuse to combine participants of different settings.

    Raises
    ------
    InvalidInputError
        Naming what differs.
    """
    for participant, own in zip(participants, settings, strict=True):
        where = tree.participant_settings(participant, model, desc)
        first = settings[0]
        if own["SettingsHash"] != first["SettingsHash"]:
            raise InvalidInputError(
                "Participants were analyzed with different settings.",
                where=where,
                found="; ".join(settings_difference(first["Settings"], own["Settings"])),
                wanted=f"the settings of sub-{participants[0]}",
                remedy="run the participant level again with the same settings for everybody",
            )


def _check_depth(
    tree: OutputTree, model: str, participants: Sequence[str], settings: Sequence[dict[str, Any]]
) -> None:
    """Whether the maps tell the depth of their layers, and are of features sampled as now.

    Raises
    ------
    InvalidInputError
    """
    for participant, own in zip(participants, settings, strict=True):
        depth, sampling = (own["Settings"].get(name) for name in ("layer_depth", "sampling"))
        if not isinstance(depth, list) or sampling != SAMPLING:
            raise InvalidInputError(
                "The maps of a participant do not tell the depth of their layers, or rest on "
                "features that were brought to the volumes in another way.",
                where=tree.participant_settings(participant, model),
                found=f"layer_depth: {depth or 'not set'}; sampling: {sampling or 'not set'}",
                wanted=f"layer_depth: one number per layer, or none; sampling: {SAMPLING}",
                remedy="they are of an earlier version: run the participant level again for "
                "everybody, into another output folder",
            )


class Basis(Protocol):
    """What a group result rests on."""

    @property
    def model(self) -> str:
        """Model label."""

    @property
    def rows(self) -> Sequence[dict[str, Any]]:
        """Participant_id and the checksum of an input, sha256_left, of each."""


def same_inputs(tree: OutputTree, data: Basis, desc: str = "") -> bool:
    """Whether the folder has a group result of the same participants and maps, as it was written.

    One that is not as it was written is reported, and made again like one that is not there.
    """
    path = tree.group_table("settings.json", model=data.model, desc=desc)
    if not path.is_file():
        return False
    try:
        known = read_completed(path, Participants=list)
    except MusencError as error:
        LOGGER.warning("group: %s is not taken over: %s", path, error.found)
        return False
    for file, problem, _ in broken_outputs(tree, known):
        LOGGER.warning("group: %s is not taken over: %s", file, problem)
        return False
    maps = {row["participant_id"]: row["sha256_left"] for row in data.rows}
    return sorted(known["Participants"]) == sorted(maps) and known.get("InputsSHA256") == maps


def _check_same_folds(
    tree: OutputTree, model: str, participants: Sequence[str], settings: Sequence[dict[str, Any]]
) -> None:
    first = settings[0]
    for participant, own in zip(participants, settings, strict=True):
        where = tree.participant_settings(participant, model)
        other = [name for name, sha in own["Stimuli"].items() if first["Stimuli"].get(name) != sha]
        if own["HeldOutStimuli"] == first["HeldOutStimuli"] and other:
            raise InvalidInputError(
                "Participants heard different recordings under one name.",
                where=where,
                found=", ".join(other),
                wanted=f"the audio files of sub-{participants[0]}",
                remedy="run the participant level again with the same stimuli for everybody",
            )
        if own["HeldOutStimuli"] != first["HeldOutStimuli"]:
            raise InvalidInputError(
                "Participants were tested on different stimuli.",
                where=where,
                found=", ".join(own["HeldOutStimuli"]),
                wanted=", ".join(first["HeldOutStimuli"]),
                remedy="leave this participant out with --participant-label",
            )


def _row(
    participant: str, settings: dict[str, Any], paths: Sequence[Path], r: NDArray[np.float32]
) -> dict[str, Any]:
    finite = r[:, np.isfinite(r).all(axis=0)]
    return {
        "participant_id": f"sub-{participant}",
        "status": "used",
        "settings_hash": settings["SettingsHash"],
        "sha256_left": sha256_of_file(paths[0]),
        "sha256_right": sha256_of_file(paths[1]),
        "mean_r": float(finite.mean()) if finite.size else float("nan"),
        "max_r": float(finite.max()) if finite.size else float("nan"),
        "reference_vertices": settings["ReferenceVertices"],
        "n_degenerate": settings["DegenerateVertices"],
    }
