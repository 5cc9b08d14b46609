"""GIFTI one data array at a time: the same bytes, the same values, and the same complaints."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.surface.gifti import read_gifti, read_into, read_named, write_gifti


def written(path, data, **options):
    names = [f"volume {k}" for k in range(len(data))]
    return write_gifti(path, data, hemi="L", names=names, **options)


def test_files_are_as_the_library_writes_them(tmp_path):
    data = np.random.default_rng(0).standard_normal((5, 40)).astype(np.float32)
    path = written(tmp_path / "sub-1_hemi-L.func.gii", data, tr=1.5)
    image = nib.load(path)
    assert len(image.darrays) == 5
    assert path.read_bytes() == image.to_bytes()


def test_rows_are_read_into_what_is_there(tmp_path):
    data = np.random.default_rng(1).standard_normal((5, 40)).astype(np.float32)
    path = written(tmp_path / "a.func.gii", data)
    both = np.zeros((5, 80), dtype=np.float32)
    shape, read = read_into(path, both[:, 40:])
    assert (shape, read.names[4]) == ((5, 40), "volume 4")
    assert read.meta == read_named(path).meta
    np.testing.assert_array_equal(both, np.hstack([np.zeros_like(data), read_gifti(path)]))
    few = np.zeros((3, 40), dtype=np.float32)
    assert read_into(path, few)[0] == (5, 40)
    np.testing.assert_array_equal(few, data[:3])


def test_all_volumes_in_one_array(tmp_path):
    data = np.arange(12, dtype=np.float32).reshape(4, 3)  # vertices by times
    nib.save(
        nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(data)]), tmp_path / "a.func.gii"
    )
    rows = np.zeros((3, 4), dtype=np.float32)
    assert read_into(tmp_path / "a.func.gii", rows)[0] == (3, 4)
    np.testing.assert_array_equal(rows, data.T)


def test_another_mesh_is_told_and_no_data_refused(tmp_path):
    path = written(tmp_path / "a.func.gii", np.ones((2, 7)))
    rows = np.zeros((2, 8), dtype=np.float32)
    assert read_into(path, rows)[0] == (2, 7)
    assert not rows.any()
    nib.save(nib.gifti.GiftiImage(), path)
    with pytest.raises(BadDataError, match="holds no data"):
        read_into(path, np.zeros((2, 7), dtype=np.float32))
