"""Participants who are predicted by themselves, counted from their maps of p."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from written_group import LAYERS, write_participant

from bids_app.analyses.group.collect import load_group
from bids_app.analyses.group.prevalence import group_prevalence
from bids_app.files import write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import write_gifti

PEOPLE = ["01", "02", "03", "04"]
N_HALF = 10242


@pytest.fixture
def written(tmp_path):
    """In three of four participants the second layer predicts vertex 7 of the left hemisphere."""
    tree = OutputTree(tmp_path)
    for label in PEOPLE:
        write_participant(tmp_path, label)
    return tree


def write_p(tree, label, strong):
    for hemi in "LR":
        p = np.full((len(LAYERS), N_HALF), 0.5, dtype=np.float32)
        if hemi == "L":
            p[1, 7] = 1e-8 if strong else 0.5
            p[0, 8] = 0.04
        path = tree.participant_map(label, hemi, "fsaverage5", model="vggish", stat="p")
        write_gifti(path, p, hemi=hemi, names=LAYERS)
        write_json(sidecar_of(path), {"DataArrays": LAYERS})


def test_counts_shares_and_intervals(written):
    for label in PEOPLE:
        write_p(written, label, strong=label != "02")
    found = group_prevalence(written, load_group(written, "vggish", PEOPLE))
    assert found.shown.shape == (len(LAYERS), 2 * N_HALF)
    assert found.shown[1, 7] == 3
    assert found.shown[0, 8] == 4
    assert found.shown.sum() == 7
    assert found.estimate[1, 7] == pytest.approx((0.75 - 0.05) / 0.95)
    rows = {row["layer"]: row for row in found.rows}
    assert list(rows) == [*LAYERS, "any"]
    # .04 at one of many vertices is nothing.
    assert [rows[name]["n_shown"] for name in (LAYERS[0], LAYERS[1], "any")] == [0, 3, 3]
    assert rows["any"]["prevalence_low"] < rows["any"]["prevalence"] < 1
    assert found.states[0]["state"] == "done"


def test_without_p_nothing_is_counted_and_the_reason_told(written):
    for label in PEOPLE[:3]:
        write_p(written, label, strong=True)
    data = load_group(written, "vggish", PEOPLE)
    found = group_prevalence(written, data)
    assert found.shown is None
    assert not found.rows
    assert found.states[0]["reason"] == "no p of sub-04"
    write_p(written, "04", strong=True)
    others = group_prevalence(written, replace(data, model="vggish+others"))
    assert "trained on others" in others.states[0]["reason"]


def test_without_a_null_maps_of_p_are_not_read(written):
    """They are there, and nothing but NaN."""
    data = load_group(written, "vggish", PEOPLE)
    none = replace(data, settings=data.settings | {"null": "none"})
    found = group_prevalence(written, none)
    assert found.shown is None
    assert found.states[0]["reason"] == "participants have no p of their own (--null none)"
