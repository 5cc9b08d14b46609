"""Presentations that have nothing in common but slow noise, and those that have something."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from bids_app.encoding import repeat_test
from bids_app.encoding.folds import WholeSeries
from bids_app.encoding.noise import Noise, noise_null
from bids_app.encoding.noise_grid import noise_grid
from bids_app.encoding.noise_pairs import PairVariance
from bids_app.features.timing import high_pass_basis

TR, LENGTHS, BEFORE, BETWEEN, AFTER = 2.0, (25, 35), 8, 15, 100


def hearings(seed, n_vertices, n_presentations=3, memory=0.9):
    """Noise of runs, high-passed, at the rows of two short pieces, and the rows of the filter."""
    rng = np.random.default_rng(seed)
    n_volumes = BEFORE + sum(LENGTHS) + BETWEEN + AFTER
    drift = high_pass_basis(n_volumes, TR, 128.0)
    whole = np.eye(n_volumes) - drift @ drift.T
    runs = []
    for _ in range(n_presentations):
        noise = rng.standard_normal((n_volumes + 100, n_vertices))
        runs.append(whole @ lfilter([1], [1, -memory], noise, axis=0)[100:])
    ends = BEFORE + np.cumsum(LENGTHS) + (0, BETWEEN)
    rows = [slice(end - n, end) for n, end in zip(LENGTHS, ends, strict=True)]
    stimuli = [np.stack([run[piece] for run in runs]) for piece in rows]
    return stimuli, [[whole[piece]] * n_presentations for piece in rows]


@pytest.mark.parametrize("n_presentations", [2, 3])
def test_slow_noise_in_short_pieces_keeps_the_level_at_a_vertex(n_presentations):
    stimuli, filters = hearings(1, 3000, n_presentations)
    p = repeat_test(stimuli, filters, n_draws=2, seed=0).p
    assert 0.03 < np.mean(p < 0.05) < 0.06
    assert 0.001 < np.mean(p < 0.01) < 0.015
    assert np.mean(p < 0.001) < 0.003


@pytest.mark.slow
def test_the_largest_of_all_vertices_keeps_the_level():
    found = [
        np.nanmin(repeat_test(*hearings(seed, 40), n_draws=200, seed=seed).p_max)
        for seed in range(60)
    ]
    assert 0 < np.mean(np.array(found) < 0.05) < 0.12  # 99 % of studies of level .05 lie below


def test_what_is_common_is_found_and_missing_vertices_are_not_tested():
    stimuli, filters = hearings(2, 40)
    for own in stimuli:
        own[:, :, :5] += 3 * np.random.default_rng(3).standard_normal((own.shape[1], 1))
        own[:, :, 7] = np.nan
    stimuli[0][1, :, 8] = 4.0
    found = repeat_test(stimuli, filters, n_draws=200, seed=0)
    assert (found.p_max[:5] < 0.01).all()
    assert (found.p[:5] < 1e-4).all()
    assert np.isnan([getattr(found, name)[7:9] for name in ("r", "sd", "p", "p_max")]).all()
    assert np.isfinite(np.delete(found.p_max, [7, 8])).all()
    pairs = np.corrcoef(stimuli[0][:, :, 0])[np.triu_indices(3, 1)].mean()
    pairs += np.corrcoef(stimuli[1][:, :, 0])[np.triu_indices(3, 1)].mean()
    assert found.r[0] == pytest.approx(pairs / 2)


def test_without_any_complete_vertex_there_is_no_p():
    stimuli, filters = hearings(2, 3)
    stimuli[1][0] = np.nan
    found = repeat_test(stimuli, filters, n_draws=5, seed=0)
    assert np.isnan([found.r, found.p, found.p_max]).all()


def test_chunks_change_nothing(monkeypatch):
    stimuli, filters = hearings(4, 30)
    plain = repeat_test(stimuli, filters, n_draws=50, seed=0)
    monkeypatch.setattr(importlib.import_module("bids_app.encoding.repeat_test"), "CHUNK", 7)
    other = repeat_test(stimuli, filters, n_draws=50, seed=0)
    np.testing.assert_allclose(plain.p, other.p, rtol=1e-5)
    np.testing.assert_array_equal(plain.p_max, other.p_max)


@pytest.mark.parametrize("chosen", [0, 14, 63])
def test_the_variance_is_that_of_simulated_pairs(chosen):
    """Of one class, with filters that differ between presentations."""
    rng = np.random.default_rng(5)
    n_volumes, rows = 90, slice(20, 60)
    filters = [np.eye(n_volumes)[rows]]
    drift = high_pass_basis(n_volumes, TR, 60.0)
    filters.append((np.eye(n_volumes) - drift @ drift.T)[rows])
    whole = WholeSeries((40, 40))
    null = noise_null(
        whole, [rng.standard_normal((40, 20)) for _ in filters], filters=filters, seed=0
    )
    one = np.zeros((1, len(noise_grid())), dtype=np.float32)
    one[0, chosen] = 1
    noise = Noise(one, np.ones((1, null.vertices.ratio.shape[1]), dtype=np.float32))
    variance = PairVariance(whole, null, filters, ["song", "song"]).of(noise)[0]
    rho, partial, fractional, share = noise_grid()[chosen]
    assert not fractional
    n = 20_000
    series = []
    for one in filters:
        draws = rng.standard_normal((n_volumes + 200, n))
        slow = lfilter([1], [1, -rho * (1 - partial), -partial], draws, axis=0)[200:]
        mixed = np.sqrt(1 - share) * slow / slow.std() + np.sqrt(share) * draws[:n_volumes]
        own = one @ mixed
        own = own - own.mean(axis=0)
        series.append(own / np.sqrt((own**2).sum(axis=0).mean()))
    assert (series[0] * series[1]).sum(axis=0).var() == pytest.approx(variance, rel=0.05)


def test_z_of_agreement_is_normal():
    module = importlib.import_module("bids_app.encoding.repeat_test")
    rng = np.random.default_rng(6)
    for n in (2, 3, 5):
        series = rng.standard_normal((n, 21, 40_000))
        r = module._mean_r([series], list(series))
        z = module._agreement_z(r, np.full(r.size, np.sqrt(2 / (n * (n - 1)) / 20)), n)
        for level in (0.05, 0.01, 0.001):
            assert np.mean(z > norm.isf(level)) == pytest.approx(level, rel=0.25)
