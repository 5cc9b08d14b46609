"""Rotations and nearest vertices."""

import numpy as np
import pytest
from icosahedron import icosahedral_mesh
from scipy.spatial import cKDTree

from bids_app.errors import BadDataError
from bids_app.group.spins import (
    NearestVertex,
    SphereRotator,
    mirror_rotations,
    random_rotations,
)
from bids_app.surface.mesh import load_mesh


def test_rotations_are_proper_and_come_from_one_stream():
    rotations = random_rotations(50, np.random.default_rng(1))
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), [np.eye(3)] * 50, atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    rng = np.random.default_rng(1)
    in_parts = np.concatenate([random_rotations(20, rng), random_rotations(30, rng)])
    np.testing.assert_array_equal(in_parts, rotations)


def test_rotations_are_uniform():
    rotations = random_rotations(20_000, np.random.default_rng(2))
    # The angle of a uniform rotation has E[trace] = 0 and E[trace^2] = 1.
    trace = np.trace(rotations, axis1=1, axis2=2)
    assert abs(trace.mean()) < 0.03
    assert abs((trace**2).mean() - 1) < 0.05
    np.testing.assert_allclose(rotations.mean(axis=0), 0, atol=0.02)


def test_mirrored_rotation_commutes_with_reflection():
    rotation = random_rotations(1, np.random.default_rng(3))[0]
    point = np.array([3.0, -1, 2])
    flip = np.array([-1.0, 1, 1])
    np.testing.assert_allclose(
        mirror_rotations(rotation) @ (flip * point), flip * (rotation @ point)
    )
    np.testing.assert_allclose(np.linalg.det(mirror_rotations(rotation)), 1)


@pytest.mark.parametrize("cells_per_spacing", [1.0, 4.0])
def test_nearest_vertex_equals_a_tree(cells_per_spacing):
    sphere = load_mesh().right.sphere
    lookup = NearestVertex(sphere, cells_per_spacing)
    points = np.random.default_rng(4).normal(size=(10_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    _, wanted = cKDTree(lookup.directions).query(points)
    np.testing.assert_array_equal(lookup.query(points.T), wanted)


@pytest.mark.parametrize("n_vertices", [1, 2, 5, 30])
def test_nearest_vertex_of_scattered_points(n_vertices):
    rng = np.random.default_rng(n_vertices)
    lookup = NearestVertex(rng.normal(size=(n_vertices, 3)) * 7)
    points = rng.normal(size=(4000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_array_equal(
        lookup.query(points.T), (points @ lookup.directions.T).argmax(axis=1)
    )


def test_vertices_are_nearest_to_themselves_even_on_cube_borders():
    axes = np.vstack([np.eye(3), -np.eye(3)])
    lookup = NearestVertex(np.vstack([np.random.default_rng(9).normal(size=(500, 3)), axes]))
    np.testing.assert_array_equal(lookup.query(lookup.directions.T), np.arange(506))


def test_identity_maps_each_vertex_of_the_mask_to_itself():
    mesh = icosahedral_mesh(2)
    mask = np.random.default_rng(5).random(mesh.n_vertices) < 0.4
    rotator = SphereRotator(mesh.spheres, mask)
    np.testing.assert_array_equal(rotator.source_vertices(np.eye(3)), np.flatnonzero(mask))


def test_hemispheres_stay_mirrored():
    mesh = icosahedral_mesh(3)
    rotator = SphereRotator(mesh.spheres, np.ones(mesh.n_vertices, dtype=bool))
    source = rotator.source_vertices(random_rotations(1, np.random.default_rng(6))[0])
    half = mesh.left.n_vertices
    np.testing.assert_array_equal(source[:half], source[half:] - half)


def test_source_vertices_equal_neuromaps():
    from neuromaps.nulls.spins import gen_spinsamples

    mesh = icosahedral_mesh(4)
    coordinates = np.vstack(mesh.spheres)
    hemisphere = np.repeat([0, 1], mesh.left.n_vertices)
    wanted = gen_spinsamples(coordinates, hemisphere, n_rotate=5, seed=11, check_duplicates=False)
    draws = np.random.RandomState(11)
    rotator = SphereRotator(mesh.spheres, np.ones(len(coordinates), dtype=bool))
    for column in wanted.T:
        q, r = np.linalg.qr(draws.normal(size=(3, 3)))
        rotation = q * np.sign(np.diag(r))
        rotation[:, 0] *= np.sign(np.linalg.det(rotation))
        np.testing.assert_array_equal(rotator.source_vertices(rotation), column)


@pytest.mark.parametrize("sphere", [np.zeros((3, 3)), np.ones((3, 2)), np.full((3, 3), np.inf)])
def test_bad_spheres_are_refused(sphere):
    with pytest.raises(BadDataError, match="sphere"):
        NearestVertex(sphere)


def test_mask_of_another_length_is_refused():
    with pytest.raises(BadDataError, match="84"):
        SphereRotator(icosahedral_mesh(1).spheres, np.ones(83, dtype=bool))
