"""By how many seconds responses follow a feature: the lag, its edges, its null."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.stats import pearsonr

from bids_app.errors import BadDataError, UsageError
from bids_app.surface.lag_scan import LagRun, lag_scan

SCANNED = np.arange(-15.0, 16.0)


def run_of(shift, seed, *, n_vertices=3, noise=2.0, n_times=150, tr=2.0, sign=1.0):
    """A run whose responses follow a feature by `shift` seconds, the feature on a finer clock."""
    rng = np.random.default_rng(seed)
    steps = np.arange(0.0, n_times * tr, 0.25)
    feature = gaussian_filter1d(rng.standard_normal(steps.size), 10)
    feature /= feature.std()
    times = np.arange(n_times) * tr
    heard = np.interp(times - shift, steps, feature)
    responses = sign * heard[:, None] + noise * rng.standard_normal((n_times, n_vertices))
    return LagRun(responses, times, feature, steps)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("shift", [2.3, 5.4, 9.0])
def test_scan_finds_lag_and_sign(shift, sign):
    runs = [run_of(shift, seed, sign=sign) for seed in (1, 2, 3)]
    found = lag_scan(runs, SCANNED, n_draws=99, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.lag, shift, atol=0.6)
    assert (np.sign(found.r) == sign).all()
    assert (found.p == 0.01).all()
    assert (found.p_corrected == 0.01).all()
    assert not found.at_edge.any()


def test_scan_has_one_set_of_rows():
    """Whatever lies outside them changes nothing, and a lag has the r of its shifted feature."""
    run = run_of(5.0, 4)
    found = lag_scan([run], SCANNED, n_draws=1, rng=np.random.default_rng(0))
    keep = (run.times - 15.0 >= 0) & (run.times + 15.0 <= run.feature_times[-1])
    for place in (0, 15, 22, 30):
        x = np.interp(run.times[keep] - SCANNED[place], run.feature_times, run.feature)
        r = [pearsonr(x, y).statistic for y in run.responses[keep].T]
        np.testing.assert_allclose(found.curves[place], r, atol=1e-12)
    changed = np.where(keep[:, None], run.responses, 99.0)
    again = lag_scan(
        [LagRun(changed, run.times, run.feature, run.feature_times)],
        SCANNED,
        n_draws=1,
        rng=np.random.default_rng(0),
    )
    np.testing.assert_array_equal(again.curves, found.curves)


def test_scan_weights_runs_by_their_rows():
    runs = [run_of(5.0, 1, n_times=60), run_of(5.0, 2, n_times=150)]
    alone = [lag_scan([r], SCANNED, n_draws=1, rng=np.random.default_rng(0)).curves for r in runs]
    rows = [
        np.sum((r.times - 15.0 >= 0) & (r.times + 15.0 <= r.feature_times[-1])) - 3 for r in runs
    ]
    wanted = np.tanh(sum(n * np.arctanh(c) for n, c in zip(rows, alone, strict=True)) / sum(rows))
    found = lag_scan(runs, SCANNED, n_draws=1, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.curves, wanted, atol=1e-12)


def test_scan_says_where_the_peak_is_at_the_edge():
    run = run_of(14.0, 3, noise=0.3)
    found = lag_scan([run], SCANNED, n_draws=1, rng=np.random.default_rng(0))
    assert found.at_edge.all()
    assert np.isnan(found.lag).all()
    assert np.isfinite(found.r).all()


def test_scan_leaves_out_what_has_no_signal():
    run = run_of(5.0, 1)
    responses = run.responses.copy()
    responses[:, 0] = 3.0
    responses[80, 1] = np.nan
    run = LagRun(responses, run.times, run.feature, run.feature_times)
    found = lag_scan([run], SCANNED, n_draws=9, rng=np.random.default_rng(0))
    for values in (found.lag, found.r, found.p, found.p_corrected):
        assert np.isnan(values[:2]).all()
        assert np.isfinite(values[2])


@pytest.mark.parametrize("n_hearings", [1, 2])
def test_scan_of_noise_is_calibrated(n_hearings):
    """Smooth noise against a smooth feature: the lag is chosen inside the null.

    Who hears a piece again responds alike, whether to the feature or to something else in it.
    """
    p, corrected = [], []
    for seed in range(80):
        run = run_of(5.0, seed, n_vertices=1)
        rng = np.random.default_rng([seed, 1])
        noise = gaussian_filter1d(rng.standard_normal((150, 4)), 2, axis=0)
        runs = [
            LagRun(
                noise + 0.02 * rng.standard_normal(noise.shape) * (n_hearings > 1),
                run.times,
                run.feature,
                run.feature_times,
            )
            for _ in range(n_hearings)
        ]
        found = lag_scan(runs, SCANNED, n_draws=39, rng=rng)
        p.append(found.p)
        corrected.append(found.p_corrected.min())
    # 320 and 80 of them: .05 has a standard error of .012 and .024.
    assert 0.01 < np.mean(np.concatenate(p) <= 0.05) < 0.10
    assert np.mean(np.array(corrected) <= 0.05) < 0.14
    assert 0.4 < np.mean(np.concatenate(p)) < 0.6


@pytest.mark.parametrize("within", [(0.0, 1.0), (20.0, 30.0)])
def test_scans_without_a_choice_are_refused(within):
    with pytest.raises(UsageError):
        lag_scan([run_of(5.0, 0)], SCANNED, within=within, n_draws=1, rng=np.random.default_rng(0))


def test_a_run_that_is_too_short_is_refused():
    with pytest.raises(BadDataError, match="too short"):
        lag_scan([run_of(5.0, 0, n_times=16)], SCANNED, n_draws=1, rng=np.random.default_rng(0))


def test_silence_keeps_all_rows():
    """Before and after the music the feature is known, so that no row is left out at any lag."""
    run = run_of(5.0, 4)
    padded = LagRun(run.responses, run.times, run.feature, run.feature_times, silence=0.0)
    found = lag_scan([padded], SCANNED, n_draws=1, rng=np.random.default_rng(0))
    for place in (0, 15, 20, 30):
        then = run.times - SCANNED[place]
        x = np.interp(then, run.feature_times, run.feature, left=0.0, right=0.0)
        r = [pearsonr(x, y).statistic for y in run.responses.T]
        np.testing.assert_allclose(found.curves[place], r, atol=1e-12)


def test_a_positive_lag_is_where_the_correlation_is_highest():
    run = run_of(5.0, 1, sign=-1.0, noise=0.3)
    within = (SCANNED[0], SCANNED[-1])
    rng = np.random.default_rng(0)
    found = lag_scan([run], SCANNED, within=within, n_draws=9, rng=rng, positive=True)
    assert (np.abs(found.lag - 5.0) > 1.0)[np.isfinite(found.lag)].all()
    assert (found.r == found.curves.max(axis=0)).all()
