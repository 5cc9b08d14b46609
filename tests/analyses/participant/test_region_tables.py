"""Tables of regions, and the atlas that the group level gets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bids_app.analyses.folder.records import Record
from bids_app.analyses.group_level import with_own_atlases
from bids_app.analyses.participant.layers import LayerFits
from bids_app.analyses.participant.regions import write_regions
from bids_app.cli.parser import parse_config
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.resources import cortex_mask_paths
from bids_app.statistics import benjamini_hochberg
from bids_app.surface.atlas import read_atlas
from bids_app.surface.painted import Regions

N = 20484


@pytest.fixture
def regions():
    of_vertex = np.full(N, -1)
    of_vertex[:100], of_vertex[200:500], of_vertex[12000:12050] = 0, 2, 3
    return Regions(("a", "thalamus", "b", "c"), of_vertex, ("thalamus",))


def fits_of(regions):
    """Two layers whose values are those of the region."""
    rng = np.random.default_rng(0)
    values = rng.random((2, len(regions.names))).astype(np.float32)
    maps = regions.paint(values)
    nothing = np.zeros((2, 1, N), np.float32)
    return LayerFits(
        r=maps,
        z=10 * maps,
        p=maps / 10,
        q=maps,
        null_sd=maps,
        fold_r=nothing,
        alpha=nothing,
        fold_stimuli=["x"],
        layer_names=["one", "two"],
        features_folder="f",
        table=[],
        n_degenerate=0,
        average_sd_ratio=1.0,
    ), values


def test_a_row_per_region_and_layer_with_q_over_regions(tmp_path, regions):
    tree = OutputTree(tmp_path)
    record = Record("01", "vggish", {"space": "fsaverage5"}, (), {})
    fits, values = fits_of(regions)
    path, told = write_regions(tree, record, fits, None, regions, "Mine")
    table = pd.read_csv(path, sep="\t")
    assert list(table["region"]) == ["a", "a", "b", "b", "c", "c"]
    assert list(table["hemisphere"]) == ["L"] * 4 + ["R"] * 2
    assert list(table["n_vertices"]) == [100, 100, 300, 300, 50, 50]
    used = values[:, [0, 2, 3]]
    np.testing.assert_allclose(table["r"], used.T.ravel(), rtol=1e-5)
    wanted = benjamini_hochberg(used / 10, axis=-1)
    np.testing.assert_allclose(table["q"], wanted.T.ravel(), rtol=1e-5)
    assert table["slope"].isna().all()
    assert read_json(told)["WithoutVertices"] == ["thalamus"]
    assert told == sidecar_of(path)


def test_the_group_level_has_the_regions_as_an_atlas(tmp_path, regions):
    tree = OutputTree(tmp_path)
    record = Record("01", "vggish", {"space": "fsaverage5"}, (), {})
    write_regions(tree, record, fits_of(regions)[0], None, regions, "Mine")
    assert tree.parcel_labels() == ["Mine"]
    config = with_own_atlases(parse_config(["/d", str(tmp_path), "group"]))
    (option,) = config.statistics.atlases
    atlas = read_atlas(option, N)
    assert atlas.label == "Mine"
    assert list(atlas.names.values()) == ["a", "b", "c"]
    assert (atlas.regions > 0).sum() == 450
    given = with_own_atlases(parse_config(["/d", str(tmp_path), "group", "--atlas", option]))
    assert given.statistics.atlases == (option,)


def test_the_installed_atlas_is_used_where_none_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    out = tmp_path / "out"
    done = OutputTree(out).map_file("01", "L", "fsaverage5", model="vggish", stat="r")
    done.parent.mkdir(parents=True)
    done.write_text("x")
    call = ["/d", str(out), "group"]
    assert with_own_atlases(parse_config(call)).statistics.atlases == ()
    files = cortex_mask_paths("templateflow", "fsaverage5")
    files[0].parent.mkdir(parents=True)
    for path in files:
        path.write_text("x")
    option = f"Desikan={files[0]},{files[1]}"
    assert with_own_atlases(parse_config(call)).statistics.atlases == (option,)
    other = with_own_atlases(parse_config([*call, "--atlas", "Mine=a.annot,b.annot"]))
    assert other.statistics.atlases == ("Mine=a.annot,b.annot",)
