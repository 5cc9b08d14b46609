"""Ceilings from repeats of a stimulus."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bids_app.encoding import normalized_correlation, repeat_ceiling
from bids_app.errors import BadDataError, TooFewError


def repeated(n_repeats, signal_to_noise, *, n_times=500, n_vertices=400, seed=0):
    """The signal, of variance 1, and repeats with noise."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n_times, n_vertices))
    noise = rng.standard_normal((n_repeats, n_times, n_vertices)) / np.sqrt(signal_to_noise)
    return signal, signal + noise


@pytest.mark.parametrize("n_repeats", [2, 3, 10])
@pytest.mark.parametrize("signal_to_noise", [0.1, 0.5])
def test_medians_equal_the_truth(n_repeats, signal_to_noise):
    signal, repeats = repeated(n_repeats, signal_to_noise)
    found = repeat_ceiling(repeats)
    of_mean = 1 / (1 + 1 / (n_repeats * signal_to_noise))
    assert np.mean(found.signal_power) == pytest.approx(1, abs=0.08)
    assert np.nanmedian(found.cc_max) == pytest.approx(np.sqrt(of_mean), abs=0.02)
    share = signal_to_noise / (1 + signal_to_noise)
    assert np.mean(found.explainable) == pytest.approx(share, abs=0.006)
    assert np.nanmedian(found.single) == pytest.approx(np.sqrt(share), abs=0.02)
    other = np.random.default_rng(1).standard_normal(signal.shape)
    prediction = signal + other  # correlates .707 with the signal
    normalized = normalized_correlation(repeats, prediction)
    assert np.nanmedian(normalized) == pytest.approx(np.sqrt(0.5), abs=0.025)


def test_normalized_correlation_is_that_with_the_mean_over_the_ceiling():
    signal, repeats = repeated(3, 0.5, n_times=80, n_vertices=20)
    prediction = signal + np.random.default_rng(2).standard_normal(signal.shape)
    found = repeat_ceiling(repeats)
    mean = repeats.mean(axis=0)
    absolute = [stats.pearsonr(mean[:, v], prediction[:, v])[0] for v in range(20)]
    there = np.isfinite(found.cc_max)
    wanted = np.asarray(absolute) / found.cc_max
    np.testing.assert_allclose(
        normalized_correlation(repeats, prediction)[there], wanted[there], rtol=1e-10
    )


def test_explainable_variance_is_the_mean_correlation_of_pairs():
    _, repeats = repeated(4, 0.4, n_times=60, n_vertices=8)
    found = repeat_ceiling(repeats * [[[3.0]], [[1.0]], [[0.5]], [[7.0]]] + 2)
    for v in range(8):
        r = np.corrcoef(repeats[:, :, v])[np.triu_indices(4, 1)]
        assert found.explainable[v] == pytest.approx(r.mean(), abs=1e-12)


def test_signal_power_of_two_repeats_is_their_covariance():
    _, repeats = repeated(2, 1.0, n_times=60, n_vertices=8)
    covariance = [np.cov(repeats[:, :, v], ddof=0)[0, 1] for v in range(8)]
    np.testing.assert_allclose(repeat_ceiling(repeats).signal_power, covariance)


def test_repeats_with_nothing_in_common_have_no_ceiling():
    course = np.random.default_rng(0).standard_normal((50, 1))
    found = repeat_ceiling(np.stack([course, -course]))
    assert found.signal_power[0] < 0
    assert np.isnan([found.cc_max[0], found.single[0]]).all()
    assert found.n_undefined == 1
    assert np.isnan(normalized_correlation(np.stack([course, -course]), course)).all()


def test_missing_and_constant_responses_are_not_available():
    _, repeats = repeated(3, 1.0, n_times=50, n_vertices=3)
    repeats[1, 4, 0] = np.nan
    repeats[2, :, 1] = 0.1
    found = repeat_ceiling(repeats)
    for values in (found.signal_power, found.cc_max, found.explainable, found.single):
        np.testing.assert_array_equal(np.isfinite(values), [False, False, True])
    assert found.n_undefined == 0
    predicted = np.ones((50, 3))  # constant
    assert np.isnan(normalized_correlation(repeats, predicted)).all()


def test_one_repeat_and_other_shapes_are_refused():
    with pytest.raises(TooFewError, match="at least two"):
        repeat_ceiling(np.ones((1, 50, 2)))
    with pytest.raises(BadDataError, match="repeats"):
        repeat_ceiling(np.ones((50, 2)))
    with pytest.raises(BadDataError, match="prediction"):
        normalized_correlation(np.ones((2, 50, 2)), np.ones((40, 2)))
