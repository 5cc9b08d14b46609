"""Inter-subject correlation."""

import importlib
import itertools

import numpy as np
import pytest
from scipy import signal, stats

from bids_app.errors import BadDataError
from bids_app.group import isc
from bids_app.pairs import end_factor, pair_test
from bids_app.seeds import generator


def test_responses_that_oppose_each_other_are_no_agreement():
    course = np.random.default_rng(3).normal(size=(60, 1))
    opposed = np.stack([course, -course, course, -course]) + 0.0
    opposed += 0.1 * np.random.default_rng(4).normal(size=opposed.shape)
    result = isc(opposed, n_draws=99, n_bootstrap=2, seed=0)
    assert result.pairwise[0] < 0
    assert result.p[0] > 0.5
    assert result.p_max[0] > 0.5


@pytest.fixture
def responses():
    rng = np.random.default_rng(12)
    shared = rng.normal(size=(80, 6)) * [0, 0.3, 0.6, 1, 2, 4]
    return rng.normal(size=(9, 80, 6)) + shared


def zscored(x):
    return (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)


def test_leave_one_out_and_pairs_equal_numpy(responses):
    result = isc(responses, n_bootstrap=20, seed=0)
    z = zscored(responses)
    for s, v in itertools.product(range(9), range(6)):
        rest = np.delete(z, s, axis=0)[:, :, v].mean(axis=0)
        np.testing.assert_allclose(
            result.leave_one_out[s, v], stats.pearsonr(z[s, :, v], rest)[0], atol=1e-10
        )
    for v in range(6):
        r = np.corrcoef(responses[:, :, v])[np.triu_indices(9, 1)]
        np.testing.assert_allclose(result.pairwise[v], np.tanh(np.arctanh(r).mean()), atol=1e-10)
    np.testing.assert_array_equal(result.n_pairs, 36)


def test_shared_signal_is_recovered_and_noise_is_not(responses):
    result = isc(responses, n_bootstrap=500, seed=0)
    # Shared variance s^2 over s^2 + 1.
    np.testing.assert_allclose(
        result.pairwise,
        np.array([0, 0.3, 0.6, 1, 2, 4]) ** 2 / (1 + np.array([0, 0.3, 0.6, 1, 2, 4]) ** 2),
        atol=0.12,
    )
    assert (result.ci_low < result.pairwise).all()
    assert (result.pairwise < result.ci_high).all()
    assert result.p[0] > 0.05
    assert (result.p[3:] < 0.01).all()


def test_scale_and_chunks_do_not_matter(responses, monkeypatch):
    plain = isc(responses, n_bootstrap=50, seed=0)
    monkeypatch.setattr(importlib.import_module("bids_app.group.isc"), "_CHUNK", 4)
    monkeypatch.setattr(importlib.import_module("bids_app.pairs"), "CHUNK", 4)
    other = isc(responses.astype(np.float32) * 50 + 3, n_bootstrap=50, seed=0)
    np.testing.assert_allclose(other.leave_one_out, plain.leave_one_out, atol=1e-5)
    np.testing.assert_allclose(other.ci_low, plain.ci_low, atol=1e-5)


def test_missing_participants_are_left_out(responses):
    damaged = responses.copy()
    damaged[2, 5, 1] = np.nan
    damaged[4, :, 1] = 7.0
    result = isc(damaged, n_bootstrap=50, seed=0)
    assert np.isnan(result.leave_one_out[[2, 4], 1]).all()
    kept = np.delete(responses[:, :, 1:2], [2, 4], axis=0)
    alone = isc(kept, n_bootstrap=50, seed=0)
    np.testing.assert_allclose(
        np.delete(result.leave_one_out[:, 1], [2, 4]), alone.leave_one_out[:, 0], atol=1e-10
    )
    np.testing.assert_allclose(result.pairwise[1], alone.pairwise[0])
    assert result.n_pairs[1] == 21
    gone = responses.copy()
    gone[:, :, 3] = np.nan
    nothing = isc(gone, n_bootstrap=50, seed=0)
    assert np.isnan([nothing.pairwise[3], nothing.p[3], nothing.ci_low[3]]).all()
    assert nothing.n_pairs[3] == 0


def test_a_chunk_of_vertices_without_responses(responses, monkeypatch):
    monkeypatch.setattr(importlib.import_module("bids_app.group.isc"), "_CHUNK", 2)
    monkeypatch.setattr(importlib.import_module("bids_app.pairs"), "CHUNK", 2)
    responses[:, :, 2:4] = np.nan
    found = isc(responses, n_bootstrap=20, seed=0)
    assert np.isnan(found.pairwise[2:4]).all()
    assert np.isfinite(np.delete(found.pairwise, [2, 3])).all()


def test_stimuli_of_different_length_are_averaged_on_fisher_z(responses):
    parts = [responses[:, :30], responses[:, 30:]]
    both = isc(parts, n_bootstrap=10, seed=0)
    each = [isc(part, n_bootstrap=10, seed=0) for part in parts]
    np.testing.assert_allclose(
        np.arctanh(both.leave_one_out),
        np.mean([np.arctanh(one.leave_one_out) for one in each], axis=0),
    )


def test_bootstrap_equals_a_plain_loop(responses):
    result = isc(responses, n_bootstrap=30, seed=4)
    draws = generator(4, "isc bootstrap").multinomial(9, np.full(9, 1 / 9), size=30)
    z = np.arctanh(np.corrcoef(responses[:, :, 2]) - np.eye(9))
    means = []
    for count in draws:
        chosen = np.repeat(np.arange(9), count)
        values = [z[i, j] for i, j in itertools.combinations(chosen, 2) if i != j]
        means.append(np.mean(values))
    np.testing.assert_allclose(np.arctanh(result.ci_low[2]), np.quantile(means, 0.025))


@pytest.mark.parametrize("shape", [(2, 50, 4), (5, 2, 4), (5, 50)])
def test_unusable_responses_are_refused(shape):
    with pytest.raises(BadDataError):
        isc(np.ones(shape), seed=0)


def test_participants_must_be_the_same_in_every_stimulus(responses):
    with pytest.raises(BadDataError, match=r"responses\[1\]"):
        isc([responses, responses[1:]], seed=0)


def turned_pairs(series, phases):
    """Mean correlation over pairs of series whose phases are turned, one participant at a time."""
    n_participants, n_times = series.shape
    turned = np.empty_like(series)
    for k, own in enumerate(phases):
        spectrum = np.fft.rfft(series[k] - series[k].mean())
        turn = np.exp(1j * np.r_[0, own])
        if n_times % 2 == 0:
            turn[-1] = np.sign(np.cos(own[-1]))
        turned[k] = np.fft.irfft(spectrum * turn, n_times)
    return np.corrcoef(turned)[np.triu_indices(n_participants, 1)].mean()


@pytest.mark.parametrize("n_times", [40, 41])
def test_draws_are_pairs_of_series_with_turned_phases(n_times):
    rng = np.random.default_rng(2)
    responses = rng.normal(size=(5, n_times, 3)) + rng.normal(size=(n_times, 3))
    n_draws, seed = 60, 9
    result = isc(responses, n_draws=n_draws, n_bootstrap=5, seed=seed)
    phases = np.stack(
        [
            generator(seed, "isc phases", 0, k).uniform(0, 2 * np.pi, (n_times // 2, n_draws))
            for k in range(5)
        ]
    )
    drawn = np.array(
        [
            [turned_pairs(responses[:, :, v], phases[:, :, draw]) for v in range(3)]
            for draw in range(n_draws)
        ]
    )
    drawn *= end_factor([responses])
    observed = [np.corrcoef(responses[:, :, v])[np.triu_indices(5, 1)].mean() for v in range(3)]
    wanted = (1 + (drawn >= observed).sum(axis=0)) / (1 + n_draws)
    np.testing.assert_allclose(result.p, wanted)
    largest = (drawn / result.sd).max(axis=1)
    np.testing.assert_allclose(result.null_max, largest, rtol=1e-4)
    scaled = np.array(observed) / result.sd
    np.testing.assert_allclose(
        result.p_max, (1 + (largest[:, np.newaxis] >= scaled).sum(axis=0)) / (1 + n_draws)
    )


def test_the_standard_deviation_is_that_of_the_draws(responses):
    responses[3, 4, 2] = np.nan
    parts = [responses[:, :30], responses[:, 30:]]
    result = isc(parts, n_draws=10, n_bootstrap=5, seed=0)
    rng = np.random.default_rng(5)
    for v in (0, 2, 5):
        drawn = np.zeros(1500)
        for part in parts:
            there = np.isfinite(part[:, :, v]).all(axis=1)
            series = part[there, :, v]
            n_freq = series.shape[1] // 2
            drawn += [
                turned_pairs(series, rng.uniform(0, 2 * np.pi, (len(series), n_freq)))
                for _ in range(1500)
            ]
        periodic = result.sd[v] / end_factor(parts, slice(v, v + 1)).item()
        assert drawn.std() / 2 == pytest.approx(periodic, rel=0.08)


@pytest.mark.parametrize("furthest", [0.5, 0.4])
def test_series_that_end_vary_more_than_periodic_ones(responses, furthest):
    """Against the sum over lags, one pair at a time."""
    wanted = []
    for v in range(6):
        series = responses[:4, :50, v] - responses[:4, :50, v].mean(axis=1, keepdims=True)
        series /= np.sqrt((series**2).sum(axis=1, keepdims=True))
        plain = wide = 0.0
        for a, b in itertools.combinations(series, 2):
            for lag in range(50):
                product = (a @ np.roll(a, lag)) * (b @ np.roll(b, lag))
                plain += product
                apart = min(lag, 50 - lag) / 50
                wide += product / (1 - apart if apart <= furthest else 1)
        wanted.append(np.sqrt(max(wide / plain, 1)))
    found = end_factor([responses[:4, :50]], furthest=furthest)
    np.testing.assert_allclose(found, wanted)
    assert max(wanted) > 1


def test_slow_series_have_the_standard_deviation_that_they_vary_by():
    """Of periodic draws it was 5 % too small."""
    steps = np.random.default_rng(0).standard_normal((4, 160, 3000))
    slow = signal.lfilter([1], [1, -0.9], steps, axis=1)[:, 100:]
    result = pair_test([slow], n_draws=2, seed=0)
    assert 0.94 < result.r.std() / np.sqrt((result.sd**2).mean()) < 1.02


def test_a_vertex_without_responses_has_no_factor():
    nothing = np.full((3, 40, 2), np.nan)
    np.testing.assert_array_equal(end_factor([nothing]), 1)


def test_chunks_do_not_change_the_draws(responses, monkeypatch):
    plain = isc(responses, n_draws=50, n_bootstrap=5, seed=0)
    monkeypatch.setattr(importlib.import_module("bids_app.group.isc"), "_CHUNK", 4)
    monkeypatch.setattr(importlib.import_module("bids_app.pairs"), "CHUNK", 4)
    other = isc(responses, n_draws=50, n_bootstrap=5, seed=0)
    np.testing.assert_array_equal(plain.p, other.p)
    np.testing.assert_allclose(plain.null_max, other.null_max, rtol=1e-5)


@pytest.mark.parametrize("n_participants", [3, 12])
def test_responses_that_share_nothing_keep_the_level(n_participants):
    """Autocorrelated series; the share of vertices, and of studies with any."""
    found, any_found = [], []
    for seed in range(40):
        rng = np.random.default_rng([seed, n_participants])
        series = rng.normal(size=(n_participants, 70, 12))
        for t in range(1, 70):
            series[:, t] += 0.7 * series[:, t - 1]
        result = isc(series, n_draws=199, n_bootstrap=2, seed=seed)
        found.append((result.p <= 0.05).mean())
        any_found.append((result.p_max <= 0.05).any())
    assert 0.02 < np.mean(found) < 0.09
    assert np.sum(any_found) <= 6
