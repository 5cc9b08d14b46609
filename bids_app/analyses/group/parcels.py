"""Accuracy and layer preference per region of an atlas, with every participant's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import Rows, Settings
from bids_app.analyses.folder.read import read_record, read_rows
from bids_app.analyses.group.accuracy import GroupAccuracy
from bids_app.analyses.group.analysis import (
    ACCURACIES,
    OVER_MUSIC,
    GroupAnalysis,
    settings_of_files,
)
from bids_app.analyses.group.collect import GroupData, same_inputs
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.over_music import MusicSide
from bids_app.analyses.group.preference import GroupPreference
from bids_app.analyses.group.prevalence import (
    PREVALENCE_COLUMNS,
    own_p,
    own_p_missing,
    prevalence_rows,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.config import Config, Statistics
from bids_app.group import ParcelTable, parcel_table, sign_flip_max_t, simes
from bids_app.group.claims import holds
from bids_app.outputs import PARCELS_DESC, OutputTree, labeled, sidecar_of
from bids_app.preference import centroid, preferred_layer
from bids_app.report.group import Shown
from bids_app.report.parcels import regions_section
from bids_app.statistics import SIGNIFICANCE, fisher_z
from bids_app.surface.atlas import Atlas, atlas_files, read_atlas, read_networks
from bids_app.surface.mesh import load_mesh

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AtlasSummary:
    """Means over the regions of one atlas.

    Attributes
    ----------
    atlas : Atlas
    profiles : ParcelTable
        Accuracy, values of shape (n_participants, n_layers, n_regions).
    slopes : array of shape (n_participants, n_regions)
        Residual slope; NaN without a layer preference.
    n_mask : array of shape (n_regions,)
        Vertices of the mask of the preference.
    accuracy_p, slope_p : arrays of shape (n_regions,)
        Sign flips, corrected over regions: one-sided for the layer-averaged accuracy, two-sided
        for the slope.
    accuracy_p_music, slope_p_music : arrays of shape (n_regions,)
        Over music, two-sided, corrected by the largest ``|z|`` over regions; the slope with the
        mean of the participants' weights of layers. NaN where it was not tested.
    music : mapping
        How the closed forms compare with refits, or why nothing was tested.
    shown : array of shape (n_regions,) or None
        Participants whose own p over the vertices and layers of a region is below .05; None where
        they have no p.
    """

    atlas: Atlas
    profiles: ParcelTable
    slopes: FloatArray
    n_mask: NDArray[np.int64]
    accuracy_p: FloatArray
    slope_p: FloatArray
    accuracy_p_music: FloatArray
    slope_p_music: FloatArray
    music: Mapping[str, Any]
    shown: NDArray[np.int64] | None = None

    @property
    def predicted(self) -> NDArray[np.object_]:
        """Whether people and music both hold; n/a where music was not tested."""
        both = holds(self.accuracy_p, self.accuracy_p_music).astype(object)
        both[~np.isfinite(self.accuracy_p_music)] = None
        return np.asarray(both)


def parcel_settings(config: Config) -> list[tuple[str, Settings]]:
    """Settings of the means over every atlas."""
    absent, own = "An atlas file is not there.", config.inference_settings()
    return [
        found
        for kind, options in (
            ("atlas", config.statistics.atlases),
            ("networks", config.statistics.networks),
        )
        for found in settings_of_files(kind, absent, map(atlas_files, options), own)
    ]


def summarize_atlases(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference | None,
    heard: Heard,
    statistics: Statistics,
    n_threads: int,
) -> dict[str, AtlasSummary]:
    """Accuracy and preference per region of every atlas and per network, by its label."""
    atlases = [
        *(read_atlas(option, data.r.shape[2]) for option in statistics.atlases),
        *(read_networks(option, data.r.shape[2]) for option in statistics.networks),
    ]
    if not atlases:
        return {}
    side = MusicSide.of(tree, data, heard, statistics.random_seed, n_threads)
    found = {
        atlas.label: summarize_atlas(
            data,
            accuracy,
            preference,
            atlas,
            earlier_regions(tree, data, labeled(PARCELS_DESC, atlas.label), side)
            if isinstance(side, str)
            else side,
            statistics,
        )
        for atlas in atlases
    }
    if own_p_missing(tree, data):
        return found
    every = [[regions_shown(p, one) for one in found.values()] for p in own_p(tree, data)]
    counts = (np.sum(parts, axis=0) for parts in zip(*every, strict=True))
    return {
        label: replace(one, shown=shown)
        for (label, one), shown in zip(found.items(), counts, strict=True)
    }


def regions_shown(p: FloatArray, summary: AtlasSummary) -> NDArray[np.int64]:
    """1 for every region in which a participant shows it, 0 elsewhere.

    Parameters
    ----------
    p : array of shape (n_layers, n_vertices)
        Of one participant.
    summary : AtlasSummary
    """
    regions = summary.atlas.regions
    found = [simes(p[:, regions == label], axis=(0, 1)) for label in summary.profiles.labels]
    return (np.array(found) < SIGNIFICANCE).astype(np.int64)


@dataclass(frozen=True, eq=False)
class EarlierRegions:
    """What the folder has of an atlas over music, where nothing new is tested.

    Attributes
    ----------
    p : mapping from str to array of shape (n_regions,)
        ``accuracy`` and ``slope``; empty where there is nothing.
    told : mapping
        How the closed forms compared with refits, and why nothing new is tested.
    """

    p: Mapping[str, FloatArray] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)


def earlier_regions(tree: OutputTree, data: GroupData, desc: str, reason: str) -> EarlierRegions:
    """The p over music that the folder has of the same regions, participants and maps."""
    table = tree.group_table("summary.tsv", model=data.model, desc=desc)
    if not (same_inputs(tree, data, desc) and table.is_file()):
        return EarlierRegions(told={"told": reason})
    names = ("accuracy", "slope")
    read = read_rows(table, ("region", *(f"{name}_p_music" for name in names)))
    known = read_record(sidecar_of(table)).get("Music") or {}
    told = dict(known) | {"told": f"of an earlier result: {reason}"}
    return EarlierRegions({name: read[f"{name}_p_music"].to_numpy(float) for name in names}, told)


def summarize_atlas(
    data: GroupData,
    accuracy: GroupAccuracy,
    preference: GroupPreference | None,
    atlas: Atlas,
    side: MusicSide | EarlierRegions,
    statistics: Statistics,
) -> AtlasSummary:
    """Area-weighted means of the participants' maps over an atlas' regions, and their tests.

    `side` may be what is known over music where nothing can be tested.
    """
    return summarize_regions(
        data,
        None if preference is None else preference.slopes,
        None if preference is None else preference.slope_weights,
        atlas,
        load_mesh(data.space).areas,
        accuracy.mask,
        side,
        statistics,
    )


def summarize_regions(
    data: GroupData,
    own_slopes: FloatArray | None,
    slope_weights: FloatArray | None,
    atlas: Atlas,
    areas: FloatArray,
    mask: NDArray[np.bool_],
    side: MusicSide | EarlierRegions,
    statistics: Statistics,
) -> AtlasSummary:
    """Weighted means of the participants' maps over regions of any places, and their tests.

    Parameters
    ----------
    data : GroupData
        Its maps have these places for vertices.
    own_slopes : array of shape (n_participants, n_places), optional
        None without a layer preference.
    slope_weights : array of shape (n_participants, n_layers), optional
        Weights of the layers that give them.
    atlas : Atlas
    areas : array of shape (n_places,)
        Weights of the means.
    mask : array of shape (n_places,), bool
        Of the layer preference.
    side : MusicSide or EarlierRegions
    statistics : Statistics
    """
    profiles = parcel_table(data.r, atlas.regions, areas, label_names=atlas.names)
    n_regions = len(profiles.labels)
    options: dict[str, Any] = {
        **statistics.flips,
        "uncorrected": False,
        "scale": data.people_scale,
    }
    tested = sign_flip_max_t(fisher_z(profiles.values).mean(axis=1), tail="greater", **options)
    slopes = np.full((len(data.participants), n_regions), np.nan)
    slope_p = np.full(n_regions, np.nan)
    if own_slopes is not None:
        slopes = parcel_table(own_slopes, atlas.regions, areas).values
        slope_p = sign_flip_max_t(slopes, tail="two-sided", **options).p
    inside = np.bincount(atlas.regions[mask], minlength=max(atlas.names) + 1)
    weights = None if slope_weights is None else slope_weights.mean(axis=0)
    over_music = {name: np.full(n_regions, np.nan) for name in ("accuracy", "slope")}
    record: Mapping[str, Any]
    if isinstance(side, EarlierRegions):
        over_music |= {name: p for name, p in side.p.items() if len(p) == n_regions}
        record = side.told
    else:
        sets = np.searchsorted(profiles.labels, atlas.regions)
        sets = np.where(np.isin(atlas.regions, profiles.labels), sets, -1)
        found, record = side.test_regions(sets, areas, weights)
        over_music |= found
    return AtlasSummary(
        atlas,
        profiles,
        slopes,
        inside[profiles.labels],
        np.asarray(tested.p),
        np.asarray(slope_p),
        over_music["accuracy"],
        over_music["slope"],
        record,
    )


def write_atlas(writer: GroupWriter, data: GroupData, result: AtlasSummary) -> None:
    """One row per region, and one per participant and region."""
    columns, atlas = layer_columns(data.layer_names), result.atlas.record
    regions, values = region_rows(result, data)
    told = atlas | {"Music": result.music}
    tested, files = bool(result.music), [path.resolve().as_uri() for path in result.atlas.files]
    writer.rest_on(OVER_MUSIC if tested else (ACCURACIES,), of_features=tested, also=files)
    writer.table("summary", REGION_COLUMNS | columns, regions, desc=PARCELS_DESC, **told)
    writer.table(
        "summary",
        participant_columns(REGION_COLUMNS) | columns,
        values,
        desc="participants",
        **atlas,
    )
    profiles, numbers = result.profiles.values.mean(axis=0), result.profiles.labels.tolist()
    slopes = result.slopes.mean(axis=0, keepdims=True)
    for stat, own, names in (("r", profiles, data.layer_names), ("slope", slopes, ["slope"])):
        writer.parcels(stat, own, names, result.atlas, numbers, desc=PARCELS_DESC)


def region_rows(result: AtlasSummary, data: GroupData) -> tuple[Rows, Rows]:
    """One row per region, and one per participant and region."""
    atlas, profiles = result.atlas, result.profiles
    group = profiles.values.mean(axis=0)
    nowhere = np.full(len(profiles.labels), np.nan)
    described = {
        "region": profiles.labels,
        "n_vertices": profiles.n_vertices,
        "n_mask": result.n_mask,
        "area": profiles.area,
        "accuracy": group.mean(axis=0),
        "accuracy_p": result.accuracy_p,
        "accuracy_p_music": result.accuracy_p_music,
        "predicted": result.predicted,
        **_shown(result, len(data.participants)),
        "slope": result.slopes.mean(axis=0),
        "slope_p": result.slope_p,
        "slope_p_music": result.slope_p_music,
        "centroid": centroid(group, data.depth) if data.depth else nowhere,
        "best_layer": preferred_layer(group),
        **_layers(group),
    }
    rows: list[dict[str, Any]] = []
    for index, label in enumerate(data.participants):
        own = profiles.values[index]
        values = {
            "region": profiles.labels,
            "accuracy": own.mean(axis=0),
            "slope": result.slopes[index],
            **_layers(own),
        }
        rows += [{"participant_id": f"sub-{label}"} | row for row in _rows(atlas, values)]
    return _rows(atlas, described), rows


def _shown(result: AtlasSummary, n: int) -> dict[str, Any]:
    """Participants who show it in every region; n/a where they have no p."""
    if result.shown is None:
        return dict.fromkeys(PREVALENCE_COLUMNS, np.full(len(result.profiles.labels), np.nan))
    rows = prevalence_rows(result.shown, n)
    return {name: [row[name] for row in rows] for name in PREVALENCE_COLUMNS}


def _layers(values: FloatArray) -> dict[str, FloatArray]:
    return {f"r_{layer}": row for layer, row in enumerate(values, start=1)}


def _rows(atlas: Atlas, columns: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": atlas.names[int(number)], "hemisphere": atlas.hemispheres[int(number)]}
        | {name: np.asarray(values)[k] for name, values in columns.items()}
        for k, number in enumerate(columns["region"])
    ]


def layer_columns(layer_names: list[str]) -> dict[str, str]:
    """What the columns of layers mean."""
    return {
        f"r_{layer}": f"mean accuracy of layer {layer} ({name})"
        for layer, name in enumerate(layer_names, start=1)
    }


REGION_COLUMNS = {
    "region": "number over both hemispheres",
    "name": "name in the atlas",
    "hemisphere": "L or R; both of a network",
    "n_vertices": "vertices",
    "n_mask": "of these, in the mask of the layer preference",
    "area": "mm2",
    "accuracy": "mean accuracy over participants, layers and the region (r, weighted by area)",
    "accuracy_p": "one-sided sign-flip p of the layer-averaged accuracy, corrected over regions",
    "accuracy_p_music": "two-sided p of the same over music, corrected over regions",
    "predicted": "whether people and music both hold; n/a where music was not tested",
    **PREVALENCE_COLUMNS,
    "slope": "mean residual slope over participants and the region",
    "slope_p": "two-sided sign-flip p of the slope, corrected over regions",
    "slope_p_music": "two-sided p of the slope over music, mean weights of layers, corrected over "
    "regions",
    "centroid": "center of mass of the region's positive mean profile, in layers in order of depth",
    "best_layer": "best layer of the region's mean profile (1-based; display only)",
}


def participant_columns(columns: Mapping[str, str]) -> dict[str, str]:
    """What the columns of participants' values mean; of places as in `columns`."""
    return {
        "participant_id": "participant",
        **{name: columns[name] for name in ("region", "name", "hemisphere")},
        "accuracy": "accuracy averaged over layers and the region",
        "slope": "residual slope averaged over the region",
    }


ATLASES = GroupAnalysis(
    "atlases",
    summarize_atlases,
    write=write_atlas,
    desc=PARCELS_DESC,
    settings=parcel_settings,
    option="--atlas",
    page=Shown(sections=(regions_section,)),
)
