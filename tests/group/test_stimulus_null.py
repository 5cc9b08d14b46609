"""The null of the group mean over music."""

import numpy as np
import pytest

from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.errors import BadDataError
from bids_app.group import (
    PredictionModel,
    median_penalty,
    refit_stimulus_null,
    stimulus_null,
)
from bids_app.seeds import random_phases

LENGTHS = [46, 61, 80]
ALPHAS = np.logspace(-2, 4, 7)


def colored(rng, shape, rho):
    series = rng.normal(size=shape)
    for t in range(1, len(series)):
        series[t] += rho * series[t - 1]
    return series


def simulate(n_participants, n_vertices, shared, seed=0, alphas=ALPHAS):
    """Responses without relation to the features, part of them common to everybody."""
    rng = np.random.default_rng(seed)
    features = [colored(rng, (n, 20), 0.9) for n in LENGTHS]
    stacked = np.vstack([f - f.mean(axis=0) for f in features])
    plan = plan_encoding(stacked @ stacked.T, LENGTHS, delays=(0, 3), crop=2, tr=1.0, alphas=alphas)
    responses = []
    for n in LENGTHS:
        common = colored(rng, (n, n_vertices), 0.8)
        own = np.stack([colored(rng, (n, n_vertices), 0.8) for _ in range(n_participants)])
        responses.append(np.sqrt(shared) * common + np.sqrt(1 - shared) * own)
    return plan, responses


def model_of(plan):
    resolution = plan.resolution
    return PredictionModel(
        resolution.matrices,
        resolution.sources,
        resolution.fold_of,
        [segment.size for segment in plan.segments],
    )


def kept(plan, responses):
    return [
        y[:, segment.start : segment.stop]
        for y, segment in zip(responses, plan.segments, strict=True)
    ]


def fitted(plan, responses):
    fits = [fit_encoding(plan, [y[s] for y in responses]) for s in range(len(responses[0]))]
    alphas = np.stack([fit.alpha for fit in fits])
    index = np.abs(np.log(alphas)[..., np.newaxis] - np.log(ALPHAS)).argmin(axis=-1)
    return np.stack([fit.r for fit in fits]), index


def test_one_participant_has_the_null_of_the_participant_level():
    # Kept rows of both even and odd number.
    plan, responses = simulate(1, 40, 0.0, alphas=[100.0])
    assert {segment.size % 2 for segment in plan.segments} == {0, 1}
    wanted = fit_encoding(plan, [y[0] for y in responses]).null_sd
    result = stimulus_null(
        kept(plan, responses), [model_of(plan)], np.zeros((1, 40), dtype=int), np.zeros((1, 40))
    )
    np.testing.assert_allclose(result.sd[0], wanted, rtol=1e-4)
    np.testing.assert_allclose(result.p, 0.5)


def drawn_phases(draw, segment, n_freq):
    return random_phases(5, "abc"[segment], draw, n_freq)


@pytest.mark.parametrize("shared", [0.0, 0.4])
def test_standard_deviation_agrees_with_refits(shared):
    plan, responses = simulate(8, 120, shared)
    _, index = fitted(plan, responses)
    model, cut = model_of(plan), kept(plan, responses)
    penalty = median_penalty(ALPHAS[index].reshape(-1, 120), ALPHAS)
    result = stimulus_null(cut, [model], penalty[np.newaxis], np.zeros((1, 120)))
    draws = refit_stimulus_null(cut, model, index, n_draws=300, phases=drawn_phases)
    ratio = result.sd[0] / draws.std(axis=0)
    assert 0.94 < np.median(ratio) < 1.07
    # The draws' own standard deviations are good to 4 %.
    assert 0.8 < np.quantile(ratio, 0.05) < np.quantile(ratio, 0.95) < 1.25
    assert np.abs(draws.mean(axis=0) / draws.std(axis=0)).mean() < 0.12
    assert 0.035 < (draws > 1.645 * result.sd[0]).mean() < 0.065


def test_refits_turn_everybody_by_the_phases_they_are_given():
    plan, responses = simulate(3, 20, 0.3)
    model, cut = model_of(plan), kept(plan, responses)
    index = np.full((3, 3, 20), 3)
    asked = []

    def phases(draw, segment, n_freq):
        asked.append((draw, segment, n_freq))
        return drawn_phases(draw, segment, n_freq)

    group = refit_stimulus_null(cut, model, index, n_draws=4, phases=phases)
    assert asked == [(d, s, segment.size // 2) for d in range(4) for s, segment in _numbered(plan)]
    # One at a time, and fewer draws: the same phases, hence the same null.
    alone = [
        refit_stimulus_null(
            [y[k : k + 1] for y in cut], model, index[k : k + 1], n_draws=2, phases=phases
        )
        for k in range(3)
    ]
    np.testing.assert_allclose(np.mean(alone, axis=0), group[:2], rtol=1e-4, atol=1e-6)


def _numbered(plan):
    return list(enumerate(plan.segments))


def test_a_shared_response_widens_the_null_beyond_independent_participants():
    sd = {}
    for shared in (0.0, 0.5):
        plan, responses = simulate(12, 60, shared)
        sd[shared] = np.median(
            stimulus_null(
                kept(plan, responses), [model_of(plan)], np.full((1, 60), 4), np.zeros((1, 60))
            ).sd
        )
    assert sd[0.5] > 1.5 * sd[0.0]


def test_p_and_q_follow_from_the_group_mean_layer_by_layer():
    plan, responses = simulate(4, 30, 0.2)
    model, cut = model_of(plan), kept(plan, responses)
    penalty = np.repeat([[2], [5]], 30, axis=1)
    mean_r = np.full((2, 30), 0.2)
    result = stimulus_null(cut, [model, model], penalty, mean_r)
    alone = stimulus_null(cut, [model], penalty[1:], mean_r[1:])
    np.testing.assert_allclose(result.sd[1], alone.sd[0])
    from scipy import stats

    np.testing.assert_allclose(result.p, stats.norm.sf(0.2 / result.sd))
    np.testing.assert_allclose(result.q[0], stats.false_discovery_control(result.p[0]))


def test_threads_scale_and_order_do_not_matter():
    plan, responses = simulate(3, 300, 0.2)
    model, cut = model_of(plan), kept(plan, responses)
    penalty, mean_r = np.full((1, 300), 3), np.full((1, 300), 0.1)
    one = stimulus_null(cut, [model], penalty, mean_r)
    two = stimulus_null([9 * y[::-1] + 4 for y in cut], [model], penalty, mean_r, n_threads=2)
    np.testing.assert_allclose(two.sd, one.sd, rtol=1e-4)


def test_missing_participants_do_not_count():
    plan, responses = simulate(5, 10, 0.2)
    model = model_of(plan)
    responses[1][3, 20, 4] = np.nan
    responses[2][4, :, 6] = 2.0
    responses[0][:, :, 9] = np.nan
    penalty, mean_r = np.full((1, 10), 3), np.full((1, 10), 0.1)
    result = stimulus_null(kept(plan, responses), [model], penalty, mean_r)
    assert result.n.tolist() == [5, 5, 5, 5, 4, 5, 4, 5, 5, 0]
    without = stimulus_null(
        [np.delete(y, 3, axis=0) for y in kept(plan, responses)], [model], penalty, mean_r
    )
    np.testing.assert_allclose(result.sd[0, 4], without.sd[0, 4], rtol=1e-5)
    assert np.isnan([result.sd[0, 9], result.p[0, 9]]).all()


def test_median_penalty_is_the_nearest_of_the_grid_and_ignores_missing():
    alphas = np.array([[1.0, np.nan, np.nan], [100, 10, np.nan], [9, 10, np.nan]])
    np.testing.assert_array_equal(median_penalty(alphas, [1, 10, 100]), [1, 1, 0])


def test_other_lengths_and_shapes_are_named():
    plan, responses = simulate(3, 8, 0.2)
    model, cut = model_of(plan), kept(plan, responses)
    one = np.zeros((1, 8), dtype=int)
    with pytest.raises(BadDataError, match="lengths"):
        stimulus_null(responses, [model], one, one)
    with pytest.raises(BadDataError, match="penalty"):
        stimulus_null(cut, [model], one[:, :4], one)
    with pytest.raises(BadDataError, match=r"responses\[1\]"):
        stimulus_null([cut[0], cut[1][:2], cut[2]], [model], one, one)


@pytest.mark.slow
def test_sign_flips_over_reject_with_a_shared_response_and_both_claims_do_not():
    from bids_app.group import sign_flip_max_t

    people, music, both = [], [], []
    for seed in range(10):
        plan, responses = simulate(16, 150, 0.5, seed)
        r, index = fitted(plan, responses)
        z = np.arctanh(r).mean(axis=1)
        flips = sign_flip_max_t(z, n_permutations=999, seed=seed).p_uncorrected < 0.05
        penalty = median_penalty(ALPHAS[index].reshape(-1, 150), ALPHAS)
        null = stimulus_null(
            kept(plan, responses),
            [model_of(plan)],
            penalty[np.newaxis],
            np.tanh(z.mean(axis=0))[np.newaxis],
        )
        claims = null.p[0] < 0.05
        people.append(flips.mean())
        music.append(claims.mean())
        both.append((flips & claims).mean())
    assert np.mean(people) > 0.10
    assert np.mean(both) < 0.08
    assert np.mean(music) < 0.10
