from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from bids_app.surface.cortex import bundled_cortex
from bids_app.surface.mesh import load_mesh
from bids_app.testing.cortex import (
    layers_along,
    responding_patches,
    sensory_transmodal_gradient,
    smooth_basis,
    smooth_field,
    smoothing_operator,
)
from bids_app.testing.study import Truth


def test_basis_gives_fields_of_unit_variance(mesh):
    basis = smooth_basis(mesh, 20.0, np.random.default_rng(0))
    np.testing.assert_allclose(np.sqrt(basis.multiply(basis).sum(axis=0)), 1.0)


def test_hemispheres_share_no_bump(mesh):
    basis = smooth_basis(mesh, 20.0, np.random.default_rng(0)).toarray()
    left, right = mesh.split(basis)
    assert not (left.any(axis=1) & right.any(axis=1)).any()


def test_field_is_as_smooth_as_asked():
    mesh = load_mesh("fsaverage4")
    rng = np.random.default_rng(1)
    fields = np.stack([smooth_field(mesh, 30.0, rng) for _ in range(40)])
    sphere = mesh.left.sphere
    arc = 100 * np.arccos(np.clip(sphere[:200] @ sphere.T / 1e4, -1, 1))
    products = fields[:, :200].T @ fields[:, : len(sphere)] / len(fields)
    # The correlation of a field smoothed by a Gaussian is one with a width larger by sqrt(2).
    sigma = 30.0 / np.sqrt(8 * np.log(2))
    for distance in (10.0, 25.0, 60.0):
        near = np.abs(arc - distance) < 2
        assert products[near].mean() == pytest.approx(
            np.exp(-((distance / sigma) ** 2) / 4), abs=0.1
        )


def test_smoothing_keeps_unit_variance_and_correlates_neighbors(mesh):
    operator = smoothing_operator(mesh, 1)
    white = np.random.default_rng(0).standard_normal((mesh.n_vertices, 400))
    smooth = operator @ white
    assert smooth.std() == pytest.approx(1.0, abs=0.01)
    pairs = mesh.adjacency.tocoo()
    products = np.mean(smooth[pairs.row] * smooth[pairs.col], axis=1)
    assert products.mean() > 0.4


def test_gradient_runs_from_sensory_to_transmodal(mesh):
    gradient = sensory_transmodal_gradient(mesh)
    left, right = mesh.split(gradient)

    def at(values, hemi, point):
        return values[np.argmin(np.linalg.norm(hemi.white - point, axis=1))]

    for sign, values, hemi in ((-1, left, mesh.left), (1, right, mesh.right)):
        heschl = at(values, hemi, (sign * 46, -20, 8))
        calcarine = at(values, hemi, (sign * 8, -82, 4))
        medial_frontal = at(values, hemi, (sign * 8, 52, 6))
        assert max(heschl, calcarine) < 0 < medial_frontal


def test_patches_cover_the_share_in_contiguous_pieces():
    mesh = load_mesh("fsaverage4")
    cortex = bundled_cortex(mesh)
    active, strength = responding_patches(mesh, cortex, 0.3, np.random.default_rng(0))
    assert active.sum() == round(0.3 * cortex.sum())
    assert not active[~cortex].any()
    graph = mesh.adjacency[active][:, active]
    sizes = np.bincount(connected_components(graph)[1])
    assert sizes[sizes >= 10].sum() > 0.9 * active.sum()
    assert strength[active].min() >= 0.5
    assert strength.max() == 1.0
    assert not strength[~active].any()


def test_auditory_cortex_always_responds(mesh):
    for seed in range(3):
        active, _ = responding_patches(mesh, bundled_cortex(mesh), 0.3, np.random.default_rng(seed))
        for sign, hemi, part in zip((-1, 1), mesh.hemispheres, mesh.split(active), strict=True):
            assert part[np.argmin(np.linalg.norm(hemi.white - (sign * 46, -20, 8), axis=1))]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_impossible_shares_are_refused(mesh, share):
    with pytest.raises(ValueError, match="share"):
        responding_patches(mesh, bundled_cortex(mesh), share, np.random.default_rng(0))


def test_nothing_responds_at_share_zero(mesh):
    active, strength = responding_patches(mesh, bundled_cortex(mesh), 0.0, np.random.default_rng(0))
    assert not active.any()
    assert not strength.any()


def test_layers_follow_ranks_in_equal_numbers():
    gradient = np.exp(np.random.default_rng(0).standard_normal(1000))
    cortex = np.ones(1000, bool)
    cortex[:80] = False
    layers = layers_along(gradient, cortex)
    assert not layers[:80].any()
    counts = np.bincount(layers)[1:]
    assert counts.size == 23
    assert np.ptp(counts) <= 1
    order = np.argsort(gradient[cortex])
    assert (np.diff(layers[cortex][order]) >= 0).all()
    depth = Truth(cortex, gradient, layers, np.zeros(1000)).depth
    assert np.isnan(depth[:80]).all()
    assert (np.nanmin(depth), np.nanmax(depth)) == (0.0, 1.0)
