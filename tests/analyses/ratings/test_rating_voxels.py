"""Ratings at subcortical voxels over people and over music."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from grayordinates import N_EACH, write_dtseries

from bids_app.analyses.folder.records import Record
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.participant.linear_models import LinearMaps, MapContrast, TurnedEffect
from bids_app.analyses.participant.voxel_effects import VoxelEffects
from bids_app.analyses.ratings.voxels import infer_rating_voxels, write_rating_voxels
from bids_app.analyses.ratings.write import write_rating_maps
from bids_app.config import Emotion, Statistics
from bids_app.errors import BadDataError
from bids_app.outputs import OutputTree
from bids_app.surface.subcortex import read_subcortex

PEOPLE = tuple(f"{k:02d}" for k in range(1, 9))
STIMULI = {"waltz": "a" * 64, "march": "b" * 64}
N_FREQ, N_VOXELS = 20, 3 * N_EACH
STATISTICS = Statistics(random_seed=1, n_permutations=300)


def people_like(tree: OutputTree, subcortex, *, lacking: str = "") -> None:
    """Tension moves the left amygdala with both pieces; joy the right one by an accident of one.

    An accident: the same in everybody, and of one frequency.
    """
    accident = np.zeros((1 + 2 * N_FREQ, N_VOXELS))
    accident[1] = 1.0
    for number, who in enumerate(PEOPLE):
        rng = np.random.default_rng(number)
        turned = []
        for scale in ("tension", "joy"):
            for name in STIMULI:
                values = 0.02 * rng.standard_normal((1 + 2 * N_FREQ, N_VOXELS))
                if scale == "tension":
                    values[1::2, :N_EACH] += 0.5 / N_FREQ
                elif name == "waltz":
                    values[:, N_EACH : 2 * N_EACH] += accident[:, N_EACH : 2 * N_EACH]
                contrast = MapContrast(scale, {scale: 1.0}, scale=scale)
                turned.append(TurnedEffect(contrast, name, values.astype(np.float32)))
        effect = np.zeros((2, N_VOXELS), dtype=np.float32)
        for k, one in enumerate(turned):
            effect[k // 2] += one.values[0] + one.values[1::2].sum(axis=0)
        effect[:, -1] = np.nan
        contrasts = [turned[0].contrast, turned[2].contrast]
        maps = LinearMaps(contrasts, effect, effect, effect, 90.0, [], {}, turned)
        voxels = None if who == lacking else VoxelEffects(subcortex, maps)
        record = Record(who, "emotion", {"space": "fsaverage5"}, (), {}, stimuli=STIMULI)
        write_rating_maps(tree, record, (None, "not here"), (None, "not here"), voxels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("ratings")
    path = write_dtseries(root / "x_bold.dtseries.nii", np.zeros((2, N_VOXELS)), 1.0)
    tree = OutputTree(root / "out")
    people_like(tree, read_subcortex(path)[0])
    return tree


def test_both_claims_are_told_apart(folder):
    found = infer_rating_voxels(folder, PEOPLE, Emotion(), STATISTICS)
    writer = GroupWriter(folder, found.group, {}, desc="subcortex")
    write_rating_voxels(writer, found)
    writer.finish()
    path = folder.root / "group_model-emotion_desc-subcortex_summary.tsv"
    table = pd.read_csv(path, sep="\t").set_index(["feature", "region"])
    both = table.index[table["both"].astype(str) == "True"]
    assert list(both) == [("tension", 1)]
    # The accident holds over people, who all have it, and not over music.
    accident = table.loc["joy", 2]
    assert accident["p"] < 0.05 < accident["p_music"]
    assert table.loc["tension", 1]["effect"] == pytest.approx(1.0, abs=0.1)
    assert table["n_voxels"].tolist() == [N_EACH, N_EACH, N_EACH - 1] * 2
    pattern = "group_model-emotion_feature-tension_stat-p_desc-subcortex{}_statmap.dscalar.nii"
    for kind in ("maxt", "musicmaxt"):
        (one,) = folder.root.glob(pattern.format(kind))
        p = read_subcortex(one)[1][0]
        assert (p[:N_EACH] < 0.05).mean() > 0.9
        assert (p[N_EACH:-1] < 0.05).mean() < 0.05
        assert np.isnan(p[-1])


def test_who_has_no_such_maps_is_left_out(folder, tmp_path, caplog):
    tree = OutputTree(tmp_path)
    subcortex = infer_rating_voxels(folder, PEOPLE, Emotion(), STATISTICS).found.subcortex
    people_like(tree, subcortex, lacking="03")
    found = infer_rating_voxels(tree, PEOPLE, Emotion(), STATISTICS)
    assert found.group.participants == [who for who in PEOPLE if who != "03"]
    assert "without sub-03" in caplog.text
    assert infer_rating_voxels(tree, PEOPLE, Emotion(mode="off"), STATISTICS) is None
    assert infer_rating_voxels(OutputTree(tmp_path / "none"), PEOPLE, Emotion(), STATISTICS) is None
    next(tree.root.glob("sub-05/func/*stim-waltz*tension*turned*dscalar.nii")).unlink()
    with pytest.raises(BadDataError, match="not as it was written"):
        infer_rating_voxels(tree, PEOPLE, Emotion(), STATISTICS)
