"""musicnn and python: as feature spaces: spelling, order, twins, cache."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.errors import MissingInputError, UsageError
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.networks.musicnn import Musicnn, load_musicnn
from bids_app.features.registry import SPACES, find_space
from bids_app.features.sources import space_grams

TWIN = "musicnn:MTT_vgg@random:3"


def test_rows_are_spelled_and_identified_by_what_counts():
    space = find_space(TWIN)
    assert (space.spelling, space.identity) == (TWIN, TWIN)
    assert SPACES["python"].spelling == "python:PACKAGE.MODULE:FUNCTION"
    assert find_space("python:a.b:c.d").argument == "a.b:c.d"
    with pytest.raises(UsageError):
        find_space("musicnn")


def test_layers_are_in_order_of_depth_and_poolings_are_twins():
    order = find_space(TWIN).layer_order(["a"])
    assert order.names == load_musicnn("MTT_vgg@random:3").layers
    assert order.source == "the network"
    assert [name for name in order.names if name not in order.twins] == [
        *("input", "conv1", "conv2", "conv3", "conv4", "conv5", "logits")
    ]


def test_without_weights_the_plan_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path))
    with pytest.raises(MissingInputError, match="musenc prefetch musicnn"):
        find_space("musicnn:MSD_vgg").layer_order(["a"])


def test_matrices_are_those_of_the_z_scored_units(make_wav, tmp_path):
    stimuli = [("a", make_wav("a.wav", 6.0)), ("b", make_wav("b.wav", 5.0))]
    grams = load_or_compute_grams(stimuli, cache_dir=tmp_path, features=TWIN)
    network = load_musicnn("MTT_vgg@random:3")
    assert grams.layer_names == network.layers
    from bids_app.features.audio import load_audio

    frames = [list(network(load_audio(path).astype(np.float32))) for _, path in stimuli]
    for times, heard in zip(grams.patch_times, frames, strict=True):
        np.testing.assert_allclose(times, [time for time, _ in heard])
    for name in ("input", "pool5", "logits"):
        blocks = [np.array([v[name].ravel() for _, v in heard], float) for heard in frames]
        scaled = []
        for block in blocks:
            spread = block.std(axis=0)
            varies = spread > 1e-6 * np.abs(block.mean(axis=0))
            scaled.append(
                np.where(varies, (block - block.mean(0)) / np.where(varies, spread, 1), 0)
            )
        units = np.concatenate(scaled)
        found = grams.gram(grams.layer_names.index(name) + 1)
        np.testing.assert_allclose(found, units @ units.T, atol=2e-3 * len(units[0]))


def test_another_seed_or_hop_is_another_entry_of_the_cache(make_wav, tmp_path):
    stimuli = [("a", make_wav("a.wav", 5.0))]
    paths = {
        load_or_compute_grams(stimuli, cache_dir=tmp_path, features=features).path
        for features in (TWIN, TWIN, "musicnn:MTT_vgg@random:4", f"{TWIN}@hop:0.96")
    }
    assert len(paths) == 3


def test_a_network_is_told_the_device(monkeypatch, make_wav):
    told = []
    monkeypatch.setattr(Musicnn, "to", lambda network, device: told.append(device))
    space = find_space("musicnn:MTT_vgg@random:3@hop:2.992")
    space_grams(space, [("a", make_wav("a.wav", 5.0))], None, 0.48, layers=[1], device="cpu")
    assert told == ["cpu"]
    assert space.is_network
    assert find_space("change:vggish").is_network
    assert not find_space("envelope").is_network
