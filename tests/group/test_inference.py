"""Sign flips, TFCE, false discovery rate."""

import itertools

import numpy as np
import pytest
from icosahedron import icosahedral_mesh
from scipy import sparse, stats
from threadpoolctl import threadpool_limits

from bids_app.errors import BadDataError, UsageError
from bids_app.group import sign_flip_max_t, tfce_sign_flip
from bids_app.group.one_sample import sign_flips

MESH = icosahedral_mesh(2)


@pytest.fixture
def rng():
    return np.random.default_rng(31)


def direct_t(data, signs):
    flipped = signs.reshape(len(signs), *[1] * (data.ndim - 1)) * data
    return stats.ttest_1samp(flipped, 0, nan_policy="omit").statistic


@pytest.mark.parametrize("tail", ["greater", "two-sided"])
def test_all_flips_of_a_small_group_equal_enumeration(rng, tail):
    data = rng.normal(0.5, size=(7, 3, 20))
    result = sign_flip_max_t(data, n_permutations=1000, tail=tail, seed=0)
    side = np.abs if tail == "two-sided" else np.asarray
    null = np.array(
        [side(direct_t(data, np.array(s))) for s in itertools.product([1, -1], repeat=7)]
    )
    observed = side(stats.ttest_1samp(data, 0).statistic)
    assert result.exact
    assert result.n_permutations == 128
    largest = null.max(axis=(1, 2))
    np.testing.assert_allclose(np.sort(result.null_max), np.sort(largest), rtol=1e-9)
    np.testing.assert_allclose(
        result.p, (largest[:, None, None] >= observed - 1e-9).mean(axis=0), atol=1e-12
    )
    np.testing.assert_allclose(
        result.p_uncorrected, (null >= observed - 1e-9).mean(axis=0), atol=1e-12
    )
    assert result.p.min() >= (2 if tail == "two-sided" else 1) / 128


def test_random_flips_equal_scipy_with_the_same_signs_and_missing_values(rng):
    data = rng.normal(0.2, size=(16, 60))
    data[rng.random(data.shape) < 0.1] = np.nan
    signs, exact = sign_flips(16, 60, seed=3)
    assert not exact
    result = sign_flip_max_t(data, n_permutations=60, seed=3)
    null = np.array([direct_t(data, s) for s in signs])
    observed = stats.ttest_1samp(data, 0, nan_policy="omit").statistic
    np.testing.assert_allclose(result.t, observed, rtol=1e-10)
    np.testing.assert_allclose(result.null_max, null.max(axis=1), rtol=1e-4)
    wanted = (1 + (null.max(axis=1)[:, None] >= observed).sum(axis=0)) / 61
    np.testing.assert_allclose(result.p, wanted, atol=1.01 / 61)
    assert (result.p == wanted).mean() > 0.95
    np.testing.assert_array_equal(result.n, np.isfinite(data).sum(axis=0))


def test_equals_nilearn_with_the_same_signs(rng):
    from nilearn.mass_univariate import permuted_ols

    data = rng.normal(0.3, size=(15, 80))
    out = permuted_ols(
        np.ones((15, 1)),
        data,
        model_intercept=False,
        n_perm=300,
        two_sided_test=False,
        random_state=0,
        n_jobs=1,
        verbose=0,
        output_type="dict",
    )
    result = sign_flip_max_t(data, n_permutations=300, seed=0)
    np.testing.assert_allclose(result.t, out["t"][0], rtol=1e-8)
    # Other signs: the distributions of the maximum agree, not the draws.
    assert stats.ks_2samp(result.null_max, out["h0_max_t"][0]).pvalue > 0.01


def test_vertices_without_data_are_undefined_and_change_nothing(rng):
    data = rng.normal(size=(14, 50))
    padded = np.hstack([data, np.full((14, 1), np.nan), np.zeros((14, 1)), np.ones((14, 1))])
    padded[1:, -1] = np.nan
    plain = sign_flip_max_t(data, n_permutations=99, seed=0)
    result = sign_flip_max_t(padded, n_permutations=99, seed=0)
    assert np.isnan(result.p[50:]).all()
    assert np.isnan(result.t[50:]).all()
    np.testing.assert_array_equal(result.p[:50], plain.p)
    np.testing.assert_array_equal(result.n[50:], [0, 14, 1])


def test_results_do_not_depend_on_threads_order_or_scale(rng):
    data = rng.normal(0.2, size=(20, 2, 5000))
    with threadpool_limits(limits=2):
        one = sign_flip_max_t(data, n_permutations=150, seed=0)
    two = sign_flip_max_t(data, n_permutations=150, n_threads=3, seed=0)
    np.testing.assert_array_equal(one.p, two.p)
    np.testing.assert_array_equal(one.null_max, two.null_max)
    order = rng.permutation(5000)
    shuffled = sign_flip_max_t(7 * data[:, :, order], n_permutations=150, seed=0)
    np.testing.assert_array_equal(shuffled.p, one.p[:, order])


def test_a_constant_positive_vertex_gets_the_smallest_p(rng):
    data = np.hstack([rng.normal(size=(14, 30)), np.ones((14, 1))])
    result = sign_flip_max_t(data, n_permutations=199, seed=0)
    assert result.p[-1] == 1 / 200
    assert result.p_uncorrected[-1] == 1 / 200
    assert np.isnan(result.t[-1])


def test_family_wise_error_holds_jointly_over_layers(rng):
    rejected = [
        sign_flip_max_t(rng.normal(size=(12, 3, 40)), n_permutations=99, seed=s).p.min() <= 0.05
        for s in range(300)
    ]
    assert 0.015 < np.mean(rejected) < 0.09


def test_signal_is_found(rng):
    data = rng.normal(size=(20, 300))
    data[:, :10] += 1.5
    result = sign_flip_max_t(data, n_permutations=499, seed=0)
    assert (result.p[:10] < 0.05).mean() > 0.8
    assert (result.p[10:] < 0.05).sum() <= 2
    negative = sign_flip_max_t(-data, n_permutations=499, seed=0)
    assert (negative.p[:10] > 0.9).all()
    two_sided = sign_flip_max_t(-data, n_permutations=499, tail="two-sided", seed=0)
    assert (two_sided.p[:10] < 0.05).mean() > 0.8


def test_tfce_equals_a_plain_integral(rng):
    data = rng.normal(0.3, size=(8, MESH.n_vertices))
    result = tfce_sign_flip(data, MESH.adjacency, n_permutations=1000, seed=0)
    t = stats.ttest_1samp(data, 0).statistic
    steps = np.linspace(0, t.max(), 1001)
    wanted = np.zeros_like(t)
    for low, high in itertools.pairwise(steps):
        middle = (low + high) / 2
        over = np.flatnonzero(t >= middle)
        graph = MESH.adjacency[over][:, over]
        _, label = sparse.csgraph.connected_components(graph, directed=False)
        wanted[over] += np.bincount(label)[label] * middle**2 * (high - low)
    np.testing.assert_allclose(result.tfce, wanted, rtol=1e-2, atol=0.1)
    assert result.exact
    assert result.n_permutations == 256


def test_tfce_is_joint_over_layers_and_signed_if_two_sided(rng):
    data = rng.normal(size=(18, 2, MESH.n_vertices))
    data[:, 1] -= np.where(MESH.left.sphere[:, 2] > 50, 1.2, 0)[
        np.arange(MESH.n_vertices) % MESH.left.n_vertices
    ]
    data[:, :, 5] = np.nan
    result = tfce_sign_flip(data, MESH.adjacency, n_permutations=99, tail="two-sided", seed=0)
    again = tfce_sign_flip(
        data, MESH.adjacency, n_permutations=99, tail="two-sided", n_threads=2, seed=0
    )
    np.testing.assert_array_equal(result.p, again.p)
    assert np.isnan(result.p[:, 5]).all()
    deep = result.p[1] < 0.05
    assert deep.sum() > 20
    assert (result.tfce[1, deep] < 0).all()
    assert (result.p[0] < 0.05).sum() == 0
    largest = np.nanmax(np.abs(result.tfce))
    assert np.nanmin(result.p) == (1 + (result.null_max >= largest).sum()) / 100


@pytest.mark.parametrize("value", [0.1, 2.14711])
def test_equal_values_have_no_t_but_a_p(rng, value):
    """Of copied or rounded maps: t would be infinite, or what rounding makes of that."""
    data = rng.normal(size=(8, 324))
    data[:, 5] = value
    for result in (
        sign_flip_max_t(data, seed=0),
        tfce_sign_flip(data, MESH.adjacency, n_permutations=99, seed=0),
    ):
        assert np.isnan(result.t[5])
        assert np.isfinite(np.delete(result.t, 5)).all()
        assert result.p[5] == np.nanmin(result.p)


def test_tfce_family_wise_error(rng):
    rejected = [
        np.nanmin(
            tfce_sign_flip(
                rng.normal(size=(12, 84)), icosahedral_mesh(1).adjacency, n_permutations=59, seed=s
            ).p
        )
        <= 0.05
        for s in range(200)
    ]
    assert np.mean(rejected) < 0.10


def test_bad_input_is_named(rng):
    with pytest.raises(BadDataError, match="two of them"):
        sign_flip_max_t(np.ones((1, 10)), seed=0)
    with pytest.raises(BadDataError, match="Nothing can be tested"):
        sign_flip_max_t(np.full((5, 10), np.nan), seed=0)
    with pytest.raises(UsageError, match="tail"):
        sign_flip_max_t(np.ones((5, 10)), tail="less", seed=0)
    with pytest.raises(UsageError, match="n_permutations"):
        sign_flip_max_t(np.ones((5, 10)), n_permutations=0, seed=0)
    with pytest.raises(BadDataError, match="signs"):
        sign_flip_max_t(np.ones((5, 10)), signs=np.ones((3, 4)), seed=0)
    with pytest.raises(BadDataError, match="adjacency"):
        tfce_sign_flip(rng.normal(size=(5, 10)), MESH.adjacency, seed=0)
