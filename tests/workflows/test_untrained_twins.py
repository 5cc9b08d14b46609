"""Both levels with a trained network and its untrained twins."""

from __future__ import annotations

import html

import pandas as pd
import pytest
import torch

from bids_app.cli.run import main
from bids_app.features.vggish import load_vggish
from bids_app.files import read_json
from bids_app.outputs import OutputTree

TWINS = ("vggishrandom1", "vggishrandom2")


@pytest.mark.integration
def test_the_group_level_compares_a_network_with_its_untrained_twins(analyzed, tmp_path):
    # Weights from a file are trained ones, whatever is in them.
    torch.save(load_vggish("random:7").state_dict(), tmp_path / "weights.pth")
    features = ["--features", "vggish", "vggish@random:1", "vggish@random:2"]
    out = tmp_path / "out"
    own = [
        *("--emotion", "off"),
        *("--vggish-weights", str(tmp_path / "weights.pth")),
        *("--layers", "1", "4", "7", "12", "20"),
    ]
    arguments = analyzed.arguments("participant", *own, *features, output_dir=out)
    assert main([*arguments, "--nprocs", "2"]) == 0
    asked = ("--model-label", "vggish", "--difference", f"vggish-{TWINS[0]}")
    assert main(analyzed.arguments("group", *asked, output_dir=out)) == 0
    tree = OutputTree(out)
    claims = pd.read_csv(tree.group_table("summary.tsv", desc="claims"), sep="\t")
    (row,) = claims[claims["measure"] == "slope beside untrained"].to_dict("records")
    assert row["gradient"] == "truth"
    assert 0 < row["p_music"] <= 1
    assert 0 < row["p_people"] <= 1
    assert pd.isna(row["p_place"])
    group = read_json(tree.group_table("statmap.json", model="vggish", desc="untrainedtruth"))
    assert group["Group"]["twins"] == list(TWINS)
    people = pd.read_csv(
        tree.group_table("statmap.tsv", model="vggish", desc="untrainedtruth"), sep="\t"
    )
    twins = people[[f"z_{name}" for name in TWINS]].mean(axis=1)
    pd.testing.assert_series_equal(people["z_untrained"], twins, check_names=False)
    page = (out / "group.html").read_text()
    assert "than in untrained networks of the same shape" in page
    own = claims.set_index("measure")
    for measure in ("", ", vertices"):
        row = own.loc[f"difference vggish-{TWINS[0]}{measure}"]
        assert 0 < row["p_music"] <= 1
        assert row["detectable"] > 0
        assert not isinstance(row["untested"], str)
        assert html.escape(row["sentence"], quote=False) in page
    drawn = tree.group_table(".tsv", model="vggish", desc=f"differencemusicvggishminus{TWINS[0]}")
    assert len(pd.read_csv(drawn, sep="\t")) >= 60
