"""Alignment over music: the statistic, weights made anew, and results that stay."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from test_over_music import EVERYBODY, N_PEOPLE, N_VERTICES, make_side

from bids_app.analyses.folder.write import write_settings
from bids_app.analyses.group import over_music, refits
from bids_app.analyses.group.music_alignment import (
    MusicAlignment,
    _anew,
    align_over_music,
    earlier_alignment,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.files import read_json, write_json
from bids_app.group import gradient_weights
from bids_app.group.claims import MUSIC, LevelTest
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.preference import slope_weights

DEPTH = [0.0, 0.5, 1.0]
MASK = np.arange(N_VERTICES) % 5 > 0
GRADIENT = np.sin(np.arange(N_VERTICES) / 9)
FILES = {"L.gii": "c1", "R.gii": "c2"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(over_music, "N_DRAWS", 400)
        patch.setattr(refits, "N_REFITS", 25)
        side = make_side(tmp_path_factory.mktemp("responses"), EVERYBODY)
        side.data.depth = DEPTH
        weights = np.tile([-1.0, 0.0, 1.0], (N_PEOPLE, 1)) / 2
        preference = SimpleNamespace(
            slopes=np.einsum("pl,plv->pv", weights, side.r),
            slope_weights=weights,
            curvatures=np.full((N_PEOPLE, N_VERTICES), np.nan),
            curvature_weights=np.full((N_PEOPLE, 3), np.nan),
        )
        bins = np.where(MASK, np.arange(N_VERTICES) // 42, -1)
        result = align_over_music(
            side, preference, GRADIENT, MASK, bins, method="spearman", slope_model="linear"
        )
    return side, preference, result


def test_the_statistic_is_a_mean_correlation_weighted_by_spread(found):
    side, preference, result = found
    weights = gradient_weights(GRADIENT, MASK)
    maps = {"slope": preference.slopes, "layer_2": side.r[:, 1]}
    for name, values in maps.items():
        spread = values[:, MASK].std(axis=1)
        r = values @ weights / spread
        assert result.tests[name].statistic == pytest.approx((spread * r).sum() / spread.sum())
        assert abs(result.tests[name].statistic) < 1


@pytest.mark.parametrize("size", [0.01, 3.0])
def test_a_refit_is_a_mean_correlation_whatever_the_spread_of_its_maps(size):
    accuracies = size * np.random.default_rng(4).standard_normal((N_PEOPLE, 3, N_VERTICES))
    ranks = gradient_weights(GRADIENT, MASK)
    inside = ranks != 0
    again = _anew(lambda ref: slope_weights(DEPTH, ref, "linear"), np.zeros((N_PEOPLE, 3)))
    weights = again(accuracies[..., MASK].mean(axis=-1), accuracies[..., inside])
    maps = np.einsum("pl,plv->pv", weights, accuracies)
    spread = maps[:, inside].std(axis=1)
    assert N_PEOPLE * spread.mean() == pytest.approx(1)
    assert abs((maps @ ranks).sum()) < 1


def test_what_has_no_weights_is_not_tested_and_the_rest_is(found):
    _, _, result = found
    assert list(result.tests) == ["slope", "layer_1", "layer_2", "layer_3"]
    assert result.level("slope").n_draws == 400
    assert not result.level("curvature").tested
    assert result.bins_p.shape == (2, 3)
    assert ((result.bins_p > 0) & (result.bins_p <= 1)).all()
    assert set(result.record) == set(result.tests)
    assert all("of that of 25 refits" in one["told"] for one in result.record.values())


def test_a_reason_stands_where_there_is_no_test():
    level = MusicAlignment(reason="no responses").level("slope")
    assert (level.level, level.reason, level.tested) == (MUSIC, "no responses", False)


def test_tests_of_the_same_maps_stay_where_nothing_new_can_be_tested(tmp_path):
    tree = OutputTree(tmp_path)
    rows = [{"participant_id": "sub-01", "sha256_left": "a"}]
    data = SimpleNamespace(model="vggish", rows=rows)
    assert earlier_alignment(tree, data, "up", "why", FILES).tests == {}
    numbers = tree.group_table("statmap.tsv", model="vggish", desc="alignmentup")
    known = {
        "slope": {"tests": [LevelTest(MUSIC, 0.01, 0.3, 3, 0.25, 0.1).record]},
        "curvature": {"tests": [LevelTest(MUSIC, reason="none").record]},
    }
    group = {"tests": known, "MusicRefits": {"slope": {"told": "SD"}}, "gradient": {"Files": FILES}}
    write_json(sidecar_of(numbers), {"Group": group})
    draws = tree.group_table(".tsv", model="vggish", desc="musicnullsup")
    pd.DataFrame({"slope": [0.1, -0.2, np.nan]}).to_csv(draws, sep="\t", na_rep="n/a")
    place = tree.group_table("settings.json", model="vggish", desc="alignmentup")
    told = {"Participants": ["sub-01"], "InputsSHA256": {"sub-01": "a"}}
    write_settings(tree, place, {}, [sidecar_of(numbers), draws], **told)
    kept = earlier_alignment(tree, data, "up", "why", FILES)
    assert list(kept.tests) == ["slope"]
    slope = kept.tests["slope"]
    assert (slope.statistic, slope.p, slope.sd) == (0.3, 0.01, 0.1)
    np.testing.assert_allclose(slope.draws, [0.1, -0.2])
    assert kept.record["slope"]["told"] == "SD (of an earlier result: why)"
    renamed, other = {"x.gii": "c1", "y.gii": "c2"}, {**FILES, "R.gii": "c3"}
    assert list(earlier_alignment(tree, data, "up", "why", renamed).tests) == ["slope"]
    assert earlier_alignment(tree, data, "up", "why", other).tests == {}
    rows[0]["sha256_left"] = "b"
    assert earlier_alignment(tree, data, "up", "why", FILES).tests == {}


def test_draws_of_another_gradient_go_and_those_of_the_same_stay(tmp_path):
    """The study's own gradient changes while settings, participants and maps do not."""
    tree = OutputTree(tmp_path)
    rows = [{"participant_id": "sub-01", "sha256_left": "a"}]
    data = SimpleNamespace(model="vggish", space="fsaverage5", participants=["01"], rows=rows)

    def write(gradient, *descs):
        also = {"GradientSHA256": gradient}
        writer = GroupWriter(tree, data, {}, desc="alignment", label="own", also=also)
        writer.begin()
        for desc in descs:
            writer.table("", {"slope": "draws"}, [{"slope": 0.5}], desc=desc)
        writer.finish()
        return read_json(writer.done)

    draws = tree.group_table(".tsv", model="vggish", desc="musicnullsown")
    write(["a"], "nulls", "musicnulls")
    assert write(["a"], "nulls")["OfEarlierResult"] == [draws.with_suffix(".json").name, draws.name]
    assert draws.is_file()
    told = write(["b"], "nulls")
    assert not draws.exists()
    assert told["GradientSHA256"] == ["b"]
    assert "OfEarlierResult" not in told
