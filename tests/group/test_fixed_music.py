"""Mean correlations with fixed predictions: parts by frequency, and their null over music."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.group import add_spectra, cross_spectra, fixed_music, fixed_music_test


def smooth(rng, shape):
    """Slow noise, times first."""
    steps = rng.standard_normal((shape[0] + 7, *shape[1:]))
    return np.apply_along_axis(np.convolve, 0, steps, np.ones(8), "valid")


@pytest.mark.parametrize("n_times", [40, 41])
def test_parts_add_up_to_the_correlation(n_times):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, n_times, 3)) + 5.0
    found = cross_spectra(x, y).real.sum(axis=0)
    np.testing.assert_allclose(found, [np.corrcoef(x[:, k], y[:, k])[0, 1] for k in range(3)])


def test_what_is_constant_or_missing_has_no_part():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 30, 3))
    x[:, 0], y[4, 1] = 2.0, np.nan
    assert cross_spectra(x, y).any(axis=0).tolist() == [False, False, True]


def test_other_shapes_are_refused():
    with pytest.raises(BadDataError):
        cross_spectra(np.ones((10, 2)), np.ones((10, 3)))


def test_sums_of_stretches_keep_the_frequencies_of_the_longer():
    short, long = np.ones((2, 3), dtype=complex), 2 * np.ones((4, 3), dtype=complex)
    for one, other in ((short, long), (long, short)):
        assert add_spectra(one, other)[:, 0].real.tolist() == [3, 3, 2, 2]
    assert short[0, 0] == 1, "what is given stays"
    assert long[0, 0] == 2


def test_sd_is_that_of_the_draws_and_of_rotated_responses():
    rng = np.random.default_rng(2)
    x, y = smooth(rng, (121, 4)), smooth(rng, (121, 4))
    parts = cross_spectra(x, y)
    found = fixed_music_test([{"piece": parts}], np.ones((1, 4)), n_draws=2000, seed=0)
    spectrum = np.fft.rfft(y, axis=0)
    rotated = []
    for _ in range(2000):
        turn = np.exp(1j * rng.uniform(0, 2 * np.pi, (len(spectrum), 1)))
        turn[0] = 1
        z = np.fft.irfft(spectrum * turn, n=len(y), axis=0)
        rotated.append([np.corrcoef(x[:, k], z[:, k])[0, 1] for k in range(4)])
    np.testing.assert_allclose(found.sd[0], np.std(rotated, axis=0), rtol=0.06)
    np.testing.assert_allclose(found.r[0], parts.real.sum(axis=0))


def test_p_is_the_share_of_draws_and_the_corrected_one_is_larger():
    rng = np.random.default_rng(3)
    x, y = smooth(rng, (2, 100, 60)[1:]), smooth(rng, (100, 60))
    parts = cross_spectra(x, y)
    n = np.ones((1, 60))
    n[0, 7] = 0
    found = fixed_music_test([{"a": parts}], n, n_draws=999, seed=0)
    assert np.isnan([found.r[0, 7], found.p[0, 7], found.p_max[0, 7], found.sd[0, 7]]).all()
    rest = np.arange(60) != 7
    assert (found.p_max[0, rest] >= found.p[0, rest]).all()
    assert found.p[0, rest].min() >= 1 / 1000
    again = fixed_music_test([{"a": parts}], n, n_draws=999, seed=0)
    np.testing.assert_array_equal(again.p_max, found.p_max)
    wider = fixed_music_test([{"a": parts}], n, wider=2.0, n_draws=999, seed=0)
    np.testing.assert_allclose(wider.sd, 2 * found.sd)
    up = rest & (found.r[0] > 0)
    assert (wider.p[0, up] >= found.p[0, up]).all()


def test_layers_are_corrected_together_on_the_same_phases(monkeypatch):
    """In parts of the tests or at once, and whichever layer they stand in."""
    rng = np.random.default_rng(6)
    x, y = smooth(rng, (100, 40)), smooth(rng, (100, 40))
    parts, n = cross_spectra(x, y), np.full((2, 20), 3)
    layers = [{"a": 3 * parts[:, :20]}, {"a": 3 * parts[:, 20:]}]
    found = fixed_music_test(layers, n, n_draws=300, seed=0)
    once = fixed_music_test([{"a": parts}], np.ones((1, 40)), n_draws=300, seed=0)
    monkeypatch.setattr(fixed_music, "_CHUNK", 7)
    in_parts = fixed_music_test(layers, n, n_draws=300, seed=0)
    for name in ("r", "sd", "p", "p_max"):
        np.testing.assert_allclose(getattr(found, name).ravel(), getattr(once, name)[0])
        np.testing.assert_allclose(getattr(in_parts, name), getattr(found, name))


def test_pieces_have_phases_of_their_own_and_presentations_of_one_share_them():
    rng = np.random.default_rng(4)
    parts = cross_spectra(smooth(rng, (80, 3)), smooth(rng, (80, 3))) / 2
    n = np.ones((1, 3))
    one = fixed_music_test([{"a": add_spectra(parts, parts)}], n, n_draws=200, seed=0)
    two = fixed_music_test([{"a": parts, "b": parts}], n, n_draws=200, seed=0)
    np.testing.assert_allclose(one.r, two.r)
    np.testing.assert_allclose(one.sd / two.sd, np.sqrt(2))


def test_the_level_holds_where_listeners_share_what_no_model_predicts():
    """Twelve listeners with a common response, three pieces, a fixed prediction."""
    rng = np.random.default_rng(5)
    hits = []
    for study in range(200):
        spectra = {}
        for piece in "abc":
            x, common = smooth(rng, (110, 3)), smooth(rng, (110, 3))
            total = None
            for _ in range(12):
                parts = cross_spectra(x, common + smooth(rng, (110, 3))) / 36
                total = add_spectra(total, parts)
            spectra[piece] = total
        found = fixed_music_test([spectra], np.ones((1, 3)), n_draws=200, seed=study)
        hits += (found.p[0] < 0.05).tolist()
    assert 0.02 < np.mean(hits) < 0.08
