"""Signs and values of lagged correlations."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.emotion import SIGN_CONVENTION, change_correlation, lagged_correlation
from bids_app.errors import BadDataError, UsageError


def leading(shift, n=400, seed=0):
    """A target, and a seed that does the same `shift` samples later."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(n + 40)
    target = common[20 : 20 + n]
    later = common[20 - shift : 20 - shift + n]
    return later + 0.5 * rng.standard_normal(n), target


@pytest.mark.parametrize("shift", [5, -5, 0])
def test_positive_lag_means_that_the_target_leads(shift):
    seed, target = leading(shift)
    found = lagged_correlation(seed, target, tr=1.0)
    assert found.lags[found.r.argmax()] == shift
    assert found.convention == SIGN_CONVENTION == "positive lag means: target leads seed"
    if shift:
        earlier, later = found.mean(-20, -1), found.mean(1, 20)
        assert (later > earlier) == (shift > 0)


def test_lags_are_seconds():
    seed, target = leading(4)
    found = lagged_correlation(seed, target, tr=1.25)
    assert found.lags[found.r.argmax()] == 5.0


def test_equals_numpy_on_the_overlap():
    rng = np.random.default_rng(1)
    i, j = rng.standard_normal((2, 60)).cumsum(axis=1)
    found = lagged_correlation(i, j, tr=2.0, max_lag=20.0)
    assert found.lags.tolist() == list(range(-20, 21, 2))
    for h, r, n in zip(range(-10, 11), found.r, found.n_pairs, strict=True):
        a = i[h:] if h >= 0 else i[:h]
        b = j[: 60 - h] if h >= 0 else j[-h:]
        np.testing.assert_allclose(r, np.corrcoef(a, b)[0, 1], rtol=1e-9)
        assert n == 60 - abs(h)


def test_exchanging_the_regions_turns_the_lags_around():
    seed, target = leading(3, seed=2)
    there = lagged_correlation(seed, target, tr=1.0, segments=[(0, 100), (150, 400)])
    back = lagged_correlation(target, seed, tr=1.0, segments=[(0, 100), (150, 400)])
    np.testing.assert_allclose(there.r, back.r[::-1], rtol=1e-9)


def test_pairs_do_not_cross_the_border_of_a_trial():
    seed, target = leading(2, seed=3)
    segments = [(0, 30), (100, 130), (200, 230)]
    found = lagged_correlation(seed, target, tr=1.0, segments=segments)
    assert found.lags[np.nanargmax(found.r)] == 2
    assert found.n_pairs[found.lags == 20] == 3 * 10
    seed[30:100], target[130:200] = 1e6, -1e6
    again = lagged_correlation(seed, target, tr=1.0, segments=segments)
    np.testing.assert_array_equal(found.r, again.r)


def test_too_short_and_constant_series_are_undefined():
    rng = np.random.default_rng(4)
    i, j = rng.standard_normal((2, 40))
    found = lagged_correlation(i, j, tr=1.0, segments=[(0, 12)])
    assert np.isnan(found.r[np.abs(found.lags) >= 10]).all()
    assert np.isfinite(found.r[np.abs(found.lags) < 10]).all()
    constant = lagged_correlation(np.full(40, 0.1), j, tr=1.0)
    assert np.isnan(constant.r).all()


def test_independent_series_have_no_preferred_sign():
    rng = np.random.default_rng(5)
    difference = []
    for _ in range(200):
        found = lagged_correlation(*rng.standard_normal((2, 150)), tr=1.0)
        difference.append(found.mean(1, 20) - found.mean(-20, -1))
    t = np.mean(difference) / (np.std(difference) / np.sqrt(200))
    assert abs(t) < 3


def test_ratings_that_follow_a_feature_have_a_positive_lag():
    rng = np.random.default_rng(6)
    features = rng.standard_normal((300, 3))
    rating = np.roll(features[:, 1], 15)
    found = change_correlation(features, rating, rate=5.0)
    assert found.lags.tolist() == pytest.approx([k / 5 for k in range(26)])
    assert found.lags[found.r[:, 1].argmax()] == pytest.approx(3.0)
    assert np.abs(found.r[:, [0, 2]]).max() < 0.3
    single = change_correlation(features[:, 1], rating, rate=5.0)
    np.testing.assert_allclose(single.r, found.r[:, 1])
    assert "rating follows" in single.convention


def test_bad_input():
    good = np.arange(9.0)
    with pytest.raises(BadDataError, match="target"):
        lagged_correlation(good, good[1:], tr=1.0)
    with pytest.raises(BadDataError, match="outside the series"):
        lagged_correlation(good, good, tr=1.0, segments=[(0, 10)])
    with pytest.raises(UsageError, match="positive"):
        lagged_correlation(good, good, tr=0.0)
    with pytest.raises(UsageError, match="No lag"):
        lagged_correlation(good, good, tr=1.0, max_lag=2.0).mean(5, 9)
    with pytest.raises(BadDataError, match="rating"):
        change_correlation(good, good[1:], rate=1.0)
    with pytest.raises(BadDataError, match="not finite"):
        change_correlation(good, np.full(9, np.nan), rate=1.0)
