"""Standard deviations over music at every vertex."""

import numpy as np
import pytest
from music_brute import ALPHAS, Listeners, draws_by_refit, participant_sd
from scipy import special, stats

from bids_app.encoding import fit_encoding
from bids_app.errors import BadDataError
from bids_app.group import (
    VertexMusicNull,
    accuracy_music_null,
    linear_music,
    linear_music_kernel,
    sign_flip_max_t,
    vertex_music,
    vertex_music_null,
    vertex_null_sd,
)

SEED = 7
CASES = {
    "three pieces": {},
    "repeats": {"lengths": (46, 61, 80, 46), "stimuli": "abca"},
    "two clocks": {"late": 1},
    "contiguous pieces": {"lengths": (150,), "n_participants": 2},
}


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    """Bases that leave out nothing, so that two ways agree."""
    monkeypatch.setattr(linear_music, "TOLERANCE", 1e-8)
    monkeypatch.setattr(vertex_music, "_TOLERANCE", 1e-8)


def at_each_vertex(weights):
    """Maps (n_maps, ...) as one summary per map and vertex."""
    n_vertices = weights.shape[-1]
    return np.concatenate([one * np.eye(n_vertices)[:, None, None] for one in weights])


def accuracy_weights(listeners):
    """Mean over participants, one map per layer."""
    n_participants, n_layers, n_vertices = listeners.shape
    weights = np.zeros((n_layers, n_participants, n_layers, n_vertices))
    weights[np.arange(n_layers), :, np.arange(n_layers)] = 1 / n_participants
    return weights


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("others", [False, True], ids=["own", "others"])
def test_map_is_that_of_one_summary_per_vertex(case, others):
    listeners = Listeners(**CASES[case], n_vertices=9)
    options = {"clock_of": listeners.clock_of, "lost": 1e-5}
    options["training"] = listeners.means_of_others() if others else None
    weights = np.random.default_rng(0).normal(size=(2, *listeners.shape))
    found = vertex_null_sd(*listeners.arguments, weights, **options)
    wanted = linear_music_kernel(*listeners.arguments, at_each_vertex(weights), **options)
    np.testing.assert_allclose(found.ravel(), wanted.sd, rtol=1e-3)


def test_slope_and_accuracy_at_a_vertex_are_nearly_as_wide_as_in_refits():
    listeners = Listeners(n_layers=3, n_vertices=6, lengths=(60, 71, 70))
    slope = np.zeros((1, *listeners.shape))
    slope[0] = np.array([-1, 0, 1])[None, :, None] / 4
    weights = np.concatenate([slope, accuracy_weights(listeners)[:1]])
    sd = vertex_null_sd(*listeners.arguments, weights)
    refit, closed = draws_by_refit(listeners, at_each_vertex(weights), SEED, 200)
    # 200 draws give a standard deviation to 5 %; over six vertices, to about 3 %.
    ratio = [sd / draws.std(axis=1).reshape(2, 6) for draws in (refit, closed)]
    assert 0.8 < np.median(ratio[0][0]) < 1.05
    assert 0.92 < np.median(ratio[0][1]) < 1.08
    assert 0.92 < np.median(ratio[1]) < 1.08
    null = accuracy_music_null(*listeners.arguments, np.zeros((3, 6)))
    assert 0.88 < np.median(null.sd[0] / refit[6:].std(axis=1)) < 1.12


def test_weights_decide_where_there_is_a_map_and_chunks_do_not(monkeypatch):
    listeners = Listeners(n_vertices=40)
    weights = np.random.default_rng(0).normal(size=(2, *listeners.shape))
    weights[:, :, :, 5] = 0
    weights[1, :, :, :10] = np.nan
    listeners.responses[2][1][:, 7] = np.nan
    for hearing in range(3):
        for one in listeners.responses:
            one[hearing][4, 20] = np.inf
    wanted = vertex_null_sd(*listeners.arguments, weights)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(wanted[0])), [5, 20])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(wanted[1])), [*range(10), 20])
    called = vertex_null_sd(*listeners.arguments, lambda part: weights[..., part])
    np.testing.assert_array_equal(called, wanted)
    monkeypatch.setattr(vertex_music, "_CHUNK", 7)
    small = vertex_null_sd(*listeners.arguments, weights, n_threads=2)
    np.testing.assert_allclose(small, wanted, rtol=1e-5)
    without = weights.copy()
    without[:, 2, :, 7] = 0
    np.testing.assert_allclose(
        vertex_null_sd(*listeners.arguments, without)[:, 7], wanted[:, 7], rtol=1e-3
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("others", [False, True], ids=["own", "others"])
def test_accuracy_is_the_map_of_the_mean_with_one_penalty_for_all(case, others):
    # One participant on a clock: there is no mean of norms.
    number = 2 if "late" in CASES[case] else 1
    listeners = Listeners(**{**CASES[case], "n_participants": number}, n_vertices=9)
    listeners.alphas[:] = listeners.alphas[:1, :, :1]
    options = {"clock_of": listeners.clock_of, "lost": 1e-5}
    if others:
        rng = np.random.default_rng(4)
        options["training"] = [
            [y + rng.normal(size=y.shape) for y in one] for one in listeners.responses
        ]
    found = accuracy_music_null(*listeners.arguments, np.zeros((2, 9)), **options)
    wanted = vertex_null_sd(*listeners.arguments, accuracy_weights(listeners), **options)
    np.testing.assert_allclose(found.sd, wanted, rtol=1e-3)


def test_accuracy_with_own_penalties_and_norms_is_nearly_the_same():
    listeners = Listeners(n_participants=6, n_vertices=30).fit()
    found = accuracy_music_null(*listeners.arguments, np.zeros((2, 30)))
    wanted = vertex_null_sd(*listeners.arguments, accuracy_weights(listeners))
    ratio = found.sd / wanted
    assert 0.93 < np.median(ratio) < 1.07
    assert 0.75 < ratio.min() < ratio.max() < 1.3


def test_one_participant_has_the_null_of_the_participant_level():
    listeners = Listeners(n_participants=1, n_layers=1, n_vertices=40)
    listeners.alphas[:] = ALPHAS[4]
    wanted = participant_sd(listeners.plans[0], listeners.responses[0], 4)
    result = accuracy_music_null(*listeners.arguments, np.zeros((1, 40)), lost=1e-5)
    np.testing.assert_allclose(result.sd[0], wanted, rtol=1e-4)
    np.testing.assert_array_equal(result.n, 1)


def test_both_ways_to_the_accuracy_agree(monkeypatch):
    listeners = Listeners()
    mean_r = np.full((2, 12), 0.1)
    wanted = accuracy_music_null(*listeners.arguments, mean_r)
    # The same plans on two clocks: norms are averaged over half of the participants.
    plans, responses, alphas = listeners.arguments
    clocks = accuracy_music_null([plans, plans], responses, alphas, mean_r, clock_of=[0, 0, 1, 1])
    np.testing.assert_allclose(clocks.sd, wanted.sd, rtol=0.03)
    monkeypatch.setattr(vertex_music, "_by_powers", vertex_music._by_blocks)
    other = accuracy_music_null(*listeners.arguments, mean_r)
    np.testing.assert_allclose(other.sd, wanted.sd, rtol=1e-5)


def test_the_median_penalty_stands_for_all():
    listeners = Listeners(n_participants=3)
    rng = np.random.default_rng(2)
    listeners.alphas = ALPHAS[rng.integers(0, 7, size=listeners.alphas.shape)]
    listeners.alphas[1, :, :, 4] = np.nan
    listeners.alphas[0, 0, 1, 5] = np.nan
    logs = np.sort(np.log(listeners.alphas).swapaxes(1, 2).reshape(9, 2, 12), axis=0)
    count = np.isfinite(logs).sum(axis=0)
    median = np.exp(np.take_along_axis(logs, (count[None] - 1) // 2, axis=0)[0])
    common = np.broadcast_to(median[None, :, None], listeners.alphas.shape)
    wanted = accuracy_music_null(listeners.plans, listeners.responses, common, np.zeros((2, 12)))
    found = accuracy_music_null(*listeners.arguments, np.zeros((2, 12)))
    np.testing.assert_allclose(found.sd, wanted.sd, rtol=1e-6)
    # Off the grid by rounding.
    nearly = (listeners.alphas * 1.001).astype(np.float32)
    again = accuracy_music_null(listeners.plans, listeners.responses, nearly, np.zeros((2, 12)))
    np.testing.assert_array_equal(again.sd, found.sd)


def test_missing_participants_do_not_count():
    listeners = Listeners(n_participants=5, n_layers=1, n_vertices=10)
    listeners.responses[3][1][20, 4] = np.nan
    listeners.responses[4][2][:, 6] = 2.0
    for one in listeners.responses:
        one[0][:, 9] = np.nan
    result = accuracy_music_null(*listeners.arguments, np.full((1, 10), 0.1))
    assert result.n.tolist() == [5, 5, 5, 5, 4, 5, 4, 5, 5, 0]
    keep = [0, 1, 2, 4]
    without = accuracy_music_null(
        listeners.plans,
        [listeners.responses[p] for p in keep],
        # The median over participants is the same.
        np.broadcast_to(ALPHAS[3], (4, 1, 3, 10)),
        np.full((1, 10), 0.1),
    )
    listeners.alphas[:] = ALPHAS[3]
    result = accuracy_music_null(*listeners.arguments, np.full((1, 10), 0.1))
    np.testing.assert_allclose(result.sd[0, 4], without.sd[0, 4], rtol=0.01)
    assert np.isnan([result.sd[0, 9], result.p[0, 9], result.q[0, 9]]).all()


def test_p_and_q_follow_from_the_mean_layer_by_layer():
    listeners = Listeners(n_vertices=30)
    mean_r = np.random.default_rng(0).normal(0.1, 0.1, size=(2, 30))
    result = accuracy_music_null(*listeners.arguments, mean_r)
    np.testing.assert_allclose(result.p, stats.norm.sf(mean_r / result.sd))
    for p, q in zip(result.p, result.q, strict=True):
        np.testing.assert_allclose(q, stats.false_discovery_control(p))


def test_scale_order_and_threads_do_not_matter():
    listeners = Listeners(n_vertices=150)
    mean_r = np.zeros((2, 150))
    one = accuracy_music_null(*listeners.arguments, mean_r)
    moved = [[9 * y + 4 for y in own] for own in listeners.responses[::-1]]
    two = accuracy_music_null(listeners.plans, moved, listeners.alphas[::-1], mean_r, n_threads=3)
    np.testing.assert_allclose(two.sd, one.sd, rtol=1e-4)


def test_a_shared_response_widens_the_null():
    few, many = (
        accuracy_music_null(
            *Listeners(n_participants=12, n_layers=1, shared=shared).arguments, np.zeros((1, 12))
        ).sd
        for shared in (0.0, 0.5)
    )
    assert np.median(many) > 1.5 * np.median(few)


def test_shapes_are_named():
    listeners = Listeners()
    with pytest.raises(BadDataError, match="mean_r"):
        accuracy_music_null(*listeners.arguments, np.zeros((2, 4)))
    with pytest.raises(BadDataError, match="weights"):
        vertex_null_sd(*listeners.arguments, np.zeros((1, 4, 2, 3)))


@pytest.mark.slow
def test_flips_over_reject_where_responses_are_shared_and_both_claims_do_not():
    people, music, both = [], [], []
    for seed in range(10):
        listeners = Listeners(n_participants=16, n_layers=1, n_vertices=150, shared=0.5, seed=seed)
        fits = [fit_encoding(listeners.plans[0], y, null="none") for y in listeners.responses]
        alphas = np.stack([fit.alpha for fit in fits])[:, None]
        z = np.arctanh([fit.mean_r for fit in fits])
        flips = sign_flip_max_t(z, n_permutations=999, seed=seed).p_uncorrected < 0.05
        mean_r = np.tanh(z.mean(axis=0))[None]
        null = accuracy_music_null(listeners.plans, listeners.responses, alphas, mean_r)
        claims = null.p[0] < 0.05
        people.append(flips.mean())
        music.append(claims.mean())
        both.append((flips & claims).mean())
    assert np.mean(people) > 0.10
    assert np.mean(both) < 0.08
    assert np.mean(music) < 0.10


@pytest.mark.parametrize(("tail", "size"), [("two-sided", np.abs), ("greater", np.asarray)])
@pytest.mark.parametrize("case", CASES)
def test_largest_z_is_that_of_the_draws_of_every_vertex(case, tail, size):
    listeners = Listeners(**CASES[case], n_vertices=9)
    options = {"clock_of": listeners.clock_of, "lost": 1e-5}
    weights = np.random.default_rng(0).normal(size=(2, *listeners.shape))
    inside = np.arange(9) < 7
    found = vertex_music_null(
        *listeners.arguments, weights, tail=tail, inside=inside, n_draws=40, seed=SEED, **options
    )
    kernel = linear_music_kernel(*listeners.arguments, at_each_vertex(weights), **options)
    draws = size(kernel.draws(40, SEED).reshape(2, 9, 40)[:, inside])
    wanted = (draws / kernel.sd.reshape(2, 9)[:, inside, np.newaxis]).max(axis=1)
    np.testing.assert_allclose(found.largest, wanted, rtol=5e-3)
    z = (draws / kernel.sd.reshape(2, 9)[:, inside, np.newaxis]).reshape(2, -1)
    share = (z >= 1.0).mean(axis=1)
    np.testing.assert_allclose(found.beyond[:, 10], share, atol=0.02)
    np.testing.assert_allclose(found.sd.ravel(), kernel.sd, rtol=1e-3)


def test_p_of_tails_are_shares_of_the_draws_and_go_on_beyond_them():
    """Of draws that are normal, or longer in the tail; ten million values."""
    steps = 0.1 * np.arange(100)
    beyond = np.stack([2 * special.ndtr(-steps), 2 * stats.t.sf(steps, 8)])
    null = VertexMusicNull(np.ones((2, 1)), np.ones((2, 1)), beyond, 50 / 1e7)
    z = np.array([[0.0, -1.96, 3.3, 6.0, np.nan]] * 2)
    p = null.tail_p(z)
    assert np.isnan(p[:, 4]).all()
    np.testing.assert_allclose(p[0, :3], 2 * special.ndtr(-np.abs(z[0, :3])), rtol=0.02)
    np.testing.assert_allclose(p[1, :4], 2 * stats.t.sf(np.abs(z[1, :4]), 8), rtol=0.4)
    assert 2 * special.ndtr(-6.0) < p[0, 3] < 1e-6


@pytest.mark.parametrize("case", CASES)
def test_largest_z_of_layers_is_that_of_their_draws(case):
    # One participant on a clock, one penalty: there is no mean of norms.
    number = 2 if "late" in CASES[case] else 1
    listeners = Listeners(**{**CASES[case], "n_participants": number}, n_vertices=9)
    listeners.alphas[:] = listeners.alphas[:1, :, :1]
    options = {"clock_of": listeners.clock_of, "lost": 1e-5}
    inside = np.arange(9) < 7
    found = accuracy_music_null(
        *listeners.arguments, np.zeros((2, 9)), inside=inside, n_draws=40, seed=SEED, **options
    )
    wanted = vertex_music_null(
        *listeners.arguments,
        accuracy_weights(listeners),
        tail="greater",
        inside=inside,
        n_draws=40,
        seed=SEED,
        **options,
    )
    np.testing.assert_allclose(found.largest, wanted.largest.max(axis=0), rtol=5e-3)
    assert not accuracy_music_null(*listeners.arguments, np.zeros((2, 9)), **options).largest.size
