"""Whose conditions are tested over participants, with which settings and ratings."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bids_app.analyses.folder.claims import check_settings
from bids_app.analyses.folder.read import check_outputs, damaged, read_participant
from bids_app.analyses.group.collect import check_same_settings
from bids_app.config import Config, Statistics, settings_hash
from bids_app.errors import InvalidInputError, MissingInputError
from bids_app.inputs.conditions import read_rating_differences
from bids_app.inputs.estimate import check_group_memory, group_memory
from bids_app.inputs.layout import participants_there
from bids_app.inputs.locate import locate_dataset
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.plain import some_of

LOGGER = logging.getLogger("bids_app.analyses")


@dataclass(frozen=True)
class ConditionGroup:
    """What every group test of conditions shares.

    Attributes
    ----------
    participants : sequence of str
    space : str
        Mesh of the maps.
    contrasts : mapping from label to str
        As the user wrote them, by their label in file names.
    has_seed, has_target : bool
        Whether there are interactions, and lagged correlations.
    ratings : mapping from participant to float, or None
        The rating difference of those who have one.
    statistics : Statistics
    scheme : str
        Of the regression: "permutation" or "sign-flip".
    settings : mapping
        Stored with the results.
    model : str
        Label of the results.
    rows : sequence of dict
        Empty: their settings name what they rest on.
    notes : sequence of str
        Labels of the rating differences that were not taken literally, or are of nobody.
    """

    participants: Sequence[str]
    space: str
    contrasts: Mapping[str, str]
    has_seed: bool
    has_target: bool
    ratings: Mapping[str, float] | None
    statistics: Statistics
    scheme: Literal["permutation", "sign-flip"]
    settings: Mapping[str, Any]

    model: str = CONDITIONS_LABEL
    rows: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()

    @property
    def settings_hash(self) -> str:
        """Of the settings."""
        return settings_hash(dict(self.settings))

    @property
    def memory(self) -> float:
        """Bytes that one test takes."""
        return group_memory(len(self.participants), 1, self.space)


def missing_seed(group: ConditionGroup) -> str:
    """Why there are no interactions; empty where there are."""
    return "" if group.has_seed else "no seed was given"


def missing_target(group: ConditionGroup) -> str:
    """Why there are no lagged correlations; empty where there are."""
    return "" if group.has_target else "no target was given"


def plan_group(config: Config) -> ConditionGroup:
    """Choose participants, compare their settings, and read the ratings.

    Raises
    ------
    InvalidInputError, MissingInputError, BadDataError, TryAgainError
        If participants do not belong together, ratings cannot be read, the output folder holds
        results of other settings, or memory does not suffice.
    """
    tree = OutputTree(config.output_dir)
    participants = choose_participants(config)
    stored = same_condition_settings(tree, participants)
    ratings, notes = read_ratings(config)
    check_rated(config, ratings, participants)
    settings = {
        "participants": {p: stored[p]["SettingsHash"] for p in participants},
        **config.inference_settings(),
        "rating_difference": None if ratings is None else dict(sorted(ratings.items())),
        "difference_test": config.conditions.difference_test,
    }
    check_settings(tree, CONDITIONS_LABEL, settings)
    for note in notes:
        LOGGER.warning("rating difference: %s", note)
    for participant in participants:
        if ratings is not None and participant not in ratings:
            LOGGER.warning("sub-%s has no rating difference: kept out", participant)
    first = stored[participants[0]]
    group = ConditionGroup(
        participants=participants,
        space=str(first["Settings"]["space"]),
        contrasts=first["Contrasts"],
        has_seed=bool(first["Settings"]["seed"]),
        has_target=bool(first["Settings"]["target"]),
        ratings=ratings,
        statistics=config.statistics,
        scheme=config.conditions.difference_test,
        settings=settings,
        notes=notes,
    )
    check_group_memory(group.memory, config.running.memory, len(participants))
    return group


def choose_participants(config: Config) -> list[str]:
    """Participants with complete maps of conditions that pass the filters.

    Raises
    ------
    InvalidInputError
        If there are fewer than two.
    """
    tree, asked = OutputTree(config.output_dir), config.selection.participants
    there = tree.participants_of(CONDITIONS_LABEL)
    for participant in sorted(set(asked) - set(there)):
        LOGGER.warning("sub-%s has no maps of conditions: kept out of them", participant)
    chosen = [p for p in there if p in asked or not asked]
    if len(chosen) < 2:
        raise InvalidInputError(
            "A group needs at least two participants with maps of conditions.",
            where=tree.root,
            found=", ".join(f"sub-{p}" for p in chosen) or "nobody",
            wanted="two or more",
            remedy="run the participant level with --contrast for more participants",
        )
    return chosen


def read_ratings(config: Config) -> tuple[Mapping[str, float] | None, list[str]]:
    """The rating difference per participant, and notes; None where the option is not given.

    Raises
    ------
    MissingInputError, InvalidInputError
        If the table or its column is not there.
    """
    text = config.conditions.rating_difference
    if text is None:
        return None, []
    table, _, column = text.rpartition(":")
    folders, path = [config.output_dir, config.bids_dir], Path(table)
    if not table:
        raw = locate_dataset(config.bids_dir, config.derivatives).raw_dir
        if raw is None:
            raise MissingInputError(
                "There is no raw dataset to read participants.tsv from.",
                where=config.bids_dir,
                found="no raw dataset",
                wanted=f"participants.tsv with a column {column}",
                remedy="give the table: --rating-difference TABLE.tsv:COLUMN",
            )
        folders, path = [config.output_dir, raw], raw / "participants.tsv"
    there = {label for folder in folders for label in participants_there(folder)}
    notes: list[str] = []
    ratings = read_rating_differences(path, column=column, there=there, notes=notes)
    return ratings, notes


def check_rated(
    config: Config, ratings: Mapping[str, float] | None, participants: Sequence[str]
) -> None:
    """Refuse rating differences of others than the group.

    Raises
    ------
    InvalidInputError
    """
    if ratings and not set(ratings) & set(participants):
        raise InvalidInputError(
            "Nobody of the group has a rating difference.",
            where=f"--rating-difference {config.conditions.rating_difference}",
            found=f"numbers of {_some(ratings)}",
            wanted=f"numbers of {_some(participants)}",
            remedy="correct the column participant_id, or leave the option out",
        )


def _some(labels: Iterable[str]) -> str:
    """The first labels."""
    return some_of((f"sub-{label}" for label in labels), 12)


def same_condition_settings(
    tree: OutputTree, participants: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Settings files of these participants, which must agree."""
    files = {p: tree.participant_settings(p, CONDITIONS_LABEL) for p in participants}
    stored = {p: read_participant(path, Contrasts=dict) for p, path in files.items()}
    for participant, own in stored.items():
        lacking = {"seed", "target"} - set(own["Settings"])
        if lacking or not own["Contrasts"]:
            wanted = ", ".join(sorted(lacking)) or "contrasts"
            raise damaged(files[participant], "settings without", wanted)
        check_outputs(tree, own)
    check_same_settings(tree, CONDITIONS_LABEL, participants, list(stored.values()))
    return stored
