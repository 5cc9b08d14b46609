"""Surprise, tempo and density drive vertices of their own: each is found; rivals add nothing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from test_notes_space import SCALE, write_sound, write_table

from bids_app.encoding.gram import feature_gram
from bids_app.encoding.joint import candidate_weights, fit_joint, plan_joint
from bids_app.features.registry import find_space
from bids_app.features.timing import sample_series

SPACES = {"density": "notes", "stm": "notes", "tempo": "expression"}
LENGTHS, TR, N_VERTICES = (150, 170, 190), 1.0, 16


def write_piece(folder, label, seconds, rng):
    """Beats whose tempo wanders, of one to four notes each, now and then hard to foresee."""
    beats, now, speed = [], 0.2, 0.0
    while now < seconds:
        beats.append(now)
        speed = 0.95 * speed + 0.1 * rng.standard_normal()
        now += 60 / (100 * np.exp2(np.clip(speed, -0.6, 0.6)))
    rows, place = [], 0
    for k, (start, end) in enumerate(pairwise(beats)):
        if k % 8 == 0:
            n_notes, strange = int(rng.integers(1, 5)), rng.random() < 0.4
        for n in range(n_notes):
            pitch = rng.integers(8) if strange else [0, 2, 4, 3, 1, 5][place % 6]
            step = (end - start) / n_notes
            rows.append((round(start + n * step, 4), round(step, 4), 60 + SCALE[pitch]))
            place += 1
    write_table(folder / f"{label}_notes.tsv", rows)
    (folder / f"{label}_beats.tsv").write_text("time\n" + "".join(f"{b:.4f}\n" for b in beats))
    return write_sound(folder / f"{label}.wav", seconds)


def later(x):
    """What the brain makes of it 5 s later."""
    return np.roll((x - x.mean(axis=0)) / x.std(axis=0), 5, axis=0)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Per layer one array (n_times, 1) for each piece, from its files."""
    folder, rng = tmp_path_factory.mktemp("music"), np.random.default_rng(22)
    found = {name: [] for name in SPACES}
    for number, seconds in enumerate(LENGTHS):
        audio = write_piece(folder, f"piece{number}", seconds, rng)
        for space in map(find_space, sorted(set(SPACES.values()))):
            sound = space.sound(audio.stem, audio)
            for layer in space.values(sound):
                if SPACES.get(layer.name) == space.name:
                    times = np.arange(seconds) + 0.5
                    values = sample_series(layer.values[:, :1], sound.times, times, TR, None)
                    found[layer.name].append(values)
    return found


def test_every_layer_is_found_where_it_was_planted_and_nowhere_else(features):
    rng = np.random.default_rng(7)
    responses = [
        np.hstack([np.tile(later(x), N_VERTICES) for x in piece])
        + 1.5 * rng.standard_normal((len(piece[0]), len(SPACES) * N_VERTICES))
        for piece in zip(*features.values(), strict=True)
    ]
    joint = plan_joint(
        {name: feature_gram(series) for name, series in features.items()},
        LENGTHS,
        weights=candidate_weights(len(SPACES), 20, np.random.default_rng(0)),
        delays=(3.0, 7.0),
        crop=8.0,
        tr=TR,
        alphas=np.logspace(-3, 5, 10),
    )
    unique = fit_joint(joint, responses).unique.reshape(len(SPACES), len(SPACES), N_VERTICES)
    for number, name in enumerate(features):
        own, others = unique[number, number], np.delete(unique[:, number], number, axis=0)
        assert own.mean() > 0.05, name
        # The planted layer wins at nearly every vertex, and its rivals add nothing.
        assert (own > others.max(axis=0)).mean() > 0.9, name
        assert others.mean(axis=1).max() < 0.01, name
