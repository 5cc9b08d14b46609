from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bids_app.errors import BadDataError, CannotWriteError, MissingInputError, UsageError
from bids_app.features import cache
from bids_app.features.cache import FeatureGrams, load_or_compute_grams
from bids_app.features.registry import find_space
from bids_app.features.sources import stimulus_patches
from bids_app.features.stream import layer_grams


@pytest.fixture
def stimuli(make_wav):
    return [("happy", make_wav("h.wav", 2.0)), ("sad", make_wav("s.wav", 3.5))]


@pytest.fixture
def cached(stimuli, tmp_path):
    return load_or_compute_grams(stimuli, "random:7", cache_dir=tmp_path / "cache")


def test_what_is_stored_is_what_was_computed(cached, stimuli, vggish):
    assert cached.labels == ("happy", "sad")
    assert cached.durations == pytest.approx((2.0, 3.5))
    assert cached.weights_sha256 == vggish.weights_sha256
    assert cached.weights_label == "random:7"
    patches = []
    for (_, path), times in zip(stimuli, cached.patch_times, strict=True):
        array, expected = stimulus_patches(path)
        np.testing.assert_array_equal(times, expected)
        patches.append(array)
    for gram in layer_grams(vggish, patches):
        stored = cached.gram(gram.layer)
        assert isinstance(stored.base, np.memmap)
        assert cached.layer_names[gram.layer - 1] == gram.name
        assert cached.n_units[gram.layer - 1] == gram.n_units
        assert cached.n_constant[gram.layer - 1] == gram.n_constant
        np.testing.assert_allclose(stored, gram.gram, atol=1e-5 * gram.n_units)
    with pytest.raises(UsageError, match="1 to 23"):
        cached.gram(24)


def test_the_second_call_computes_nothing(cached, stimuli, monkeypatch):
    monkeypatch.setattr("bids_app.features.vggish.load_vggish", None)
    again = load_or_compute_grams(stimuli, "random:7", cache_dir=cached.path.parent)
    assert again.path == cached.path
    renamed = [("a", stimuli[0][1]), ("b", stimuli[1][1])]
    other = load_or_compute_grams(renamed, "random:7", cache_dir=cached.path.parent)
    assert other.path == cached.path
    assert other.labels == ("a", "b")
    reopened = FeatureGrams.load(cached.path)
    assert reopened.labels == ("happy", "sad")
    assert (reopened.key, reopened.n_units) == (cached.key, cached.n_units)


def test_labels_follow_the_recordings(tmp_path):
    meta = {"labels": ("calm", "lively", "other"), "checksums": ("a", "b", "c")}
    told = {"x": {"calm": {"n": 1}, "other": {"n": 3}}}
    empty = dict.fromkeys(FeatureGrams.__dataclass_fields__, ())
    grams = FeatureGrams(**{**empty, **meta, "told": told})
    assert grams.called({"calm": "a", "lively": "b"}).labels == meta["labels"]
    renamed = grams.called({"song1": "a", "song2": "b"})
    assert renamed.labels == ("song1", "song2", "other")
    assert renamed.told == {"x": {"song1": {"n": 1}, "other": {"n": 3}}}
    assert grams.called({"lively": "a", "calm": "b"}).labels == ("lively", "calm", "other")
    assert grams.called({"lively": "c"}).labels == ("calm", "b", "lively")
    assert grams.called({"calm": "another"}).labels == meta["labels"]
    twice = FeatureGrams(**{**empty, "labels": ("p", "q"), "checksums": ("a", "a"), "told": {}})
    assert twice.called({"q": "a", "r": "a"}).labels == ("r", "q")


def test_the_key_is_content_not_names(stimuli, tmp_path, vggish):
    def key(stimuli=stimuli, weights="random:7", hop=0.48):
        sums = [cache.file_sha256(path) for _, path in stimuli]
        return cache._cache_key(stimuli, sums, weights, hop, find_space("vggish"))

    copy = tmp_path / "copy.wav"
    copy.write_bytes(stimuli[0][1].read_bytes())
    assert key([("x", copy), stimuli[1]]) == key()
    weights, same = tmp_path / "a.pth", tmp_path / "b.pth"
    torch.save({"w": torch.zeros(1)}, weights)
    same.write_bytes(weights.read_bytes())
    assert key(weights=weights) == key(weights=same)
    different = {
        key(),
        key(hop=0.96),
        key(weights="random:8"),
        key(weights=weights),
        key(stimuli[:1]),
        key(stimuli[::-1]),
    }
    assert len(different) == 6


@pytest.mark.slow
def test_processes_that_start_together_share_one_result(stimuli, tmp_path):
    code = (
        "import sys; from bids_app.features.cache import load_or_compute_grams as f;"
        "print(f([('a', sys.argv[1])], 'random:1', cache_dir=sys.argv[2]).path)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cache.__file__).parents[2])}
    command = [sys.executable, "-c", code, str(stimuli[0][1]), str(tmp_path / "shared")]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    paths = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(paths) == 1
    left = [p.name for p in (tmp_path / "shared").iterdir() if not p.name.endswith(".lock")]
    assert left == [Path(paths.pop()).name]


def test_a_failure_leaves_no_folder_and_a_half_folder_is_replaced(stimuli, tmp_path, monkeypatch):
    folder = tmp_path / "cache"

    def fail(*args, **kwargs):
        raise RuntimeError("power cut")
        yield

    with monkeypatch.context() as patched:
        patched.setattr("bids_app.features.stream.layer_grams", fail)
        with pytest.raises(RuntimeError, match="power cut"):
            load_or_compute_grams(stimuli[:1], "random:7", cache_dir=folder)
    assert not [p for p in folder.iterdir() if p.is_dir()]
    done = load_or_compute_grams(stimuli[:1], "random:7", cache_dir=folder)
    (done.path / "features.json").unlink()
    (done.path / "layer-02.npy").write_bytes(b"half")
    again = load_or_compute_grams(stimuli[:1], "random:7", cache_dir=folder)
    assert again.gram(2).shape == (len(again.patch_times[0]),) * 2


def test_incomplete_folders_are_named(cached, tmp_path):
    (cached.path / "layer-09.npy").unlink()
    with pytest.raises(BadDataError, match=r"(?s)not complete.*layer-09.*musenc features"):
        FeatureGrams.load(cached.path)
    with pytest.raises(BadDataError, match="not complete"):
        FeatureGrams.load(tmp_path)


def test_the_description_is_json_that_says_what_it_is(cached):
    meta = json.loads((cached.path / "features.json").read_text())
    assert meta["checksums"] == list(cached.checksums)
    assert meta["weights_label"] == "random:7"
    assert meta["hop"] == 0.48


def test_bad_stimuli_are_named(make_wav, tmp_path):
    short = make_wav("short.wav", seconds=0.5)
    for path, words in (
        (short, r"(?s)shorter than one patch.*short\.wav"),
        (make_wav("quiet.wav", samples=np.zeros(16000)), r"(?s)silent.*quiet\.wav"),
    ):
        with pytest.raises(BadDataError, match=words):
            load_or_compute_grams([("x", path)], "random:0", cache_dir=tmp_path / "c")
    with pytest.raises(MissingInputError):
        load_or_compute_grams([("x", "absent.wav")], "random:0", cache_dir=tmp_path / "c")
    with pytest.raises(UsageError, match="repeated: x"):
        load_or_compute_grams([("x", short)] * 2, "random:0", cache_dir=tmp_path / "c")
    with pytest.raises(UsageError, match="no stimulus"):
        load_or_compute_grams([], "random:0", cache_dir=tmp_path / "c")
    with pytest.raises(UsageError, match="needs weights"):
        load_or_compute_grams([("x", short)], cache_dir=tmp_path / "c")


def test_a_cache_that_cannot_be_written(stimuli, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWriteError, match="--cache-dir"):
        load_or_compute_grams(stimuli, "random:0", cache_dir=tmp_path / "file" / "cache")
