"""Effects of linear models (ratings, conditions) at the subcortical voxels of a participant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.analyses.folder.write import write_table
from bids_app.analyses.participant.linear_models import LinearMaps, MapContrast
from bids_app.analyses.participant.subcortex import map_path, table_path
from bids_app.files import write_json
from bids_app.labels import safe_label
from bids_app.outputs import OutputTree, map_sidecar, sidecar_of
from bids_app.surface.subcortex import LABEL, Subcortex, write_scalars

STATS = ("effect", "t", "z")
TURNED = "turned"
"""What turns with the phases of a piece, for the null over music."""
SMOOTHING = {"Smoothing": "within structures"}
COLUMNS = {
    "about": "what the effect is of: a scale, or a contrast",
    "structure": "name of the structure",
    "hemisphere": "L or R; both where it has no side",
    "n_voxels": "voxels with a result",
    "effect": "mean effect of its voxels",
    "peak_t": "t of the largest |t| of its voxels",
}


@dataclass(frozen=True, eq=False)
class VoxelEffects:
    """Contrasts of linear models, with voxels in the place of vertices.

    Attributes
    ----------
    subcortex : Subcortex
    maps : LinearMaps
    """

    subcortex: Subcortex
    maps: LinearMaps


def desc_of(window: str = "") -> str:
    """Description of a map of voxels in its name.

    Examples
    --------
    >>> desc_of("precedes")
    'subcortexprecedes'
    """
    return f"{LABEL}{window}"


def planned_effects(
    tree: OutputTree, participant: str, model: str, space: str, places: Sequence[Mapping[str, str]]
) -> Iterator[Path]:
    """Maps and table of a participant, besides sidecars; `places` are entities of the maps."""
    for place in places:
        for stat in (TURNED,) if "stim" in place else STATS:
            yield map_path(tree, participant, space, model=model, stat=stat, **place)
    yield table_path(tree, participant, model)


def write_effects(
    tree: OutputTree,
    participant: str,
    model: str,
    found: Sequence[tuple[str, VoxelEffects]],
    told: Mapping[str, Any],
) -> list[Path]:
    """Maps of every contrast that has no delay, and a row per contrast and structure.

    Parameters
    ----------
    tree : OutputTree
    participant, model : str
    found : sequence of (str, VoxelEffects)
        Entity ``feature`` of the maps; empty for that of each contrast's scale.
    told : mapping
        Fields that the sidecars share.

    Returns
    -------
    list of Path
        Every file written.
    """
    written: list[Path] = []
    rows: list[dict[str, Any]] = []
    for feature, one in found:
        subcortex, maps = one.subcortex, one.maps
        arrays: list[tuple[dict[str, str], Any, list[str], dict[str, Any]]] = []
        for k, contrast in enumerate(maps.contrasts):
            if contrast.delay is not None:
                continue
            place = _place(contrast, feature)
            for stat in STATS:
                values = getattr(maps, stat)[[k]]
                arrays.append(({"stat": stat, **place}, values, [contrast.name], {}))
            rows += structure_rows(subcortex, contrast.name, maps.effect[k], maps.t[k])
        for turned in maps.turned:
            place = {"stat": TURNED, "stim": safe_label(turned.stimulus)}
            place |= _place(turned.contrast, feature)
            names = [str(number) for number in range(len(turned.values))]
            more = {"Stimulus": turned.stimulus, "Effect": turned.contrast.name}
            arrays.append((place, turned.values, names, more))
        for place, values, names, more in arrays:
            path = map_path(tree, participant, subcortex.space, model=model, **place)
            fields = {**told, **maps.details, **SMOOTHING, **more}
            written += [
                write_scalars(path, values, names, subcortex),
                write_json(sidecar_of(path), map_sidecar(place["stat"], names, **fields)),
            ]
    sources = {"Sources": list(told["Sources"])}
    written += write_table(table_path(tree, participant, model), COLUMNS, rows, sources)
    return written


def _place(contrast: MapContrast, feature: str) -> dict[str, str]:
    return {
        "feature": feature or safe_label(contrast.scale),
        "desc": desc_of(contrast.window),
    }


def structure_rows(
    subcortex: Subcortex, about: str, effect: np.ndarray, t: np.ndarray
) -> list[dict[str, Any]]:
    """One row per structure."""
    atlas, rows = subcortex.atlas, []
    for number, name in atlas.names.items():
        inside = (atlas.regions == number) & np.isfinite(effect) & np.isfinite(t)
        own = t[inside]
        rows.append(
            {
                "about": about,
                "structure": name,
                "hemisphere": atlas.hemispheres[number],
                "n_voxels": int(inside.sum()),
                "effect": float(effect[inside].mean(dtype=np.float64)) if own.size else np.nan,
                "peak_t": float(own[np.argmax(np.abs(own))]) if own.size else np.nan,
            }
        )
    return rows
