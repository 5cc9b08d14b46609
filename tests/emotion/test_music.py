"""Effects of ratings under random phases, against refits of the whole model."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from bids_app.emotion import (
    add_turned,
    build_design,
    combine_turned,
    fit_run,
    fixed_effects,
    n_frequencies,
    phase_test,
    turned_effects,
)
from bids_app.errors import BadDataError
from bids_app.seeds import generator, random_phases

N_VERTICES = 7


def phases(stimulus, draw, n_freq):
    return random_phases(3, stimulus, draw, n_freq)


def signs(stimulus, n_draws):
    return generator(3, stimulus, "signs").choice([-1.0, 1.0], n_draws)


def smooth(rng, n, k, rho=0.8):
    series = rng.standard_normal((n, k))
    for t in range(1, n):
        series[t] += rho * series[t - 1]
    return series


def a_run(seed, n_times=90, scales=2, rho=0.4):
    rng = np.random.default_rng(seed)
    interest = smooth(rng, n_times, scales)
    effects = {f"scale{k}": interest[:, k] for k in range(scales)}
    nuisance = [smooth(rng, n_times, 3), np.arange(n_times)[:, np.newaxis]]
    design = build_design(effects, nuisance, n_times)
    bold = smooth(rng, n_times, N_VERTICES, rho) + 0.3 * interest[:, :1]
    weights = np.stack([design.contrast({name: 1.0}) for name in effects])
    estimate = fit_run(bold, design, weights)
    return bold, design, weights, estimate


def whitened(values, rho):
    return np.vstack([values[:1], values[1:] - rho * values[:-1]])


@pytest.mark.parametrize("n_times", [90, 91])
def test_a_turned_effect_is_that_of_regressors_with_turned_phases(n_times):
    """One window, all frequencies: each vertex fitted again with the regressors turned."""
    bold, design, weights, estimate = a_run(1, n_times)
    n_freq = n_frequencies(n_times, 1.0)
    (terms,) = turned_effects(
        bold, design, weights, estimate.autocorrelation, [slice(0, n_times)], [n_freq]
    )
    angle = phases("a", 0, n_freq)
    turn = np.exp(1j * np.r_[0, angle, [0] * (n_times % 2 == 0)])
    for vertex, rho in enumerate(estimate.autocorrelation):
        matrix, series = (whitened(x, rho) for x in (design.matrix, bold[:, vertex : vertex + 1]))
        nuisance = np.linalg.qr(matrix[:, 2:])[0]
        interest = matrix[:, :2] - nuisance @ (nuisance.T @ matrix[:, :2])
        series = series - nuisance @ (nuisance.T @ series)
        # What a turned frequency keeps outside the nuisance, from unit cosines and sines.
        grow = np.ones(len(turn))
        for f in range(1, n_freq + 1):
            wave = 2 * np.pi * f * np.arange(n_times) / n_times
            plane = np.stack([np.cos(wave), np.sin(wave)], 1) * np.sqrt(2 / n_times)
            grow[f] = 1 / np.sqrt(max(1 - ((nuisance.T @ plane) ** 2).sum() / 2, 0.1))
        spectra = np.fft.rfft(interest, axis=0)
        observed = np.linalg.inv(interest.T @ interest) @ interest.T @ series
        np.testing.assert_allclose(observed[:, 0], estimate.effect[:, vertex], rtol=1e-4)
        turned = np.fft.irfft((turn * grow)[:, np.newaxis] * spectra, n_times, axis=0)
        wanted = (np.linalg.inv(interest.T @ interest) @ turned.T @ series)[:, 0]
        found = terms[:, 0, vertex] + terms[:, 1::2, vertex] @ np.cos(angle)
        found = found + terms[:, 2::2, vertex] @ np.sin(angle)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_sums_over_windows_and_runs_are_the_effects_that_are_reported(monkeypatch):
    # Without what makes up for energy lost to the nuisance.
    monkeypatch.setattr("bids_app.emotion.music._LEAST", 1.0)
    runs, estimates = [], []
    for seed, n_times in ((1, 90), (2, 70)):
        bold, design, weights, estimate = a_run(seed, n_times)
        windows = [slice(5, 40), slice(44, n_times)]
        n_freq = [n_frequencies(w.stop - w.start, 2.0, 0.1) for w in windows]
        assert n_freq[0] == 7
        parts = turned_effects(bold, design, weights, estimate.autocorrelation, windows, n_freq)
        assert [part.shape[1] for part in parts] == [1 + 2 * n for n in n_freq]
        runs.append((estimate.variance, ["a", "b"] if seed == 1 else ["b", "b"], parts))
        estimates.append(estimate)
    joint = combine_turned(runs)
    total = sum(terms[:, 0] + terms[:, 1::2].sum(axis=1) for terms in joint.values())
    np.testing.assert_allclose(total, fixed_effects(estimates).effect, rtol=1e-4, atol=1e-6)
    assert set(joint) == {"a", "b"}


def test_vertices_without_a_result_have_no_terms_and_add_nothing():
    bold, design, weights, estimate = a_run(4)
    bold = bold.copy()
    bold[:, 2] = 5.0
    estimate = fit_run(bold, design, weights)
    (terms,) = turned_effects(bold, design, weights, estimate.autocorrelation, [slice(0, 90)], [10])
    assert np.isnan(terms[:, :, 2]).all()
    assert np.isfinite(np.delete(terms, 2, axis=2)).all()
    total: dict = {}
    add_turned(total, {"a": terms})
    add_turned(total, {"a": terms[:, :5]})
    np.testing.assert_allclose(total["a"][:, :5], np.nan_to_num(2 * terms[:, :5]))
    np.testing.assert_allclose(total["a"][:, 5:], np.nan_to_num(terms[:, 5:]))


def test_closed_form_and_draws_agree_and_the_maximum_is_joint():
    rng = np.random.default_rng(8)
    turned = {
        "a": rng.standard_normal((2, 1 + 2 * 9, 40)).astype(np.float32),
        "b": rng.standard_normal((2, 1 + 2 * 5, 40)).astype(np.float32),
    }
    turned["b"][:, :, 3] = turned["a"][:, :, 3] = 0
    effect = rng.standard_normal((2, 40)) * 4
    effect[0, 5] = np.nan
    found = phase_test(effect, turned, phases=phases, signs=signs, n_draws=3000)
    drawn = np.zeros((3000, 2, 40))
    for stimulus, terms in turned.items():
        n_freq = (terms.shape[1] - 1) // 2
        fixed = signs(stimulus, 3000)
        for draw in range(3000):
            angle = phases(stimulus, draw, n_freq)
            turn = np.r_[fixed[draw], np.stack([np.cos(angle), np.sin(angle)], 1).ravel()]
            drawn[draw] += np.einsum("t,mtv->mv", turn, terms)
    tested = np.isfinite(found.sd)
    assert not tested[:, 3].any()
    assert not tested[0, 5]
    assert tested.sum() == 77
    np.testing.assert_allclose(drawn.std(axis=0)[tested], found.sd[tested], rtol=0.06)
    scaled = np.abs(drawn[:, tested] / found.sd[tested])
    np.testing.assert_allclose(found.null_max, scaled.max(axis=1), rtol=1e-4)
    size = np.abs(effect[tested] / found.sd[tested])
    counted = (1 + (scaled.max(axis=1)[:, np.newaxis] >= size).sum(axis=0)) / 3001
    np.testing.assert_allclose(found.p_max[tested], counted, atol=2e-3)
    assert np.isnan(found.p[~tested]).all()
    assert np.isnan(found.p_max[~tested]).all()


@pytest.fixture(scope="module")
def calibration():
    folder = str(Path(__file__).parents[2] / "benchmarks")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("calibration_ratings")
        for name in ("calibration_ratings", "calibration_group"):
            sys.modules.pop(name, None)


def test_an_effect_that_is_there_is_found_over_music(calibration):
    found = calibration.study(0, shared=0.1, effect=0.3, n_participants=5, n_vertices=12)
    assert found["music"] == 1


def test_one_person_has_the_level_of_own_phases_and_not_of_t(calibration):
    found = [calibration.person(seed) for seed in range(25)]
    assert np.mean([one["t"] for one in found]) > 0.1
    assert 0.04 < np.mean([one["z"] for one in found]) < 0.08


@pytest.mark.slow
@pytest.mark.parametrize(("shared", "mean"), [(0.1, False), (0.3, True)])
def test_shared_responses_and_ratings_are_no_effect(calibration, shared, mean):
    options = {"n_participants": 8, "n_vertices": 12, "n_draws": 199}
    found = [
        calibration.study(seed, shared=shared, mean_rating=mean, **options) for seed in range(40)
    ]
    assert sum(one["music"] for one in found) <= 6
    assert sum(one["both"] for one in found) <= 6
    if mean:
        # Over people alone the same studies find something nearly always.
        assert sum(one["people"] for one in found) >= 20


def test_what_does_not_fit_together_is_refused():
    bold, design, weights, estimate = a_run(1)
    with pytest.raises(BadDataError, match="Windows"):
        turned_effects(bold, design, weights, estimate.autocorrelation, [], [])
    with pytest.raises(BadDataError, match="design"):
        turned_effects(bold[1:], design, weights, estimate.autocorrelation, [slice(0, 9)], [2])
    with pytest.raises(BadDataError, match="turned"):
        phase_test(
            np.ones((1, 4)), {"a": np.ones((2, 3, 4))}, phases=phases, signs=signs, n_draws=9
        )
