"""The lea preset against a primal implementation of the published steps."""

from __future__ import annotations

import numpy as np
import pytest
from real_data import DATA

from bids_app.encoding import nested_ridge
from bids_app.encoding.lea import LEA_ALPHAS, lea_null, lea_series, plan_lea, regular_series


def zscore(x):
    sd = x.std(axis=0, ddof=1)
    return np.where(sd > 0, (x - x.mean(axis=0)) / np.where(sd > 0, sd, 1), 0)


def primal(features, responses, shifts, crop, alphas):
    """Covariances, bias column, backslash and the first minimum, as the toolbox does."""
    designs, targets = [], []
    for x, y in zip(features, responses, strict=True):
        n = min(len(x), len(y))
        rows = np.arange(crop, n - crop)
        columns = np.stack([x[rows - d, f] for f in range(x.shape[1]) for d in shifts], axis=1)
        designs.append(np.column_stack([np.ones(rows.size), zscore(columns)]))
        targets.append(zscore(y[rows]))
    penalty = np.eye(designs[0].shape[1])
    penalty[0, 0] = 0

    def solve(sets, a):
        c = sum(designs[i].T @ designs[i] for i in sets)
        d = sum(designs[i].T @ targets[i] for i in sets)
        return np.linalg.solve(c + a * penalty, d)

    n_sets, n_vertices = len(designs), targets[0].shape[1]
    r, alpha = np.empty((n_sets, n_vertices)), np.empty((n_sets, n_vertices))
    for k in range(n_sets):
        rest = [i for i in range(n_sets) if i != k]
        sse = np.zeros((len(alphas), n_vertices))
        for j in rest:
            train = [i for i in rest if i != j]
            for n, a in enumerate(alphas):
                sse[n] += ((targets[j] - designs[j] @ solve(train, a)) ** 2).sum(axis=0)
        best = sse.argmin(axis=0)
        alpha[k] = np.asarray(alphas)[best]
        for v in range(n_vertices):
            predicted = designs[k] @ solve(rest, alphas[best[v]])[:, v]
            r[k, v] = np.corrcoef(predicted, targets[k][:, v])[0, 1]
    return r, alpha


def test_equals_primal_with_unequal_lengths():
    rng = np.random.default_rng(0)
    features = [rng.standard_normal((n, 3)) for n in (60, 75, 66, 80)]
    loads = rng.standard_normal((3, 4)) * [1, 0.5, 0.1, 0]
    responses = [
        np.roll(x, 1, axis=0)[: n - 4] @ loads + rng.standard_normal((n - 4, 4))
        for x, n in zip(features, (60, 75, 66, 80), strict=True)
    ]
    result = nested_ridge(features, responses, delays=(-1, 2), crop=5, tr=1.0, preset="lea")
    r, alpha = primal(features, responses, [-1, 0, 1, 2], 5, LEA_ALPHAS)
    np.testing.assert_array_equal(result.alpha, alpha)
    np.testing.assert_allclose(result.r, r, atol=1e-10)
    np.testing.assert_allclose(result.mean_r, r.mean(axis=0), atol=1e-10)


def test_author_toy():
    """Four sets of 50 samples, two features, the first of three responses driven by one."""
    rng = np.random.default_rng(1)
    features = [rng.standard_normal((50, 2)) for _ in range(4)]
    responses = [rng.standard_normal((50, 3)) for _ in range(4)]
    for x, y in zip(features, responses, strict=True):
        y[:, 0] += 2 * x[:, 0]
    result = nested_ridge(features, responses, delays=(0, 1), crop=2, tr=1.0, preset="lea")
    assert result.mean_r[0] > 0.5
    assert result.mean_r[1:].max() < 0.5
    assert np.exp(np.log(result.alpha[:, 0]).mean()) < 10


def test_toolbox_null():
    rng = np.random.default_rng(2)
    features = [rng.standard_normal((50, 2)) for _ in range(4)]
    responses = [rng.standard_normal((50, 40)) for _ in range(4)]
    for x, y in zip(features, responses, strict=True):
        y[:, 0] += x[:, 0]
    options = {"delays": (0, 1), "crop": 2, "tr": 1.0}
    result = nested_ridge(features, responses, preset="lea", **options)
    x, y = lea_series(
        features, responses, tr=1.0, feature_times=None, response_times=None, high_pass=None
    )
    plan, _ = plan_lea(x, stimuli=None, alphas=None, **options)
    p, q, draws = lea_null(plan, x, y, result.alpha, result.mean_r, n_draws=99, seed=3)
    assert p[0] == 0.01
    assert q[0] < 0.5
    assert 0.2 < p[1:].mean() < 0.8
    assert draws.shape == (99, 40)
    again = lea_null(plan, x, y, result.alpha, result.mean_r, n_draws=9, seed=3)[2]
    np.testing.assert_array_equal(again, draws[:9])


def test_regular_series():
    series = regular_series([1, 2, 3.5], [10, 20, 35], 1.0)
    np.testing.assert_allclose(series[:, 0], [0, 10, 20, 30])
    with_gap = regular_series([0, 1, 2], [1, np.nan, 3], 1.0)
    np.testing.assert_allclose(with_gap[:, 0], [1, 0, 3])
    with pytest.raises(ValueError, match="times"):
        regular_series([0, 0, 1], [1, 2, 3], 1.0)


def test_high_pass_removes_slow_drift():
    rng = np.random.default_rng(4)
    fast = [rng.standard_normal((n, 2)) for n in (80, 90, 100)]
    drift = [np.linspace(0, 30, n)[:, None] for n in (80, 90, 100)]
    options = {"delays": (0, 1), "crop": 2, "tr": 1.0, "preset": "lea", "null": "none"}
    noise = [rng.standard_normal((n, 1)) for n in (80, 90, 100)]
    y = [x[:, :1] + e for x, e in zip(fast, noise, strict=True)]
    clean = nested_ridge(fast, y, high_pass=30.0, **options)
    drifting = nested_ridge(
        fast, [a + d for a, d in zip(y, drift, strict=True)], high_pass=30.0, **options
    )
    np.testing.assert_allclose(drifting.mean_r, clean.mean_r, atol=0.06)


@pytest.mark.integration
def test_real_ratings():
    """Envelope to touched and beauty, 7 songs at 1 Hz; ratings outlast the songs."""
    folder = DATA / "ratings" / "ksmpc"
    if not folder.is_dir():
        pytest.skip(f"no rating data in {folder} (set MUSENC_TEST_DATA)")

    def load(name, song):
        table = np.genfromtxt(folder / f"{name}_song{song}.csv", delimiter=",", skip_header=1)
        return table[:, 0], table[:, 1]

    envelopes = [load("env", song) for song in range(1, 8)]
    ratings = [(load("touched", song), load("beauty", song)) for song in range(1, 8)]
    values = [np.column_stack([a[1], b[1]]) for a, b in ratings]
    result = nested_ridge(
        [v for _, v in envelopes],
        values,
        delays=(-1, 2),
        crop=15,
        tr=1.0,
        preset="lea",
        feature_times=[t for t, _ in envelopes],
        response_times=[a[0] for a, _ in ratings],
    )
    x = [regular_series(t, v, 1.0) for t, v in envelopes]
    y = [regular_series(a[0], v, 1.0) for (a, _), v in zip(ratings, values, strict=True)]
    assert any(len(a) != len(b) for a, b in zip(x, y, strict=True))
    r, alpha = primal(x, y, [-1, 0, 1, 2], 15, LEA_ALPHAS)
    assert result.r.shape == (7, 2)
    np.testing.assert_array_equal(result.alpha, alpha)
    np.testing.assert_allclose(result.r, r, atol=1e-9)
