from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import gamma

from bids_app.testing.responses import (
    autocorrelated,
    canonical_hrf,
    hemodynamic_operator,
    leading_components,
    plant_responses,
    standardize,
)


def test_hrf_peaks_at_five_seconds_with_an_undershoot():
    response = canonical_hrf(0.1)
    assert response.sum() == pytest.approx(1.0)
    assert response.argmax() * 0.1 == pytest.approx(5.0, abs=0.1)
    assert 13 < response.argmin() * 0.1 < 17
    assert response.min() < 0


def test_operator_is_interpolation_then_convolution():
    rng = np.random.default_rng(0)
    centers = 0.4875 + 0.48 * np.arange(100)
    series = rng.standard_normal(100)
    duration = 48.5
    times = np.arange(-6.0, 60.0) + 0.4
    operator = hemodynamic_operator(centers, times, duration, step=0.05)
    # The same by a Riemann sum on another grid, written out.
    lags = np.arange(0, 32, 0.02)
    kernel = gamma.pdf(lags, 6) - gamma.pdf(lags, 16) / 6
    kernel /= kernel.sum()
    expected = []
    for t in times:
        heard = t - lags
        drive = np.interp(heard, centers, series) * ((heard >= 0) & (heard <= duration))
        expected.append(kernel @ drive)
    np.testing.assert_allclose(operator @ series, expected, atol=0.01)


def test_nothing_before_the_music_and_full_response_to_a_constant():
    centers = 0.4875 + 0.48 * np.arange(200)
    operator = hemodynamic_operator(centers, [-2.0, 0.0, 50.0, 140.0], 96.5)
    response = operator @ np.ones(200)
    np.testing.assert_allclose(response, [0.0, 0.0, 1.0, 0.0], atol=1e-9)


@pytest.mark.parametrize("times", [[1.0], [2.0, 1.0], [[1.0, 2.0]]])
def test_patch_times_must_ascend(times):
    with pytest.raises(ValueError, match="ascend"):
        hemodynamic_operator(times, [0.0], 10.0)


def test_leading_components_are_eigenvectors():
    features = np.random.default_rng(1).standard_normal((40, 12)) * np.arange(1, 13)
    gram = features @ features.T
    vectors = leading_components(gram, 5)
    reference = np.linalg.eigvalsh(gram)[::-1]
    np.testing.assert_allclose(gram @ vectors, vectors * reference[:5], atol=1e-8)
    # Directions beyond the rank are not made up.
    assert leading_components(gram, 40).shape == (40, 12)


@pytest.mark.parametrize("gram", [np.ones((3, 2)), np.ones(3), np.zeros((3, 3))])
def test_unusable_gram_is_refused(gram):
    with pytest.raises(ValueError, match="Gram"):
        leading_components(gram, 2)


@pytest.fixture
def planting():
    rng = np.random.default_rng(2)
    features = {layer: rng.standard_normal((50, 8)) for layer in (1, 2)}
    components = {k: leading_components(x @ x.T, 8) for k, x in features.items()}
    basis = sparse.csr_matrix(np.eye(4)[:, [0, 1, 2, 3, 3]])
    drive = rng.standard_normal((50, 4))
    layers = np.array([1, 2, 0, 1, 1])
    return features, components, layers, drive, basis


def test_response_is_a_linear_functional_of_the_planted_layer(planting):
    features, components, layers, drive, basis = planting
    responses = plant_responses(components, sparse.identity(50, format="csr"), layers, drive, basis)
    for vertex, layer in enumerate(layers):
        if layer == 0:
            assert not responses[:, vertex].any()
            continue
        design = np.column_stack([features[layer], np.ones(50)])
        fit = design @ np.linalg.lstsq(design, responses[:, vertex], rcond=None)[0]
        np.testing.assert_allclose(fit, responses[:, vertex], atol=1e-9)
        assert responses[:, vertex].std() == pytest.approx(1.0)
    np.testing.assert_allclose(responses[:, 3], responses[:, 4])


def test_signs_and_rotations_of_eigenvectors_do_not_matter(planting):
    _, components, layers, drive, basis = planting
    identity = sparse.identity(50, format="csr")
    turned = {}
    for k, vectors in components.items():
        rotation = np.linalg.qr(np.random.default_rng(k).standard_normal((8, 8)))[0]
        turned[k] = vectors @ rotation
    np.testing.assert_allclose(
        plant_responses(components, identity, layers, drive, basis),
        plant_responses(turned, identity, layers, drive, basis),
        atol=1e-9,
    )


def test_components_weigh_equally():
    features = np.random.default_rng(3).standard_normal((200, 30)) * np.linspace(6, 1, 30)
    vectors = leading_components(features @ features.T, 30)
    drive = np.random.default_rng(4).standard_normal((200, 300))
    basis = sparse.identity(300, format="csr")
    identity = sparse.identity(200, format="csr")
    responses = plant_responses({1: vectors}, identity, np.ones(300, int), drive, basis)
    share = np.mean((vectors[:, 0] @ responses) ** 2) / 200
    assert share == pytest.approx(1 / 30, rel=0.4)


def test_standardize_zeroes_constants_and_keeps_the_type():
    series = np.random.default_rng(5).standard_normal((30, 3)).astype(np.float32)
    series[:, 1] = 7.0
    result = standardize(series)
    assert result.dtype == np.float32
    assert not result[:, 1].any()
    np.testing.assert_allclose(result[:, [0, 2]].std(axis=0), 1.0, rtol=1e-5)


def test_autocorrelated_noise_is_stationary_and_runs_are_independent():
    noise = autocorrelated((4000, 60), [20, 40], 0.7, np.random.default_rng(6))
    np.testing.assert_allclose(noise.std(axis=0), 1.0, atol=0.06)
    lag_one = np.mean(noise[:, 30:59] * noise[:, 31:60])
    assert lag_one == pytest.approx(0.7, abs=0.02)
    assert abs(np.mean(noise[:, 19] * noise[:, 20])) < 0.06
