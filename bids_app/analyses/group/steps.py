"""The steps from participants' maps to group maps, tables and page, in the order of the data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_app.analyses.group.accuracy import (
    GroupAccuracy,
    GroupPreference,
    group_accuracy,
    group_preference,
)
from bids_app.analyses.group.alignment import AlignmentReport, Gradient, align, load_gradient
from bids_app.analyses.group.collect import GroupData, load_fold_maps, load_group
from bids_app.analyses.group.isc import IscOutcome, group_isc
from bids_app.analyses.group.music_null import MusicNull, group_music_null
from bids_app.analyses.group.parcels import AtlasSummary, summarize_atlas
from bids_app.analyses.group.write import write_group
from bids_app.analyses.participant.preference import preference_missing
from bids_app.config import Statistics
from bids_app.outputs import OutputTree
from bids_app.report import write_group_report
from bids_app.surface.atlas import read_atlas

LOGGER = logging.getLogger("bids_app.analyses")


def collect(tree: OutputTree, model: str, participants: Sequence[str]) -> GroupData:
    """Accuracy maps of all participants."""
    LOGGER.info("group: reading %d participants", len(participants))
    return load_group(tree, model, participants)


def infer_accuracy(
    data: GroupData, atlas: str, statistics: Statistics, n_threads: int
) -> GroupAccuracy:
    """Group accuracy; the atlas, if any, names the peaks of clusters."""
    LOGGER.info("group: accuracy and layer preference")
    return group_accuracy(
        data,
        atlas=read_atlas(atlas, data.r.shape[2]) if atlas else None,
        n_permutations=statistics.n_permutations,
        seed=statistics.random_seed,
        n_threads=n_threads,
    )


def infer_preference(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    statistics: Statistics,
    n_threads: int,
) -> GroupPreference | None:
    """Layer preference over participants; None where the model has too few layers."""
    return group_preference(
        data,
        load_fold_maps(tree, data, "r"),
        accuracy,
        n_permutations=statistics.n_permutations,
        seed=statistics.random_seed,
        n_threads=n_threads,
    )


def align_with_gradients(
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference | None,
    gradients: Sequence[str],
    statistics: Statistics,
    n_threads: int,
) -> list[tuple[Gradient, AlignmentReport]]:
    """Alignment of layer preference with every gradient."""
    if preference is None:
        reason = preference_missing(len(data.layer_names))
        LOGGER.info("group: model-%s is not aligned with a gradient: %s", data.model, reason)
        return []
    aligned = []
    for option in gradients:
        LOGGER.info("group: alignment with %s, %d rotations", option, statistics.n_spins)
        gradient = load_gradient(option, data.space)
        report = align(
            data,
            accuracy,
            preference,
            gradient.values,
            n_spins=statistics.n_spins,
            method=statistics.spin_method,
            seed=statistics.random_seed,
            n_threads=n_threads,
        )
        LOGGER.info("group: %s", report.statement)
        aligned.append((gradient, report))
    return aligned


def correlate_participants(
    tree: OutputTree, data: GroupData, folder: Path, statistics: Statistics
) -> IscOutcome:
    """Inter-subject correlation of the cleaned responses."""
    LOGGER.info("group: inter-subject correlation")
    outcome = group_isc(
        tree,
        data.participants,
        data.stimuli,
        folder,
        space=data.space,
        seed=statistics.random_seed,
    )
    for reason in outcome.reasons:
        LOGGER.warning("group: left out of the inter-subject correlation: %s", reason)
    return outcome


def infer_over_music(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    cache_dir: Path,
    folder: Path,
    statistics: Statistics,
    n_threads: int,
) -> MusicNull:
    """Null of the group accuracy over music."""
    LOGGER.info("group: null over music")
    outcome = group_music_null(
        tree,
        data,
        accuracy.mean_r,
        cache_dir,
        folder,
        seed=statistics.random_seed,
        n_threads=n_threads,
    )
    for reason in outcome.reasons:
        LOGGER.warning("group: no null over music: %s", reason)
    return outcome


def summarize_atlases(
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference | None,
    options: Sequence[str],
    statistics: Statistics,
) -> list[AtlasSummary]:
    """Accuracy and preference per region of every atlas."""
    return [
        summarize_atlas(
            data,
            accuracy,
            preference,
            read_atlas(option, data.r.shape[2]),
            n_permutations=statistics.n_permutations,
            seed=statistics.random_seed,
        )
        for option in options
    ]


def write_results(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference | None,
    alignments: Sequence[tuple[Gradient, AlignmentReport]],
    synchrony: IscOutcome,
    music: MusicNull,
    atlases: Sequence[AtlasSummary],
    settings: Mapping[str, Mapping[str, Any]],
    rating_files: Sequence[Sequence[Path]] = (),
) -> list[Path]:
    """Group maps, tables and page; `rating_files` are written before the page shows them."""
    files = write_group(
        tree, data, accuracy, preference, alignments, synchrony, music, atlases, settings
    )
    n_files = len(files) + sum(map(len, rating_files))
    LOGGER.info("group: %d files written, drawing the report", n_files)
    return [*files, write_group_report(tree.root)]
