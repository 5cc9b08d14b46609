import base64
import io
import re

import numpy as np
import pytest
from matplotlib.backends import backend_svg
from page_parser import read_page
from PIL import Image

from bids_app.errors import BadDataError
from bids_app.outputs import OutputTree
from bids_app.report import page
from bids_app.report.charts import new_figure
from bids_app.report.page import (
    Facts,
    Missing,
    Picture,
    Section,
    Table,
    Text,
    Verbatim,
    named_number,
    number,
    percent,
    picture,
    picture_from_file,
    write_page,
)

HOSTILE = '<script>alert("x")</script> & <img src="http://example.org/x.png">'


def written(tmp_path, *blocks, **fields):
    section = Section("one", "One", list(blocks))
    fields = {"title": "T", "subtitle": "S", "banner": ""} | fields
    return write_page(tmp_path / "page.html", sections=[section], **fields)


def test_every_text_is_escaped(tmp_path):
    path = written(
        tmp_path,
        Text(HOSTILE),
        Facts([(HOSTILE, HOSTILE)]),
        Table(HOSTILE, [HOSTILE], [[HOSTILE]]),
        Missing(HOSTILE, HOSTILE),
        Verbatim(HOSTILE, HOSTILE),
        title=HOSTILE,
        banner=HOSTILE,
    )
    found = read_page(path)
    assert "script" not in found.tags
    assert found.pictures == []
    assert found.headings[0] == HOSTILE
    assert found.verbatim == [HOSTILE]


def test_a_part_that_fails_is_shown_as_missing_with_its_reason():
    section = Section("a", "A")

    def broken():
        raise BadDataError("The table is empty.", where="sub-01.tsv", found="0 rows")

    section.add("the table", broken)
    section.add("a figure", lambda: 1 / 0)
    section.add("words", lambda: Text("fine"))
    assert section.blocks[0] == Missing("the table", "The table is empty · sub-01.tsv · 0 rows")
    assert "ZeroDivisionError: division by zero" in section.blocks[1].reason
    assert section.blocks[2] == Text("fine")


def test_contents_list_leads_to_every_section(tmp_path):
    found = read_page(written(tmp_path, Text("words")))
    assert found.links == ["#main", "#one"]
    assert {"main", "one"} <= found.anchors


def test_pictures_are_inside_the_page_with_their_words(tmp_path):
    figure = new_figure(2, 1)
    figure.subplots().plot([0, 1])
    block = picture(figure, alt="a line", caption="It rises.", dpi=50)
    found = read_page(written(tmp_path, block))
    (shown,) = found.pictures
    assert shown["src"].startswith("data:image/png;base64,")
    assert (shown["alt"], shown["width"], shown["height"]) == ("a line", "100", "50")


def test_drawing_twice_gives_the_same_bytes():
    def draw():
        figure = new_figure(2, 1)
        figure.subplots().plot([0, 1])
        return picture(figure, alt="a", caption="b").png

    assert draw() == draw()


def noise(seed, side=100):
    """A PNG that cannot be packed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def test_page_stays_below_its_limit_and_says_what_was_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MAX_BYTES", 100_000)
    blocks = [Picture(noise(k), "alt", f"figure {k}", 100, 100, essential=k > 0) for k in range(8)]
    path = written(tmp_path, *blocks)
    found = read_page(path)
    # With 256 colors each takes about 9 kB of the 67 kB for pictures.
    assert path.stat().st_size < 100_000
    assert 6 <= len(found.pictures) <= 7
    assert found.missing[0] == "Missing: figure 0. The page would be larger than 8 MB."


def test_colors_are_kept_where_there_is_room(tmp_path):
    path = written(tmp_path, Picture(noise(1), "alt", "figure", 100, 100))
    (shown,) = read_page(path).pictures
    assert base64.b64decode(shown["src"].partition(",")[2]) == noise(1)


def test_no_more_pictures_lose_colors_than_must(tmp_path, monkeypatch):
    sides = (160, 40, 100)  # 77, 5 and 30 kB; in 256 colors the largest has about 27
    monkeypatch.setattr(page, "MAX_BYTES", 110_000)  # 74 kB for pictures
    blocks = [Picture(noise(s, s), "alt", f"figure {s}", s, s) for s in sides]
    found = read_page(written(tmp_path, *blocks))
    shown = [base64.b64decode(p["src"].partition(",")[2]) for p in found.pictures]
    assert [png == block.png for png, block in zip(shown, blocks, strict=True)] == [
        False,
        True,
        True,
    ]


def test_a_file_that_is_no_png_is_refused(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"<svg/>")
    with pytest.raises(ValueError, match=r"x\.png is not a PNG"):
        picture_from_file(path, alt="a", caption="b")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.12345, 3, "0.123"),
        (12.0, 3, "12"),
        (np.float32(0.5), 2, "0.50"),
        (0.00012, 3, "0.00012"),
        (0.000999, 3, "0.00100"),
        (2e-9, 3, "2.00e-09"),
        (float("nan"), 3, "n/a"),
        (None, 3, "n/a"),
        (True, 3, "yes"),
        ("", 3, "n/a"),
        (1e12, 3, "1.00e+12"),
        (-0.25, 2, "-0.25"),
    ],
)
def test_numbers_as_text(value, digits, text):
    assert number(value, digits) == text


@pytest.mark.parametrize("name", ["p", "q_music", "slope_p", "slope_p_music", "lowest_p"])
def test_every_column_of_p_has_one_style(name):
    assert named_number(name, 0.415) == ".415"


@pytest.mark.parametrize("name", ["n_people", "shape", "spin_rho"])
def test_other_columns_have_their_digits(name):
    assert named_number(name, 0.41526, 4) == "0.4153"


def test_shares_as_percent():
    assert percent(0.123) == "12.3 %"
    assert percent(float("nan")) == "n/a"


def drawn():
    figure = new_figure(4.0, 3.0)
    ax = figure.subplots()
    ax.imshow(np.arange(12.0).reshape(3, 4), interpolation="none")
    ax.set_xlabel("lag (seconds)")
    return picture(figure, alt="a figure of this test", caption="c")


def test_figures_are_files_of_vectors_and_of_300_dpi(tmp_path):
    section = Section("responses", "Responses", model="vggish")
    section.add("head motion", drawn)
    section.add("head motion", lambda: [drawn(), Text("one more")])
    stale = tmp_path / "figures" / "sub-01_desc-old_figure.png"
    stale.parent.mkdir()
    stale.touch()
    other = stale.with_name("sub-01_stim-happy_desc-features_stimulus.png")
    other.touch()
    tree = OutputTree(tmp_path)

    def path_of(model, desc):
        return tmp_path / "figures" / tree.figure(desc, model=model, participant="01").name

    path = tmp_path / "page.html"
    write_page(path, title="T", subtitle="S", banner="", sections=[section], figures=path_of)
    stem = "sub-01_model-vggish_desc-headMotion"
    names = {f"{stem}{k}_figure.{ending}" for k in ("", "2") for ending in ("svg", "png")}
    assert {one.name for one in stale.parent.iterdir()} == names | {other.name}
    html = path.read_text()
    assert all(f'href="figures/{name}"' in html for name in names)
    with Image.open(stale.with_name(f"{stem}_figure.png")) as image:
        assert image.size == (1200, 900)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    svg = stale.with_name(f"{stem}_figure.svg").read_text()
    assert "lag (seconds)</text>" in svg
    assert "data:image/png;base64" in svg
    before = svg
    write_page(path, title="T", subtitle="S", banner="", sections=[section], figures=path_of)
    section = Section("responses", "Responses", model="vggish")
    section.add("head motion", drawn)
    write_page(path, title="T", subtitle="S", banner="", sections=[section], figures=path_of)
    assert stale.with_name(f"{stem}_figure.svg").read_text() == before


def test_wide_figures_are_printed_as_wide_as_two_columns():
    figure = new_figure(9.5, 3.0)
    figure.subplots()
    wide = picture(figure, alt="a", caption="c", dpi=110)
    assert wide.width == 1045
    with Image.open(io.BytesIO(wide.printed)) as image:
        assert image.width == pytest.approx(300 * page.PRINT_WIDTH, abs=1)


def test_picture_of_a_page_has_the_size_asked_for():
    figure = new_figure(4.0, 3.0)
    figure.subplots()
    own = picture(figure, alt="a", caption="c", dpi=110)
    assert (own.width, own.height) == (440, 330)


def test_images_in_svg_have_matplotlibs_pixels():
    figure = new_figure(3, 2)
    shown = np.random.default_rng(0).uniform(size=(30, 40, 3))
    figure.subplots().imshow(shown, interpolation="none")
    theirs, before = io.BytesIO(), backend_svg.Image
    found = page.as_svg(figure).decode()
    assert backend_svg.Image is before
    backend_svg.FigureCanvasSVG(figure).print_svg(theirs)

    def pixels(svg):
        (image,) = re.findall(r'base64,\s*([^"]+)"', svg)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(image))).convert("RGBA"))

    np.testing.assert_array_equal(pixels(found), pixels(theirs.getvalue().decode()))


def test_svg_does_not_depend_on_the_last_digits_of_positions():
    def drawn(left):
        figure = new_figure(3, 2)
        figure.set_layout_engine("none")
        for place in ((left, 0.1, 0.3, 0.8), (0.6, 0.1, 0.3, 0.8)):
            figure.add_axes(place).plot([0, 1])
        return page.as_svg(figure)

    found = drawn(0.1)
    assert found == drawn(0.1 + 1e-14)
    assert found != drawn(0.1 + 1e-3)
    clips = re.findall(rb'<clipPath id="(\w+)"', found)
    assert len(set(clips)) == 2
    assert set(clips) == set(re.findall(rb"url\(#(\w+)\)", found))


@pytest.mark.parametrize(("n_rows", "is_long"), [(40, False), (41, True)])
def test_a_long_table_scrolls_in_a_part_of_the_page(tmp_path, n_rows, is_long):
    rows = [[f"sub-{k}", "1"] for k in range(n_rows)]
    html = written(tmp_path, Table("Participants", ["who", "n"], rows, numeric=(1,))).read_text()
    assert ('class="scroll long" role="region" aria-label="Participants"' in html) == is_long
