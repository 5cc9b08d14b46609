"""Responses of everybody in mapped files."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from bids_app.analyses.mapped import new_array, new_series, save_series, write_out
from bids_app.errors import CannotWriteError
from bids_app.loading import load_array

VALUES = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)


def test_saved_series_are_read_as_they_were_each_vertex_in_one_piece(tmp_path):
    path = save_series(tmp_path / "one.npy", VALUES)
    found = load_array(path, mapped=True)
    np.testing.assert_array_equal(found, VALUES)
    assert found[:, 2].flags.contiguous
    assert not found[2].flags.contiguous


@pytest.mark.parametrize("people", [(), (3,)])
def test_series_that_are_filled_in_are_in_the_file(tmp_path, people):
    path = tmp_path / "all.npy"
    made = new_series(path, (*people, *VALUES.shape))
    made[...] = VALUES
    made[..., 1:3] += 1
    write_out([made])
    assert made.shape == (*people, *VALUES.shape)
    assert made[(*[0] * len(people), slice(None), 2)].flags.contiguous
    stored = load_array(path)
    if people:
        stored = stored.swapaxes(-1, -2)
    np.testing.assert_array_equal(stored, made)


def test_a_full_disk_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    def full(stream, start, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(CannotWriteError) as caught:
        new_series(tmp_path / "all.npy", (4, 250_000, 1000))
    assert caught.value.exit_code == 73
    assert "4.0 GB for this file" in str(caught.value.wanted)
    assert "GB free" in str(caught.value.found)
    assert "--work-dir" in str(caught.value.remedy)


def test_a_file_system_that_takes_no_place_ahead_serves_all_the_same(tmp_path, monkeypatch):
    def cannot(stream, start, size):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", cannot, raising=False)
    made = new_array(tmp_path / "all.npy", (2, 3))
    made[...] = 4
    assert load_array(tmp_path / "all.npy").tolist() == [[4] * 3] * 2


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system takes no place ahead")
def test_the_place_on_the_disk_is_taken_at_once(tmp_path):
    path = tmp_path / "all.npy"
    new_array(path, (1000, 1000))
    assert path.stat().st_blocks * 512 >= 4_000_000
