"""What the cache has is what was written and what was asked for, or it is computed again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile

from bids_app.errors import BadDataError, CannotWriteError
from bids_app.features.cache import FeatureGrams, load_or_compute_grams
from bids_app.files import read_json, sha256_of_file, write_json, write_sealed


def sound(folder, name):
    rng = np.random.default_rng(ord(name))
    soundfile.write(folder / f"{name}.wav", rng.uniform(-0.2, 0.2, 8000 * 6), 8000)
    return name, folder / f"{name}.wav"


@pytest.fixture
def ask(tmp_path):
    sounds = [sound(tmp_path, name) for name in "ab"]

    def compute(names="ab", **options):
        chosen = [one for one in sounds if one[0] in names]
        where = {"cache_dir": tmp_path / "cache", **options}
        return load_or_compute_grams(chosen, features="envelope", **where)

    return compute


def content(folder):
    return {path.name: sha256_of_file(path) for path in sorted(folder.glob("*.*"))}


def flip(path, place):
    changed = bytearray(path.read_bytes())
    changed[place % len(changed)] ^= 1 << place % 8
    path.unlink()
    path.write_bytes(changed)


@pytest.mark.parametrize("name", ["layer-01.npy", "patch_times.npy", "features.json"])
@pytest.mark.parametrize("place", [3, 90, 131, -5])
def test_one_bit_is_seen_and_the_entry_computed_again(ask, caplog, name, place):
    grams = ask()
    before = content(grams.path)
    flip(grams.path / name, place)
    with pytest.raises(BadDataError, match=name):
        FeatureGrams.load(grams.path).gram(1)
    with caplog.at_level("WARNING"):
        again = ask()
    assert "computed again" in caplog.text
    assert again.path == grams.path
    assert content(again.path) == before
    assert (again.path.parent / f"damaged-{again.path.name}" / name).is_file()


def test_matrices_of_another_key_are_not_taken(ask, caplog):
    one, other = ask("a"), ask("b")
    wanted = content(one.path)
    shutil.rmtree(one.path)
    shutil.copytree(other.path, one.path)
    with pytest.raises(BadDataError, match="key"):
        FeatureGrams.load(one.path)
    assert content(ask("a").path) == wanted
    assert "of the key" in caplog.text
    # The key alone is not enough: what was written then is not what is there.
    told = read_json(other.path / "features.json")
    write_json(other.path / "features.json", told | {"durations": [7.0]})
    assert ask("b").durations == (6.0,)


def test_a_noise_matrix_is_not_taken(ask, caplog):
    grams = ask()
    noise = np.random.default_rng(0).standard_normal(grams.gram(1).shape).astype(np.float32)
    wanted = np.array(grams.gram(1))
    np.save(grams.path / "layer-01.npy", noise)
    with pytest.raises(BadDataError, match="another content"):
        grams.gram(1)
    np.testing.assert_array_equal(ask().gram(1), wanted)


def test_entries_of_before_have_no_checksums_and_are_computed_again(ask, caplog):
    grams = ask()
    path = grams.path / "features.json"
    told = read_json(path)
    write_json(path, {k: v for k, v in told.items() if k not in ("sha256", "RecordSHA256")})
    assert ask().sha256 == grams.sha256
    assert "no checksums" in caplog.text


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_cache_that_others_may_write_is_only_read(ask, tmp_path, caplog, mode):
    grams = ask("a")
    cache, private = tmp_path / "cache", tmp_path / "step"
    private.mkdir()
    cache.chmod(mode)
    before = sorted(cache.iterdir())
    read = ask("a", private=private)
    assert read.path.is_relative_to(private)
    assert content(read.path) == content(grams.path)
    assert "may write to the cache" in caplog.text
    assert ask("b", private=private).path.is_relative_to(private)
    flip(grams.path / "layer-01.npy", 200)
    shutil.rmtree(private / "features")
    np.testing.assert_array_equal(ask("a", private=private).gram(1), read.gram(1))
    assert sorted(cache.iterdir()) == before
    with pytest.raises(CannotWriteError, match="chmod go-w"):
        ask("b")
    cache.chmod(0o755)
    assert ask("b").path.parent == cache


def test_a_cache_is_made_so_that_only_its_owner_may_write(ask, tmp_path):
    import os

    before = os.umask(0o002)
    try:
        assert ask().path.parent.stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(before)
    write_sealed(tmp_path / "x.json", {})
