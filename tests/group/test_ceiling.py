"""Ceilings of r from what people share."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from bids_app.errors import BadDataError, TooFewError
from bids_app.group import ceiling_fraction, shared_ceiling


def heard(n_people, signal_to_noise, *, n_times=600, n_vertices=400, seed=0):
    """Responses whose noise has variance 1."""
    rng = np.random.default_rng(seed)
    shared = np.sqrt(signal_to_noise) * rng.standard_normal((n_times, n_vertices))
    return shared + rng.standard_normal((n_people, n_times, n_vertices))


@pytest.mark.parametrize("n_people", [4, 12])
@pytest.mark.parametrize("signal_to_noise", [0.05, 0.5])
def test_medians_equal_the_truth(n_people, signal_to_noise):
    truth = np.sqrt(signal_to_noise / (1 + signal_to_noise))
    found = shared_ceiling(heard(n_people, signal_to_noise))
    assert np.median(found.pair) == pytest.approx(truth**2, abs=0.004)
    assert np.nanmedian(found.participants) == pytest.approx(truth, abs=0.02)
    # Shared variance over that of a series, and of the mean of the others.
    of_others = signal_to_noise + 1 / (n_people - 1)
    uncorrected = signal_to_noise / np.sqrt((1 + signal_to_noise) * of_others)
    assert np.median(found.lower) == pytest.approx(uncorrected, abs=0.006)
    assert uncorrected < truth


def test_uncorrected_values_are_no_ceiling():
    """.079 where the truth is .218 and, of a mean that includes the person, .534 (N = 4)."""
    people = heard(4, 0.05, n_times=1000)
    found = shared_ceiling(people)
    assert np.median(found.lower) == pytest.approx(0.079, abs=0.004)
    assert np.median(found.group) == pytest.approx(0.218, abs=0.01)
    z = stats.zscore(people[0]) * stats.zscore(people.mean(axis=0))
    inside = z.mean(axis=0)
    assert np.median(inside) == pytest.approx(0.534, abs=0.006)


def test_every_number_equals_plain_numpy():
    people = heard(6, 0.3, n_times=90, n_vertices=5) * 40 + 7
    found = shared_ceiling(people)
    z = stats.zscore(people, axis=1)
    for v in range(5):
        r = np.corrcoef(people[:, :, v])
        pair = r[np.triu_indices(6, 1)].mean()
        assert found.pair[v] == pytest.approx(pair, abs=1e-12)
        reliability = 5 * pair / (1 + 4 * pair)
        for s in range(6):
            loo = stats.pearsonr(z[s, :, v], np.delete(z, s, axis=0)[:, :, v].mean(axis=0))[0]
            assert found.leave_one_out[s, v] == pytest.approx(loo, abs=1e-12)
            assert found.participants[s, v] == pytest.approx(loo / np.sqrt(reliability))
        assert found.group[v] == pytest.approx(np.sqrt(pair))


def test_stimuli_count_by_their_samples_and_before_the_formula():
    parts = [heard(5, 0.4, n_times=80, n_vertices=30), heard(5, 0.1, n_times=240, n_vertices=30)]
    both, each = shared_ceiling(parts), [shared_ceiling(one) for one in parts]
    np.testing.assert_allclose(both.pair, 0.25 * each[0].pair + 0.75 * each[1].pair)
    loo = 0.25 * each[0].leave_one_out + 0.75 * each[1].leave_one_out
    np.testing.assert_allclose(both.leave_one_out, loo)
    there = both.pair > 0
    reliability = 4 * both.pair / (1 + 3 * both.pair)
    np.testing.assert_allclose(both.participants[:, there], (loo / np.sqrt(reliability))[:, there])


def test_nothing_shared_is_not_available_and_counted():
    course = np.random.default_rng(3).normal(size=(60, 1))
    opposed = np.stack([course, -course, course, -course])
    opposed = np.concatenate([opposed, heard(4, 1.0, n_times=60, n_vertices=1)], axis=2)
    found = shared_ceiling(opposed)
    assert found.pair[0] == pytest.approx(-1 / 3)
    assert np.isnan([found.group[0], *found.participants[:, 0]]).all()
    assert np.isfinite(found.group[1])
    assert found.n_undefined == 1


def test_missing_responses_are_left_out_of_all_stimuli():
    parts = [heard(6, 0.5, n_times=70, n_vertices=3, seed=k) for k in range(2)]
    parts[1][2, 5, 1] = np.nan
    parts[0][4, :, 1] = 7.0
    parts[0][:3, 0, 2] = np.inf
    found = shared_ceiling(parts)
    np.testing.assert_array_equal(found.n, [6, 4, 3])
    kept = [np.delete(one[:, :, 1:2], [2, 4], axis=0) for one in parts]
    alone = shared_ceiling(kept)
    assert found.group[1] == pytest.approx(alone.group[0])
    np.testing.assert_allclose(
        np.delete(found.participants[:, 1], [2, 4]), alone.participants[:, 0]
    )
    assert np.isnan(found.participants[[2, 4], 1]).all()
    # Three people are too few.
    assert np.isnan([found.pair[2], found.group[2], found.lower[2]]).all()
    assert found.n_undefined == 0


def test_chunks_scale_and_order_of_people_do_not_matter(monkeypatch):
    people = heard(5, 0.3, n_times=50, n_vertices=9)
    plain = shared_ceiling(people)
    monkeypatch.setattr("bids_app.group.ceiling._CHUNK", 4)
    other = shared_ceiling((people * 30 + 4)[::-1].astype(np.float32))
    np.testing.assert_allclose(other.group, plain.group, atol=1e-5)
    np.testing.assert_allclose(other.participants[::-1], plain.participants, atol=1e-5)


def test_ratings_of_raters_are_taken_alike():
    rng = np.random.default_rng(5)
    course = rng.standard_normal((900, 2)).cumsum(axis=0)
    course /= course.std(axis=0)
    raters = course + 2 * rng.standard_normal((15, 900, 2))
    np.testing.assert_allclose(shared_ceiling(raters).group, np.sqrt(1 / 5), atol=0.05)


def test_too_few_and_other_shapes_are_refused():
    with pytest.raises(TooFewError, match="four participants"):
        shared_ceiling(np.ones((3, 50, 2)))
    with pytest.raises(BadDataError, match=r"responses\[1\]"):
        shared_ceiling([heard(4, 1.0, n_vertices=2), heard(5, 1.0, n_vertices=2)])


def test_fractions_only_where_the_ceiling_is_high_and_reliable():
    ceiling = np.array([0.5, 0.1, 0.5, np.nan, 0.101])
    reliable = np.array([True, True, False, True, True])
    r = np.array([[0.1, 0.1, 0.1, 0.1, 0.202], [np.nan, 0, 0, 0, -0.101]])
    found = ceiling_fraction(r, ceiling, reliable, floor=0.1)
    nothing = np.nan
    wanted = [[0.2, nothing, nothing, nothing, 2.0], [nothing, nothing, nothing, nothing, -1.0]]
    np.testing.assert_allclose(found, wanted)


def test_a_perfect_model_reaches_the_ceiling():
    """Mean r of the shared signal itself with single responses, over the ceiling, is 1."""
    rng = np.random.default_rng(8)
    signal = rng.standard_normal((800, 100))
    people = signal + 1.5 * rng.standard_normal((10, 800, 100))
    ceiling = shared_ceiling(people).group
    z = stats.zscore(people, axis=1) * stats.zscore(signal)
    r = z.mean(axis=(0, 1))
    found = ceiling_fraction(r, ceiling, np.ones(100, dtype=bool), floor=0.1)
    assert np.median(found) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("pair", list(itertools.combinations(range(4), 2)))
def test_two_equal_people_among_noise_do_not_make_a_ceiling_of_one(pair):
    people = np.random.default_rng(1).standard_normal((4, 300, 1))
    people[pair[1]] = people[pair[0]]
    assert shared_ceiling(people).pair[0] == pytest.approx(1 / 6, abs=0.1)
