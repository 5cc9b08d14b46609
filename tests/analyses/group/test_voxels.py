"""Tests of single subcortical voxels: what is written, kept, and said."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from grayordinates import AFFINE, SHAPE, subcortical_axis

from bids_app.analyses.folder.write import write_table
from bids_app.analyses.group import voxels as module
from bids_app.analyses.group.claims import collect_claims
from bids_app.analyses.group.voxels import (
    map_of_group,
    maps_of_voxels,
    told_of_voxels,
    voxel_tests,
)
from bids_app.config import Statistics
from bids_app.files import write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.subcortex import LABEL, Subcortex, write_scalars

N_PEOPLE = 8
AXIS = subcortical_axis()
VOXELS = Subcortex(AXIS.voxel, AXIS.name, AFFINE, SHAPE)
N_VOXELS = len(AXIS)
PREDICTED = slice(24, 48)
"""The right amygdala: both layers there, in everybody."""
HEARD = SimpleNamespace(left_out={"08": "no responses"})


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    r = 0.05 * rng.standard_normal((N_PEOPLE, 2, N_VOXELS))
    r[:, :, PREDICTED] += 0.3
    people = [f"{k:02d}" for k in range(1, N_PEOPLE + 1)]
    return SimpleNamespace(model="notes", participants=people, r=r, layer_names=["a", "b"])


def results(tmp_path, data):
    slopes = data.r[:, 1] - data.r[:, 0]
    weights = np.tile([-1.0, 1.0], (N_PEOPLE, 1))
    tree = OutputTree(tmp_path)
    return voxel_tests(
        tree, data, "responses were deleted", HEARD, slopes, weights, Statistics(), 1
    )


def test_without_a_null_over_music_nothing_is_predicted(tmp_path, data):
    found = results(tmp_path, data)
    assert (found.p[:, PREDICTED] < 0.05).all()
    assert found.predicted is None
    kinds = {(one.stat, one.kind) for one in maps_of_voxels(data, found)}
    assert kinds == {("r", ""), ("p", "maxt"), ("slope", ""), ("p", "layerprefmaxt")}
    told = told_of_voxels(VOXELS, found)
    assert (told["Structure"], told["Hemisphere"]) == ("Amygdala", "R")
    assert told["Tests"][1]["reason"] == "responses were deleted"


def test_a_voxel_that_somebody_lacks_is_no_test(tmp_path, data):
    data.r[:, :, 7] = 0.5 + 0.001 * np.arange(N_PEOPLE)[:, np.newaxis]  # the largest t
    whole = results(tmp_path, data)
    assert told_of_voxels(VOXELS, whole)["Effect"] > 0.45
    data.r[0, :, 7] = np.nan
    found = results(tmp_path, data)
    for values in (found.mean_r[0], found.p[0], found.slope, found.slope_p):
        assert np.flatnonzero(np.isnan(values)).tolist() == [7]
    assert told_of_voxels(VOXELS, found)["Structure"] == "Amygdala"


def test_p_over_music_of_an_earlier_result_stay_and_claim(tmp_path, data, monkeypatch):
    tree = OutputTree(tmp_path)
    low = np.full((2, N_VOXELS), 0.5)
    low[1, 30:40] = 0.001
    for stat, kind, values in (
        ("p", "music", low),
        ("q", "music", low),
        ("p", "musicmax", low),
        ("p", "layerprefmusic", low[:1]),
        ("q", "layerprefmusic", low[:1]),
        ("p", "layerprefmusicmax", low[:1]),
    ):
        path = map_of_group(tree, "notes", stat, kind)
        write_scalars(path, values, ["a", "b"][: len(values)], VOXELS)
        write_json(sidecar_of(path), {"LeftOut": {"08": "x"}, "Draws": 400, "RefitCheck": {}})
    monkeypatch.setattr(module, "same_inputs", lambda *_: True)
    found = results(tmp_path, data)
    assert found.music.kept
    assert found.music.n_people == N_PEOPLE - 1
    assert np.flatnonzero(found.predicted).tolist() == list(range(30, 40))
    kinds = {(one.stat, one.kind): one for one in maps_of_voxels(data, found)}
    np.testing.assert_array_equal(kinds["n", "predicted"].values[0], found.predicted)
    assert kinds["p", "musicmax"].told["Draws"] == 400
    assert kinds["q", "layerprefmusic"].values.shape == (1, N_VOXELS)

    told = told_of_voxels(VOXELS, found)
    assert (told["Vertices"], told["Structure"]) == (10, "Amygdala")
    write_table(
        tree.group_table("summary.tsv", model="notes", desc="layers"),
        {"layer": "l"},
        [{"layer": 1}],
    )
    for desc, fields in (("", {}), (LABEL, {"Predicted": told})):
        path = tree.group_table("settings.json", model="notes", desc=desc)
        write_json(path, {"Participants": data.participants, **fields})
    (claim,) = collect_claims(tmp_path)
    assert claim.measure == "accuracy of subcortical voxels"
    assert claim.decision.claimed
    assert claim.decision.sentence.startswith("10 subcortical voxels of model-notes are predicted")
    write_json(path, {"Participants": data.participants[1:], "Predicted": told})
    assert collect_claims(tmp_path) == []
