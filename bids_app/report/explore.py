"""Interactive page: rotate the surface; choose maps, layers and thresholds; click vertices.

Plotly draws it, out of nilearn's own assets; everything lies in one file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_app import __version__
from bids_app.errors import MissingInputError
from bids_app.files import write_text
from bids_app.meshes import MESHES, N_VERTICES
from bids_app.report.brain import ColorScale
from bids_app.report.page import MAX_BYTES, environment
from bids_app.surface.coordinates import MNI305_TO_MNI152
from bids_app.surface.mesh import SurfaceMesh, load_mesh, nearest_vertices

FloatArray = npt.NDArray[np.float64]

LIBRARY = "plotly-gl3d-latest.min.js"
_PLACES = ("_assets/js", "plotting/data/js")
"""Where nilearn keeps it: since 0.13, and before."""
SHOWN_SPACE = "fsaverage5"
"""Finer meshes are shown at its vertices, which are theirs too."""
_NO_VALUE = -32768
_NO_P = 255
P_EDGES = sorted(
    {*(float(f"{p:.3g}") for p in np.logspace(-7, 0, 200)), 0.05, 0.01, 0.005, 0.001, 0.0001}
)
"""Between which p is told: the page's thresholds are among them, so that they are exact."""
COURSE_STEP = 0.05
"""SD of a step of a time course; 127 steps to either side are kept."""
_RESERVE = 60_000
_COARSE = N_VERTICES["fsaverage3"]


@dataclass(frozen=True, eq=False)
class ExploredMap:
    """A map that a reader may choose.

    Attributes
    ----------
    title : str
    scale : ColorScale
        Colors, their range, and what the color bar says.
    values : (n_maps, n_vertices) array
        Left hemisphere first; NaN shows the bare cortex.
    names : sequence of n_maps str
        What the slider goes through.
    p : (n_maps, n_vertices) array, optional
        Not corrected: what colors fade with and thresholds are of.
    passed : (n_maps, n_vertices) bool array, optional
        Where the corrected test passes.
    """

    title: str
    scale: ColorScale
    values: FloatArray
    names: Sequence[str]
    p: FloatArray | None = None
    passed: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Explored:
    """What an interactive page shows.

    Attributes
    ----------
    title, subtitle, banner : str
    page : str
        Name of the page with all results, beside this one.
    mesh : SurfaceMesh
    maps : sequence of ExploredMap
        The first is the profile of a clicked vertex.
    corrected : str
        What `ExploredMap.passed` means.
    courses : sequence of (label, times (n_times,), values (n_times, n_vertices))
        Cleaned responses; none at the group level.
    regions : (label, (n_vertices,) int array, names by number), optional
        Atlas that names clicked vertices.
    notes : sequence of str
        What else is to be said.
    """

    title: str
    subtitle: str
    banner: str
    page: str
    mesh: SurfaceMesh
    maps: Sequence[ExploredMap]
    corrected: str
    courses: Sequence[tuple[str, FloatArray, npt.NDArray[np.floating]]] = ()
    regions: tuple[str, npt.NDArray[np.integer], dict[int, str]] | None = None
    notes: Sequence[str] = field(default_factory=tuple)


def library() -> str:
    """Plotly for 3-D, as nilearn ships it.

    Raises
    ------
    MissingInputError
        If this version of nilearn has none.
    """
    for place in _PLACES:
        path = package_files("nilearn") / place / LIBRARY
        if path.is_file():
            return path.read_text(encoding="utf-8").replace("</script", "<\\/script")
    raise MissingInputError(
        "nilearn holds no plotly, so that there is no interactive page.",
        where="nilearn",
        wanted=f"{LIBRARY} in {' or '.join(_PLACES)}",
        remedy="install nilearn 0.12 to 0.14",
    )


def write_explorer(path: Path, shown: Explored) -> Path:
    """Write the page; at most `MAX_BYTES` whatever the mesh and the number of volumes.

    Raises
    ------
    MissingInputError
        If nilearn has no plotly.
    CannotWriteError
    """
    script = library()
    content, notes = _content(shown)
    used = len(script) + len(json.dumps(content)) + _RESERVE
    if shown.courses:
        content["courses"], told = _courses(shown, MAX_BYTES - used)
        notes += told
    template = environment().get_template("explore.html.j2")
    html = template.render(
        title=shown.title,
        subtitle=shown.subtitle,
        banner=shown.banner,
        page=shown.page,
        notes=[*shown.notes, *notes],
        # Of all of HTML only this could end the element.
        data=json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
        library=script,
        version=__version__,
    )
    return write_text(path, html)


def _content(shown: Explored) -> tuple[dict[str, Any], list[str]]:
    """All but the time courses, and what is to be said of it."""
    kept = kept_vertices(shown.mesh)
    mesh, notes = shown.mesh, []
    if len(kept) < mesh.n_vertices:
        notes.append(_told_of(mesh))
        mesh = load_mesh(SHOWN_SPACE)
    pools: list[FloatArray] = []
    bits: list[npt.NDArray[np.bool_]] = []
    first = shown.maps[0]
    best = np.nan_to_num(first.values[:, kept], nan=-np.inf).max(axis=0)
    content = {
        "n": len(kept),
        "space": mesh.space,
        "surfaces": _surfaces(mesh),
        "faces": _encoded(mesh.faces, np.uint16),
        "gray": _encoded(_grays(mesh), np.uint8),
        "maps": [_map(one, kept, pools, bits) for one in shown.maps],
        "p": [_encoded(_coded(one[:, kept]), np.uint8) for one in pools],
        "passed": [_encoded(np.packbits(one[:, kept].ravel()), np.uint8) for one in bits],
        "edges": P_EDGES,
        "colors": {name: _palette(name) for name in sorted({one.scale.cmap for one in shown.maps})},
        "corrected": shown.corrected,
        "profile": 0,
        "start": int(best.argmax()),
        "mni152": [list(row) for row in MNI305_TO_MNI152[:3]],
        "regions": None,
        "courses": None,
    }
    if shown.regions is not None:
        label, numbers, names = shown.regions
        content["regions"] = {
            "atlas": label,
            "data": _encoded(numbers[kept], np.uint16),
            "names": {str(number): name for number, name in names.items()},
        }
    return content, notes


def kept_vertices(mesh: SurfaceMesh) -> npt.NDArray[np.intp]:
    """Vertices that are shown: one for each of `SHOWN_SPACE`, or all where it has more."""
    if mesh.n_vertices <= 2 * N_VERTICES[SHOWN_SPACE]:
        return np.arange(mesh.n_vertices)
    return nearest_vertices(mesh, SHOWN_SPACE)


def _told_of(mesh: SurfaceMesh) -> str:
    """What is to be said of a mesh that is finer than what is shown."""
    first = f"The maps are on {mesh.space}; here they are seen at the vertices "
    row = MESHES.get(mesh.space)
    if row is None or row.nested:
        return f"{first}of {SHOWN_SPACE}, which are a part of them."
    return f"{first}that are nearest to those of {SHOWN_SPACE}, on its surfaces."


def _surfaces(mesh: SurfaceMesh) -> dict[str, Any]:
    """Points of every surface; the inflated hemispheres lie beside each other."""
    found = {}
    for name in ("inflated", "pial", "white"):
        left, right = (getattr(hemi, name).copy() for hemi in mesh.hemispheres)
        if name == "inflated":
            left[:, 0] -= left[:, 0].max() + 1.0
            right[:, 0] -= right[:, 0].min() - 1.0
        whole = np.vstack([left, right])
        step = float(np.abs(whole).max()) / 32_000
        found[name] = {"data": _encoded(np.rint(whole / step), np.int16), "step": step}
    return found


def _grays(mesh: SurfaceMesh) -> FloatArray:
    sulc = np.concatenate([hemi.sulc for hemi in mesh.hemispheres])
    depth = np.clip(0.5 + sulc / (2.5 * max(sulc.std(), 1e-12)), 0, 1)
    return np.asarray(225 - 80 * depth)


def _map(
    one: ExploredMap,
    kept: npt.NDArray[np.intp],
    pools: list[FloatArray],
    bits: list[npt.NDArray[np.bool_]],
) -> dict[str, Any]:
    """A map as the page's script reads it; what maps share is kept once."""
    values = np.asarray(one.values, dtype=np.float64)[:, kept]
    finite = np.isfinite(values)
    step = max(float(np.abs(values[finite]).max()) if finite.any() else 1.0, 1e-12) / 32_000
    stored = np.where(finite, np.rint(np.where(finite, values, 0.0) / step), _NO_VALUE)
    low, high = one.scale.low, one.scale.high
    return {
        "title": one.title,
        "unit": one.scale.label,
        "names": list(one.names),
        "low": low,
        "high": high if high > low else low + 1.0,
        "under": one.scale.extend in ("min", "both"),
        "over": one.scale.extend in ("max", "both"),
        "colors": one.scale.cmap,
        "step": step,
        "data": _encoded(stored, np.int16),
        "p": _place(one.p, pools),
        "passed": _place(one.passed, bits),
    }


def _place(array: Any, pool: list[Any]) -> int | None:
    if array is None:
        return None
    for index, known in enumerate(pool):
        if known is array:
            return index
    pool.append(array)
    return len(pool) - 1


def _coded(p: FloatArray) -> npt.NDArray[np.integer]:
    """How many of `P_EDGES` p has reached: p is below edge k where the code is at most k."""
    codes = np.searchsorted(P_EDGES, np.nan_to_num(p, nan=2.0), side="right")
    return np.where(np.isfinite(p), codes, _NO_P)


def _palette(name: str) -> str:
    from matplotlib import colormaps

    return _encoded(np.rint(255 * colormaps[name](np.linspace(0, 1, 256))[:, :3]), np.uint8)


def _courses(shown: Explored, n_bytes: int) -> tuple[dict[str, Any] | None, list[str]]:
    """Time courses of as many vertices as there is room for, and what is to be said of it.

    First those of a coarse mesh, so that none is far from one; then the best predicted.
    """
    kept = kept_vertices(shown.mesh)
    half = len(kept) // 2
    n_times = sum(len(times) for _, times, _ in shown.courses)
    finite = np.all([np.isfinite(values[:, kept]).all(axis=0) for *_, values in shown.courses], 0)
    room = int(n_bytes * 3 / 4 / (n_times + 2))
    best = np.nan_to_num(shown.maps[0].values[:, kept], nan=-np.inf).max(axis=0)
    coarse = np.zeros(len(kept), dtype=bool)
    coarse[:_COARSE] = coarse[half : half + _COARSE] = True
    order = np.lexsort((-best, ~coarse if room > coarse.sum() else np.zeros(len(kept))))
    chosen = np.sort(order[finite[order]][: max(room, 0)])
    if not chosen.size:
        return None, ["Time courses are left out: they would make the page too large."]
    presentations = []
    for label, times, values in shown.courses:
        own = np.asarray(values[:, kept[chosen]], dtype=np.float64)
        z = (own - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-12)
        steps = np.clip(np.rint(z.T / COURSE_STEP), -127, 127)
        told = [round(float(t), 2) for t in times]
        presentations.append({"label": label, "times": told, "data": _encoded(steps, np.int8)})
    notes = []
    if len(chosen) < finite.sum():
        notes.append(
            f"Time courses of {len(chosen)} of {int(finite.sum())} vertices are in this page, which"
            " is at most 8 MB: evenly spaced ones and those predicted best. All are in the"
            " derivatives (desc-clean_bold)."
        )
    content = {"kept": _encoded(chosen, np.uint16), "step": COURSE_STEP}
    return {**content, "presentations": presentations}, notes


def _encoded(array: npt.ArrayLike, kind: npt.DTypeLike) -> str:
    """Little-endian, in base64."""
    wanted = np.dtype(kind).newbyteorder("<")
    return base64.b64encode(np.ascontiguousarray(array, dtype=wanted).tobytes()).decode()
