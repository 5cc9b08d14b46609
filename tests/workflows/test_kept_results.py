"""The group level needs only the output folder; what it cannot compute again stays as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from written_group import write_atlas, write_gradient

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.mesh import load_mesh

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> list[str]:
    """Options of a group level with another gradient, and an atlas, and without the cache."""
    root = tmp_path_factory.mktemp("other")
    pial = np.vstack([hemi.pial for hemi in load_mesh().hemispheres])
    gradient = write_gradient(root, pial[:, 1], "front")
    return ["--n-spins", "9", "--gradient", gradient, "--atlas", f"mine={write_atlas(root)}"]


@pytest.fixture(scope="module")
def again(analyzed, other, tmp_path_factory) -> Path:
    """Results without the cache that they were made with, after such a call."""
    root = tmp_path_factory.mktemp("again")
    results = shutil.copytree(analyzed.output_dir, root / "results")
    assert main(["/nowhere", str(results), "group", *other]) == 0
    return results


@pytest.fixture
def folder(again, tmp_path) -> Path:
    """The same, which a test may change."""
    return shutil.copytree(again, tmp_path / "results")


@pytest.fixture
def group(folder, other):
    """Make that call again."""
    return lambda: main(["/nowhere", str(folder), "group", *other])


def music_of(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "group_model-vggish_desc-analyses_summary.tsv", sep="\t")
    return table[table["analysis"] == "music"]


def music_maps(folder: Path) -> dict[str, bytes]:
    found = folder.glob("tpl-fsaverage/func/*model-vggish*music*")
    return {path.name: path.read_bytes() for path in sorted(found)}


def test_another_call_without_the_cache_tests_over_music(analyzed, folder):
    assert set(music_of(folder)["state"]) == {"done"}
    assert not music_of(folder)["reason"].notna().any()
    assert music_maps(folder) == music_maps(analyzed.output_dir)
    aligned = pd.read_csv(folder / "group_model-vggish_desc-musicnullsfront.tsv", sep="\t")
    assert len(aligned) >= 60  # refits where few people leave the closed form unsure, else 10,000
    claims = pd.read_csv(folder / "group_desc-claims_summary.tsv", sep="\t")
    assert claims["untested"].isna().all()


def test_what_cannot_be_tested_again_stays_of_the_same_people(folder, group):
    regions = folder / "group_model-vggish_desc-parcelsmine_summary.tsv"
    kept, before = music_maps(folder), pd.read_csv(regions, sep="\t")
    shutil.rmtree(folder / "features")
    assert group() == 0
    music = music_of(folder)
    assert set(music["state"]) == {"done"}
    assert music["reason"].str.contains("earlier result stay").all()
    after = music_maps(folder)
    assert after.keys() == kept.keys()
    changed = {name for name in kept if after[name] != kept[name]}
    assert changed == set()
    names = ["accuracy_p_music", "slope_p_music", "predicted"]
    pd.testing.assert_frame_equal(pd.read_csv(regions, sep="\t")[names], before[names])
    assert "earlier result" in read_json(sidecar_of(regions))["Music"]["told"]
    for path in folder.glob("sub-*/func/*_desc-clean_bold.*"):
        path.unlink()
    isc = sorted(folder.glob("tpl-fsaverage/func/*stat-isc*"))
    assert isc
    assert group() == 0
    assert sorted(folder.glob("tpl-fsaverage/func/*stat-isc*")) == isc
    table = pd.read_csv(folder / "group_model-vggish_desc-analyses_summary.tsv", sep="\t")
    (row,) = table[table["analysis"] == "isc"].itertuples()
    assert (row.state, "earlier result stays" in row.reason) == ("done", True)


def test_results_of_other_people_go_where_there_are_none_of_these(folder, group):
    shutil.rmtree(folder / "features")
    for path in OutputTree(folder).participant_dir("03").glob("*"):
        path.unlink()
    assert group() == 0
    assert set(music_of(folder)["state"]) == {"left out"}
    assert music_maps(folder) == {}
