"""The engine against explicit delayed features and a plain float64 reference."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from bids_app.encoding import fit_encoding, nested_ridge, plan_encoding
from bids_app.encoding.decompose import Decomposer
from bids_app.encoding.folds import Split
from bids_app.encoding.gram import delay_samples, delayed_features, feature_gram, kept_rows
from bids_app.encoding.ridge import _squared_norms

ALPHAS = np.logspace(-3, 5, 20)


def autoregressive(rng, n_times, n_columns, coefficient):
    return lfilter([1], [1, -coefficient], rng.standard_normal((n_times, n_columns)), axis=0)


def make_data(rng, lengths, n_units=12, n_vertices=60, noise=3.0):
    """Responses with the planted impulse response 1 at delay 4 of the first units."""
    features = [autoregressive(rng, n, n_units, 0.7) for n in lengths]
    loads = rng.standard_normal((n_units, n_vertices)) * (rng.random(n_vertices) < 0.6)
    responses = [
        np.roll(x, 4, axis=0) @ loads + noise * autoregressive(rng, len(x), n_vertices, 0.5)
        for x in features
    ]
    return features, responses


def zscore(y):
    return (y - y.mean(axis=0)) / y.std(axis=0)


def correlate(a, b):
    return (zscore(a) * zscore(b)).mean(axis=0)


def reference(features, responses, delays, crop, tr) -> tuple[NDArray, NDArray, NDArray]:
    """Leave-one-stimulus-out in the primal, one penalty at a time."""
    shifts = delay_samples(delays, tr)
    rows = kept_rows([len(x) for x in features], shifts, crop, tr)
    x = [delayed_features(f, shifts, r) for f, r in zip(features, rows, strict=True)]
    x = [a - a.mean(axis=0) for a in x]
    total = np.sqrt(np.mean(np.concatenate([(a**2).sum(axis=1) for a in x])))
    x = [a / total for a in x]
    y = [zscore(b[s:e]) for b, (s, e) in zip(responses, rows, strict=True)]

    def predict(train, test, alpha):
        design = np.concatenate([x[i] for i in train])
        target = np.concatenate([y[i] for i in train])
        gram = design.T @ design + alpha * np.eye(design.shape[1])
        return x[test] @ np.linalg.solve(gram, design.T @ target)

    n, n_vertices = len(x), y[0].shape[1]
    r, alpha, inner = np.empty((n, n_vertices)), np.empty((n, n_vertices)), []
    for k in range(n):
        rest = [i for i in range(n) if i != k]
        scores = np.array(
            [
                np.mean(
                    [correlate(predict([i for i in rest if i != j], j, a), y[j]) for j in rest],
                    axis=0,
                )
                for a in ALPHAS
            ]
        )
        tied = scores >= scores.max(axis=0) - 1e-6
        best = len(ALPHAS) - 1 - tied[::-1].argmax(axis=0)
        alpha[k] = ALPHAS[best]
        inner.append(scores.max(axis=0))
        for a in np.unique(best):
            r[k, best == a] = correlate(predict(rest, k, ALPHAS[a]), y[k])[best == a]
    return r, alpha, np.array(inner)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lengths", [(70, 91, 120), (60, 64, 75, 81)])
def test_equals_primal_reference(dtype, lengths):
    rng = np.random.default_rng(1)
    features, responses = make_data(rng, lengths)
    expected_r, expected_alpha, expected_inner = reference(features, responses, (2, 6), 8, 1.0)
    result = nested_ridge(
        features, responses, delays=(2, 6), crop=8, tr=1.0, alphas=ALPHAS, dtype=dtype
    )
    same = result.alpha == expected_alpha
    assert same.mean() > 0.98
    assert np.abs(result.r - expected_r)[same].max() < (1e-6 if dtype == np.float32 else 1e-9)
    np.testing.assert_allclose(result.inner_score, expected_inner, atol=2e-6)
    np.testing.assert_allclose(result.mean_r, np.tanh(np.arctanh(result.r).mean(axis=0)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-11)])
@pytest.mark.parametrize("n_alike", [0, 40])
def test_norms_at_every_penalty_are_those_of_the_predictions(dtype, tolerance, n_alike):
    rng = np.random.default_rng(4)
    lengths = [90, 130, 250]
    features, _ = make_data(rng, lengths)
    gram = feature_gram(features)
    gram[:n_alike, :n_alike] = np.eye(n_alike) * gram.diagonal().mean()  # equal eigenvalues
    gram[:n_alike, n_alike:] = gram[n_alike:, :n_alike] = 0
    options = {"delays": (0.0, 11.0), "crop": 11.0, "tr": 1.0, "alphas": ALPHAS, "dtype": dtype}
    plan = plan_encoding(gram, lengths, **options)
    evaluations = [one for one in plan.evaluations if one.pairs is not None]
    assert len(evaluations) == 6
    for evaluation in evaluations:
        training = plan.trainings[evaluation.training]
        # Each direction alone, and responses that have all.
        spectra = np.eye(training.eigenvalues.size, dtype=dtype)
        spectra = np.hstack([spectra, rng.standard_normal((len(spectra), 9)).astype(dtype)])
        shrunken = spectra[:, np.newaxis] / (training.eigenvalues[:, None] + ALPHAS)[..., None]
        norms = (np.tensordot(evaluation.cross.astype(float), shrunken, 1) ** 2).sum(axis=0)
        found = _squared_norms(evaluation.pairs, training, spectra)
        np.testing.assert_allclose(found[:, -9:], norms[:, -9:], rtol=tolerance)
        assert (np.abs(found - norms).max(axis=1) < tolerance * norms.max(axis=1)).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-9)])
def test_norms_of_a_kernel_whose_eigenvalues_are_equal(dtype, tolerance):
    rng = np.random.default_rng(5)
    kernel = np.eye(12) + 1e-9 * np.diag(rng.random(12))
    kernel[8:, :8] = rng.standard_normal((4, 8))
    kernel[:8, 8:] = kernel[8:, :8].T
    decomposer = Decomposer(kernel, ALPHAS, dtype)
    (index,) = decomposer.split(Split(np.arange(8), (np.arange(8, 12),)), with_norms=True)
    evaluation, training = decomposer.evaluations[index], decomposer.trainings[0]
    assert evaluation.pairs.equal.shape == (8, 8)
    spectrum = rng.standard_normal((8, 5)).astype(dtype)
    shrunken = spectrum[:, np.newaxis] / (training.eigenvalues[:, None] + ALPHAS)[..., None]
    norms = (np.tensordot(evaluation.cross.astype(float), shrunken, 1) ** 2).sum(axis=0)
    found = _squared_norms(evaluation.pairs, training, spectrum)
    np.testing.assert_allclose(found, norms, rtol=tolerance)


def test_planted_response_is_found():
    rng = np.random.default_rng(2)
    features, responses = make_data(rng, (120, 150, 180), noise=0.3)
    signal = np.concatenate(responses).std(axis=0) > 1
    result = nested_ridge(features, responses, delays=(3, 5), crop=10, tr=1.0)
    assert result.mean_r[signal].min() > 0.7
    assert result.q[signal].max() < 0.01


def test_threads_do_not_change_results():
    rng = np.random.default_rng(3)
    features, responses = make_data(rng, (60, 70, 80), n_vertices=2500)
    plan = plan_encoding(
        feature_gram(features), [60, 70, 80], delays=(2, 4), crop=6, tr=1.0, alphas=ALPHAS
    )
    one = fit_encoding(plan, responses, n_threads=1)
    three = fit_encoding(plan, responses, n_threads=3)
    for name in ("r", "alpha", "p", "null_sd"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def test_degenerate_vertices_are_nan_and_counted():
    rng = np.random.default_rng(4)
    features, responses = make_data(rng, (60, 70, 80))
    clean = nested_ridge(features, responses, delays=(2, 4), crop=6, tr=1.0)
    spoiled = [r.copy() for r in responses]
    spoiled[1][:, 3] = 7.1
    spoiled[0][30, 5] = np.nan
    spoiled[2][40, 6] = np.inf
    result = nested_ridge(features, spoiled, delays=(2, 4), crop=6, tr=1.0)
    assert result.n_degenerate == 3
    for name in ("r", "alpha", "mean_r", "null_sd", "p", "q"):
        value = getattr(result, name)
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(np.atleast_2d(value)[0])), [3, 5, 6])
    rest = np.setdiff1d(np.arange(60), [3, 5, 6])
    np.testing.assert_allclose(result.r[:, rest], clean.r[:, rest], atol=1e-12)


def test_scale_and_order_do_not_matter():
    rng = np.random.default_rng(5)
    features, responses = make_data(rng, (60, 70, 80))
    first = nested_ridge(features, responses, delays=(2, 4), crop=6, tr=1.0)
    scaled = nested_ridge(
        [1e3 * f + 50 for f in features[::-1]],
        [1e-3 * r - 2 for r in responses[::-1]],
        delays=(2, 4),
        crop=6,
        tr=1.0,
    )
    np.testing.assert_allclose(scaled.r[::-1], first.r, atol=1e-8)
    np.testing.assert_array_equal(scaled.alpha[::-1], first.alpha)
    assert scaled.fold_stimuli == first.fold_stimuli


def test_sse_selects_the_smallest_squared_error():
    rng = np.random.default_rng(6)
    features, responses = make_data(rng, (60, 70, 80), n_vertices=20)
    result = nested_ridge(
        features, responses, delays=(2, 4), crop=6, tr=1.0, alphas=ALPHAS, selection="sse"
    )
    by_hand = np.stack(
        [
            nested_ridge(
                features, responses, delays=(2, 4), crop=6, tr=1.0, alphas=[a], selection="sse"
            ).inner_score
            for a in ALPHAS
        ]
    )
    np.testing.assert_array_equal(result.alpha, ALPHAS[by_hand.argmax(axis=0)])


def test_edge_shares():
    rng = np.random.default_rng(7)
    features, responses = make_data(rng, (60, 70, 80))
    result = nested_ridge(features, responses, delays=(2, 4), crop=6, tr=1.0, alphas=[1e-3, 1, 1e5])
    assert result.edge_low == np.mean(result.alpha == 1e-3)
    assert result.edge_high == np.mean(result.alpha == 1e5)


def test_flat_scores_take_the_largest_penalty():
    rng = np.random.default_rng(8)
    features, responses = make_data(rng, (60, 70, 80), n_units=1)
    # One unit and one delay: the direction of the prediction does not depend on the penalty.
    result = nested_ridge(features, responses, delays=(2, 2), crop=6, tr=1.0, alphas=ALPHAS)
    assert np.all(result.alpha == ALPHAS[-1])


def test_a_plan_is_freed_with_its_last_reference():
    features, responses = make_data(np.random.default_rng(8), (50, 60, 70))
    lengths = [len(x) for x in features]
    plan = plan_encoding(feature_gram(features), lengths, delays=(0.0, 3.0), crop=0.0, tr=1.0)
    gc.disable()
    try:
        fit_encoding(plan, responses)
        watched = weakref.ref(plan)
        del plan
        assert watched() is None
    finally:
        gc.enable()
