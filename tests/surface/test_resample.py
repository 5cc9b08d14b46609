"""Resampling between spheres."""

import numpy as np
import pytest
from icosahedron import icosahedral_mesh
from real_data import DATA

from bids_app.errors import BadDataError
from bids_app.surface.mesh import load_mesh
from bids_app.surface.resample import (
    adaptive_sphere_map,
    resample_barycentric,
    sphere_map,
)

COARSE, FINE = icosahedral_mesh(2).left, icosahedral_mesh(4).left

needs_data = pytest.mark.skipif(
    not (DATA / "gradient").is_dir(), reason="real gradient not found; set MUSENC_TEST_DATA"
)


def rotated(hemi, angle=0.4):
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    return hemi.sphere @ turn.T


def test_identity_returns_the_map():
    values = np.random.default_rng(1).normal(size=(2, FINE.n_vertices))
    same = resample_barycentric(values, FINE.sphere, FINE.faces, FINE.sphere)
    np.testing.assert_allclose(same, values, atol=1e-9)
    adaptive = resample_barycentric(values, FINE.sphere, FINE.faces, FINE.sphere, FINE.faces)
    np.testing.assert_allclose(adaptive, values, atol=1e-9)


def test_weights_are_barycentric():
    weights = sphere_map(FINE.sphere, FINE.faces, rotated(COARSE)).weights
    assert weights.min() >= 0
    np.testing.assert_allclose(np.asarray(weights.sum(axis=1)).ravel(), 1)
    # The weighted corners lie on the ray through the target vertex.
    points = weights @ FINE.sphere
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_allclose(points, rotated(COARSE) / 100, atol=1e-9)


@pytest.mark.parametrize("adaptive", [False, True])
def test_smooth_maps_survive_up_and_down(adaptive):
    target = rotated(FINE)
    faces = FINE.faces if adaptive else None
    values = COARSE.sphere[:, 1] + COARSE.sphere[:, 2] * COARSE.sphere[:, 0] / 100
    wanted = target[:, 1] + target[:, 2] * target[:, 0] / 100
    found = resample_barycentric(values, COARSE.sphere, COARSE.faces, target, faces)
    assert np.corrcoef(found, wanted)[0, 1] > 0.998


def test_adaptive_weights_keep_area_weighted_means():
    rng = np.random.default_rng(2)
    values = rng.normal(size=FINE.n_vertices) + 5
    areas = rng.uniform(1, 3, FINE.n_vertices)
    rule = adaptive_sphere_map(
        FINE.sphere,
        FINE.faces,
        COARSE.sphere,
        COARSE.faces,
        source_areas=areas,
        target_areas=np.ones(COARSE.n_vertices),
    )
    # Every source vertex contributes, unlike interpolation at the target vertices.
    assert (np.asarray((rule.weights != 0).sum(axis=0)).ravel() > 0).all()
    plain = sphere_map(FINE.sphere, FINE.faces, COARSE.sphere)
    spread = [rule.apply(values).std(), plain.apply(values).std()]
    assert spread[0] < 0.6 * spread[1]


def test_the_medial_wall_does_not_bleed_into_cortex():
    wall = FINE.sphere[:, 0] > 60
    values = np.where(wall, 0.0, 7.0)
    for faces in (None, COARSE.faces):
        found = resample_barycentric(
            values, FINE.sphere, FINE.faces, rotated(COARSE), faces, mask=~wall
        )
        np.testing.assert_allclose(found[np.isfinite(found)], 7)
        assert 0 < np.isnan(found).sum() < 0.4 * COARSE.n_vertices
    missing = resample_barycentric(
        np.where(wall, np.nan, 7.0), FINE.sphere, FINE.faces, rotated(COARSE)
    )
    np.testing.assert_allclose(missing[np.isfinite(missing)], 7)


def test_bad_input_is_named():
    with pytest.raises(BadDataError, match="values"):
        resample_barycentric(np.ones(5), FINE.sphere, FINE.faces, COARSE.sphere)
    with pytest.raises(BadDataError, match="mask"):
        resample_barycentric(
            np.ones(FINE.n_vertices), FINE.sphere, FINE.faces, COARSE.sphere, mask=[True]
        )
    with pytest.raises(BadDataError, match="Triangles"):
        sphere_map(COARSE.sphere, FINE.faces, FINE.sphere)
    with pytest.raises(BadDataError, match="no source triangle"):
        sphere_map(COARSE.sphere, COARSE.faces[:40], FINE.sphere)
    with pytest.raises(BadDataError, match="areas"):
        adaptive_sphere_map(
            FINE.sphere,
            FINE.faces,
            COARSE.sphere,
            COARSE.faces,
            source_areas=[1.0],
            target_areas=[1.0],
        )


def read(name, intent=None):
    import nibabel as nib

    return nib.load(DATA / name).agg_data(intent)


@needs_data
@pytest.mark.parametrize("hemi", ["L", "R"])
@pytest.mark.parametrize("rule", ["plain", "adaptive", "areas"])
def test_gradient_equals_connectome_workbench(hemi, rule):
    target = load_mesh().left if hemi == "L" else load_mesh().right
    sphere, faces = read(
        f"surfaces/tpl-fsLR_space-fsaverage_den-32k_hemi-{hemi}_sphere.surf.gii",
        ("pointset", "triangle"),
    )
    gradient = read(
        "gradient/source-margulies2016_desc-fcgradient01_space-fsLR_den-32k_"
        f"hemi-{hemi}_feature.func.gii"
    )
    wanted = read(
        f"gradient/workbench_desc-fcgradient01_space-fsaverage_den-10k_hemi-{hemi}_feature.func.gii"
    )
    valid = read(f"gradient/workbench_valid_hemi-{hemi}.shape.gii") > 0
    cortex = read(f"surfaces/{hemi}.atlasroi.32k_fs_LR.shape.gii") > 0
    areas = {}
    if rule == "areas":
        areas = {
            "source_areas": read(f"surfaces/fs_LR.{hemi}.midthickness_va_avg.32k_fs_LR.shape.gii"),
            "target_areas": read(
                f"surfaces/fsaverage5.{hemi}.midthickness_va_avg.10k_fsavg_{hemi}.shape.gii"
            ),
        }
    if rule == "plain":
        found = resample_barycentric(gradient, sphere, faces, target.sphere, mask=cortex)
    else:
        weights = adaptive_sphere_map(sphere, faces, target.sphere, target.faces, **areas)
        found = weights.apply(gradient, cortex)
    both = valid & np.isfinite(found)
    r = np.corrcoef(found[both], wanted[both])[0, 1]
    difference = np.abs(found - wanted)[both]
    if rule == "plain":
        assert r > 0.9998
        assert (difference < 0.3).mean() > 0.99
        assert both.sum() > 0.99 * valid.sum()
        return
    np.testing.assert_array_equal(np.isfinite(found), valid)
    assert r > 0.99999
    assert (difference < 0.3).mean() > 0.999
    if rule == "areas":
        assert difference.max() < 1e-3


@needs_data
@pytest.mark.parametrize(
    "name", ["fsaverage6_std_sphere.L.41k_fsavg_L", "fsaverage_std_sphere.L.164k_fsavg_L"]
)
def test_gradient_reaches_finer_meshes(name):
    sphere, faces = read(
        "surfaces/tpl-fsLR_space-fsaverage_den-32k_hemi-L_sphere.surf.gii",
        ("pointset", "triangle"),
    )
    gradient = read(
        "gradient/source-margulies2016_desc-fcgradient01_space-fsLR_den-32k_hemi-L_feature.func.gii"
    )
    target = read(f"surfaces/{name}.surf.gii", "pointset")
    found = resample_barycentric(gradient, sphere, faces, target, mask=gradient != 0)
    wanted = read(
        "gradient/workbench_desc-fcgradient01_space-fsaverage_den-10k_hemi-L_feature.func.gii"
    )
    valid = (wanted != 0) & np.isfinite(found[:10242])
    assert np.corrcoef(found[:10242][valid], wanted[valid])[0, 1] > 0.9995
    assert 0.9 < np.isfinite(found).mean() < 0.93
