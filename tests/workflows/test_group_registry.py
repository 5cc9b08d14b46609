"""A group analysis that is added by its row alone: the example of the documentation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from worked_examples import import_example
from written_group import LAYERS, write_gradient, write_participant

from bids_app.analyses import registry
from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti
from bids_app.surface.mesh import load_mesh

pytestmark = pytest.mark.slow


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The module that the documentation shows."""
    return import_example("ROW = GroupAnalysis(", tmp_path, monkeypatch)


def other_settings(config):
    return [("", {"level": 1})]


def test_a_row_is_computed_written_told_apart_and_shown(example, tmp_path, monkeypatch, capfd):
    folder = tmp_path / "results"
    for label in ("01", "02", "03"):
        write_participant(folder, label)
    pial = np.vstack([hemi.pial for hemi in load_mesh().hemispheres])
    options = ["--gradient", write_gradient(tmp_path, pial[:, 1]), "--n-spins", "19"]
    call = ["/nowhere", str(folder), "group", *options, "--n-permutations", "5"]
    rows = registry.GROUP_ANALYSES
    monkeypatch.setattr(registry, "GROUP_ANALYSES", (*rows, example.ROW))
    assert main(call) == 0

    tree = OutputTree(folder)
    left = tree.group_map("L", "fsaverage5", model="vggish", stat="n", desc="above")
    values, told = read_gifti(left)[0], read_json(sidecar_of(left))
    assert values.max() == len(LAYERS)
    assert told["Description"] == "layers above zero in everybody"
    assert told["DataArrays"] == ["layers"]
    table = tree.group_table("summary.tsv", model="vggish", desc="above")
    assert list(pd.read_csv(table, sep="\t")["layer"]) == LAYERS
    described = {name: text["Description"] for name, text in read_json(sidecar_of(table)).items()}
    assert described == example.COLUMNS
    done = tree.group_table("settings.json", model="vggish", desc="above")
    assert read_json(done)["SettingsHash"] == told["SettingsHash"]
    outputs = {str(path.relative_to(folder)) for path in (left, table)}
    assert outputs <= set(read_json(done)["Outputs"])
    inference = read_json(tree.group_table("settings.json", model="vggish"))
    assert not outputs & set(inference["Outputs"])
    above = f"At most {len(LAYERS)} layers are above zero in everybody."
    assert above in tree.group_report.read_text()

    before = done.read_bytes()
    changed = replace(example.ROW, settings=other_settings)
    monkeypatch.setattr(registry, "GROUP_ANALYSES", (*rows, changed))
    capfd.readouterr()
    assert main(call) == 16
    assert "level: not set -> 1" in capfd.readouterr().err
    assert done.read_bytes() == before
    done.unlink()
    assert main(call) == 0
    assert read_json(done)["Settings"] == {"level": 1}
