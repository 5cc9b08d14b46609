"""Refits under random phases, penalties as chosen, widened by refits that choose them again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from bids_app.analyses.participant.layers import _PhaseRefits
from bids_app.encoding import fit_encoding, phase_null, plan_encoding
from bids_app.encoding.gram import feature_gram
from bids_app.encoding.noise import noise_null

LENGTHS = (90, 105, 120)


def slow(rng, n_columns):
    return [
        lfilter([1], [1, -0.9], rng.standard_normal((n + 40, n_columns)), axis=0)[40:]
        for n in LENGTHS
    ]


def refitted(seed, n_vertices):
    """Two layers that have nothing to do with the responses, and what the refits make of them."""
    rng = np.random.default_rng(seed)
    responses = slow(rng, n_vertices)
    refits = _PhaseRefits(["a", "b", "c"], 99, 0, 1)
    fits = []
    for _ in range(2):
        gram = feature_gram(slow(rng, 12))
        plan = plan_encoding(gram, LENGTHS, delays=(3.0, 6.0), crop=6.0, tr=1.0)
        noise = noise_null(plan, responses, n_series=60, seed=0)
        fit = fit_encoding(plan, responses, null="noise", noise=noise)
        fits.append((plan, responses, fit, refits.test(plan, responses, fit)))
    return fits, refits


def test_the_null_is_as_wide_as_where_penalties_are_chosen_again():
    fits, refits = refitted(1, 30)
    for plan, responses, fit, found in fits:
        options = {"checksums": ["a", "b", "c"], "n_draws": 99, "seed": 0}
        kept = phase_null(plan, responses, fit.alpha, mean_r=fit.mean_r, **options)
        ratio = found.null_sd / kept.sd
        assert np.ptp(ratio) < 1e-6
        assert 1.001 < ratio[0] < 1.3
        above = fit.mean_r > 0
        assert np.all(found.p[above] >= kept.p[above])
    assert refits.p_max.shape == (2, 30)


@pytest.mark.slow
def test_the_largest_of_vertices_and_layers_has_its_level():
    smallest = [np.nanmin(refitted(seed, 20)[1].p_max) for seed in range(60)]
    assert np.sum(np.array(smallest) < 0.05) <= 8
