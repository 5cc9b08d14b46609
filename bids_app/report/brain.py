"""Surface maps: both hemispheres from the side and from the middle, drawn without a 3-D library.

Each view is one collection of triangles: those facing the viewer, farthest first. That hides what
lies behind, needs no graphics card and takes about a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError
from bids_app.surface.mesh import Hemisphere, SurfaceMesh, load_mesh

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

VIEWS = (
    ("left", "lateral"),
    ("right", "lateral"),
    ("left", "medial"),
    ("right", "medial"),
)
_SULCUS, _GYRUS = 0.62, 0.84
_LIGHT = 0.35
_OUTLINE_COLOR = (0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class ColorScale:
    """How values become colors.

    Attributes
    ----------
    label : str
        What the color bar says, with the unit.
    low, high : float
        Ends of the scale.
    cmap : str
        Perceptually uniform colormap of matplotlib.
    """

    label: str
    low: float
    high: float
    cmap: str = "inferno"


@dataclass(frozen=True, eq=False)
class _View:
    """One hemisphere from one side: the triangles that face the viewer, farthest first.

    Attributes
    ----------
    faces : (n_visible, 3) int
        Vertices of the visible triangles, numbered within the hemisphere.
    polygons : (n_visible, 3, 2) float64
        The same in the plane of the view, mm.
    shade : (n_visible,) float64
        Brightness by orientation, 0 to 1.
    gray : (n_visible,) float64
        Gray of the bare cortex by sulcal depth.
    plane : (n_vertices, 2) float64
        All vertices in the plane of the view, mm.
    """

    faces: npt.NDArray[np.int32]
    polygons: FloatArray
    shade: FloatArray
    gray: FloatArray
    plane: FloatArray


def surface_figure(
    values: npt.ArrayLike,
    scale: ColorScale,
    *,
    mesh: SurfaceMesh | None = None,
    outline: npt.ArrayLike | None = None,
    title: str = "",
) -> Figure:
    """Draw a map on the inflated surface: lateral and medial views of both hemispheres.

    Parameters
    ----------
    values : (n_vertices,) array
        Left hemisphere first; NaN shows the bare cortex, shaded by sulcal depth.
    scale : ColorScale
        Colors, their range and the label of the color bar.
    mesh : SurfaceMesh, optional
        fsaverage5 without it.
    outline : (n_vertices,) bool array, optional
        Vertices to draw a black line around.
    title : str
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Not known to pyplot, so it needs no closing.

    Raises
    ------
    BadDataError
        If the values are not one per vertex of the mesh.
    """
    from matplotlib.figure import Figure

    mesh = mesh or load_mesh()
    values = _per_vertex(values, mesh, "values").astype(np.float64)
    inside = None if outline is None else _per_vertex(outline, mesh, "outline").astype(bool)
    norm, cmap = _color_functions(scale)
    figure = Figure(figsize=(8.0, 5.9), layout="constrained")
    axes = figure.subplots(2, 2, gridspec_kw={"wspace": 0.0, "hspace": 0.0})
    for ax, (side, aspect) in zip(axes.flat, VIEWS, strict=True):
        draw_view(ax, mesh, side, aspect, values, norm, cmap, outline=inside)
        ax.set_title(f"{side} {aspect}", fontsize=11)
    _color_bar(figure, list(axes.flat), scale, norm, cmap)
    if title:
        figure.suptitle(title, fontsize=13)
    return figure


def layers_figure(
    maps: npt.ArrayLike,
    titles: Sequence[str],
    scale: ColorScale,
    *,
    mesh: SurfaceMesh | None = None,
    n_columns: int = 4,
) -> Figure:
    """Draw one small lateral pair (left, right) per map, all on one scale.

    Parameters
    ----------
    maps : (n_maps, n_vertices) array
    titles : sequence of n_maps str
    scale : ColorScale
    mesh : SurfaceMesh, optional
    n_columns : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    mesh = mesh or load_mesh()
    maps = np.asarray(maps, dtype=np.float64)
    norm, cmap = _color_functions(scale)
    n_rows = -(-len(maps) // n_columns)
    figure = Figure(figsize=(2.7 * n_columns, 1.32 * n_rows + 0.7), layout="constrained")
    cells = figure.subplots(n_rows, n_columns, squeeze=False)
    for index, cell in enumerate(cells.flat):
        cell.set_axis_off()
        if index >= len(maps):
            continue
        row = _per_vertex(maps[index], mesh, titles[index])
        cell.set_title(titles[index], fontsize=10)
        for x, side in ((0.0, "left"), (0.5, "right")):
            ax = cell.inset_axes((x, 0.0, 0.5, 1.0))
            draw_view(ax, mesh, side, "lateral", row, norm, cmap)
    _color_bar(figure, list(cells.flat), scale, norm, cmap, aspect=60)
    return figure


def draw_view(
    ax: Axes,
    mesh: SurfaceMesh,
    side: str,
    aspect: str,
    values: FloatArray,
    norm: Normalize,
    cmap: Colormap,
    *,
    outline: BoolArray | None = None,
) -> None:
    """Draw one hemisphere from one side into `ax`.

    Parameters
    ----------
    ax : Axes
    mesh : SurfaceMesh
    side : {"left", "right"}
    aspect : {"lateral", "medial"}
        Lateral looks at the outer side, medial at the side between the hemispheres.
    values : (n_vertices,) array
        Of both hemispheres, left first.
    norm, cmap
        From value to color.
    outline : (n_vertices,) bool array, optional
        Vertices to draw a line around.
    """
    from matplotlib.collections import LineCollection, PolyCollection

    hemisphere, own = (mesh.left, 0) if side == "left" else (mesh.right, 1)
    view = _view(hemisphere, side == "left", aspect)
    colors = _face_colors(view, mesh.split(values)[own], norm, cmap)
    ax.add_collection(
        # Hairlines show between triangles without an edge of the same color.
        PolyCollection(view.polygons, facecolors=colors, edgecolors=colors, linewidths=0.4),
        autolim=False,
    )
    if outline is not None:
        borders = _border(view, mesh.split(outline)[own])
        ax.add_collection(
            LineCollection(borders, colors=[_OUTLINE_COLOR], linewidths=1.1, capstyle="round"),
            autolim=False,
        )
    low, high = view.plane.min(axis=0) - 1, view.plane.max(axis=0) + 1
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ax.set_aspect("equal")
    ax.set_axis_off()


@lru_cache(maxsize=16)
def _view(hemisphere: Hemisphere, is_left: bool, aspect: str) -> _View:
    """Project a hemisphere; the axes of the mesh are right, anterior, superior."""
    points, faces = hemisphere.inflated, hemisphere.faces
    # The left hemisphere's outer side is seen from the left, its inner side from the right.
    from_right = is_left == (aspect == "medial")
    toward = 1.0 if from_right else -1.0
    # Seen from the right, anterior is on the viewer's right; superior is up in every view.
    plane = np.column_stack([toward * points[:, 1], points[:, 2]])
    depth = toward * points[:, 0]
    corners = points[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    facing = toward * normals[:, 0]
    visible = np.flatnonzero(facing > 0)
    order = visible[np.argsort(depth[faces[visible]].mean(axis=1), kind="stable")]
    shown = faces[order]
    # Steps rather than a ramp would show the triangles; sulcal depth is about -2 to 2.
    sulc = np.clip(0.5 + hemisphere.sulc / (4 * hemisphere.sulc.std()), 0, 1)
    gray = _GYRUS + (_SULCUS - _GYRUS) * sulc[shown].mean(axis=1)
    shade = 1 - _LIGHT * (1 - facing[order])
    return _View(shown, plane[shown], shade, gray, plane)


def _face_colors(
    view: _View, values: FloatArray, norm: Normalize, cmap: Colormap
) -> npt.NDArray[np.float64]:
    """Colors of the visible triangles: mean of their finite corners, else gray cortex."""
    corners = values[view.faces]
    finite = np.isfinite(corners)
    count = finite.sum(axis=1)
    mean = np.where(finite, corners, 0.0).sum(axis=1) / np.maximum(count, 1)
    colors = np.asarray(cmap(norm(mean)), dtype=np.float64)
    bare = count < 2
    colors[bare, :3] = view.gray[bare, None]
    colors[:, :3] *= view.shade[:, None]
    return colors


def _border(view: _View, inside: BoolArray) -> FloatArray:
    """Edges between triangles inside and outside of a set of vertices, (n_edges, 2, 2)."""
    member = inside[view.faces].sum(axis=1) >= 2
    edges = np.sort(
        np.concatenate([view.faces[:, [0, 1]], view.faces[:, [1, 2]], view.faces[:, [2, 0]]]),
        axis=1,
    )
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    members = np.bincount(inverse.ravel(), weights=np.tile(member, 3), minlength=len(unique))
    triangles = np.bincount(inverse.ravel(), minlength=len(unique))
    return view.plane[unique[(members == 1) & (triangles == 2)]]


def _color_functions(scale: ColorScale) -> tuple[Normalize, Colormap]:
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    high = scale.high if scale.high > scale.low else scale.low + 1.0
    return Normalize(scale.low, high, clip=True), colormaps[scale.cmap]


def _color_bar(
    figure: Figure,
    axes: list[Axes],
    scale: ColorScale,
    norm: Normalize,
    cmap: Colormap,
    aspect: float = 40,
) -> None:
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(
        ScalarMappable(norm, cmap),
        ax=axes,
        location="bottom",
        shrink=0.6,
        aspect=aspect,
        pad=0.02,
    )
    bar.set_label(scale.label, fontsize=11)
    bar.ax.tick_params(labelsize=10)


def _per_vertex(values: npt.ArrayLike, mesh: SurfaceMesh, name: str) -> npt.NDArray:
    array = np.asarray(values)
    if array.shape != (mesh.n_vertices,):
        raise BadDataError(
            "A map and the mesh it is drawn on have different numbers of vertices.",
            where=name,
            found=f"shape {array.shape}",
            wanted=f"({mesh.n_vertices},) on {mesh.space}, left then right",
        )
    return array
