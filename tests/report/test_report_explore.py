"""The interactive page: what its script reads is what the maps hold."""

import base64
import json
import re

import numpy as np
import pytest

from bids_app.errors import MissingInputError
from bids_app.outputs import OutputTree
from bids_app.report import explore
from bids_app.report.brain import ColorScale
from bids_app.report.explore import P_EDGES, Explored, ExploredMap, write_explorer
from bids_app.surface.coordinates import mni152
from bids_app.surface.mesh import load_mesh


def content_of(path):
    html = path.read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])


def decoded(text, kind):
    return np.frombuffer(base64.b64decode(text), np.dtype(kind).newbyteorder("<"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    mesh = load_mesh("fsaverage3")
    rng = np.random.default_rng(3)
    r = rng.normal(0, 0.2, (2, mesh.n_vertices))
    r[:, :5] = np.nan
    p = rng.uniform(0, 0.2, r.shape)
    p[0, 10:14] = 0.05, np.nextafter(0.05, 0), 0.001, np.nan
    maps = [
        ExploredMap("r", ColorScale.accuracy("r", r), r, ["a</script>", "b"], p, p < 0.01),
        ExploredMap("slope", ColorScale.diverging("slope", r[:1]), r[:1], ["slope"], p[:1]),
    ]
    times = np.arange(40.0)
    values = rng.normal(5, 3, (40, mesh.n_vertices)).astype(np.float32)
    values[:, 7] = np.nan
    shown = Explored(
        "sub-01", "turn it", "", "sub-01.html", mesh, maps, "q", courses=[("happy", times, values)]
    )
    path = write_explorer(tmp_path_factory.mktemp("explore") / "page.html", shown)
    return path, shown


def test_values_are_those_of_the_maps(made):
    path, shown = made
    for one, stored in zip(shown.maps, content_of(path)["maps"], strict=True):
        values = decoded(stored["data"], "i2").reshape(one.values.shape)
        assert np.array_equal(values == -32768, ~np.isfinite(one.values))
        known = np.isfinite(one.values)
        assert np.abs(values[known] * stored["step"] - one.values[known]).max() < 2e-5


def test_color_maps_have_an_order(made):
    """The order of a set differs from process to process, and so would the bytes of the page."""
    assert list(content_of(made[0])["colors"]) == ["coolwarm", "inferno"]


def test_thresholds_of_p_are_exact(made):
    path, shown = made
    content = content_of(path)
    codes = decoded(content["p"][content["maps"][0]["p"]], "u1").reshape(2, -1)
    known = np.where(np.isfinite(shown.maps[0].p), shown.maps[0].p, 1.0)
    for threshold in (0.05, 0.01, 0.005, 0.001, 0.0001):
        inside = codes <= content["edges"].index(threshold)
        assert np.array_equal(inside, known < threshold)
    assert codes[0, 13] == 255
    assert len(P_EDGES) < 255
    passed = np.unpackbits(decoded(content["passed"][0], "u1"))[: known.size]
    assert np.array_equal(passed.reshape(2, -1) == 1, shown.maps[0].passed)


def test_time_courses_are_those_of_their_vertices(made):
    path, shown = made
    courses = content_of(path)["courses"]
    kept = decoded(courses["kept"], "u2")
    assert 7 not in kept
    assert len(kept) == shown.mesh.n_vertices - 1
    [one] = courses["presentations"]
    z = decoded(one["data"], "i1").reshape(len(kept), -1) * courses["step"]
    values = shown.courses[0][2][:, kept].astype(float)
    expected = (values - values.mean(axis=0)) / values.std(axis=0)
    assert np.abs(z - expected.T).max() <= courses["step"] / 2 + 1e-6


def test_best_vertices_come_first_where_there_is_little_room(made, monkeypatch):
    _, shown = made
    found, notes = explore._courses(shown, 42 * 100 * 4 // 3)
    kept = decoded(found["kept"], "u2")
    best = np.nan_to_num(shown.maps[0].values, nan=-9).max(axis=0)
    assert len(kept) == 100
    assert best[kept].min() >= np.sort(best)[-101]
    assert "100 of 1283 vertices" in notes[0]
    assert explore._courses(shown, 10)[0] is None


def test_nothing_in_the_page_ends_its_data_or_asks_for_anything(made):
    html = made[0].read_text()
    assert content_of(made[0])["maps"][0]["names"][0] == "a</script>"
    assert html.count("</script>") == 3
    assert "default-src 'none'" in html


def test_page_without_plotly_says_what_is_missing(made, tmp_path, monkeypatch):
    monkeypatch.setattr(explore, "_PLACES", ("nowhere",))
    with pytest.raises(MissingInputError, match="no interactive page"):
        write_explorer(tmp_path / "page.html", made[1])


def test_finer_meshes_are_seen_at_the_vertices_of_fsaverage5():
    class Fine:
        space, n_vertices = "fsaverage6", 2 * 40962

    kept = explore.kept_vertices(Fine())
    assert kept[[0, 10241, 10242, -1]].tolist() == [0, 10241, 40962, 40962 + 10241]


@pytest.mark.parametrize("page", ["participant_page", "group_page"])
def test_pages_link_their_interactive_page(page, folder, request):
    request.getfixturevalue(page)
    tree = OutputTree(folder)
    path = tree.explorer("vggish", "01" if page == "participant_page" else "")
    assert path.stat().st_size < 8_000_000
    content = content_of(path)
    assert content["n"] == 20484
    assert len(content["maps"][0]["names"]) == 5
    report = tree.participant_report("01") if page == "participant_page" else tree.group_report
    assert f'href="{path.name}"' in report.read_text()
    assert f'href="{report.name}"' in path.read_text()
    assert (content["courses"] is None) is (page == "group_page")


def test_coordinates_of_mni152():
    # FreeSurfer's own example, of a matrix with more digits.
    assert mni152([[10.0, -20.0, 35.0]])[0] == pytest.approx([10.695, -18.409, 36.137], abs=5e-3)
