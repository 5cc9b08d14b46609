"""The closed-form null against refits, refits against explicit ones, and tails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from bids_app.encoding import fit_encoding, phase_null, plan_encoding
from bids_app.encoding.gram import feature_gram
from bids_app.encoding.resolution import fourier_basis, fourier_coefficients
from bids_app.errors import UsageError
from bids_app.seeds import random_phases
from bids_app.statistics import pareto_tail_p

ALPHAS = np.logspace(-2, 4, 4)


def autoregressive(rng, n_times, n_columns, coefficient):
    noise = rng.standard_normal((n_times + 50, n_columns))
    return lfilter([1], [1, -coefficient], noise, axis=0)[50:]


def make_plan(rng, lengths, n_units=30, **options):
    features = [autoregressive(rng, n, n_units, 0.9) for n in lengths]
    return plan_encoding(
        feature_gram(features), lengths, delays=(0, 5), crop=6, tr=1.0, alphas=ALPHAS, **options
    )


def rotated(series, phases):
    """Phase rotation of z-scored series, by the textbook."""
    transformed = np.fft.rfft(series, axis=0)
    n_free = (series.shape[0] - 1) // 2
    transformed[1 : n_free + 1] *= np.exp(1j * phases[:n_free, None])
    return np.fft.irfft(transformed, n=series.shape[0], axis=0)


@pytest.mark.parametrize("n_times", [8, 9, 31, 32])
def test_fourier_basis_is_orthonormal_and_complete(n_times):
    basis = fourier_basis(n_times)
    gram = basis.T @ basis
    expected = np.eye(basis.shape[1])
    if n_times % 2 == 0:
        expected[-1, -1] = 0
    np.testing.assert_allclose(gram, expected, atol=1e-12)
    y = np.random.default_rng(0).standard_normal((n_times, 3))
    y -= y.mean(axis=0)
    coefficients = fourier_coefficients(y)
    np.testing.assert_allclose(coefficients, (basis.T @ y).T, atol=1e-12)
    np.testing.assert_allclose(basis @ coefficients.T, y, atol=1e-12)


@pytest.mark.parametrize("lengths", [(72, 91, 110), (81, 90, 99, 75)])
def test_refits_equal_explicit_rotation_of_the_responses(lengths):
    rng = np.random.default_rng(1)
    plan = make_plan(rng, lengths, dtype=np.float64)
    responses = [autoregressive(rng, n, 5, 0.6) for n in lengths]
    observed = fit_encoding(plan, responses)
    null = phase_null(plan, responses, observed.alpha, n_draws=3, seed=7)
    for draw in range(3):
        turned = []
        for segment, response in zip(plan.segments, responses, strict=True):
            kept = response[segment.start : segment.stop]
            kept = (kept - kept.mean(axis=0)) / kept.std(axis=0)
            phases = random_phases(7, segment.label, draw, segment.size // 2)
            turned.append(rotated(kept, phases))
        y = np.concatenate(turned)
        expected = np.empty((len(lengths), 5))
        for k, fold in enumerate(plan.folds):
            train, test = fold.outer.train, fold.outer.tests[0]
            for v in range(5):
                kernel = plan.kernel[np.ix_(train, train)]
                weights = np.linalg.solve(
                    kernel + observed.alpha[k, v] * np.eye(train.size), y[train, v]
                )
                predicted = plan.kernel[np.ix_(test, train)] @ weights
                expected[k, v] = np.corrcoef(predicted, y[test, v])[0, 1]
        np.testing.assert_allclose(
            null.draws[draw], np.tanh(np.arctanh(expected).mean(axis=0)), atol=1e-6
        )


@pytest.mark.parametrize(
    "lengths",
    [
        (92, 102, 122),
        (93, 105, 121),
        pytest.param((92, 105, 120, 81), marks=pytest.mark.slow),
        pytest.param((198, 286, 545), marks=pytest.mark.slow),
    ],
)
def test_closed_form_equals_refits(lengths):
    rng = np.random.default_rng(2)
    plan = make_plan(rng, lengths)
    responses = [autoregressive(rng, n, 200, 0.7) for n in lengths]
    result = fit_encoding(plan, responses)
    null = phase_null(plan, responses, result.alpha, n_draws=300, seed=3)
    ratio = result.null_sd / null.sd
    assert 0.95 < np.median(ratio) < 1.05
    assert np.quantile(ratio, [0.05, 0.95]) == pytest.approx(1, abs=0.2)


def test_covariance_between_folds_matters():
    """Without it the closed form would be too narrow, and p values too small."""
    rng = np.random.default_rng(4)
    lengths = (92, 102, 122)
    plan = make_plan(rng, lengths)
    responses = [autoregressive(rng, n, 200, 0.7) for n in lengths]
    result = fit_encoding(plan, responses)
    null = plan.analytic_null
    assert null.resolution.sources == [[1, 2], [0, 2], [0, 1]]
    null._covariance = lambda b, c, power, chosen, n_threads: np.zeros(chosen.shape[1])
    independent = fit_encoding(plan, responses).null_sd
    refits = phase_null(plan, responses, result.alpha, n_draws=200, seed=5).sd
    assert np.median(independent / refits) < 0.95
    assert 0.95 < np.median(result.null_sd / refits) < 1.05


def test_repeats_share_phases_and_get_a_null():
    rng = np.random.default_rng(6)
    lengths = (80, 80, 90, 100)
    features = [autoregressive(rng, n, 10, 0.9) for n in (80, 90, 100)]
    plan = plan_encoding(
        feature_gram([features[0], *features]),
        lengths,
        stimuli=("a", "a", "b", "c"),
        delays=(0, 5),
        crop=6,
        tr=1.0,
        alphas=ALPHAS,
    )
    responses = [autoregressive(rng, n, 200, 0.7) for n in lengths]
    with pytest.raises(UsageError, match="seed"):
        fit_encoding(plan, responses)
    result = fit_encoding(plan, responses, seed=0)
    assert result.fold_stimuli == (("a",), ("b",), ("c",))
    assert result.r.shape == (3, 200)
    assert np.all(result.null_sd > 0)
    assert 0.01 < np.mean(result.p < 0.05) < 0.11
    other, again = (fit_encoding(plan, responses, seed=seed).null_sd for seed in (7, 0))
    np.testing.assert_array_equal(again, result.null_sd)
    assert np.all(other != result.null_sd)


def test_draws_depend_on_seed_and_stimulus_not_on_threads_or_order():
    rng = np.random.default_rng(7)
    lengths = (70, 80, 90)
    features = [autoregressive(rng, n, 10, 0.9) for n in lengths]
    responses = [autoregressive(rng, n, 40, 0.7) for n in lengths]
    labels = ("x", "y", "z")

    def draws(order, **options):
        plan = plan_encoding(
            feature_gram([features[i] for i in order]),
            [lengths[i] for i in order],
            stimuli=[labels[i] for i in order],
            delays=(0, 5),
            crop=6,
            tr=1.0,
            alphas=ALPHAS,
        )
        y = [responses[i] for i in order]
        alpha = np.full((3, 40), ALPHAS[2])
        return phase_null(plan, y, alpha, n_draws=5, **options).draws

    first = draws((0, 1, 2), seed=1, n_threads=1)
    np.testing.assert_array_equal(first, draws((0, 1, 2), seed=1, n_threads=3))
    np.testing.assert_allclose(first, draws((2, 0, 1), seed=1), atol=1e-5)
    assert np.abs(first - draws((0, 1, 2), seed=2)).max() > 0.01
    checksums = ("x", "y", "other")
    assert np.abs(first - draws((0, 1, 2), seed=1, checksums=checksums)).max() > 0.01


def test_random_phases_of_fewer_frequencies_are_the_first():
    np.testing.assert_array_equal(random_phases(1, "a", 2, 10), random_phases(1, "a", 2, 25)[:10])


def test_phase_p_counts_draws():
    rng = np.random.default_rng(8)
    lengths = (70, 80, 90)
    plan = make_plan(rng, lengths)
    responses = [autoregressive(rng, n, 30, 0.7) for n in lengths]
    result = fit_encoding(plan, responses)
    null = phase_null(
        plan,
        responses,
        result.alpha,
        mean_r=result.mean_r,
        scale=result.null_sd,
        n_draws=19,
        seed=0,
    )
    expected = (1 + (null.draws >= result.mean_r).sum(axis=0)) / 20
    np.testing.assert_array_equal(null.p, expected)
    np.testing.assert_allclose(null.max_null, (null.draws / result.null_sd).max(axis=1), rtol=1e-6)
    assert np.all(null.p_max >= null.p - 0.06)


def test_pareto_tail_reaches_below_the_number_of_draws():
    rng = np.random.default_rng(9)
    found = [
        pareto_tail_p(np.array([stats.expon.isf(1e-4)]), rng.exponential(size=200))[0]
        for _ in range(50)
    ]
    assert 1e-5 < np.exp(np.mean(np.log(found))) < 1e-3
    null = rng.exponential(size=200)
    body = np.quantile(null, [0.1, 0.5, 0.7])
    expected = [(1 + (null >= x).sum()) / 201 for x in body]
    np.testing.assert_allclose(pareto_tail_p(body, null), expected)
    grid = pareto_tail_p(np.linspace(-1, 20, 400), null)
    assert np.all(np.diff(grid) <= 1e-12)
    assert np.isnan(pareto_tail_p(np.array([np.nan]), null)[0])


@pytest.mark.slow
def test_both_nulls_are_calibrated():
    """Share of p below .05 on noise that has nothing to do with the features, over 20 draws."""
    lengths = (130, 161, 210)
    analytic, refit = [], []
    for draw in range(20):
        rng = np.random.default_rng([11, draw])
        plan = make_plan(rng, lengths)
        responses = [autoregressive(rng, n, 300, 0.8) for n in lengths]
        result = fit_encoding(plan, responses)
        null = phase_null(
            plan, responses, result.alpha, mean_r=result.mean_r, n_draws=99, seed=draw
        )
        analytic.append(np.mean(result.p < 0.05))
        refit.append(np.mean(null.p <= 0.05))
    assert 0.035 < np.mean(analytic) < 0.065
    assert 0.035 < np.mean(refit) < 0.065


def test_draws_do_not_depend_on_how_many_vertices_are_refitted_together():
    rng = np.random.default_rng(12)
    lengths = (50, 60, 70)
    plan = make_plan(rng, lengths)
    responses = [autoregressive(rng, n, 150, 0.7) for n in lengths]
    alpha = np.full((3, 150), ALPHAS[1])
    many = phase_null(plan, responses, alpha, n_draws=4, seed=0).draws
    few = phase_null(plan, [r[:, :9] for r in responses], alpha[:, :9], n_draws=4, seed=0).draws
    np.testing.assert_allclose(many[:, :9], few, atol=2e-6)
