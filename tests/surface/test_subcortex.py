"""Subcortical voxels of CIFTI files."""

from __future__ import annotations

import numpy as np
import pytest
from grayordinates import AFFINE, N_EACH, SHAPE, write_dtseries

from bids_app.errors import BadDataError
from bids_app.surface.gifti import write_gifti
from bids_app.surface.subcortex import (
    read_subcortex,
    smooth_within,
    write_scalars,
    write_series,
)


@pytest.fixture
def written(tmp_path):
    values = np.random.default_rng(1).standard_normal((5, 3 * N_EACH)).astype(np.float32)
    return write_dtseries(tmp_path / "run_bold.dtseries.nii", values, 2.0), values


def test_the_voxels_are_read_without_the_cortex(written):
    path, values = written
    subcortex, found = read_subcortex(path)
    np.testing.assert_array_equal(found, values)
    assert list(subcortex.atlas.names.values()) == ["Amygdala", "Amygdala", "Brain stem"]
    assert list(subcortex.atlas.hemispheres.values()) == ["L", "R", "both"]
    assert np.bincount(subcortex.numbers).tolist() == [0, *[N_EACH] * 3]
    assert subcortex.voxel_volume == pytest.approx(8.0)
    left, right = (subcortex.points[subcortex.numbers == k] for k in (1, 2))
    assert (left[:, 0] < 0).all()
    assert (right[:, 0] > 0).all()
    image = subcortex.image(values[0])
    assert image.shape == SHAPE
    np.testing.assert_array_equal(image.affine, AFFINE)
    assert image.get_fdata()[tuple(subcortex.voxels[7])] == pytest.approx(values[0, 7])
    assert np.isfinite(image.get_fdata()).sum() == values.shape[1]


def test_what_is_written_is_read_again(written, tmp_path):
    subcortex, values = read_subcortex(written[0])
    maps = write_scalars(tmp_path / "a.dscalar.nii", values, list("abcde"), subcortex)
    series = write_series(tmp_path / "a.dtseries.nii", values, 3.5, 2.0, subcortex)
    for path in (maps, series):
        again, found = read_subcortex(path)
        assert again.is_like(subcortex)
        np.testing.assert_array_equal(found, values)
    import nibabel as nib

    rows = nib.load(series).header.get_axis(0)
    assert (rows.start, rows.step, rows.unit) == (3.5, 2.0, "SECOND")
    assert nib.load(maps).header.get_axis(0).name.tolist() == list("abcde")


def test_other_files_are_told(tmp_path):
    path = tmp_path / "a.dtseries.nii"
    path.write_bytes(b"nothing")
    with pytest.raises(BadDataError, match="cannot be read"):
        read_subcortex(path)
    write_gifti(tmp_path / "b.func.gii", np.ones((1, 3)), hemi="L", names=["x"])
    with pytest.raises(BadDataError, match="cannot be read"):
        read_subcortex(tmp_path / "b.func.gii")


def test_smoothing_is_a_gaussian_mean_within_the_structure(written):
    subcortex, values = read_subcortex(written[0])
    usable = np.ones(values.shape[1], dtype=bool)
    usable[5] = False
    values[:, 5] = np.nan
    found = smooth_within(values, subcortex.points, subcortex.numbers, 6.0, usable)
    sigma = 6 / np.sqrt(8 * np.log(2))
    for voxel in (0, 17, N_EACH + 3, 2 * N_EACH + 9):
        squared = ((subcortex.points - subcortex.points[voxel]) ** 2).sum(axis=1)
        weight = np.exp(-squared / (2 * sigma**2)) * (squared <= (3 * sigma) ** 2)
        weight *= usable & (subcortex.numbers == subcortex.numbers[voxel])
        wanted = np.nansum(values * weight, axis=1) / weight.sum()
        np.testing.assert_allclose(found[:, voxel], wanted, rtol=1e-5, atol=1e-6)
    assert np.isnan(found[:, 5]).all()
    constant = smooth_within(
        np.ones((2, len(usable)), np.float32), subcortex.points, subcortex.numbers, 6.0, usable
    )
    np.testing.assert_allclose(constant, 1, rtol=1e-6)
    same = smooth_within(values, subcortex.points, subcortex.numbers, 0.0, usable)
    np.testing.assert_array_equal(same, values)
