"""Noise ceilings of a participant who heard pieces repeatedly."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.analyses.participant.repeats import (
    OTHER_TIMES,
    _filter,
    beside_ceiling,
    ceiling_of_repeats,
    heard_repeatedly,
    scored_rows,
)
from bids_app.analyses.participant.responses import Block, Prepared
from bids_app.analyses.participant.steps import compare_presentations
from bids_app.config import Model, Statistics
from bids_app.encoding import repeat_test
from bids_app.features.timing import high_pass_basis

N_TIMES, N_VERTICES = 300, 40
MODEL, SEED = Model(delays=(3.0, 9.0), crop=9.0), 3
SIGNAL = np.where(np.arange(N_VERTICES) < 20, 1.0, 0.0)  # beside noise of variance 1


def block(stimulus, run, seed, *, shift=0.0, n_times=N_TIMES, missing=()):
    shared = np.random.default_rng(len(stimulus)).standard_normal((N_TIMES, N_VERTICES)) * SIGNAL
    noise = np.random.default_rng(seed).standard_normal((N_TIMES, N_VERTICES))
    keep = np.setdiff1d(np.arange(n_times), missing)
    values = (shared + noise).astype(np.float32)[keep]
    values[:, -1] = np.nan
    return Block(stimulus, run, 1.0, 0.5 + shift + keep, values)


def fitted(stimuli, r=0.35):
    """Layers that predict as much everywhere, the second half of it."""
    fold_r = np.full((2, len(stimuli), N_VERTICES), r, dtype=np.float32)
    fold_r[1] /= 2
    return SimpleNamespace(fold_r=fold_r, fold_stimuli=list(stimuli), layer_names=["a", "b"])


def ceiling(blocks, *held_out):
    return ceiling_of_repeats(blocks, [(one,) for one in held_out], MODEL, SEED)


def test_ceiling_is_the_root_of_the_share_that_presentations_have_in_common():
    blocks = [block("song", f"run-{k}", k) for k in range(3)] + [block("other", "run-3", 9)]
    found = ceiling(blocks, "other", "song")
    assert found.stimuli == ["song"]
    np.testing.assert_allclose(found.ceiling[:20], 0.5**0.5, atol=0.09)
    assert found.ceiling[:20].mean() == pytest.approx(0.5**0.5, abs=0.02)
    assert (found.p_max[:20] < 0.01).all()
    assert (found.p_max[20:-1] > 0.05).all()
    assert np.isnan([found.ceiling[-1], found.p_max[-1]]).all()
    assert found.n_reliable == 20


def test_fraction_is_of_the_pieces_heard_repeatedly_where_the_ceiling_is_reliable():
    blocks = [block("song", f"run-{k}", k) for k in range(2)] + [block("other", "run-3", 9)]
    fits = fitted(["other", "song"])
    fits.fold_r[:, 0] = 0.9  # of a piece without a ceiling
    found = beside_ceiling(ceiling(blocks, *fits.fold_stimuli), fits)
    np.testing.assert_allclose(found.fraction[0, :20], 0.35 / found.ceiling[:20], rtol=1e-5)
    np.testing.assert_allclose(found.fraction[1, :20] * 2, found.fraction[0, :20], rtol=1e-5)
    assert np.isnan(found.fraction[:, 20:]).all()
    assert [row["n_vertices"] for row in found.rows] == [20, 20]
    assert found.rows[0]["fraction"] == pytest.approx(0.35 / 0.5**0.5, abs=0.02)


def test_samples_are_compared_at_the_same_seconds_of_the_music():
    cut_off = block("song", "run-1", 1, n_times=260, missing=(100, 101))
    moved = block("song", "run-2", 2, shift=0.05)
    found = ceiling([block("song", "run-0", 0), cut_off, moved], "song")
    assert found.ceiling[:20].mean() == pytest.approx(0.5**0.5, abs=0.03)


def test_noise_is_filtered_as_the_runs_of_the_presentations_were():
    plain = [block("song", f"run-{k}", k) for k in range(2)]
    drift = high_pass_basis(N_TIMES + 40, 1.0, 128.0)
    whole = np.eye(N_TIMES + 40) - drift @ drift.T
    rows = whole[20:-20]
    blocks = [replace(one, filter=rows) for one in plain]
    blocks[1] = replace(
        blocks[1], times=blocks[1].times[2:], values=blocks[1].values[2:], filter=rows[2:]
    )
    kept = scored_rows([one.times for one in blocks], 1.0, MODEL.delays, MODEL.crop)
    assert (kept[0] == kept[1] + 2).all()
    series = np.stack([one.values[own] for one, own in zip(blocks, kept, strict=True)])
    wanted = repeat_test([series], [[rows[kept[0]]] * 2], seed=SEED)
    np.testing.assert_array_equal(ceiling(blocks, "song").p_max, wanted.p_max)


def test_gaps_are_known_where_the_filter_is_not():
    one = block("song", "run-0", 0, missing=(100, 101))
    made = _filter(one)
    assert made.shape == (N_TIMES - 2, N_TIMES)
    assert made.argmax(axis=1).tolist() == np.setdiff1d(np.arange(N_TIMES), [100, 101]).tolist()
    assert (made.sum(axis=1) == 1).all()


def test_presentations_between_whose_volumes_music_moved_on_have_no_ceiling(caplog):
    blocks = [block("song", "run-0", 0), block("song", "run-1", 1, shift=0.5)]
    assert ceiling(blocks, "song") is None
    assert OTHER_TIMES in caplog.text
    assert ceiling(blocks, "song[1/4]", "song[2/4]") is None
    alone = Prepared(blocks)
    assert compare_presentations(alone, {"song": 300.0}, MODEL, Statistics()) is None
    assert "it was not held out as a whole and alone" in caplog.text


def test_without_repeats_nothing_is_computed():
    blocks = [block("song", "run-0", 0), block("other", "run-1", 1)]
    assert heard_repeatedly([b.stimulus for b in blocks]) == []
    assert ceiling(blocks, "other", "song") is None
