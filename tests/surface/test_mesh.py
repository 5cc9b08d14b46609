"""Template meshes."""

import numpy as np
import pytest
from icosahedron import icosahedral_mesh
from scipy.spatial import ConvexHull

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.surface.mesh import (
    adjacency_matrix,
    load_mesh,
    normalize_sphere,
    vertex_areas,
)


@pytest.fixture(scope="module")
def fsaverage5():
    return load_mesh()


def test_fsaverage5_has_both_hemispheres_with_exact_spheres(fsaverage5):
    assert [hemi.n_vertices for hemi in fsaverage5.hemispheres] == [10242, 10242]
    assert [hemi.structure for hemi in fsaverage5.hemispheres] == ["CortexLeft", "CortexRight"]
    for hemi in fsaverage5.hemispheres:
        np.testing.assert_allclose(np.linalg.norm(hemi.sphere, axis=1), 100.0, atol=1e-11)
        # A closed sphere: vertices - edges + faces = 2.
        assert hemi.faces.shape == (20480, 3)
    assert fsaverage5.left.white[:, 0].mean() < 0 < fsaverage5.right.white[:, 0].mean()


def test_every_vertex_lies_on_the_hull_of_the_sphere(fsaverage5):
    for sphere in fsaverage5.spheres:
        assert len(ConvexHull(sphere).vertices) == len(sphere)


def test_normals_point_outward(fsaverage5):
    for hemi in (*fsaverage5.hemispheres, *icosahedral_mesh(1).hemispheres):
        a, b, c = (hemi.sphere[hemi.faces[:, k]] for k in range(3))
        assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), a) > 0).all()


def test_areas_sum_to_the_surface_and_come_in_mm2(fsaverage5):
    areas = fsaverage5.areas
    assert areas.shape == (20484,)
    assert (areas > 0).all()
    # FreeSurfer's average brain has roughly 700 cm2 per hemisphere at mid-thickness.
    assert 1.2e5 < areas.sum() < 1.7e5
    fine = icosahedral_mesh(4).left
    np.testing.assert_allclose(
        vertex_areas(fine.sphere, fine.faces).sum(), 4 * np.pi * 100**2, rtol=5e-3
    )


def test_adjacency_is_symmetric_without_diagonal_and_keeps_hemispheres_apart(fsaverage5):
    adjacency = fsaverage5.adjacency
    degrees = np.asarray(adjacency.sum(axis=1)).ravel()
    assert set(degrees) == {5, 6}
    assert (degrees == 5).sum() == 24
    assert (adjacency != adjacency.T).nnz == 0
    assert adjacency.diagonal().sum() == 0
    assert adjacency[:10242, 10242:].nnz == 0


def test_adjacency_of_two_triangles():
    adjacency = adjacency_matrix(np.array([[0, 1, 2], [1, 3, 2]], dtype=np.int32), 5).toarray()
    wanted = np.zeros((5, 5), dtype=bool)
    for i, j in [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]:
        wanted[i, j] = wanted[j, i] = True
    np.testing.assert_array_equal(adjacency, wanted)


def test_fsaverage4_is_a_prefix_of_fsaverage5(fsaverage5):
    coarse = load_mesh("fsaverage4")
    assert coarse.n_vertices == 2 * 2562
    assert coarse.left.faces.shape == (5120, 3)
    np.testing.assert_array_equal(coarse.right.white, fsaverage5.right.white[:2562])


@pytest.mark.parametrize(("n_subdivisions", "n_vertices"), [(0, 12), (1, 42), (3, 642)])
def test_icosahedral_mesh_has_the_known_size(n_subdivisions, n_vertices):
    mesh = icosahedral_mesh(n_subdivisions)
    assert mesh.n_vertices == 2 * n_vertices
    assert len(mesh.left.faces) == 2 * n_vertices - 4
    np.testing.assert_allclose(mesh.left.sphere * [-1, 1, 1], mesh.right.sphere)


def test_split_cuts_left_then_right_and_names_a_wrong_length(fsaverage5):
    values = np.arange(2 * 20484).reshape(2, 20484)
    left, right = fsaverage5.split(values)
    np.testing.assert_array_equal(np.concatenate([left, right], axis=1), values)
    with pytest.raises(BadDataError, match="20484"):
        fsaverage5.split(values[:, 1:])


def test_unknown_space_is_a_usage_error():
    with pytest.raises(UsageError, match="fsaverage5"):
        load_mesh("fsnative")


def test_absent_density_says_how_to_get_it(monkeypatch, tmp_path):
    empty = tmp_path / "tpl-fsaverage_hemi-L_den-41k_sphere.surf.gii"
    empty.touch()
    monkeypatch.setattr("templateflow.api.ls", lambda *_, **__: [empty])
    with pytest.raises(MissingInputError, match="musenc prefetch"):
        load_mesh("fsaverage6")


def test_other_densities_are_read_from_templateflow_files(monkeypatch, tmp_path):
    import nibabel as nib

    tiny = icosahedral_mesh(1)

    def files(template, *, hemi, density, suffix, desc, extension):
        assert (template, density, desc) == ("fsaverage", "164k", None)
        part = tiny.left if hemi == "L" else tiny.right
        image = nib.gifti.GiftiImage()
        if suffix == "sulc":
            image.add_gifti_data_array(nib.gifti.GiftiDataArray(part.sulc.astype("f4")))
        else:
            scale = {"sphere": 1.0002, "white": 0.5, "pial": 0.7}[suffix]
            for values, intent in (
                ((part.sphere * scale).astype("f4"), "NIFTI_INTENT_POINTSET"),
                (part.faces, "NIFTI_INTENT_TRIANGLE"),
            ):
                image.add_gifti_data_array(nib.gifti.GiftiDataArray(values, intent=intent))
        path = tmp_path / f"hemi-{hemi}_{suffix}{extension}"
        nib.save(image, path)
        return [path]

    monkeypatch.setattr("templateflow.api.ls", files)
    mesh = load_mesh("fsaverage")
    np.testing.assert_allclose(mesh.right.sphere, tiny.right.sphere, atol=1e-4)
    np.testing.assert_array_equal(mesh.left.inflated, mesh.left.pial)
    np.testing.assert_allclose(mesh.areas, tiny.areas * 0.36, rtol=1e-5)


@pytest.mark.parametrize("points", [np.zeros((4, 3)), np.ones((4, 2)), np.full((4, 3), np.nan)])
def test_points_without_direction_are_refused(points):
    with pytest.raises(BadDataError):
        normalize_sphere(points)
