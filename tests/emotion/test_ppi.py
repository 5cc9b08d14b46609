"""Eigenvariate and interaction regressors."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from bids_app.emotion import build_design, convolved, first_eigenvariate, fit_run, ppi_columns
from bids_app.errors import BadDataError


def test_eigenvariate_is_the_first_component_in_the_units_of_the_series():
    rng = np.random.default_rng(0)
    common = rng.standard_normal(120)
    series = np.outer(common, rng.uniform(1, 2, 40)) + 0.1 * rng.standard_normal((120, 40)) + 100
    found = first_eigenvariate(series)
    score = PCA(1).fit_transform(series)[:, 0]
    expected = score * np.sign(score @ common) / np.sqrt(40)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert np.corrcoef(found, common)[0, 1] > 0.99
    np.testing.assert_allclose(
        first_eigenvariate(series[:, [0]]), series[:, 0] - series[:, 0].mean()
    )


def test_eigenvariate_rises_with_the_region_whatever_the_sign_of_the_decomposition():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        series = np.outer(rng.standard_normal(30), rng.uniform(1, 2, 6))
        for one in (series, -series):
            assert first_eigenvariate(one) @ one.mean(axis=1) > 0


def test_eigenvariate_leaves_out_what_is_degenerate():
    rng = np.random.default_rng(1)
    series = rng.standard_normal((50, 5))
    padded = np.column_stack([series, np.ones(50), np.full(50, np.nan)])
    np.testing.assert_allclose(first_eigenvariate(padded), first_eigenvariate(series))
    with pytest.raises(BadDataError, match="no series that varies"):
        first_eigenvariate(np.ones((50, 3)))
    with pytest.raises(BadDataError, match="series"):
        first_eigenvariate(np.ones(50))


def planted(seed=2, coupling=0.5, n_vertices=50):
    rng = np.random.default_rng(seed)
    frames = np.arange(300.0)
    onsets = np.arange(5, 290, 40)
    condition = convolved(onsets[::2], np.full(4, 20.0), np.ones(4), frames)
    condition -= convolved(onsets[1::2], np.full(len(onsets[1::2]), 20.0), np.ones(4), frames)
    seed_series = rng.standard_normal(300) + 50
    data = rng.standard_normal((300, n_vertices))
    interaction = (seed_series - seed_series.mean()) * condition
    data += 0.4 * seed_series[:, None] + 0.3 * condition[:, None] + coupling * interaction[:, None]
    return seed_series, condition, data


def test_interaction_is_that_of_the_products_whatever_the_means():
    phi, condition, data = planted()
    columns = ppi_columns(phi, condition)
    design = build_design(columns, [], 300)
    weights = design.contrast({"interaction": 1.0})
    found = fit_run(data, design, weights)
    raw = build_design({"phi": phi, "condition": condition, "both": phi * condition}, [], 300)
    expected = fit_run(data, raw, raw.contrast({"both": 1.0}))
    np.testing.assert_allclose(found.effect, expected.effect, rtol=1e-6)
    np.testing.assert_allclose(found.t, expected.t, rtol=1e-6)


@pytest.mark.parametrize(("coupling", "low", "high"), [(0.5, 0.95, 1.0), (0.0, 0.0, 0.15)])
def test_planted_interaction_is_found_and_main_effects_are_not_taken_for_it(coupling, low, high):
    phi, condition, data = planted(3, coupling, 200)
    design = build_design(ppi_columns(phi, condition), [], 300)
    found = fit_run(data, design, design.contrast({"interaction": 1.0}))
    assert low <= (np.abs(found.z) > 1.96).mean() <= high


def test_bad_columns():
    with pytest.raises(BadDataError, match="condition"):
        ppi_columns(np.arange(5.0), np.arange(6.0))
    with pytest.raises(BadDataError, match="constant"):
        ppi_columns(np.arange(5.0), np.zeros(5))
