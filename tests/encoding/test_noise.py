"""Noise of a vertex' own class: covariance, likelihood, estimates and p, by brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats
from scipy.linalg import toeplitz
from scipy.signal import lfilter

from bids_app.encoding import fit_encoding, nested_ridge, noise_null, plan_encoding
from bids_app.encoding import noise as module
from bids_app.encoding.gram import feature_gram
from bids_app.encoding.noise import noise_classes, posterior, shares_of_classes, upper_scale
from bids_app.encoding.resolution import fourier_basis
from bids_app.errors import BadDataError, UsageError
from bids_app.features.timing import high_pass_basis

ALPHAS = np.logspace(-2, 4, 5)
TR = 2.0


def autoregressive(rng, n_times, n_columns, *coefficients):
    noise = rng.standard_normal((n_times + 100, n_columns))
    return lfilter([1], [1, *[-c for c in coefficients]], noise, axis=0)[100:]


def make_plan(rng, lengths, stimuli=None, n_units=20):
    features = [autoregressive(rng, n, n_units, 0.8) for n in lengths]
    if stimuli is not None:
        first = {label: i for i, label in reversed(list(enumerate(stimuli)))}
        features = [features[first[label]] for label in stimuli]
    return plan_encoding(
        feature_gram(features),
        lengths,
        stimuli=stimuli,
        delays=(2, 6),
        crop=6,
        tr=TR,
        alphas=ALPHAS,
    )


def filters_of(lengths, cutoff=60.0, before=5, after=9):
    """What takes constant and drift out of the runs, at the rows of the music."""
    out = []
    for n in lengths:
        n_volumes = before + n + after
        drift = high_pass_basis(n_volumes, TR, cutoff)
        basis = np.column_stack([np.full(n_volumes, n_volumes**-0.5), drift])
        out.append((np.eye(n_volumes) - basis @ basis.T)[before : before + n])
    return out


def filtered(rng, filters, n_vertices, *coefficients):
    return [f @ autoregressive(rng, f.shape[1], n_vertices, *coefficients) for f in filters]


def process_covariance(n, rho, partial, memory):
    """By the impulse response of the process; of fractional noise by its gamma functions."""
    if memory:
        k = np.arange(n)
        logs = special.gammaln(k + memory) - special.gammaln(k + 1 - memory)
        return toeplitz(np.exp(logs - logs[0]))
    first, second = rho * (1 - partial), partial
    impulse = lfilter([1], [1, -first, -second], np.eye(1, 2000)[0])
    lags = np.array([impulse[: 2000 - k] @ impulse[k:] for k in range(n)])
    return toeplitz(lags / lags[0])


def class_covariance(operator, parameters):
    *process, share = parameters
    n = operator.shape[1]
    covariance = share * np.eye(n)
    if share < 1:
        covariance = covariance + (1 - share) * process_covariance(n, *process)
    centered = operator - operator.mean(axis=0)
    return centered @ covariance @ centered.T


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(0)
    lengths = (30, 33, 36)
    plan = make_plan(rng, lengths)
    filters = filters_of(lengths)
    return plan, filters, filtered(rng, filters, 40, 0.7)


def test_likelihood_equals_the_density_of_what_the_filter_leaves(study):
    """Up to a constant, the largest density over scales of each segment, in plain numpy."""
    plan, filters, responses = study
    classes = noise_classes(plan, filters)
    found = np.log(classes.likelihoods(plan, responses))
    expected = np.zeros((3, len(classes.parameters)))
    for segment in plan.segments:
        operator = filters[segment.block][segment.start : segment.stop]
        y = responses[segment.block][segment.start : segment.stop, :3]
        y = y - y.mean(axis=0)
        for c, parameters in enumerate(classes.parameters):
            values, vectors = np.linalg.eigh(class_covariance(operator, parameters))
            values, vectors = values[1:], vectors[:, 1:]  # the mean was taken out
            squares = (vectors.T @ y) ** 2 / values[:, np.newaxis]
            scale = squares.mean(axis=0)
            log = -0.5 * (np.log(values).sum() + len(values) * np.log(scale))
            expected[:, c] += log
    expected -= expected.max(axis=1, keepdims=True)
    keep = expected > -20
    np.testing.assert_allclose(found[:3][keep], expected[keep], atol=2e-3)
    assert classes.parameters.shape == (85, 4)


def test_expected_power_is_that_of_the_class_covariance(study):
    plan, filters, _ = study
    classes = noise_classes(plan, filters)
    for segment, power in zip(plan.segments, classes.power, strict=True):
        operator = filters[segment.block][segment.start : segment.stop]
        basis = fourier_basis(segment.size)
        n_freq = segment.size // 2
        for c in (0, 1, 30, 71, 84):
            covariance = class_covariance(operator, classes.parameters[c])
            both = np.diag(basis.T @ covariance @ basis)
            both = both * segment.size / both.sum()
            expected = (both[:n_freq] + both[n_freq:]) / 2
            if segment.size % 2 == 0:
                expected[-1] *= 2
            np.testing.assert_allclose(power[c], expected, rtol=1e-6, atol=1e-9)


def test_long_segments_have_nearly_the_same_likelihood_from_the_spectrum(monkeypatch):
    rng = np.random.default_rng(1)
    lengths = (110, 116, 122)
    plan = make_plan(rng, lengths)
    filters = filters_of(lengths, cutoff=128.0)
    responses = filtered(rng, filters, 200, 0.7)
    exact = noise_classes(plan, filters).likelihoods(plan, responses)
    monkeypatch.setattr(module, "EXACT_SAMPLES", 50)
    classes = noise_classes(plan, filters)
    spectral = classes.likelihoods(plan, responses)
    one, other = (
        posterior(a, shares_of_classes(a)) @ classes.parameters for a in (exact, spectral)
    )
    np.testing.assert_allclose(one.mean(axis=0), other.mean(axis=0), atol=0.03)


@pytest.mark.parametrize(
    ("coefficients", "lag_one"), [((), 0.0), ((0.8,), 0.8), ((1.05, -0.4), 0.75), ((0.3,), 0.3)]
)
def test_vertices_together_say_what_their_noise_is(coefficients, lag_one):
    """Autocorrelation before the filter, which takes some of it away."""
    rng = np.random.default_rng(2)
    lengths = (40, 44, 48)
    plan = make_plan(rng, lengths)
    filters = filters_of(lengths)
    responses = filtered(rng, filters, 600, *coefficients)
    null = noise_null(plan, responses, filters=filters, seed=0)
    rho, _, _, share = null.classes.parameters.T
    found = null.vertices.weights.astype(float).mean(axis=0) @ (rho * (1 - share))
    assert found == pytest.approx(lag_one, abs=0.08)
    again = null.simulated.weights.astype(float).mean(axis=0) @ (rho * (1 - share))
    assert again == pytest.approx(found, abs=0.05)


def test_posterior_and_shares_by_hand():
    likelihoods = np.array([[1, 0.5, 0.0], [0.2, 1, 0.0], [0.1, 1, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(
        posterior(likelihoods, np.array([0.5, 0.25, 0.25]))[0], [0.8, 0.2, 0], atol=1e-6
    )
    prior = np.full(3, 1 / 3)
    for _ in range(module.N_ITERATIONS):
        joint = likelihoods * prior
        count = (joint / joint.sum(axis=1, keepdims=True)).sum(axis=0)
        count += module.PRIOR_VERTICES / 3
        prior = count / count.sum()
    np.testing.assert_allclose(shares_of_classes(likelihoods), prior, rtol=1e-5)
    assert prior[2] > 0


def test_vertices_without_a_response_have_no_say(study):
    plan, filters, responses = study
    n = responses[0].shape[1]
    wide = [np.concatenate([y, np.full_like(y, np.nan)], axis=1) for y in responses]
    found = noise_null(plan, wide, filters=filters, n_series=20, seed=0)
    alone = noise_null(plan, responses, filters=filters, n_series=20, seed=0)
    np.testing.assert_allclose(found.vertices.weights[:n], alone.vertices.weights, atol=1e-6)
    for series, others in zip(found.series, alone.series, strict=True):
        np.testing.assert_allclose(series, others, atol=1e-6)
    empty = noise_null(plan, [y[:, n:] for y in wide], filters=filters, n_series=20, seed=0)
    assert np.isfinite(empty.vertices.weights).all()


@pytest.mark.parametrize("process", [(0.65, -0.25, 0.0), (0.8, 0.0, 0.0), (0.6129, 0.2346, 0.38)])
def test_simulated_series_have_the_covariance_of_their_class(process):
    rng = np.random.default_rng(3)
    parameters = np.repeat([[*process, 0.25]], 40_000, axis=0)
    series = module._simulate(parameters, 6, rng)
    expected = 0.75 * process_covariance(6, *process) + 0.25 * np.eye(6)
    np.testing.assert_allclose(series @ series.T / 40_000, expected, atol=0.03)


def test_smoothed_ratio_finds_what_the_classes_lack(study):
    """Twice the power in a band, whatever the class says."""
    plan, filters, _ = study
    classes = noise_classes(plan, filters)
    expected = [p[:1].repeat(2, axis=0) for p in classes.power]
    smoother = module._Smoother(plan)
    same = smoother.ratio(expected, expected)
    np.testing.assert_allclose(same, 1, rtol=1e-5)
    frequencies = [np.arange(1, s.size // 2 + 1) / s.size for s in plan.segments]
    more = [p * np.where(f > 0.3, 2, 1) for p, f in zip(expected, frequencies, strict=True)]
    ratio = smoother.ratio(more, expected)
    assert ratio[0, 0] == pytest.approx(1, abs=0.01)
    assert ratio[0, -1] == pytest.approx(2, abs=0.01)
    assert np.all(np.diff(ratio[0]) >= -1e-5)
    for power, segment in zip(
        smoother.applied(ratio, expected, [s.size for s in plan.segments]),
        plan.segments,
        strict=True,
    ):
        counts = np.full(power.shape[1], 2.0)
        if segment.size % 2 == 0:
            counts[-1] = 1
        np.testing.assert_allclose(power @ counts, segment.size, rtol=1e-5)


def test_upper_scale_brings_five_percent_beyond_the_normal_point():
    """Whatever the skewness, of statistics whose mean is zero."""
    rng = np.random.default_rng(4)
    skewed = stats.gamma(8).rvs(200_000, random_state=rng) / np.sqrt(8) - np.sqrt(8)
    for draws in (rng.standard_normal(200_000) * 1.3, skewed, -0.7 * skewed):
        share = np.mean(draws / upper_scale(draws) > stats.norm.isf(0.05))
        assert share == pytest.approx(0.05, abs=0.004)
    assert upper_scale(np.array([1.0, np.nan, -1.0])) == 1
    assert upper_scale(np.full(30, np.nan)) == 1
    assert upper_scale(np.zeros(30)) == 1


def test_simulated_accuracies_have_mean_zero(study):
    """What the scale rests on."""
    plan, filters, _ = study
    rng = np.random.default_rng(11)
    r = fit_encoding(plan, filtered(rng, filters, 4000, 0.6), null="none").mean_r
    assert abs(r.mean()) < 4 * r.std() / np.sqrt(r.size)


def test_standard_deviation_is_that_of_whole_fits_to_other_noise(study):
    """Noise of the same process, never seen by the estimate, through the whole fit."""
    plan, filters, _ = study
    rng = np.random.default_rng(5)
    responses = filtered(rng, filters, 500, 0.6)
    null = noise_null(plan, responses, filters=filters, seed=1)
    found = fit_encoding(plan, responses, null="noise", noise=null)
    fresh = fit_encoding(plan, filtered(rng, filters, 2000, 0.6), null="none").mean_r
    point = np.quantile(fresh, 0.95) / stats.norm.isf(0.05)
    assert np.median(found.null_sd) == pytest.approx(point, rel=0.12)
    np.testing.assert_allclose(found.p, stats.norm.sf(found.mean_r / found.null_sd), rtol=1e-6)
    none = fit_encoding(plan, responses, null="none")
    np.testing.assert_array_equal(found.r, none.r)


def test_same_seed_same_p_and_neither_threads_nor_other_layers_matter(study):
    plan, filters, responses = study
    null = noise_null(plan, responses, filters=filters, seed=3)
    first = fit_encoding(plan, responses, null="noise", noise=null)
    again = fit_encoding(
        plan,
        responses,
        null="noise",
        noise=noise_null(plan, responses, filters=filters, seed=3),
        n_threads=3,
    )
    np.testing.assert_array_equal(first.null_sd, again.null_sd)
    other = noise_null(plan, responses, filters=filters, seed=4)
    assert np.all(fit_encoding(plan, responses, null="noise", noise=other).null_sd != first.null_sd)
    layer = make_plan(np.random.default_rng(6), plan.lengths)
    of_layer = noise_null(layer, responses, filters=filters, seed=3)
    np.testing.assert_array_equal(of_layer.vertices.weights, null.vertices.weights)
    np.testing.assert_array_equal(of_layer.series[0], null.series[0])


def test_chunks_of_vertices_change_nothing(study, monkeypatch):
    plan, filters, responses = study
    whole = noise_null(plan, responses, filters=filters, seed=0)
    monkeypatch.setattr(module, "CHUNK", 7)
    cut = noise_null(plan, responses, filters=filters, seed=0)
    np.testing.assert_allclose(cut.vertices.weights, whole.vertices.weights, atol=1e-4)
    np.testing.assert_allclose(cut.vertices.ratio, whole.vertices.ratio, rtol=1e-4)


def test_missing_vertices_have_no_p_and_move_no_other(study):
    plan, filters, responses = study
    before = noise_null(plan, responses, filters=filters, seed=0)
    broken = [y.copy() for y in responses]
    broken[1][4, 3] = np.nan
    broken[2][:, 5] = 1.0
    null = noise_null(plan, broken, filters=filters, seed=0)
    found = fit_encoding(plan, broken, null="noise", noise=null)
    assert np.flatnonzero(np.isnan(found.p)).tolist() == [3, 5]
    there = np.delete(np.arange(40), [3, 5])
    np.testing.assert_allclose(
        null.vertices.weights[there], before.vertices.weights[there], atol=0.1
    )


def test_repeats_have_a_null_without_refits(monkeypatch):
    rng = np.random.default_rng(7)
    lengths = (34, 34, 37, 40)
    plan = make_plan(rng, lengths, stimuli=("a", "a", "b", "c"))
    responses = [autoregressive(rng, n, 300, 0.6) for n in lengths]

    def refits(*args, **options):
        raise AssertionError("refits were made")

    monkeypatch.setattr("bids_app.encoding.ridge.refit_draws", refits)
    found = fit_encoding(plan, responses, null="noise", seed=0)
    assert 0.01 < np.mean(found.p < 0.05) < 0.1


def test_one_stimulus_in_pieces_has_a_null():
    rng = np.random.default_rng(8)
    with pytest.warns(UserWarning, match="only one stimulus"):
        plan = make_plan(rng, (180,))
    responses = [autoregressive(rng, 180, 60, 0.5)]
    found = fit_encoding(plan, responses, null="noise", seed=0)
    assert np.isfinite(found.p).all()


def test_nested_ridge_takes_the_noise_too():
    rng = np.random.default_rng(9)
    lengths = (34, 37, 40)
    features = [autoregressive(rng, n, 6, 0.8) for n in lengths]
    responses = [autoregressive(rng, n, 50, 0.6) for n in lengths]
    options = {"delays": (2, 6), "crop": 6, "tr": TR, "alphas": ALPHAS, "dtype": np.float32}
    found = nested_ridge(features, responses, null="noise", seed=2, **options)
    lengths = [len(f) for f in features]
    options.pop("dtype")
    plan = plan_encoding(feature_gram(features), lengths, **options)
    expected = fit_encoding(plan, responses, null="noise", seed=2)
    np.testing.assert_allclose(found.p, expected.p, rtol=1e-3)


def test_what_does_not_fit_is_refused(study):
    plan, filters, responses = study
    with pytest.raises(UsageError, match="seed"):
        fit_encoding(plan, responses, null="noise")
    with pytest.raises(BadDataError, match="filters"):
        noise_null(plan, responses, filters=filters[:2], seed=0)
    with pytest.raises(BadDataError, match=r"filters\[1\]"):
        noise_null(plan, responses, filters=[filters[0], filters[0], filters[2]], seed=0)
    null = noise_null(plan, responses, filters=filters, seed=0)
    with pytest.raises(BadDataError, match="weights"):
        fit_encoding(plan, [y[:, :9] for y in responses], null="noise", noise=null)
    few = replace(null, vertices=replace(null.vertices, weights=null.vertices.weights[:9]))
    cut = [y[:, :9] for y in responses]
    assert np.isfinite(fit_encoding(plan, cut, null="noise", noise=few).p).all()


@pytest.mark.slow
@pytest.mark.parametrize("kept", [20, 30, 60])
@pytest.mark.parametrize(
    "coefficients", [(0.3,), (0.9,), (1.1, -0.35)], ids=["weak", "strong", "second-order"]
)
def test_p_of_short_pieces_have_their_level(kept, coefficients):
    """Share below .05 of 20 draws of music, where random phases are at .06 to .12.

    The band is the .99 one of the draws, whose standard deviation is .015.
    """
    shares, refits = [], []
    for draw in range(20):
        rng = np.random.default_rng([10, draw])
        lengths = (kept + 6,) * 4
        plan = make_plan(rng, lengths)
        filters = filters_of(lengths, cutoff=128.0)
        responses = filtered(rng, filters, 300, *coefficients)
        null = noise_null(plan, responses, filters=filters, seed=draw)
        found = fit_encoding(plan, responses, null="noise", noise=null)
        shares.append(np.mean(found.p < 0.05))
        refits.append(np.mean(fit_encoding(plan, responses).p < 0.05))
    assert 0.036 < np.mean(shares) < 0.064
    assert abs(np.mean(shares) - 0.05) < max(abs(np.mean(refits) - 0.05), 0.014)
