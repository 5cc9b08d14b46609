"""How many participants show it, and how common it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bids_app.errors import BadDataError
from bids_app.group import prevalence, simes
from bids_app.statistics import benjamini_hochberg


def test_prevalence_and_its_interval_are_those_of_the_binomial():
    k, n = np.array([0, 1, 5, 12]), 12
    found = prevalence(k, n)
    exact = [stats.binomtest(int(one), n).proportion_ci(0.95, method="exact") for one in k]
    for values, wanted in (
        (found.estimate, k / n),
        (found.low, [one.low for one in exact]),
        (found.high, [one.high for one in exact]),
    ):
        np.testing.assert_allclose(values, np.clip((np.array(wanted) - 0.05) / 0.95, 0, 1))
    p = [stats.binomtest(int(one), n, 0.05, alternative="greater").pvalue for one in k]
    np.testing.assert_allclose(found.p, p)


def test_the_interval_holds_the_truth_in_nineteen_of_twenty_studies():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.2, 0.6, 1.0):
        k = rng.binomial(20, 0.05 + 0.95 * share, 4000)
        found = prevalence(k, 20)
        assert ((found.low <= share) & (share <= found.high)).mean() > 0.945


def test_nobody_tested_gives_nothing_and_too_many_are_refused():
    found = prevalence([0, 2], [0, 4])
    assert np.isnan(found.estimate[0])
    assert np.isfinite(found.estimate[1])
    with pytest.raises(BadDataError, match="More participants"):
        prevalence(5, 4)


def test_simes_finds_something_where_benjamini_and_hochberg_do():
    rng = np.random.default_rng(1)
    p = rng.uniform(size=(3, 200, 7)) ** 1.7
    p[0, 0, 0] = np.nan
    found = simes(p, axis=(0, 2))
    assert found.shape == (200,)
    q = [np.nanmin(benjamini_hochberg(one.ravel())) for one in np.moveaxis(p, 1, 0)]
    np.testing.assert_allclose(found, q)
    assert np.isnan(simes(np.full((2, 3), np.nan))).all()
    assert (simes(rng.uniform(size=(4000, 9))) < 0.05).mean() == pytest.approx(0.05, abs=0.015)
