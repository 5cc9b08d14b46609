"""Cleaning: against an independent least-squares fit, and what must not change it."""

import numpy as np
import pytest
from nilearn.signal import clean

from bids_app.errors import BadDataError
from bids_app.surface.responses import clean_responses, residual_matrix, temporal_snr


@pytest.fixture
def run():
    rng = np.random.default_rng(1)
    n_times = 120
    bold = rng.standard_normal((n_times, 30)).cumsum(axis=0) + 1000
    confounds = rng.standard_normal((n_times, 6)) * 10.0 ** np.arange(-3, 3)
    drift = np.cos(np.pi * np.outer(np.arange(n_times) + 0.5, [1, 2, 3]) / n_times)
    return bold, confounds, drift


def test_clean_responses_equals_least_squares(run):
    bold, confounds, drift = run
    result = clean_responses(bold, confounds, drift)
    design = np.column_stack([np.ones(len(bold)), confounds, drift])
    beta = np.linalg.lstsq(design / design.std(axis=0).clip(1e-12), bold, rcond=None)[0]
    expected = bold - design / design.std(axis=0).clip(1e-12) @ beta
    np.testing.assert_allclose(result.values, expected, atol=2e-3)
    assert result.rank == 10
    assert result.degrees_of_freedom == 110


def test_clean_responses_equals_nilearn(run):
    bold, confounds, drift = run
    result = clean_responses(bold, confounds, drift)
    theirs = clean(
        bold, confounds=np.column_stack([confounds, drift]), detrend=False, standardize=None
    )
    np.testing.assert_allclose(result.values, theirs - theirs.mean(axis=0), atol=2e-3)


def test_clean_responses_removes_planted_confound_and_keeps_signal():
    rng = np.random.default_rng(2)
    confound = rng.standard_normal((200, 2))
    signal = rng.standard_normal((200, 5))
    signal -= confound @ np.linalg.lstsq(confound, signal, rcond=None)[0]
    signal -= signal.mean(axis=0)
    result = clean_responses(signal + 40 * confound[:, :1] + 7, confound, None)
    assert np.abs(np.corrcoef(result.values.T, confound.T)[:5, 5:]).max() < 0.1
    assert min(np.corrcoef(result.values[:, k], signal[:, k])[0, 1] for k in range(5)) > 0.99


def test_clean_responses_is_independent_of_block_and_column_order(run):
    bold, confounds, drift = run
    one = clean_responses(bold, confounds, drift, block=7).values
    np.testing.assert_array_equal(one, clean_responses(bold, confounds, drift, block=30).values)
    other = clean_responses(bold, confounds[:, ::-1] * 5 + 3, drift).values
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_clean_responses_marks_degenerate_vertices(run):
    bold, confounds, drift = run
    bold[:, 3] = 5.0
    bold[7, 4] = np.nan
    bold[:, 5] = 3 * confounds[:, 0] + 1
    result = clean_responses(bold, confounds, drift)
    assert list(np.flatnonzero(result.degenerate)) == [3, 4, 5]
    assert np.isnan(result.values[:, [3, 4, 5]]).all()


def test_clean_responses_leaves_dummy_volumes_out(run):
    bold, confounds, drift = run
    bold[:4] += 1e6
    result = clean_responses(bold, confounds, drift, n_dummy=4)
    assert np.isnan(result.values[:4]).all()
    assert np.abs(result.values[4:]).max() < 1e3
    assert result.degrees_of_freedom == 106


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-1], "differ in length"),
        (lambda c: np.where(np.arange(120)[:, None] == 5, np.nan, c), "not finite"),
        (lambda c: np.random.default_rng(0).standard_normal((120, 130)), "no degrees of freedom"),
    ],
)
def test_clean_responses_refuses(run, change, message):
    bold, confounds, drift = run
    with pytest.raises(BadDataError, match=message):
        clean_responses(bold, change(confounds), drift)


def test_residual_matrix_is_what_cleaning_multiplies_by(run):
    bold, confounds, drift = run
    matrix = residual_matrix(confounds, drift, n_dummy=3)
    cleaned = clean_responses(bold, confounds, drift, n_dummy=3)
    expected = cleaned.values[3:, ~cleaned.degenerate]
    np.testing.assert_allclose(matrix @ bold[3:, ~cleaned.degenerate], expected, atol=1e-4)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-10)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.trace(matrix) == pytest.approx(cleaned.degrees_of_freedom)


def test_temporal_snr_equals_least_squares(run):
    bold, _, drift = run
    bold[:, 4] = 1000.0
    bold[17, 5] = np.nan
    bold[:, 6] = 1000 + 3 * drift[:, 0]
    found = temporal_snr(bold, drift, n_dummy=10, block=7)
    design = np.column_stack([np.ones(110), drift[10:]])
    rest = bold[10:] - design @ np.linalg.lstsq(design, np.nan_to_num(bold[10:]), rcond=None)[0]
    expected = bold[10:].mean(axis=0) / rest.std(axis=0)
    expected[4:7] = np.nan  # constant, not finite, nothing but drift
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    raw = temporal_snr(bold[:, :4], None)
    np.testing.assert_allclose(raw, bold[:, :4].mean(axis=0) / bold[:, :4].std(axis=0))
