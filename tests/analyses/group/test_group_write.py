"""What every sidecar of a group result says of its model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from bids_app.analyses.group.write import GroupWriter
from bids_app.files import read_json, write_json
from bids_app.outputs import OutputTree, sidecar_of

GUESS = "notes, guessed"


def test_a_guess_is_called_one(tmp_path):
    tree = OutputTree(tmp_path)
    for model, features in (("transcribed", {"Guess": GUESS}), ("envelope", {})):
        path = tree.participant_settings("01", model)
        write_json(path, {"Features": features | {"Features": model}})
        data = SimpleNamespace(model=model, participants=["01"], space="fsaverage5", rows=[])
        writer = GroupWriter(tree, data, {})
        writer.begin()
        writer.statmap("r", np.zeros(20484), ["all"])
        writer.table("summary", {"layer": "number"}, [{"layer": 1}], desc="layers")
        files = [
            sidecar_of(tree.group_map("L", "fsaverage5", model=model, stat="r")),
            sidecar_of(tree.group_table("summary.tsv", model=model, desc="layers")),
        ]
        for path in files:
            assert read_json(path).get("Guess") == features.get("Guess")
