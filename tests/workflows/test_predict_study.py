"""Models of an output folder predict a study: its own people as the maps have it, and others."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.analyses.folder.read import read_maps, read_rows
from bids_app.cli.run import main
from bids_app.cli.tools import main as tool
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti
from bids_app.testing.music import Piece
from bids_app.testing.simulate import simulate_study

pytestmark = pytest.mark.integration
PIECES = (
    Piece("allegro", 48.0, tempo=126.0, minor=False, tonic=60, energy=0.7),
    Piece("adagio", 56.0, tempo=72.0, minor=True, tonic=57, energy=0.4),
    Piece("andante", 64.0, tempo=84.0, minor=True, tonic=62, energy=0.5),
)
MODEL = {"model": "envelope", "stat": "r"}


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """A model of participant 01 that predicts both participants of the study."""
    root = tmp_path_factory.mktemp("predict")
    study = simulate_study(
        root / "study", n_participants=2, pieces=PIECES, feature_cache=root / "cache"
    )
    fit = ["--features", "envelope", "--save-weights", "all", "--null", "none"]
    call = [str(study.bids_dir), str(root / "out"), "participant", "--participant-label", "01"]
    assert main([*call, *fit, "--emotion", "off"]) == 0
    call = ["predict", str(root / "out"), str(study.bids_dir), "-o", str(root / "new")]
    assert tool(call) == 0
    return OutputTree(root / "out"), OutputTree(root / "new"), call


def test_the_accuracy_of_ones_own_model_is_that_of_the_maps(predicted):
    out, new, _ = predicted
    before = read_maps(out.participant_map("01", "L", "fsaverage5", **MODEL), "fsaverage5")
    after = new.participant_map("01", "L", "fsaverage5", **MODEL, desc="newmusic")
    np.testing.assert_allclose(read_maps(after, "fsaverage5"), before, atol=1e-4)


def test_the_folder_says_what_it_is_and_tests_stand_beside_the_participants(predicted):
    _, new, _ = predicted
    told = read_json(new.root / "dataset_description.json")
    assert told["DatasetType"] == "derivative"
    assert told["GeneratedBy"][0]["Name"] == "musenc-bidsapp"
    (row,) = read_rows(
        new.group_table("summary.tsv", model="envelope", desc="newmusic"),
        ["n_participants", "p_people", "p_music", "n_predicted"],
        layer=str,
    ).to_dict("records")
    assert row["n_participants"] == 2
    assert row["p_people"] >= 0.25  # of four flips
    assert row["n_predicted"] == 0
    sidecar = read_json(
        sidecar_of(
            new.group_map("L", "fsaverage5", model="envelope", stat="p", desc="newmusicmusic")
        )
    )
    assert sidecar["Participants"] == ["sub-01", "sub-02"]
    assert sidecar["MusicWidening"] > 1.4  # the model was fitted to this music


def test_others_are_predicted_by_the_models_there_are(predicted):
    _, new, _ = predicted
    for who, trained_on in (("01", "own"), ("02", "others")):
        table = new.participant_file(who, "summary.tsv", model="envelope", desc="newmusic")
        rows = read_rows(table, ["mean_r", "n_vertices"], trained_on=str, held_out=str)
        assert rows["trained_on"].tolist() == [trained_on] * len(PIECES)
        assert rows["held_out"].tolist() == ["yes"] * len(PIECES)
    # Both are predicted by the only model there is.
    courses = {
        who: sorted(new.participant_dir(who).glob("*hemi-L*_desc-newmusic_bold.func.gii"))
        for who in ("01", "02")
    }
    assert len(courses["01"]) == len(courses["02"]) == len(PIECES)
    for own, other in zip(*courses.values(), strict=True):
        np.testing.assert_allclose(read_gifti(own), read_gifti(other), atol=1e-5)


def test_a_study_that_is_cleaned_otherwise_is_refused(predicted, capsys):
    _, _, call = predicted
    for option, told in (
        (["--delays", "2:8"], "delays: [3.0, 9.0] -> [2.0, 8.0]"),
        (["--smoothing", "0"], "smoothing: 6.0 -> 0.0"),
        (["--layers", "fc2"], "layers that all models have: envelope"),
        (["--save-weights", "all"], "not fitted"),
    ):
        assert tool([*call, *option]) == 2
        assert told in capsys.readouterr().err
