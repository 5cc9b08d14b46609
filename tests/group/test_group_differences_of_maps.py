"""Differences of layers and models."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bids_app.errors import BadDataError, UsageError
from bids_app.group import contrast_of, difference, weighted_kernel
from bids_app.group.music_kernel import MusicKernel
from bids_app.statistics import fisher_z


def accuracies(seed=0, n=8, n_layers=5, n_vertices=6):
    return 0.3 * np.tanh(np.random.default_rng(seed).standard_normal((n, n_layers, n_vertices)))


def test_a_difference_is_the_paired_t_of_fisher_z():
    r = accuracies()
    contrasts = [contrast_of([2, 3], [1, -1]), [0, 0, 1, 0, -1]]
    found = difference(r, contrasts, seed=1)
    z = fisher_z(r)
    first = z[:, :2].mean(axis=1), z[:, 2:].mean(axis=1)
    np.testing.assert_allclose(found.people.t[0], stats.ttest_rel(*first).statistic)
    np.testing.assert_allclose(found.people.t[1], stats.ttest_rel(z[:, 2], z[:, 4]).statistic)
    np.testing.assert_allclose(found.mean_r[1], (r[:, 2] - r[:, 4]).mean(axis=0))
    assert found.people.exact
    turned = difference(r, -np.array(contrasts), seed=1)
    np.testing.assert_allclose(turned.people.t, -found.people.t)
    np.testing.assert_allclose(turned.people.p, found.people.p)


def test_only_layers_that_count_have_to_be_there():
    r = accuracies()
    r[:, 0] = np.nan
    r[0, 1, 2] = np.nan
    found = difference(r, [0, 1, -1, 0, 0], seed=0)
    assert np.isnan(found.participants).sum() == 1
    assert found.people.n[0].tolist() == [8, 8, 7, 8, 8, 8]


@pytest.mark.parametrize("contrast", [[1, 0, 0, 0, 0], [0] * 5])
def test_what_is_no_difference_is_refused(contrast):
    with pytest.raises(UsageError, match="sum to zero"):
        difference(accuracies(), contrast, seed=0)


def kernel(seed, n, frequencies=(1, 2)):
    rng = np.random.default_rng(seed)
    kept = np.array(frequencies)
    blocks = {(0, 1): rng.standard_normal((n, 2 * len(kept), 2 * len(kept)))}
    return MusicKernel(("a", "b"), (kept, kept), blocks)


def test_kernels_subtract_draw_by_draw_on_the_same_phases():
    one, two, three = kernel(0, 2), kernel(1, 2), kernel(2, 2, (2, 5))
    found = weighted_kernel([one, two, three], [1, -0.5, -0.5]).draws(50, 3)
    expected = one.draws(50, 3) - 0.5 * two.draws(50, 3) - 0.5 * three.draws(50, 3)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(weighted_kernel([one, one], [1, -1]).draws(5, 3)).max() < 1e-6
    with pytest.raises(BadDataError, match="different numbers"):
        weighted_kernel([one, kernel(0, 3)], [1, -1])
