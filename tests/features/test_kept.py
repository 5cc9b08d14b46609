"""The features that the group level needs lie in the output folder."""

import os
import shutil

import numpy as np
import pytest
from written_group import write_features

from bids_app.errors import BadDataError
from bids_app.features import kept
from bids_app.features.cache import FeatureGrams
from bids_app.features.kept import SUMS, find_grams, keep_grams
from bids_app.files import write_json


@pytest.mark.parametrize("linked", [True, False])
def test_kept_features_outlive_the_cache(tmp_path, monkeypatch, linked):
    if not linked:

        def refuse(*_):
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refuse)
    grams = write_features(tmp_path / "cache" / "envelope-0")
    matrix = np.array(grams.gram(2))
    folder = tmp_path / "out" / "features"
    assert keep_grams(grams, folder) == ""
    inode = (folder / "envelope-0" / "layer-02.npy").stat().st_ino
    assert (inode == (grams.path / "layer-02.npy").stat().st_ino) == linked
    assert not (folder / "envelope-0" / "picture.png").exists()
    shutil.rmtree(tmp_path / "cache")
    found = find_grams("envelope-0", (folder, tmp_path / "cache"))
    np.testing.assert_array_equal(FeatureGrams.load(found).gram(2), matrix)
    assert keep_grams(FeatureGrams.load(found), folder) == ""  # they are kept already


def test_what_is_too_large_to_be_copied_is_said(tmp_path, monkeypatch):
    grams = write_features(tmp_path / "cache" / "envelope-0")

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(kept, "LARGEST", 100.0)
    folder = tmp_path / "features"
    assert f"keep {tmp_path / 'cache'} for the group level" in keep_grams(grams, folder)
    assert find_grams("envelope-0", (folder,)) is None
    assert [path.name for path in folder.iterdir()] == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    grams = write_features(tmp_path / "cache" / "envelope-0")
    (tmp_path / "features").write_text("a file")
    assert "cannot be kept" in keep_grams(grams, tmp_path / "features")


@pytest.mark.parametrize("damage", ["other", "gone"])
def test_what_is_kept_is_held_against_its_checksum(tmp_path, damage):
    grams = write_features(tmp_path / "cache" / "envelope-0")
    folder = tmp_path / "features"
    keep_grams(grams, folder)
    path = folder / "envelope-0" / "layer-01.npy"
    path.unlink()
    if damage == "other":
        np.save(path, np.zeros((4, 4), np.float32))
    with pytest.raises(BadDataError, match=r"layer-01.npy"):
        find_grams("envelope-0", (folder, tmp_path / "cache"))


def test_a_copy_that_was_broken_off_is_made_again(tmp_path):
    grams = write_features(tmp_path / "cache" / "envelope-0")
    folder = tmp_path / "features"
    half = folder / "envelope-0"
    half.mkdir(parents=True)
    (half / "layer-01.npy").write_bytes(b"half")
    assert keep_grams(grams, folder) == ""
    assert (half / SUMS).is_file()
    assert find_grams("envelope-0", (folder,)) == half


def test_no_name_is_no_folder(tmp_path):
    write_json(tmp_path / "features.json", {})
    assert find_grams("", (tmp_path,)) is None
