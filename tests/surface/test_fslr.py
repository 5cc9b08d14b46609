"""fsLR: its meshes from files in place, on a small mesh that is numbered as it is."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.config import Cleaning
from bids_app.errors import MissingInputError, UsageError
from bids_app.outputs import OutputTree, mesh_fields
from bids_app.resources import TEMPLATE_CORTEX, atlas_file
from bids_app.surface.cortex import bundled_cortex, cortex_record, cortex_text, cortex_vertices
from bids_app.surface.mesh import load_mesh, nearest_vertices
from bids_app.surface.places import mni305
from bids_app.surface.resample import sphere_map
from bids_app.testing.fslr import small_fslr

N = 1442


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with small_fslr(tmp_path_factory.mktemp("neuromaps")):
        yield load_mesh("fsLR")


def test_surfaces_lie_in_the_space_of_fsaverage(mesh):
    coarse = load_mesh("fsaverage5")
    assert (mesh.space, mesh.n_vertices, mesh.faces.shape) == ("fsLR", 2 * N, (4 * N - 8, 3))
    for hemi, other in zip(mesh.hemispheres, coarse.hemispheres, strict=True):
        near = np.linalg.norm(other.sphere[:, None] - hemi.registered[None, ::50], axis=2)
        place = ((other.white + other.pial) / 2)[near.argmin(axis=0)]
        assert np.median(np.linalg.norm(hemi.white[::50] - place, axis=1)) < 1.5
        assert np.corrcoef(hemi.sulc[::50], other.sulc[near.argmin(axis=0)])[0, 1] > 0.9
        # Spins turn the template's own sphere, which is another one.
        assert np.linalg.norm(hemi.sphere - hemi.registered, axis=1).mean() > 50
    # Chords of a coarse mesh cut folds short.
    assert 0.5 < mesh.areas.sum() / coarse.areas.sum() < 1
    assert mni305(mesh)[:N, 0].mean() < 0 < mni305(mesh)[N:, 0].mean()


def test_the_default_mask_is_the_templates_own(mesh):
    cleaning = Cleaning(space="fsLR")
    assert cleaning.cortex_mask == TEMPLATE_CORTEX
    assert Cleaning(space="fsLR", cortex_mask=TEMPLATE_CORTEX).cortex_mask == TEMPLATE_CORTEX
    assert Cleaning().cortex_mask == "nilearn"
    inside = cortex_vertices(cleaning.cortex_mask, mesh)
    assert 0.85 < inside.mean() < 0.95
    assert (inside == bundled_cortex(mesh)).mean() > 0.97
    record = cortex_record(cleaning.cortex_mask, mesh)
    assert len(record["SHA256"]) == 2
    assert record["VerticesLeftOut"] == (~inside).sum()
    assert "template's own labels" in cortex_text(record)
    with pytest.raises(UsageError, match="Desikan"):
        Cleaning(space="fsLR", cortex_mask="templateflow")


def test_vertices_nearest_to_those_of_fsaverage_lie_all_over(mesh):
    fine = load_mesh("fsaverage5")
    values = np.concatenate([np.sin(s[:, 1] / 30) for s in fine.spheres])
    here = np.concatenate(
        [
            sphere_map(other.sphere, other.faces, hemi.registered).apply(half)
            for other, hemi, half in zip(
                fine.hemispheres, mesh.hemispheres, np.split(values, 2), strict=True
            )
        ]
    )
    assert np.abs(here[nearest_vertices(mesh, "fsaverage5")] - values).max() < 0.2
    assert len(np.unique(nearest_vertices(mesh, "fsaverage3"))) == 2 * 642


def test_names_say_template_and_density(tmp_path):
    tree = OutputTree(tmp_path)
    path = tree.group_map("L", "fsLR", model="vggish", stat="r")
    assert path.parent == tmp_path / "tpl-fsLR" / "func"
    assert path.name == "tpl-fsLR_hemi-L_den-32k_model-vggish_stat-r_statmap.func.gii"
    assert "_hemi-R_space-fsLR_den-32k_" in tree.map_file("01", "R", "fsLR", stat="r").name
    told = mesh_fields("L", "fsLR")["SpatialReference"]
    assert told == "bids:templateflow:tpl-fsLR/tpl-fsLR_hemi-L_den-32k_sphere.surf.gii"


def test_files_that_are_not_there_are_told_with_the_command_that_fetches_them(tmp_path):
    with small_fslr(tmp_path / "neuromaps"):
        atlas_file("fsLR", "sulc", "R").unlink()
        with pytest.raises(MissingInputError, match="desc-sulc") as caught:
            load_mesh("fsLR")
    assert "musenc prefetch meshes-fslr" in str(caught.value)
