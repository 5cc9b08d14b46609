"""Names of scales are for the reader: nothing is read out of them."""

from __future__ import annotations

import numpy as np

from bids_app.analyses.folder.claims import claim_settings
from bids_app.analyses.folder.records import Record
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.linear_models import LinearMaps
from bids_app.analyses.ratings import write_group
from bids_app.analyses.ratings.brain_glm import map_contrasts
from bids_app.analyses.ratings.group import infer_rating_maps
from bids_app.analyses.ratings.write import write_rating_maps
from bids_app.config import Emotion, Statistics
from bids_app.files import read_json
from bids_app.outputs import OutputTree, parse_entities, sidecar_of

SCALES = ("Tension", "Tension follows", "at peace")
PARTICIPANTS = ("01", "02", "03")


def places(paths, stat):
    """Feature, desc and data arrays of every map."""
    found = [(parse_entities(path), path) for path in paths if f"_stat-{stat}_" in path.name]
    return {
        (entities["feature"], entities.get("desc", "")): read_json(sidecar_of(path))["DataArrays"]
        for entities, path in found
    }


def write(root, hrf):
    """Noise as effects of everybody; returns the maps of the last one."""
    tree, rng = OutputTree(root), np.random.default_rng(1)
    settings = {"space": "fsaverage5"}
    claim_settings(tree, "emotion", settings)
    for participant in PARTICIPANTS:
        contrasts = map_contrasts(SCALES, Emotion(hrf=hrf, delays=(-2, 2)), 1.0)
        values = rng.standard_normal((len(contrasts), 20484)).astype(np.float32)
        maps = LinearMaps(contrasts, values, values, values, 9.0, [{"run": "r"}], {})
        record = Record(participant, "emotion", settings, (), {})
        written = write_rating_maps(tree, record, (maps, ""), (None, "no responses"))
    return tree, written


def test_a_scale_may_be_called_like_a_window(tmp_path):
    tree, written = write(tmp_path, "spm")
    expected = {
        ("Tensionfollows", ""): ["Tension follows"],
        ("Tension", ""): ["Tension"],
        ("atpeace", ""): ["at peace"],
    }
    assert places(written, "effect") == expected
    statistics = Statistics(n_permutations=4, random_seed=0)
    tests = infer_rating_maps(tree, PARTICIPANTS, statistics, tmp_path)
    writer = GroupWriter(tree, tests.group, {})
    write_group.write_rating_maps(writer, tests)
    found = places(writer.written, "effect")
    assert {key: names for key, names in found.items() if key[1] != "contrast"} == expected
    assert found["TensionMinusTensionfollows", "contrast"] == ["Tension - Tension follows"]


def test_windows_of_such_a_scale_stay_apart(tmp_path):
    _, written = write(tmp_path, "fir")
    found = places(written, "t")
    assert set(found) == {
        (feature, desc)
        for feature in ("Tensionfollows", "Tension", "atpeace")
        for desc in ("delays", "precedes", "follows")
    }
    assert found["Tension", "follows"] == ["Tension follows"]
    assert found["Tensionfollows", "follows"] == ["Tension follows follows"]
    assert found["Tensionfollows", "delays"][0] == "Tension follows at -2 s"
