"""What a study could show: closed forms beside simulations and the null over music itself."""

from __future__ import annotations

import numpy as np
import pytest
from music_brute import Listeners
from scipy import stats

from bids_app.errors import UsageError
from bids_app.group import means_of_others, shared_training_scale, vertex_null_sd
from bids_app.group.power import detectable_effects, null_variances

N_TIMES, N_PIECES = 40, 3


def drawn(n, isc, weights, n_draws=1500):
    """Accuracies (n_draws, n_participants) of models y_b' K_bc y_c, in units of one piece's SD."""
    rng = np.random.default_rng(8)
    kernel = rng.standard_normal((N_PIECES, N_PIECES, N_TIMES, N_TIMES)) / N_TIMES
    kernel = kernel + kernel.transpose(1, 0, 3, 2)
    out = np.empty((n_draws, n))
    for draw in range(n_draws):
        shared = rng.standard_normal((1, N_PIECES, N_TIMES))
        own = rng.standard_normal((n, N_PIECES, N_TIMES))
        y = np.sqrt(isc) * shared + np.sqrt(1 - isc) * own
        x = y
        if weights == "others":
            x = (y.sum(axis=0) - y) / (n - 1) / np.sqrt(isc + (1 - isc) / (n - 1))
        each = np.einsum("pbt,bcts,pcs->pbc", y, kernel, x)
        each[:, np.arange(N_PIECES), np.arange(N_PIECES)] = 0
        out[draw] = each.sum(axis=2).mean(axis=1)
    size = [
        sum((kernel[b, c] ** 2).sum() for c in range(N_PIECES) if c != b) for b in range(N_PIECES)
    ]
    return out / np.sqrt(np.mean(size) / N_PIECES)


@pytest.mark.parametrize("weights", ["own", "others"])
@pytest.mark.parametrize("isc", [0.0, 0.3])
def test_variances_are_those_of_simulated_models(weights, isc):
    n = 5
    r = drawn(n, isc, weights)
    music, people = null_variances(n, isc, weights)
    assert r.mean(axis=1).var() == pytest.approx(music, rel=0.15)
    assert r.var(axis=1, ddof=1).mean() == pytest.approx(people, rel=0.15)


@pytest.mark.parametrize("isc", [0.0, 0.4])
def test_the_null_over_music_widens_as_foretold(isc):
    """Group over one participant, own and others' weights, beside the closed form of maps."""
    listeners = Listeners(n_layers=1, n_participants=6, n_vertices=60, shared=isc, seed=2)
    plan, n = listeners.plans[0], 6
    listeners.alphas = np.full_like(listeners.alphas, listeners.alphas.max())
    times = [np.arange(float(one)) for one in plan.lengths]
    kept = [slice(one.start, one.stop) for one in plan.segments]
    training = means_of_others(listeners.responses, [listeners.stimuli], [times], [0] * n, [kept])
    weights = np.zeros((2, n, 1, 60))
    weights[0], weights[1, 0] = 1 / n, 1.0
    for whose, other in (("own", None), ("others", training)):
        sd = vertex_null_sd(*listeners.arguments, weights, training=other)
        group, one = np.sqrt((sd**2).mean(axis=1))
        music, people = null_variances(n, isc, whose)
        within = music + people * (1 - 1 / n)
        assert group / one == pytest.approx(np.sqrt(music / within), rel=0.15)


@pytest.mark.parametrize("weights", ["own", "others"])
def test_what_is_detectable_is_found_in_four_of_five_studies(weights):
    n, isc = 10, 0.1
    found = detectable_effects(n, 20.0, 4, isc, expected_r=0.1, weights=weights)[0]
    at = detectable_effects(n, 20.0, 4, isc, expected_r=found.people, weights=weights)[0]
    over_music = detectable_effects(n, 20.0, 4, isc, expected_r=found.music, weights=weights)[0]
    assert min(at.power, over_music.power) == pytest.approx(
        0.8 if found.people < found.music else over_music.power, abs=0.3
    )
    _, people = null_variances(n, isc, weights)
    sd = np.sqrt(6.5 / (1200 - 120) * people)
    rng = np.random.default_rng(0)
    values = found.people + sd * rng.standard_normal((20_000, n))
    scale = shared_training_scale(n) if weights == "others" else 1.0
    t = scale * stats.ttest_1samp(values, 0, axis=1).statistic
    assert (t > stats.t.isf(0.025, n - 1)).mean() == pytest.approx(0.8, abs=0.015)
    needed = detectable_effects(n, 20.0, 4, isc, expected_r=found.needed, weights=weights)[0]
    assert needed.power == pytest.approx(0.8, abs=0.01)


def test_more_of_everything_shows_less():
    def accuracy(n=20, minutes=30.0, pieces=6, isc=0.1):
        return detectable_effects(n, minutes, pieces, isc)[0]

    assert accuracy(n=40).people < accuracy().people
    assert accuracy(minutes=60).needed < accuracy().needed
    assert accuracy(isc=0.3).music > accuracy().music
    # What listeners share is the same accident in everybody: more of them stop helping.
    many = accuracy(n=400, isc=0.3).music
    assert many > 0.85 * accuracy(n=100, isc=0.3).music


def test_a_true_alignment_is_seen_through_noise():
    found = {one.what: one for one in detectable_effects(20, 30.0, 6, 0.1, expected_r=0.1)}
    weak = {one.what: one for one in detectable_effects(20, 30.0, 6, 0.1, expected_r=0.001)}
    assert found["true alignment"].needed > found["alignment"].needed
    assert np.isnan(weak["true alignment"].needed)
    assert "true alignment" not in [one.what for one in detectable_effects(20, 30.0, 6, 0.1)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_participants": 1}, "more participants"),
        ({"n_participants": 2, "weights": "others"}, "at least 3"),
        ({"isc": 1.0}, "out of range"),
        ({"minutes": 2.0}, "too little music"),
        ({"n_pieces": 1}, "too little music"),
        ({"weights": "mine"}, "own or others"),
    ],
)
def test_sizes_that_make_no_study_are_refused(changes, words):
    options = {"n_participants": 10, "minutes": 20.0, "n_pieces": 5, "isc": 0.1} | changes
    with pytest.raises(UsageError, match=words):
        detectable_effects(**options)
