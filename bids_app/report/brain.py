"""Surface maps: both hemispheres from the side and from the middle, drawn without a 3-D library.

Each view is drawn once as one collection of triangles: those facing the viewer, farthest first, so
that what lies behind is hidden. The color of a triangle in that drawing is its number, so the
drawing says which triangle every pixel shows, and a map becomes an image by looking colors up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bids_app.errors import check_shape
from bids_app.surface.mesh import Hemisphere, SurfaceMesh, load_mesh

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

VIEWS = (
    ("left", "lateral"),
    ("right", "lateral"),
    ("left", "medial"),
    ("right", "medial"),
)
_PIXELS_PER_MM = 4
_MARGIN = 2.0
_SULCUS, _GYRUS = 0.5, 0.86
_LIGHT = 0.35
_OUTLINE_PIXELS = 2


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
    fade : float
        Part of the range, from `low`, over which the bare cortex shows through less and less.
    whole : bool
        Whether the color bar is to be labeled at whole numbers only.
    """

    label: str
    low: float
    high: float
    cmap: str = "inferno"
    fade: float = 0.0
    whole: bool = False

    @classmethod
    def upward(cls, label: str, values: FloatArray) -> ColorScale:
        """Scale from 0, that single vertices do not stretch; low values fade into the cortex."""
        return cls(label, 0.0, max(0.05, float(np.nanquantile(values, 0.999))), fade=0.25)

    @classmethod
    def diverging(cls, label: str, values: FloatArray) -> ColorScale:
        """Scale with zero in the middle, that single vertices do not stretch."""
        top = float(np.nanquantile(np.abs(values), 0.98))
        return cls(label, -top, top, "coolwarm")

    @classmethod
    def ordered(cls, label: str, values: FloatArray) -> ColorScale:
        """Scale over the middle 96 % of the values."""
        low, high = (float(v) for v in np.nanquantile(values, [0.02, 0.98]))
        return cls(label, low, high, "viridis")

    def colors(self, values: FloatArray, ground: FloatArray) -> FloatArray:
        """Colors of values on a ground of grays, (n, 3).

        Parameters
        ----------
        values, ground : (n,) arrays
        """
        from matplotlib import colormaps

        span = self.high - self.low if self.high > self.low else 1.0
        position = np.clip((values - self.low) / span, 0, 1)
        color = np.asarray(colormaps[self.cmap](position), dtype=np.float64)[:, :3]
        opacity = np.clip(position / self.fade, 0, 1) if self.fade else np.ones_like(position)
        return color * opacity[:, None] + ground[:, None] * (1 - opacity[:, None])

    def mappable(self) -> ScalarMappable:
        """What a color bar is drawn from."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap, Normalize

        high = self.high if self.high > self.low else self.low + 1.0
        steps = np.linspace(self.low, high, 256)
        shown = self.colors(steps, np.full(256, (_SULCUS + _GYRUS) / 2))
        return ScalarMappable(Normalize(self.low, high), ListedColormap(shown))


@dataclass(frozen=True, eq=False)
class _View:
    """One hemisphere from one side.

    Attributes
    ----------
    faces : (n_visible, 3) int
        Vertices of the triangles that face the viewer, farthest first.
    pixels : (height, width) int
        Triangle that each pixel shows; -1 where it shows none.
    shade : (n_visible,) float64
        Brightness by orientation, 0 to 1.
    gray : (n_visible,) float64
        Gray of the bare cortex by sulcal depth.
    """

    faces: npt.NDArray[np.int32]
    pixels: npt.NDArray[np.int32]
    shade: FloatArray
    gray: FloatArray


def surface_figure(
    values: npt.ArrayLike,
    scale: ColorScale,
    *,
    mesh: SurfaceMesh | None = None,
    outline: npt.ArrayLike | None = None,
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
    figure = Figure(figsize=(8.0, 5.9), layout="constrained")
    axes = figure.subplots(2, 2, gridspec_kw={"wspace": 0.0, "hspace": 0.0})
    for ax, (side, aspect) in zip(axes.flat, VIEWS, strict=True):
        ax.imshow(view_image(values, scale, mesh, side, aspect, outline=outline, shrink=2))
        ax.set_axis_off()
        ax.set_title(f"{side} {aspect}", fontsize=11)
    _color_bar(figure, list(axes.flat), scale, aspect=40)
    return figure


def layers_figure(
    maps: npt.ArrayLike,
    titles: Sequence[str],
    scale: ColorScale,
    *,
    mesh: SurfaceMesh | None = None,
) -> Figure:
    """Draw one small lateral pair (left, right) per map, all on one scale.

    Parameters
    ----------
    maps : (n_maps, n_vertices) array
    titles : sequence of n_maps str
    scale : ColorScale
    mesh : SurfaceMesh, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    mesh = mesh or load_mesh()
    pairs = [
        [view_image(row, scale, mesh, side, "lateral", shrink=6) for side in ("left", "right")]
        for row in np.asarray(maps, dtype=np.float64)
    ]
    height = max(image.shape[0] for image in pairs[0])
    widths = [image.shape[1] for image in pairs[0]]
    # One image for all costs a fraction of what a hundred pairs of axes do.
    n_columns, gap, headline = 4, 14, 24
    cell = (height + headline, sum(widths) + gap)
    n_rows = -(-len(pairs) // n_columns)
    sheet = np.ones((n_rows * cell[0], n_columns * cell[1], 3))
    width = 2.7 * n_columns
    height_of_sheet = width * sheet.shape[0] / sheet.shape[1]
    figure = Figure(figsize=(width, height_of_sheet + 0.8), layout="constrained")
    ax = figure.subplots()
    for index, (pair, title) in enumerate(zip(pairs, titles, strict=True)):
        top, left = (index // n_columns) * cell[0], (index % n_columns) * cell[1]
        ax.text(left + cell[1] / 2, top + headline - 5, title, ha="center", fontsize=10)
        for image, x in zip(pair, (left, left + widths[0]), strict=True):
            y = top + headline
            sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
    ax.imshow(sheet)
    ax.set_axis_off()
    _color_bar(figure, [ax], scale, aspect=60)
    return figure


def view_image(
    values: npt.ArrayLike,
    scale: ColorScale,
    mesh: SurfaceMesh,
    side: str,
    aspect: str,
    *,
    outline: npt.ArrayLike | None = None,
    shrink: int = 1,
) -> FloatArray:
    """One hemisphere from one side, as an image on white.

    Parameters
    ----------
    values : (n_vertices,) array
        Of both hemispheres, left first; NaN shows the bare cortex.
    scale : ColorScale
    mesh : SurfaceMesh
    side : {"left", "right"}
    aspect : {"lateral", "medial"}
        Lateral shows the outer side, medial the side between the hemispheres.
    outline : (n_vertices,) bool array, optional
        Vertices to draw a line around.
    shrink : int
        Pixels per side that are averaged into one.

    Returns
    -------
    (height, width, 3) float64
        Red, green, blue; 0 to 1.

    Raises
    ------
    BadDataError
        If the values are not one per vertex of the mesh.
    """
    hemisphere, own = (mesh.left, 0) if side == "left" else (mesh.right, 1)
    view = _view(hemisphere, side == "left", aspect)
    array = _per_vertex(values, mesh, "values").astype(np.float64)
    colors = _face_colors(view, mesh.split(array)[own], scale)
    # The last row is what pixels beside the brain show.
    image = np.vstack([colors, np.ones(3)])[view.pixels]
    if outline is not None:
        inside = mesh.split(_per_vertex(outline, mesh, "outline").astype(bool))[own]
        image[_border(view, inside)] = 0.0
    height, width = (size // shrink for size in image.shape[:2])
    blocks = image[: height * shrink, : width * shrink].reshape(height, shrink, width, shrink, 3)
    return np.asarray(blocks.mean(axis=(1, 3)))


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
    sulc = np.clip(0.5 + hemisphere.sulc / (2.5 * max(hemisphere.sulc.std(), 1e-12)), 0, 1)
    gray = _GYRUS + (_SULCUS - _GYRUS) * sulc[shown].mean(axis=1)
    shade = 1 - _LIGHT * (1 - facing[order])
    return _View(shown, _rasterize(plane[shown]), shade, gray)


def _rasterize(polygons: FloatArray) -> npt.NDArray[np.int32]:
    """Number of the last polygon drawn at every pixel, -1 where there is none.

    Parameters
    ----------
    polygons : (n_polygons, 3, 2) array
        Corners in mm, in the order of drawing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    low = polygons.min(axis=(0, 1)) - _MARGIN
    high = polygons.max(axis=(0, 1)) + _MARGIN
    width, height = (int(size) for size in np.ceil((high - low) * _PIXELS_PER_MM))
    figure = Figure(figsize=(width, height), dpi=1, facecolor="black")
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_axis_off()
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    # Three bytes of color hold the number; 0 is the ground.
    numbers = np.arange(1, len(polygons) + 1)
    colors = np.column_stack([numbers >> 16, (numbers >> 8) & 255, numbers & 255]) / 255
    ax.add_collection(
        PolyCollection(
            list(polygons), facecolors=colors, edgecolors=colors, linewidths=1.0, antialiaseds=False
        ),
        autolim=False,
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    red, green, blue = np.asarray(canvas.buffer_rgba())[..., :3].astype(np.int32).transpose(2, 0, 1)
    return (red << 16) + (green << 8) + blue - 1


def _face_colors(view: _View, values: FloatArray, scale: ColorScale) -> FloatArray:
    """Colors of the visible triangles: mean of their finite corners, else gray cortex."""
    corners = values[view.faces]
    finite = np.isfinite(corners)
    count = finite.sum(axis=1)
    mean = np.where(finite, corners, 0.0).sum(axis=1) / np.maximum(count, 1)
    colors = scale.colors(mean, view.gray)
    bare = count < 2
    colors[bare] = view.gray[bare, None]
    return colors * view.shade[:, None]


def _border(view: _View, inside: BoolArray) -> BoolArray:
    """Pixels on either side of the border of a set of vertices, (height, width)."""
    member = np.append(inside[view.faces].sum(axis=1) >= 2, False)[view.pixels]
    border = np.zeros_like(member)
    for axis in (0, 1):
        for step in range(1, _OUTLINE_PIXELS + 1):
            border |= member != np.roll(member, step, axis=axis)
            border |= member != np.roll(member, -step, axis=axis)
    return border & (view.pixels >= 0)


def _color_bar(figure: Figure, axes: list[Axes], scale: ColorScale, aspect: float) -> None:
    from matplotlib.ticker import MaxNLocator

    bar = figure.colorbar(
        scale.mappable(),
        ax=axes,
        location="bottom",
        shrink=0.6,
        aspect=aspect,
        pad=0.02,
        ticks=MaxNLocator(8, integer=scale.whole),
    )
    bar.set_label(scale.label, fontsize=11)
    bar.ax.tick_params(labelsize=10)


def _per_vertex(values: npt.ArrayLike, mesh: SurfaceMesh, name: str) -> npt.NDArray:
    array = np.asarray(values)
    check_shape(f"{name} on {mesh.space}, left then right", array, mesh.n_vertices)
    return array
