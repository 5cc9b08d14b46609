"""Residual slope, centroid, preferred layer, stability."""

from functools import partial

import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.preference import (
    argmax_stability,
    centroid,
    layer_depth,
    preferred_layer,
    residual_slope,
)


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def test_residual_slope_equals_two_regressions(rng):
    profiles = rng.normal(size=(23, 50))
    depth = layer_depth(23)
    reference = rng.normal(size=23)
    design = np.c_[np.ones(23), reference]
    residual = profiles - design @ np.linalg.lstsq(design, profiles, rcond=None)[0]
    wanted = [np.polyfit(depth, column, 1)[0] for column in residual.T]
    np.testing.assert_allclose(residual_slope(profiles, depth, reference), wanted, atol=1e-12)


def test_residual_slope_ignores_level_and_multiples_of_the_reference(rng):
    depth, reference = layer_depth(9), rng.normal(size=9)
    profiles = rng.normal(size=(9, 30))
    amplitude = rng.uniform(0, 5, size=30)
    shifted = profiles + rng.normal(size=30) + amplitude * reference[:, np.newaxis]
    np.testing.assert_allclose(
        residual_slope(shifted, depth, reference),
        residual_slope(profiles, depth, reference),
        atol=1e-12,
    )
    pure = amplitude * reference[:, np.newaxis]
    np.testing.assert_allclose(residual_slope(pure, depth, reference), 0, atol=1e-12)


def test_residual_slope_recovers_a_planted_order(rng):
    depth = layer_depth(23)
    reference = np.exp(-((depth - 0.6) ** 2) / 0.1)
    planted = rng.normal(size=400)
    profiles = reference[:, np.newaxis] * rng.uniform(0.5, 2, 400) + np.outer(depth, planted)
    profiles += rng.normal(scale=0.1, size=profiles.shape)
    assert np.corrcoef(residual_slope(profiles, depth, reference), planted)[0, 1] > 0.95


def test_residual_slope_with_constant_reference_is_the_slope(rng):
    profiles = rng.normal(size=(5, 7))
    depth = layer_depth(5)
    np.testing.assert_allclose(
        residual_slope(profiles, depth, np.full(5, 0.1)), np.polyfit(depth, profiles, 1)[0]
    )


def test_vertices_with_a_missing_layer_are_undefined_and_the_rest_untouched(rng):
    profiles = rng.normal(size=(6, 4))
    profiles[2, 1] = np.nan
    for measure in (
        lambda p: residual_slope(p, layer_depth(6), np.arange(6.0) ** 2),
        centroid,
        preferred_layer,
    ):
        values = measure(np.abs(profiles))
        assert np.isnan(values[1])
        np.testing.assert_array_equal(
            np.delete(values, 1), measure(np.delete(np.abs(profiles), 1, axis=1))
        )


@pytest.mark.parametrize(
    ("depth", "reference"),
    [
        (np.zeros(4), [1.0, 2, 0, 1]),
        ([0, 0.3, 0.6, 1], [1.0, 2, 0]),
        ([0, 1, 2, 3], [0.0, 2, 4, 6]),
        ([0, 1, 2, 3], [0.0, np.nan, 4, 6]),
    ],
)
def test_residual_slope_refuses_what_leaves_nothing(depth, reference):
    with pytest.raises(BadDataError):
        residual_slope(np.ones((4, 2)), depth, reference)


def test_centroid_of_known_profiles():
    profiles = np.array([[1.0, 0, -1, 0], [0, 0, 0.2, 0], [1, 3, 0.6, -1], [0, 0, -9, 0]])
    np.testing.assert_allclose(centroid(profiles), [2, 3, 2.75, np.nan])


def test_preferred_layer_counts_from_one_and_takes_the_first_of_ties():
    profiles = np.array([[0.3, 0.1, 0.2, 0.1], [0.1, 0.3, 0.2, 0.3], [0.0, 0.3, 0.2, 0.2]])
    np.testing.assert_array_equal(preferred_layer(profiles), [1, 2, np.nan, 2])


def test_stability_of_identical_and_of_disagreeing_resamples(rng):
    profiles = np.repeat(rng.normal(size=(1, 5, 8)), 3, axis=0)
    np.testing.assert_array_equal(argmax_stability(profiles, preferred_layer(profiles[0])), 1)
    one = np.zeros((2, 4, 2))
    one[0, 1], one[1, 3] = 2, 1
    one[0, 0, 1] = np.nan
    np.testing.assert_array_equal(argmax_stability(one, [2, 4]), [0.5, np.nan])


@pytest.mark.parametrize(
    "function", [centroid, preferred_layer, partial(argmax_stability, preferred=np.ones(5))]
)
def test_profiles_of_another_shape_are_named(function):
    with pytest.raises(BadDataError, match="profiles"):
        function(np.ones(5))
