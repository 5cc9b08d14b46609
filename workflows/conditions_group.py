"""Conditions at the group level: builder and run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nipype.interfaces.utility import Merge
from nipype.pipeline import engine as pe

from bids_app.config import Config, settings_difference, settings_hash
from bids_app.errors import InvalidInputError, MissingInputError
from bids_app.inputs.conditions import read_rating_differences
from bids_app.inputs.locate import locate_dataset
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.status import Status

from .base import raise_failure, run_workflow
from .completion import check_settings
from .condition_inference import KINDS, ConditionGroup
from .conditions import STATUS_ROW
from .interfaces.conditions_group import FinishConditions, InferConditionLags, InferConditionMaps
from .stored import check_outputs, damaged, read_participant

LOGGER = logging.getLogger("bids_app.workflows")


def run_conditions_group(config: Config, run_id: str) -> Status:
    """Test the contrasts of conditions in the output folder over participants.

    Raises
    ------
    MusencError
        If participants do not belong together, ratings cannot be read, or a step failed.
    """
    tree = OutputTree(config.output_dir)
    participants = choose_participants(config)
    stored = _same_settings(tree, participants)
    status = Status(run_id, "group")
    for label in tree.unfinished(CONDITIONS_LABEL):
        reason = "its maps of conditions are not complete: there is no settings file"
        LOGGER.warning("sub-%s is left out: %s", label, reason)
        status.add(label, STATUS_ROW, "skipped", reason)
    ratings = read_ratings(config)
    settings = {
        "participants": {p: stored[p]["SettingsHash"] for p in participants},
        "n_permutations": config.statistics.n_permutations,
        "random_seed": config.statistics.random_seed,
        "rating_difference": None if ratings is None else dict(sorted(ratings.items())),
        "difference_test": config.conditions.difference_test,
    }
    check_settings(tree, CONDITIONS_LABEL, settings)
    if ratings is not None:
        for participant in participants:
            if participant not in ratings:
                LOGGER.warning("sub-%s has no rating difference: kept out", participant)
    first = stored[participants[0]]
    group = ConditionGroup(
        participants=participants,
        space=str(first["Settings"]["space"]),
        ratings=ratings,
        settings_hash=settings_hash(settings),
        n_permutations=config.statistics.n_permutations,
        seed=config.statistics.random_seed,
        scheme=config.conditions.difference_test,
        n_threads=config.running.n_procs,
    )
    workflow = init_conditions_group_wf(group, first, settings, config=config)
    failures = run_workflow(workflow, config, run_id)
    if failures:
        raise_failure(failures[0])
    for participant in participants:
        status.add(participant, STATUS_ROW, "done")
    status.write(tree.status(run_id))
    return status


def init_conditions_group_wf(
    group: ConditionGroup,
    stored: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    config: Config,
) -> pe.Workflow:
    """Tests of every contrast -> tables and page.

    Parameters
    ----------
    group : ConditionGroup
    stored : mapping
        A participant's settings file: which contrasts, seed and target there are.
    settings : mapping
        Group settings, stored with the results.
    config : Config

    Outputs
    -------
    None; the results are in ``config.output_dir``.
    """
    tree = OutputTree(config.output_dir)
    common: dict[str, Any] = {
        "output_dir": str(config.output_dir),
        "group": group,
        "verbosity": config.running.verbosity,
    }
    files = [str(tree.condition_settings(p)) for p in group.participants]
    seed, target = (stored["Settings"][name] for name in ("seed", "target"))
    tests = []
    for label, contrast in stored["Contrasts"].items():
        told = {"label": label, "contrast": contrast, "files": files}
        tests += [
            pe.Node(
                InferConditionMaps(desc=desc, **told, **common),
                name=f"{KINDS[desc]}_{label}",
                n_procs=config.running.n_procs,
            )
            for desc in (KINDS if seed else ("",))
        ]
        if target:
            tests.append(pe.Node(InferConditionLags(**told, **common), name=f"lags_{label}"))
    outcomes = pe.Node(Merge(len(tests)), name="outcomes")
    finish = pe.Node(FinishConditions(settings=dict(settings), **common), name="finish")
    workflow = pe.Workflow(name="conditions_group_wf")
    for k, test in enumerate(tests, start=1):
        workflow.connect(test, "outcome_file", outcomes, f"in{k}")
    workflow.connect(outcomes, "out", finish, "outcome_files")
    return workflow


def choose_participants(config: Config) -> list[str]:
    """Participants with complete maps of conditions that pass the filters.

    Raises
    ------
    InvalidInputError
        If there are fewer than two.
    """
    tree, asked = OutputTree(config.output_dir), config.selection.participants
    there = tree.participants_with_conditions()
    for participant in sorted(set(asked) - set(there)):
        LOGGER.warning("sub-%s has no maps of conditions: kept out of them", participant)
    chosen = [p for p in there if p in asked or not asked]
    if len(chosen) < 2:
        raise InvalidInputError(
            "A group needs at least two participants with maps of conditions.",
            where=tree.root,
            found=", ".join(f"sub-{p}" for p in chosen) or "nobody",
            remedy="run the participant level with --contrast for more participants",
        )
    return chosen


def read_ratings(config: Config) -> Mapping[str, float] | None:
    """The rating difference per participant; None where the option is not given.

    Raises
    ------
    MissingInputError, InvalidInputError
        If the table or its column is not there.
    """
    text = config.conditions.rating_difference
    if text is None:
        return None
    table, _, column = text.rpartition(":")
    if table:
        return read_rating_differences(Path(table), column=column)
    raw = locate_dataset(config.bids_dir, config.derivatives).raw_dir
    if raw is None:
        raise MissingInputError(
            "There is no raw dataset to read participants.tsv from.",
            where=config.bids_dir,
            wanted=f"participants.tsv with a column {column}",
            remedy="give the table: --rating-difference TABLE.tsv:COLUMN",
        )
    return read_rating_differences(raw / "participants.tsv", column=column)


def _same_settings(tree: OutputTree, participants: Sequence[str]) -> dict[str, dict[str, Any]]:
    stored = {p: read_participant(tree.condition_settings(p), Contrasts=dict) for p in participants}
    for participant, own in stored.items():
        lacking = {"seed", "target"} - set(own["Settings"])
        if lacking or not own["Contrasts"]:
            wanted = ", ".join(sorted(lacking)) or "contrasts"
            raise damaged(tree.condition_settings(participant), "settings without", wanted)
        check_outputs(tree, own)
    first = stored[participants[0]]
    for participant, own in stored.items():
        if own["SettingsHash"] != first["SettingsHash"]:
            raise InvalidInputError(
                "Participants were analyzed with different settings.",
                where=tree.condition_settings(participant),
                found="; ".join(settings_difference(first["Settings"], own["Settings"]))
                or f"the same settings, but SettingsHash {own['SettingsHash']}",
                wanted="the same settings for everybody",
                remedy="run the participant level again for this participant",
            )
    return stored
