"""Inter-subject correlation."""

import importlib
import itertools

import numpy as np
import pytest
from scipy import stats

from bids_app.errors import BadDataError
from bids_app.group import isc
from bids_app.seeds import generator


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
