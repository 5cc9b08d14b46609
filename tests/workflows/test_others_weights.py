"""The group level with models that were trained on the others' responses."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti

pytestmark = pytest.mark.integration


def test_results_with_the_others_weights_stand_beside_those_of_the_own(analyzed, tmp_path):
    folder = shutil.copytree(analyzed.output_dir, tmp_path / "results")
    before = {path.name: path.read_bytes() for path in folder.glob("tpl-fsaverage/func/*.gii")}
    assert main(analyzed.arguments("group", "--train-on", "others", output_dir=folder)) == 0
    tree = OutputTree(folder)
    label = "vggish+others"
    assert label in tree.group_models()
    path = tree.group_map("L", "fsaverage5", model=label, stat="r")
    found = read_gifti(path)
    own = read_gifti(tree.group_map("L", "fsaverage5", model="vggish", stat="r"))
    truth = np.isfinite(own[0]) & np.isfinite(found[0])
    assert not np.allclose(found[:, truth], own[:, truth])
    assert "all other participants" in read_json(sidecar_of(path))["TrainedOn"]
    # What the own weights gave stays, byte by byte.
    after = {path.name: path.read_bytes() for path in folder.glob("tpl-fsaverage/func/*.gii")}
    assert {name: after[name] for name in before} == before
    claims = pd.read_csv(tree.group_table("summary.tsv", desc="claims"), sep="\t")
    assert set(claims["model"]) == {"vggish", label}
    assert not claims.loc[claims["model"] == label, "primary"].any()
    page = (folder / "group.html").read_text()
    assert f"({label})" in page
    assert "Everybody trains everybody else" in page


def test_what_was_not_saved_is_told(analyzed, tmp_path, capfd):
    folder = shutil.copytree(analyzed.output_dir, tmp_path / "results")
    for path in folder.glob("sub-0*/func/*_desc-clean_bold.func.gii"):
        path.unlink()
    assert main(analyzed.arguments("group", "--train-on", "others", output_dir=folder)) == 66
    told = capfd.readouterr().err
    assert "no cleaned response of sub-01" in told
    assert "--train-on own" in told
    assert "vggish+others" not in OutputTree(folder).group_models()
