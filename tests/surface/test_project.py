"""Volumes and CIFTI files as surface series."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from icosahedron import icosahedral_mesh
from real_data import DATA
from scipy.spatial.transform import Rotation

from bids_app.surface.coordinates import mni152
from bids_app.surface.mesh import load_mesh
from bids_app.surface.project import (
    OwnSurfaces,
    project_volume,
    read_cifti,
    volume_on_template,
)
from bids_app.surface.resample import adaptive_sphere_map

SLOPES = np.array([[1.0, 0.5, -0.25], [0.0, 2.0, 1.0], [-1.0, 0.0, 0.5]])


def linear_volume(extent=60.0, voxel=4.0):
    """Three volumes whose intensity is a linear function of the position."""
    n = int(2 * extent / voxel) + 1
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = -extent
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1)
    world = grid * voxel - extent
    return nib.Nifti1Image((world @ SLOPES.T).astype("f4"), affine)


def shells(n_subdivisions=3):
    hemi = icosahedral_mesh(n_subdivisions).left
    direction = hemi.sphere / 100.0
    stretch = np.array([45.0, 35.0, 30.0])
    return hemi, direction * (stretch - 2), direction * (stretch + 2)


def test_linear_field_is_sampled_halfway_between_the_surfaces():
    hemi, white, pial = shells()
    series = project_volume(linear_volume(), white, pial, hemi.faces)
    expected = SLOPES @ ((white + pial) / 2).T
    assert series.dtype == np.float32
    np.testing.assert_allclose(series, expected, atol=1e-3)


def test_blocks_do_not_change_the_result(monkeypatch):
    hemi, white, pial = shells(2)
    whole = project_volume(linear_volume(), white, pial, hemi.faces)
    monkeypatch.setattr("bids_app.surface.project._BLOCK", 2)
    assert len(whole) == 3
    np.testing.assert_array_equal(whole, project_volume(linear_volume(), white, pial, hemi.faces))


def test_outside_the_image_is_nan():
    hemi, white, pial = shells(2)
    series = project_volume(linear_volume(extent=28.0), white, pial, hemi.faces)
    outside = abs(white[:, 0]) > 33
    assert outside.any()
    assert np.isnan(series[:, outside]).all()
    assert np.isfinite(series[:, abs(pial).max(axis=1) < 28]).all()


def test_own_surfaces_reach_the_template_by_the_registered_sphere():
    """A turned numbering of the participant's mesh must not matter: the sphere tells."""
    fine, white, pial = shells(4)
    coarse = icosahedral_mesh(3).left
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True)
    # The participant's vertices lie elsewhere; their registered sphere says where they belong.
    own_sphere = turn.apply(fine.sphere)
    position = own_sphere / 100.0
    stretch = np.array([45.0, 35.0, 30.0])
    mapping = adaptive_sphere_map(own_sphere, fine.faces, coarse.sphere, coarse.faces)
    series = project_volume(
        linear_volume(),
        position * (stretch - 2),
        position * (stretch + 2),
        fine.faces,
        onto=mapping,
    )
    expected = SLOPES @ (coarse.sphere / 100.0 * stretch).T
    assert series.shape == (3, coarse.n_vertices)
    assert np.corrcoef(series.ravel(), expected.ravel())[0, 1] > 0.999
    np.testing.assert_allclose(series, expected, atol=2.0)
    assert white.shape == pial.shape


def test_template_surfaces_lie_where_mni_coordinates_say():
    """fsaverage5's surfaces against the published mapping of its vertices to MNI152."""
    folder = DATA / "surfaces"
    if not folder.exists():
        pytest.skip(f"no real data in {DATA} (set MUSENC_TEST_DATA)")
    mesh = load_mesh("fsaverage5")
    for hemi, letter in zip(mesh.hemispheres, "LR", strict=True):
        name = f"tpl-MNI152_space-fsaverage_den-10k_hemi-{letter}_regfusion.txt"
        reference = np.loadtxt(folder / name)
        middle = (hemi.white + hemi.pial) / 2
        cortex = np.any(reference != 0, axis=1)
        before, after = (
            np.linalg.norm(points - reference, axis=1)[cortex]
            for points in (middle, mni152(middle))
        )
        assert np.median(after) < 2.5
        assert np.median(after) < 0.9 * np.median(before)


def test_published_example_of_the_change_of_template():
    moved = mni152([[10.0, -20.0, 35.0]])
    np.testing.assert_allclose(moved, [[10.695, -18.409, 36.137]], atol=5e-3)


def test_both_hemispheres_of_a_template():
    mesh = load_mesh("fsaverage3")
    image = linear_volume(extent=110.0, voxel=5.0)
    series = volume_on_template(image, mesh)
    middle = [mni152((h.white + h.pial) / 2) for h in mesh.hemispheres]
    np.testing.assert_allclose(series, SLOPES @ np.vstack(middle).T, atol=1e-2)
    own = tuple(OwnSurfaces(h.white, h.pial, h.sphere, h.faces) for h in mesh.hemispheres)
    series = volume_on_template(image, mesh, own)
    middle = [(h.white + h.pial) / 2 for h in mesh.hemispheres]
    np.testing.assert_allclose(series, SLOPES @ np.vstack(middle).T, atol=1e-2)


def make_cifti(path, structures=("CORTEX_LEFT", "CORTEX_RIGHT"), n_times=4):
    rng = np.random.default_rng(0)
    axes, masks = None, []
    for number, name in enumerate(structures):
        mask = rng.random(50 + number) < 0.8
        model = nib.cifti2.BrainModelAxis.from_mask(mask, name=name)
        axes = model if axes is None else axes + model
        masks.append(mask)
    data = rng.standard_normal((n_times, len(axes))).astype("f4")
    series = nib.cifti2.SeriesAxis(0.0, 1.0, n_times)
    nib.Cifti2Image(data, (series, axes)).to_filename(path)
    return data, masks


def test_cifti_is_split_into_hemispheres(tmp_path):
    path = tmp_path / "x.dtseries.nii"
    data, (left_mask, right_mask) = make_cifti(path)
    left, right = read_cifti(path)
    assert left.shape == (4, 50)
    assert right.shape == (4, 51)
    np.testing.assert_array_equal(np.isfinite(left).all(axis=0), left_mask)
    np.testing.assert_array_equal(np.isfinite(right).all(axis=0), right_mask)
    both = np.hstack([left[:, left_mask], right[:, right_mask]])
    np.testing.assert_array_equal(both, data)


def test_cifti_without_a_hemisphere(tmp_path):
    make_cifti(tmp_path / "x.dtseries.nii", ("CORTEX_LEFT",))
    with pytest.raises(ValueError, match="lacks a hemisphere"):
        read_cifti(tmp_path / "x.dtseries.nii")


def test_bad_input(tmp_path):
    hemi, white, pial = shells(1)
    with pytest.raises(ValueError, match="do not correspond"):
        project_volume(linear_volume(), white[1:], pial, hemi.faces)
    flat = nib.Nifti1Image(np.zeros((4, 4, 4), "f4"), np.eye(4))
    with pytest.raises(ValueError, match="not a time series"):
        project_volume(flat, white, pial, hemi.faces)
    (tmp_path / "x.dtseries.nii").write_bytes(b"no")
    with pytest.raises(ValueError, match="cannot be read"):
        read_cifti(tmp_path / "x.dtseries.nii")
