"""The lag of a group: chosen from the others, tested over people and over music."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from bids_app.errors import BadDataError
from bids_app.group import sign_flip_max_t
from bids_app.surface.lag_group import others_lag, others_scan
from bids_app.surface.lag_scan import LagRun

AT = np.arange(0.0, 13.0)
TIMES = np.arange(0.0, 90.0)


def test_the_lag_of_the_others_does_not_inflate():
    """Over noise, values at the own best lag are large, those at the others' lag are none."""
    rng = np.random.default_rng(0)
    at = np.arange(0.0, 13.0)
    curves = np.tanh(0.2 * rng.standard_normal((400, 6, at.size, 1)))
    own = np.mean([np.abs(c).max(axis=1).mean() for c in curves])
    others = np.concatenate([others_lag(c, at)[1].ravel() for c in curves])
    assert own > 0.25
    assert abs(others.mean()) < 4 * 0.2 / np.sqrt(others.size)


def pieces(rng, n=2):
    """Smooth features of some pieces."""
    found = gaussian_filter1d(rng.standard_normal((n, 180)), 4, axis=1)
    return found / found.std(axis=1, keepdims=True)


def ar_noise(rng, *shape):
    """Series of AR(1) with .7, of variance 1."""
    return lfilter([1], [1, -0.7], rng.standard_normal((*shape, 120)))[..., 30:] * np.sqrt(0.51)


def group(rng, features, *, n=6, shift=None, shared=0.0, n_vertices=1, hearings=1):
    """Listeners with noise of which a share is common; `shift`: they follow the features."""
    steps = np.arange(features.shape[1]) / 2
    people = [[] for _ in range(n)]
    for feature in features:
        common = ar_noise(rng, n_vertices)
        for own in people:
            for _ in range(hearings):
                y = np.sqrt(shared) * common + np.sqrt(1 - shared) * ar_noise(rng, n_vertices)
                if shift is not None:
                    y = y + np.interp(TIMES - shift, steps, feature)
                own.append(LagRun(y.T, TIMES, feature, steps))
    return people


@pytest.mark.parametrize("shift", [3.0, 5.4, 8.5])
def test_a_planted_lag_is_found_in_the_group(shift):
    rng = np.random.default_rng(1)
    people = group(rng, pieces(rng), shift=shift, n_vertices=3)
    found = others_scan(people, AT, n_draws=99, rng=rng)
    np.testing.assert_allclose(found.lag, shift, atol=0.6)
    assert (found.p == 0.01).all()
    assert (found.mean > 0.3).all()
    assert not found.at_edge.any()
    assert np.abs(AT[found.chosen] - shift).max() <= 1.0


def test_the_edge_is_said_and_what_nobody_has_is_left_out():
    rng = np.random.default_rng(2)
    people = group(rng, pieces(rng), shift=12.0, n_vertices=2)
    first = people[0][0]
    people[0][0] = LagRun(
        np.where([True, False], first.responses, 1.0), TIMES, first.feature, first.feature_times
    )
    found = others_scan(people, AT, n_draws=5, rng=rng)
    assert found.at_edge.tolist() == [True, False]
    assert np.isnan(found.lag).all()
    assert np.isnan([found.p[1], found.mean[1]]).all()
    assert np.isfinite(found.p[0])


def test_draws_are_of_the_piece_and_not_of_the_listener():
    """Two listeners with the same responses have the same curve in every draw: so has the mean."""
    rng = np.random.default_rng(3)
    one = group(rng, pieces(rng), n=1)[0]
    two = others_scan([one, one], AT, n_draws=5, rng=np.random.default_rng(0))
    three = others_scan([one, one, one], AT, n_draws=5, rng=np.random.default_rng(0))
    np.testing.assert_allclose(two.draws, three.draws, atol=1e-12)
    # The others' choice is then the own one, and the mean the largest of the own curve.
    np.testing.assert_allclose(np.abs(two.mean), np.abs(np.arctanh(two.curves[0])).max(axis=0))


def test_vertices_may_be_scanned_in_parts():
    rng = np.random.default_rng(4)
    people = group(rng, pieces(rng), n_vertices=4)
    whole = others_scan(people, AT, n_draws=7, rng=np.random.default_rng(0))
    part = [
        [LagRun(r.responses[:, 2:], r.times, r.feature, r.feature_times) for r in own]
        for own in people
    ]
    found = others_scan(part, AT, n_draws=7, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.draws, whole.draws[:, 2:], atol=1e-12)
    np.testing.assert_array_equal(found.p, whole.p[2:])


def test_one_listener_is_no_group():
    rng = np.random.default_rng(5)
    with pytest.raises(BadDataError, match="two participants"):
        others_scan(group(rng, pieces(rng), n=1), AT, n_draws=1, rng=rng)


@pytest.mark.parametrize(("shared", "hearings"), [(0.0, 1), (0.4, 1), (0.4, 2)])
def test_both_levels_over_noise(shared, hearings):
    """Noise follows nothing. What listeners share of it passes for an effect over people alone."""
    over_people, over_music = [], []
    for seed in range(120):
        rng = np.random.default_rng([seed, round(10 * shared), hearings])
        people = group(rng, pieces(rng), shared=shared, n_vertices=3, hearings=hearings)
        found = others_scan(people, AT, n_draws=19, rng=rng)
        over_music.append(found.p)
        flips = sign_flip_max_t(found.z[:, :1], tail="two-sided", n_permutations=64, seed=0)
        over_people.append([*flips.p])
    music, people_alone = np.concatenate(over_music), np.concatenate(over_people)
    # 360 vertices, three of a study with the same draws: .05 has a standard error near .015.
    assert np.mean(music <= 0.05) <= 0.1
    assert 0.4 < music.mean() < 0.6
    if shared:
        assert np.mean(people_alone <= 0.05) > 0.12
    else:
        assert np.mean(people_alone <= 0.05) < 0.11
