"""A group analysis that is added by its row alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from written_group import LAYERS, write_gradient, write_participant

from bids_app.analyses import registry
from bids_app.analyses.declare import MapOutput, TableOutput
from bids_app.analyses.group.analysis import GroupAnalysis
from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.report.page import Section, Text
from bids_app.surface.gifti import read_gifti
from bids_app.surface.mesh import load_mesh

pytestmark = pytest.mark.slow

COLUMNS = {"layer": "name of the layer", "n_vertices": "vertices where everybody is above"}


@dataclass(frozen=True)
class Above:
    """Layers in which everybody's accuracy is above a level."""

    n: np.ndarray
    rows: list[dict]


def count_layers(data, accuracy):
    """Layers above zero in everybody, at each vertex of the mask."""
    above = (data.r > 0).all(axis=0) & accuracy.mask
    counts = zip(data.layer_names, above.sum(axis=1).tolist(), strict=True)
    rows = [{"layer": name, "n_vertices": count} for name, count in counts]
    return Above(above.sum(axis=0).astype(float), rows)


def above_rows(above):
    return above.rows


def above_settings(config):
    return [("", {"level": 0})]


def other_settings(config):
    return [("", {"level": 1})]


def above_section(files):
    section = Section("above", "Layers above zero")
    highest = files.map("n", desc="above").max()
    section.blocks.append(Text(f"At most {highest:.0f} layers are above zero in everybody."))
    return section


ABOVE = GroupAnalysis(
    "above",
    count_layers,
    (
        MapOutput("n", "n", "layers above zero in everybody", desc="above", name="layers"),
        TableOutput("summary", "above", COLUMNS, rows=above_rows),
    ),
    desc="above",
    settings=above_settings,
    sections=(above_section,),
)


def test_a_row_is_computed_written_told_apart_and_shown(tmp_path, monkeypatch, capfd):
    folder = tmp_path / "results"
    for label in ("01", "02", "03"):
        write_participant(folder, label)
    pial = np.vstack([hemi.pial for hemi in load_mesh().hemispheres])
    options = ["--gradient", write_gradient(tmp_path, pial[:, 1]), "--n-spins", "19"]
    call = ["/nowhere", str(folder), "group", *options, "--n-permutations", "5"]
    rows = registry.GROUP_ANALYSES
    monkeypatch.setattr(registry, "GROUP_ANALYSES", (*rows, ABOVE))
    assert main(call) == 0

    tree = OutputTree(folder)
    left = tree.group_map("L", "fsaverage5", model="vggish", stat="n", desc="above")
    values, told = read_gifti(left)[0], read_json(sidecar_of(left))
    assert values.max() == len(LAYERS)
    assert told["Description"] == "layers above zero in everybody"
    assert told["DataArrays"] == ["layers"]
    table = tree.group_table("summary.tsv", model="vggish", desc="above")
    counts = pd.read_csv(table, sep="\t")
    assert list(counts["layer"]) == LAYERS
    assert {name: text["Description"] for name, text in read_json(sidecar_of(table)).items()} == (
        COLUMNS
    )
    done = tree.group_table("settings.json", model="vggish", desc="above")
    assert read_json(done)["Settings"] == {"level": 0}
    assert read_json(done)["SettingsHash"] == told["SettingsHash"]
    outputs = [str(path.relative_to(folder)) for path in (left, table)]
    assert set(outputs) <= set(read_json(done)["Outputs"])
    inference = read_json(tree.group_table("settings.json", model="vggish"))
    assert not set(outputs) & set(inference["Outputs"])
    assert "At most 3 layers are above zero in everybody." in tree.group_report.read_text()

    before = done.read_bytes()
    changed = replace(ABOVE, settings=other_settings)
    monkeypatch.setattr(registry, "GROUP_ANALYSES", (*rows, changed))
    capfd.readouterr()
    assert main(call) == 16
    assert "found: level: 0 -> 1\n" in capfd.readouterr().err
    assert done.read_bytes() == before
    done.unlink()
    assert main(call) == 0
    assert read_json(done)["Settings"] == {"level": 1}
