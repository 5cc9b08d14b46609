"""The lag between music and auditory cortex."""

from __future__ import annotations

import numpy as np
import pytest
from real_data import DATA
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter
from scipy.stats import pearsonr

from bids_app.analyses.participant.lags import loudness_run, read_loudness
from bids_app.features.timing import filtered
from bids_app.surface.lag import auditory_vertices, find_lag, lag_warning
from bids_app.surface.lag_scan import LagRun
from bids_app.surface.mesh import load_mesh

LAGS = np.arange(-20.0, 25.0, 0.5)
STEP = 0.5


def music(seed, seconds=180.0):
    """A smooth feature of a piece and its times."""
    rng = np.random.default_rng([seed, 1])
    steps = np.arange(0.0, seconds, STEP)
    values = gaussian_filter1d(rng.standard_normal(steps.size), 3)
    return steps, values / values.std()


def planted(shift, *, tr=1.0, n_vertices=20, noise=2.0, seed=0, seconds=240.0):
    """A run whose responses follow the music by `shift` seconds, under noise."""
    rng = np.random.default_rng([seed, 2])
    steps, values = music(0)
    times = np.arange(0.0, seconds, tr)
    signal = np.interp(times - shift, steps, values, left=0.0, right=0.0)
    responses = signal[:, None] + noise * rng.standard_normal((times.size, n_vertices))
    return LagRun(responses, times, values, steps, silence=0.0)


def unrelated(rng, n, *, tr=2.0, shared=0.0):
    """Runs of `n` participants: AR(1) noise with drifts, high-passed, of which a part is common."""

    def noise():
        found = 0.6 * lfilter([1], [1, -0.8], rng.standard_normal((150, 3)), axis=0)[50:]
        walk = 0.15 * np.cumsum(rng.standard_normal((100, 1)), axis=0)
        return found + walk + rng.uniform(-3, 3) * np.linspace(0, 1, 100)[:, None]

    steps, values = music(int(rng.integers(10_000)), 150.0)
    common = noise()
    return [
        [
            LagRun(
                filtered(np.sqrt(shared) * common + np.sqrt(1 - shared) * noise(), tr, 128.0),
                tr * np.arange(100),
                filtered(values, STEP, 128.0),
                steps,
                silence=0.0,
            )
        ]
        for _ in range(n)
    ]


@pytest.mark.parametrize("shift", [-6.0, 5.0, 12.0])
@pytest.mark.parametrize("tr", [0.8, 2.0])
def test_a_planted_shift_is_found_within_a_tr(shift, tr):
    found = find_lag([[planted(shift, tr=tr)]], LAGS, n_draws=199, seed=0)
    assert found.lag == pytest.approx(shift, abs=min(tr, 0.8))
    assert found.r > 0.8
    assert found.p == 1 / 200
    assert found.clear
    assert np.isnan(found.low)


def test_music_that_starts_twelve_seconds_late_is_called_out():
    fine, late = (
        find_lag([[planted(at, seed=k)] for k in range(5)], LAGS, n_draws=199, seed=0)
        for at in (5.0, 17.0)
    )
    assert lag_warning(fine) is None
    assert late.lag == pytest.approx(17.0, abs=0.5)
    assert f"{late.lag:.1f} s, outside -2 to 10 s" in lag_warning(late)
    assert late.low <= late.lag <= late.high < late.low + 2
    assert (late.band[0] <= late.curve).all()
    assert (late.curve <= late.band[1]).all()


def test_noise_is_unclear():
    """AR noise with drifts, alone and of people who share a part of it."""
    rng = np.random.default_rng(3)
    lags = np.arange(-15.0, 100.0, 1.0)
    studies = [unrelated(rng, n, shared=s) for n, s in ((1, 0.0), (4, 0.0), (4, 0.4)) * 14]
    found = [find_lag(people, lags, n_draws=99, seed=k) for k, people in enumerate(studies)]
    assert np.mean([one.state == "unclear" for one in found]) >= 0.95
    p = np.array([one.p for one in found])
    assert np.mean(p <= 0.05) <= 0.15  # 42 of them: a standard error of .03
    assert 0.35 < p.mean() < 0.65


@pytest.mark.skipif(not (DATA / "alice").is_dir(), reason=f"no alice in {DATA}")
def test_listeners_to_a_story_do_not_follow_music():
    """Real responses to a story, against a recording that nobody of them heard."""
    sounds = read_loudness([(p.stem, p) for p in sorted((DATA / "audio").glob("[HV]*.ogg"))])
    (sound,) = sounds.values()
    lags = np.arange(-15.0, 160.0, 1.0)
    states = []
    for k, path in enumerate(sorted((DATA / "alice" / "10mm").glob("*-timecourses.txt"))):
        if not path.read_text().strip():
            continue  # one file is empty at its source
        piece = np.loadtxt(path)[30:150]
        times = 2.0 * np.arange(len(piece))
        heard = (0.0, sound.seconds)
        y = filtered(piece - piece.mean(axis=0), 2.0, 128.0)
        run = loudness_run(y, times, sound, heard, tr=2.0, high_pass=128.0)
        states.append(find_lag([[run]], lags, n_draws=199, seed=k).state)
    assert len(states) >= 27
    assert states.count("unclear") >= 26


def test_the_edge_is_said():
    found = find_lag([[planted(25.5, noise=0.3)]], LAGS, n_draws=199, seed=0)
    assert found.state == "at the edge"
    assert np.isnan(found.lag)
    assert "at the edge of those tried (-20 to 24.5 s)" in lag_warning(found)


def test_the_curve_is_pearsons_r_over_all_times():
    run = planted(3.0, n_vertices=1)
    found = find_lag([[run]], [0.0, 7.0, 14.0], n_draws=9, seed=0)
    shifted = [
        np.interp(run.times - lag, run.feature_times, run.feature, left=0.0, right=0.0)
        for lag in found.lags
    ]
    expected = [pearsonr(run.responses[:, 0], one)[0] for one in shifted]
    np.testing.assert_allclose(found.curve, expected, rtol=1e-10)


def test_scale_unusable_vertices_and_missing_times_do_not_matter():
    run = planted(4.0)
    curve = find_lag([[run]], LAGS, n_draws=9, seed=0).curve
    more = [7 * run.responses + 3, np.zeros((240, 1)), np.full((240, 1), np.nan), np.ones((240, 1))]
    changed = LagRun(np.hstack(more), run.times, 10 * run.feature, run.feature_times, silence=0.0)
    again = find_lag([[changed]], LAGS, n_draws=9, seed=0)
    np.testing.assert_allclose(again.curve, curve, atol=1e-12)
    missing, shorter = run.responses.copy(), slice(5, None)
    missing[:5] = np.nan
    found = [
        find_lag([[LagRun(y, t, run.feature, run.feature_times, silence=0.0)]], LAGS, seed=0).curve
        for y, t in ((missing, run.times), (run.responses[shorter], run.times[shorter]))
    ]
    np.testing.assert_allclose(*found, atol=1e-12)


def test_undefined_curves():
    run = planted(5.0)
    silent = LagRun(np.zeros((240, 3)), run.times, run.feature, run.feature_times, silence=0.0)
    short = LagRun(run.responses[:9], run.times[:9], run.feature, run.feature_times, silence=0.0)
    none = find_lag([[silent], [short]], LAGS, n_draws=9, seed=0)
    assert np.isnan([none.lag, none.r, none.p, *none.curve]).all()
    assert none.state == "unclear"
    assert lag_warning(none) is None
    # Whoever has no signal takes no part.
    alone, beside = (
        find_lag(people, LAGS, n_draws=9, seed=0) for people in ([[run]], [[silent], [run]])
    )
    np.testing.assert_array_equal(alone.curve, beside.curve)


def test_auditory_vertices_are_on_both_superior_temporal_planes():
    mesh = load_mesh("fsaverage5")
    vertices = auditory_vertices(mesh)
    left = vertices[vertices < mesh.left.n_vertices]
    assert 40 < left.size < 400
    assert 0.6 < left.size / (vertices.size - left.size) < 1.6
    assert mesh.left.white[left].mean(axis=0)[0] < -35
