"""Accuracy and layer preference of single subcortical voxels, over people and over music."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import read_record
from bids_app.analyses.group.accuracy import tell_predicted
from bids_app.analyses.group.collect import GroupData, same_inputs
from bids_app.analyses.group.heard import Heard
from bids_app.analyses.group.music_null import KEPT_OF_LAYERS, NULL, MusicNull, earlier_layers
from bids_app.analyses.group.music_preference import MusicPreference
from bids_app.analyses.group.over_music import MusicSide
from bids_app.config import Statistics
from bids_app.group import sign_flip_max_t
from bids_app.group.claims import holds
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.statistics import benjamini_hochberg, fisher_z
from bids_app.surface.subcortex import LABEL, Subcortex, read_subcortex

FloatArray = NDArray[np.float64]

SLOPE_KIND = "layerpref"
"""Of maps of the residual slope, in their descriptions."""
_KEPT_OF_SLOPE = (
    ("slope_p", "p", f"{SLOPE_KIND}music"),
    ("slope_q", "q", f"{SLOPE_KIND}music"),
    ("slope_p_max", "p", f"{SLOPE_KIND}musicmax"),
)


@dataclass(frozen=True, eq=False)
class VoxelTests:
    """Tests of every voxel.

    Attributes
    ----------
    mean_r : (n_layers, n_voxels) array
        Back-transformed mean Fisher z.
    p : (n_layers, n_voxels) array
        One-sided sign flips, corrected over voxels and layers.
    music : MusicNull
        Every layer over music, or why nothing was tested.
    predicted : (n_voxels,) array or None
        Layers of which people and music both hold; None where nothing was tested over music.
    told : dict
        What decides whether any voxel is predicted.
    slope, slope_p : (n_voxels,) array
        Mean residual slope, and its two-sided sign-flip p, corrected over voxels; NaN without a
        preference.
    slope_music : MusicPreference
        The slope over music.
    """

    mean_r: FloatArray
    p: FloatArray
    music: MusicNull
    predicted: FloatArray | None
    told: dict[str, Any]
    slope: FloatArray
    slope_p: FloatArray
    slope_music: MusicPreference


@dataclass(frozen=True, eq=False)
class VoxelMap:
    """A map of the group: statistic, end of its description, values by name, and its sidecar."""

    stat: str
    kind: str
    values: FloatArray
    names: Sequence[str]
    text: str
    told: Mapping[str, Any] = field(default_factory=dict)


def voxel_tests(
    tree: OutputTree,
    data: GroupData,
    side: MusicSide | str,
    heard: Heard,
    slopes: FloatArray | None,
    weights: FloatArray | None,
    statistics: Statistics,
    n_threads: int,
) -> VoxelTests:
    """Test accuracy and slope of every voxel.

    Parameters
    ----------
    tree, heard, statistics, n_threads
        As for `group_music_null`.
    data : GroupData
        Accuracy of the voxels in the place of vertices.
    side : MusicSide or str
        Of the voxels, or why there is none: then p over music of an earlier result stay.
    slopes : (n_participants, n_voxels) array, optional
        Residual slopes; None without a preference.
    weights : (n_participants, n_layers) array, optional
        Weights of the layers that give them.
    """
    usable = np.asarray(np.isfinite(data.r).all(axis=(0, 1)))
    z = np.where(usable, fisher_z(data.r), np.nan)
    flips: dict[str, Any] = {**statistics.flips, "n_threads": n_threads}
    people = sign_flip_max_t(z, tail="greater", **flips)
    mean_r, predicted = np.tanh(z.mean(axis=0)), None
    music = _accuracy_over_music(tree, data, side, heard, usable)
    if music.q is not None:
        predicted = np.where(usable, holds(people.p, music.q).sum(axis=0), np.nan)
    slope, slope_p = np.full((2, data.r.shape[2]), np.nan)
    slope_music = MusicPreference()
    if slopes is not None and weights is not None:
        slopes = np.where(usable, slopes, np.nan)
        slope = slopes.mean(axis=0)
        slope_p = sign_flip_max_t(slopes, tail="two-sided", uncorrected=False, **flips).p
        slope_music = _slope_over_music(tree, data, side, weights, usable)
    return VoxelTests(
        mean_r=mean_r,
        p=people.p,
        music=music,
        predicted=predicted,
        told=tell_predicted(people, music, mean_r, predicted),
        slope=slope,
        slope_p=slope_p,
        slope_music=slope_music,
    )


def told_of_voxels(subcortex: Subcortex, tests: VoxelTests) -> dict[str, Any]:
    """What decides about prediction at the voxels, as the settings file has it."""
    if not tests.told:
        return {}
    told = dict(tests.told)
    voxel, atlas = told.pop("Vertex"), subcortex.atlas
    number = subcortex.numbers[voxel]
    return told | {
        "Voxel": voxel,
        "Structure": atlas.names[number],
        "Hemisphere": atlas.hemispheres[number],
    }


def maps_of_voxels(data: GroupData, tests: VoxelTests) -> list[VoxelMap]:
    """Maps that are written, those without values left out."""
    names, music, preference = data.layer_names, tests.music, tests.slope_music
    told = {
        "RefitCheck": music.check,
        "ParticipantsBehind": music.n_people,
        "LeftOut": music.left_out,
    }
    flips = "sign-flip p of"
    largest = "corrected for the largest"
    texts = {
        "p": f"one-sided p, {NULL}",
        "q": f"q per layer, {NULL}",
        "p_max": f"one-sided p, {largest} z over layers and voxels, {NULL}",
        "slope_p": f"two-sided p of the residual slope, {NULL}",
        "slope_q": f"q over voxels of the residual slope, {NULL}",
        "slope_p_max": f"two-sided p of the residual slope, {largest} |z| over voxels, {NULL}",
    }
    found = [
        VoxelMap("r", "", tests.mean_r, names, "back-transformed mean Fisher z"),
        VoxelMap(
            "p",
            "maxt",
            tests.p,
            names,
            f"one-sided {flips} accuracy, corrected over voxels and layers (max-T)",
        ),
    ]
    for name, stat, kind in KEPT_OF_LAYERS:
        values = getattr(music, name)
        if values is not None:
            draws = {"Draws": music.draws} if name == "p_max" else {}
            found.append(VoxelMap(stat, kind, values, names, texts[name], told | draws))
    if tests.predicted is not None:
        both = "layers that predict the voxel: max-T p over people and q over music both < .05"
        found.append(VoxelMap("n", "predicted", tests.predicted[np.newaxis], ["layers"], both))
    if not np.isfinite(tests.slope).any():
        return found
    of_slope = f"two-sided {flips} the residual slope, corrected over voxels (max-T)"
    found += [
        VoxelMap("slope", "", tests.slope[np.newaxis], ["slope"], "mean residual slope"),
        VoxelMap("p", f"{SLOPE_KIND}maxt", tests.slope_p[np.newaxis], ["slope"], of_slope),
    ]
    for name, stat, kind in _KEPT_OF_SLOPE:
        values = getattr(preference, name)
        if values is not None:
            draws = {"Draws": preference.n_largest} if name == "slope_p_max" else {}
            check = {"RefitCheck": preference.slope_check} | draws
            found.append(VoxelMap(stat, kind, values[np.newaxis], ["slope"], texts[name], check))
    return found


def map_of_group(tree: OutputTree, model: str, stat: str, kind: str) -> Path:
    """Where a map of the group at the voxels is."""
    return tree.group_table("statmap.dscalar.nii", model=model, stat=stat, desc=f"{LABEL}{kind}")


def _accuracy_over_music(
    tree: OutputTree,
    data: GroupData,
    side: MusicSide | str,
    heard: Heard,
    usable: NDArray[np.bool_],
) -> MusicNull:
    if isinstance(side, str):
        return _earlier_accuracy(tree, data, side, heard)
    found = side.test_each_layer(usable)
    return MusicNull(
        sd=found.sd,
        p=found.p,
        q=benjamini_hochberg(found.p, axis=-1),
        p_max=found.p_max,
        draws=found.n_largest,
        left_out=heard.left_out,
        n_people=len(side.people),
        scaled=found.scaled,
    )


def _slope_over_music(
    tree: OutputTree,
    data: GroupData,
    side: MusicSide | str,
    weights: FloatArray,
    usable: NDArray[np.bool_],
) -> MusicPreference:
    if isinstance(side, str):
        maps, told = _earlier(tree, data, _KEPT_OF_SLOPE)
        found = {name: values[0] for name, values in maps.items()}
        known = told.get("RefitCheck")
        return MusicPreference(**found, slope_known=known, n_largest=told.get("Draws"), reason=side)
    own = weights[side.people] / len(side.people)
    if not np.isfinite(own).all():
        return MusicPreference(reason="a participant has no weights of layers")
    test = side.test_maps([own], usable, "slope of subcortical voxels", tail="two-sided")
    return MusicPreference(
        slope_p=test.p[0],
        slope_q=benjamini_hochberg(test.p[0]),
        slope_p_max=None if test.p_max is None else test.p_max[0],
        slope_scaled=test.scaled,
        n_largest=test.n_largest,
    )


def _earlier(
    tree: OutputTree, data: GroupData, wanted: Sequence[tuple[str, str, str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Maps over music that the folder has of the same participants and voxels; the last sidecar."""
    paths = {name: map_of_group(tree, data.model, stat, kind) for name, stat, kind in wanted}
    if not (same_inputs(tree, data, LABEL) and all(path.is_file() for path in paths.values())):
        return {}, {}
    maps = {name: read_subcortex(path)[1].astype(np.float64) for name, path in paths.items()}
    return maps, dict(read_record(sidecar_of(list(paths.values())[-1])))


def _earlier_accuracy(tree: OutputTree, data: GroupData, reason: str, heard: Heard) -> MusicNull:
    maps, told = _earlier(tree, data, KEPT_OF_LAYERS)
    if not maps:
        return MusicNull(reasons=[reason], left_out=heard.left_out)
    return MusicNull(
        **earlier_layers(data, maps["p"], told),
        **maps,
        draws=told.get("Draws"),
        reasons=[reason],
        known=told.get("RefitCheck"),
    )
