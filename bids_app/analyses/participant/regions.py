"""Tables of regions, and the atlas as label files, where the series were parcellated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bids_app.analyses.folder.records import Record
from bids_app.analyses.folder.write import write_table
from bids_app.analyses.participant.layers import LayerFits
from bids_app.analyses.participant.preference import PreferenceMaps
from bids_app.config import Cleaning
from bids_app.inputs.denoised import atlas_label
from bids_app.inputs.records import BoldRun
from bids_app.labels import safe_label
from bids_app.outputs import OutputTree
from bids_app.statistics import benjamini_hochberg
from bids_app.surface.gifti import write_labels
from bids_app.surface.mesh import load_mesh
from bids_app.surface.painted import Regions, hemisphere_of, regions_of

COLUMNS = {
    "region": "name of the region",
    "hemisphere": "L or R",
    "n_vertices": "vertices that the region is painted on",
    "layer": "number of the layer (1-based)",
    "name": "name of the layer",
    "r": "accuracy: correlation of predicted and measured responses, held-out stimuli",
    "z": "accuracy over the standard deviation of its null",
    "p": "one-sided p of the accuracy, uncorrected",
    "q": "Benjamini-Hochberg q over regions, per layer",
    "slope": "residual slope of the region, the same in all its rows; n/a without a preference",
}


def regions_of_runs(runs: Sequence[BoldRun], cleaning: Cleaning) -> Regions | None:
    """Regions of parcellated series; None where they are not."""
    run = next((run for run in runs if run.kind == "parcels"), None)
    if run is None:
        return None
    return regions_of(run.bold_left, run.parcels, load_mesh(cleaning.space))


def write_regions(
    tree: OutputTree,
    record: Record,
    fits: LayerFits,
    preference: PreferenceMaps | None,
    regions: Regions,
    parcels: str,
) -> list[Path]:
    """The table of a participant, and the label files that all participants share.

    Returns
    -------
    list of Path
        The table and its dictionary.
    """
    sides, first = hemisphere_of(regions), regions.first
    used = np.flatnonzero(first >= 0)
    places = first[used]
    q = benjamini_hochberg(fits.p[:, places], axis=-1)
    slope = None if preference is None else preference.slope
    counts = np.bincount(regions.of_vertex[regions.of_vertex >= 0], minlength=len(regions.names))
    rows = [
        {
            "region": regions.names[number],
            "hemisphere": sides[number],
            "n_vertices": counts[number],
            "layer": layer + 1,
            "name": name,
            "r": fits.r[layer, vertex],
            "z": fits.z[layer, vertex],
            "p": fits.p[layer, vertex],
            "q": q[layer, column],
            "slope": float("nan") if slope is None else slope[vertex],
        }
        for column, (number, vertex) in enumerate(zip(used, places, strict=True))
        for layer, name in enumerate(fits.layer_names)
    ]
    space = str(record.settings["space"])
    path = tree.mesh_file(record.participant, "parcels.tsv", space, model=record.model)
    told = {
        "Sources": list(record.sources),
        "Atlas": atlas_label(parcels),
        "WithoutVertices": list(regions.without),
    }
    write_label_files(tree, regions, parcels)
    return write_table(path, COLUMNS, rows, told)


def write_label_files(tree: OutputTree, regions: Regions, parcels: str) -> list[Path]:
    """The atlas on the mesh, for the tables of the group level."""
    halves = np.split(regions.of_vertex + 1, 2)
    paths = tree.parcel_files(safe_label(atlas_label(parcels)))
    return [
        path if path.is_file() else write_labels(path, half, ["none", *regions.names], hemi=hemi)
        for path, half, hemi in zip(paths, halves, "LR", strict=True)
    ]
