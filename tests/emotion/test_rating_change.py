"""Ratings on other clocks."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.emotion import absolute_change, common_times, is_constant, sample_course
from bids_app.errors import BadDataError


def test_change_of_a_parabola_is_exact_inside_also_at_unequal_steps():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.1, 0.5, 60))
    found = absolute_change(times, times - 3 * times**2)
    np.testing.assert_allclose(found[1:-1], np.abs(1 - 6 * times[1:-1]), atol=1e-9)


def test_absolute_change_has_no_sign_and_scales_with_the_rating():
    times = np.arange(50) / 5
    values = np.sin(times)
    found = absolute_change(times, values)
    assert (found >= 0).all()
    np.testing.assert_allclose(absolute_change(times, -7 * values + 3), 7 * found, atol=1e-9)


def test_constant_rating_is_named():
    with pytest.raises(BadDataError, match="constant"):
        absolute_change(np.arange(5.0), np.full(5, 0.1 + 0.2))
    assert is_constant(np.full(5, 0.3))
    assert not is_constant(np.array([0.3, 0.31]))


def test_averages_equal_a_fine_grid():
    rng = np.random.default_rng(1)
    times = np.arange(0, 30.1, 0.2)
    values = np.cumsum(rng.standard_normal(times.size))
    targets = np.arange(1.0, 29.0, 1.3)
    found = sample_course(times, values, targets, width=1.3)
    fine = np.linspace(-0.65, 0.65, 130_001)
    steps = [np.interp(t + fine, times, values) for t in targets]
    expected = [np.trapezoid(s, fine) / 1.3 for s in steps]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_outside_the_samples_is_missing_and_edges_are_not():
    times = np.arange(1.0, 5.0)
    found = sample_course(times, times, [0.5, 1.0, 2.5, 4.0, 4.5])
    np.testing.assert_array_equal(found, [np.nan, 1.0, 2.5, 4.0, np.nan])
    averaged = sample_course(times, times, [0.5, 1.0, 4.0], width=1.0)
    np.testing.assert_allclose(averaged, [np.nan, 1.25, 3.75])


def test_no_overlap_says_both_ranges():
    with pytest.raises(BadDataError, match=r"rating from 0 to 9 s, wanted 20 to 29 s"):
        sample_course(np.arange(10.0), np.arange(10.0), np.arange(20.0, 30.0))


@pytest.mark.parametrize(
    ("times", "values", "words"),
    [
        ([0.0, 1.0], [0.0], "one value per time"),
        ([0.0], [0.0], "two of them"),
        ([0.0, 0.0], [0.0, 1.0], "must increase"),
        ([0.0, 1.0], [0.0, np.nan], "1 of 2"),
    ],
)
def test_bad_courses(times, values, words):
    with pytest.raises(BadDataError, match=words):
        absolute_change(times, values)


def test_common_clock_covers_what_all_courses_cover():
    found = common_times([np.arange(1.0, 20.0), np.arange(0.0, 15.0, 0.2)], 30.0, 5.0)
    np.testing.assert_allclose([found[0], found[-1]], [1.0, 14.8])
    np.testing.assert_allclose(np.diff(found), 0.2)
    with pytest.raises(BadDataError, match="do not overlap"):
        common_times([np.arange(0.0, 5.0), np.arange(6.0, 9.0)], 30.0, 5.0)
