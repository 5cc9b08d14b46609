"""Conditions and ratings at subcortical voxels through both levels, with planted effects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dissonance import CONTRAST, SILENT, write_dissonance
from felt import EFFECT, MOVED, write_felt
from felt import SILENT as UNMOVED
from grayordinates import N_EACH, write_atlas, write_dtseries, write_volume
from listed import listed, written

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti
from bids_app.surface.subcortex import read_subcortex

pytestmark = pytest.mark.integration
CLEANING = ["--confounds", "none", "--smoothing", "0"]
LABEL = "dissonantMinusconsonant"
VOLUMES = "space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"


def give_voxels(root, planted, silent, *, volumes=False):
    """The left amygdala has the series of planted vertices, other structures of silent ones."""
    vertices = np.r_[np.resize(planted, N_EACH), np.resize(silent, 2 * N_EACH)]
    for left in (root / "derivatives" / "fmriprep").glob("sub-*/func/*_hemi-L_*_bold.func.gii"):
        stem = left.name.split("_hemi-")[0]
        tr = read_json(left.with_name(left.name.replace(".func.gii", ".json")))["RepetitionTime"]
        series = read_gifti(left)[:, vertices]
        if volumes:
            write_volume(left.with_name(f"{stem}_{VOLUMES}"), series, tr)
        else:
            name = f"{stem}_space-fsLR_den-91k_bold.dtseries.nii"
            write_dtseries(left.with_name(name), series, tr)
    return vertices


@pytest.fixture(scope="module")
def conditions(tmp_path_factory):
    """Six participants, an atlas and volumes; what the plan lists is there."""
    root = write_dissonance(tmp_path_factory.mktemp("conditions") / "study")
    give_voxels(root, CONTRAST, SILENT, volumes=True)
    atlas = write_atlas(root / "atlas.nii.gz")
    call = [str(root), str(root / "out"), "participant", *CLEANING]
    call += ["--contrast", "dissonant-consonant", "--subcortex-atlas", str(atlas)]
    assert main(call) == 0
    group = [str(root), str(root / "out"), "group", "--rating-difference", "dislike"]
    assert main([*group, "--n-spins", "19"]) == 0
    return root, call


def test_conditions_in_an_atlas_have_the_effects_of_the_same_series_on_the_cortex(conditions):
    root, _ = conditions
    tree = OutputTree(root / "out")
    name = f"*_model-conditions_feature-{LABEL}_stat-{{}}_desc-subcortex_statmap.dscalar.nii"
    for stat in ("effect", "t", "z"):
        path = tree.participant_map(
            "05", "L", "fsaverage5", model="conditions", feature=LABEL, stat=stat
        )
        wanted = read_gifti(path)[0]
        (own,) = (root / "out" / "sub-05" / "func").glob(name.format(stat))
        found, values = read_subcortex(own)
        there = values[0, found.structures == "Amygdala (L)"]
        np.testing.assert_allclose(there, wanted[np.resize(CONTRAST, N_EACH)], rtol=1e-3)
    assert read_json(sidecar_of(own))["Smoothing"] == "within structures"


def test_conditions_in_structures_over_people_and_ratings(conditions):
    root, _ = conditions
    path = root / "out" / "group_model-conditions_desc-subcortex_summary.tsv"
    table = pd.read_csv(path, sep="\t").set_index("name")
    assert list(table.index) == ["Amygdala (R)", "Amygdala (L)", "region 7"]
    planted, others = table.loc["Amygdala (L)"], table.drop("Amygdala (L)")
    assert planted["effect"] == pytest.approx(2.0, abs=0.3)
    assert planted["slope"] == pytest.approx(1.0, abs=0.2)
    assert planted["slope_p"] < 0.05
    assert planted["n_rating"] == 5
    assert (others["p"] > 0.05).all()
    assert np.abs(others["effect"]).max() < 0.3
    (path,) = (root / "out").glob("group_*_stat-effect_desc-subcortex_statmap.dscalar.nii")
    subcortex, values = read_subcortex(path)
    inside = subcortex.structures == "Amygdala (L)"
    assert values[0, inside].mean() == pytest.approx(planted["effect"], rel=1e-4)
    page = (root / "out" / "group.html").read_text()
    assert "Subcortex and conditions" in page
    assert "could not be drawn" not in page
    assert "horizontal" in (root / "out" / "sub-01.html").read_text()


def test_what_is_listed_is_written_and_another_atlas_is_other_work(conditions, capsys):
    root, call = conditions
    capsys.readouterr()
    assert main([*call[:1], str(root / "other"), *call[2:], "--dry-run"]) == 0
    names = (listed(capsys.readouterr().out), written(root / "out", "01"))
    planned, there = ({name for name in own if not name.endswith(".json")} for own in names)
    assert planned == there
    done = OutputTree(root / "out").participant_settings("01", "conditions")
    before = done.stat().st_mtime_ns
    assert main([*call, "--participant-label", "01"]) == 0
    assert done.stat().st_mtime_ns == before
    atlas = write_atlas(root / "second.nii.gz")
    atlas.with_name("second.tsv").unlink()
    once = [*call[:-1], str(atlas), "--participant-label", "01"]
    assert main([*once, "--dry-run"]) == 0
    assert "up to date" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    root = write_felt(tmp_path_factory.mktemp("felt") / "study")
    give_voxels(root, np.arange(230)[MOVED], np.arange(245)[UNMOVED])
    options = [*CLEANING, "--crop", "12", "--features", "envelope"]
    options += ["--cache-dir", str(root / "cache")]
    call = [str(root), str(root / "out"), "participant", *options, "--subcortex"]
    call += ["--stimuli", str(root / "music.tsv"), "--ratings", str(root / "ratings.tsv")]
    assert main([*call, "--dry-run"]) == 0
    assert main(call) == 0
    gradient = ",".join(f"{root}/{hemi}.func.gii" for hemi in "LR")
    group = [str(root), str(root / "out"), "group", *options, "--gradient", gradient]
    assert main([*group, "--n-spins", "19", "--n-permutations", "200"]) == 0
    return root


def test_ratings_at_voxels_have_the_effects_of_the_same_series_on_the_cortex(ratings):
    tree = OutputTree(ratings / "out")
    named = {"model": "emotion", "feature": "Enjoyment", "stat": "effect"}
    wanted = read_gifti(tree.participant_map("01", "L", "fsaverage5", **named))[0]
    pattern = "*_feature-Enjoyment_stat-effect_desc-subcortex_statmap.dscalar.nii"
    (path,) = (ratings / "out" / "sub-01" / "func").glob(pattern)
    subcortex, values = read_subcortex(path)
    own = values[0, subcortex.numbers == 1]
    np.testing.assert_allclose(own, wanted[np.resize(np.arange(230)[MOVED], N_EACH)], rtol=1e-3)


def test_ratings_in_structures_over_people_and_music(ratings):
    path = ratings / "out" / "group_model-emotion_desc-subcortex_summary.tsv"
    table = pd.read_csv(path, sep="\t")
    assert len(table) == 2 * 3
    planted = table[(table["feature"] == "Enjoyment") & (table["region"] == 1)].iloc[0]
    assert planted["effect"] == pytest.approx(EFFECT, abs=0.2)
    assert planted["p_music"] < 0.05
    others = table[table["region"] != 1]
    assert (others["p_music"] > 0.05).all()
    # Two people flip signs in four ways.
    assert table["p"].min() >= 2 / 4
    assert set(table["both"].astype(str)) == {"False"}
    page = (ratings / "out" / "group.html").read_text()
    assert "Subcortex and ratings" in page
    assert "could not be drawn" not in page
    assert list((ratings / "out").glob("group_*_stat-p_desc-subcortexmusicmaxt_*.dscalar.nii"))
