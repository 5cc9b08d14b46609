"""The Margulies gradient on its own mesh, and rotations of fsLR's sphere."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from real_data import DATA

from bids_app.analyses.group.alignment import load_gradient
from bids_app.group import spin_alignment
from bids_app.resources import choose_gradient
from bids_app.surface.gifti import read_gifti, read_surface
from bids_app.surface.mesh import load_mesh, normalize_sphere
from bids_app.testing.fslr import small_fslr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The real gradient and registered spheres, with surfaces of fsaverage5."""
    folder = DATA / "surfaces"
    name = "tpl-fsLR_space-fsaverage_den-32k_hemi-{}_sphere.surf.gii"
    if not (folder / name.format("L")).is_file():
        pytest.skip(f"no test data in {DATA}")
    spheres = [normalize_sphere(read_surface(folder / name.format(h))[0]) for h in "LR"]
    with small_fslr(tmp_path_factory.mktemp("neuromaps"), spheres=spheres):
        for path in choose_gradient("margulies2016").paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(DATA / "gradient" / path.name, path)
        yield


def test_the_gradient_is_not_resampled(installed):
    found = load_gradient("margulies2016", "fsLR")
    assert found.record["Resampling"] == "none"
    paths = choose_gradient("margulies2016").paths
    stored = np.concatenate([read_gifti(path)[0] for path in paths]).astype(np.float64)
    assert len(stored) == 2 * 32492
    # 29,696 vertices left and 29,716 right, as in every 91k file.
    assert np.isfinite(found.values[:32492]).sum() == 29696
    assert np.isfinite(found.values[32492:]).sum() == 29716
    there = stored != 0
    np.testing.assert_array_equal(found.values[there], stored[there])
    assert np.isnan(found.values[~there]).all()
    turned = found.record["Orientation"]
    assert not turned["flipped"]
    assert turned["transmodal_mean"] > 0 > turned["sensory_mean"]


def test_the_ends_are_those_of_the_resampled_gradient(installed):
    own = load_gradient("margulies2016", "fsLR").record["Orientation"]
    other = load_gradient("margulies2016", "fsaverage5")
    assert other.record["Resampling"].startswith("adaptive barycentric")
    for name in ("transmodal_mean", "sensory_mean"):
        assert own[name] == pytest.approx(other.record["Orientation"][name], rel=0.2)


def test_rotations_are_of_the_templates_own_sphere(installed):
    mesh, values = load_mesh("fsLR"), load_gradient("margulies2016", "fsLR").values
    rng = np.random.default_rng(0)
    planted = values + rng.standard_normal(len(values)) * np.nanstd(values)
    inside = np.isfinite(values)
    found = spin_alignment(planted, values, inside, spheres=mesh.spheres, n_spins=49, seed=0)
    assert found.r[0] > 0.6
    assert found.p[0] == pytest.approx(1 / 50)
