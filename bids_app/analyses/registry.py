"""The group analyses, one row each: computed, written, told apart and shown by their rows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bids_app.analyses.conditions.group import (
    CONDITION_OUTPUTS,
    infer_contrast,
    infer_interaction,
    list_people,
    write_condition_maps,
)
from bids_app.analyses.conditions.group_lags import infer_lags, write_lags
from bids_app.analyses.conditions.group_plan import ConditionGroup, missing_seed, missing_target
from bids_app.analyses.declare import Settings
from bids_app.analyses.folder.claims import check_settings
from bids_app.analyses.folder.read import read_record
from bids_app.analyses.group.accuracy import (
    ACCURACY_OUTPUTS,
    group_accuracy,
    told_of_accuracy,
    write_clusters,
)
from bids_app.analyses.group.alignment import align_with_gradients, alignment_settings
from bids_app.analyses.group.analysis import GroupAnalysis, call
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.isc import ISC_OUTPUTS, group_isc
from bids_app.analyses.group.music_null import MUSIC_OUTPUTS, group_music_null
from bids_app.analyses.group.parcels import (
    parcel_settings,
    summarize_atlases,
    told_of_parcels,
    write_atlas,
)
from bids_app.analyses.group.preference import (
    PREFERENCE_OUTPUTS,
    group_preference,
    told_of_preference,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.group.write_alignment import told_of_alignment, write_alignment
from bids_app.analyses.ratings.group import (
    infer_rating_maps,
    infer_rating_scores,
    missing_rating_maps,
    missing_rating_scores,
)
from bids_app.analyses.ratings.write_group import (
    told_of_ratings,
    write_rating_maps,
    write_rating_scores,
)
from bids_app.config import Config, settings_hash
from bids_app.errors import UsageError
from bids_app.outputs import (
    ALIGNMENT_DESC,
    CONDITIONS_LABEL,
    EMOTION_LABEL,
    PARCELS_DESC,
    RATINGS_DESC,
    OutputTree,
    labeled,
)
from bids_app.report.conditions import group_conditions
from bids_app.report.extras import clusters_section, emotion_section, isc_section
from bids_app.report.group import (
    Shown,
    alignment_sections,
    tell_accuracy,
    tell_alignment,
    tell_music,
    write_group_page,
)
from bids_app.report.group_maps import accuracy_section, preference_section
from bids_app.report.parcels import regions_section

LOGGER = logging.getLogger("bids_app.analyses")

GroupSettings = dict[tuple[str, str], Settings]
"""By label of the model, empty for the encoding model, and by description."""

GROUP_ANALYSES = (
    GroupAnalysis(
        "accuracy",
        group_accuracy,
        ACCURACY_OUTPUTS,
        write_clusters,
        told_of_accuracy,
        page=Shown(tell_accuracy, (accuracy_section,), appendix=(clusters_section,)),
    ),
    GroupAnalysis("music", group_music_null, MUSIC_OUTPUTS, page=Shown(tell_music)),
    GroupAnalysis(
        "preference",
        group_preference,
        PREFERENCE_OUTPUTS,
        details=told_of_preference,
        page=Shown(sections=(preference_section,)),
    ),
    GroupAnalysis(
        "alignments",
        align_with_gradients,
        write=write_alignment,
        details=told_of_alignment,
        desc=ALIGNMENT_DESC,
        settings=alignment_settings,
        option="--gradient",
        page=Shown(tell_alignment, (alignment_sections,)),
    ),
    GroupAnalysis(
        "atlases",
        summarize_atlases,
        write=write_atlas,
        details=told_of_parcels,
        desc=PARCELS_DESC,
        settings=parcel_settings,
        option="--atlas",
        page=Shown(sections=(regions_section,)),
    ),
    GroupAnalysis(
        "synchrony", group_isc, ISC_OUTPUTS, page=Shown(sections=(isc_section,), once=True)
    ),
    GroupAnalysis(
        "rating_maps",
        infer_rating_maps,
        write=write_rating_maps,
        details=told_of_ratings,
        model=EMOTION_LABEL,
        people="group",
        missing=missing_rating_maps,
        page=Shown(sections=(emotion_section,), once=True),
    ),
    GroupAnalysis(
        "rating_scores",
        infer_rating_scores,
        write=write_rating_scores,
        details=told_of_ratings,
        desc=RATINGS_DESC,
        people="group",
        missing=missing_rating_scores,
        page=Shown(sections=(emotion_section,), once=True),
    ),
)
"""In the order of the page; a step runs when the results that it takes are there."""

CONDITION_ANALYSES = (
    GroupAnalysis(
        "people",
        list_people,
        CONDITION_OUTPUTS,
        model=CONDITIONS_LABEL,
        page=Shown(sections=(group_conditions,), once=True, alone=True),
    ),
    GroupAnalysis("contrast", infer_contrast, write=write_condition_maps, model=CONDITIONS_LABEL),
    GroupAnalysis(
        "interaction",
        infer_interaction,
        write=write_condition_maps,
        model=CONDITIONS_LABEL,
        missing=missing_seed,
    ),
    GroupAnalysis(
        "lags", infer_lags, write=write_lags, model=CONDITIONS_LABEL, missing=missing_target
    ),
)
"""Of conditions: ``group`` says whose (a `ConditionGroup`); what takes the ``label`` of a contrast
is done for every one."""


def group_settings(config: Config) -> GroupSettings:
    """Settings of every analysis.

    Raises
    ------
    MissingInputError, UsageError
        If a file is not there, or two gradients or atlases have the same name.
    """
    found: GroupSettings = {}
    for row in GROUP_ANALYSES:
        labels = [label for label, _ in row.settings(config)]
        twice = {label for label in labels if labels.count(label) > 1}
        if twice:
            raise UsageError(
                f"Two of {row.option} have the same name.",
                found=", ".join(twice) or "the default gradient",
                remedy=f"give each once, files with names of their own: {row.option} "
                "NAME=LEFT,RIGHT",
            )
        found |= {(row.model, labeled(row.desc, label)): own for label, own in row.settings(config)}
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


def choose_analyses(
    tree: OutputTree, model: str, participants: Sequence[str], config: Config, *, first: bool
) -> tuple[list[GroupAnalysis], list[str]]:
    """Analyses that the folder has inputs for, and why others are not done.

    Those that belong to no encoding model are done with the first one.
    """
    given = {"tree": tree, "model": model, "participants": participants, "config": config}
    rows, notes = [], []
    for row in GROUP_ANALYSES:
        if row.model and not first:
            continue
        if reason := call(row.missing, given):
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
) -> list[Path]:
    """Write what the analyses of these `names` found; returns every file.

    Analyses that share a settings file are complete together: it comes last.
    """
    rows = {row.name: row for row in (*GROUP_ANALYSES, *CONDITION_ANALYSES)}
    given = {"data": data, "results": results, **dict(zip(names, results, strict=True))}
    given["group"] = data
    if ("", "") in settings:
        given["inference"] = settings_hash(dict(settings["", ""]))
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
        writer = GroupWriter(tree, source, settings[key], desc=row.desc, label=label)
        given["previous"] = _people_of(writer.done)
        writer.begin()
        told: dict[str, Any] = {}
        for row, _, result in together:
            mine = given | {"writer": writer, "result": result}
            writer.outputs(row.outputs, result, mine)
            if row.write is not None and result is not None:
                call(row.write, mine)
            told |= call(row.details, mine) if row.details else {}
        writer.finish(**told)
        files += writer.written
    LOGGER.info("group: %d files written, drawing the report", len(files))
    return files


def write_group_report(output_dir: Path, written: Sequence[Path] = ()) -> Path:
    """Write ``group.html`` from the files of an output folder, as those just `written`."""
    rows = (*GROUP_ANALYSES, *CONDITION_ANALYSES)
    return write_group_page(output_dir, [row.page for row in rows])


def _people_of(path: Path) -> list[str]:
    """Who the result is of that a settings file marks as complete."""
    return read_record(path, Participants=list)["Participants"] if path.is_file() else []
