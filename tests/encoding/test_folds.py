"""Folds, kept rows, delays, and what bad input says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from bids_app.encoding import delay_samples, fit_encoding, nested_ridge, plan_encoding
from bids_app.encoding.folds import make_folds, make_segments
from bids_app.encoding.gram import (
    center_blocks,
    delayed_features,
    delayed_gram,
    feature_gram,
    kept_rows,
)
from bids_app.encoding.leakage import check_checksums, feature_similarity, similarity_p
from bids_app.errors import BadDataError

OPTIONS = {"delays": (2, 4), "crop": 6, "tr": 1.0}


def series(rng, lengths, n_columns):
    return [lfilter([1], [1, -0.7], rng.standard_normal((n, n_columns)), axis=0) for n in lengths]


@pytest.mark.parametrize(
    ("delays", "tr", "expected"),
    [
        ((3, 9), 1.0, range(3, 10)),
        ((3, 9), 1.4, range(3, 7)),
        ((-1, 2), 1.0, range(-1, 3)),
        ((0, 0), 2.0, [0]),
        ((0.3, 0.9), 0.1, range(3, 10)),
    ],
)
def test_delay_samples(delays, tr, expected):
    np.testing.assert_array_equal(delay_samples(delays, tr), list(expected))


@pytest.mark.parametrize("delays", [(-3, 2), (0, 5), (2, 4)])
def test_delayed_gram_equals_explicit_features(delays):
    rng = np.random.default_rng(0)
    lengths = (30, 41, 37)
    features = [rng.standard_normal((n, 7)) + 5 for n in lengths]
    shifts = delay_samples(delays, 1.0)
    rows = kept_rows(lengths, shifts, 4, 1.0)
    x = [delayed_features(f, shifts, r) for f, r in zip(features, rows, strict=True)]
    x = np.concatenate([a - a.mean(axis=0) for a in x])
    raw = delayed_gram(feature_gram(features), lengths, shifts, rows)
    kernel = center_blocks(raw, [b - a for a, b in rows])
    np.testing.assert_allclose(kernel, x @ x.T, atol=1e-10)


def test_what_is_constant_within_a_block_is_exactly_nothing_there():
    rng = np.random.default_rng(0)
    features = [rng.standard_normal((40, 3)), np.full((30, 3), 0.7), rng.standard_normal((35, 3))]
    kernel = center_blocks(feature_gram(features), [len(f) for f in features])
    assert not kernel[40:70].any()
    assert not kernel[:, 40:70].any()
    features[1] = features[1] + 1e-4 * rng.standard_normal((30, 3))
    moving = center_blocks(feature_gram(features), [len(f) for f in features])
    assert moving[40:70, 40:70].diagonal().sum() > 0


def test_features_that_rest_throughout_a_stimulus_are_refused():
    rng = np.random.default_rng(0)
    features = [rng.standard_normal((60, 2)) for _ in range(3)]
    features[1][5:] = 0.7
    options = {"delays": (2, 4), "crop": 10, "tr": 1.0, "stimuli": ["a", "calm", "c"]}
    with pytest.raises(BadDataError, match=r"kept rows of a stimulus(.|\n)*constant in calm"):
        plan_encoding(feature_gram(features), [60] * 3, alphas=[1.0], **options)
    features[1][30] = 0.8
    assert plan_encoding(feature_gram(features), [60] * 3, alphas=[1.0], **options).folds


def test_kept_rows_have_their_whole_history():
    assert kept_rows([100], np.array([3, 9]), 5, 1.0) == ((9, 95),)
    assert kept_rows([100], np.array([-8, 2]), 5, 1.0) == ((5, 92),)
    assert kept_rows([100], np.array([0, 2]), 15, 1.4) == ((11, 89),)


def folds_of(stimuli, sizes, purge=3):
    segments, single = make_segments(stimuli, [(0, n) for n in sizes])
    return segments, make_folds(segments, purge), single


def test_repeats_stay_in_one_fold():
    _, folds, _ = folds_of(["a", "b", "a", "c"], [20, 21, 20, 25])
    assert [f.held_out for f in folds] == [("a",), ("b",), ("c",)]
    assert folds[0].segments == (0, 2)
    for fold in folds:
        for split in fold.inner:
            assert not np.intersect1d(split.train, np.concatenate(split.tests)).size
            assert np.isin(split.train, fold.outer.train).all()
            assert np.isin(np.concatenate(split.tests), fold.outer.train).all()


def test_more_than_six_stimuli_make_five_folds():
    names = [f"s{i}" for i in range(9)]
    _, folds, _ = folds_of(names, [20 + i for i in range(9)])
    assert len(folds) == 5
    assert sorted(sum((f.held_out for f in folds), ())) == names
    assert all(len(f.inner) == 4 for f in folds)
    assert len(folds_of(names[:6], [20] * 6)[1]) == 6


def test_two_stimuli_use_purged_blocks_inside():
    segments, folds, single = folds_of(["a", "b"], [60, 80], purge=4)
    assert not single
    assert [len(f.inner) for f in folds] == [5, 5]
    inner = folds[0].inner[2]
    test = inner.tests[0]
    assert np.all(np.isin(test, segments[1].rows))
    assert np.abs(inner.train[:, None] - test).min() == 5


def test_one_stimulus_is_cut_and_purged_with_a_warning():
    rng = np.random.default_rng(1)
    features, responses = series(rng, [150], 4), series(rng, [150], 30)
    with pytest.warns(UserWarning, match="only one stimulus"):
        plan = plan_encoding(feature_gram(features), [150], **OPTIONS)
    for fold in plan.folds:
        test = fold.outer.tests[0]
        assert np.abs(fold.outer.train[:, None] - test).min() == 5
    result = fit_encoding(plan, responses)
    assert result.r.shape == (5, 30)
    assert np.all(np.isfinite(result.p))


def test_two_stimuli_and_many_stimuli_run():
    rng = np.random.default_rng(2)
    for lengths in ([70, 90], [40] * 8):
        features = series(rng, lengths, 4)
        responses = [
            np.roll(x, 3, axis=0) + 0.3 * e
            for x, e in zip(features, series(rng, lengths, 4), strict=True)
        ]
        result = nested_ridge(features, responses, **OPTIONS)
        assert result.r.shape == (2 if len(lengths) == 2 else 5, 4)
        assert result.mean_r.min() > 0.5
        assert result.p.max() < 0.05


def test_held_out_stimulus_does_not_touch_the_penalty():
    rng = np.random.default_rng(3)
    lengths = [60, 70, 80]
    features, responses = series(rng, lengths, 6), series(rng, lengths, 40)
    first = nested_ridge(features, responses, **OPTIONS)
    changed = [*responses[:2], rng.standard_normal(responses[2].shape)]
    second = nested_ridge(features, changed, **OPTIONS)
    np.testing.assert_array_equal(first.alpha[2], second.alpha[2])
    np.testing.assert_allclose(first.inner_score[2], second.inner_score[2], atol=1e-12)


def bad_inputs():
    rng = np.random.default_rng(4)
    x, y = series(rng, [40, 50, 60], 3), series(rng, [40, 50, 60], 2)
    spoiled = [x[0].copy(), *x[1:]]
    spoiled[0][3, 1] = np.nan
    return {
        "NaN features": ((spoiled, y), {}, r"features\[0\]"),
        "lengths": (([x[0][:-1], *x[1:]], y), {}, r"responses\[0\]"),
        "number": ((x[:2], y), {}, "responses"),
        "units": (([x[0][:, :2], *x[1:]], y), {}, r"features\[1\]"),
        "vertices": ((x, [y[0][:, :1], *y[1:]]), {}, r"responses\[1\]"),
        "penalties": ((x, y), {"alphas": [1, 10, 10]}, "alphas"),
        "negative penalties": ((x, y), {"alphas": [-1, 10]}, "alphas"),
        "crop": ((x, y), {"crop": 19}, "crop of 18 s"),
        "delays longer than stimulus": ((x, y), {"delays": (0, 45)}, "shorter delays"),
        "no whole TR": ((x, y), {"delays": (3.1, 3.9)}, "delays"),
        "reversed delays": ((x, y), {"delays": (4, 2)}, "delays"),
        "tr": ((x, y), {"tr": 0}, "tr"),
        "constant": (([np.ones_like(f) for f in x], y), {}, "do not vary"),
        "empty": (([f[:0] for f in x], [r[:0] for r in y]), {}, r"responses\[0\]"),
        "nothing": (([], []), {}, "responses"),
        "selection": ((x, y), {"selection": "r2"}, "selection"),
        "preset": ((x, y), {"preset": "huth"}, "preset"),
        "null": ((x, y), {"null": "shift"}, "null"),
        "threads": ((x, y), {"n_threads": 0}, "n_threads"),
        "labels": ((x, y), {"stimuli": ["a", "b"]}, "stimuli"),
        "times": ((x, y), {"feature_times": [[0]]}, "feature_times"),
    }


@pytest.mark.parametrize("case", bad_inputs())
def test_bad_input_is_named(case):
    arguments, options, message = bad_inputs()[case]
    with pytest.raises(ValueError, match=message):
        nested_ridge(*arguments, **{**OPTIONS, **options})


def test_lea_without_overlap_is_an_error():
    rng = np.random.default_rng(5)
    x, y = series(rng, [40, 50, 60], 3), series(rng, [40, 50, 60], 2)
    with pytest.raises(ValueError, match="too few samples"):
        nested_ridge(x, [r[:8] for r in y], preset="lea", **OPTIONS)


def test_gram_that_does_not_fit_is_an_error():
    gram = np.eye(30)
    with pytest.raises(ValueError, match="gram"):
        plan_encoding(gram, [10, 21], **OPTIONS)
    gram[0, 0] = np.nan
    with pytest.raises(ValueError, match="gram"):
        plan_encoding(gram, [10, 20], **OPTIONS)


def test_same_audio_in_two_folds_is_an_error():
    check_checksums(["a", "b", "a"], ["1", "2", "1"])
    with pytest.raises(ValueError, match="two folds"):
        check_checksums(["a", "b"], ["1", "1"])
    with pytest.raises(ValueError, match="two recordings"):
        check_checksums(["a", "a"], ["1", "2"])


def test_feature_similarity_finds_a_shared_course():
    rng = np.random.default_rng(6)
    a, b, c = series(rng, [64, 64, 64], 5)
    twin = a + 0.5 * rng.standard_normal(a.shape)
    found = feature_similarity(feature_gram([a, twin, b[:50]]), [64, 64, 50], stimuli="xyz", seed=0)
    assert [f.stimulus for f in found] == ["x", "y"]
    expected = np.sum((a - a.mean(0)) * (twin - twin.mean(0))) / np.sqrt(
        np.sum((a - a.mean(0)) ** 2) * np.sum((twin - twin.mean(0)) ** 2)
    )
    assert found[0].r == pytest.approx(expected)
    assert found[0].p == pytest.approx(1 / 1001)
    unrelated = feature_similarity(feature_gram([b, c]), [64, 64], seed=0)
    assert unrelated[0].p > 0.01
    assert feature_similarity(feature_gram([b, c[:60]]), [64, 60], seed=0) == []


def test_features_that_share_nothing_are_alike_as_often_as_the_level():
    """The smallest p of eight stimuli, times eight, as the table of layers has it."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng([seed, 61])
        gram = feature_gram(series(rng, [100] * 8, 10))
        found.append(similarity_p(feature_similarity(gram, [100] * 8, n_draws=199, seed=seed)))
    assert np.sum(np.array(found) <= 0.05) <= 8
    assert np.isnan(similarity_p([]))


def test_weights_and_predictions_reproduce_the_scores():
    rng = np.random.default_rng(7)
    lengths = [60, 70, 80]
    features = series(rng, lengths, 3)
    responses = [np.roll(x, 3, axis=0)[:, :2] + rng.standard_normal((len(x), 2)) for x in features]
    for preset in (None, "lea"):
        result = nested_ridge(
            features, responses, weights=True, predictions=True, preset=preset, **OPTIONS
        )
        assert [w.shape for w in result.weights] == [(3, 3, 2)] * 3
        for k, length in enumerate(lengths):
            rows = slice(6, length - 6)
            y = responses[k][rows]
            for v in range(2):
                r = np.corrcoef(result.predictions[k][:, v], y[:, v])[0, 1]
                assert r == pytest.approx(result.r[k, v], abs=1e-9)
            if preset is None:
                delayed = np.stack([features[k][6 - d : length - 6 - d] for d in (2, 3, 4)])
                rebuilt = np.einsum("dtu,duv->tv", delayed, result.weights[k])
                np.testing.assert_allclose(
                    rebuilt - rebuilt.mean(axis=0), result.predictions[k], atol=1e-9
                )
        # The planted response has its delay at 3 samples.
        assert np.abs(result.weights[0][:, 0, 0]).argmax() == 1
