"""Real recordings through a trained network and its untrained twin, at both levels."""

from __future__ import annotations

import numpy as np
import pytest
from real_data import DATA

from bids_app.cli.run import main
from bids_app.config import Cleaning
from bids_app.files import read_json
from bids_app.outputs import HEMISPHERES, OutputTree, model_label
from bids_app.surface.gifti import read_gifti
from bids_app.testing.simulate import simulate_study

pytestmark = [pytest.mark.integration, pytest.mark.trained]

TRAINED = "musicnn:MTT_vgg"
TWIN = f"{TRAINED}@random:0"


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory, musicnn_folder):
    """Listeners whose cortex follows the trained layers; both models are fitted."""
    recordings = [
        path for path in sorted((DATA / "audio").glob("*.ogg")) if "trumpet" not in path.name
    ]
    if len(recordings) < 4:
        pytest.skip(f"no recordings in {DATA / 'audio'}")
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSENC_RESOURCES", str(musicnn_folder))
        study = simulate_study(
            root / "study",
            n_participants=4,
            pieces=recordings,
            features=TRAINED,
            weights=None,
            feature_cache=root / "cache",
        )
        arguments = [str(study.bids_dir), str(root / "results")]
        gradient = f"truth={','.join(map(str, study.gradient_files))}"
        options = ["--cache-dir", str(root / "cache"), "--nprocs", "2", "--features", TRAINED, TWIN]
        assert main([*arguments, "participant", *options]) == 0
        assert main([*arguments, "group", "--gradient", gradient, "--n-spins", "100"]) == 0
    return study, OutputTree(root / "results")


def group_map(tree, features, **entities):
    paths = [
        tree.group_map(hemi, Cleaning.space, model=model_label(features), **entities)
        for hemi in HEMISPHERES
    ]
    return np.concatenate([read_gifti(path) for path in paths], axis=1).astype(float)


def test_the_layers_are_those_of_the_network_in_order(analyzed):
    study, tree = analyzed
    assert study.truth.n_layers == 12
    for features in (TRAINED, TWIN):
        assert len(group_map(tree, features, stat="r")) == 12
        settings = next(
            tree.root.glob(f"sub-01/func/*_model-{model_label(features)}_settings.json")
        )
        told = read_json(settings)
        assert told["Settings"]["layers"][:3] == ["input", "conv1", "pool1"]
        assert told["Features"]["Network"] == features
        assert told["Features"]["Untrained"] == (features == TWIN)
        assert told["Features"]["Weights"] == (
            "random:0" if features == TWIN else "musicnn-MTT_vgg.npz"
        )


def test_trained_layers_predict_what_follows_them_better_than_untrained_ones(analyzed):
    study, tree = analyzed
    deep = study.truth.layers >= 9
    trained, twin = (group_map(tree, f, stat="r").max(axis=0)[deep] for f in (TRAINED, TWIN))
    assert np.nanmean(trained) > 0.05
    assert np.nanmean(trained) > np.nanmean(twin)


def test_planted_depth_is_recovered(analyzed):
    study, tree = analyzed
    (slope,) = group_map(tree, TRAINED, stat="slope", desc="layerpref")
    assert study.truth.recovery(slope) > 0.1


def test_pages_say_which_model_is_a_control(analyzed):
    _, tree = analyzed
    for page in (tree.group_report, tree.participant_report("01")):
        text = page.read_text()
        assert f"Not trained: the audio network of model-{model_label(TWIN)} (random:0)" in text
