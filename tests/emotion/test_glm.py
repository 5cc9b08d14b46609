"""The rating GLM against nilearn and statsmodels, and its error rates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from nilearn.glm.first_level import make_first_level_design_matrix
from scipy.linalg import toeplitz

from bids_app.emotion import (
    absolute_change,
    build_design,
    convolved,
    convolved_course,
    delayed_course,
    fit_run,
    fixed_effects,
    parse_contrast,
)
from bids_app.emotion.glm import GlmEstimate, normal_quantile
from bids_app.errors import BadDataError, UsageError


def ar1(rng, n_times, n_vertices, rho):
    noise = rng.standard_normal((n_times + 50, n_vertices))
    for k in range(1, len(noise)):
        noise[k] += rho * noise[k - 1]
    return noise[50:]


def whitened(design, data, rho):
    """What an AR(1) model fits: differences, the first sample as it is."""
    x, y = design.copy(), data.copy()
    x[1:] -= rho * design[:-1]
    y[1:] -= rho * data[:-1]
    return x, y


def example(seed=0, n_times=150, n_vertices=12):
    rng = np.random.default_rng(seed)
    effects = {"a": rng.standard_normal(n_times), "b": rng.standard_normal(n_times)}
    design = build_design(effects, [rng.standard_normal((n_times, 6)) * 1e3], n_times)
    data = ar1(rng, n_times, n_vertices, 0.4) + np.outer(
        effects["a"], np.linspace(0, 1, n_vertices)
    )
    return design, data + 1e4


def test_one_run_equals_statsmodels():
    design, data = example()
    weights = design.contrast({"a": 1.0, "b": -1.0})
    found = fit_run(data, design, weights)
    x = design.matrix
    for vertex in range(data.shape[1]):
        y = data[:, vertex]
        left = sm.OLS(y, x).fit().resid
        left = left - left.mean()
        lag_0, lag_1 = left @ left / len(y), left[1:] @ left[:-1] / (len(y) - 1)
        rho = int(lag_1 / lag_0 * 100) / 100
        wx, wy = whitened(x, y, rho)
        expected = sm.OLS(wy, wx).fit().t_test(weights)
        np.testing.assert_allclose(found.effect[0, vertex], expected.effect.item(), rtol=1e-6)
        np.testing.assert_allclose(found.t[0, vertex], expected.tvalue.item(), rtol=1e-6)
    assert found.degrees_of_freedom == len(x) - x.shape[1]


def test_whitening_is_close_to_generalized_least_squares():
    design, data = example(2, n_times=400)
    weights = design.contrast({"a": 1.0})
    found = fit_run(data, design, weights)
    sigma = toeplitz(0.4 ** np.arange(400))
    expected = [sm.GLS(y, design.matrix, sigma).fit().t_test(weights).effect.item() for y in data.T]
    np.testing.assert_allclose(found.effect[0], expected, atol=0.02)


def test_regressor_equals_nilearns_design_with_modulated_events():
    rng = np.random.default_rng(3)
    times = np.arange(0, 60, 0.5)
    values = np.cumsum(rng.standard_normal(times.size))
    change = absolute_change(times, values)
    frames = 0.25 + 1.5 * np.arange(80)
    found = convolved_course(times, change, frames, shift=12.0)
    borders = np.concatenate([times[:1], (times[1:] + times[:-1]) / 2, times[-1:]])
    events = pd.DataFrame(
        {
            "onset": borders[:-1] + 12.0,
            "duration": np.diff(borders),
            "trial_type": "x",
            "modulation": change,
        }
    )
    expected = make_first_level_design_matrix(frames, events, hrf_model="spm", drift_model=None)
    np.testing.assert_allclose(found, expected["x"], rtol=1e-6, atol=1e-9)


def test_a_lasting_amplitude_comes_back():
    frames = np.arange(120.0)
    found = convolved([10.0], [100.0], [2.5], frames)
    assert found[5] == 0
    np.testing.assert_allclose(found[80], 2.5, rtol=0.02)


def test_scan_that_starts_within_the_music_is_no_problem():
    frames = np.arange(60.0)
    found = convolved([-200.0], [400.0], [1.0], frames)
    np.testing.assert_allclose(found, 1.0, rtol=0.02)


def test_delays_are_positive_where_the_brain_follows():
    times = np.arange(0, 40, 0.2)
    values = np.exp(-((times - 20) ** 2) / 2)
    columns = delayed_course(
        times, values, np.arange(60.0), shift=10.0, delays=(-5, 0, 5), width=1.0
    )
    np.testing.assert_array_equal(columns.argmax(axis=0), [25, 30, 35])


def test_columns_and_runs_that_fit_nothing():
    design, data = example()
    with pytest.raises(UsageError, match="not in the design"):
        design.contrast({"c": 1.0})
    with pytest.raises(BadDataError, match="differ in length"):
        fit_run(data[1:], design, design.contrast({"a": 1.0}))
    with pytest.raises(BadDataError, match="no degrees of freedom"):
        wide = build_design({"a": np.arange(5.0)}, [np.eye(5)], 5)
        fit_run(np.zeros((5, 1)), wide, wide.contrast({"a": 1.0}))
    with pytest.raises(BadDataError, match="where: a"):
        build_design({"a": np.ones(3)}, [], 4)
    with pytest.raises(BadDataError, match="not finite"):
        build_design({"a": np.full(4, np.nan)}, [], 4)


def test_effect_that_the_nuisance_makes_up_cannot_be_estimated():
    rng = np.random.default_rng(0)
    confounds = rng.standard_normal((50, 2))
    for effect in (confounds @ [1.0, 2.0], np.zeros(50)):
        design = build_design({"a": effect}, [confounds], 50)
        with pytest.raises(BadDataError, match="cannot be estimated"):
            fit_run(rng.standard_normal((50, 2)), design, design.contrast({"a": 1.0}))


def test_degenerate_vertices_and_blocks(monkeypatch):
    design, data = example()
    weights = np.stack([design.contrast({"a": 1.0}), design.contrast({"b": 1.0})])
    whole = fit_run(data, design, weights)
    data[:, 3], data[2, 5] = 7.0, np.nan
    data[:, 7] = design.matrix @ np.ones(design.matrix.shape[1])
    monkeypatch.setattr("bids_app.emotion.glm._BLOCK", 5)
    found = fit_run(data, design, weights)
    assert np.isnan(found.t[:, [3, 5, 7]]).all()
    others = [0, 1, 2, 4, 6, 8, 9, 10, 11]
    np.testing.assert_allclose(found.t[:, others], whole.t[:, others], rtol=1e-9)


def test_fixed_effects_are_one_model_over_runs_with_known_variances():
    rng = np.random.default_rng(5)
    effects, variances = rng.standard_normal((3, 1, 8)), rng.uniform(0.5, 2, (3, 1, 8))
    runs = [GlmEstimate(e, v, 50.0) for e, v in zip(effects, variances, strict=True)]
    found = fixed_effects(runs)
    for vertex in range(8):
        sigma = variances[:, 0, vertex]
        expected = sm.WLS(effects[:, 0, vertex], np.ones(3), weights=1 / sigma).fit()
        np.testing.assert_allclose(found.effect[0, vertex], expected.params[0], rtol=1e-9)
        np.testing.assert_allclose(found.variance[0, vertex], 1 / (1 / sigma).sum(), rtol=1e-9)
    assert found.degrees_of_freedom == 150
    with pytest.raises(BadDataError, match="no run"):
        fixed_effects([])


def test_normal_quantile_keeps_sign_and_order():
    t = np.array([-80.0, -2.0, 0.0, 2.0, 80.0, np.nan])
    z = normal_quantile(t, 200.0)
    assert z[0] == -z[4] == -37.0 or z[4] > 15
    np.testing.assert_allclose(z[3], -z[1])
    assert abs(z[3]) < 2.0
    assert np.isnan(z[5])


def test_planted_change_is_found_and_the_other_scale_is_not():
    rng = np.random.default_rng(7)
    times = np.arange(0, 200, 0.2)
    frames = np.arange(220.0)
    smooth = np.exp(-(np.linspace(-3, 3, 41) ** 2))
    walks = [np.convolve(rng.standard_normal(times.size), smooth, "same") for _ in range(2)]
    columns = {
        name: convolved_course(times, absolute_change(times, walk), frames, shift=10.0)
        for name, walk in zip(("Emotionality", "Enjoyment"), walks, strict=True)
    }
    design = build_design(columns, [], 220)
    weights = np.stack([design.contrast({name: 1.0}) for name in columns])
    planted = columns["Emotionality"] / columns["Emotionality"].std()
    data = ar1(rng, 220, 300, 0.4) + 0.6 * planted[:, None]
    t = fit_run(data, design, weights).t
    assert np.median(t[0]) > 3
    assert abs(np.median(t[1])) < 0.5


def test_nominal_error_with_autocorrelated_noise():
    rng = np.random.default_rng(8)
    slow = np.convolve(rng.standard_normal(340), np.ones(20), "valid")[:300]
    design = build_design({"a": slow}, [], 300)
    found = fit_run(ar1(rng, 300, 3000, 0.4), design, design.contrast({"a": 1.0}))
    assert 0.035 < (np.abs(found.z) > 1.96).mean() < 0.075
    weights = design.contrast({"a": 1.0})
    naive = [sm.OLS(y, design.matrix).fit().t_test(weights) for y in ar1(rng, 300, 500, 0.4).T]
    assert np.mean([abs(test.tvalue.item()) > 1.97 for test in naive]) > 0.12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dissonant - consonant", {"dissonant": 1.0, "consonant": -1.0}),
        ("dissonant", {"dissonant": 1.0}),
        ("-consonant+0.5*dissonant", {"consonant": -1.0, "dissonant": 0.5}),
    ],
)
def test_contrasts_as_people_write_them(text, expected):
    assert parse_contrast(text, ["consonant", "dissonant"]) == expected


def test_names_of_conditions_may_hold_spaces_hyphens_and_digits():
    names = ["low-pitch music", "low", "pitch", "2-back", "2-back hard"]
    assert parse_contrast("low-pitch music - low", names) == {"low-pitch music": 1.0, "low": -1.0}
    assert parse_contrast("2-back hard-0.5*2-back", names) == {"2-back hard": 1.0, "2-back": -0.5}
    assert parse_contrast("low-pitch", names) == {"low": 1.0, "pitch": -1.0}
    with pytest.raises(UsageError, match="lower"):
        parse_contrast("lower - low", names)


def test_unknown_conditions_list_those_there_are():
    with pytest.raises(UsageError, match=r"loud(.|\n)*conditions: consonant, dissonant"):
        parse_contrast("loud - consonant", ["dissonant", "consonant"])
    for text in ("dissonant consonant", "", "dissonant - dissonant", "dissonant - "):
        with pytest.raises(UsageError):
            parse_contrast(text, ["dissonant", "consonant"])
