"""Sections of the group page that only some folders have: what they say of made-up files."""

import numpy as np
import pandas as pd
import pytest

from bids_app.files import sha256_of_file, write_json
from bids_app.outputs import OutputTree
from bids_app.report.differences import difference_picture, differences_section
from bids_app.report.networks import network_blocks, networks_section
from bids_app.report.own_gradient import own_facts, own_gradient_sections, own_table, own_warnings
from bids_app.report.page import Missing
from bids_app.report.parcels import region_blocks, regions_section
from bids_app.report.sources import GroupFiles
from bids_app.surface.gifti import write_gifti

LAYERS = ["conv1", "conv2", "fc2"]


@pytest.fixture
def tree(tmp_path):
    tree = OutputTree(tmp_path)
    tree.group_folder("fsaverage5").mkdir(parents=True)
    return tree


def write_table(path, rows):
    pd.DataFrame(rows).to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


def write_map(tree, values, **entities):
    for hemi, half in zip("LR", np.split(np.atleast_2d(values), 2, axis=1), strict=True):
        path = tree.group_map(hemi, "fsaverage5", **entities)
        write_gifti(path, half.astype(np.float32), hemi=hemi, names=["map"])
    return tree.group_map("L", "fsaverage5", **entities)


def test_networks_show_maps_of_one_array_and_say_when_a_map_has_changed(tree):
    path = write_map(tree, np.zeros(20484), model="vggish", stat="slope")
    row = {"model": "vggish", "feature": "n/a", "stat": "slope", "desc": "layerpref", "map": "a"}
    rows = [
        row | {"file": path.name, "network": "Visual", "value": 0.25, "share": np.nan},
        row | {"file": path.name, "network": "Default mode", "value": 0.5, "share": np.nan},
        row | {"file": "p", "stat": "p", "network": "Visual", "value": np.nan, "share": 0.125},
        row | {"file": "layers", "network": "Visual", "value": 1.0, "share": np.nan},
        row | {"file": "layers", "map": "b", "network": "Visual", "value": 1.0, "share": np.nan},
    ]
    table = write_table(tree.group_table("summary.tsv", desc="networksYeo7"), rows)
    files = GroupFiles(tree.root)
    told = {"MapDescriptions": {path.name: "mean residual slope; of the participants"}}
    write_json(table.with_suffix(".json"), told | {"Maps": {path.name: sha256_of_file(path)}})
    assert [section.title for section in networks_section(files)] == ["Networks"]
    (shown,) = network_blocks(files, table, "Yeo7")
    assert list(shown.columns) == ["map", "Visual", "Default mode"]
    assert [list(one) for one in shown.rows] == [
        ["vggish: mean residual slope", "0.250", "0.500"],
        ["vggish: share with p < .05: p layerpref", "0.125", "n/a"],
    ]
    assert "1 maps of several layers" in shown.caption
    write_map(tree, np.ones(20484), model="vggish", stat="slope")
    assert network_blocks(files, table, "Yeo7")[1].text.startswith("1 of the maps are others")


def test_regions_are_ordered_by_accuracy_and_one_without_a_value_is_left_out(tree, monkeypatch):
    row = {"hemisphere": "L", "n": 6, "predicted": True, "n_shown": 4.0, "accuracy_p": 0.01}
    row |= dict.fromkeys(("accuracy_p_music", "slope", "slope_p", "slope_p_music"), 0.5)
    row |= {"centroid": 2.0} | {f"r_{name}": 0.1 for name in LAYERS}
    rows = [
        row | {"name": "low", "accuracy": 0.1, "predicted": False, "n_shown": np.nan},
        row | {"name": "none", "accuracy": np.nan},
        row | {"name": "high", "accuracy": 0.2, "predicted": True},
    ]
    table = write_table(
        tree.group_table("summary.tsv", model="vggish", desc="parcelsDesikan"), rows
    )
    write_json(table.with_suffix(".json"), {"Atlas": "Desikan"})
    for label in ("Desikan", "Other"):
        write_json(tree.group_table("settings.json", model="vggish", desc=f"parcels{label}"), {})
    files = GroupFiles(tree.root)
    monkeypatch.setattr(GroupFiles, "layer_names", LAYERS)
    (section,) = regions_section(files)
    assert "2 atlases (Desikan, Other)" in section.blocks[0].text
    drawn, shown = region_blocks(files, table)
    assert [list(one) for one in shown.rows] == [
        ["high", "L", "0.2000", ".010", ".500", "yes", "4 of 6", "0.500", ".500", ".500", "2"],
        ["low", "L", "0.1000", ".010", ".500", "no", "n/a", "0.500", ".500", ".500", "2"],
    ]
    assert drawn.alt.endswith("highest accuracy: high (L), low (L)")


def own_gradient(tree, told):
    write_json(tree.group_table("settings.json", desc="owngradient"), told)
    return GroupFiles(tree.root)


def test_an_own_gradient_is_described_with_its_runner_up_and_who_has_none(tree):
    left = write_map(tree, np.linspace(-1, 1, 20484), stat="value", desc="owngradient")
    write_json(
        left.with_name(left.name.replace(".func.gii", ".json")),
        {
            "Template": {"Label": "margulies2016"},
            "CorrelationWithTemplate": 0.61,
            "SpinP": 0.004,
            "Component": 2,
            "Eigenvalues": [0.4, 0.3, 0.1],
            "RunnerUp": 1,
            "CorrelationOfRunnerUp": -0.2,
            "VarianceShare": 0.3,
            "Runs": ["a", "b"],
            "Participants": ["01"],
            "SeedVertices": 4687,
            "Kernel": "cosine",
        },
    )
    row = {"n_volumes": 400, "rho": 0.7, "variance_share": 0.25, "reason": "n/a"}
    write_table(
        tree.group_table("summary.tsv", desc="owngradient"),
        [
            {"participant_id": "sub-01", "n_runs": 2} | row,
            {"participant_id": "sub-02", "n_runs": 0} | row | {"reason": "no resting run"},
        ],
    )
    files = own_gradient(tree, {"Warnings": ["a run is short"], "WithoutRest": {"sub-02": "none"}})
    (section,) = own_gradient_sections(files)
    assert "Nothing is claimed" in "".join(getattr(block, "text", "") for block in section.blocks)
    facts = dict(own_facts(files).rows)
    assert facts["Component"] == "2 of 3; next: component 1 with r -0.200"
    assert facts["Relation to the template"].startswith("Spearman r 0.610 with margulies2016")
    table, described = own_table(files)
    assert [row[-2:] for row in table.rows] == [["25.0 %", ""], ["n/a", "no resting run"]]
    assert "test nothing" in described.text
    told = own_warnings(files.json(tree.group_table("settings.json", desc="owngradient")))
    assert [block.text for block in told] == ["a run is short.", "sub-02: none."]


def test_a_gradient_that_was_refused_has_its_reason_and_no_numbers(tree):
    (section,) = own_gradient_sections(own_gradient(tree, {"Refused": "r is .12"}))
    assert section.blocks[0].text == "There is none: r is .12."
    assert own_gradient_sections(GroupFiles(tree.root / "elsewhere")) == []


def test_a_difference_is_outlined_where_people_and_music_hold(tree):
    group = {"text": "a-b", "first": "a", "second": "b", "n_vertices": 9}
    values, people, music = np.linspace(-1, 1, 20484), np.ones(20484), np.ones(20484)
    people[:300], music[100:] = 0.01, 0.01
    for name, one in (("r", values), ("p", people)):
        write_map(tree, one, model="vggish", stat=name, desc="differenceAminusB")
    write_json(tree.group_table("settings.json", model="vggish", desc="differenceAminusB"), {})
    write_json(
        tree.group_table("statmap.json", model="vggish", desc="differenceAminusB"),
        {"Group": group, "Inputs": {"vggish": {}, "envelope": {"sub-01": "ab"}}},
    )
    files = GroupFiles(tree.root)
    assert "not tested over music" in difference_picture(files, "AminusB", group).caption
    write_map(tree, music, model="vggish", stat="q", desc="differencemusicAminusB")
    shown = difference_picture(files, "AminusB", group)
    assert "200 vertices" in shown.caption
    assert "red where a predicts better" in shown.caption
    text = " ".join(getattr(block, "text", "") for block in differences_section(files)[0].blocks)
    assert "model-envelope of sub-01" in text
    write_map(tree, np.full(20484, np.nan), model="vggish", stat="r", desc="differenceAminusB")
    assert isinstance(difference_picture(files, "AminusB", group), Missing)
