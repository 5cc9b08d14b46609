"""Residual slope, centroid, preferred layer, stability."""

from functools import partial

import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.preference import (
    MAX_EXPLAINED,
    apply_weights,
    argmax_stability,
    centroid,
    curvature_weights,
    depth_explained,
    layer_depth,
    n_distinct,
    preferred_layer,
    residual_slope,
    slope_weights,
)


@pytest.fixture
def rng():
    return np.random.default_rng(20)


DEPTHS = {
    "even": layer_depth(23),
    "few": layer_depth(5),
    "uneven": np.array([0, 0.01, 0.1, 0.5, 0.55, 0.9, 1.0]),
    "ties": np.array([0, 0, 0.2, 0.2, 0.2, 0.6, 0.8, 1, 1.0]),
    "in layers": np.arange(1.0, 24.0),
}


def square(depth):
    """The square of depth, orthogonal to depth and a constant, by a fit of a line."""
    return depth**2 - np.polyval(np.polyfit(depth, depth**2, 1), depth)


def merged(depth, *arrays):
    """Means over the layers of each depth."""
    distinct = sorted(set(depth.tolist()))
    return [np.stack([a[depth == d].mean(axis=0) for d in distinct]) for a in (depth, *arrays)]


def residual(profiles, *regressors):
    design = np.column_stack([np.ones(len(profiles)), *regressors])
    return profiles - design @ np.linalg.lstsq(design, profiles, rcond=None)[0]


@pytest.mark.parametrize("depth", DEPTHS.values(), ids=DEPTHS)
@pytest.mark.parametrize("model", ["quadratic", "linear"])
def test_residual_slope_equals_two_regressions(rng, depth, model):
    profiles = rng.normal(size=(len(depth), 50))
    reference = rng.normal(size=len(depth))
    distinct, means, other = merged(depth, profiles, reference)
    bend = [square(distinct)] if model == "quadratic" else []
    left = residual(means, other, *bend)
    wanted = [np.polyfit(distinct, column, 1)[0] for column in left.T]
    found = residual_slope(profiles, depth, reference, model)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    weights = slope_weights(depth, reference, model)
    np.testing.assert_allclose(weights @ profiles, wanted, atol=1e-12)
    np.testing.assert_array_equal(apply_weights(weights, profiles), found)
    others = np.column_stack([np.ones(len(distinct)), other, *bend])
    predicted = others @ np.linalg.lstsq(others, distinct, rcond=None)[0]
    share = 1 - np.var(distinct - predicted) / np.var(distinct)
    assert depth_explained(depth, reference, model) == pytest.approx(share, abs=1e-10)


@pytest.mark.parametrize("depth", DEPTHS.values(), ids=DEPTHS)
def test_curvature_is_a_coefficient_of_one_regression(rng, depth):
    profiles = rng.normal(size=(len(depth), 50))
    reference = rng.normal(size=len(depth))
    distinct, means, other = merged(depth, profiles, reference)
    bend = square(distinct)
    design = np.column_stack([np.ones(len(distinct)), other, distinct, bend])
    wanted = np.linalg.lstsq(design, means, rcond=None)[0][3]
    weights = curvature_weights(depth, reference)
    np.testing.assert_allclose(weights @ profiles, wanted, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(weights @ bend[np.searchsorted(distinct, depth)], 1)
    for nothing in (depth, reference, np.ones(len(depth))):
        assert weights @ nothing == pytest.approx(0, abs=1e-10)


def test_curvature_is_no_slope_and_slope_is_no_curvature(rng):
    depth = layer_depth(23)
    reference = 0.4 + np.exp(-((depth - 14 / 22) ** 2) / 0.08)
    amplitude = rng.normal(size=40)
    bent = np.outer(square(depth), amplitude) + np.outer(reference, rng.uniform(1, 2, 40))
    np.testing.assert_allclose(residual_slope(bent, depth, reference), 0, atol=1e-12)
    old = residual_slope(bent, depth, reference, "linear")
    assert np.abs(np.corrcoef(old, amplitude)[0, 1]) > 0.999
    np.testing.assert_allclose(curvature_weights(depth, reference) @ bent, amplitude)
    straight = np.outer(depth, amplitude)
    np.testing.assert_allclose(curvature_weights(depth, reference) @ straight, 0, atol=1e-10)
    slope = residual_slope(straight, depth, reference)
    assert np.corrcoef(slope, amplitude)[0, 1] > 0.999


def test_weights_do_not_follow_the_scale_of_the_reference(rng):
    depth, reference = layer_depth(9), rng.normal(size=9)
    for other in (1e-6 * reference, 100 + reference, -3 * reference):
        for weights in (slope_weights, curvature_weights):
            np.testing.assert_allclose(
                weights(depth, other), weights(depth, reference), rtol=1e-6, atol=1e-9
            )


@pytest.mark.parametrize(
    ("reference", "quadratic", "linear"),
    [
        (lambda d: d + 0.05 * np.sin(9 * d), True, True),
        (lambda d: 5 * square(d) + 0.3 * d + 0.003 * np.cos(9 * d), True, False),
        (lambda d: np.exp(-((d - 0.6) ** 2) / 0.1), False, False),
        (lambda d: 5 * square(d), False, False),
        (np.ones_like, False, False),
    ],
    ids=["line", "line and bend", "peak", "bend", "constant"],
)
def test_a_reference_that_leaves_little_of_depth_is_noticed(reference, quadratic, linear):
    depth = layer_depth(23)
    profile = reference(depth)
    assert (depth_explained(depth, profile) > MAX_EXPLAINED) == quadratic
    assert (depth_explained(depth, profile, "linear") > MAX_EXPLAINED) == linear


def test_depths_that_differ_by_rounding_are_one():
    assert n_distinct([0.1 + 0.2, 0.3, 0.6, 1]) == 3
    assert n_distinct(1000 + 1e-3 * layer_depth(7)) == 7
    assert n_distinct([0.5, 0.5]) == n_distinct([0.5]) == 1
    assert n_distinct([]) == 0


def test_fewer_than_five_depths_have_a_linear_slope_only(rng):
    depth = np.array([0, 0, 0.3, 0.6, 0.6, 1.0])
    profiles, reference = rng.normal(size=(6, 4)), rng.normal(size=6)
    for refused in (slope_weights, curvature_weights, depth_explained):
        with pytest.raises(BadDataError, match="depths") as caught:
            refused(depth, reference)
        assert "4 different" in str(caught.value)
    assert np.isfinite(residual_slope(profiles, depth, reference, "linear")).all()


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
    for model in ("quadratic", "linear"):
        np.testing.assert_allclose(
            residual_slope(profiles, depth, np.full(5, 0.1), model),
            np.polyfit(depth, profiles, 1)[0],
        )


def test_vertices_with_a_missing_layer_are_undefined_and_the_rest_untouched(rng):
    profiles = rng.normal(size=(6, 4))
    profiles[2, 1] = np.nan
    for measure in (
        lambda p: residual_slope(p, layer_depth(6), np.arange(6.0) ** 3),
        partial(centroid, depth=layer_depth(6)),
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
        (np.zeros(6), [1.0, 2, 0, 1, 3, 1]),
        (np.arange(6), [1.0, 2, 0]),
        (np.arange(5), [1.0, 2, 0, 1, 3]),
        (np.arange(6), [0.0, 2, 4, 6, 8, 10]),
        (np.arange(6), [0.0, np.nan, 4, 6, 8, 9]),
    ],
)
@pytest.mark.parametrize("model", ["quadratic", "linear"])
def test_residual_slope_refuses_what_leaves_nothing(depth, reference, model):
    with pytest.raises(BadDataError):
        residual_slope(np.ones((6, 2)), depth, reference, model)


def test_a_parabola_leaves_no_slope_beside_curvature_and_no_curvature():
    depth = layer_depth(8)
    for refused in (slope_weights, curvature_weights):
        with pytest.raises(BadDataError, match="its square"):
            refused(depth, 1 + depth + depth**2)
    assert np.isfinite(slope_weights(depth, 1 + depth + depth**2, "linear")).all()


def test_centroid_of_known_profiles():
    profiles = np.array([[1.0, 0, -1, 0], [0, 0, 0.2, 0], [1, 3, 0.6, -1], [0, 0, -9, 0]])
    np.testing.assert_allclose(centroid(profiles, layer_depth(4)), [2, 3, 2.75, np.nan])


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
    "function",
    [
        partial(centroid, depth=np.ones(5)),
        preferred_layer,
        partial(argmax_stability, preferred=np.ones(5)),
    ],
)
def test_profiles_of_another_shape_are_named(function):
    with pytest.raises(BadDataError, match="profiles"):
        function(np.ones(5))


def test_layers_of_equal_depth_count_once(rng):
    depth = np.array([0.0, 0.2, 0.2, 0.2, 0.3, 0.5, 0.7, 1.0])
    profiles, reference = rng.normal(size=(8, 40)), rng.normal(size=8)
    merged = np.stack([profiles[0], profiles[1:4].mean(axis=0), *profiles[4:]])
    shorter = np.r_[reference[0], reference[1:4].mean(), reference[4:]]
    distinct = np.array([0.0, 0.2, 0.3, 0.5, 0.7, 1.0])
    for model in ("quadratic", "linear"):
        np.testing.assert_allclose(
            residual_slope(profiles, depth, reference, model),
            residual_slope(merged, distinct, shorter, model),
        )
        assert depth_explained(depth, reference, model) == pytest.approx(
            depth_explained(distinct, shorter, model)
        )
    np.testing.assert_allclose(
        curvature_weights(depth, reference) @ profiles,
        curvature_weights(distinct, shorter) @ merged,
    )
    positive = np.abs(profiles)
    mass = np.stack([positive[0], positive[1:4].mean(axis=0), *positive[4:]])
    np.testing.assert_allclose(
        centroid(positive, depth), 1 + 7 * (distinct @ mass / mass.sum(axis=0))
    )


def test_a_network_of_twins_is_the_network(rng):
    profiles, reference, depth = rng.normal(size=(7, 40)), rng.normal(size=7), layer_depth(7)
    twice, deep = np.repeat(profiles, 3, axis=0), np.repeat(depth, 3) + 1e-12 * rng.normal(size=21)
    np.testing.assert_allclose(
        residual_slope(twice, deep, np.repeat(reference, 3)),
        residual_slope(profiles, depth, reference),
    )
    assert n_distinct(deep) == 7
