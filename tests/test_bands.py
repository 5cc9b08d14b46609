"""Bands of series that were denoised before, and the same filter for features."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import signal

from bids_app.bands import Band, high_pass_of, high_pass_setting
from bids_app.config import settings_hash
from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.errors import BadDataError
from bids_app.features.timing import filtered, sample_gram, sample_series, whole_clock

TR = 1.5


def test_the_filter_is_that_of_xcpd():
    """Butterworth of half the order, forward and backward."""
    rng = np.random.default_rng(0)
    series = rng.standard_normal((400, 3))
    b, a = signal.butter(1, [0.01, 0.08], "bandpass", fs=1 / TR)
    wanted = signal.filtfilt(b, a, signal.detrend(series, axis=0), axis=0)
    found = Band(0.01, 0.08, 2).apply(series, TR)
    inside = slice(100, 300)
    assert np.abs(found[inside] - wanted[inside]).max() < 0.01 * wanted.std()
    passed = np.abs(np.fft.rfft(found[:, 0])) ** 2
    frequencies = np.fft.rfftfreq(400, TR)
    assert passed[frequencies > 0.2].sum() < 0.02 * passed.sum()


@pytest.mark.parametrize("band", [Band(0.01, 0.08), Band(0.01, 0), Band(0, 0.1, 4), Band()])
def test_every_filter_is_linear_and_takes_out_a_line(band):
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal((2, 120, 2))
    both = band.apply(2 * one - 3 * other, TR)
    np.testing.assert_allclose(both, 2 * band.apply(one, TR) - 3 * band.apply(other, TR), atol=1e-9)
    line = np.arange(120.0)[:, None]
    np.testing.assert_allclose(band.apply(one + line, TR), band.apply(one, TR)[:, :2], atol=1e-8)


def test_a_band_that_the_sampling_cannot_hold():
    with pytest.raises(BadDataError, match="sampling cannot hold"):
        Band(0.5, 0.8).apply(np.zeros((20, 1)), 2.0)
    assert np.isfinite(Band(0.01, 5.0).apply(np.random.default_rng(0).random((50, 1)), 2.0)).all()


def test_a_band_survives_the_settings_file():
    band = Band(0.01, 0.08, 2, cutoff=100.0)
    stored = json.loads(json.dumps(high_pass_setting(band)))
    assert high_pass_of(stored) == band
    assert high_pass_of(128) == 128.0
    other = high_pass_setting(Band(0.01, 0.1, 2, cutoff=100.0))
    assert settings_hash({"high_pass": stored}) != settings_hash({"high_pass": other})


@pytest.mark.parametrize("high_pass", [0.0, 100.0, Band(0.01, 0.1), Band(0.01, 0.1, cutoff=90.0)])
def test_the_filtered_gram_is_that_of_filtered_features(high_pass):
    rng = np.random.default_rng(2)
    centers = [np.arange(0.5, length, 0.5) for length in (120, 150)]
    features = [rng.standard_normal((len(own), 5)) for own in centers]
    times = [np.arange(0.7, 118, TR), np.arange(0.2, 149, TR)]
    stacked = np.concatenate(features)
    found = sample_gram(stacked @ stacked.T, centers, [0, 1], times, TR, high_pass)
    explicit = np.concatenate(
        [
            sample_series(x, own, at, TR, high_pass)
            for x, own, at in zip(features, centers, times, strict=True)
        ]
    )
    np.testing.assert_allclose(found, explicit @ explicit.T, atol=1e-8)


def test_a_further_cutoff_takes_slow_waves_out():
    slow = np.cos(np.pi * (np.arange(200) + 0.5) * 2 / 200)[:, None]
    kept = filtered(slow, TR, Band(0, 0.1))
    gone = filtered(slow, TR, Band(0, 0.1, cutoff=100.0))
    assert np.abs(gone).max() < 0.05 * np.abs(kept).max()


def test_the_clock_behind_censored_samples():
    times = 0.4 + TR * np.array([0, 1, 2, 5, 6, 9])
    whole, kept = whole_clock(times, TR)
    assert kept.tolist() == [0, 1, 2, 5, 6, 9]
    np.testing.assert_allclose(whole, 0.4 + TR * np.arange(10))
    np.testing.assert_allclose(whole[kept], times)
    regular = np.arange(5.0)
    assert whole_clock(regular, 1.0)[0] is regular


def history(feature, shifts):
    return np.hstack([np.roll(feature, d, axis=0) for d in shifts])


@pytest.fixture
def pieces():
    """Three pieces of smooth features, responses to their past, and samples that are gone."""
    rng = np.random.default_rng(3)
    features, there = [], []
    for length in (90, 100, 110):
        x = signal.lfilter([1.0], [1.0, -0.8], rng.standard_normal((length, 4)), axis=0)
        features.append(x)
        gone = rng.choice(np.arange(5, length - 5), length // 4, replace=False)
        there.append(np.setdiff1d(np.arange(length), gone))
    weights = rng.standard_normal((12, 6))
    responses = [history(x, (2, 3, 4)) @ weights for x in features]
    return features, responses, there


def gram_of(features):
    stacked = np.concatenate(features)
    return stacked @ stacked.T


OPTIONS = {"delays": (2.0, 4.0), "crop": 6.0, "tr": 1.0}


def test_dropped_samples_leave_both_sides_by_time(pieces):
    """The kernel is that of delayed features of the whole clock, at the samples that are there."""
    features, responses, there = pieces
    lengths = [len(x) for x in features]
    plan = plan_encoding(gram_of(features), lengths, present=there, **OPTIONS)
    rows = [own[(own >= 6) & (own < n - 6)] for own, n in zip(there, lengths, strict=True)]
    explicit = [history(x, (2, 3, 4))[own] for x, own in zip(features, rows, strict=True)]
    explicit = np.concatenate([x - x.mean(axis=0) for x in explicit])
    kernel = explicit @ explicit.T
    np.testing.assert_allclose(plan.kernel, kernel / np.diag(kernel).mean(), atol=1e-8)
    assert plan.lengths == tuple(map(len, there))
    assert [stop - start for start, stop in plan.rows] == list(map(len, rows))
    kept = [y[own] for y, own in zip(responses, there, strict=True)]
    by_time = fit_encoding(plan, kept, null="none").mean_r
    joined = [x[own] for x, own in zip(features, there, strict=True)]
    wrong = plan_encoding(gram_of(joined), [len(x) for x in joined], **OPTIONS)
    by_joining = fit_encoding(wrong, kept, null="none").mean_r
    assert by_time.min() > 0.99
    assert by_joining.mean() < 0.9


def test_all_samples_there_change_nothing(pieces):
    features, *_ = pieces
    lengths = [len(x) for x in features]
    plain = plan_encoding(gram_of(features), lengths, **OPTIONS)
    whole = [np.arange(n) for n in lengths]
    same = plan_encoding(gram_of(features), lengths, present=whole, **OPTIONS)
    np.testing.assert_array_equal(plain.kernel, same.kernel)
    assert plain.rows == same.rows


def test_too_few_samples_that_are_there(pieces):
    features, _, there = pieces
    lengths = [len(x) for x in features]
    with pytest.raises(BadDataError, match="too few samples with a response"):
        plan_encoding(gram_of(features), lengths, present=[there[0][:3], *there[1:]], **OPTIONS)
