"""What happens to features in time, done to their Gram matrix instead."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from scipy.interpolate import interp1d

from bids_app.errors import BadDataError, UsageError
from bids_app.features import timing
from bids_app.features.timing import (
    high_pass_basis,
    sample_gram,
    sample_series,
    stimulus_rows,
    window_matrix,
)


def test_rows_of_the_study():
    # 183 volumes of 1 s, 168 s of music, volumes sampled half a TR after their start.
    rows, times = stimulus_rows(183, 1.0, 0.5, onset=10.0, duration=168.0)
    assert rows[0] == 10
    assert rows[-1] == 177
    np.testing.assert_allclose(times, np.arange(168) + 0.5)


def test_both_ends_of_the_music_count():
    rows, times = stimulus_rows(100, 0.1, 0.0, onset=0.3, duration=0.6)
    assert rows.tolist() == [3, 4, 5, 6, 7, 8, 9]
    np.testing.assert_allclose(times, np.arange(7) * 0.1, atol=1e-12)


def test_an_offset_moves_the_audio_not_the_rows():
    rows, times = stimulus_rows(50, 2.0, 1.0, onset=20.0, duration=30.0)
    moved, later = stimulus_rows(50, 2.0, 1.0, onset=20.0, duration=30.0, offset=12.5)
    np.testing.assert_array_equal(rows, moved)
    np.testing.assert_allclose(later, times + 12.5)


def test_music_that_starts_before_the_run_or_ends_after_it():
    rows, times = stimulus_rows(10, 1.0, 0.0, onset=-5.0, duration=100.0)
    assert rows.tolist() == list(range(10))
    assert times[0] == 5.0


def test_rows_refuse_what_makes_no_sense():
    with pytest.raises(
        BadDataError, match=r"(?s)No volume.*music from 500 to 510.*volumes from 0 to 9"
    ):
        stimulus_rows(10, 1.0, 0.0, onset=500.0, duration=10.0)
    for name in ("tr", "duration"):
        with pytest.raises(UsageError, match=name):
            stimulus_rows(**{**dict(n_volumes=9, tr=1, start_time=0, onset=0, duration=5), name: 0})
    with pytest.raises(UsageError, match="onset"):
        stimulus_rows(10, 1.0, 0.0, onset=np.nan, duration=5.0)


def integrated(centers, values, middle, width):
    """Mean over a window by trapezoids between all knots in it: exact for lines."""
    begin, end = middle - width / 2, middle + width / 2
    x = np.r_[begin, centers[(centers > begin) & (centers < end)], end]
    held = [np.interp(x, centers, unit) for unit in values.T]
    return [np.trapezoid(unit, x) / width for unit in held]


CLOCKS = {
    "patches": 0.4875 + 0.48 * np.arange(30),
    "fine": 0.01 * np.arange(1500),
    "coarse": 0.7 + 5.0 * np.arange(4),
    "uneven": np.cumsum(np.random.default_rng(3).uniform(0.01, 2.0, 25)),
    "two": np.array([3.0, 8.0]),
}


@pytest.mark.parametrize("width", [0.01, 0.3, 0.5, 0.72, 1.0, 1.5, 2.0, 2.5, 3.0, 40.0])
@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_windows_integrate_the_line_between_samples_exactly(rng, clock, width):
    times = np.r_[rng.uniform(-3, 20, 40), clock[[0, -1]], clock[0] + width / 2, -100, 100]
    values = rng.normal(size=(len(clock), 4))
    matrix = window_matrix(clock, times, width)
    wanted = [integrated(clock, values, middle, width) for middle in times]
    np.testing.assert_allclose(matrix @ values, wanted, atol=1e-11)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert matrix.toarray().min() > -1e-12


@pytest.mark.parametrize("tr", [0.5, 0.8, 1.0, 1.5, 2.0, 3.0])
def test_windows_agree_with_dense_sampling(rng, tr):
    centers = 0.4875 + 0.48 * np.arange(40)
    values = rng.normal(size=40)
    times = 0.37 * tr + tr * np.arange(int(19 / tr))
    offsets = ((np.arange(4000) + 0.5) / 4000 - 0.5) * tr
    dense = np.interp(times[:, np.newaxis] + offsets, centers, values).mean(axis=1)
    np.testing.assert_allclose(window_matrix(centers, times, tr) @ values, dense, atol=1e-5)


def test_windows_are_sparse_and_hold_the_ends():
    matrix = window_matrix(np.arange(1000.0), np.arange(0.3, 990, 2.0), 2.0)
    assert matrix.nnz <= 4 * matrix.shape[0]
    lone = window_matrix([1.0], [0.0, 5.0], 2.0)
    np.testing.assert_array_equal(lone.toarray(), [[1.0], [1.0]])
    ends = window_matrix([1.0, 2.0], [-9.0, 99.0], 3.0)
    np.testing.assert_allclose(ends.toarray(), [[1, 0], [0, 1]])


def test_narrow_windows_are_the_interpolation(rng):
    centers = 0.4875 + 0.48 * np.arange(30)
    times, values = rng.uniform(-2, 18, 50), rng.normal(size=(30, 4))
    line = interp1d(centers, values, axis=0, bounds_error=False, fill_value=(values[0], values[-1]))
    np.testing.assert_allclose(window_matrix(centers, times, 1e-7) @ values, line(times), atol=1e-6)


def test_what_is_faster_than_the_volumes_does_not_come_back_as_slow():
    clock, tr = 0.02 * np.arange(3000), 2.0
    volumes = np.arange(3.0, 57.0, tr)
    for period in (2.0, 1.0, 0.5):
        fast = np.sin(2 * np.pi * clock / period + 0.4)
        assert np.abs(np.interp(volumes, clock, fast)).max() > 0.3  # aliased
        assert np.abs(window_matrix(clock, volumes, tr) @ fast).max() < 1e-3
    slow = np.sin(2 * np.pi * clock / 40)
    damped = np.sinc(tr / 40) * np.sin(2 * np.pi * volumes / 40)
    np.testing.assert_allclose(window_matrix(clock, volumes, tr) @ slow, damped, atol=1e-4)


def test_windows_refuse_bad_times():
    with pytest.raises(BadDataError, match="increase"):
        window_matrix([0.0, 0.0], [1.0], 1.0)
    with pytest.raises(BadDataError, match="finite"):
        window_matrix([0.0, 1.0], [np.nan], 1.0)
    with pytest.raises(BadDataError, match=r"(?s)where: centers.*shape \(0,\)"):
        window_matrix([], [1.0], 1.0)
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="no length"):
            window_matrix([0.0, 1.0], [1.0], wrong)


def test_high_pass_is_the_cosine_basis_of_scipy_and_nilearn():
    from nilearn.glm.first_level.design_matrix import create_cosine_drift

    basis = high_pass_basis(183, 1.0, 128.0)
    assert basis.shape == (183, 2)
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-12)
    dct = scipy.fft.dct(np.eye(183), norm="ortho", axis=0)[1:3]
    np.testing.assert_allclose(basis, dct.T, atol=1e-12)
    drift = create_cosine_drift(1 / 128, np.arange(183.0))[:, :-1]
    np.testing.assert_allclose(basis, drift / np.linalg.norm(drift, axis=0), atol=1e-12)
    assert high_pass_basis(50, 1.0, 128.0).shape == (50, 0)
    assert high_pass_basis(4, 1.0, 0.1).shape == (4, 3)
    with pytest.raises(UsageError):
        high_pass_basis(10, 1.0, 0.0)


@pytest.mark.parametrize("high_pass", [None, 40.0])
def test_sampled_gram_equals_explicit_features(rng, high_pass):
    tr, lengths = 1.5, (70, 90, 120)
    centers = [0.4875 + 0.48 * np.arange(n) for n in lengths]
    features = [rng.normal(size=(n, 300)) * 10 for n in lengths]
    whole = np.concatenate(features)
    # One stimulus twice, another not at all, sampled off the patches and past their ends.
    index = [2, 0, 2]
    times = [0.3 + tr * np.arange(39), 2.1 + tr * np.arange(20), tr * np.arange(30)]
    explicit = []
    for stimulus, sampled in zip(index, times, strict=True):
        block = np.array(
            [integrated(centers[stimulus], features[stimulus], t, tr) for t in sampled]
        )
        if high_pass is not None:
            n = len(sampled)
            cosines = [
                np.cos(np.pi * k * (2 * np.arange(n) + 1) / (2 * n))
                for k in range(1, int(2 * n * tr / high_pass) + 1)
            ]
            design = np.column_stack(cosines)
            block = block - design @ np.linalg.lstsq(design, block, rcond=None)[0]
        explicit.append(block)
        series = sample_series(features[stimulus], centers[stimulus], sampled, tr, high_pass)
        np.testing.assert_allclose(series, block, atol=1e-10)
    explicit = np.concatenate(explicit)
    sampled = sample_gram(whole @ whole.T, centers, index, times, tr, high_pass)
    expected = explicit @ explicit.T
    assert sampled.dtype == np.float64
    np.testing.assert_array_equal(sampled, sampled.T)
    np.testing.assert_allclose(sampled, expected, atol=1e-10 * np.abs(expected).max())


def test_sample_gram_refuses_what_does_not_fit():
    with pytest.raises(BadDataError, match=r"\(5, 5\)"):
        sample_gram(np.eye(4), [np.arange(5.0)], [0], [np.arange(3.0)], 1.0, None)
    with pytest.raises(BadDataError, match="2 and 1"):
        sample_gram(np.eye(5), [np.arange(5.0)], [0, 0], [np.arange(3.0)], 1.0, None)


def test_long_matrices_are_sampled_in_parts(rng, monkeypatch):
    values = rng.normal(size=(60, 5)).astype(np.float32)
    arguments = ([0.5 * np.arange(60)], [0], [0.2 + 0.7 * np.arange(40)], 0.7, 20.0)
    whole = sample_gram(values @ values.T, *arguments)
    monkeypatch.setattr(timing, "_ROWS", 7)
    np.testing.assert_allclose(sample_gram(values @ values.T, *arguments), whole, atol=1e-12)


def test_without_a_high_pass_filter_a_line_is_taken_out(rng):
    values = rng.standard_normal((40, 3)) + 0.3 * np.arange(40)[:, None]
    centers = np.arange(40) * 0.5
    times = 1.0 + np.arange(18.0)
    plain = timing.sample_series(values, centers, times, 1.0, None)
    found = timing.sample_series(values, centers, times, 1.0, 0.0)
    place = np.column_stack([np.ones(18), np.arange(18.0)])
    fit = place @ np.linalg.lstsq(place, plain, rcond=None)[0]
    np.testing.assert_allclose(found - found.mean(axis=0), plain - fit, atol=1e-10)
    np.testing.assert_allclose(found.mean(axis=0), plain.mean(axis=0), atol=1e-10)
    gram = timing.sample_gram(values @ values.T, [centers], [0], [times], 1.0, 0.0)
    np.testing.assert_allclose(gram, found @ found.T, atol=1e-8)
    assert timing.drift_basis(1, 1.0, 0.0).tolist() == [[0.0]]
    np.testing.assert_array_equal(
        timing.drift_basis(90, 2.0, 128.0), timing.high_pass_basis(90, 2.0, 128.0)
    )
