"""Accuracy beside the ceiling: from saved responses to maps, table and page."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.analyses.folder.read import sample_name
from bids_app.analyses.group.ceiling import accuracy_and_ceiling
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.isc import group_isc
from bids_app.analyses.registry import write_results
from bids_app.config import Statistics
from bids_app.files import read_json, write_json
from bids_app.group import shared_ceiling
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.report.ceiling import ceiling_section
from bids_app.report.page import Missing, Table, Text
from bids_app.report.sources import GroupFiles
from bids_app.surface.gifti import read_gifti, write_gifti

SPACE, N_VERTICES = "fsaverage3", 1284
PEOPLE = [f"0{k}" for k in range(1, 7)]
LENGTHS = {"happy": 60, "sad": 120}


def write_responses(tree, people):
    """sub-06 has another repetition time; the first third of the vertices share a response."""
    rng, values = np.random.default_rng(3), {name: [] for name in LENGTHS}
    loads = np.where(np.arange(N_VERTICES) < N_VERTICES // 3, 1.0, 0.0)
    for name, n_times in LENGTHS.items():
        common = rng.standard_normal((n_times, N_VERTICES)) * loads
        for person in people:
            own = (common + rng.standard_normal(common.shape)).astype(np.float32)
            values[name].append(own)
            tr = 1.5 if person == "06" else 2.0
            times = 0.3 + tr * np.arange(n_times)
            for hemi, half in zip("LR", np.split(own, 2, axis=1), strict=True):
                path = tree.participant_bold(person, hemi, SPACE, stim=name)
                write_gifti(path, half, hemi=hemi, names=[sample_name(t) for t in times], tr=tr)
                told = {"StimulusTimes": times.tolist(), "RepetitionTime": tr}
                write_json(sidecar_of(path), told)
    return [np.stack(own) for own in values.values()]


def group_of(people):
    rng = np.random.default_rng(5)
    r = 0.2 + 0.02 * rng.standard_normal((len(people), 2, N_VERTICES)).astype(np.float32)
    rows = [{"participant_id": f"sub-{who}", "sha256_left": "0"} for who in people]
    settings = {"space": SPACE, "layer_depth": [0.0, 1.0], "delays": [2.0, 4.0], "crop": 10.0}
    names = ["conv1", "conv2"]
    return GroupData("vggish", list(people), r, names, list(LENGTHS), list(LENGTHS), settings, rows)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("ceiling")
    tree, data = OutputTree(root / "out"), group_of(PEOPLE)
    responses = write_responses(tree, PEOPLE)
    statistics = Statistics(random_seed=7)
    synchrony = group_isc(tree, data, root, statistics)
    found = accuracy_and_ceiling(data, synchrony, statistics)
    shared = {"space": SPACE}
    write_json(tree.model_settings("vggish"), {"Settings": shared})
    settings = {("", ""): {"n": 1}, ("", "ceiling"): {"ceiling_floor": 0.1, "random_seed": 7}}
    write_results(tree, data, ["synchrony", "ceiling"], [synchrony, found], settings, statistics)
    return SimpleNamespace(
        tree=tree, data=data, responses=responses, synchrony=synchrony, found=found
    )


def test_fractions_are_of_who_is_behind_the_ceiling_where_it_is_reliable(study):
    found, kept = study.found, slice(0, 5)
    # Ten seconds at both ends are in no accuracy.
    ceiling = shared_ceiling([one[kept, 5:-5] for one in study.responses])
    np.testing.assert_allclose(study.synchrony.ceiling.group, ceiling.group)
    # Signal and noise have the same variance.
    third = N_VERTICES // 3
    assert np.median(ceiling.group[:third]) == pytest.approx(np.sqrt(0.5), abs=0.02)
    there = np.isfinite(found.fraction[0])
    assert there[:third].mean() > 0.95
    assert there[third:].mean() < 0.01
    r = np.tanh(np.arctanh(study.data.r[kept].astype(float)).mean(axis=0))
    np.testing.assert_allclose(found.fraction[:, there], (r / ceiling.group)[:, there])
    assert found.participants == [f"sub-0{k}" for k in range(1, 6)]
    row = found.rows[1]
    assert (row["name"], row["n_vertices"]) == ("conv2", there.sum())
    assert row["fraction"] == pytest.approx(r[1, there].mean() / ceiling.group[there].mean())
    assert row["ceiling_lower"] < row["ceiling"]


def test_a_high_floor_leaves_nothing(study):
    found = accuracy_and_ceiling(study.data, study.synchrony, Statistics(ceiling_floor=0.99))
    assert not np.isfinite(found.fraction).any()
    assert (found.n_usable, found.rows[0]["n_vertices"]) == (0, 0)
    assert np.isnan(found.rows[0]["fraction"])


def test_maps_table_and_page(study):
    tree, third = study.tree, N_VERTICES // 3
    left = tree.group_map("L", SPACE, stat="ceiling", desc="shared")
    told = read_json(sidecar_of(left))
    assert told["NotAboveZero"] == study.found.n_undefined > 50
    assert told["Participants"] == study.found.participants
    np.testing.assert_allclose(
        read_gifti(left)[0], study.synchrony.ceiling.group[: N_VERTICES // 2], rtol=1e-6
    )
    lower = read_gifti(tree.group_map("L", SPACE, stat="ceiling", desc="lower"))[0]
    assert (lower < read_gifti(left)[0])[:third].all()
    fraction = tree.group_map("L", SPACE, model="vggish", stat="fraction", desc="ceiling")
    assert read_json(sidecar_of(fraction))["DataArrays"] == ["conv1", "conv2"]
    (section,) = ceiling_section(GroupFiles(tree.root))
    assert not [block for block in section.blocks if isinstance(block, Missing)]
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert len(table.rows) == 2
    words = " ".join(block.text for block in section.blocks if isinstance(block, Text))
    assert "5 participants" in words
    assert f"{study.found.n_undefined} vertices have no ceiling" in words


def test_three_people_have_a_correlation_and_no_ceiling(tmp_path):
    tree, people = OutputTree(tmp_path / "out"), PEOPLE[:3]
    write_responses(tree, people)
    data, statistics = group_of(people), Statistics(random_seed=7)
    synchrony = group_isc(tree, data, tmp_path, statistics)
    assert synchrony.result is not None
    assert accuracy_and_ceiling(data, synchrony, statistics) is None
    states = {row["analysis"]: row for row in synchrony.states}
    assert states["ceiling"]["state"] == "left out"
    assert "at least four participants" in states["ceiling"]["reason"]
