"""The engine on another device: torch's CPU stands for a GPU."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from threadpoolctl import threadpool_limits

from bids_app.analyses.participant.layers import fitting_arrays
from bids_app.arrays import NUMPY, TorchArrays
from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.encoding.gram import feature_gram
from bids_app.encoding.joint import candidate_weights, fit_joint, plan_joint
from bids_app.encoding.responses import response_coefficients, standardize
from bids_app.encoding.ridge import inner_scores

LENGTHS = [70, 91, 120]
SETTINGS = {"delays": (2.0, 6.0), "crop": 8.0, "tr": 1.0}
OTHER = TorchArrays("cpu")


def autoregressive(rng, n_times, n_columns, coefficient):
    return lfilter([1], [1, -coefficient], rng.standard_normal((n_times, n_columns)), axis=0)


def study(seed, n_vertices=1500, n_units=12):
    """Gram matrix and responses, more than one block of them."""
    rng = np.random.default_rng(seed)
    features = [autoregressive(rng, n, n_units, 0.7) for n in LENGTHS]
    loads = rng.standard_normal((n_units, n_vertices)) * (rng.random(n_vertices) < 0.6)
    responses = [
        np.roll(x, 4, axis=0) @ loads + 3 * autoregressive(rng, len(x), n_vertices, 0.5)
        for x in features
    ]
    return feature_gram(features), responses


def plainly(plan, y):
    """Inner scores and held-out products of one block in numpy alone, operation by operation."""
    scores = [np.zeros((plan.alphas.size, y.shape[1])) for _ in plan.folds]
    for number, evaluation in enumerate(plan.evaluations):
        if evaluation.pairs is None:
            continue
        training = plan.trainings[evaluation.training]
        spectrum = training.projector @ y[training.rows]
        target = y[evaluation.rows] - y[evaluation.rows].mean(axis=0)
        product = training.shrinkage.T @ ((evaluation.cross.T @ target) * spectrum)
        apart = (evaluation.pairs.apart @ spectrum) * spectrum
        equal = spectrum * (evaluation.pairs.equal * spectrum)
        energy = training.excess.T @ apart + (training.shrinkage**2).T @ equal
        energy = energy.astype(np.float64)
        total = np.einsum("ij,ij->j", target, target).astype(np.float64)
        r = product.astype(np.float64) / np.sqrt(energy * total)
        for score, fold in zip(scores, plan.fold_plans, strict=True):
            score += sum(r / len(fold.inner) for split in fold.inner if split == (number,))
    return np.stack(scores)


def plain_r(plan, y, alpha):
    """Accuracy on every held-out piece, vertices of a penalty at a time."""
    coefficients, resolution = response_coefficients(plan, y), plan.resolution
    chosen = np.abs(np.log(plan.alphas)[:, None, None] - np.log(alpha)).argmin(axis=0)
    r = np.zeros((len(plan.folds), y.shape[1]))
    for k in range(len(plan.folds)):
        for one in np.unique(chosen[k]):
            at = np.flatnonzero(chosen[k] == one)
            own = coefficients[at]
            first, second = (
                own[:, resolution.columns[i]] @ matrix.T
                for i, matrix in zip(
                    resolution.sources[k], resolution.matrices(k, one), strict=True
                )
            )
            predicted, target = first + second, own[:, resolution.columns[k]]
            dots = [
                np.einsum("vf,vf->v", a, b).astype(np.float64)
                for a, b in [(predicted, target), (predicted, predicted), (target, target)]
            ]
            r[k, at] = dots[0] / np.sqrt(dots[1] * dots[2])
    return r


def test_on_the_processor_scores_are_those_of_plain_numpy_bit_for_bit_and_r_in_single_precision():
    gram, responses = study(0, n_vertices=700)
    plan = plan_encoding(gram, LENGTHS, **SETTINGS)
    y = standardize(plan, responses, slice(0, 700))[0].astype(np.float32)
    with threadpool_limits(1, user_api="blas"):
        np.testing.assert_array_equal(np.stack(inner_scores(plan, y, "r")), plainly(plan, y))
    fit = fit_encoding(plan, responses, null="none")
    # As in a fit: more threads sum in another order.
    with threadpool_limits(1, user_api="blas"):
        np.testing.assert_allclose(fit.r, plain_r(plan, y, fit.alpha), rtol=0, atol=5e-7)


@pytest.mark.parametrize("selection", ["r", "sse"])
def test_another_device_finds_the_same_models(selection):
    gram, responses = study(1)
    plan = plan_encoding(gram, LENGTHS, **SETTINGS)
    usual = fit_encoding(plan, responses, selection=selection)
    other = fit_encoding(plan, responses, selection=selection, arrays=OTHER)
    same = usual.alpha == other.alpha
    assert same.mean() >= 0.998
    assert np.abs(usual.r - other.r)[same].max() < 1e-5
    np.testing.assert_allclose(other.null_sd[same.all(axis=0)], usual.null_sd[same.all(axis=0)])
    if selection == "r":  # elsewhere both penalties are as good
        assert np.abs(usual.inner_score - other.inner_score).max() < 2e-6


def test_models_trained_on_the_others_and_double_precision():
    gram, responses = study(2, n_vertices=30)
    _, others = study(3, n_vertices=30)
    plan = plan_encoding(gram, LENGTHS, **SETTINGS, dtype=np.float64)
    options = {"training": others, "null": "none"}
    usual = fit_encoding(plan, responses, **options)
    other = fit_encoding(plan, responses, **options, arrays=OTHER)
    np.testing.assert_array_equal(usual.alpha, other.alpha)
    np.testing.assert_allclose(other.r, usual.r, atol=1e-11)


def test_candidates_of_joint_models():
    gram, responses = study(4, n_vertices=60)
    more, _ = study(5, n_vertices=1)
    weights = candidate_weights(2, 6, np.random.default_rng(0))
    joint = plan_joint({"a": gram, "b": more}, LENGTHS, weights=weights, **SETTINGS)
    usual, other = fit_joint(joint, responses), fit_joint(joint, responses, arrays=OTHER)
    same = (usual.candidate == other.candidate) & (usual.alpha == other.alpha)
    assert same.mean() > 0.99
    assert np.abs(usual.r - other.r)[same].max() < 1e-5


def test_vertices_at_once_follow_the_free_memory(monkeypatch):
    device = TorchArrays("cpu")
    assert device.n_together(1000, usual=64) == NUMPY.n_together(1000, usual=64) == 64
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (8_000_000, 9_000_000))
    monkeypatch.setattr(device, "_device", type("Device", (), {"type": "cuda"}))
    assert device.n_together(1000, usual=64) == 2000
    assert device.n_together(10**6, usual=64) == 64


def test_models_are_fitted_on_a_gpu_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert fitting_arrays("auto") is NUMPY
    assert fitting_arrays("cpu") is NUMPY
    assert isinstance(fitting_arrays("cuda"), TorchArrays)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match="No CUDA device"):
        fitting_arrays("cuda")
