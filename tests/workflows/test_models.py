"""Several feature spaces as models of one output folder, and a subset of the network's layers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from listed import listed, written

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, parse_entities
from bids_app.surface.gifti import read_gifti

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def several(analyzed, tmp_path_factory):
    """Envelope and five layers of the network, of two participants, both levels."""
    folder = tmp_path_factory.mktemp("models")
    models = ("--features", "vggish", "envelope", "--layers", "conv1", "2", "9", "14", "18", "fc2")
    people = ("--participant-label", "01", "02")
    participant = analyzed.arguments("participant", *models, *people, output_dir=folder)
    assert main(participant) == 0
    assert main(analyzed.arguments("group", output_dir=folder)) == 0
    return OutputTree(folder), participant


def test_a_dry_run_lists_what_is_there_afterwards(several, analyzed, tmp_path, capsys):
    def names(call):
        assert main([*call, "--dry-run"]) == 0
        return listed(capsys.readouterr().out)

    tree, participant = several
    assert names(participant) == written(tree.root, "01")
    refits = ("--null", "phase", "--n-nulls", "2", "--save-weights", "23", "--layers", "22", "23")
    people = ("--participant-label", "01")
    call = analyzed.arguments("participant", *refits, *people, output_dir=tmp_path / "refits")
    assert main(call) == 0
    found = names(call)
    assert found == written(tmp_path / "refits", "01")
    assert any("_desc-maxt_" in name for name in found)
    assert "sub-01/func/sub-01_space-fsaverage_den-10k_model-vggish_weights.h5" in found
    assert not any("layerpref" in name for name in found)


def test_every_model_has_its_own_maps_and_settings(several):
    tree, _ = several
    assert tree.models() == tree.models_of("01") == tree.group_models() == ["envelope", "vggish"]
    own = {model: read_json(tree.participant_settings("01", model)) for model in tree.models()}
    assert own["envelope"]["SettingsHash"] != own["vggish"]["SettingsHash"]
    assert own["envelope"]["Features"]["Features"] == "envelope"
    assert not own["envelope"]["Features"]["Untrained"]
    layers = ["conv1", "relu3_1", "relu4_1", "fc1_1", "fc2"]
    assert own["vggish"]["Settings"]["layers"] == layers
    assert own["vggish"]["Settings"]["layer_depth"] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert own["vggish"]["Features"]["LayerDepth"] == [0.0, 0.25, 0.5, 0.75, 1.0]
    path = tree.participant_map("01", "L", "fsaverage5", model="vggish", stat="r")
    assert len(read_gifti(path)) == len(layers)


def test_the_envelope_predicts_and_has_no_layer_preference(several):
    tree, _ = several
    path = tree.participant_map("01", "L", "fsaverage5", model="envelope", stat="r")
    (r,) = read_gifti(path)
    assert np.nanmax(r) > 0.3
    stored = read_json(tree.participant_settings("01", "envelope"))
    assert "at least 5 layers" in stored["LayerPreferenceMissing"]
    found = {parse_entities(p).get("desc") for p in path.parent.glob("*model-envelope*")}
    assert "layerpref" not in found
    assert tree.group_labels("envelope", "alignment") == []
    assert tree.group_table("statmap.tsv", model="vggish", desc="alignmenttruth").exists()


@pytest.mark.parametrize("name", ["sub-01.html", "group.html"])
def test_the_pages_show_every_model(several, name):
    html = (several[0].root / name).read_text()
    assert "Accuracy (envelope)" in html
    assert "layer preference needs at least 5 layers; this model has 1" in html
    anchors = re.findall(r'<section id="([^"]+)"', html)
    assert len(anchors) == len(set(anchors)) > 10


def test_another_layer_set_under_the_same_label_is_refused(several, capsys):
    arguments = several[1]
    other = [word for word in arguments if word != "18"]
    assert main(other) == 16
    told = capsys.readouterr().err
    assert "layers: ['conv1', 'relu3_1'" in told, told
    assert main([*other, "--model-label", "deep", "envelope", "--dry-run"]) == 0
    assert "model-{deep,envelope}" in capsys.readouterr().out
