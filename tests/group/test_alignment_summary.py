"""Group alignment, omnibus, bins."""

import numpy as np
import pytest
from icosahedron import icosahedral_mesh
from scipy import stats

from bids_app.errors import BadDataError
from bids_app.group import (
    gradient_bins,
    group_alignment,
    omnibus_alignment,
    spin_alignment,
)

MESH = icosahedral_mesh(2)


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(8)
    points = np.vstack(MESH.spheres)
    gradient = points[:, 1] + 0.1 * points[:, 2]
    maps = 0.02 * gradient + rng.normal(size=(8, len(points)))
    return spin_alignment(
        maps,
        gradient,
        np.ones(len(points), dtype=bool),
        spheres=MESH.spheres,
        n_spins=199,
        covariates=rng.normal(size=maps.shape),
        seed=0,
    )


def test_statistic_is_the_mean_of_fisher_z_and_has_its_own_null(result):
    group = group_alignment(result, seed=0)
    np.testing.assert_allclose(group.statistic, np.arctanh(result.r).mean())
    np.testing.assert_allclose(group.null, np.arctanh(result.null).mean(axis=0))
    wanted = (1 + (np.abs(group.null) >= abs(group.statistic)).sum()) / 200
    np.testing.assert_allclose(group.p, wanted)
    t, p = stats.ttest_1samp(np.arctanh(result.r), 0)
    np.testing.assert_allclose([group.t, group.t_p, group.df], [t, p, 7])
    assert group.ci_low < group.r < group.ci_high
    np.testing.assert_allclose(group.cohen_d, t / np.sqrt(8))


def test_leaving_a_participant_out_equals_computing_without(result):
    group = group_alignment(result, seed=0)
    z, null = np.arctanh(result.r), np.arctanh(result.null)
    for left_out in range(8):
        rest = np.delete(z, left_out).mean()
        rest_null = np.delete(null, left_out, axis=0).mean(axis=0)
        np.testing.assert_allclose(group.leave_one_out_r[left_out], np.tanh(rest))
        np.testing.assert_allclose(
            group.leave_one_out_p[left_out], (1 + (np.abs(rest_null) >= abs(rest)).sum()) / 200
        )


def test_bootstrap_interval_is_reproducible_and_close_to_the_t_interval(result):
    group = group_alignment(result, seed=3)
    again = group_alignment(result, seed=3)
    assert (group.ci_low, group.ci_high) == (again.ci_low, again.ci_high)
    z = group.participants_z
    half = 1.96 * z.std(ddof=1) / np.sqrt(8)
    np.testing.assert_allclose(
        np.arctanh([group.ci_low, group.ci_high]),
        [z.mean() - half, z.mean() + half],
        atol=0.3 * half,
    )


def test_partial_version_uses_the_partial_correlations(result):
    group = group_alignment(result, partial=True, seed=0)
    np.testing.assert_allclose(group.statistic, np.arctanh(result.partial_r).mean())


def test_partial_without_covariates_says_what_to_pass(result):
    rng = np.random.default_rng(1)
    plain = spin_alignment(
        rng.normal(size=324),
        rng.normal(size=324),
        np.ones(324, dtype=bool),
        spheres=MESH.spheres,
        n_spins=9,
        seed=0,
    )
    with pytest.raises(BadDataError, match="covariates"):
        group_alignment(plain, partial=True, seed=0)
    alone = group_alignment(plain, seed=0)
    assert np.isnan([alone.t, alone.t_p, alone.ci_low, alone.leave_one_out_p[0]]).all()
    assert alone.p == plain.p[0]


def test_omnibus_takes_the_largest_absolute_correlation_of_each_rotation(result):
    omnibus = omnibus_alignment(result)
    assert omnibus.index == np.abs(result.r).argmax()
    null = np.abs(result.null).max(axis=0)
    np.testing.assert_allclose(omnibus.null, null)
    np.testing.assert_allclose(omnibus.p, (1 + (null >= omnibus.statistic).sum()) / 200)
    assert (omnibus.p_corrected >= result.p).all()


def test_bins_have_equal_counts_and_known_means():
    gradient = np.random.default_rng(2).permutation(103).astype(float)
    gradient[gradient == 102] = np.nan
    maps = np.stack([gradient, -gradient])
    mask = np.ones(103, dtype=bool)
    bins = gradient_bins(maps, gradient, mask)
    assert bins.count.sum() == 102
    assert set(bins.count) == {5, 6}
    np.testing.assert_allclose(bins.mean[:, 0], bins.center)
    np.testing.assert_allclose(bins.mean[:, 1], -bins.center)
    assert (np.diff(bins.edges) > 0).all()
    assert bins.edges[[0, -1]].tolist() == [0, 101]


def test_missing_values_are_left_out_of_bins():
    maps, everywhere = np.full((1, 40), np.nan), np.ones(40, dtype=bool)
    maps[0, 0] = 1
    bins = gradient_bins(maps, np.arange(40.0), everywhere)
    np.testing.assert_array_equal(bins.mean, [[1], *[[np.nan]] * 19])
    with pytest.raises(BadDataError, match="bins"):
        gradient_bins(maps, np.arange(40.0), np.arange(40) < 19)
    with pytest.raises(BadDataError, match="gradient"):
        gradient_bins(maps, np.arange(41.0), everywhere)
