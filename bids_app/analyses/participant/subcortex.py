"""Encoding models of the subcortical voxels of CIFTI files, beside those of the cortex."""

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
from bids_app.analyses.participant.responses import (
    Block,
    RunData,
    cut,
    nuisance_of,
    regress_out,
)
from bids_app.config import Cleaning, Model, Statistics
from bids_app.errors import BadDataError, MissingInputError
from bids_app.features.cache import FeatureGrams
from bids_app.files import write_json
from bids_app.inputs.files import content_problem
from bids_app.inputs.records import BoldRun
from bids_app.outputs import OutputTree, map_sidecar, safe_label, sidecar_of
from bids_app.preference import residual_slope
from bids_app.statistics import SIGNIFICANCE
from bids_app.surface.mesh import load_mesh
from bids_app.surface.responses import residual_matrix
from bids_app.surface.subcortex import (
    LABEL,
    Subcortex,
    read_subcortex,
    smooth_within,
    write_scalars,
    write_series,
)

LOGGER = logging.getLogger("bids_app.analyses")

N_VOXELS = 31_870
"""Of a 91k file, for what it takes."""
PLACE = {"space": "fsLR", "den": "91k", "desc": LABEL}
"""Of its files in names."""
MAPS = ("r", "z", "p", "q")
FOLD_MAPS = {"r": "fold_r", "alpha": "alpha"}
_SHOWN = 6

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


def check_grayordinates(runs: Sequence[BoldRun]) -> None:
    """Whether every run has its CIFTI series.

    Raises
    ------
    MissingInputError
    """
    lacking = [run.label for run in runs if run.grayordinates is None]
    gone = [
        f"{run.label} ({problem})"
        for run in runs
        if run.grayordinates is not None and (problem := content_problem(run.grayordinates))
    ]
    if found := [*lacking, *gone]:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise MissingInputError(
            "Subcortical voxels are read from CIFTI series, which some runs lack.",
            where="--subcortex",
            found=", ".join(found[:_SHOWN]) + more,
            wanted="*_space-fsLR_den-91k_bold.dtseries.nii of every run",
            remedy="run fMRIPrep with --cifti-output 91k, leave these runs out with --exclude-run, "
            "or leave out --subcortex",
        )


def subcortical_responses(
    runs: Sequence[BoldRun], cleaning: Cleaning
) -> tuple[Subcortex, list[Block]]:
    """Cleaned responses of the subcortical voxels: as of the cortex, smoothed within structures.

    Raises
    ------
    BadDataError
        If a file cannot be read, or is of other voxels or another length than it should be.
    """
    known: Subcortex | None = None
    blocks: list[Block] = []
    for run in runs:
        path = run.grayordinates
        if path is None:
            check_grayordinates([run])
            continue
        found, series = read_subcortex(path)
        known = known or found
        if not found.is_like(known):
            raise BadDataError("Runs have other subcortical voxels.", where=path)
        n_kept = run.n_volumes - len(run.censored)
        if len(series) != n_kept:
            raise BadDataError(
                "A CIFTI series has another length than the run.",
                where=path,
                found=f"{len(series)} volumes",
                wanted=f"{n_kept}",
                remedy="run fMRIPrep again for this run",
            )
        whole = np.full((run.n_volumes, series.shape[1]), np.nan, dtype=np.float32)
        whole[np.setdiff1d(np.arange(run.n_volumes), run.censored)] = series
        selected, drift = nuisance_of(run, cleaning, run.n_volumes)
        mesh, inside = load_mesh(cleaning.space), np.ones(whole.shape[1], dtype=bool)
        data = RunData(run, mesh, whole, inside, selected, drift, cleaning.smoothing)
        cleaned = regress_out(data, data.bold)
        if cleaned.degenerate.all():
            raise BadDataError("No subcortical voxel of a run has a signal.", where=path)
        rows = data.present
        values = cleaned.values
        values[rows] = smooth_within(
            values[rows], found.points, found.numbers, cleaning.smoothing, ~cleaned.degenerate
        )
        projection = residual_matrix(selected.values, drift, n_dummy=run.n_dummy)
        blocks += [
            cut(run, one, values, projection, cleaning.high_pass) for one in run.presentations
        ]
    assert known is not None
    return known, blocks


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
    subcortex, blocks = subcortical_responses(runs, cleaning)
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


def map_path(tree: OutputTree, participant: str, **entities: str) -> Path:
    """A map of a participant's subcortical voxels."""
    return tree.participant_file(participant, "statmap.dscalar.nii", **PLACE, **entities)


def table_path(tree: OutputTree, participant: str, model: str) -> Path:
    """The table of structures of a participant."""
    return tree.participant_file(participant, "summary.tsv", model=model, desc=LABEL)


def series_path(tree: OutputTree, participant: str, place: Mapping[str, str]) -> Path:
    """Cleaned responses of a participant's subcortical voxels to a presentation."""
    named = {k: v for k, v in place.items() if k not in ("sub", "hemi", *PLACE)}
    return tree.participant_file(participant, "bold.dtseries.nii", **PLACE, **named)


def planned_files(
    tree: OutputTree, participant: str, model: str, folds: Sequence[str], *, slope: bool
) -> Iterator[Path]:
    """Maps and table of a participant, besides sidecars."""
    named = {"model": model}
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
        path = map_path(tree, who, model=record.model, stat=stat, **entities)
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
        path = series_path(tree, who, place)
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
    written += write_table(table_path(tree, who, record.model), COLUMNS, rows)
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
