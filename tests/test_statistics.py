"""Averages, Fisher's z and the false discovery rate, whoever asks for them."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.statistics import (
    benjamini_hochberg,
    finite_mean,
    fisher_mean,
    fisher_z,
    p_number,
    p_told,
)


def test_fisher_z_is_finite_where_correlations_are_perfect():
    r = np.array([-1.0, -0.5, 0.0, 0.999999, 1.0, np.nan])
    z = fisher_z(r)
    np.testing.assert_array_equal(z[1:4], np.arctanh(r[1:4]))
    assert np.isfinite(z[[0, 4]]).all()
    assert z[0] == -z[4]
    assert np.isnan(z[5])
    # Single precision would round the bound to 1.
    assert np.isfinite(fisher_z(np.ones(1, dtype=np.float32))).all()
    assert fisher_mean(np.array([[0.5, np.nan], [0.5, 0.1]])).tolist()[0] == pytest.approx(0.5)
    assert np.isnan(fisher_mean(np.array([[0.5, np.nan], [0.5, 0.1]]))[1])


def test_finite_mean_leaves_out_what_is_missing():
    values = np.array([[1.0, np.nan, np.nan], [3.0, np.inf, 5.0]])
    np.testing.assert_array_equal(finite_mean(values), [2.0, np.nan, 5.0])
    np.testing.assert_array_equal(finite_mean(values, axis=1), [1.0, 4.0])


def textbook(p):
    order = np.argsort(p)
    q = np.empty_like(p)
    ranked = p[order] * p.size / np.arange(1, p.size + 1)
    q[order] = np.minimum.accumulate(ranked[::-1])[::-1]
    return q


def test_benjamini_hochberg_equals_the_textbook_over_the_axis_named():
    p = np.random.default_rng(10).uniform(size=(7, 9)) ** 2
    p[2, 3] = np.nan
    tests = ~np.isnan(p)
    together = benjamini_hochberg(p)
    np.testing.assert_allclose(together[tests], textbook(p[tests]), rtol=1e-15)
    rows, columns = benjamini_hochberg(p, axis=-1), benjamini_hochberg(p, axis=0)
    for q in (together, rows, columns):
        np.testing.assert_array_equal(np.isnan(q), ~tests)
    np.testing.assert_allclose(rows[4], textbook(p[4]), rtol=1e-15)
    np.testing.assert_allclose(rows[2][tests[2]], textbook(p[2][tests[2]]), rtol=1e-15)
    np.testing.assert_array_equal(columns, benjamini_hochberg(p.T, axis=-1).T)
    np.testing.assert_array_equal(benjamini_hochberg(p[4]), rows[4])


def test_benjamini_hochberg_without_tests_and_outside_the_range():
    assert np.isnan(benjamini_hochberg([np.nan, np.nan])).all()
    with pytest.raises(BadDataError, match=r"between 0 and 1(.|\n)*0.5 to 1.2"):
        benjamini_hochberg([0.5, np.nan, 1.2])


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0312, ".031"),
        (0.001, ".001"),
        (9.99e-4, ".001"),
        (1 / 10_001, ".0001"),
        (4e-5, "< .0001"),
        (0.0, "< .0001"),
        (1.0, "1"),
        (0.99999, "1"),
        (float("nan"), "n/a"),
    ],
)
def test_p_is_told_in_one_style(p, text):
    assert p_number(p) == text
    assert p_told(p) == (f"p {text}" if text[0] in "<n" else f"p = {text}")
