"""Unique accuracy over music: the null of the difference of two models' resolution matrices."""

from __future__ import annotations

import numpy as np

from bids_app.encoding.gram import feature_gram
from bids_app.encoding.joint import candidate_weights, fit_joint, plan_joint
from bids_app.group import music_refits, vertex_null_sd
from bids_app.group.music_side import penalty_positions
from bids_app.seeds import generator, random_phases

LENGTHS = (90, 120, 100)


def smooth(rng, n_times, n_columns):
    """Slow series, as responses and features are."""
    white = rng.standard_normal((n_times + 8, n_columns))
    return sum(white[k : k + n_times] for k in range(8))


def test_null_of_unique_accuracy_is_that_of_refits_with_both_models():
    rng = np.random.default_rng(0)
    shared = [smooth(rng, n, 6) for n in LENGTHS]
    spaces = {
        "low": [np.concatenate([x, smooth(rng, len(x), 4)], axis=1) for x in shared],
        "layer": [np.concatenate([x, smooth(rng, len(x), 4)], axis=1) for x in shared],
    }
    responses = [smooth(rng, n, 40) for n in LENGTHS]
    plan = plan_joint(
        {name: feature_gram(parts) for name, parts in spaces.items()},
        LENGTHS,
        weights=candidate_weights(2, 6, generator(1, "candidates")),
        delays=(2.0, 5.0),
        crop=6.0,
        tr=1.0,
        alphas=np.logspace(-1, 4, 8),
        dtype=np.float64,
    )
    joint = fit_joint(plan, responses, leave_out=["layer"])
    choices = plan.choices
    alphas = np.stack(
        [
            choices.chosen(joint.candidate, joint.alpha),
            choices.chosen(joint.reduced_candidate[0], joint.reduced_alpha[0]),
        ]
    )[np.newaxis]

    def phases(draw, segment, n_freq):
        return np.zeros(n_freq) if draw == 0 else random_phases(3, str(segment), draw, n_freq)

    draws = music_refits(
        [choices, choices],
        [responses],
        lambda r, _: r[:, 0],
        phases=phases,
        n_draws=301,
        penalties=penalty_positions(alphas, choices.alphas).astype(int),
        lost=1e-6,
    )
    # Without rotation the refits are the fits.
    np.testing.assert_allclose(draws[0, 0], joint.mean_r, atol=1e-3)
    np.testing.assert_allclose(draws[0, 1], joint.reduced_r[0], atol=1e-3)
    weights = np.broadcast_to([[[[1.0], [-1.0]]]], (1, 1, 2, 40))
    sd = vertex_null_sd([choices, choices], [responses], alphas, weights)[0]
    unique = draws[1:, 0] - draws[1:, 1]
    same = (alphas[0, 0] == alphas[0, 1]).all(axis=0)
    assert (~same).sum() > 5
    np.testing.assert_allclose(unique[:, same], 0, atol=1e-6)
    np.testing.assert_allclose(sd[same], 0, atol=1e-4)
    ratio = sd[~same] / unique.std(axis=0)[~same]
    assert 0.88 < np.median(ratio) < 1.08
    # Separate nulls say nothing about the difference: both accuracies move together.
    apart = np.sqrt((draws[1:] ** 2).mean(axis=0).sum(axis=0))[~same]
    assert np.median(apart / unique.std(axis=0)[~same]) > 1.3


def test_choices_are_numbered_by_candidate_and_penalty():
    rng = np.random.default_rng(1)
    grams = {name: feature_gram([smooth(rng, n, 3) for n in LENGTHS]) for name in "ab"}
    alphas = np.logspace(0, 2, 3)
    plan = plan_joint(
        grams, LENGTHS, weights=np.eye(2), delays=(2.0, 5.0), crop=6.0, tr=1.0, alphas=alphas
    )
    candidate = np.array([[0, 1, -1, 1]])
    chosen = plan.choices.chosen(candidate, np.array([[1.0, 10.0, np.nan, 100.0]]))
    np.testing.assert_array_equal(chosen, [[1, 5, np.nan, 6]])
    first = plan.choices.resolution.make(0, 4)[0]
    np.testing.assert_array_equal(first, plan.plans[1].resolution.make(0, 1)[0])
