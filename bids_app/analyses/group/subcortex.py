"""Accuracy and layer preference per subcortical structure, over people and over music."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import CORRELATION, POSITIVE, damaged, read_record
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Heard, find_heard, whole_series
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.parcels import (
    REGION_COLUMNS,
    AtlasSummary,
    earlier_regions,
    layer_columns,
    participant_columns,
    region_rows,
    summarize_regions,
)
from bids_app.analyses.group.preference import GroupPreference
from bids_app.analyses.group.voxels import (
    VoxelTests,
    map_of_group,
    maps_of_voxels,
    told_of_voxels,
    voxel_tests,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.mapped import save_series
from bids_app.analyses.participant.subcortex import map_path, series_path
from bids_app.config import Statistics
from bids_app.errors import MusencError
from bids_app.files import sha256_of_file, write_json
from bids_app.labels import safe_label
from bids_app.outputs import OutputTree, map_sidecar, parse_entities, sidecar_of
from bids_app.report.group import Shown
from bids_app.report.subcortex import subcortex_section
from bids_app.surface.subcortex import LABEL, Subcortex, read_subcortex, write_scalars

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SubcorticalGroup:
    """Structures over participants.

    Attributes
    ----------
    subcortex : Subcortex
    data : GroupData
        Accuracy of the voxels in the place of vertices; checksums are of its files.
    summary : AtlasSummary
        Structures as regions.
    tests : VoxelTests
        Of every voxel.
    """

    subcortex: Subcortex
    data: GroupData
    summary: AtlasSummary
    tests: VoxelTests


def summarize_subcortex(
    tree: OutputTree,
    data: GroupData,
    preference: GroupPreference | None,
    heard: Heard,
    statistics: Statistics,
    folder: Path,
    n_threads: int,
) -> SubcorticalGroup | None:
    """Test the structures; None where no participant, or not every one, has subcortical maps.

    The slope has the weights of layers of the cortex: the reference of a participant is the mean
    profile of the others' cortex.
    """
    spaces = {who: space_of(tree, who, data.model) for who in data.participants}
    lacking = [who for who, space in spaces.items() if not space]
    if lacking:
        if len(lacking) < len(spaces):
            told = ", ".join(f"sub-{who}" for who in lacking)
            LOGGER.warning("group: nothing is said of the subcortex: %s have no maps of it", told)
        return None
    paths = {
        who: map_path(tree, who, space, model=data.model, stat="r") for who, space in spaces.items()
    }
    subcortex, own = _collect(tree, data, paths, folder)
    music = _responses(tree, own, heard, subcortex, folder)
    side = MusicSide.of(tree, own, music, statistics.random_seed, n_threads)
    slopes = weights = None
    if preference is not None:
        weights = preference.slope_weights
        slopes = np.einsum("pl,plv->pv", weights, own.r.astype(np.float64))
    n_voxels = own.r.shape[2]
    summary = summarize_regions(
        own,
        slopes,
        weights,
        subcortex.atlas,
        np.full(n_voxels, subcortex.voxel_volume),
        np.zeros(n_voxels, dtype=bool),
        earlier_regions(tree, own, LABEL, side) if isinstance(side, str) else side,
        statistics,
    )
    tests = voxel_tests(tree, own, side, heard, slopes, weights, statistics, n_threads)
    return SubcorticalGroup(subcortex, own, summary, tests)


def space_of(tree: OutputTree, participant: str, model: str, **entities: str) -> str:
    """Where the voxels of a participant's results are; empty where there are none."""
    wanted = map_path(tree, participant, "*", model=model, **({"stat": "r"} | entities))
    there = sorted(wanted.parent.glob(wanted.name))
    return parse_entities(there[0])["space"] if there else ""


def _collect(
    tree: OutputTree, data: GroupData, paths: Mapping[str, Path], folder: Path
) -> tuple[Subcortex, GroupData]:
    """Maps of everybody, those of every fold in files.

    Raises
    ------
    BadDataError
        If participants have other voxels or layers, or a map is damaged.
    """
    known: Subcortex | None = None

    def read(path: Path, bounds: tuple[float, float]) -> NDArray[np.float32]:
        nonlocal known
        found, values = read_subcortex(path)
        known = known or found
        if not found.is_like(known):
            raise damaged(path, "other subcortical voxels", "those of the other participants")
        names = read_record(sidecar_of(path), DataArrays=list)["DataArrays"]
        if len(values) != len(names) or names != data.layer_names:
            raise damaged(path, f"layers {', '.join(names)}", ", ".join(data.layer_names))
        low, high = bounds
        if np.isinf(values).any() or (values < low).any() or (values > high).any():
            raise damaged(path, "values beyond", f"finite values from {low:g} to {high:g}")
        return values

    r = np.stack([read(path, CORRELATION) for path in paths.values()])
    assert known is not None
    files = {}
    for stat, bounds in (("r", CORRELATION), ("alpha", POSITIVE)):
        folds = np.stack(
            [
                np.stack(
                    [
                        read(
                            map_path(
                                tree,
                                who,
                                known.space,
                                model=data.model,
                                stat=stat,
                                stim=safe_label(held),
                            ),
                            bounds,
                        )
                        for held in data.held_out
                    ]
                )
                for who in data.participants
            ]
        )
        files[stat] = folder / f"{stat}.npy"
        np.save(files[stat], folds)
    rows = [
        {**row, "sha256_left": sha256_of_file(path)}
        for row, path in zip(data.rows, paths.values(), strict=True)
    ]
    return known, replace(data, r=r, rows=rows, fold_files=files)


def _responses(
    tree: OutputTree, data: GroupData, heard: Heard, subcortex: Subcortex, folder: Path
) -> Heard:
    """The same presentations with the responses of the voxels, or why there are none."""
    if not heard.there:
        return heard
    found = find_heard(tree, data.participants, data.stimuli, data.space)
    if isinstance(found, Heard):
        return found
    responses: list[tuple[Path, ...]] = []
    for number in heard.people:
        own = []
        for k, left in enumerate(found.files[number]):
            who, place = data.participants[number], parse_entities(left)
            path = series_path(tree, who, place, subcortex.space)
            try:
                there, values = read_subcortex(path)
                whole = whole_series(sidecar_of(path), values)
            except MusencError as error:
                file = Path(str(error.where or path)).name
                return replace(heard, reasons=(f"{file}: {error.what}",))
            if not there.is_like(subcortex):
                return replace(heard, reasons=(f"{path.name} has other voxels",))
            own.append(save_series(folder / f"{number}_{k}.npy", whole))
        responses.append(tuple(own))
    return replace(heard, responses=tuple(responses))


def write_group_subcortex(writer: GroupWriter, result: SubcorticalGroup) -> None:
    """One row per structure, one per participant and structure, and maps of the voxels."""
    data, columns = result.data, layer_columns(result.data.layer_names)
    regions, values = region_rows(result.summary, data)
    own: list[Mapping[str, str]] = [{"suffix": "statmap.dscalar.nii", "stat": "r", "desc": LABEL}]
    if tested := bool(result.summary.music):
        own.append({**own[0], "stat": "alpha"})
        own.append({"suffix": "bold.dtseries.nii", "model": "", "desc": LABEL})
    writer.rest_on(own, of_features=tested)
    writer.table(
        "summary",
        STRUCTURE_COLUMNS | VOXEL_COLUMNS | columns,
        _rows_with_voxels(result, [_named(row) for row in regions]),
        desc=LABEL,
        Music=result.summary.music,
    )
    writer.table(
        "summary",
        participant_columns(STRUCTURE_COLUMNS) | columns,
        [_named(row) for row in values],
        desc=f"{LABEL}participants",
    )
    rest_on = [
        writer.tree.uri(
            map_path(writer.tree, who, result.subcortex.space, model=data.model, stat="r")
        )
        for who in data.participants
    ]
    for one in maps_of_voxels(data, result.tests):
        path = map_of_group(writer.tree, data.model, one.stat, one.kind)
        told = map_sidecar(
            one.stat,
            list(one.names),
            description=one.text,
            Participants=writer.participants,
            Sources=rest_on,
            **writer.of_model,
            **one.told,
        )
        writer.written += [
            write_scalars(path, one.values, one.names, result.subcortex),
            write_json(sidecar_of(path), told),
        ]


def told_of_subcortex(result: SubcorticalGroup) -> dict[str, Any]:
    """What decides about prediction at the voxels."""
    return {"Predicted": told_of_voxels(result.subcortex, result.tests)}


def _rows_with_voxels(result: SubcorticalGroup, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of structures with how many of their voxels are predicted."""
    predicted = result.tests.predicted
    if predicted is None:
        return [row | {"n_predicted": float("nan")} for row in rows]
    numbers = result.subcortex.numbers
    return [
        row | {"n_predicted": int((predicted[numbers == row["region"]] > 0).sum())} for row in rows
    ]


_RENAMED = {"n_vertices": "n_voxels", "area": "volume"}
_WITHOUT = ("n_mask",)


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(key, key): value for key, value in row.items() if key not in _WITHOUT}


STRUCTURE_COLUMNS = {
    key: text.replace("the region", "the structure").replace("regions", "structures")
    for key, text in _named(REGION_COLUMNS).items()
} | {
    "region": "number of the structure",
    "name": "name of the structure",
    "hemisphere": "L or R; both where it has no side",
    "n_voxels": "voxels with a result of everybody",
    "volume": "mm3",
    "accuracy": "mean accuracy over participants, layers and voxels (r)",
}
VOXEL_COLUMNS = {
    "n_predicted": "voxels that some layer predicts, over people and over music; n/a where it was "
    "not tested over music",
}
SUBCORTEX = GroupAnalysis(
    "subcortex",
    summarize_subcortex,
    write=write_group_subcortex,
    details=told_of_subcortex,
    desc=LABEL,
    people="data",
    of_weights=False,
    page=Shown(sections=(subcortex_section,)),
)
