"""Cortex masks: the one that comes along, and those from the files people have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from icosahedron import icosahedral_mesh
from nilearn.datasets import fetch_surf_fsaverage
from real_data import DATA
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from bids_app.cli.parser import parse_config
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.surface.cortex import (
    bundled_cortex,
    cortex_record,
    cortex_text,
    cortex_vertices,
    read_cortex_mask,
)
from bids_app.surface.gifti import read_surface
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import SurfaceMesh, load_mesh, normalize_sphere

LEFT = np.array([0, 1, 1, 0, 1, 1])
RIGHT = np.array([1, 1, 0, 0, 1, 1])


def gifti(path: Path, values, structure: str, labels=()) -> Path:
    intent = "NIFTI_INTENT_LABEL" if labels else "NIFTI_INTENT_SHAPE"
    kind = "int32" if labels else "float32"
    array = nib.gifti.GiftiDataArray(np.asarray(values, dtype=kind), intent=intent)
    table = nib.gifti.GiftiLabelTable()
    for key, name in labels:
        label = nib.gifti.GiftiLabel(key)
        label.label = name
        table.labels.append(label)
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure})
    nib.save(nib.gifti.GiftiImage(darrays=[array], labeltable=table, meta=meta), path)
    return path


def test_shape_files_and_tables_say_the_same(tmp_path):
    left = gifti(tmp_path / "l.shape.gii", LEFT, "CortexLeft")
    right = tmp_path / "right.csv"
    right.write_text("\n".join(map(str, RIGHT)) + "\n")
    both = tmp_path / "both.txt"
    both.write_text("\n".join(map(str, [*LEFT, *RIGHT])))
    expected = np.concatenate([LEFT, RIGHT]).astype(bool)
    np.testing.assert_array_equal(read_cortex_mask([left, right], 12), expected)
    np.testing.assert_array_equal(read_cortex_mask([both], 12), expected)


def test_values_that_are_not_finite_are_no_cortex(tmp_path):
    path = gifti(tmp_path / "x.shape.gii", [np.nan, 2, 0, 1], "CortexLeft")
    assert read_cortex_mask([path], 4).tolist() == [False, True, False, True]


def test_labels_of_the_wall_are_no_cortex(tmp_path):
    labels = [(0, "???"), (1, "V1"), (5, "Medial_wall"), (7, "Unknown"), (9, "A1")]
    path = gifti(tmp_path / "x.label.gii", [0, 1, 5, 7, 9, 1], "CortexLeft", labels)
    assert read_cortex_mask([path], 6).tolist() == [False, True, False, False, True, True]


def test_wrong_files_are_refused(tmp_path):
    left = gifti(tmp_path / "l.shape.gii", LEFT, "CortexLeft")
    right = gifti(tmp_path / "r.shape.gii", RIGHT, "CortexRight")
    empty = gifti(tmp_path / "e.shape.gii", 0 * LEFT, "CortexLeft")
    (tmp_path / "words.csv").write_text("a\nb\n")
    with pytest.raises(BadDataError, match="hemispheres are exchanged"):
        read_cortex_mask([right, left], 12)
    with pytest.raises(BadDataError, match="another mesh"):
        read_cortex_mask([left, right], 20)
    with pytest.raises(BadDataError, match="no vertex"):
        read_cortex_mask([empty, right], 12)
    with pytest.raises(BadDataError, match="cannot be read"):
        read_cortex_mask([tmp_path / "words.csv"], 12)
    with pytest.raises(MissingInputError, match="not there"):
        read_cortex_mask([tmp_path / "no.csv"], 12)
    with pytest.raises(UsageError, match="one or two"):
        read_cortex_mask([left] * 3, 12)


def test_the_masks_of_fsaverage5():
    files = [DATA / "surfaces" / f"fsa5_{side}h_mask.csv" for side in "lr"]
    if not files[0].is_file():
        pytest.skip(f"no test data in {DATA}")
    mask = read_cortex_mask(files, 20484)
    assert 18000 < mask.sum() < 19500


@pytest.mark.parametrize(
    ("name", "variable", "file"),
    [
        (
            "neuromaps",
            "NEUROMAPS_DATA",
            "atlases/fsaverage/tpl-fsaverage_den-41k_hemi-{}_desc-nomedialwall_dparc.label.gii",
        ),
        (
            "templateflow",
            "TEMPLATEFLOW_HOME",
            "tpl-fsaverage/tpl-fsaverage_hemi-{}_den-41k_atlas-Desikan2006_seg-aparc_dseg.label.gii",
        ),
    ],
)
def test_a_named_mask_on_the_mesh_of_the_command_line(tmp_path, monkeypatch, name, variable, file):
    monkeypatch.setenv(variable, str(tmp_path))
    options = ["/data", "/out", "participant", "--space", "fsaverage6", "--cortex-mask", name]
    responses = parse_config(options).cleaning
    with pytest.raises(MissingInputError, match="musenc prefetch cortex parcels"):
        read_cortex_mask(responses.cortex_mask, 4)
    for hemi, structure, keys in (("L", "CortexLeft", [0, 1]), ("R", "CortexRight", [1, 1])):
        path = tmp_path / file.format(hemi)
        path.parent.mkdir(parents=True, exist_ok=True)
        gifti(path, keys, structure)
    found = read_cortex_mask(responses.cortex_mask, 4)
    assert found.tolist() == [False, True, True, True]


needs_walls = pytest.mark.skipif(
    not (DATA / "surfaces").is_dir(), reason="real walls not found; set MUSENC_TEST_DATA"
)


def flat_wall(side: str) -> np.ndarray:
    """Vertices in no triangle of the flattened surface."""
    flat = nib.load(fetch_surf_fsaverage("fsaverage5")[f"flat_{side}"])
    return ~np.isin(np.arange(10242), flat.agg_data("triangle"))


def known_walls(hemi: str) -> dict[str, np.ndarray]:
    """Medial walls that others drew, on fsaverage5."""
    surfaces = DATA / "surfaces"
    roi = nib.load(surfaces / f"{hemi}.atlasroi.32k_fs_LR.shape.gii").agg_data()
    sphere, _ = read_surface(
        surfaces / f"tpl-fsLR_space-fsaverage_den-32k_hemi-{hemi}_sphere.surf.gii"
    )
    part = load_mesh().left if hemi == "L" else load_mesh().right
    _, nearest = cKDTree(normalize_sphere(sphere)).query(part.sphere)
    enigma = np.loadtxt(surfaces / f"fsa5_{hemi.lower()}h_mask.csv") == 0
    return {"enigma": enigma, "hcp": roi[nearest] == 0}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_the_bundled_mask_leaves_out_one_medial_piece_per_hemisphere():
    mesh = load_mesh()
    wall = ~bundled_cortex(mesh)
    assert [half.sum() for half in mesh.split(wall)] == [807, 797]
    graph = mesh.adjacency[wall][:, wall]
    assert sorted(np.bincount(connected_components(graph)[1])) == [797, 807]
    for hemi, part in zip(mesh.hemispheres, mesh.split(wall), strict=True):
        assert np.abs(hemi.white[part, 0]).mean() < 0.5 * np.abs(hemi.white[~part, 0]).mean()
    assert not wall[auditory_vertices(mesh)].any()


def test_the_cuts_of_the_flat_surface_stay_cortex():
    wall = ~bundled_cortex(load_mesh())
    for side, half in zip(("left", "right"), np.split(wall, 2), strict=True):
        lost = flat_wall(side) & ~half
        assert 0 < lost.sum() < 40


@needs_walls
def test_the_bundled_mask_is_nearer_to_known_walls_than_the_flat_surface_is():
    halves = np.split(~bundled_cortex(load_mesh()), 2)
    least = {"enigma": 0.81, "hcp": 0.89}
    for hemi, side, wall in zip("LR", ("left", "right"), halves, strict=True):
        for name, known in known_walls(hemi).items():
            assert dice(wall, known) > max(least[name], dice(flat_wall(side), known) + 0.03)


def test_coarse_meshes_take_the_first_vertices_of_the_mask():
    fine, coarse = load_mesh("fsaverage5"), load_mesh("fsaverage4")
    left_fine, right_fine = fine.split(bundled_cortex(fine))
    left, right = coarse.split(bundled_cortex(coarse))
    np.testing.assert_array_equal(left, left_fine[: left.size])
    np.testing.assert_array_equal(right, right_fine[: right.size])


@needs_walls
def test_fine_meshes_take_the_mask_of_the_nearest_vertex():
    fine = []
    for hemi, part in zip("LR", load_mesh().hemispheres, strict=True):
        path = DATA / "surfaces" / f"fsaverage6_std_sphere.{hemi}.41k_fsavg_{hemi}.surf.gii"
        sphere = normalize_sphere(read_surface(path)[0])
        fine.append(replace(part, sphere=sphere))
    mesh = SurfaceMesh("fsaverage6", *fine)
    cortex = bundled_cortex(mesh)
    assert cortex.shape == (2 * 40962,)
    for part, half, coarse, own in zip(
        fine,
        mesh.split(cortex),
        load_mesh().hemispheres,
        load_mesh().split(bundled_cortex(load_mesh())),
        strict=True,
    ):
        np.testing.assert_array_equal(half[:10242], own)
        # Brute force over the dot products of some vertices.
        some = np.arange(0, 40962, 97)
        nearest = np.argmax(part.sphere[some] @ coarse.sphere.T, axis=1)
        np.testing.assert_array_equal(half[some], own[nearest])
        assert (~half).mean() == pytest.approx((~own).mean(), abs=0.003)


def test_other_meshes_have_no_wall():
    mesh = icosahedral_mesh(1)
    assert bundled_cortex(mesh).all()
    assert cortex_record("nilearn", mesh)["VerticesLeftOut"] == 0


def test_masks_are_recorded_by_content(tmp_path):
    mesh = load_mesh("fsaverage3")
    bundled, signal = (cortex_record(name, mesh) for name in ("nilearn", "signal"))
    assert bundled["Name"] == "nilearn"
    assert len(bundled["SHA256"][0]) == 64
    n_out = int((~bundled_cortex(mesh)).sum())
    assert (bundled["VerticesLeftOut"], bundled["Vertices"]) == (n_out, 1284)
    assert f"{n_out} of 1284 vertices left out" in cortex_text(bundled)
    assert signal == {"Name": "signal", "SHA256": [], "VerticesLeftOut": 0, "Vertices": 1284}
    assert "--cortex-mask signal" in cortex_text(signal)
    records = []
    for name, n_left_out in (("a", 3), ("b", 3), ("c", 4)):
        inside = np.arange(1284) >= n_left_out
        np.savetxt(tmp_path / f"{name}.csv", inside, fmt="%d")
        choice = (tmp_path / f"{name}.csv",)
        np.testing.assert_array_equal(cortex_vertices(choice, mesh), inside)
        records.append(cortex_record(choice, mesh))
    assert records[0] == records[1] != records[2]
    assert records[2]["VerticesLeftOut"] == 4
    assert "4 of 1284" in cortex_text(records[2])


@pytest.mark.parametrize("words", [[], ["--cortex-mask", "nilearn"], ["--cortex-mask", "signal"]])
def test_masks_that_need_no_file(words):
    cleaning = parse_config(["/data", "/out", "participant", *words]).cleaning
    assert cleaning.cortex_mask == (words[1] if words else "nilearn")
    n_left_out = (~cortex_vertices(cleaning.cortex_mask, load_mesh())).sum()
    assert n_left_out == (0 if "signal" in words else 1604)
