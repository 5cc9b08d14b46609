import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bids_app.errors import BadDataError
from bids_app.report.brain import (
    VIEWS,
    ColorScale,
    _show_pixels,
    border_of,
    colored_view,
    layers_figure,
    opacity_of,
    rows_figure,
    surface_figure,
)

SCALE = ColorScale("r", 0.0, 1.0, "viridis")
YELLOW = np.array([0.993248, 0.906157, 0.143936])


@pytest.fixture(scope="module")
def white(mesh):
    return np.vstack([mesh.left.white, mesh.right.white])


def painted(mesh, chosen, side, aspect):
    """Rows and columns (0 to 1) of the pixels that show chosen vertices."""
    image = colored_view(np.where(chosen, 1.0, np.nan), SCALE, mesh, side, aspect).image()
    colored = np.ptp(image, axis=2) > 0.2
    rows, columns = np.nonzero(colored)
    return rows / image.shape[0], columns / image.shape[1]


@pytest.mark.parametrize(
    ("side", "aspect", "front_is_left"),
    [
        ("left", "lateral", True),
        ("left", "medial", False),
        ("right", "lateral", False),
        ("right", "medial", True),
    ],
)
def test_front_and_top_are_where_an_anatomist_expects_them(
    mesh, white, side, aspect, front_is_left
):
    front = white[:, 1] > 40
    _, columns = painted(mesh, front, side, aspect)
    assert len(columns) > 500
    assert (np.median(columns) < 0.3) if front_is_left else (np.median(columns) > 0.7)
    rows, _ = painted(mesh, white[:, 2] > 55, side, aspect)
    assert np.median(rows) < 0.3


@pytest.mark.parametrize(("side", "sign"), [("left", -1), ("right", 1)])
def test_lateral_shows_the_outer_and_medial_the_inner_side(mesh, white, side, sign):
    own = np.sign(white[:, 0]) == sign
    outer = own & (np.abs(white[:, 0]) > 58)
    inner = own & (np.abs(white[:, 0]) < 6) & (white[:, 2] > 0)
    assert len(painted(mesh, outer, side, "lateral")[0]) > 1000
    assert len(painted(mesh, outer, side, "medial")[0]) == 0
    assert len(painted(mesh, inner, side, "medial")[0]) > 1000
    assert len(painted(mesh, inner, side, "lateral")[0]) == 0


def test_each_hemisphere_shows_its_own_half_of_the_values(mesh):
    left_only = np.arange(mesh.n_vertices) < mesh.left.n_vertices
    assert len(painted(mesh, left_only, "left", "lateral")[0]) > 10_000
    assert len(painted(mesh, left_only, "right", "lateral")[0]) == 0


def test_undefined_vertices_are_gray_and_the_background_white(mesh):
    image = colored_view(np.full(mesh.n_vertices, np.nan), SCALE, mesh, "left", "lateral").image()
    assert np.ptp(image, axis=2).max() == pytest.approx(0, abs=1e-12)
    np.testing.assert_array_equal(image[0, 0], 1.0)
    assert image[image.shape[0] // 2, image.shape[1] // 2, 0] < 0.95


def test_value_at_the_top_of_the_scale_has_the_last_color_up_to_shading(mesh):
    image = colored_view(np.ones(mesh.n_vertices), SCALE, mesh, "right", "lateral").image()
    pixel = image[image.shape[0] // 2, image.shape[1] // 2]
    np.testing.assert_allclose(pixel / pixel[0], YELLOW / YELLOW[0], rtol=1e-3)


def test_opacity_shows_the_cortex_below_and_the_color_above():
    scale = ColorScale("r", 0.0, 1.0, "viridis")
    ground = np.array([0.7, 0.7])
    colors = scale.colors(np.array([1.0, 1.0]), ground, np.array([0.0, 1.0]))
    np.testing.assert_allclose(colors[0], 0.7)
    np.testing.assert_allclose(colors[1], YELLOW, atol=1e-5)


def test_colors_fade_with_p_and_are_gone_where_it_is_not_small():
    p = np.array([0.0, 1e-9, 0.001, 0.01, 0.05, 0.9, np.nan])
    opacity = opacity_of(p)
    np.testing.assert_array_equal(opacity[:3], 1.0)
    assert 0.3 < opacity[3] < 0.5
    np.testing.assert_array_equal(opacity[4:], 0.0)


def test_a_map_of_noise_is_bare_cortex_but_for_a_few_vertices(mesh):
    rng = np.random.default_rng(0)
    values, p = rng.normal(0, 0.1, mesh.n_vertices), rng.random(mesh.n_vertices)
    scale = ColorScale.accuracy("r", values)
    faded = colored_view(values, scale, mesh, "left", "lateral", opacity=opacity_of(p)).image()
    glowing = colored_view(values, scale, mesh, "left", "lateral").image()

    def colored(image):
        return (np.ptp(image, axis=2) > 0.2).mean()

    assert colored(glowing) > 0.15
    assert colored(faded) < 0.02


def test_averaged_pixels_are_the_mean_of_the_fine_ones(mesh, white):
    values = white[:, 1]
    fine = colored_view(values, SCALE, mesh, "left", "medial").image()
    coarse = colored_view(values, SCALE, mesh, "left", "medial").image(shrink=4)
    height, width = (4 * size for size in coarse.shape[:2])
    blocks = fine[:height, :width].reshape(height // 4, 4, width // 4, 4, 3)
    np.testing.assert_allclose(coarse, blocks.mean(axis=(1, 3)), atol=1e-12)


def test_the_scale_of_accuracy_is_the_same_for_all_maps_and_arrows_say_what_is_beyond():
    low, high = np.array([0.01, 0.2]), np.array([-0.1, 0.6])
    scales = [ColorScale.accuracy("r", values) for values in (low, high)]
    assert [(s.low, s.high) for s in scales] == [(0.0, 0.3)] * 2
    assert [s.extend for s in scales] == ["neither", "both"]
    assert ColorScale.accuracy("r", np.array([np.nan, 0.4])).extend == "max"
    # What layers add is a tenth of an accuracy: on its scale all of it would be black.
    assert ColorScale.gain("r", low).high < 0.5 * ColorScale.accuracy("r", low).high


def test_a_line_around_everything_or_nothing_is_left_out_and_said():
    values = np.array([np.nan, *np.linspace(0, 1, 99)])
    inside = np.zeros(100, bool)
    assert border_of(inside, values) == (None, "no vertex is inside, so there is no outline")
    inside[1:] = True
    border, why = border_of(inside, values)
    assert border is None
    assert why == "100 % of the cortex is inside, so no outline is drawn"
    inside[50:] = False
    border, why = border_of(inside, values)
    np.testing.assert_array_equal(border, inside)
    assert not why


def test_outline_blackens_its_border_only(mesh, white):
    chosen = np.linalg.norm(white - [-50, -22, 8], axis=1) < 25
    bare = np.full(mesh.n_vertices, np.nan)
    plain = colored_view(bare, SCALE, mesh, "left", "lateral").image()
    drawn = colored_view(bare, SCALE, mesh, "left", "lateral", outline=chosen).image()
    changed = (plain != drawn).any(axis=2)
    assert 200 < changed.sum() < 0.05 * changed.size
    assert drawn[changed].max() == 0
    other = colored_view(bare, SCALE, mesh, "right", "lateral", outline=chosen).image()
    np.testing.assert_array_equal(
        other, colored_view(bare, SCALE, mesh, "right", "lateral").image()
    )


def test_figure_has_four_labeled_views_and_a_labeled_color_bar(mesh):
    figure = surface_figure(
        np.zeros(mesh.n_vertices), ColorScale("accuracy (r)", 0, 0.3), mesh=mesh
    )
    views, bar = figure.axes
    assert [text.get_text() for text in views.texts] == [" ".join(view) for view in VIEWS]
    assert bar.get_xlabel() == "accuracy (r)"
    places = np.array([text.get_position() for text in views.texts])
    height, width = views.images[0].get_array().shape[:2]
    np.testing.assert_array_equal(places[:, 0] / width, [0.25, 0.75, 0.25, 0.75])
    assert (places[:2, 1] < height / 2).all()
    assert (places[2:, 1] > height / 2).all()


def test_small_multiples_name_every_map(mesh):
    maps = np.random.default_rng(0).random((5, mesh.n_vertices))
    figure = layers_figure(maps, list("abcde"), SCALE, mesh=mesh)
    assert [text.get_text() for text in figure.axes[0].texts] == list("abcde")


def test_wrong_number_of_vertices_is_refused(mesh):
    with pytest.raises(BadDataError, match=r"(?s)shape \(100,\).*20484"):
        surface_figure(np.zeros(100), SCALE, mesh=mesh)


def test_scale_of_nothing_has_zero_in_its_middle():
    scale = ColorScale.diverging("slope", np.zeros(4))
    assert (scale.low, scale.high) == (-1.0, 1.0)
    norm = scale.mappable().norm
    assert norm(0.0) == 0.5


def test_maps_below_each_other_show_every_view(mesh):
    values = np.linspace(-1, 1, mesh.n_vertices)
    scale = ColorScale("slope", -1.0, 1.0)
    figure = rows_figure([(values, scale, None), (values, scale, np.zeros(len(values)))], mesh=mesh)
    rows = [ax for ax in figure.axes if ax.images]
    for row in rows:
        assert [text.get_text() for text in row.texts] == [" ".join(view) for view in VIEWS]
    first, faded = [row.images[0].get_array()[..., :3] for row in rows]
    assert np.ptp(first, axis=2).max() > 0.2 * 255
    assert np.ptp(faded, axis=2).max() <= 1


def test_pixels_are_drawn_as_matplotlib_draws_the_colors_themselves(mesh):
    values = np.linspace(-0.2, 1.2, mesh.n_vertices)
    drawn = []
    shown = colored_view(values, SCALE, mesh, "left", "lateral")
    height, width = shown.view.pixels.shape
    for theirs in (False, True):
        figure = Figure(figsize=(width, height), dpi=1)
        ax = figure.add_axes((0, 0, 1, 1))
        if theirs:
            ax.imshow(shown.image(), interpolation="none", aspect="auto")
            ax.set_axis_off()
        else:
            _show_pixels(ax, shown.rgba())
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        drawn.append(np.array(canvas.buffer_rgba()))
    np.testing.assert_array_equal(*drawn)
