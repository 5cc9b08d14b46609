"""Surface maps: both hemispheres from the side and from the middle, drawn without a 3-D library.

Each view is drawn once as one collection of triangles: those facing the viewer, farthest first, so
that what lies behind is hidden. The color of a triangle in that drawing is its number, so the
drawing says which triangle every pixel shows, and a map becomes an image by looking colors up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bids_app.errors import check_shape
from bids_app.statistics import SIGNIFICANCE
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
HIGHEST_ACCURACY = 0.3
"""End of the scale of every map of accuracy: maps of layers, people and studies compare."""
LARGE_DIFFERENCE = 0.05
"""Of the accuracy of two layers."""
CLEAR = 0.001
"""p at and below which a color is opaque; from .05 on the bare cortex is shown."""
NEARLY_ALL = 0.95
_PIXELS_PER_MM = 5.8
_MARGIN = 2.0
_SULCUS, _GYRUS = 0.5, 0.86
_LIGHT = 0.35
_OUTLINE_PIXELS = 3


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
    whole : bool
        Whether the color bar is to be labeled at whole numbers only.
    extend : {"neither", "min", "max", "both"}
        Ends beyond which there are values: the color bar has an arrow there.
    """

    label: str
    low: float
    high: float
    cmap: str = "inferno"
    whole: bool = False
    extend: str = "neither"

    @classmethod
    def accuracy(cls, label: str, values: npt.ArrayLike) -> ColorScale:
        """The scale of correlations, the same for all maps: 0 to `HIGHEST_ACCURACY`."""
        return cls(label, 0.0, HIGHEST_ACCURACY).reaching(values)

    @classmethod
    def diverging(cls, label: str, values: npt.ArrayLike) -> ColorScale:
        """Scale with zero in the middle, that single vertices do not stretch."""
        top = float(np.nanquantile(np.abs(values), 0.98)) or 1.0
        return cls(label, -top, top, "coolwarm").reaching(values)

    @classmethod
    def tested(cls, label: str, values: npt.ArrayLike) -> ColorScale:
        """The scale of t, the same for all maps: -6 to 6."""
        return cls(label, -6.0, 6.0, "coolwarm").reaching(values)

    @classmethod
    def beside(cls, label: str, values: npt.ArrayLike) -> ColorScale:
        """The scale of differences of correlations, the same for all: up to `LARGE_DIFFERENCE`."""
        return cls(label, -LARGE_DIFFERENCE, LARGE_DIFFERENCE, "coolwarm").reaching(values)

    @classmethod
    def gain(cls, label: str, values: npt.ArrayLike) -> ColorScale:
        """The scale of what a model gains in r, the same for all: 0 to `LARGE_DIFFERENCE`."""
        return cls(label, 0.0, LARGE_DIFFERENCE).reaching(values)

    @classmethod
    def ordered(cls, label: str, values: npt.ArrayLike) -> ColorScale:
        """Scale over the middle 96 % of the values."""
        known = np.asarray(values, dtype=np.float64)
        low, high = (float(v) for v in np.nanquantile(known, [0.02, 0.98]))
        return cls(label, low, high, "viridis").reaching(values)

    def reaching(self, values: npt.ArrayLike) -> ColorScale:
        """The same with an arrow at each end that values go beyond."""
        array = np.asarray(values, dtype=np.float64)
        beyond = (bool((array < self.low).any()), bool((array > self.high).any()))
        names = {(True, True): "both", (True, False): "min", (False, True): "max"}
        return replace(self, extend=names.get(beyond, "neither"))

    def colors(
        self, values: FloatArray, ground: FloatArray, opacity: FloatArray | float = 1.0
    ) -> FloatArray:
        """Colors of values on a ground of grays, (n, 3).

        Parameters
        ----------
        values, ground : (n,) arrays
        opacity : (n,) array or float
            0 shows the ground alone, 1 the color alone.
        """
        from matplotlib import colormaps

        span = self.high - self.low if self.high > self.low else 1.0
        position = np.clip((values - self.low) / span, 0, 1)
        color = np.asarray(colormaps[self.cmap](position), dtype=np.float64)[:, :3]
        share = np.broadcast_to(np.asarray(opacity, dtype=np.float64), position.shape)[:, None]
        return color * share + ground[:, None] * (1 - share)

    def mappable(self) -> ScalarMappable:
        """What a color bar is drawn from."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        high = self.high if self.high > self.low else self.low + 1.0
        return ScalarMappable(Normalize(self.low, high), self.cmap)


def opacity_of(p: npt.ArrayLike) -> FloatArray:
    """How much of its color a vertex shows: none from p = .05 on, all of it up to `CLEAR`.

    Parameters
    ----------
    p : array of any shape
        NaN shows no color.

    Returns
    -------
    float64 array of the same shape
        Linear in log p between both.
    """
    known = np.where(np.isfinite(p), p, 1.0).astype(np.float64)
    steps = np.log10(SIGNIFICANCE / np.maximum(known, 1e-300)) / np.log10(SIGNIFICANCE / CLEAR)
    return np.asarray(np.clip(steps, 0.0, 1.0))


def border_of(inside: npt.ArrayLike, values: npt.ArrayLike) -> tuple[BoolArray | None, str]:
    """Vertices to draw a line around, None where a line says nothing, and why it is not there.

    Parameters
    ----------
    inside : (n_vertices,) bool
    values : (n_vertices,) array
        What is shown; NaN outside cortex.
    """
    chosen = np.asarray(inside, dtype=bool)
    known = np.isfinite(np.asarray(values, dtype=np.float64))
    if not chosen.any():
        return None, "no vertex is inside, so there is no outline"
    share = (chosen & known).sum() / max(int(known.sum()), 1)
    if share > NEARLY_ALL:
        return None, f"{100 * share:.0f} % of the cortex is inside, so no outline is drawn"
    return chosen, ""


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

    @cached_property
    def _shares(self) -> dict[int, sparse.csr_array]:
        """By pixels per side: the part of every averaged pixel that each triangle takes."""
        return {}

    def averaged(self, colors: FloatArray, shrink: int) -> FloatArray:
        """The picture with `shrink` pixels per side averaged into one, (height, width, 3).

        Parameters
        ----------
        colors : (n_visible + 1, 3) array
            Of every triangle; the last is the ground.
        shrink : int
        """
        if shrink == 1:
            return np.asarray(colors[self.pixels])
        height, width = (size // shrink for size in self.pixels.shape)
        if shrink not in self._shares:
            shown = self.pixels[: height * shrink, : width * shrink]
            blocks = shown.reshape(height, shrink, width, shrink).swapaxes(1, 2)
            triangles = np.where(blocks < 0, len(colors) - 1, blocks).ravel()
            rows = np.repeat(np.arange(height * width), shrink**2)
            weights = np.full(len(rows), 1.0 / shrink**2)
            self._shares[shrink] = sparse.csr_array(
                (weights, (rows, triangles)), shape=(height * width, len(colors))
            )
        return np.clip(self._shares[shrink] @ colors, 0.0, 1.0).reshape(height, width, 3)


def surface_figure(
    values: npt.ArrayLike,
    scale: ColorScale,
    *,
    mesh: SurfaceMesh | None = None,
    outline: npt.ArrayLike | None = None,
    opacity: npt.ArrayLike | None = None,
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
        Vertices to draw a black line around; their colors are opaque.
    opacity : (n_vertices,) array, optional
        0 to 1, as from `opacity_of`; opaque without it.

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
    # Fixed places: a layout engine draws every figure twice.
    figure = Figure(figsize=(8.0, 5.9))
    shown = [
        colored_view(values, scale, mesh, side, aspect, outline=outline, opacity=opacity)
        for side, aspect in VIEWS
    ]
    _add_views(figure, shown, top=5.84, cell=(4.0, 2.54), largest=(3.84, 2.33), fontsize=11)
    _color_bar(figure, (0.2, 0.095, 0.6, 0.022), scale)
    return figure


def rows_figure(
    rows: Sequence[tuple[npt.ArrayLike, ColorScale, npt.ArrayLike | None]],
    *,
    mesh: SurfaceMesh | None = None,
) -> Figure:
    """Draw maps below each other, every view in one row, so that they compare.

    Parameters
    ----------
    rows : sequence of (values (n_vertices,), ColorScale, opacity (n_vertices,) or None)
    mesh : SurfaceMesh, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    mesh = mesh or load_mesh()
    height = 2.45 * len(rows) + 0.1
    figure = Figure(figsize=(9.5, height))
    for row, (values, scale, opacity) in enumerate(rows):
        top = height - row * 2.45
        shown = [
            colored_view(values, scale, mesh, side, aspect, opacity=opacity)
            for side, aspect in VIEWS
        ]
        _add_views(figure, shown, top=top, cell=(2.375, 1.75), largest=(2.28, 1.45), fontsize=10)
        _color_bar(figure, (0.3, (top - 1.95) / height, 0.4, 0.1 / height), scale)
    return figure


def _add_views(
    figure: Figure,
    shown: Sequence[ColoredView],
    *,
    top: float,
    cell: tuple[float, float],
    largest: tuple[float, float],
    fontsize: int,
) -> None:
    """Draw `VIEWS` on one scale, as one image: axes for each cost several times as much.

    Parameters
    ----------
    figure : Figure
    shown : sequence of ColoredView
    top : float
        Upper edge, in inches above the lower edge of the figure; cells fill its width.
    cell, largest : (float, float)
        Width and height in inches, of what a view takes with its title and of the view itself.
    fontsize : int
    """
    images = [one.rgba() for one in shown]
    tallest, widest = (max(image.shape[axis] for image in images) for axis in (0, 1))
    # Written into files pixel by pixel: some 300 of them to the inch.
    per_inch = max(widest / largest[0], tallest / largest[1])
    width, height = (round(per_inch * inches) for inches in cell)
    n_columns = round(figure.get_figwidth() / cell[0])
    n_rows = -(-len(images) // n_columns)
    share = cell[1] / figure.get_figheight()
    low = top / figure.get_figheight() - n_rows * share
    ax = figure.add_axes((0.0, low, 1.0, n_rows * share))
    sheet = np.full((n_rows * height, n_columns * width, 4), 255, dtype=np.uint8)
    for number, (image, (side, aspect)) in enumerate(zip(images, VIEWS, strict=True)):
        row, column = divmod(number, n_columns)
        y, x = (row + 1) * height - image.shape[0], column * width
        x += (width - image.shape[1]) // 2
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
        title = ((column + 0.5) * width, (row + 1) * height - tallest - 0.04 * per_inch)
        ax.text(*title, f"{side} {aspect}", ha="center", va="bottom", fontsize=fontsize)
    _show_pixels(ax, sheet)


def _show_pixels(ax: Axes, pixels: npt.NDArray[np.uint8]) -> None:
    """Fill axes with an opaque image (height, width, 4), pixel by pixel.

    Files for print take the pixel that is nearest. Matplotlib finds the same one by way of floats,
    in five times the time.
    """
    from matplotlib.image import AxesImage

    class Pixels(AxesImage):
        def make_image(
            self, renderer: Any, magnification: float = 1.0, unsampled: bool = False
        ) -> tuple[Any, float, float, Any]:
            if unsampled:  # vectors keep all pixels
                return super().make_image(renderer, magnification, unsampled)
            (left, low), (right, high) = self.get_window_extent(renderer).get_points().round()
            columns, rows = (
                ((np.arange(n) + 0.5) * (size / n)).astype(int)
                for n, size in (
                    (int(right - left), pixels.shape[1]),
                    (int(high - low), len(pixels)),
                )
            )
            return pixels[rows[::-1, np.newaxis], columns], left, low, None

    image = Pixels(ax, interpolation="none")
    image.set_data(pixels)
    height, width = pixels.shape[:2]
    image.set_extent((-0.5, width - 0.5, height - 0.5, -0.5))
    ax.add_image(image)
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(height - 0.5, -0.5)
    ax.set_axis_off()


def layers_figure(
    maps: npt.ArrayLike,
    titles: Sequence[str],
    scale: ColorScale,
    *,
    mesh: SurfaceMesh | None = None,
    opacity: npt.ArrayLike | None = None,
) -> Figure:
    """Draw one small lateral pair (left, right) per map, all on one scale.

    Parameters
    ----------
    maps : (n_maps, n_vertices) array
    titles : sequence of n_maps str
    scale : ColorScale
    mesh : SurfaceMesh, optional
    opacity : (n_maps, n_vertices) array, optional
        0 to 1; opaque without it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    mesh = mesh or load_mesh()
    rows = np.asarray(maps, dtype=np.float64)
    shares = np.ones_like(rows) if opacity is None else np.asarray(opacity, dtype=np.float64)
    pairs = [
        [
            colored_view(row, scale, mesh, side, "lateral", opacity=share).image(shrink=4)
            for side in ("left", "right")
        ]
        for row, share in zip(rows, shares, strict=True)
    ]
    tallest = max(image.shape[0] for image in pairs[0])
    widths = [image.shape[1] for image in pairs[0]]
    # One image for all costs a fraction of what a hundred pairs of axes do.
    n_columns, gap, headline = 4, 34, 60
    cell = (tallest + headline, sum(widths) + gap)
    n_rows = -(-len(pairs) // n_columns)
    sheet = np.full((n_rows * cell[0], n_columns * cell[1], 4), 255, dtype=np.uint8)
    width = 2.7 * n_columns
    height_of_sheet = width * sheet.shape[0] / sheet.shape[1]
    height = height_of_sheet + 0.8
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0.0, 0.8 / height, 1.0, height_of_sheet / height))
    for index, (pair, title) in enumerate(zip(pairs, titles, strict=True)):
        top, left = (index // n_columns) * cell[0], (index % n_columns) * cell[1]
        ax.text(left + cell[1] / 2, top + headline - 12, title, ha="center", fontsize=10)
        for image, x in zip(pair, (left, left + widths[0]), strict=True):
            y = top + headline
            sheet[y : y + image.shape[0], x : x + image.shape[1], :3] = np.rint(255 * image)
    _show_pixels(ax, sheet)
    _color_bar(figure, (0.2, 0.5 / height, 0.6, 0.12 / height), scale)
    return figure


@dataclass(frozen=True, eq=False)
class ColoredView:
    """One hemisphere from one side, in the colors of a map.

    Attributes
    ----------
    view : _View
    colors : (n_faces + 1, 3) array
        Of the triangles; the last row is what pixels beside the brain show.
    inside : (n_vertices,) bool array
        Vertices of the hemisphere to draw a line around.
    """

    view: _View
    colors: FloatArray
    inside: BoolArray

    def image(self, shrink: int = 1) -> FloatArray:
        """Red, green, blue from 0 to 1 on white, (height, width, 3).

        Parameters
        ----------
        shrink : int
            Pixels per side that are averaged into one.
        """
        if not self.inside.any():
            return self.view.averaged(self.colors, shrink)
        image = self.colors[self.view.pixels]
        image[_border(self.view, self.inside)] = 0.0
        height, width = (size // shrink for size in image.shape[:2])
        blocks = image[: height * shrink, : width * shrink]
        blocks = blocks.reshape(height, shrink, width, shrink, 3)
        return np.asarray(blocks.mean(axis=(1, 3)))

    def rgba(self) -> npt.NDArray[np.uint8]:
        """As bytes, (height, width, 4): floats cost matplotlib four times as much."""
        painted = np.full((len(self.colors), 4), 255, dtype=np.uint8)
        painted[:, :3] = 255 * self.colors  # truncated, as matplotlib does it
        # Four bytes are looked up as one number.
        pixels = self.view.pixels
        image = painted.view(np.uint32)[:, 0][pixels].view(np.uint8).reshape(*pixels.shape, 4)
        if self.inside.any():
            image[_border(self.view, self.inside), :3] = 0
        return image


def colored_view(
    values: npt.ArrayLike,
    scale: ColorScale,
    mesh: SurfaceMesh,
    side: str,
    aspect: str,
    *,
    outline: npt.ArrayLike | None = None,
    opacity: npt.ArrayLike | None = None,
) -> ColoredView:
    """One hemisphere from one side, in the colors of a map.

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
        Vertices to draw a line around; their colors are opaque.
    opacity : (n_vertices,) array, optional
        0 to 1; opaque without it.

    Raises
    ------
    BadDataError
        If the values are not one per vertex of the mesh.
    """
    hemisphere, own = (mesh.left, 0) if side == "left" else (mesh.right, 1)
    view = _view(hemisphere, side == "left", aspect)
    array = _per_vertex(values, mesh, "values").astype(np.float64)
    share = np.ones(len(array))
    if opacity is not None:
        share = _per_vertex(opacity, mesh, "opacity").astype(np.float64)
    lined = np.zeros(len(array), dtype=bool)
    if outline is not None:
        lined = _per_vertex(outline, mesh, "outline").astype(bool)
        share = np.where(lined, 1.0, share)
    colors = _face_colors(view, mesh.split(array)[own], mesh.split(share)[own], scale)
    return ColoredView(view, np.vstack([colors, np.ones(3)]), mesh.split(lined)[own])


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
    corners: Any = polygons  # an array is taken as it is, and faster than a list
    ax.add_collection(
        PolyCollection(
            corners, facecolors=colors, edgecolors=colors, linewidths=1.0, antialiaseds=False
        ),
        autolim=False,
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    red, green, blue = np.asarray(canvas.buffer_rgba())[..., :3].astype(np.int32).transpose(2, 0, 1)
    return (red << 16) + (green << 8) + blue - 1


def _face_colors(
    view: _View, values: FloatArray, opacity: FloatArray, scale: ColorScale
) -> FloatArray:
    """Colors of the visible triangles: mean of their finite corners, else gray cortex."""
    corners = values[view.faces]
    finite = np.isfinite(corners)
    count = finite.sum(axis=1)
    mean = np.where(finite, corners, 0.0).sum(axis=1) / np.maximum(count, 1)
    colors = scale.colors(mean, view.gray, opacity[view.faces].mean(axis=1))
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


def _color_bar(figure: Figure, place: tuple[float, float, float, float], scale: ColorScale) -> None:
    from matplotlib.ticker import MaxNLocator

    bar = figure.colorbar(
        scale.mappable(),
        cax=figure.add_axes(place),
        orientation="horizontal",
        extend=scale.extend,
        ticks=MaxNLocator(6, integer=scale.whole),
    )
    bar.set_label(scale.label, fontsize=11)
    bar.ax.tick_params(labelsize=10)


def _per_vertex(values: npt.ArrayLike, mesh: SurfaceMesh, name: str) -> npt.NDArray:
    array = np.asarray(values)
    check_shape(f"{name} on {mesh.space}, left then right", array, mesh.n_vertices)
    return array
