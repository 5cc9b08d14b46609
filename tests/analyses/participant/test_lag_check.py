"""The lag between auditory cortex and the music of every presentation."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from listeners import HEMODYNAMIC, write_listeners, write_table
from planning import plan_study

from bids_app.analyses.participant.lags import LAGS, check_lag, read_loudness
from bids_app.analyses.participant.responses import prepare_responses
from bids_app.config import Cleaning
from bids_app.features.audio import load_audio
from bids_app.features.loudness import Loudness, loudness
from bids_app.surface.cortex import bundled_cortex
from bids_app.surface.gifti import load_gifti, read_gifti
from bids_app.surface.mesh import load_mesh

CLEANING = Cleaning(confounds="none", smoothing=0.0)


@pytest.mark.parametrize(("said", "late"), [(20.0, 0.0), (8.0, 12.0)])
def test_music_that_starts_later_than_said_is_called_out(tmp_path, said, late):
    root = write_listeners(tmp_path / "study", onset=20.0, participants=("01",))
    table = write_table(root, f"song\tstimuli/song.wav\t{said:g}")
    plan = plan_study(root, table=table, confounds="none")
    sounds = read_loudness([(s.label, s.path) for s in plan.stimuli])
    prepared = prepare_responses(plan.runs, CLEANING, sounds=sounds, random_seed=1)
    (row,) = prepared.summary
    assert len(prepared.blocks) == 1
    assert float(row["lag_s"]) == pytest.approx(HEMODYNAMIC + late, abs=1.0)
    assert float(row["lag_r"]) > 0.5
    assert ("musenc onset" in row["warnings"]) == (late > 0)
    assert [curve["lag_s"] for curve in prepared.lags] == list(LAGS)
    assert max(curve["r"] for curve in prepared.lags) == pytest.approx(
        float(row["lag_r"]), abs=1e-3
    )


def test_without_loudness_there_is_no_lag(tmp_path):
    root = write_listeners(tmp_path / "study", onset=20.0, participants=("01",))
    table = write_table(root, "song\tstimuli/song.wav\t20")
    plan = plan_study(root, table=table, confounds="none")
    prepared = prepare_responses(plan.runs, CLEANING, random_seed=1)
    assert prepared.summary[0]["lag_s"] == ""
    assert prepared.lags == []


def test_loudness_is_read_by_label(tmp_path):
    root = write_listeners(tmp_path / "study", onset=20.0, participants=())
    path = root / "stimuli" / "song.wav"
    found = read_loudness([("song", path)])
    expected = loudness(load_audio(path, 8000), 8000)
    np.testing.assert_array_equal(found["song"].values, expected.values)
    assert found["song"].frame == expected.frame


def test_vertices_outside_the_cortex_mask_have_no_response(tmp_path):
    root = write_listeners(tmp_path / "study", onset=20.0, participants=("01",), tr=10.0)
    table = write_table(root, "song\tstimuli/song.wav\t20")
    plan = plan_study(root, table=table, confounds="none")
    inside = np.ones(20484, dtype=int)
    inside[5000:5300] = inside[15000:15100] = 0
    files = [tmp_path / "left.csv", tmp_path / "right.csv"]
    for path, half in zip(files, np.split(inside, 2), strict=True):
        np.savetxt(path, half, fmt="%d")
    cleaning = replace(CLEANING, smoothing=6.0, cortex_mask=tuple(files))
    prepared = prepare_responses(plan.runs, cleaning, random_seed=1)
    (block,), (row,) = prepared.blocks, prepared.summary
    masked = inside.copy()
    inside[:20] = 0  # constant in the data
    np.testing.assert_array_equal(np.isfinite(block.values).all(axis=0), inside == 1)
    np.testing.assert_array_equal(np.isfinite(block.values).any(axis=0), inside == 1)
    assert (row["n_outside_cortex"], row["n_degenerate_vertices"]) == (400, 20)
    assert "--cortex-mask" not in row["warnings"]
    np.testing.assert_array_equal(np.isfinite(prepared.coverage[0]), masked == 1)
    np.testing.assert_array_equal(prepared.coverage[0] == 1, inside == 1)


def test_signal_to_noise_is_of_the_series_as_it_was_read(tmp_path):
    root = write_listeners(tmp_path / "study", onset=20.0, participants=("01",), tr=10.0)
    plan = plan_study(root, table=write_table(root, "song\tstimuli/song.wav\t20"), confounds="none")
    run = plan.runs[0]
    cleaning = replace(CLEANING, high_pass=0.0, smoothing=6.0)
    prepared = prepare_responses([run], cleaning, random_seed=1)
    series = np.hstack([read_gifti(path) for path in (run.bold_left, run.bold_right)])
    shown = np.flatnonzero(prepared.coverage[0] == 1)
    expected = series[:, shown].mean(axis=0) / series[:, shown].std(axis=0)
    np.testing.assert_allclose(prepared.tsnr[0, shown], expected, rtol=1e-5)
    assert prepared.summary[0]["tsnr"] == pytest.approx(np.median(expected), rel=1e-6)
    for side, path in (("bold_left", run.bold_left), ("bold_right", run.bold_right)):
        run = replace(run, **{side: _without_mean(path, tmp_path)})
    prepared = prepare_responses([run], cleaning, random_seed=1)
    assert prepared.summary[0]["tsnr"] is None
    assert np.isnan(prepared.tsnr).all()


def _without_mean(path, folder):
    """The file with every vertex around zero."""
    image = load_gifti(path)
    mean = np.mean([array.data for array in image.darrays], axis=0)
    for array in image.darrays:
        array.data = array.data - mean
    nib.save(image, folder / path.name)
    return folder / path.name


def test_a_medial_wall_with_a_signal_takes_no_part_by_default(tmp_path):
    root = write_listeners(tmp_path / "study", onset=20.0, participants=("01",), tr=10.0)
    table = write_table(root, "song\tstimuli/song.wav\t20")
    plan = plan_study(root, table=table, confounds="none")
    cortex = bundled_cortex(load_mesh())
    wild = replace(plan.runs[0], bold_left=_loud(plan.runs[0].bold_left, ~cortex[:10242], tmp_path))
    smoothed = replace(CLEANING, smoothing=12.0)
    (quiet,), (loud,) = (
        prepare_responses([run], smoothed, random_seed=1).blocks for run in (plan.runs[0], wild)
    )
    found = np.isfinite(quiet.values).all(axis=0)
    np.testing.assert_array_equal(found[20:], cortex[20:])
    # What the wall has reaches nobody through smoothing.
    np.testing.assert_array_equal(loud.values, quiet.values)
    everything = prepare_responses([wild], replace(smoothed, cortex_mask="signal"), random_seed=1)
    assert np.isfinite(everything.blocks[0].values[:, 20:]).all()
    assert np.abs(everything.blocks[0].values - quiet.values)[:, found].max() > 1.0
    (row,) = everything.summary
    assert "only 0.0% of a hemisphere has no signal" in row["warnings"]
    constant = 20 - (~cortex[:20]).sum()  # the wild signal is on the others
    assert (row["n_outside_cortex"], row["n_degenerate_vertices"]) == (0, constant)


def _loud(path, wall, folder):
    """The file with a wild signal on the wall."""
    image = load_gifti(path)
    wild = np.random.default_rng(5).standard_normal((len(image.darrays), wall.sum()))
    for array, own in zip(image.darrays, wild, strict=True):
        array.data = array.data.copy()
        array.data[wall] += (1e5 * own).astype(np.float32)
    nib.save(image, folder / path.name)
    return folder / path.name


def test_the_random_seed_reaches_the_lag_check():
    rng = np.random.default_rng(0)
    sound = Loudness(rng.uniform(size=2000), 0.1)
    times = np.arange(0.0, 190.0, 2.0)
    noise = rng.standard_normal((len(times), 3))
    p = [
        check_lag("song", noise, times, sound, tr=2.0, high_pass=128.0, random_seed=seed).found.p
        for seed in (1, 1, 2)
    ]
    assert p[0] == p[1] != p[2]
    assert 0.05 < min(p) < max(p) < 0.95


def test_a_run_that_follows_nothing_says_unclear(tmp_path):
    root = write_listeners(tmp_path / "study", onset=20.0, participants=("01",), strength=0.0)
    plan = plan_study(root, table=write_table(root, "song\tstimuli/song.wav\t8"), confounds="none")
    sounds = read_loudness([(s.label, s.path) for s in plan.stimuli])
    (row,) = prepare_responses(plan.runs, CLEANING, sounds=sounds, random_seed=1).summary
    assert row["lag_s"] == "unclear"
    assert "musenc onset" not in row["warnings"]
