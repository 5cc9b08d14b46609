"""The null over music of linear summaries of accuracy."""

import numpy as np
import pytest
from music_brute import ALPHAS, Listeners, draws_by_refit, participant_sd, ridge, standard

from bids_app.encoding import fit_encoding, phase_null
from bids_app.errors import BadDataError, UsageError
from bids_app.group import (
    join_kernels,
    layer_set_kernels,
    linear_music,
    linear_music_kernel,
    linear_music_null,
)

SEED = 11
CASES = {
    # Kept rows of both even and odd number.
    "three pieces": {},
    "of odd length": {"lengths": (46, 62, 80)},
    "one layer, two participants": {"n_layers": 1, "n_participants": 2},
    "repeats": {"lengths": (46, 61, 80, 45), "stimuli": "abca"},
    "two repeats": {"lengths": (46, 61, 60, 46), "stimuli": "abba"},
    "two clocks": {"late": 1},
    "two clocks and repeats": {"lengths": (46, 61, 80, 46), "stimuli": "abca", "late": 1},
    "several pieces in a fold": {
        "lengths": (31, 34, 37, 40, 33, 36, 30, 41),
        "n_participants": 2,
        "n_vertices": 6,
    },
    "contiguous pieces of one": {"lengths": (150,), "n_participants": 2, "n_vertices": 6},
    "odd repeats": {"lengths": (46, 62, 80, 46), "stimuli": "abca"},
    "one piece heard twice": {
        "lengths": (150, 149),
        "stimuli": "aa",
        "n_participants": 2,
        "n_vertices": 6,
    },
}


def some_weights(listeners, n=3, seed=5):
    """Sums that do not cancel, sums that do, and a mean."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(n, *listeners.shape))
    weights[0] = np.abs(weights[0])
    weights[-1] = 1 / (listeners.shape[0] * listeners.shape[2])
    return weights


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("others", [False, True], ids=["own", "others"])
def test_draws_are_those_of_turned_responses(case, others, monkeypatch):
    """Exact but for the norms of predictions; with actual norms nearly so."""
    monkeypatch.setattr(linear_music, "TOLERANCE", 1e-7)
    listeners = Listeners(**CASES[case])
    training = listeners.means_of_others() if others else None
    weights = some_weights(listeners)
    refit, closed = draws_by_refit(listeners, weights, SEED, 40, training)
    result = linear_music_null(
        *listeners.arguments,
        weights,
        observed=np.zeros(3),
        training=training,
        clock_of=listeners.clock_of,
        n_draws=40,
        seed=SEED,
        lost=1e-7,
    )
    error = np.abs(result.draws - closed).max(axis=1) / result.sd
    segments = [
        s for p in range(len(listeners.responses)) for s in listeners.plans_of(p)[0].segments
    ]
    # At even lengths the highest frequency has no phase and is left out.
    assert error.max() < (0.05 if any(s.size % 2 == 0 for s in segments) else 2e-3)
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(result.draws, refit, strict=True)]
    assert min(r[0], r[2]) > 0.9


@pytest.mark.parametrize("case", ["three pieces", "repeats", "two clocks"])
def test_default_precision_follows_refits_and_its_own_standard_deviation(case):
    listeners = Listeners(**CASES[case])
    weights = some_weights(listeners)
    result = linear_music_null(
        *listeners.arguments,
        weights,
        observed=[0, 0, 0],
        clock_of=listeners.clock_of,
        n_draws=4000,
        seed=SEED,
    )
    # The root mean square of 4,000 draws is good to about 1.5 %.
    root = np.sqrt((result.draws.astype(float) ** 2).mean(axis=1))
    np.testing.assert_allclose(result.sd, root, rtol=0.06)
    refit, _ = draws_by_refit(listeners, weights, SEED, 200)
    for own, other in zip(result.draws[[0, 2], :200], refit[[0, 2]], strict=True):
        assert np.corrcoef(own, other)[0, 1] > 0.9
        assert 0.9 < own.std() / other.std() < 1.1


@pytest.mark.parametrize(("lost", "tolerance"), [(1e-3, 5e-3), (1e-5, 1e-4)])
def test_one_participant_has_the_null_of_the_participant_level(lost, tolerance):
    listeners = Listeners(n_participants=1, n_layers=1, n_vertices=40)
    listeners.alphas[:] = ALPHAS[4]
    sd = participant_sd(listeners.plans[0], listeners.responses[0], 4)
    kernel = linear_music_kernel(*listeners.arguments, np.eye(40)[:, None, None], lost=lost)
    np.testing.assert_allclose(kernel.sd, sd, rtol=tolerance)


def test_the_fitted_sums_are_tested():
    listeners = Listeners(lengths=(46, 61, 80, 46), stimuli="abca").fit()
    weights = some_weights(listeners)
    r = np.array(
        [
            [fit_encoding(plan, one, null="none").mean_r for plan in listeners.plans]
            for one in listeners.responses
        ]
    )
    wanted = np.einsum("splv,plv->s", weights, r)
    result = linear_music_null(*listeners.arguments, weights, n_draws=99, seed=SEED)
    np.testing.assert_allclose(result.observed, wanted, rtol=1e-4, atol=1e-6)
    given = linear_music_null(*listeners.arguments, weights, observed=wanted, n_draws=99, seed=SEED)
    np.testing.assert_array_equal(given.draws, result.draws)
    above = (result.draws >= wanted[:, None]).sum(axis=1)
    np.testing.assert_allclose(given.p_greater, (1 + above) / 100)
    beyond = (np.abs(result.draws) >= np.abs(wanted)[:, None]).sum(axis=1)
    np.testing.assert_allclose(given.p, (1 + beyond) / 100)


def test_fitted_sums_with_other_training_are_those_of_plain_ridge():
    listeners = Listeners(n_participants=3)
    training, weights = listeners.means_of_others(), some_weights(listeners)
    wanted = np.zeros(3)
    for p, layer in np.ndindex(3, 2):
        plan = listeners.plans[layer]
        y, x = standard(plan, listeners.responses[p]), standard(plan, training[p])
        r = []
        for k, fold in enumerate(plan.folds):
            predicted = ridge(plan, fold, fold.outer.tests[0], x, listeners.alphas[p, layer, k])
            target = y[fold.outer.tests[0]]
            r.append([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, target.T, strict=True)])
        wanted += weights[:, p, layer] @ np.tanh(np.arctanh(r).mean(axis=0))
    result = linear_music_null(
        *listeners.arguments, weights, training=training, n_draws=9, seed=SEED
    )
    np.testing.assert_allclose(result.observed, wanted, rtol=1e-4)


def test_draws_pair_with_those_of_the_participant_level():
    listeners = Listeners(n_participants=2, n_layers=1).fit()
    checksums = ["x", "y", "z"]
    null = [
        phase_null(
            listeners.plans[0], one, alpha[0], checksums=checksums, n_draws=60, seed=SEED
        ).draws
        for one, alpha in zip(listeners.responses, listeners.alphas, strict=True)
    ]
    weights = some_weights(listeners)[:1]
    wanted = np.einsum("pv,pdv->d", weights[0, :, 0], null)
    named = {s: c for s, c in zip("abc", checksums, strict=True)}
    for given in (checksums, named):
        result = linear_music_null(
            *listeners.arguments, weights, observed=[0], checksums=given, n_draws=60, seed=SEED
        )
        assert np.corrcoef(result.draws[0], wanted)[0, 1] > 0.9
    other = linear_music_null(*listeners.arguments, weights, observed=[0], n_draws=60, seed=SEED)
    assert np.corrcoef(other.draws[0], wanted)[0, 1] < 0.5


def test_callable_and_array_chunks_and_threads_agree(monkeypatch):
    listeners = Listeners(n_vertices=70)
    weights = some_weights(listeners)
    weights[1, :, :, :50] = 0
    weights[2, :, 1] = 0
    arguments = {"observed": np.zeros(3), "n_draws": 50, "seed": SEED}
    wanted = linear_music_null(*listeners.arguments, weights, **arguments)
    asked = []

    def function(part):
        asked.append(part)
        return weights[..., part]

    called = linear_music_null(*listeners.arguments, function, **arguments)
    np.testing.assert_array_equal(called.draws, wanted.draws)
    assert all(isinstance(part, slice) for part in asked)
    monkeypatch.setattr(linear_music, "CHUNK", 16)
    small = linear_music_null(*listeners.arguments, weights, **arguments)
    threads = linear_music_null(*listeners.arguments, weights, n_threads=3, **arguments)
    np.testing.assert_array_equal(threads.draws, small.draws)
    for other in (small, threads):
        assert np.abs((other.draws - wanted.draws) / wanted.sd[:, None]).max() < 2e-6
        np.testing.assert_allclose(other.sd, wanted.sd, rtol=1e-6)


def test_the_order_of_participants_changes_nothing():
    listeners = Listeners(late=1)
    weights = some_weights(listeners)
    arguments = {"observed": np.zeros(3), "n_draws": 50, "seed": SEED}
    wanted = linear_music_null(
        *listeners.arguments, weights, clock_of=listeners.clock_of, **arguments
    )
    order = [2, 0, 3, 1]
    moved = linear_music_null(
        listeners.plans,
        [listeners.responses[p] for p in order],
        listeners.alphas[order],
        weights[:, order],
        clock_of=[listeners.clock_of[p] for p in order],
        **arguments,
    )
    assert np.abs((moved.draws - wanted.draws) / wanted.sd[:, None]).max() < 2e-6


def test_a_missing_participant_counts_as_zero():
    listeners = Listeners(n_vertices=6)
    weights = some_weights(listeners)
    arguments = {"n_draws": 50, "seed": SEED}
    without = weights.copy()
    without[:, 1, :, 2], without[:, 3, :, 4], without[:, 0, 1, 5] = 0, 0, 0
    wanted = linear_music_null(*listeners.arguments, without, **arguments)
    listeners.responses[1][2][30, 2] = np.nan
    listeners.responses[3][0][:, 4] = 7.0
    # No penalty, hence no accuracy, of one layer.
    listeners.alphas[0, 1, :, 5] = np.nan
    weights[0, 1, 0, 2] = np.nan
    found = linear_music_null(*listeners.arguments, weights, **arguments)
    np.testing.assert_allclose(found.observed, wanted.observed, rtol=1e-5)
    np.testing.assert_allclose(found.sd, wanted.sd, rtol=0.01)
    for own, other in zip(found.draws, wanted.draws, strict=True):
        assert np.corrcoef(own, other)[0, 1] > 0.999


def test_summaries_of_very_different_scale_do_not_disturb_one_another():
    listeners = Listeners()
    weights = some_weights(listeners)
    arguments = {"observed": np.zeros(3), "n_draws": 30, "seed": SEED}
    wanted = linear_music_null(*listeners.arguments, weights, **arguments)
    factors = np.array([1e-6, 1.0, 1e5])
    found = linear_music_null(
        *listeners.arguments, weights * factors[:, None, None, None], **arguments
    )
    np.testing.assert_allclose(found.sd / factors, wanted.sd, rtol=1e-4)
    np.testing.assert_allclose(
        found.draws / factors[:, None] / wanted.sd[:, None],
        wanted.draws / wanted.sd[:, None],
        atol=1e-3,
    )


def test_a_summary_without_weight_never_varies():
    listeners = Listeners()
    weights = some_weights(listeners)
    weights[1] = 0
    result = linear_music_null(*listeners.arguments, weights, n_draws=20, seed=SEED)
    assert result.sd[1] == 0
    assert np.all(result.draws[1] == 0)
    assert result.p[1] == 1
    assert np.isnan(result.z[1])
    assert np.isnan(result.p_max()[1])
    assert np.isfinite(result.p_max()[[0, 2]]).all()


def test_layers_in_sets_are_summaries_with_such_weights(monkeypatch):
    monkeypatch.setattr(linear_music, "TOLERANCE", 1e-6)
    listeners = Listeners(n_vertices=20, late=1)
    listeners.responses[1][1][5, 3] = np.nan
    sets = np.repeat([2, 0, -1, 1], 5)
    weights = np.zeros((6, *listeners.shape))
    for layer, one in np.ndindex(2, 3):
        inside = sets == one
        weights[layer * 3 + one, :, layer, inside] = 1 / (4 * inside.sum())
        if one == 2:
            weights[layer * 3 + one, :, layer, 3] = 1 / (3 * inside.sum())
            weights[layer * 3 + one, 1, layer, 3] = 0
    wanted = linear_music_kernel(*listeners.arguments, weights, clock_of=listeners.clock_of)
    found = layer_set_kernels(*listeners.arguments, sets, clock_of=listeners.clock_of)
    assert len(found) == 6
    np.testing.assert_allclose(found.sd, wanted.sd, rtol=2e-3)
    both = join_kernels([found, wanted]).draws(50, SEED)
    assert np.abs(both[:6] - both[6:]).max() < 1e-2 * wanted.sd.max()


def test_one_set_with_ranks_is_every_layer_against_a_gradient(monkeypatch):
    monkeypatch.setattr(linear_music, "TOLERANCE", 1e-6)
    listeners = Listeners(n_vertices=20, n_layers=3)
    ranks = np.random.default_rng(3).permutation(20) - 9.5
    weights = np.einsum("lm,v->lmv", np.eye(3), ranks / 80)[:, None].repeat(4, axis=1)
    wanted = linear_music_kernel(*listeners.arguments, weights)
    found = layer_set_kernels(*listeners.arguments, np.zeros(20, int), ranks / 80)
    np.testing.assert_allclose(found.sd, wanted.sd, rtol=2e-3)
    two_d = layer_set_kernels(
        *listeners.arguments, np.zeros(20, int), np.tile(ranks / 80, (4, 1)), n_threads=2
    )
    np.testing.assert_allclose(two_d.sd, found.sd, rtol=1e-6)


def test_kernels_add_like_summaries():
    listeners = Listeners(n_vertices=20)
    regions = layer_set_kernels(*listeners.arguments, np.repeat([0, 1], 10))
    cortex = layer_set_kernels(*listeners.arguments, np.zeros(20, int))
    # Halves of equal size: their mean is the whole; summary = layer * n_sets + set.
    mean = regions.combine([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    np.testing.assert_allclose(mean.sd, cortex.sd, rtol=0.01)
    difference = regions[2:] - regions[:2]
    wanted = np.zeros((2, *listeners.shape))
    for one in (0, 1):
        wanted[one, :, 1, 10 * one : 10 * one + 10] = 1 / 40
        wanted[one, :, 0, 10 * one : 10 * one + 10] = -1 / 40
    direct = linear_music_kernel(*listeners.arguments, wanted)
    np.testing.assert_allclose(difference.sd, direct.sd, rtol=0.05)
    draws = join_kernels([regions, difference, regions + regions]).draws(30, SEED)
    np.testing.assert_allclose(draws[4:6], draws[2:4] - draws[:2], atol=1e-6)
    np.testing.assert_allclose(draws[6:], 2 * draws[:4], rtol=1e-4, atol=1e-7)


def test_kernels_of_other_models_join_on_all_their_frequencies():
    first, second = Listeners(n_layers=1), Listeners(n_layers=1, seed=1)
    weights = some_weights(first)[-1:]
    one = linear_music_kernel(*first.arguments, weights, lost=1e-2)
    two = linear_music_kernel(*second.arguments, weights, lost=1e-3)
    assert [len(k) for k in one.frequencies] != [len(k) for k in two.frequencies]
    wanted = one.draws(40, SEED) - two.draws(40, SEED)
    np.testing.assert_allclose((one - two).draws(40, SEED), wanted, atol=1e-5 * one.sd[0])
    # The stimuli in another order.
    swapped = type(two)(
        two.labels[::-1],
        two.frequencies[::-1],
        {(2 - c, 2 - b): np.swapaxes(block, 1, 2) for (b, c), block in two.blocks.items()},
    )
    np.testing.assert_allclose((one - swapped).draws(40, SEED), wanted, atol=1e-5 * one.sd[0])
    alone = linear_music_null(*first.arguments, weights, observed=[0.0], n_draws=40, seed=SEED)
    assert (one - two).sd[0] > 1.2 * alone.sd[0]


def test_few_frequencies_carry_the_null():
    listeners = Listeners(n_layers=1, lengths=(150, 151, 200))
    weights = some_weights(listeners)
    few, most = (
        linear_music_kernel(*listeners.arguments, weights, lost=lost) for lost in (1e-3, 1e-7)
    )
    n_few, n_most = (sum(len(kept) for kept in one.frequencies) for one in (few, most))
    assert n_few < 0.7 * n_most
    np.testing.assert_allclose(few.sd, most.sd, rtol=0.01)
    assert all(kept.max() <= 100 and kept.min() >= 1 for kept in most.frequencies)


def test_ratio_widens_draws_and_raises_p():
    listeners = Listeners()
    weights = some_weights(listeners)
    result = linear_music_null(*listeners.arguments, weights, n_draws=200, seed=SEED)
    wider = result.scaled(0.8)
    np.testing.assert_allclose(wider.sd, result.sd / 0.8)
    np.testing.assert_allclose(wider.draws, result.draws / np.float32(0.8), rtol=1e-6)
    beyond = (np.abs(result.draws / 0.8) >= np.abs(result.observed)[:, None]).sum(axis=1)
    np.testing.assert_allclose(wider.p, (1 + beyond) / 201)
    assert np.all(wider.p >= result.p)
    each = result.scaled([1.0, 0.5, 2.0])
    assert each.p[0] == result.p[0]
    # Nothing is narrowed.
    np.testing.assert_allclose(each.sd, result.sd / [1, 0.5, 1])
    np.testing.assert_array_equal(each.draws[2], result.draws[2])
    np.testing.assert_allclose(each.p_max(), result.scaled([1, 0.5, 2]).p_max())
    for wrong in (0.0, np.nan):
        with pytest.raises(UsageError, match="positive"):
            result.scaled([1.0, wrong, 1.0])


def test_largest_z_corrects_over_summaries():
    listeners = Listeners()
    weights = some_weights(listeners)
    observed = np.array([0.4, -0.9, np.nan])
    result = linear_music_null(
        *listeners.arguments, weights, observed=observed, n_draws=300, seed=SEED
    )
    z = np.abs(result.draws / result.sd[:, None])
    largest = z.max(axis=0)
    wanted = (1 + (largest >= np.abs(observed[:2] / result.sd[:2])[:, None]).sum(axis=1)) / 301
    np.testing.assert_allclose(result.p_max()[:2], wanted)
    assert np.isnan(result.p_max()[2])
    assert np.isnan(result.p[2])
    assert np.all(result.p_max()[:2] >= result.p[:2])


def test_lazy_plans_are_asked_for_in_turn():
    listeners = Listeners()
    weights = some_weights(listeners)
    asked = []

    class Lazy:
        def __len__(self):
            return len(listeners.plans)

        def __getitem__(self, layer):
            asked.append(layer)
            return listeners.plans[layer]

    wanted = linear_music_kernel(*listeners.arguments, weights)
    found = linear_music_kernel(Lazy(), listeners.responses, listeners.alphas, weights)
    np.testing.assert_array_equal(found.sd, wanted.sd)
    assert asked.count(1) <= 3


def test_what_does_not_fit_is_named():
    listeners = Listeners(late=1)
    plans, responses, alphas = listeners.arguments
    weights = some_weights(listeners)
    call = {"n_draws": 10, "seed": SEED}
    with pytest.raises(UsageError, match="clock"):
        linear_music_null(plans, responses, alphas, weights, **call)
    with pytest.raises(UsageError, match="clock"):
        linear_music_null(plans, responses, alphas, weights, clock_of=[0, 0, 2, 1], **call)
    call["clock_of"] = listeners.clock_of
    with pytest.raises(BadDataError, match=r"responses\[2\]\[0\]"):
        linear_music_null(plans, [responses[0]] * 4, alphas, weights, **call)
    with pytest.raises(BadDataError, match="alphas"):
        linear_music_null(plans, responses, alphas[:, :, :2], weights, **call)
    with pytest.raises(BadDataError, match="weights"):
        linear_music_null(plans, responses, alphas, weights[:, :3], **call)
    with pytest.raises(BadDataError, match="observed"):
        linear_music_null(plans, responses, alphas, weights, observed=[1.0], **call)
    with pytest.raises(BadDataError, match="source of phases"):
        linear_music_null(plans, responses, alphas, weights, checksums=["x", "y", "x"], **call)
    with pytest.raises(BadDataError, match="no checksum"):
        linear_music_null(plans, responses, alphas, weights, checksums={"a": "x"}, **call)
    with pytest.raises(UsageError, match="n_draws"):
        linear_music_null(plans, responses, alphas, weights, **{**call, "n_draws": 0})
    with pytest.raises(UsageError, match="share"):
        linear_music_null(plans, responses, alphas, weights, lost=1.0, **call)
    with pytest.raises(BadDataError, match="sets"):
        layer_set_kernels(plans, responses, alphas, np.zeros(3, int), clock_of=[0, 0, 1, 1])
    with pytest.raises(BadDataError, match="coefficients"):
        linear_music_kernel(plans, responses, alphas, weights, clock_of=listeners.clock_of).combine(
            [[1, 1]]
        )
