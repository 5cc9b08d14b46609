"""Refits under shared random phases against plain numpy, and what is decided from them."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from scipy.signal import lfilter

from bids_app.arrays import TorchArrays
from bids_app.encoding import fit_encoding, phase_null, plan_encoding
from bids_app.encoding.gram import feature_gram
from bids_app.encoding.phases import segment_labels
from bids_app.errors import BadDataError, UsageError
from bids_app.group.music_refits import (
    coarser_vertices,
    music_refits,
    rotate,
)
from bids_app.seeds import random_phases
from bids_app.surface.mesh import load_mesh

module = import_module("bids_app.group.music_refits")

LENGTHS = (47, 52, 58)
ALPHAS = np.logspace(-2, 3, 5)


def autoregressive(rng, n_times, n_columns, coefficient):
    noise = rng.standard_normal((n_times + 50, n_columns))
    return lfilter([1], [1, -coefficient], noise, axis=0)[50:]


def make_plans(rng, lengths=LENGTHS, n_layers=2, stimuli=None, same=(), **options):
    plans = []
    for layer in range(n_layers):
        features = [autoregressive(rng, n, 15, 0.9 - 0.1 * layer) for n in lengths]
        for one, other in same:
            features[one] = features[other]
        gram = feature_gram(features)
        options = {"crop": 3, "delays": (0, 3), "tr": 1.0, "alphas": ALPHAS} | options
        plans.append(plan_encoding(gram, lengths, stimuli=stimuli, **options))
    return plans


def make_study(seed=0, n_participants=2, n_vertices=4, lengths=LENGTHS, **options):
    rng = np.random.default_rng(seed)
    plans = make_plans(rng, lengths, **options)
    people = range(n_participants)
    responses = [[autoregressive(rng, n, n_vertices, 0.6) for n in lengths] for _ in people]
    return plans, responses


def phases_of(plan, seed=3):
    labels = segment_labels(plan, None)
    return lambda draw, segment, n_freq: random_phases(seed, labels[segment], draw, n_freq)


def nested(plan, scored, training):
    return fit_encoding(plan, scored, training=training, null="none").mean_r


def whole(r, draws):
    return r.copy()


def chosen_penalties(plans, responses):
    grid = np.log(ALPHAS)[:, np.newaxis, np.newaxis]
    fits = [[fit_encoding(plan, y, null="none").alpha for plan in plans] for y in responses]
    return np.array([[np.abs(np.log(a) - grid).argmin(axis=0) for a in one] for one in fits])


def turned_by_hand(plan, responses, draw, seed=3):
    """Kept rows of all segments, z-scored and rotated by the textbook, (n_kept, n_vertices)."""
    out = []
    for segment in plan.segments:
        y = responses[segment.block][segment.start : segment.stop]
        y = (y - y.mean(axis=0)) / y.std(axis=0)
        spectrum = np.fft.fft(y, axis=0)
        n = len(y)
        phases = random_phases(seed, segment.label, draw, n // 2)
        for k in range(1, (n - 1) // 2 + 1):
            spectrum[k] *= np.exp(1j * phases[k - 1])
            spectrum[n - k] *= np.exp(-1j * phases[k - 1])
        back = np.fft.ifft(spectrum, axis=0)
        assert np.abs(back.imag).max() < 1e-12
        out.append(back.real)
    return np.concatenate(out)


def predicted(plan, train, test, y, alpha):
    kernel = plan.kernel[np.ix_(train, train)] + alpha * np.eye(train.size)
    p = plan.kernel[np.ix_(test, train)] @ np.linalg.solve(kernel, y[train])
    return p - p.mean()


def refit_by_hand(plan, scored, training, vertex):
    """Mean r of one vertex by nested cross-validation in plain numpy."""
    y, t = scored[:, vertex], training[:, vertex]
    folds = []
    for k, fold in enumerate(plan.folds):
        scores = []
        for alpha in ALPHAS:
            inner = []
            for split in fold.inner:
                test = split.tests[0]
                p = predicted(plan, split.train, test, t, alpha)
                inner.append(np.corrcoef(p, t[test])[0, 1])
            scores.append(np.mean(inner))
        best = max(i for i, score in enumerate(scores) if score >= max(scores) - 1e-6)
        test = fold.outer.tests[0]
        p = predicted(plan, fold.outer.train, test, t, ALPHAS[best])
        folds.append(np.corrcoef(p, y[test])[0, 1])
        assert k < len(plan.folds)
    return np.tanh(np.arctanh(folds).mean())


@pytest.mark.parametrize("others_train", [False, True])
def test_every_draw_equals_a_plain_nested_refit(others_train):
    plans, responses = make_study(dtype=np.float64)
    training = responses[::-1] if others_train else None
    found = music_refits(
        plans,
        responses,
        whole,
        phases=phases_of(plans[0]),
        n_draws=2,
        fit=nested,
        training=training,
    )
    assert found.shape == (2, 2, 2, 4)
    for draw in range(2):
        for p in range(2):
            for layer, plan in enumerate(plans):
                scored = turned_by_hand(plan, responses[p], draw)
                trained = scored
                if others_train:
                    trained = turned_by_hand(plan, training[p], draw)
                expected = [refit_by_hand(plan, scored, trained, v) for v in range(4)]
                np.testing.assert_allclose(found[draw, p, layer], expected, atol=1e-6)


def test_penalties_are_chosen_in_every_draw():
    plans, responses = make_study(1, n_vertices=30)
    options = {"phases": phases_of(plans[0]), "n_draws": 8}
    anew = music_refits(plans, responses, whole, fit=nested, **options)
    kept = chosen_penalties(plans, responses)
    fixed = music_refits(plans, responses, whole, penalties=kept, lost=0.0, **options)
    assert 0.5 < np.corrcoef(anew.ravel(), fixed.ravel())[0, 1] < 0.99


@pytest.mark.parametrize("lengths", [(47, 53, 57), (46, 52, 58)], ids=["odd", "even"])
def test_kept_penalties_on_all_frequencies_equal_exact_refits(lengths):
    plans, responses = make_study(2, lengths=lengths, n_vertices=20)
    kept = chosen_penalties(plans, responses)
    found = music_refits(
        plans,
        responses,
        whole,
        phases=phases_of(plans[0]),
        n_draws=6,
        penalties=kept,
        lost=0.0,
    )
    for p, y in enumerate(responses):
        for layer, plan in enumerate(plans):
            exact = phase_null(plan, y, ALPHAS[kept[p, layer]], n_draws=6, seed=3).draws
            np.testing.assert_allclose(found[:, p, layer], exact, atol=2e-6)


def test_few_frequencies_give_the_same_accuracies():
    """Slow features and slow responses, as music and the brain have them."""
    rng = np.random.default_rng(4)
    lengths = (90, 101, 120)

    def slow(n, m):
        noise = rng.standard_normal((n + 50, m))
        return lfilter([1], [1, -1.7, 0.75], lfilter(np.ones(8), 1, noise, axis=0), axis=0)[50:]

    features = [slow(n, 20) for n in lengths]
    plan = plan_encoding(
        feature_gram(features), lengths, delays=(3, 9), crop=9, tr=1.0, alphas=ALPHAS
    )
    responses = [[slow(n, 30) for n in lengths]]
    kept = chosen_penalties([plan], responses)
    options = {"phases": phases_of(plan), "n_draws": 20, "penalties": kept}
    few = music_refits([plan], responses, whole, **options)[:, 0, 0]
    exact = phase_null(plan, responses[0], ALPHAS[kept[0, 0]], n_draws=20, seed=3).draws
    assert np.corrcoef(few.ravel(), exact.ravel())[0, 1] > 0.999
    assert few.std() / exact.std() == pytest.approx(1, abs=0.01)
    spectra = [module.fourier(plan, responses[0])]
    frequencies = module.KeptRefits.of_layers([plan], spectra, spectra, kept)[0].frequencies
    sizes = [s.size // 2 for s in plan.segments]
    assert all(f.size < 0.7 * n for f, n in zip(frequencies, sizes, strict=True))


def both_ways(plans, responses, **options):
    shared = {"phases": phases_of(plans[0]), "n_draws": 12} | options
    kept = chosen_penalties(plans, responses)
    return (
        music_refits(plans, responses, whole, fit=nested, **shared),
        music_refits(plans, responses, whole, penalties=kept, **shared),
    )


def test_threads_and_chunks_change_nothing(monkeypatch):
    monkeypatch.setattr(module, "COLUMNS", 12)
    plans, responses = make_study(5)
    first = both_ways(plans, responses)
    for threads, size in ((3, 2**27), (1, 200), (2, 1)):
        monkeypatch.setattr(module, "CHUNK_BYTES", size)
        for one, other in zip(first, both_ways(plans, responses, n_threads=threads), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("draws_together", [1, 5])
def test_large_studies_take_fewer_draws_together(monkeypatch, draws_together):
    plans, responses = make_study(5)
    _, first = both_ways(plans, responses)
    size = draws_together * 4 * first[0].size
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    handed = []
    fewer = music_refits(
        plans,
        responses,
        lambda r, draws: handed.append(r.nbytes) or r.copy(),
        phases=phases_of(plans[0]),
        n_draws=12,
        penalties=chosen_penalties(plans, responses),
    )
    assert max(handed) == size
    np.testing.assert_allclose(fewer, first, atol=1e-5)


def test_order_of_participants_and_the_first_draw():
    plans, responses = make_study(6)
    first = both_ways(plans, responses)
    for one, other in zip(first, both_ways(plans, responses[::-1]), strict=True):
        np.testing.assert_array_equal(one, other[:, ::-1])
    later = both_ways(plans, responses, first_draw=7, n_draws=5)
    for one, other in zip(first, later, strict=True):
        np.testing.assert_allclose(one[7:], other, atol=1e-5)


def test_repeats_share_the_phases_of_their_stimulus():
    plans, responses = make_study(
        7, lengths=(47, 47, 52, 58), stimuli=("a", "a", "b", "c"), same=[(1, 0)], n_vertices=10
    )
    kept = chosen_penalties(plans, responses)
    options = {"phases": phases_of(plans[0]), "n_draws": 5}
    found = music_refits(plans, responses, whole, penalties=kept, lost=0.0, **options)
    exact = phase_null(plans[0], responses[0], ALPHAS[kept[0, 0]], n_draws=5, seed=3).draws
    np.testing.assert_allclose(found[:, 0, 0], exact, atol=2e-6)
    heard_alike = [[y[0], y[0], *y[2:]] for y in responses]
    seen = []

    def fit(plan, scored, training):
        seen.append(np.abs(scored[0] - scored[1]).max())
        return nested(plan, scored, training)

    music_refits(plans, heard_alike, whole, fit=fit, **options)
    assert max(seen) == 0


def test_groups_of_one_clock():
    plans, responses = make_study(8, n_participants=3)
    others = make_plans(np.random.default_rng(9), (46, 53, 58))
    responses[1] = [y[:n] for y, n in zip(responses[0], (46, 52, 58), strict=True)]
    responses[1][1] = np.vstack([responses[1][1], responses[1][1][-1:]])
    clocks = [0, 1, 0]
    options = {"phases": phases_of(plans[0]), "n_draws": 4, "fit": nested}
    found = music_refits([plans, others], responses, whole, clocks=clocks, **options)
    alone = music_refits(plans, responses[::2], whole, **options)
    np.testing.assert_array_equal(found[:, ::2], alone)
    alone = music_refits(others, responses[1:2], whole, **options)
    np.testing.assert_array_equal(found[:, 1:2], alone)
    kept = np.zeros((3, 2, 3, 4), dtype=int)
    options = {"phases": phases_of(plans[0]), "n_draws": 4, "penalties": kept, "lost": 0.0}
    found = music_refits([plans, others], responses, whole, clocks=clocks, **options)
    options["penalties"] = kept[1:2]
    alone = music_refits(others, responses[1:2], whole, **options)
    np.testing.assert_allclose(found[:, 1:2], alone, atol=1e-6)
    with pytest.raises(UsageError, match="clock"):
        music_refits([plans], responses, whole, clocks=clocks, **options)


def test_missing_vertices_are_nan_for_that_participant_alone():
    plans, responses = make_study(10, n_vertices=5)
    before = both_ways(plans, responses)
    responses[1][2] = responses[1][2].copy()
    responses[1][2][20, 3] = np.nan
    responses[0][0] = responses[0][0].copy()
    responses[0][0][:, 1] = 7.0
    kept = np.where(np.isnan(chosen_penalties(plans, responses)), 0, 0)
    options = {"phases": phases_of(plans[0]), "n_draws": 12}
    anew = music_refits(plans, responses, whole, fit=nested, **options)
    fixed = music_refits(plans, responses, whole, penalties=kept, **options)
    missing = np.zeros((2, 5), dtype=bool)
    missing[1, 3] = missing[0, 1] = True
    for found in (anew, fixed):
        np.testing.assert_array_equal(
            np.isnan(found), np.broadcast_to(missing[:, np.newaxis], found.shape)
        )
    there = np.broadcast_to(~missing[:, np.newaxis], anew.shape)
    np.testing.assert_allclose(anew[there], before[0][there], atol=1e-5)


def test_the_caller_may_reduce_to_anything(monkeypatch):
    """A mask of every draw, and a mean within it: not linear in the accuracies."""
    monkeypatch.setattr(module, "COLUMNS", 20)
    monkeypatch.setattr(module, "CHUNK_BYTES", 4 * 2 * 2 * 10 * 4)
    plans, responses = make_study(11, n_vertices=10)
    numbers = []

    def masked_mean(r, draws):
        numbers.extend(draws)
        mean = r.mean(axis=(1, 2))
        mask = mean > np.median(mean, axis=1, keepdims=True)
        return np.where(mask, mean, 0).sum(axis=1) / mask.sum(axis=1)

    options = {"phases": phases_of(plans[0]), "n_draws": 9, "fit": nested}
    found = music_refits(plans, responses, masked_mean, **options)
    assert numbers == list(range(9))
    r = music_refits(plans, responses, whole, **options)
    np.testing.assert_allclose(found, masked_mean(r, []), atol=1e-6)
    with pytest.raises(BadDataError, match="reduce"):
        music_refits(plans, responses, lambda r, draws: r[0], **options)


def test_what_cannot_be_refitted_is_refused():
    plans, responses = make_study(12)
    phases = phases_of(plans[0])
    with pytest.raises(UsageError, match="chosen again or kept"):
        music_refits(plans, responses, whole, phases=phases, n_draws=2)
    with pytest.raises(UsageError, match="n_draws"):
        music_refits(plans, responses, whole, phases=phases, n_draws=0, fit=nested)
    with pytest.raises(BadDataError, match=r"responses\[1\]\[2\]"):
        cut = [responses[0], [*responses[1][:2], responses[1][2][1:]]]
        music_refits(plans, cut, whole, phases=phases, n_draws=2, fit=nested)
    with pytest.raises(BadDataError, match="penalties"):
        wrong = np.zeros((2, 2, 2, 4), dtype=int)
        music_refits(plans, responses, whole, phases=phases, n_draws=2, penalties=wrong)
    other = make_plans(np.random.default_rng(0), stimuli=("x", "y", "z"))
    with pytest.raises(BadDataError, match="same stimuli"):
        music_refits(
            [plans, other],
            responses,
            whole,
            phases=phases,
            n_draws=2,
            fit=nested,
            clocks=[0, 1],
        )


@pytest.mark.parametrize("n_times", [2, 3, 16, 17])
def test_rotation_keeps_the_spectrum_constant_and_nyquist(n_times):
    rng = np.random.default_rng(13)
    y = rng.standard_normal((n_times, 3)) + 1
    phases = [rng.uniform(0, 2 * np.pi, n_times // 2) for _ in range(2)]
    turned = rotate(y, phases)
    assert turned.shape == (n_times, 2, 3)
    before, after = np.fft.rfft(y, axis=0), np.fft.rfft(turned, axis=0)
    np.testing.assert_allclose(np.abs(after), np.abs(before)[:, None].repeat(2, 1), atol=1e-12)
    np.testing.assert_allclose(after[0], before[0][None].repeat(2, 0), atol=1e-12)
    if n_times % 2 == 0:
        np.testing.assert_allclose(after[-1], before[-1][None].repeat(2, 0), atol=1e-12)


def test_responses_of_others_train_but_have_no_null():
    plans, responses = make_study(14)
    with pytest.raises(UsageError, match="null"):
        fit_encoding(plans[0], responses[0], training=responses[1])
    with pytest.raises(BadDataError, match="training"):
        fewer = [y[:, :3] for y in responses[1]]
        fit_encoding(plans[0], responses[0], training=fewer, null="none")
    own = fit_encoding(plans[0], responses[0], null="none")
    same = fit_encoding(plans[0], responses[0], training=responses[0], null="none")
    np.testing.assert_array_equal(own.r, same.r)
    silent = [y.copy() for y in responses[0]]
    silent[1][:, 2] = 0
    found = fit_encoding(plans[0], silent, training=responses[1], null="none")
    assert np.isnan(found.mean_r).tolist() == [False, False, True, False]
    assert found.n_degenerate == 1


def test_vertices_of_a_coarser_mesh():
    fine, coarse = load_mesh("fsaverage5"), load_mesh("fsaverage3")
    found = coarser_vertices(fine.n_vertices, 1000)
    assert len(found) == coarse.n_vertices == 1284
    spheres = np.concatenate([hemi.sphere for hemi in fine.hemispheres])[found]
    np.testing.assert_allclose(
        spheres, np.concatenate([hemi.sphere for hemi in coarse.hemispheres]), atol=0.05
    )
    assert len(coarser_vertices(20484, 60)) == 84
    assert len(coarser_vertices(20484, 5000)) == 5124
    np.testing.assert_array_equal(coarser_vertices(1284, 10**6), np.arange(1284))
    with pytest.raises(UsageError, match="20484"):
        coarser_vertices(20000, 60)


def test_another_device_gives_the_same_refits():
    plans, responses = make_study(n_vertices=6)
    _, others = make_study(seed=1, n_vertices=6)
    penalties = chosen_penalties(plans, responses)
    options = {"phases": phases_of(plans[0]), "n_draws": 3, "penalties": penalties}
    for training in (None, others):
        usual = music_refits(plans, responses, whole, training=training, **options)
        device = TorchArrays("cpu")  # stands for a GPU
        other = music_refits(plans, responses, whole, training=training, arrays=device, **options)
        np.testing.assert_allclose(other, usual, atol=1e-6)
