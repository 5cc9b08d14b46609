"""Reliability over halves and stimuli."""

import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.group import split_half, stimulus_reliability


@pytest.fixture
def rng():
    return np.random.default_rng(77)


def test_split_half_recovers_the_planted_reliability(rng):
    truth = rng.normal(size=4000)
    maps = truth + rng.normal(scale=4, size=(20, 4000))
    result = split_half(maps, np.ones(4000, dtype=bool), seed=0)
    # Halves of 10: signal 1, noise 16 / 10; the whole group of 20: 16 / 20.
    np.testing.assert_allclose(result.mean, 1 / 2.6, atol=0.04)
    np.testing.assert_allclose(result.spearman_brown, 1 / 1.8, atol=0.04)
    assert result.r.shape == (200,)


def test_split_half_uses_the_mask_and_leaves_missing_values_out(rng):
    maps = rng.normal(size=(6, 300)) + rng.normal(size=300)
    mask = np.arange(300) < 200
    wanted = split_half(maps[:, mask], np.ones(200, dtype=bool), seed=0)
    maps[:, 250] = np.nan
    found = split_half(maps, mask, seed=0)
    np.testing.assert_allclose(found.r, wanted.r)
    maps[2, 5] = np.nan
    assert np.isfinite(split_half(maps, mask, seed=0).r).all()


def test_stimuli_are_compared_with_the_mean_of_the_others(rng):
    maps = rng.normal(size=(3, 5, 100)) + rng.normal(size=100)
    result = stimulus_reliability(maps, np.ones(100, dtype=bool))
    group = maps.mean(axis=1)
    np.testing.assert_allclose(result[1], np.corrcoef(group[1], group[[0, 2]].mean(axis=0))[0, 1])


def test_too_few_are_refused(rng):
    with pytest.raises(BadDataError, match="four"):
        split_half(rng.normal(size=(3, 9)), np.ones(9, dtype=bool), seed=0)
    with pytest.raises(BadDataError, match="two"):
        stimulus_reliability(rng.normal(size=(1, 3, 9)), np.ones(9, dtype=bool))
    with pytest.raises(BadDataError, match="mask"):
        split_half(rng.normal(size=(6, 9)), np.ones(8, dtype=bool), seed=0)
