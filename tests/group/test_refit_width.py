"""What is done about a closed form that is narrower than refits, and the largest z of draws."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.errors import BadDataError, UsageError
from bids_app.group import largest_z_p, sd_ratio


def test_ratio_of_standard_deviations():
    rng = np.random.default_rng(15)
    closed = np.array([0.5, 2.0, 7.0])
    draws = rng.standard_normal((400, 3)) * closed / 0.9
    found = sd_ratio(closed, draws)
    assert found.ratio == pytest.approx(0.9, abs=0.06)
    assert (found.action, found.n_draws, found.n_values) == ("scaled", 400, 3)
    assert found.factor == pytest.approx(1 / found.ratio)
    expected = np.mean((draws / closed) ** 2) ** -0.5
    assert found.ratio == pytest.approx(expected)
    np.testing.assert_allclose(sd_ratio(closed * 3, draws * 3).ratio, found.ratio)


def test_a_ratio_that_may_be_too_small_by_its_error_gives_refits():
    rng = np.random.default_rng(2)
    few, many = (rng.standard_normal(n) / 0.9 for n in (40, 4000))
    assert sd_ratio(1.0, many).action == "scaled"
    found = sd_ratio(1.0, few)
    assert found.ratio > 0.8 > found.ratio - 2 * found.se
    assert found.action == "refits"


@pytest.mark.parametrize(
    ("true", "action", "said"),
    [(1.2, "kept", "as they are"), (0.9, "scaled", "widened"), (0.6, "refits", "drawn instead")],
)
def test_what_is_done_about_the_ratio(true, action, said):
    draws = np.tile([1.0, -1.0], 50) / true
    found = sd_ratio(1.0, draws)
    assert found.ratio == pytest.approx(true)
    assert found.action == action
    assert found.factor == pytest.approx(max(1 / true, 1))
    assert said in found.told
    assert f"{true:.2f}" in found.told


@pytest.mark.parametrize(("true", "factor"), [(1.2, 1.0), (1.02, 1.05 / 1.02), (0.9, 1.05 / 0.9)])
def test_ends_widen_what_is_not_wider_already(true, factor):
    found = sd_ratio(1.0, np.tile([1.0, -1.0], 50) / true, ends=1.05)
    assert found.ratio == pytest.approx(true)
    assert found.factor == pytest.approx(factor)
    assert ("1.05 of it for series that end" in found.told) == (factor > 1)


def test_standard_error_of_the_ratio_counts_refits_not_vertices():
    """All vertices of a refit are alike: pooling them adds nothing."""
    rng = np.random.default_rng(16)
    found = [
        sd_ratio(np.ones(80), np.repeat(rng.standard_normal((100, 1)), 80, axis=1))
        for _ in range(200)
    ]
    spread = np.std([one.ratio for one in found])
    assert np.mean([one.se for one in found]) == pytest.approx(spread, rel=0.2)
    alone = sd_ratio(np.ones(80), rng.standard_normal((100, 80)))
    assert alone.se < spread / 4


def test_ratio_leaves_out_what_has_no_value():
    rng = np.random.default_rng(17)
    draws = rng.standard_normal((50, 4))
    closed = np.array([1.0, np.nan, 0.0, 1.0])
    draws[3, 3] = np.nan
    found = sd_ratio(closed, draws)
    assert found.n_values == 1
    assert found.ratio == pytest.approx(np.mean(draws[:, 0] ** 2) ** -0.5)
    with pytest.raises(BadDataError, match="No summary"):
        sd_ratio(closed[1:3], draws[:, 1:3])
    with pytest.raises(BadDataError, match="do not vary"):
        sd_ratio(1.0, np.zeros(30))
    with pytest.raises(UsageError, match="at least 20"):
        sd_ratio(1.0, np.ones(19))
    with pytest.raises(BadDataError, match="refit_draws"):
        sd_ratio(closed, draws[:, :3])


def test_p_of_the_largest_z_of_a_map():
    largest = np.abs(np.random.default_rng(18).standard_normal((200, 21))).max(axis=1)
    z = np.array([[-6.0, 0.1, np.nan], [3.0, -3.0, 1.0]])
    both = largest_z_p(z, largest, tail="two-sided")
    assert np.isnan(both[0, 2])
    assert both[0, 0] < 1 / 201 < both[1, 0] == both[1, 1] < both[0, 1] == 1
    greater = largest_z_p(z, largest, tail="greater")
    np.testing.assert_array_equal(greater, np.where(z < 0, 1.0, both))
    with pytest.raises(UsageError, match="more refits"):
        largest_z_p(z, largest[:10], tail="greater")


def test_largest_z_has_its_level():
    """Share of maps of nothing with some corrected p below .05, exact binomial band of 99.9 %."""
    rng = np.random.default_rng(19)
    mixing = rng.standard_normal((12, 60))
    sd = np.sqrt((mixing**2).sum(axis=0))
    hits = 0
    for _ in range(400):
        maps = rng.standard_normal((101, 12)) @ mixing
        largest = np.abs(maps[1:] / sd).max(axis=1)
        hits += largest_z_p(maps[0] / sd, largest, tail="two-sided").min() < 0.05
    assert 8 <= hits <= 37
