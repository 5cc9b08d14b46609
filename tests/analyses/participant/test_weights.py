"""Weights on request reproduce the held-out scores from the units themselves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import soundfile

from bids_app.analyses.participant.layers import fit_layers
from bids_app.analyses.participant.predicted import best_vertices
from bids_app.analyses.participant.responses import Block
from bids_app.analyses.participant.weights import (
    FittedModel,
    check_saved_names,
    units_missing,
    write_weights,
)
from bids_app.config import Model, Statistics
from bids_app.errors import UsageError
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.layers import layers_asked
from bids_app.features.registry import find_space
from bids_app.features.sources import scaled_layers
from bids_app.features.timing import sample_series

SECONDS = {"one": 12, "two": 14, "three": 16}
TR, CROP = 0.4, 5  # seconds, samples
HIGH_PASS = 10.0
MODEL = Model(delays=(0.4, 1.2), crop=CROP * TR, alphas=(0.1, 10.0, 1000.0))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(1)
    stimuli, blocks = {}, []
    for label, seconds in SECONDS.items():
        loudness = np.repeat(rng.uniform(0.02, 0.3, seconds), 16000)
        stimuli[label] = folder / f"{label}.wav"
        soundfile.write(stimuli[label], loudness * rng.standard_normal(loudness.size), 16000)
        times = np.arange(0.2, seconds - 0.5, TR)
        values = rng.standard_normal((len(times), 6)).astype(np.float32)
        blocks.append(Block(label, "run", TR, times, values))
    grams = load_or_compute_grams(
        list(stimuli.items()), cache_dir=folder / "cache", features="cochleagram"
    )
    options = {"model": MODEL, "high_pass": HIGH_PASS}
    fits = fit_layers(grams, blocks, statistics=Statistics(null="none"), **options)
    path = folder / "weights.h5"
    write_weights(
        path,
        ["cochleagram"],
        FittedModel(grams, blocks, fits, MODEL, HIGH_PASS, stimuli, "cochleagram", None),
        vertices=np.arange(6) != 2,
        identity={},
    )
    return path, blocks, fits, stimuli


def test_predictions_have_the_accuracy_of_the_maps(fitted):
    path, blocks, fits, _ = fitted
    with h5py.File(path) as file:
        kept = file["vertices"][:]
        assert kept.tolist() == [0, 1, 3, 4, 5]
        assert list(file.attrs["folds"]) == ["one", "three", "two"] == fits.fold_stimuli
        assert file["cochleagram/weights"].shape == (3, len(file["delays"]), 128, 5)
        np.testing.assert_allclose(file["delays"], [0.4, 0.8, 1.2])
        for dataset in file["cochleagram/predictions"].values():
            label = dataset.attrs["stimulus"]
            (block,) = (b for b in blocks if b.stimulus == label)
            measured = block.values[CROP:-CROP, kept]
            found = [np.corrcoef(p, y)[0, 1] for p, y in zip(dataset[:].T, measured.T, strict=True)]
            fold = fits.fold_stimuli.index(label)
            np.testing.assert_allclose(found, fits.fold_r[0, fold, kept], atol=1e-4)


def test_layers_called_like_other_parts_of_the_file_are_refused():
    check_saved_names(["conv1", "delay"])
    with pytest.raises(UsageError, match="delays, identity/a"):
        check_saved_names(["conv1", "delays", "identity/a"])


def test_weights_times_units_are_the_predictions(fitted):
    path, blocks, fits, stimuli = fitted
    with h5py.File(path) as file:
        weights = file["cochleagram/weights"][:]
        predictions = list(file["cochleagram/predictions"].values())
        for dataset in predictions:
            label = dataset.attrs["stimulus"]
            (block,) = (b for b in blocks if b.stimulus == label)
            units = scaled_layers(label, stimuli[label], ["cochleagram"], features="cochleagram")
            centers = find_space("cochleagram").sound(label, stimuli[label]).times
            x = sample_series(units["cochleagram"], centers, block.times, TR, HIGH_PASS)
            rows = range(CROP, len(x) - CROP)
            fold = weights[fits.fold_stimuli.index(label)]
            found = sum(x[[r - d for r in rows]] @ fold[d - 1] for d in (1, 2, 3))
            np.testing.assert_allclose(found - found.mean(axis=0), dataset[:], atol=1e-3)


def test_only_what_was_fitted_and_fits_is_saved():
    grams = SimpleNamespace(
        layer_names=("InputBatch", "conv1"), n_units=(6144, 393216), patch_times=[np.zeros(1951)]
    )
    assert layers_asked(["1"], ["InputBatch"], grams.layer_names) == ["InputBatch"]
    assert layers_asked(["all"], ["conv1"], grams.layer_names) == ["conv1"]
    with pytest.raises(UsageError, match="conv1"):
        layers_asked(["2"], ["InputBatch"], grams.layer_names)
    assert not units_missing(grams, ["InputBatch"], 3 * 7 * 100, "vggish")
    assert "--weights-mask" in units_missing(grams, ["InputBatch"], 3 * 7 * 20484, "vggish")
    assert "2.9 GiB" in units_missing(grams, ["conv1"], 1, "vggish")
    assert "change" in units_missing(grams, ["InputBatch"], 1, "change:vggish")


def test_predicted_courses_have_the_accuracy_of_the_maps(fitted):
    _, blocks, fits, _ = fitted
    times = {block.stimulus: block.times[CROP:-CROP] for block in blocks}
    best = {int(fits.r[0].argmax())}
    for place in {(row["hemisphere"], row["vertex"]) for row in fits.predicted}:
        vertex = place[1] + (3 if place[0] == "R" else 0)
        best.discard(vertex)
        for fold, stimulus in enumerate(fits.fold_stimuli):
            own = [
                row
                for row in fits.predicted
                if (row["hemisphere"], row["vertex"]) == place and row["stimulus"] == stimulus
            ]
            np.testing.assert_allclose([row["time_s"] for row in own], times[stimulus])
            r = np.corrcoef([row["measured"] for row in own], [row["predicted"] for row in own])
            np.testing.assert_allclose(r[0, 1], fits.fold_r[0, fold, vertex], atol=1e-4)
    assert not best


def test_vertices_that_show_the_same_are_shown_once():
    rng = np.random.default_rng(2)
    series = rng.standard_normal((50, 8))
    series[:, 3] = series[:, 6] + 0.1 * rng.standard_normal(50)
    accuracy = np.array([0.1, 0.2, np.nan, 0.5, 0.3, 0.0, 0.6, 0.05])
    assert best_vertices(accuracy, [series[:20], series[20:]]).tolist() == [6, 4, 1, 0]
