"""Joint models through the command line: files, sidecars, what is done again, the group."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import hemispheres_of, sidecar_of
from bids_app.surface.gifti import read_gifti

OPTIONS = ("--layers", "pool1", "pool4", "--joint", "sound=envelope+modulation")
BEYOND = ("--beyond", "low-level", "--candidates", "18")


@pytest.fixture(scope="module")
def out(analyzed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint")
    call = analyzed.arguments("participant", *OPTIONS, *BEYOND, output_dir=folder)
    assert main([*call, "--participant-label", "01"]) == 0
    return folder


def both(out, name):
    left = (
        out / "sub-01" / "func" / f"sub-01_hemi-L_space-fsaverage_den-10k_{name}_statmap.func.gii"
    )
    return np.hstack([read_gifti(path) for path in hemispheres_of(left)]), read_json(
        sidecar_of(left)
    )


def test_shares_sum_to_r_and_unique_is_what_is_lost(out):
    r, told = both(out, "model-sound_stat-r")
    names = ("Envelope", "Modulation")
    share = [both(out, f"model-sound_stat-r_desc-share{name}")[0][0] for name in names]
    unique = [both(out, f"model-sound_stat-r_desc-unique{name}")[0][0] for name in names]
    there = np.isfinite(r[0])
    assert there.sum() > 1000
    np.testing.assert_allclose(np.sum(share, axis=0)[there], r[0, there], atol=1e-6)
    for one in unique:
        np.testing.assert_array_equal(np.isfinite(one), there)
    assert told["Spaces"] == ["envelope", "modulation"]
    assert len(told["Candidates"]) == 18
    assert told["Candidates"][0] == [1.0, 0.0]
    assert set(told["CornerShare"]) == {"envelope", "modulation"}


def test_layers_beside_low_level_sound(out):
    r, told = both(out, "model-vggish_stat-r_desc-beyond")
    low = both(out, "model-vggish_stat-r_desc-lowlevel")[0]
    unique, _ = both(out, "model-vggish_stat-r_desc-uniqueVggish")
    assert told["DataArrays"] == ["pool1", "pool4"]
    assert told["Spaces"] == ["envelope", "cochleagram", "modulation", "descriptors", "layer"]
    np.testing.assert_allclose(unique, r - low, atol=1e-6)
    # The model has layers of the network in it, which low-level sound does not replace.
    assert np.nanmean(unique) > 0
    left = out / "sub-01" / "func"
    (left,) = left.glob("sub-01_stim-adagio_hemi-L_*_model-vggish_stat-choice_desc-beyond_*.gii")
    choice = read_gifti(left)
    there = np.isfinite(choice[0])
    assert choice.shape[0] == 3  # two layers, and none
    n_penalties, n_low = len(told["PenaltyGrid"]), 9
    assert choice[2, there].max() <= n_low * n_penalties
    assert choice[0, there].max() > n_low * n_penalties


def test_nothing_is_done_twice_and_other_candidates_are_refused(analyzed, out, capsys):
    call = [*analyzed.arguments("participant", *OPTIONS, output_dir=out), "--participant-label"]
    settings = out / "sub-01" / "func" / "sub-01_model-vggish_desc-beyond_settings.json"
    before = settings.stat().st_mtime_ns
    assert main([*call, "01", *BEYOND]) == 0
    assert settings.stat().st_mtime_ns == before
    assert main([*call, "01", "--beyond", "low-level", "--candidates", "24"]) == 16
    assert "candidates: 18 -> 24" in capsys.readouterr().err


@pytest.mark.integration
def test_the_group_tests_joint_models_and_what_layers_add(analyzed, out):
    call = analyzed.arguments("participant", *OPTIONS, *BEYOND, output_dir=out)
    assert main([*call, "--participant-label", "02", "03"]) == 0
    assert main(analyzed.arguments("group", output_dir=out)) == 0
    left = next(out.rglob("*model-jointmodels_feature-sound_stat-q_desc-music_*.gii"))
    assert read_gifti(left).shape[0] == 3
    assert read_json(sidecar_of(left))["DataArrays"] == ["all spaces", "envelope", "modulation"]
    rows = (out / "group_model-jointmodels_feature-sound_desc-joint_summary.tsv").read_text()
    assert len(rows.splitlines()) == 4
    page = (out / "group.html").read_text()
    assert "Joint model sound" in page
    assert "What the layers add to low-level sound" in page
