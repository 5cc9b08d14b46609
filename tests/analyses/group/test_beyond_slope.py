"""Slope of the profile of unique accuracy, and its alignment, over people and over music."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from joint_listeners import Side, listeners
from scipy import stats

from bids_app.analyses.group import refits
from bids_app.analyses.group.beyond_music import JointMusicSide
from bids_app.analyses.group.beyond_slope import SlopesOverMusic, _wide, slopes_of
from bids_app.group import gradient_correlations, gradient_weights

LAYERS = ["one", "two", "three", "four", "five", "six"]
DEPTH = np.linspace(0, 1, len(LAYERS)).tolist()
N_VERTICES = 36


def study(folder, *, signal=0.0, seed=0, n_unchosen=0):
    """The first half of the vertices follows the first layer, the second one the last.

    At the first `n_unchosen` vertices nobody's model has a layer.
    """
    rng = np.random.default_rng([seed, 1])
    layers = Side(*LAYERS, shared=0.6)
    half = np.arange(N_VERTICES) < N_VERTICES // 2
    loads = {name: np.zeros((4, N_VERTICES)) for name in LAYERS}
    loads["one"] = signal * rng.standard_normal((4, N_VERTICES)) * half
    loads["six"] = signal * rng.standard_normal((4, N_VERTICES)) * ~half
    models, heard, data, choices = listeners(folder, layers, loads, seed=seed)
    for one in (data.r, choices):
        one[:, 1:, ..., :n_unchosen] = one[:, :1, ..., :n_unchosen]
    mask = np.ones(N_VERTICES, dtype=bool)
    r = data.r.astype(np.float64)
    unique = r[:, 1:] - r[:, :1]
    found = slopes_of(unique, mask, DEPTH, "quadratic")
    side = JointMusicSide(heard, data, [models], choices, 5, 1)
    return SimpleNamespace(
        found=found,
        unique=unique,
        data=data,
        side=side,
        over_music=SlopesOverMusic(side, found, mask, DEPTH, "quadratic"),
        mask=mask,
        gradient=np.where(half, -1.0, 1.0) + 0.01 * rng.standard_normal(N_VERTICES),
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refits, "N_REFITS", 20)
        yield study(tmp_path_factory.mktemp("planted"), signal=0.6)


def test_what_low_level_sound_predicts_has_no_part_in_the_slope(planted):
    full = planted.data.r[:, 1:].astype(np.float64)
    alone = slopes_of(full, planted.mask, DEPTH, "quadratic")
    np.testing.assert_allclose(alone.slopes, planted.found.slopes, atol=1e-9)
    np.testing.assert_allclose(planted.found.weights.sum(axis=1), 0, atol=1e-12)
    wide = _wide(planted.found.weights)
    assert wide.shape == (6, len(LAYERS) + 1)
    summed = np.einsum("pl,plv->pv", wide, planted.data.r.astype(np.float64))
    np.testing.assert_allclose(summed, planted.found.slopes, atol=1e-9)


def test_a_planted_order_of_layers_is_found_over_people_and_music(planted):
    slopes = planted.found.slopes.mean(axis=0)
    half = N_VERTICES // 2
    assert np.median(slopes[half:]) > 0 > np.median(slopes[:half])
    z = np.arctanh(
        gradient_correlations(
            planted.found.slopes, planted.gradient, planted.mask, method="spearman"
        )
    )
    assert stats.ttest_1samp(z, 0).pvalue < 0.001
    vertices = gradient_weights(planted.gradient, planted.mask, method="spearman")
    test = planted.over_music.alignment(vertices)
    assert test.statistic > 0.3
    assert test.p < 0.01
    assert test.scaled.ratio is not None
    p = planted.over_music.vertices()
    assert (p < 0.05).mean() > 0.25
    assert planted.over_music.scaled.record["told"]


def test_vertices_where_nobody_chose_a_layer_widen_nothing(monkeypatch, tmp_path):
    """Their standard deviation in closed form is zero."""
    monkeypatch.setattr(refits, "N_REFITS", 20)
    some = study(tmp_path, signal=0.6, n_unchosen=4)
    p = some.over_music.vertices()
    assert 0.2 < some.over_music.scaled.divisor < 5
    assert (p[4:] < 0.05).mean() > 0.25
    assert (np.isnan(p[:4]) | (p[:4] > 0.5)).all()


def test_the_null_is_as_wide_as_that_of_models_that_choose_again(monkeypatch, tmp_path):
    """The few layers of the comparison, all of them: closed form over refits."""
    monkeypatch.setattr(refits, "N_REFITS", 24)
    nothing = study(tmp_path, seed=2)
    vertices = gradient_weights(nothing.gradient, nothing.mask, method="spearman")
    scaled = nothing.over_music.alignment(vertices).scaled
    assert 0.6 < scaled.ratio.ratio < 1.6
