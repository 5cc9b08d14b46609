"""Effects of linear models (ratings, conditions) at subcortical voxels, over participants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import damaged, read_record
from bids_app.analyses.group.effects import GroupEffects, group_effects
from bids_app.analyses.group.subcortex import space_of
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.subcortex import map_path
from bids_app.analyses.participant.voxel_effects import TURNED, desc_of
from bids_app.config import Statistics
from bids_app.emotion import PhaseTest
from bids_app.files import write_json
from bids_app.group.claims import holds
from bids_app.outputs import OutputTree, map_sidecar, sidecar_of
from bids_app.surface.subcortex import LABEL, Subcortex, read_subcortex, write_scalars

FloatArray = NDArray[np.float64]
Place = tuple[str, str]
"""Entity ``feature`` of a map, and the window of delays: ``precedes``, ``follows`` or empty."""

COLUMNS = {
    "feature": "what the effect is of, as in the names of the maps",
    "about": "scale, or contrast",
    "region": "number of the structure",
    "name": "name of the structure",
    "hemisphere": "L or R; both where it has no side",
    "n_voxels": "voxels with a result of everybody",
    "effect": "mean effect over participants and voxels",
    "t": "t over participants of the mean over voxels",
    "p": "two-sided sign-flip p, corrected over structures and maps (max-T)",
    "p_music": "two-sided p over music, corrected over structures and maps; n/a without a test",
    "both": "whether people and music both hold (p < .05); n/a without a test over music",
}


@dataclass(frozen=True, eq=False)
class VoxelTests:
    """Tests of voxels, or of the means of structures.

    Attributes
    ----------
    people : GroupEffects
        Sign flips, corrected over maps and places.
    music : PhaseTest or None
        The same effects over music; None where there is no such test.
    """

    people: GroupEffects
    music: PhaseTest | None = None


@dataclass(frozen=True, eq=False)
class VoxelGroup:
    """Effects at subcortical voxels over participants.

    Attributes
    ----------
    subcortex : Subcortex
    participants : list of str
    places : list of (str, str)
        Of each map.
    values : (n_participants, n_maps, n_voxels) array
        Effects; NaN where somebody has none.
    voxels, structures : VoxelTests
    """

    subcortex: Subcortex
    participants: list[str]
    places: list[Place]
    values: FloatArray
    voxels: VoxelTests
    structures: VoxelTests

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Voxels with effects of everybody, (n_voxels,)."""
        return np.asarray(np.isfinite(self.values).all(axis=(0, 1)))


def read_effects(
    tree: OutputTree, participants: Sequence[str], model: str, places: Sequence[Place]
) -> tuple[Subcortex, FloatArray, list[str]]:
    """Effects of everybody, (n_participants, n_maps, n_voxels), and the names of the maps.

    Raises
    ------
    BadDataError
        If participants have other voxels, or a map is damaged.
    """
    known: Subcortex | None = None
    values, names = [], [""] * len(places)
    for who in participants:
        own = []
        for k, (feature, window) in enumerate(places):
            place = {"stat": "effect", "feature": feature, "desc": desc_of(window)}
            space = space_of(tree, who, model, **place)
            path = map_path(tree, who, space, model=model, **place)
            found, one = read_subcortex(path)
            known = known or found
            if not found.is_like(known):
                raise damaged(path, "other subcortical voxels", "those of the other participants")
            if len(one) != 1 or np.isinf(one).any():
                raise damaged(path, f"{len(one)} maps, or infinite values", "one map")
            names[k] = str(read_record(sidecar_of(path), DataArrays=list)["DataArrays"][0])
            own.append(one[0])
        values.append(own)
    assert known is not None
    return known, np.asarray(values, dtype=np.float64), names


def structure_means(values: NDArray[np.floating], subcortex: Subcortex) -> FloatArray:
    """Means of structures, (..., n_structures), over voxels that have a value everywhere.

    Examples
    --------
    >>> voxels, affine = np.arange(9).reshape(3, 3), np.eye(4)
    >>> one = Subcortex(voxels, np.array(["a", "a", "b"]), affine, (9, 9, 9), "MNI")
    >>> structure_means(np.array([[1.0, 3.0, 5.0], [2.0, np.nan, 4.0]]), one).tolist()
    [[1.0, 5.0], [2.0, 4.0]]
    """
    atlas = subcortex.atlas
    inside = np.isfinite(values).reshape(-1, values.shape[-1]).all(axis=0)
    means = np.full((*values.shape[:-1], len(atlas.names)), np.nan)
    for k, number in enumerate(atlas.names):
        own = inside & (atlas.regions == number)
        if own.any():
            means[..., k] = values[..., own].mean(axis=-1)
    return means


def infer_voxels(
    tree: OutputTree,
    participants: Sequence[str],
    model: str,
    places: Sequence[Place],
    statistics: Statistics,
    n_threads: int,
) -> VoxelGroup:
    """Two-sided sign flips, joint over maps: of voxels, and of the means of structures."""
    subcortex, values, names = read_effects(tree, participants, model, places)
    own = np.where(np.isfinite(values).all(axis=(0, 1)), values, np.nan)
    voxels, structures = (
        VoxelTests(group_effects(one, names, statistics, n_threads=n_threads))
        for one in (own, structure_means(values, subcortex))
    )
    return VoxelGroup(subcortex, list(participants), list(places), values, voxels, structures)


def table_rows(found: VoxelGroup) -> list[dict[str, Any]]:
    """One row per map and structure."""
    atlas, people, music = found.subcortex.atlas, found.structures.people, found.structures.music
    rows = []
    for k, (feature, window) in enumerate(found.places):
        for column, (number, name) in enumerate(atlas.names.items()):
            p, p_music = (
                people.test.p[k, column],
                np.nan if music is None else music.p_max[k, column],
            )
            tested = np.isfinite(p) and np.isfinite(p_music)
            rows.append(
                {
                    "feature": f"{feature}{window}",
                    "about": people.names[k],
                    "region": number,
                    "name": name,
                    "hemisphere": atlas.hemispheres[number],
                    "n_voxels": int((found.inside & (atlas.regions == number)).sum()),
                    "effect": people.mean[k, column],
                    "t": people.test.t[k, column],
                    "p": p,
                    "p_music": p_music,
                    "both": bool(holds(p, p_music)) if tested else None,
                }
            )
    return rows


def write_voxels(
    writer: GroupWriter,
    found: VoxelGroup,
    rows: list[dict[str, Any]],
    further: Mapping[str, str] = {},
) -> None:
    """The table of structures, with `further` columns, and maps of the voxels."""
    stats = ("effect",) if found.voxels.music is None else ("effect", TURNED)
    reads = [
        {"suffix": "statmap.dscalar.nii", "stat": stat, "feature": label, "desc": desc_of(window)}
        for label, window in found.places
        for stat in stats
    ]
    writer.table("summary", {**COLUMNS, **further}, rows, desc=LABEL, reads=reads)
    people, music = found.voxels.people, found.voxels.music
    for k, (feature, window) in enumerate(found.places):
        maps: list[tuple[str, str, FloatArray, str]] = [
            ("effect", "", people.mean[k], "mean effect over participants"),
            ("t", "", people.test.t[k], "t over participants"),
            (
                "p",
                "maxt",
                people.test.p[k],
                "two-sided sign-flip p, corrected over voxels and maps",
            ),
        ]
        if music is not None:
            text = "two-sided p over music, corrected over voxels and maps"
            maps.append(("p", "musicmaxt", music.p_max[k], text))
        for stat, kind, values, text in maps:
            write_map_of_voxels(
                writer,
                found.subcortex,
                values,
                people.names[k],
                {"feature": feature, "stat": stat, "desc": f"{desc_of(window)}{kind}"},
                {"description": text, "Participants": [f"sub-{p}" for p in found.participants]},
                [
                    {"stat": "effect", "feature": feature, "desc": desc_of(window)},
                ],
            )


def write_map_of_voxels(
    writer: GroupWriter,
    subcortex: Subcortex,
    values: FloatArray,
    name: str,
    place: Mapping[str, str],
    told: Mapping[str, Any],
    reads: Sequence[Mapping[str, str]],
) -> None:
    """One map of the group; `reads` are entities of the participants' maps that it rests on."""
    path = writer.tree.group_table("statmap.dscalar.nii", model=writer.model, **place)
    sources = [
        writer.tree.uri(
            map_path(
                writer.tree, who.removeprefix("sub-"), subcortex.space, model=writer.model, **one
            )
        )
        for who in told["Participants"]
        for one in reads
    ]
    sidecar = map_sidecar(place["stat"], [name], **told, Sources=sources)
    writer.written += [
        write_scalars(path, values[np.newaxis], [name], subcortex),
        write_json(sidecar_of(path), sidecar),
    ]
