"""Several spaces in one model: the engine, himalaya, shares, and what a space adds."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from scipy.signal import lfilter

from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.encoding.gram import feature_gram
from bids_app.encoding.joint import (
    candidate_weights,
    fit_joint,
    plan_joint,
    predict_joint,
    score_candidates,
)
from bids_app.encoding.joint_plan import weights_beyond
from bids_app.encoding.responses import standardize
from bids_app.errors import MusencError
from bids_app.statistics import fisher_mean

LENGTHS = (70, 90, 120)
SETTINGS = {"delays": (2.0, 6.0), "crop": 8.0, "tr": 1.0, "alphas": np.logspace(-3, 5, 20)}


def autoregressive(rng, n_times, n_columns, coefficient=0.7):
    return lfilter([1], [1, -coefficient], rng.standard_normal((n_times, n_columns)), axis=0)


def spaces_of(rng, names="abc", n_units=6):
    """Independent spaces, one list of arrays each."""
    return {name: [autoregressive(rng, n, n_units) for n in LENGTHS] for name in names}


def responses_to(rng, spaces, driving, n_vertices=40, noise=3.0):
    """Responses at delay 4 to some of the spaces."""
    out = [noise * autoregressive(rng, n, n_vertices, 0.5) for n in LENGTHS]
    for name in driving:
        loads = rng.standard_normal((spaces[name][0].shape[1], n_vertices))
        for y, x in zip(out, spaces[name], strict=True):
            y += np.roll(x, 4, axis=0) @ loads
    return out


def grams_of(spaces):
    return {name: feature_gram(parts) for name, parts in spaces.items()}


def joint_of(spaces, weights, **options):
    return plan_joint(grams_of(spaces), LENGTHS, weights=weights, **SETTINGS | options)


def weights_of(n_spaces, n_candidates=12, seed=0):
    return candidate_weights(n_spaces, n_candidates, np.random.default_rng(seed))


@pytest.mark.parametrize("n_spaces", [1, 2, 3, 5])
def test_candidates_hold_those_of_every_smaller_model(n_spaces):
    weights = weights_of(n_spaces, 20)
    assert len(weights) == (1 if n_spaces == 1 else 20)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert len(np.unique(weights, axis=0)) == len(weights)
    np.testing.assert_array_equal(weights[:n_spaces], np.eye(n_spaces))
    assert (weights == 1 / n_spaces).all(axis=1).any()
    for space in range(n_spaces if n_spaces > 2 else 0):
        without = weights[weights[:, space] == 0]
        assert ((without > 0).sum(axis=1) == n_spaces - 1).sum() >= 2
        assert len(without) >= n_spaces


def test_candidates_beyond_hold_each_rival_with_and_without_the_space():
    low = weights_of(4, 10)
    weights = weights_beyond(low, np.random.default_rng(1))
    np.testing.assert_array_equal(weights[:10, :4], low)
    assert (weights[:10, 4] == 0).all()
    np.testing.assert_array_equal(weights[10], [0, 0, 0, 0, 1])
    with_space = weights[11:]
    np.testing.assert_allclose(with_space[:, :4] / (1 - with_space[:, 4:]), low)
    steps = np.sort(np.floor(with_space[:, 4] * 10))
    np.testing.assert_array_equal(steps, np.arange(10))


def test_same_seed_same_candidates_and_too_few_are_refused():
    np.testing.assert_array_equal(weights_of(3, 20, 4), weights_of(3, 20, 4))
    assert not np.array_equal(weights_of(3, 20, 4), weights_of(3, 20, 5))
    with pytest.raises(MusencError, match="fewer candidates"):
        weights_of(4, 8)


def test_one_space_equals_the_engine():
    rng = np.random.default_rng(1)
    spaces = spaces_of(rng, "a")
    responses = responses_to(rng, spaces, "a")
    engine = fit_encoding(
        plan_encoding(feature_gram(spaces["a"]), LENGTHS, **SETTINGS), responses, null="none"
    )
    joint = fit_joint(joint_of(spaces, weights_of(1)), responses)
    np.testing.assert_array_equal(joint.alpha, engine.alpha)
    np.testing.assert_allclose(joint.r, engine.r, atol=1e-6)
    np.testing.assert_allclose(joint.mean_r, engine.mean_r, atol=1e-6)
    np.testing.assert_allclose(joint.share[0], joint.mean_r, atol=1e-12)
    np.testing.assert_array_equal(joint.unique[0], joint.mean_r)  # without it there is nothing


def test_corners_only_choose_the_best_single_space():
    rng = np.random.default_rng(2)
    spaces = spaces_of(rng, "ab")
    halves = [
        np.concatenate(both, axis=1)
        for both in zip(
            responses_to(rng, spaces, "a", 20), responses_to(rng, spaces, "b", 20), strict=True
        )
    ]
    joint = fit_joint(joint_of(spaces, np.eye(2)), halves)
    singles = [
        fit_encoding(plan_encoding(gram, LENGTHS, **SETTINGS), halves, null="none")
        for gram in grams_of(spaces).values()
    ]
    best = np.argmax([one.inner_score for one in singles], axis=0)
    np.testing.assert_array_equal(joint.candidate, best)
    expected = np.take_along_axis(np.stack([one.r for one in singles]), best[None], axis=0)[0]
    np.testing.assert_allclose(joint.r, expected, atol=1e-6)
    np.testing.assert_allclose(joint.corner, [np.mean(best == 0), np.mean(best == 1)])


def test_identical_spaces_add_nothing():
    rng = np.random.default_rng(3)
    spaces = spaces_of(rng, "a")
    spaces["copy"] = [x.copy() for x in spaces["a"]]
    joint = fit_joint(joint_of(spaces, weights_of(2)), responses_to(rng, spaces, "a"))
    # Both alone, and all mixtures of them, are one model: the first of the simplest is taken.
    assert (joint.candidate == 0).all()
    np.testing.assert_allclose(joint.unique, 0, atol=1e-6)
    assert joint.mean_r.mean() > 0.2


def test_useless_correlated_space_has_a_share_and_adds_nothing():
    rng = np.random.default_rng(4)
    spaces = spaces_of(rng, "a", n_units=8)
    mixing = rng.standard_normal((8, 8)) / 3
    spaces["useless"] = [x @ mixing + 0.7 * autoregressive(rng, len(x), 8) for x in spaces["a"]]
    responses = responses_to(rng, spaces, "a", n_vertices=300, noise=6.0)
    joint = fit_joint(joint_of(spaces, weights_of(2, 20)), responses)
    mean = {name: joint.share[k].mean() for k, name in enumerate(spaces)}
    assert mean["useless"] > 0.005
    assert joint.unique[1].mean() < 0.003
    assert joint.unique[0].mean() > 0.05


def test_shares_sum_to_the_accuracy_and_predictions_to_the_prediction():
    rng = np.random.default_rng(5)
    spaces = spaces_of(rng)
    responses = responses_to(rng, spaces, "ab")
    plan = joint_of(spaces, weights_of(3), dtype=np.float64)
    joint = fit_joint(plan, responses)
    np.testing.assert_allclose(joint.share.sum(axis=0), joint.mean_r, atol=1e-12)
    y = standardize(plan.first, responses, slice(0, 40))[0]
    parts = predict_joint(plan, responses, joint.candidate, joint.alpha)
    for k, (segment, part) in enumerate(zip(plan.first.segments, parts, strict=True)):
        target, whole = y[segment.rows], part.sum(axis=0)
        r = (target * whole).sum(axis=0) / np.sqrt((target**2).sum(axis=0) * (whole**2).sum(axis=0))
        np.testing.assert_allclose(r, joint.r[k], atol=1e-9)
    np.testing.assert_allclose(joint.mean_r, fisher_mean(joint.r))


def test_reduced_models_are_those_of_the_remaining_spaces():
    rng = np.random.default_rng(6)
    spaces = spaces_of(rng)
    responses = responses_to(rng, spaces, "ac")
    weights = weights_of(3)
    joint = fit_joint(joint_of(spaces, weights, dtype=np.float64), responses)
    for k, name in enumerate(spaces):
        rest = {other: parts for other, parts in spaces.items() if other != name}
        own = weights[weights[:, k] == 0][:, [j for j in range(3) if j != k]]
        alone = fit_joint(joint_of(rest, own, dtype=np.float64), responses)
        np.testing.assert_allclose(joint.reduced_r[k], alone.mean_r, atol=1e-9)
    np.testing.assert_array_equal(joint.unique, joint.mean_r - joint.reduced_r)


def test_plans_are_freed_with_their_model():
    plan = joint_of(spaces_of(np.random.default_rng(0)), weights_of(3))
    first = weakref.ref(plan.plans[0])
    assert plan.choices.resolution.make(0, 0)
    gc.disable()  # a model of 20 candidates has 700 MB, which must not wait for a collection
    try:
        del plan
        assert first() is None
    finally:
        gc.enable()


def test_known_scores_and_plans_change_nothing():
    rng = np.random.default_rng(7)
    spaces = spaces_of(rng)
    responses = responses_to(rng, spaces, "ac")
    low = {name: spaces[name] for name in "ab"}
    low_weights = weights_of(2, 6)
    weights = weights_beyond(low_weights, np.random.default_rng(1))
    rivals = joint_of(low, low_weights)
    quick = joint_of(spaces, weights, known=rivals)
    assert all(a is b for a, b in zip(quick.plans[:6], rivals.plans, strict=True))
    known = score_candidates(rivals, responses)
    fast = fit_joint(quick, responses, leave_out=["c"], known=known)
    slow = fit_joint(joint_of(spaces, weights), responses, leave_out=["c"])
    for name in ("candidate", "alpha", "r", "share", "unique"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(slow, name))
    assert fast.unique.mean() > 0.05


def test_planted_truth_low_level_layer_and_both():
    rng = np.random.default_rng(8)
    spaces = spaces_of(rng, ["envelope", "cochleagram", "layer"])
    low = ["envelope", "cochleagram"]
    groups = [responses_to(rng, spaces, driving, 60) for driving in (low, ["layer"], spaces)]
    responses = [np.concatenate(parts, axis=1) for parts in zip(*groups, strict=True)]
    weights = weights_beyond(weights_of(2, 6), np.random.default_rng(1))
    joint = fit_joint(joint_of(spaces, weights), responses)
    of = {name: slice(60 * k, 60 * k + 60) for k, name in enumerate(("low", "layer", "both"))}
    layer, low_level = joint.unique[2], joint.reduced_r[2]
    assert np.abs(layer[of["low"]].mean()) < 0.02
    assert layer[of["layer"]].mean() > 0.2
    assert np.abs(low_level[of["layer"]].mean()) < 0.06
    assert layer[of["both"]].mean() > 0.1
    assert low_level[of["both"]].mean() > 0.2


def test_missing_and_constant():
    rng = np.random.default_rng(9)
    spaces = spaces_of(rng, "ab")
    responses = responses_to(rng, spaces, "a")
    clean = fit_joint(joint_of(spaces, weights_of(2)), responses)
    responses[0][:, 3] = np.nan
    responses[1][:, 5] = 2.0
    joint = fit_joint(joint_of(spaces, weights_of(2)), responses)
    assert joint.n_degenerate == 2
    for name in ("mean_r", "unique", "share", "alpha", "reduced_alpha"):
        value = np.isnan(getattr(joint, name)).reshape(-1, 40)
        np.testing.assert_array_equal(np.flatnonzero(value.all(axis=0)), [3, 5])
    assert (joint.candidate[:, [3, 5]] == -1).all()
    rest = np.setdiff1d(np.arange(40), [3, 5])
    np.testing.assert_allclose(joint.unique[:, rest], clean.unique[:, rest], atol=1e-6)
    # A space that is silent in one stimulus is of no use there and harms nothing.
    spaces["b"][1][:] = 0.3
    silent = fit_joint(joint_of(spaces, weights_of(2)), responses)
    assert np.isfinite(silent.mean_r[rest]).all()
    spaces["b"] = [np.full_like(x, 0.3) for x in spaces["b"]]
    with pytest.raises(MusencError, match=r"(?s)do not vary.*where: b, gram"):
        joint_of(spaces, weights_of(2))


def test_threads_change_nothing_and_repeats_share_a_fold():
    rng = np.random.default_rng(10)
    spaces = spaces_of(rng, "ab")
    plan = joint_of(spaces, weights_of(2), stimuli=["one", "two", "one"])
    responses = responses_to(rng, spaces, "a", n_vertices=1500)
    first, second = (fit_joint(plan, responses, n_threads=n) for n in (1, 2))
    for name in ("r", "share", "unique", "candidate"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.r.shape == (2, 1500)
    np.testing.assert_allclose(first.share.sum(axis=0), first.mean_r, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [[0.5, 0.6]]}, "sum to 1"),
        ({"weights": [[1.5, -0.5]]}, "zero or more"),
        ({"weights": [[1.0]]}, "shape"),
    ],
)
def test_weights_that_are_none(change, message):
    spaces = spaces_of(np.random.default_rng(11), "ab")
    with pytest.raises(MusencError, match=message):
        joint_of(spaces, **change)


def test_squared_error_chooses_too():
    rng = np.random.default_rng(12)
    spaces = spaces_of(rng, "a")
    responses = responses_to(rng, spaces, "a")
    engine = fit_encoding(
        plan_encoding(feature_gram(spaces["a"]), LENGTHS, **SETTINGS),
        responses,
        null="none",
        selection="sse",
    )
    joint = fit_joint(joint_of(spaces, weights_of(1)), responses, selection="sse")
    np.testing.assert_array_equal(joint.alpha, engine.alpha)
    np.testing.assert_allclose(joint.r, engine.r, atol=1e-6)


def test_equals_himalaya():
    pytest.importorskip("himalaya", reason="himalaya 0.4.11 is not installed")
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV
    from himalaya.scoring import correlation_score, correlation_score_split

    set_backend("numpy")
    rng = np.random.default_rng(13)
    spaces = spaces_of(rng)
    responses = responses_to(rng, spaces, "ab", n_vertices=60)
    weights = weights_of(3, 14)
    plan = joint_of(spaces, weights, dtype=np.float64)
    ours = fit_joint(plan, responses)
    y, kernels = standardize(plan.first, responses, slice(0, 60))[0], np.stack(plan.kernels)
    n_same = 0
    for k, fold in enumerate(plan.first.folds):
        train, test = fold.outer.train, fold.outer.tests[0]
        splits = [
            (np.searchsorted(train, s.train), np.searchsorted(train, s.tests[0]))
            for s in fold.inner
        ]
        model = MultipleKernelRidgeCV(
            kernels="precomputed",
            solver="random_search",
            cv=splits,
            solver_params={
                "n_iter": weights,
                "alphas": SETTINGS["alphas"],
                "score_func": correlation_score,
                "progress_bar": False,
            },
        )
        with np.errstate(divide="ignore"):  # the logarithm of a weight of zero
            model.fit(kernels[:, train][:, :, train], y[train])
        found = np.exp(model.deltas_)  # g / penalty
        own = weights[ours.candidate[k]].T / ours.alpha[k]
        same = np.isclose(found, own, rtol=1e-6, atol=1e-12).all(axis=0)
        n_same += same.sum()
        parts = model.predict(kernels[:, test][:, :, train], split=True)
        theirs = correlation_score(y[test], parts.sum(axis=0))
        np.testing.assert_allclose(ours.r[k, same], theirs[same], atol=1e-5)
        share = correlation_score_split(y[test], parts)
        np.testing.assert_allclose(share.sum(axis=0), theirs, atol=1e-6)
    assert n_same > 0.9 * ours.candidate.size
