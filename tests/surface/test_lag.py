"""The lag between music and auditory cortex."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.stats import pearsonr

from bids_app.surface.lag import (
    auditory_vertices,
    lag_curve,
    lag_warning,
    null_curves,
    peak_p,
    summarize_lags,
)
from bids_app.surface.lag_scan import peak_lag
from bids_app.surface.mesh import load_mesh

LAGS = np.arange(-20.0, 25.0, 0.5)


def planted(shift, *, n_times=240, tr=1.0, n_vertices=50, noise=2.0, seed=0):
    """Responses that follow a smooth envelope by `shift` seconds, under noise."""
    rng = np.random.default_rng(seed)
    fine = gaussian_filter1d(rng.standard_normal(20 * (n_times + 200)), 30)
    fine /= fine.std()
    clock = (np.arange(fine.size) - 2000) / 20
    times = np.arange(n_times) * tr
    envelope = np.interp(times, clock, fine)
    signal = np.interp(times - shift, clock, fine)
    responses = signal[:, None] + noise * rng.standard_normal((n_times, n_vertices))
    return responses, envelope


@pytest.mark.parametrize("shift", [-6.0, 0.0, 5.0, 12.0])
@pytest.mark.parametrize("tr", [0.8, 1.0, 2.0])
def test_planted_shift_is_found(shift, tr):
    curve = lag_curve(*planted(shift, tr=tr), tr, LAGS)
    assert peak_lag(curve, LAGS) == pytest.approx(shift, abs=0.5)
    assert np.nanmax(curve) > 0.8


def test_music_that_starts_twelve_seconds_late_is_called_out():
    right, late = (
        [lag_curve(*planted(5.0 + shift, seed=seed), 1.0, LAGS) for seed in range(8)]
        for shift in (0.0, 12.0)
    )
    fine, warned = summarize_lags(right, LAGS, seed=0), summarize_lags(late, LAGS, seed=0)
    assert fine.lag == pytest.approx(5.0, abs=0.5)
    assert fine.warning is None
    assert warned.lag == pytest.approx(17.0, abs=0.5)
    assert "17." in warned.warning
    assert warned.low <= warned.lag <= warned.high
    assert warned.high - warned.low < 2
    assert summarize_lags(late, LAGS, seed=0).low == warned.low


def test_curve_is_pearsons_r_of_the_overlap():
    responses, envelope = planted(3.0, n_times=80, n_vertices=1)
    curve = lag_curve(responses, envelope, 1.0, [0.0, 7.0, -4.0])
    expected = [
        pearsonr(responses[:, 0], envelope)[0],
        pearsonr(responses[7:, 0], envelope[:-7])[0],
        pearsonr(responses[:-4, 0], envelope[4:])[0],
    ]
    np.testing.assert_allclose(curve, expected, rtol=1e-10)


def test_scale_and_unusable_vertices_do_not_matter():
    responses, envelope = planted(4.0)
    curve = lag_curve(responses, envelope, 1.0, LAGS)
    more = np.column_stack([7 * responses + 3, np.zeros(240), np.full(240, np.nan), np.ones(240)])
    np.testing.assert_allclose(lag_curve(more, 10 * envelope, 1.0, LAGS), curve, atol=1e-12)


def test_missing_times_are_left_out():
    responses, envelope = planted(4.0)
    responses[:5] = np.nan
    envelope[-30:] = np.nan
    curve = lag_curve(responses, envelope, 1.0, [4.0])
    whole = planted(4.0)
    signal = whole[0][5:]
    signal = ((signal - signal.mean(0)) / signal.std(0)).mean(1)
    use = slice(0, 240 - 30 + 4 - 5)
    assert curve[0] == pytest.approx(pearsonr(signal[use], whole[1][1:210][: signal[use].size])[0])


def test_undefined_curves():
    silent = lag_curve(np.zeros((50, 3)), np.arange(50.0), 1.0, LAGS)
    assert np.isnan(silent).all()
    assert np.isnan(peak_lag(silent, LAGS))
    assert (
        summarize_lags([silent, silent], LAGS, seed=0).warning
        == "the lag of the music is not defined"
    )
    short = lag_curve(*planted(0.0, n_times=12), 1.0, [0.0, 5.0])
    assert np.isfinite(short[0])
    assert np.isnan(short[1])
    one = summarize_lags([lag_curve(*planted(5.0), 1.0, LAGS)], LAGS, seed=0)
    assert np.isfinite(one.lag)
    assert np.isnan(one.low)


def test_plausible_lags_give_no_warning():
    assert [lag_warning(lag) is None for lag in (-2.5, -2, 5, 10, 10.5)] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_auditory_vertices_are_on_both_superior_temporal_planes():
    mesh = load_mesh("fsaverage5")
    vertices = auditory_vertices(mesh)
    left = vertices[vertices < mesh.left.n_vertices]
    assert 40 < left.size < 400
    assert 0.6 < left.size / (vertices.size - left.size) < 1.6
    assert mesh.left.white[left].mean(axis=0)[0] < -35


@pytest.mark.parametrize(
    ("responses", "envelope", "tr", "message"),
    [
        (np.zeros((10, 2)), np.zeros(9), 1.0, "where: envelope"),
        (np.zeros(10), np.zeros(10), 1.0, "where: responses"),
        (np.zeros((10, 2)), np.zeros(10), 0.0, "not positive"),
    ],
)
def test_bad_input(responses, envelope, tr, message):
    with pytest.raises(ValueError, match=message):
        lag_curve(responses, envelope, tr, [0.0])


def test_curves_and_lags_must_fit():
    with pytest.raises(ValueError, match="where: lags"):
        summarize_lags(np.zeros((2, 3)), LAGS, seed=0)


def p_of(responses, envelope, lags, n_draws):
    rng = np.random.default_rng(1)
    null = null_curves(responses, envelope, 1.0, lags, n_draws=n_draws, rng=rng)
    return peak_p(lag_curve(responses, envelope, 1.0, lags), null)


def test_peak_p_finds_a_planted_lag_and_keeps_its_level():
    rng = np.random.default_rng(5)
    lags = np.arange(-15, 25.5, 1.0)
    envelope = np.convolve(rng.standard_normal(240), np.ones(4), "same")
    follows = np.roll(envelope, 12)[:, None] + 0.5 * rng.standard_normal((240, 6))
    assert p_of(follows, envelope, lags, 199) == 1 / 200
    unrelated = [
        np.convolve(rng.standard_normal(240), np.ones(4), "same")[:, None] for _ in range(100)
    ]
    p = np.array([p_of(y, envelope, lags, 99) for y in unrelated])
    assert (p <= 0.05).mean() <= 0.12
    assert 0.35 < p.mean() < 0.65


def test_what_listeners_share_of_noise_stays_shared_under_the_null():
    rng = np.random.default_rng(6)
    lags = np.arange(-15, 25.5, 1.0)
    smooth = np.convolve(rng.standard_normal(240), np.ones(6), "same")
    shared = np.convolve(rng.standard_normal(240), np.ones(6), "same")

    def curves(course, seed):
        draws = np.random.default_rng(seed)
        return null_curves(course[:, None], smooth, 1.0, lags, n_draws=50, rng=draws)

    alike = [curves(shared + 0.3 * rng.standard_normal(240), 1) for _ in range(2)]
    other = curves(shared + 0.3 * rng.standard_normal(240), 2)
    assert np.corrcoef(alike[0].ravel(), alike[1].ravel())[0, 1] > 0.7
    assert abs(np.corrcoef(alike[0].ravel(), other.ravel())[0, 1]) < 0.3


def test_a_curve_of_nothing_has_no_p():
    nothing = np.full((30, 2), np.nan)
    null = null_curves(nothing, np.ones(30), 1.0, LAGS, n_draws=5, rng=np.random.default_rng(0))
    assert np.isnan(null).all()
    assert np.isnan(peak_p(lag_curve(nothing, np.ones(30), 1.0, LAGS), null))
