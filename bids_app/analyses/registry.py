"""The group analyses, one row each with its functions to compute, write and show."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bids_app.analyses.conditions.group import CONTRAST, INTERACTION, PEOPLE
from bids_app.analyses.conditions.group_lags import LAGS
from bids_app.analyses.conditions.group_plan import ConditionGroup
from bids_app.analyses.conditions.voxels import CONDITION_VOXELS
from bids_app.analyses.declare import Settings
from bids_app.analyses.folder.claims import check_settings
from bids_app.analyses.folder.read import (
    NOT_AS_WRITTEN,
    broken_outputs,
    read_completed,
    read_record,
)
from bids_app.analyses.group.accuracy import ACCURACY
from bids_app.analyses.group.analysis import GroupAnalysis, call
from bids_app.analyses.group.beyond import BEYOND
from bids_app.analyses.group.beyond_slope import BEYOND_ALIGNMENTS, BEYOND_SLOPES
from bids_app.analyses.group.ceiling import CEILING
from bids_app.analyses.group.claims import write_claims
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.differences import DIFFERENCES
from bids_app.analyses.group.heard import HEARD
from bids_app.analyses.group.isc import SYNCHRONY
from bids_app.analyses.group.joint_models import JOINT_MODELS
from bids_app.analyses.group.lag_scans import LAG_SCANS
from bids_app.analyses.group.motion import MOTION
from bids_app.analyses.group.music_null import MUSIC
from bids_app.analyses.group.music_preference import MUSIC_PREFERENCE
from bids_app.analyses.group.networks import write_network_tables
from bids_app.analyses.group.parcels import ATLASES
from bids_app.analyses.group.preference import PREFERENCE
from bids_app.analyses.group.prevalence import PREVALENCE
from bids_app.analyses.group.subcortex import SUBCORTEX
from bids_app.analyses.group.twins import TWINS
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.group.write_alignment import ALIGNMENTS
from bids_app.analyses.group.write_own import OWN
from bids_app.analyses.ratings.voxels import RATING_VOXELS
from bids_app.analyses.ratings.write_group import RATING_MAPS, RATING_SCORES
from bids_app.config import Config, Statistics, settings_hash
from bids_app.errors import BadDataError, UsageError
from bids_app.outputs import OutputTree, labeled
from bids_app.report.group import Shown, write_group_page
from bids_app.report.networks import networks_section
from bids_app.report.side_by_side import models_section

LOGGER = logging.getLogger("bids_app.analyses")

GroupSettings = dict[tuple[str, str], Settings]
"""By label of the model, empty for the encoding model, and by description."""

GROUP_ANALYSES = (
    HEARD,
    ACCURACY,
    CEILING,
    MUSIC,
    PREVALENCE,
    BEYOND,
    BEYOND_SLOPES,
    BEYOND_ALIGNMENTS,
    PREFERENCE,
    MUSIC_PREFERENCE,
    ALIGNMENTS,
    TWINS,
    DIFFERENCES,
    ATLASES,
    SUBCORTEX,
    SYNCHRONY,
    MOTION,
    JOINT_MODELS,
    LAG_SCANS,
    RATING_MAPS,
    RATING_VOXELS,
    RATING_SCORES,
)
"""In the order of the page; a step runs when the results that it takes are there."""

CONDITION_ANALYSES = (PEOPLE, CONTRAST, INTERACTION, LAGS, CONDITION_VOXELS)
"""Of conditions: ``group`` says whose (a `ConditionGroup`); what takes the ``label`` of a contrast
is done for every one."""

STUDY_ANALYSES = (OWN,)
"""Of the study as a whole, done before its models."""

NETWORKS = Shown(sections=(networks_section,), once=True, alone=True)
"""Of all group maps together: it belongs to no analysis."""

MODELS = Shown(sections=(models_section,), once=True)
"""Of all models together."""


def group_settings(config: Config) -> GroupSettings:
    """Settings of every analysis.

    Raises
    ------
    MissingInputError, UsageError
        If a file is not there, or two gradients or atlases have the same name.
    """
    found: GroupSettings = {}
    for row in GROUP_ANALYSES:
        settings = row.settings(config)
        labels = [label for label, _ in settings]
        twice = {label for label in labels if labels.count(label) > 1}
        if twice:
            raise UsageError(
                "Two gradients or atlases have the same name.",
                where=row.option,
                found=", ".join(twice) or "the default gradient",
                wanted="a name for each",
                remedy=f"give each once, files with names of their own: {row.option} "
                "NAME=LEFT,RIGHT",
            )
        found |= {(row.model, labeled(row.desc, label)): own for label, own in settings}
    return found


def check_group_settings(tree: OutputTree, models: Iterable[str], settings: GroupSettings) -> None:
    """Refuse an analysis that the folder has of other settings.

    Raises
    ------
    InvalidInputError
        With what differs.
    """
    options = {row.desc: row.option for row in GROUP_ANALYSES if row.option}
    for model in models:
        for (label, desc), own in settings.items():
            kind = next((given for start, given in options.items() if desc.startswith(start)), "")
            check_settings(tree, label or model, dict(own), desc=desc, option=kind)


def left_behind(
    tree: OutputTree, model: str, participants: Sequence[str], settings: GroupSettings
) -> dict[str, str]:
    """Results of other gradients and atlases that rest on other participants, and on whom.

    Returns
    -------
    dict of str to str
        Description to participants.
    """
    wanted = sorted(f"sub-{label}" for label in participants)
    found = {}
    for row in GROUP_ANALYSES:
        for label in tree.group_labels(model, row.desc) if row.option else ():
            desc = labeled(row.desc, label)
            before = _people_of(tree.group_table("settings.json", model=model, desc=desc))
            if ("", desc) not in settings and sorted(before) != wanted:
                found[desc] = ", ".join(before)
    return found


def check_left_behind(tree: OutputTree, model: str, settings: GroupSettings) -> None:
    """Whether results of other gradients and atlases, which the page shows, are as written.

    Raises
    ------
    MissingInputError, BadDataError
    """
    for row in GROUP_ANALYSES:
        for label in tree.group_labels(model, row.desc) if row.option else ():
            desc = labeled(row.desc, label)
            if ("", desc) in settings:
                continue
            path = tree.group_table("settings.json", model=model, desc=desc)
            again = (
                f"give {row.option} again for it, and it is computed again; or delete {path.name}, "
                "and it is shown no more"
            )
            try:
                known = read_completed(path)
            except BadDataError as error:
                raise BadDataError(
                    error.what, where=path, found=error.found, wanted=error.wanted, remedy=again
                ) from error
            for file, problem, _ in broken_outputs(tree, known):
                raise BadDataError(
                    NOT_AS_WRITTEN,
                    where=file,
                    found=problem,
                    wanted="a file with the checksum in the settings file",
                    remedy=again,
                )


def choose_analyses(
    tree: OutputTree,
    model: str,
    participants: Sequence[str],
    config: Config,
    *,
    first: bool = True,
    others: bool = False,
) -> tuple[list[GroupAnalysis], list[str]]:
    """Analyses that the folder has inputs for, and why others are not done.

    Those that belong to no encoding model are done with the first one, and those that rest on no
    accuracy not again with the `others`' weights.
    """
    given = {"tree": tree, "model": model, "participants": participants, "config": config}
    rows, notes = [], []
    for row in GROUP_ANALYSES:
        if (row.model and not first) or (others and not row.of_weights):
            continue
        if reason := call(row.missing, given | {"row": row}):
            notes.append(reason)
        else:
            rows.append(row)
    return rows, list(dict.fromkeys(notes))


def write_results(
    tree: OutputTree,
    data: GroupData | ConditionGroup,
    names: Sequence[str],
    results: Sequence[Any],
    settings: GroupSettings,
    statistics: Statistics,
) -> list[Path]:
    """Write what the analyses of these `names` found; returns every file.

    Analyses that share a settings file are complete together: it comes last.
    """
    rows = {row.name: row for row in (*GROUP_ANALYSES, *CONDITION_ANALYSES)}
    given = dict(zip(names, results, strict=True))
    given |= {"data": data, "group": data, "results": results}
    parts: dict[tuple[str, str], list[tuple[GroupAnalysis, str, Any]]] = {}
    for name, found in zip(names, results, strict=True):
        row = rows[name]
        for label, result in (found if row.option else {"": found}).items():
            parts.setdefault((row.model, labeled(row.desc, label)), []).append((row, label, result))
    files: list[Path] = []
    for key, together in parts.items():
        row, label, result = together[0]
        if all(result is None for _, _, result in together):
            continue
        source = getattr(result, row.people) if row.people else data
        also = call(row.inputs, given | {"label": label})
        writer = GroupWriter(tree, source, settings[key], desc=row.desc, label=label, also=also)
        writer.begin()
        told: dict[str, Any] = {}
        if row.option:
            told["Inference"] = settings_hash(dict(settings["", ""]))
        for part, _, found in together:
            own = given | {"writer": writer, "result": found}
            reads = getattr(found, "reads", part.reads)
            reads = reads(writer.model) if callable(reads) else reads
            of_features = getattr(found, "of_features", part.of_features)
            writer.rest_on(reads, of_features=of_features)
            writer.outputs(part.outputs, found, own)
            if part.write is not None and found is not None:
                call(part.write, own)
            told |= call(part.details, own) if part.details else {}
        writer.finish(**told)
        files += writer.written
    files += write_claims(tree.root)
    files += write_network_tables(tree, statistics)
    LOGGER.info("group: %d files written, drawing the report", len(files))
    return files


def write_group_report(output_dir: Path, written: Sequence[Path] = ()) -> Path:
    """Write ``group.html`` from the files of an output folder, as those just `written`."""
    rows = (*GROUP_ANALYSES, *STUDY_ANALYSES, *CONDITION_ANALYSES)
    return write_group_page(output_dir, [*(row.page for row in rows), NETWORKS, MODELS])


def _people_of(path: Path) -> list[str]:
    """Who the result is of that a settings file marks as complete."""
    return read_record(path, Participants=list)["Participants"] if path.is_file() else []
