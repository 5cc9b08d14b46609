"""CIFTI files of maps and of regions: what nibabel and Connectome Workbench read."""

from __future__ import annotations

import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest

from bids_app.analyses.folder.write import write_map
from bids_app.files import read_json
from bids_app.outputs import OutputTree
from bids_app.resources import TEMPLATE_CORTEX
from bids_app.surface.atlas import Atlas
from bids_app.surface.cortex import cortex_vertices
from bids_app.surface.gifti import read_gifti
from bids_app.surface.grayordinates import write_dscalar, write_pscalar
from bids_app.surface.mesh import load_mesh
from bids_app.testing.fslr import small_fslr

needs_workbench = pytest.mark.skipif(
    shutil.which("wb_command") is None, reason="no wb_command (Debian: connectome-workbench)"
)


def workbench(*arguments):
    """What Workbench says of a file, or does with it."""
    done = subprocess.run(
        ["wb_command", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    with small_fslr(tmp_path_factory.mktemp("neuromaps")):
        yield load_mesh("fsLR")


def test_a_map_is_written_as_gifti_and_as_cifti(mesh, tmp_path):
    inside = cortex_vertices(TEMPLATE_CORTEX, mesh)
    values = np.random.default_rng(0).standard_normal((2, mesh.n_vertices))
    values[:, ~inside] = np.nan
    tree = OutputTree(tmp_path)

    def path_of(hemi):
        return tree.group_map(hemi, "fsLR", model="net", stat="r")

    sidecar = {"Sources": ["a_hemi-L_b", "a_hemi-R_b"]}
    written = write_map(path_of, values, ["one", "two"], sidecar, space="fsLR")
    dense = tmp_path / "tpl-fsLR/func/tpl-fsLR_den-32k_model-net_stat-r_statmap.dscalar.nii"
    assert written[-2:] == [dense, dense.with_name(dense.name.split(".")[0] + ".json")]
    image = nib.load(dense)
    scalars, models = (image.header.get_axis(k) for k in (0, 1))
    assert list(scalars.name) == ["one", "two"]
    assert image.nifti_header.get_intent()[0] == "ConnDenseScalar"
    assert models.size == inside.sum()
    assert set(models.nvertices.values()) == {mesh.left.n_vertices}
    gifti = np.hstack([read_gifti(path_of(hemi)) for hemi in "LR"])
    np.testing.assert_array_equal(np.asarray(image.dataobj), gifti[:, inside])
    told = read_json(written[-1])
    assert told["SpatialReference"]["CIFTI_STRUCTURE_CORTEX_RIGHT"].endswith(
        "tpl-fsLR_hemi-R_den-32k_sphere.surf.gii"
    )
    assert told["Sources"] == sidecar["Sources"]
    # Results on fsaverage have none.
    small = write_map(
        lambda hemi: tmp_path / f"x_hemi-{hemi}_den-642_statmap.func.gii",
        np.zeros((1, 1284)),
        ["zero"],
        {},
        space="fsaverage3",
    )
    assert [path.suffix for path in small] == [".gii", ".json"] * 2


@needs_workbench
def test_workbench_reads_a_dscalar(tmp_path):
    """Of full size, whose numbers come back out of Workbench's own files."""
    n = 32492
    rng = np.random.default_rng(0)
    inside = rng.random(2 * n) < 0.9
    values = rng.standard_normal((2, 2 * n)).astype(np.float32)
    path = write_dscalar(tmp_path / "x_statmap.dscalar.nii", values, ["one", "two"], inside)
    told = workbench("-file-information", path)
    assert "CIFTI - Dense Scalar" in told
    assert "CortexLeft" in told
    left = tmp_path / "left.func.gii"
    workbench("-cifti-separate", path, "COLUMN", "-metric", "CORTEX_LEFT", left)
    half = np.where(inside[:n], values[:, :n], 0)
    np.testing.assert_array_equal(read_gifti(left), half)


def regions(n=32492):
    """Three regions on the left, one of the same name on the right, one over both."""
    numbers = np.zeros(2 * n, dtype=np.int64)
    numbers[:100], numbers[100:300], numbers[n : n + 50] = 1, 2, 3
    numbers[400:500] = numbers[n + 400 : n + 600] = 4
    names = {1: "visual", 2: "auditory", 3: "visual", 4: "default"}
    return Atlas("own", numbers, names, {1: "L", 2: "L", 3: "R", 4: "both"}, ())


def test_regions_are_parcels_with_their_vertices(tmp_path):
    atlas, values = regions(), np.arange(8.0).reshape(2, 4)
    path = write_pscalar(
        tmp_path / "x_statmap.pscalar.nii", values, ["one", "two"], atlas, [1, 2, 3, 4]
    )
    image = nib.load(path)
    axis = image.header.get_axis(1)
    assert list(axis.name) == ["L_visual", "auditory", "R_visual", "default"]
    np.testing.assert_array_equal(np.asarray(image.dataobj), values)
    assert axis.vertices[2]["CIFTI_STRUCTURE_CORTEX_RIGHT"].tolist() == list(range(50))
    assert {len(v) for v in axis.vertices[3].values()} == {100, 200}


@needs_workbench
def test_workbench_reads_a_pscalar(tmp_path):
    path = write_pscalar(tmp_path / "x.pscalar.nii", np.ones((1, 2)), ["one"], regions(), [1, 4])
    told = workbench("-file-information", path)
    assert "CIFTI - Parcel Scalar" in told
    assert "Number of Rows" in told
