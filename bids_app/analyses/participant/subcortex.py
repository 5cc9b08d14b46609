"""Encoding models of subcortical voxels, beside those of the cortex."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.records import Record
from bids_app.analyses.folder.write import write_table
from bids_app.analyses.participant.layers import LayerFits, fit_layers
from bids_app.analyses.participant.preference import PreferenceMaps
from bids_app.analyses.participant.responses import Block, clean, cut
from bids_app.analyses.participant.voxels import VoxelReader, Voxels
from bids_app.config import Cleaning, Model, Statistics
from bids_app.features.cache import FeatureGrams
from bids_app.files import write_json
from bids_app.inputs.records import BoldRun
from bids_app.labels import safe_label
from bids_app.meshes import FSLR
from bids_app.outputs import OutputTree, map_sidecar, sidecar_of
from bids_app.preference import residual_slope
from bids_app.statistics import SIGNIFICANCE
from bids_app.surface.responses import residual_matrix
from bids_app.surface.subcortex import (
    LABEL,
    Subcortex,
    place_of,
    write_scalars,
    write_series,
)

LOGGER = logging.getLogger("bids_app.analyses")

N_VOXELS = 31_870
"""Of a 91k file, for what it takes."""
MAPS = ("r", "z", "p", "q")
FOLD_MAPS = {"r": "fold_r", "alpha": "alpha"}

COLUMNS = {
    "structure": "name of the structure",
    "hemisphere": "L or R; both where it has no side",
    "n_voxels": "voxels with a result",
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "r": "mean accuracy of its voxels: correlation of predicted and measured responses, held-out "
    "stimuli",
    "max_r": "highest accuracy of a voxel",
    "share_q05": "share of its voxels with q < .05; q over all subcortical voxels, per layer",
    "slope": "mean residual slope of its voxels, the same in all its rows, with the reference "
    "profile of the cortex; n/a without one",
}

UNEVEN = "; volumes are missing: StimulusTimes are right, not the equal steps that the file tells"


@dataclass(frozen=True, eq=False)
class SubcorticalFits:
    """What is found in the subcortical voxels of a participant.

    Attributes
    ----------
    subcortex : Subcortex
    fits : LayerFits
        Voxels in the place of vertices.
    blocks : sequence of Block
        Cleaned responses.
    """

    subcortex: Subcortex
    fits: LayerFits
    blocks: Sequence[Block]


def subcortical_responses(
    runs: Sequence[BoldRun], cleaning: Cleaning, voxels: Voxels
) -> tuple[Subcortex, list[Block]]:
    """Cleaned responses of the subcortical voxels: as of the cortex, smoothed within structures.

    Raises
    ------
    MissingInputError, BadDataError
        As of `VoxelReader`.
    """
    read = VoxelReader(voxels, cleaning)
    blocks: list[Block] = []
    for run in runs:
        data = read(run)
        cleaned = clean(data)
        projection = residual_matrix(data.confounds.values, data.drift, n_dummy=run.n_dummy)
        blocks += [
            cut(run, one, cleaned.values, projection, cleaning.high_pass)
            for one in run.presentations
        ]
    assert read.known is not None
    return read.known, blocks


def fit_subcortex(
    record: Record,
    grams: FeatureGrams,
    runs: Sequence[BoldRun],
    cleaning: Cleaning,
    model: Model,
    statistics: Statistics,
    n_threads: int,
) -> SubcorticalFits:
    """Encoding models of all layers of one feature space at the subcortical voxels."""
    LOGGER.info("sub-%s: subcortex (model-%s)", record.participant, record.model)
    subcortex, blocks = subcortical_responses(runs, cleaning, Voxels.of(model))
    fits = fit_layers(
        grams,
        blocks,
        layers=record.settings["layers"],
        model=model,
        statistics=statistics,
        high_pass=cleaning.high_pass,
        n_threads=n_threads,
    )
    return SubcorticalFits(subcortex, fits, blocks)


def map_path(tree: OutputTree, participant: str, space: str = FSLR, **entities: str) -> Path:
    """A map of a participant's subcortical voxels."""
    named = {"desc": LABEL, **entities}
    return tree.participant_file(participant, "statmap.dscalar.nii", **place_of(space), **named)


def table_path(tree: OutputTree, participant: str, model: str) -> Path:
    """The table of structures of a participant."""
    return tree.participant_file(participant, "summary.tsv", model=model, desc=LABEL)


def series_path(
    tree: OutputTree, participant: str, place: Mapping[str, str], space: str = FSLR
) -> Path:
    """Cleaned responses of a participant's subcortical voxels to a presentation."""
    named = {k: v for k, v in place.items() if k not in ("sub", "hemi", "space", "den", "desc")}
    named["desc"] = LABEL
    return tree.participant_file(participant, "bold.dtseries.nii", **place_of(space), **named)


def planned_files(
    tree: OutputTree, participant: str, model: str, folds: Sequence[str], space: str, *, slope: bool
) -> Iterator[Path]:
    """Maps and table of a participant, besides sidecars."""
    named = {"model": model, "space": space}
    for stat in (*MAPS, *(["slope"] if slope else [])):
        yield map_path(tree, participant, stat=stat, **named)
    for held in folds:
        for stat in FOLD_MAPS:
            yield map_path(tree, participant, stat=stat, stim=safe_label(held), **named)
    yield table_path(tree, participant, model)


def write_subcortex(
    tree: OutputTree,
    record: Record,
    found: SubcorticalFits,
    preference: PreferenceMaps | None,
    common: Mapping[str, Any],
    places: Sequence[Mapping[str, str]],
) -> list[Path]:
    """Maps, cleaned responses and the table of structures of a participant.

    Parameters
    ----------
    tree : OutputTree
    record : Record
    found : SubcorticalFits
    preference : PreferenceMaps or None
        Of the cortex, whose reference profile counts.
    common : mapping
        Fields that the sidecars of all maps share.
    places : sequence of mapping
        Place in file names of every block.

    Returns
    -------
    list of Path
        Every file written.
    """
    fits, subcortex, who = found.fits, found.subcortex, record.participant
    written: list[Path] = []

    def write(
        values: NDArray[np.floating], names: Sequence[str], stat: str, **entities: str
    ) -> None:
        path = map_path(tree, who, subcortex.space, model=record.model, stat=stat, **entities)
        written.append(write_scalars(path, values, names, subcortex))
        told = {**common, "Smoothing": "within structures"}
        written.append(write_json(sidecar_of(path), map_sidecar(stat, list(names), **told)))

    for stat in MAPS:
        write(getattr(fits, stat), fits.layer_names, stat)
    for number, held in enumerate(fits.fold_stimuli):
        for stat, name in FOLD_MAPS.items():
            write(getattr(fits, name)[:, number], fits.layer_names, stat, stim=safe_label(held))
    slope = np.full(fits.r.shape[1], np.nan)
    if preference is not None:
        if preference.reference:
            depth, model = (record.settings[name] for name in ("layer_depth", "slope_model"))
            profiles = fits.r.astype(np.float64)
            slope = residual_slope(profiles, depth, preference.reference, model)
        write(slope[np.newaxis], ["slope"], "slope")
    for block, place in zip(found.blocks, places, strict=True):
        path = series_path(tree, who, place, subcortex.space)
        written.append(write_series(path, block.values, block.times[0], block.tr, subcortex))
        told = {
            "Description": "confounds and drift regressed out, smoothed within structures; volumes "
            "with music only, subcortical voxels only"
            + ("" if np.allclose(np.diff(block.times), block.tr) else UNEVEN),
            "TaskName": place.get("task", ""),
            "RepetitionTime": block.tr,
            "Stimulus": block.stimulus,
            "StimulusTimes": block.times,
            "Sources": list(record.run_sources.get(block.run, record.sources)),
        }
        written.append(write_json(sidecar_of(path), told))
    rows = structure_rows(subcortex, fits, slope)
    told = {"Sources": list(common["Sources"])}
    written += write_table(table_path(tree, who, record.model), COLUMNS, rows, told)
    return written


def structure_rows(
    subcortex: Subcortex, fits: LayerFits, slope: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """One row per structure and layer."""
    atlas, rows = subcortex.atlas, []
    for number, name in atlas.names.items():
        inside = (atlas.regions == number) & np.isfinite(fits.r).all(axis=0)
        there = inside & np.isfinite(slope)
        told = {
            "structure": name,
            "hemisphere": atlas.hemispheres[number],
            "n_voxels": int(inside.sum()),
        }
        mean_slope = float(slope[there].mean()) if there.any() else float("nan")
        for layer, layer_name in enumerate(fits.layer_names):
            r, q = fits.r[layer, inside], fits.q[layer, inside]
            nothing = float("nan")
            rows.append(
                {
                    **told,
                    "layer": layer + 1,
                    "name": layer_name,
                    "r": float(r.mean(dtype=np.float64)) if r.size else nothing,
                    "max_r": float(r.max()) if r.size else nothing,
                    "share_q05": float((q < SIGNIFICANCE).mean()) if r.size else nothing,
                    "slope": mean_slope,
                }
            )
    return rows
