"""Real listeners: what they heard is found by both claims, what nobody heard is not.

Twenty-seven people heard the same story (Brennan et al. 2016); they share more than its sound.
"""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from real_data import DATA
from scipy import stats

from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.features.timing import high_pass_basis
from bids_app.group import accuracy_music_null, sign_flip_max_t
from bids_app.group.claims import holds
from bids_app.seeds import generator
from bids_app.statistics import fisher_z

FOLDER = DATA / "alice"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real listeners in {FOLDER}"),
]
TR, N_TIMES, LENGTHS = 2.0, 362, (120, 121, 121)
EMPTY = "s33"
LPTL = 2  # left posterior temporal lobe
N_UNHEARD = 100


def high_passed(values):
    basis = high_pass_basis(len(values), TR, 128.0)
    centered = values - values.mean(axis=0)
    return centered - basis @ (basis.T @ centered)


def in_pieces(values):
    return np.split(values, np.cumsum(LENGTHS)[:-1])


@pytest.fixture(scope="module")
def listeners():
    """Responses of everybody, motion and drifts removed, and the power of what they heard."""
    responses, power = [], []
    for path in sorted((FOLDER / "10mm").glob("*.txt")):
        name = path.name.partition("-")[0]
        if name == EMPTY:
            continue
        series = np.loadtxt(path)
        motion = np.loadtxt(next(FOLDER.glob(f"{name}-rp*")))[-N_TIMES:]
        nuisance = np.column_stack(
            [np.ones(N_TIMES), high_pass_basis(N_TIMES, TR, 128.0), motion - motion.mean(axis=0)]
        )
        series = series - nuisance @ np.linalg.lstsq(nuisance, series, rcond=None)[0]
        responses.append(in_pieces(series))
        power.append(np.loadtxt(FOLDER / f"{name}-sndpwr.txt"))
    return responses, np.mean(power, axis=0)


def claims(responses, feature):
    """P over people (max-T) and music of each of six regions."""
    rows = np.concatenate([high_passed(one) for one in in_pieces(feature[:, np.newaxis])])
    # The power comes convolved with a response function: no delays.
    plan = plan_encoding(
        rows @ rows.T, LENGTHS, stimuli=list("abc"), delays=(0.0, 0.0), crop=10.0, tr=TR
    )
    fits = [fit_encoding(plan, own, null="none") for own in responses]
    r = np.stack([fit.mean_r for fit in fits])
    people = sign_flip_max_t(fisher_z(r), n_permutations=1999, seed=1, tail="greater").p
    music = accuracy_music_null(
        [[plan]],
        responses,
        np.stack([fit.alpha for fit in fits])[:, np.newaxis],
        r.mean(axis=0)[np.newaxis],
        clock_of=[0] * len(responses),
        checksums={name: 8 * name for name in "abc"},
    ).p[0]
    return people, music


def test_what_they_heard_is_found_in_the_posterior_temporal_region(listeners):
    people, music = claims(*listeners)
    assert holds(people, music)[LPTL]
    assert music[LPTL] == music.min() < 0.001
    assert people[LPTL] == people.min() < 0.01


def test_the_same_spectrum_with_other_phases_is_claimed_as_often_as_chance_allows(listeners):
    responses, power = listeners
    spectrum, rng = np.fft.rfft(power), generator(7, "what nobody heard")
    found = []
    for _ in range(N_UNHEARD):
        phases = np.exp(2j * np.pi * rng.uniform(size=len(spectrum)))
        unheard = np.fft.irfft(spectrum * phases, N_TIMES)
        found.append(holds(*claims(responses, unheard)))
    limit = stats.binom.ppf(0.999, N_UNHEARD, 0.05)
    assert np.sum(found, axis=0).max() <= limit


def test_envelopes_of_recordings_that_nobody_heard_are_not_found(listeners):
    responses, _ = listeners
    loudness = []
    for path in sorted((DATA / "audio").glob("*.ogg")):
        audio, rate = soundfile.read(path, always_2d=True)
        n = int(TR * rate)
        power = (audio.mean(axis=1)[: len(audio) // n * n].reshape(-1, n) ** 2).mean(axis=1)
        loudness.append(np.sqrt(power))
    together = np.concatenate(loudness)
    assert len(together) > 100
    # The recordings in a loop, from six places on.
    starts = np.arange(6) * len(together) // 6
    found = [holds(*claims(responses, np.resize(np.roll(together, -k), N_TIMES))) for k in starts]
    assert np.sum(found, axis=0).max() <= 1
