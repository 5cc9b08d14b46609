"""Parcellated series painted onto the vertices of their regions."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from real_data import DATA
from written_group import write_atlas

from bids_app.errors import BadDataError, InvalidInputError, UsageError
from bids_app.surface.gifti import write_labels
from bids_app.surface.mesh import load_mesh
from bids_app.surface.painted import hemisphere_of, read_parcels, regions_of

N_HALF = 10242
CORTEX = {"L": "CIFTI_STRUCTURE_CORTEX_LEFT", "R": "CIFTI_STRUCTURE_CORTEX_RIGHT"}


def write_ptseries(path, parcels, n_half=N_HALF, n_times=5, tr=2.0):
    """Parcels: name to (hemisphere, vertices); the value of a region is 10 times its number."""
    names = list(parcels)
    vertices = [{CORTEX[h]: np.asarray(v, dtype=np.int32)} for h, v in parcels.values()]
    voxels = [np.empty((0, 3), dtype=np.int32)] * len(names)
    axis = nib.cifti2.ParcelsAxis(
        names, voxels, vertices, nvertices={one: n_half for one in CORTEX.values()}
    )
    time = nib.cifti2.SeriesAxis(0, tr, n_times)
    data = np.arange(n_times)[:, None] + 10.0 * np.arange(len(names))
    header = nib.cifti2.Cifti2Header.from_axes((time, axis))
    image = nib.Cifti2Image(data.astype(np.float32), header)
    image.update_headers()
    nib.save(image, path)
    return path


def write_table(path, names, n_times=5, cells=None):
    rows = [[str(k + 10 * c) for c in range(len(names))] for k in range(n_times)]
    for (row, column), text in (cells or {}).items():
        rows[row][column] = text
    path.write_text("\n".join("\t".join(row) for row in [names, *rows]) + "\n")
    return path


def test_a_cifti_series_says_its_vertices(tmp_path):
    path = write_ptseries(
        tmp_path / "x.ptseries.nii", {"a": ("L", [3, 5]), "b": ("R", [0]), "c": ("R", [7, 8])}
    )
    names, series = read_parcels(path)
    regions = regions_of(path, "any", load_mesh())
    assert names == regions.names == ("a", "b", "c")
    painted = regions.paint(series)
    assert painted.shape == (5, 2 * N_HALF)
    np.testing.assert_array_equal(painted[:, 3], np.arange(5))
    np.testing.assert_array_equal(painted[:, N_HALF], 10 + np.arange(5))
    np.testing.assert_array_equal(painted[:, N_HALF + 8], 20 + np.arange(5))
    assert np.isfinite(painted[0]).sum() == 5
    assert hemisphere_of(regions) == ["L", "R", "R"]
    np.testing.assert_array_equal(regions.first, [3, N_HALF, N_HALF + 7])


def test_a_table_needs_an_atlas_with_its_names(tmp_path):
    atlas = f"three={write_atlas(tmp_path)}"
    names = ["L_back", "lh_front", "R_back", "Thalamus"]
    path = write_table(tmp_path / "x_timeseries.tsv", names)
    with pytest.raises(UsageError, match="--parcels NAME=LEFT"):
        regions_of(path, "three", load_mesh())
    regions = regions_of(path, atlas, load_mesh())
    assert regions.without == ("Thalamus",)
    painted = regions.paint(read_parcels(path)[1])
    found = np.unique(painted[0][np.isfinite(painted[0])])
    np.testing.assert_array_equal(found, [0, 10, 20])
    with pytest.raises(BadDataError, match="no name in common"):
        regions_of(write_table(path, ["a", "b"]), atlas, load_mesh())


def test_a_name_of_both_hemispheres_is_not_guessed(tmp_path):
    atlas = write_atlas(tmp_path)
    path = write_table(tmp_path / "x_timeseries.tsv", ["back", "L_front"])
    assert regions_of(path, atlas, load_mesh()).without == ("back",)


def test_regions_without_coverage_are_no_text(tmp_path):
    path = write_table(tmp_path / "t.tsv", ["a", "b"], cells={(k, 1): "n/a" for k in range(5)})
    _, series = read_parcels(path)
    assert np.isnan(series[:, 1]).all()
    with pytest.raises((BadDataError, InvalidInputError)):
        read_parcels(write_table(path, ["a", "b"], cells={(2, 0): "high"}))


@pytest.mark.parametrize("n_half", [642, 2562])
def test_another_mesh_is_refused(tmp_path, n_half):
    path = write_ptseries(tmp_path / "x.ptseries.nii", {"a": ("L", [3])}, n_half=n_half)
    with pytest.raises(BadDataError, match="another mesh"):
        regions_of(path, "a", load_mesh())


def test_dense_files_are_no_regions(tmp_path):
    axis = nib.cifti2.BrainModelAxis.from_surface([1, 2], N_HALF, CORTEX["L"])
    header = nib.cifti2.Cifti2Header.from_axes((nib.cifti2.SeriesAxis(0, 1, 3), axis))
    path = tmp_path / "x.ptseries.nii"
    nib.save(nib.Cifti2Image(np.zeros((3, 2), np.float32), header), path)
    with pytest.raises(BadDataError, match="cannot be read"):
        regions_of(path, "a", load_mesh())


def test_fslr_regions_go_to_the_nearest_vertices(tmp_path, monkeypatch):
    spheres = [
        DATA / "surfaces" / f"tpl-fsLR_space-fsaverage_den-32k_hemi-{h}_sphere.surf.gii"
        for h in "LR"
    ]
    if not spheres[0].is_file():
        pytest.skip(f"no test data in {DATA}")
    monkeypatch.setattr("bids_app.surface.painted.fslr_spheres", lambda: spheres)
    points = [nib.load(path).agg_data("pointset") for path in spheres]
    parcels = {
        f"{h}_{side}": (h, np.flatnonzero((own[:, 1] > 0) == (side == "front")))
        for h, own in zip("LR", points, strict=True)
        for side in ("front", "back")
    }
    path = write_ptseries(tmp_path / "x.ptseries.nii", parcels, n_half=32492)
    mesh = load_mesh()
    regions = regions_of(path, "halves", mesh)
    assert (regions.of_vertex >= 0).all()
    front = np.isin(regions.of_vertex, [0, 2])
    y = np.concatenate([hemi.sphere[:, 1] for hemi in mesh.hemispheres])
    clear = np.abs(y) > 3
    np.testing.assert_array_equal(front[clear], y[clear] > 0)


def test_labels_are_read_back(tmp_path):
    keys = np.arange(N_HALF) % 3
    path = write_labels(tmp_path / "a_hemi-L.label.gii", keys, ["none", "x", "y"], hemi="L")
    image = nib.load(path)
    np.testing.assert_array_equal(image.darrays[0].data, keys)
    assert image.labeltable.get_labels_as_dict() == {0: "none", 1: "x", 2: "y"}
