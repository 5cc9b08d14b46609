"""Conditions at subcortical voxels over participants, and against a number of each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from grayordinates import N_EACH, write_dtseries

from bids_app.analyses.conditions.group_plan import ConditionGroup
from bids_app.analyses.conditions.voxels import infer_condition_voxels, write_condition_voxels
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.linear_models import LinearMaps, MapContrast
from bids_app.analyses.participant.voxel_effects import VoxelEffects, write_effects
from bids_app.config import Statistics
from bids_app.outputs import CONDITIONS_LABEL, OutputTree
from bids_app.report.page import Picture, Table
from bids_app.report.sources import GroupFiles
from bids_app.report.subcortex import effects_section
from bids_app.surface.subcortex import read_subcortex

DISLIKE = {"01": -2.0, "02": -1.0, "03": 0.0, "04": 1.0, "05": 2.0, "06": 3.0, "07": -3.0}
CONTRASTS = {"loudMinusquiet": "loud-quiet", "quiet": "quiet"}
N_VOXELS = 3 * N_EACH


@pytest.fixture
def folder(tmp_path):
    """The left amygdala answers loud music, and the more the more it is disliked."""
    path = write_dtseries(tmp_path / "x_bold.dtseries.nii", np.zeros((2, N_VOXELS)), 1.0)
    subcortex, tree = read_subcortex(path)[0], OutputTree(tmp_path / "out")
    for number, (who, dislike) in enumerate(DISLIKE.items()):
        found = []
        for label in CONTRASTS:
            rng = np.random.default_rng([number, len(label)])
            effect = 0.3 * rng.standard_normal((1, N_VOXELS))
            if label == "loudMinusquiet":
                effect[:, :N_EACH] += 4 + 0.5 * dislike
            values = effect.astype(np.float32)
            maps = LinearMaps([MapContrast(label, {})], values, values, values, 9.0, [], {})
            found.append((label, VoxelEffects(subcortex, maps)))
        write_effects(tree, who, CONDITIONS_LABEL, found, {"Sources": []})
    return tree


def group_of(people) -> ConditionGroup:
    return ConditionGroup(
        people,
        "fsaverage5",
        CONTRASTS,
        False,
        False,
        DISLIKE,
        Statistics(n_permutations=500, random_seed=1),
        "permutation",
        {},
    )


def test_planted_effect_and_slope_are_found_where_they_are(folder):
    group = group_of(list(DISLIKE))
    found = infer_condition_voxels(folder, group)
    writer = GroupWriter(folder, group, {})
    write_condition_voxels(writer, found)
    writer.finish()
    path = folder.root / "group_model-conditions_desc-subcortex_summary.tsv"
    table = pd.read_csv(path, sep="\t").set_index(["feature", "region"])
    planted = table.loc["loudMinusquiet", 1]
    others = table.drop(("loudMinusquiet", 1))
    assert planted["effect"] == pytest.approx(4.0, abs=0.1)
    assert planted["slope"] == pytest.approx(0.5, abs=0.05)
    assert planted["p"] == pytest.approx(2 / 2**7)
    assert planted["slope_p"] < 0.05
    assert (others[["p", "slope_p"]] > 0.05).all(axis=None)
    assert table["p_music"].isna().all()
    assert table["both"].isna().all()
    (section,) = effects_section(GroupFiles(folder.root), CONDITIONS_LABEL, "Subcortex")
    assert section.title == "Subcortex"
    assert [type(one) for one in section.blocks] == [Picture, Picture, Table]
    (path,) = folder.root.glob("group_*_feature-quiet_stat-t_desc-subcortex_*.dscalar.nii")
    assert read_subcortex(path)[1].shape == (1, N_VOXELS)


def test_nothing_is_said_where_somebody_has_no_maps(folder, caplog):
    assert infer_condition_voxels(folder, group_of([*DISLIKE, "08"])) is None
    assert "sub-08 have no maps of it" in caplog.text
    caplog.clear()
    assert infer_condition_voxels(folder, group_of(["98", "99"])) is None
    assert not caplog.text
