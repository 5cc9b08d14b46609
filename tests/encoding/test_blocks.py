"""Vertices are worked on in blocks; their size changes rounding and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.encoding import fit_encoding, plan_encoding, ridge


@pytest.mark.parametrize("size", [37, 400])
def test_another_block_size_changes_only_the_last_digits(monkeypatch, size):
    rng, lengths = np.random.default_rng(3), [60, 70, 80]
    features = np.cumsum(rng.standard_normal((sum(lengths), 40)), axis=0)
    features -= features.mean(axis=0)
    signal = features[:, :5] @ rng.standard_normal((5, 1500))
    noise = 8 * rng.standard_normal(signal.shape)
    responses = np.split((signal + noise).astype(np.float32), np.cumsum(lengths)[:-1])
    plan = plan_encoding(
        features @ features.T,
        lengths,
        stimuli=["a", "b", "c"],
        delays=(0.0, 3.0),
        crop=5.0,
        tr=1.0,
        alphas=np.logspace(-3, 5, 20),
    )
    usual = fit_encoding(plan, responses, null="analytic")
    monkeypatch.setattr(ridge, "BLOCK", size)
    other = fit_encoding(plan, responses, null="analytic")
    agree = usual.alpha == other.alpha
    assert agree.mean() >= 0.999
    np.testing.assert_allclose(other.r[agree], usual.r[agree], atol=1e-6)
