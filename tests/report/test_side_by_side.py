"""Models of a folder in one table."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from bids_app.files import read_json, write_json
from bids_app.outputs import OutputTree
from bids_app.report.group_details import depth_controls
from bids_app.report.page import number
from bids_app.report.side_by_side import models_section, models_table
from bids_app.report.sources import GroupFiles


@pytest.fixture
def two_models(own_folder):
    """The model again with other delays, whose slope is not claimed."""
    pairs = ("group_model-vggish_*", "sub-*/func/*_model-vggish_*settings.json")
    for path in [found for pattern in pairs for found in own_folder.glob(pattern)]:
        shutil.copy(path, path.with_name(path.name.replace("model-vggish", "model-slow")))
    tree = OutputTree(own_folder)
    for who in tree.participants_of("vggish"):
        for model, delays in (("vggish", [3.0, 9.0]), ("slow", [1.0, 10.0])):
            path = tree.participant_settings(who, model)
            record = read_json(path)
            record["Settings"] = record.get("Settings", {}) | {"delays": delays, "crop": 15.0}
            write_json(path, record)
    path = tree.group_table("summary.tsv", desc="claims")
    claims = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    slope = claims["measure"] == "slope"
    claims.loc[slope, ["p_people", "p_music", "p_place", "p_partial"]] = "0.01"
    claims.loc[slope, "claimed"] = "True"
    again = claims[claims["model"] == "vggish"].assign(model="slow")
    again.loc[again["measure"] == "slope", ["effect", "claimed"]] = "0.0123", "False"
    pd.concat([claims, again]).to_csv(path, sep="\t", index=False)
    return own_folder


def test_a_row_per_model_with_what_differs_and_what_is_claimed(two_models):
    table, text = models_table([GroupFiles(two_models, model=m) for m in ("vggish", "slow")])
    assert list(table.columns[:2]) == ["model", "delays"]  # the crop is the same
    assert [row[:2] for row in table.rows] == [["vggish", "3, 9"], ["slow", "1, 10"]]
    own, again = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    (name,) = [column for column in table.columns if column.startswith("alignment with")]
    assert own[name].endswith(" *")
    assert again[name] == "0.012"
    assert own["predicted vertices"] == again["predicted vertices"] != "n/a"
    assert "how many were tried" in text.text


def test_layers_cut_to_components_stand_among_the_controls_of_depth(two_models):
    tree = OutputTree(two_models)
    for who in tree.participants_of("vggish"):
        for model, features in (("vggish", "vggish"), ("slow", "components20:vggish")):
            path = tree.participant_settings(who, model)
            record = read_json(path)
            record["Settings"] |= {"features": features, "layers": ["conv1", "conv2"]}
            write_json(path, record)
    files = GroupFiles(two_models)
    pd.DataFrame([{"control": "as fitted", "n_layers": 8, "rho": 0.4, "share": "n/a"}]).to_csv(
        files.file("statmap.tsv", desc=files.of_gradient("depthcontrols")), sep="\t", index=False
    )
    write_json(files.file("statmap.json", desc=files.of_gradient("depthcontrols")), {})
    table, _ = depth_controls(files)
    rho = number(files.alignment["rho_mean"])
    assert table.rows[-1] == ["20 components of each (model-slow)", "2", rho]
    table, _ = depth_controls(GroupFiles(two_models, model="vggish", gradient=files.gradient))
    assert len(table.rows) == 2


def test_one_model_has_no_such_section(own_folder):
    assert models_section(GroupFiles(own_folder)) == []


def test_models_without_settings_or_claims_have_a_row(two_models):
    tree = OutputTree(two_models)
    for who in tree.participants_of("slow"):
        tree.participant_settings(who, "slow").write_text("{}")
    tree.group_table("settings.json", model="slow").write_text("{")
    tree.group_table("summary.tsv", desc="claims").unlink()
    (section,) = models_section(GroupFiles(two_models))
    table = section.blocks[0]
    assert [row[0] for row in table.rows] == ["slow", "vggish"]
    assert table.rows[0][-2] == "n/a"
