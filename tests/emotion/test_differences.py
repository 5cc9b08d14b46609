"""Regression of maps on ratings over participants."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import sparse

from bids_app.emotion import difference_glm
from bids_app.errors import BadDataError, UsageError


def ring(n):
    rows = np.arange(n)
    edges = sparse.coo_matrix((np.ones(n), (rows, (rows + 1) % n)), shape=(n, n))
    return (edges + edges.T).tocsr()


def draw(seed, n_participants=20, n_vertices=200, effect=0.0):
    rng = np.random.default_rng(seed)
    rating = rng.normal(0.8, 0.3, n_participants)
    maps = rng.standard_normal((n_participants, n_vertices))
    maps[:, :20] -= effect * (rating - rating.mean())[:, None] / rating.std()
    return maps, rating


def test_equals_statsmodels():
    maps, rating = draw(0, effect=0.5)
    found = difference_glm(maps, rating, n_permutations=5, seed=0)
    fits = [sm.OLS(y, sm.add_constant(rating)).fit() for y in maps.T]
    np.testing.assert_allclose(found.intercept, [f.params[0] for f in fits], rtol=1e-6)
    np.testing.assert_allclose(found.slope, [f.params[1] for f in fits], rtol=1e-6)
    np.testing.assert_allclose(found.t, [f.tvalues[1] for f in fits], rtol=1e-6)
    assert found.degrees_of_freedom == fits[0].df_resid


def freedman_lane(maps, rating, order):
    """Slope t after permuting the residuals of the reduced model, one vertex after the other."""
    z = np.ones((len(rating), 1))
    out = []
    for y in maps.T:
        reduced = sm.OLS(y, z).fit()
        shuffled = reduced.fittedvalues + reduced.resid[order]
        out.append(sm.OLS(shuffled, np.column_stack([rating, z])).fit().tvalues[0])
    return np.abs(out).max()


def test_null_is_that_of_freedman_and_lane():
    maps, rating = draw(1, n_participants=6, n_vertices=15)
    found = difference_glm(maps, rating, n_permutations=720, seed=0)
    assert found.exact
    assert found.n_permutations == 720
    from itertools import permutations

    orders = list(permutations(range(6)))
    for index in (0, 1, 100, 500, 719):
        order = np.argsort(orders[index])
        expected = freedman_lane(maps, rating, order)
        np.testing.assert_allclose(found.null_max[index], expected, rtol=1e-6)
    assert found.p.min() >= 1 / 720


def test_sign_flips_refit_the_model():
    maps, rating = draw(2, n_participants=6, n_vertices=9)
    found = difference_glm(maps, rating, scheme="sign-flip", n_permutations=64, seed=0)
    assert found.exact
    from itertools import product

    centered = maps - maps.mean(axis=0)
    for index, signs in list(enumerate(product((1, -1), repeat=6)))[::13]:
        flipped = centered * np.array(signs)[:, None]
        expected = [sm.OLS(y, sm.add_constant(rating)).fit().tvalues[1] for y in flipped.T]
        np.testing.assert_allclose(found.null_max[index], np.abs(expected).max(), rtol=1e-6)


@pytest.mark.parametrize("scheme", ["permutation", "sign-flip"])
def test_planted_slope_is_found_where_it_is(scheme):
    maps, rating = draw(4, n_participants=30, effect=1.5)
    found = difference_glm(
        maps, rating, scheme=scheme, n_permutations=500, adjacency=ring(200), seed=1
    )
    assert (found.t[:20] < 0).all()
    assert (found.p[:20] < 0.05).mean() > 0.7
    assert (found.p[20:] < 0.05).mean() < 0.02
    assert found.p_tfce is not None
    assert (found.p_tfce[:20] < 0.05).all()


@pytest.mark.parametrize("scheme", ["permutation", "sign-flip"])
def test_family_wise_error_is_nominal_without_effect(scheme):
    hits = 0
    for seed in range(200):
        maps, rating = draw(100 + seed, n_participants=16, n_vertices=60)
        found = difference_glm(maps, rating, scheme=scheme, n_permutations=199, seed=seed)
        hits += found.p.min() <= 0.05
    assert 2 <= hits <= 20


def test_order_of_participants_scale_and_seed():
    maps, rating = draw(5)
    first = difference_glm(maps, rating, n_permutations=50, seed=3)
    again = difference_glm(7 * maps, -2 * rating + 1, n_permutations=50, seed=3)
    np.testing.assert_allclose(first.t, -again.t, rtol=1e-9)
    np.testing.assert_array_equal(first.p, again.p)


def test_degenerate_vertices():
    maps, rating = draw(6)
    maps[3, 0], maps[:, 1] = np.nan, 4.0
    found = difference_glm(maps, rating, n_permutations=20, adjacency=ring(200), seed=0)
    assert np.isnan(found.t[:2]).all()
    assert np.isnan(found.p[:2]).all()
    assert np.isfinite(found.t[2:]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rating_difference": np.ones(20)}, "constant"),
        ({"rating_difference": np.full(20, np.nan)}, "20 of 20"),
        ({"rating_difference": np.ones(19)}, "rating_difference"),
        ({"maps": np.ones((20, 5))}, "No vertex"),
        ({"adjacency": ring(9)}, "adjacency"),
        ({"maps": np.eye(2), "rating_difference": [1.0, 2.0]}, "too few"),
    ],
)
def test_bad_input(change, words):
    maps, rating = draw(0)
    with pytest.raises(BadDataError, match=words):
        difference_glm(**({"maps": maps, "rating_difference": rating, "seed": 0} | change))


def test_unknown_scheme():
    with pytest.raises(UsageError, match="scheme"):
        difference_glm(*draw(0), scheme="rotation", seed=0)
