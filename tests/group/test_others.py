"""Weights of the others: what trains, what is drawn over music, and tests over people."""

from __future__ import annotations

import numpy as np
import pytest
from music_brute import Listeners, draws_by_refit, standard, turned
from scipy import sparse, stats

from bids_app.encoding import fit_encoding
from bids_app.errors import BadDataError, UsageError
from bids_app.group import (
    linear_music_kernel,
    means_of_others,
    shared_training_scale,
    sign_flip_max_t,
    tfce_sign_flip,
)

SEED = 4


def training_of(listeners, responses=None, plans=None):
    """What `means_of_others` makes of simulated listeners on one clock."""
    plan = listeners.plans[0]
    return means_of_others(
        responses or listeners.responses,
        [listeners.stimuli],
        [[np.arange(float(n)) for n in plan.lengths]],
        [0] * len(listeners.responses),
        [[slice(s.start, s.stop) for s in plan.segments]],
    )


def z(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)


def test_the_others_are_averaged_as_everybody_counts_alike():
    rng = np.random.default_rng(0)
    own = [[10**p * rng.standard_normal((9, 4)) + p for _ in range(2)] for p in range(4)]
    kept = [slice(2, 8), slice(0, 9)]
    times = [np.arange(9.0), np.arange(9.0)]
    found = means_of_others(own, [["a", "b"]], [times], [0] * 4, [kept])
    for p in range(4):
        for k, rows in enumerate(kept):
            others = [q for q in range(4) if q != p]
            scaled = [
                (own[q][k] - own[q][k][rows].mean(axis=0)) / own[q][k][rows].std(axis=0)
                for q in others
            ]
            np.testing.assert_allclose(found[p][k], np.mean(scaled, axis=0), atol=1e-5)
            assert found[p][k].dtype == np.float32


def test_hearings_of_one_piece_are_averaged_within_a_listener():
    rng = np.random.default_rng(1)
    own = [[rng.standard_normal((12, 3)) for _ in range(3)] for _ in range(3)]
    times = [np.arange(12.0)] * 3
    found = means_of_others(own, [["a", "b", "a"]], [times], [0] * 3, [[slice(0, 12)] * 3])
    wanted = np.mean([(z(own[q][0]) + z(own[q][2])) / 2 for q in (1, 2)], axis=0)
    np.testing.assert_allclose(found[0][0], wanted, atol=1e-5)
    np.testing.assert_allclose(found[0][2], wanted, atol=1e-5)


def test_other_clocks_are_brought_to_the_listeners_own():
    """What is linear in time comes back as it was; a repeat elsewhere counts once."""
    first, second = np.arange(20.0), 0.4 + np.arange(19.0)
    lines = [first, second, second]
    own = [[np.column_stack([one, -one])] for one in lines]
    own[2] = own[2] * 2
    found = means_of_others(
        own,
        [["a"], ["a"], ["a", "a"]],
        [[first], [second], [second, second]],
        [0, 1, 2],
        [[slice(0, 20)], [slice(0, 19)], [slice(0, 19)] * 2],
    )
    inner = slice(2, 17)
    line = (first - second.mean()) / second.std()
    np.testing.assert_allclose(found[0][0][inner, 0], line[inner], atol=1e-5)
    np.testing.assert_allclose(found[0][0][inner, 1], -line[inner], atol=1e-5)
    parts = (second - first.mean()) / first.std(), (second - second.mean()) / second.std()
    np.testing.assert_allclose(found[1][0][inner, 0], np.mean(parts, axis=0)[inner], atol=1e-5)


def test_who_was_not_sampled_or_has_no_response_does_not_count():
    rng = np.random.default_rng(2)
    own = [[rng.standard_normal((n, 3))] for n in (20, 20, 14)]
    own[0][0][:, 1] = 5.0
    own[1][0][3, 2] = np.nan
    times = [[np.arange(20.0)], [np.arange(14.0)]]
    kept = [[slice(0, 20)], [slice(0, 14)]]
    found = means_of_others(own, [["a"], ["a"]], times, [0, 0, 1], kept)
    alone = z(own[1][0])[16:, 0]
    np.testing.assert_allclose(found[0][0][16:, 0], alone, atol=1e-5)
    np.testing.assert_allclose(found[2][0][:, 1], z(own[1][0])[:14, 1], atol=1e-5)
    np.testing.assert_allclose(found[2][0][:, 2], z(own[0][0])[:14, 2], atol=1e-5)
    # Of the first the second is missing there, and the third was not sampled at the end.
    assert np.isnan(found[0][0][16:, 2]).all()
    assert np.isfinite(found[0][0][:13, 2]).all()


def test_what_does_not_fit_is_refused():
    one = [[np.random.default_rng(p).standard_normal((5, 2))] for p in range(3)]
    times, kept = [[np.arange(5.0)]], [[slice(0, 5)]]
    with pytest.raises(BadDataError, match="more participants"):
        means_of_others(one[:2], [["a"]], times, [0, 0], kept)
    with pytest.raises(BadDataError, match="same stimuli"):
        means_of_others(one, [["a"], ["b"]], times * 2, [0, 0, 1], kept * 2)
    with pytest.raises(BadDataError, match="clock"):
        means_of_others(one, [["a"]], times, [0, 0, 1], kept)
    with pytest.raises(BadDataError, match="shape"):
        means_of_others(one, [["a"]], [[np.arange(4.0)]], [0, 0, 0], kept)
    with pytest.raises(UsageError, match="at least 3"):
        shared_training_scale(2)


def test_the_null_is_that_of_everybody_turned_averaged_and_fitted_again():
    """Turned responses, averaged over the others anew, plain kernel ridge: the same draws."""
    listeners = Listeners(lengths=(46, 61, 80), n_vertices=8, n_participants=4)
    training = training_of(listeners)
    weights = np.zeros((2, *listeners.shape))
    weights[0] = 1 / (listeners.shape[0] * listeners.shape[2])
    weights[1, :, 0, :3], weights[1, :, 1, :3] = 1.0, -0.4
    kernel = linear_music_kernel(*listeners.arguments, weights, training=training, lost=1e-6)
    n_draws = 30
    drawn = kernel.draws(n_draws, SEED)
    refit, closed = draws_by_refit(listeners, weights, SEED, n_draws, training)
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(drawn, closed, strict=True)) > 0.99
    assert np.corrcoef(drawn[0], refit[0])[0, 1] > 0.9
    # What trains may be turned before or after it is averaged.
    plan = listeners.plans[0]
    for draw in (0, 7):
        moved = []
        for own in listeners.responses:
            rows = turned(plan, standard(plan, own), SEED, [draw])[0]
            parts = [np.zeros_like(one, dtype=float) for one in own]
            for s in plan.segments:
                parts[s.block][s.start : s.stop] = rows[s.offset : s.offset + s.size]
            moved.append(parts)
        anew = training_of(listeners, moved)
        for p in range(4):
            before = turned(plan, standard(plan, training[p]), SEED, [draw])[0]
            np.testing.assert_allclose(standard(plan, anew[p]), before, atol=1e-4)


def test_penalties_and_weights_never_see_the_listener_who_is_scored():
    listeners = Listeners(n_vertices=5)
    plan = listeners.plans[0]
    training = training_of(listeners)
    first = fit_encoding(plan, listeners.responses[0], training=training[0], null="none")
    other = [one + 3 * np.random.default_rng(9).standard_normal(one.shape) for one in training[1]]
    changed = [other, *listeners.responses[1:]]
    again = training_of(listeners, changed)
    for a, b in zip(again[0], training[0], strict=True):
        np.testing.assert_array_equal(a, b)
    scored = fit_encoding(plan, other, training=again[0], null="none")
    np.testing.assert_array_equal(scored.alpha, first.alpha)
    assert not np.allclose(scored.r, first.r)


def test_t_of_listeners_who_share_nothing_has_its_level_once_scaled():
    """Responses of noise, everybody trained on the others: 400 studies of 8 in one fit each."""
    n, n_studies = 8, 400
    listeners = Listeners(n_layers=1, n_participants=n, n_vertices=n_studies, shared=0.0, seed=3)
    plan, training = listeners.plans[0], training_of(listeners)
    r = np.stack(
        [
            fit_encoding(plan, own, training=mean, null="none").mean_r
            for own, mean in zip(listeners.responses, training, strict=True)
        ]
    )
    t = stats.ttest_1samp(np.arctanh(r), 0).statistic
    scaled = shared_training_scale(n) * t
    naive, right = ((2 * stats.t.sf(np.abs(one), n - 1) < 0.05).mean() for one in (t, scaled))
    assert naive > 0.10
    assert right < 0.075
    assert scaled.var() == pytest.approx(stats.t.var(n - 1), rel=0.35)


@pytest.mark.parametrize("tail", ["greater", "two-sided"])
@pytest.mark.parametrize("n_permutations", [100, 50])
def test_scaled_t_are_compared_with_flips_of_the_unscaled(tail, n_permutations):
    rng = np.random.default_rng(5)
    data = rng.standard_normal((6, 7)) + 0.6
    options = {"n_permutations": n_permutations, "tail": tail, "seed": 2}
    plain = sign_flip_max_t(data, **options)
    factor = np.linspace(0.4, 1.0, 7)
    found = sign_flip_max_t(data, scale=factor, **options)
    np.testing.assert_allclose(found.t, factor * plain.t)
    np.testing.assert_array_equal(found.null_max, plain.null_max)
    size = np.abs(found.t) if tail == "two-sided" else found.t
    one = 0 if plain.exact else 1
    wanted = (one + (plain.null_max[:, None] >= size - 1e-6).sum(axis=0)) / (
        one + plain.n_permutations
    )
    np.testing.assert_allclose(found.p, wanted)
    alone = [
        sign_flip_max_t(data[:, [k]], scale=float(factor[k]), **options).p[0] for k in range(7)
    ]
    np.testing.assert_allclose(found.p_uncorrected, alone)
    with pytest.raises(UsageError, match="between 0 and 1"):
        sign_flip_max_t(data, scale=1.5, **options)


def test_enhanced_t_are_scaled_before_they_are_enhanced():
    rng = np.random.default_rng(6)
    data = rng.standard_normal((6, 5)) + 1
    chain = sparse.diags([1, 1], [-1, 1], shape=(5, 5)).tocsr()
    options = {"n_permutations": 64, "seed": 1}
    plain = tfce_sign_flip(data, chain, **options)
    found = tfce_sign_flip(data, chain, scale=0.5, **options)
    np.testing.assert_allclose(found.t, plain.t / 2)
    assert np.nanmax(found.tfce) < np.nanmax(plain.tfce)
    np.testing.assert_allclose(found.null_max, plain.null_max)
    assert (found.p >= plain.p).all()
