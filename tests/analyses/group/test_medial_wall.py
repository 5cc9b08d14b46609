"""The medial wall at the group level: in no gradient, and named in every sidecar."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.analyses.group.alignment import Gradient, _without_wall
from bids_app.analyses.group.write import GroupWriter
from bids_app.files import read_json, write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.report.methods import group_methods, participant_methods
from bids_app.report.sources import GroupFiles
from bids_app.surface.cortex import bundled_cortex, cortex_record
from bids_app.surface.mesh import load_mesh


@pytest.mark.parametrize("name", ["nilearn", "signal"])
def test_a_gradient_with_values_on_the_wall_is_cut_as_the_maps_are(name):
    mesh = load_mesh()
    record = cortex_record(name, mesh)
    data = SimpleNamespace(space="fsaverage5", settings={"cortex_mask": record})
    gradient = Gradient(np.arange(1.0, 20485.0), {}, "")
    found = _without_wall(gradient, data).values
    expected = bundled_cortex(mesh) if name == "nilearn" else np.ones(20484, bool)
    np.testing.assert_array_equal(np.isfinite(found), expected)
    np.testing.assert_array_equal(found[expected], gradient.values[expected])


def test_sidecars_pages_and_methods_of_the_group_name_the_mask(tmp_path):
    tree, record = OutputTree(tmp_path), cortex_record("nilearn", load_mesh())
    settings = {"space": "fsaverage5", "cortex_mask": record}
    write_json(tree.model_settings("vggish"), {"SettingsHash": "0", "Settings": settings})
    data = SimpleNamespace(model="vggish", space="fsaverage5", participants=["01"], rows=[])
    GroupWriter(tree, data, {}).statmap("r", np.zeros(20484), ["r"])
    path = tree.group_map("L", "fsaverage5", model="vggish", stat="r")
    assert read_json(sidecar_of(path))["CortexMask"] == record
    assert "1604 of 20484 vertices left out" in GroupFiles(tmp_path).cortex
    for text in (
        group_methods({}, [], {"Settings": settings}),
        participant_methods({"Settings": settings}, {}),
    ):
        assert "medial wall" in " ".join(text.paragraphs)


def test_a_folder_that_says_nothing_of_a_mask_is_shown_without_one(tmp_path):
    tree = OutputTree(tmp_path)
    settings = {"space": "fsaverage5", "cortex_mask": []}
    write_json(tree.model_settings("vggish"), {"SettingsHash": "0", "Settings": settings})
    assert GroupFiles(tmp_path).cortex == "n/a"
    assert "medial wall" not in " ".join(group_methods({}, [], settings).paragraphs)
