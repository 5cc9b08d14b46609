"""Smoothing on the mesh."""

from __future__ import annotations

import math

import numpy as np
import pytest
from icosahedron import icosahedral_mesh
from scipy import sparse
from scipy.linalg import expm
from scipy.sparse.linalg import expm_multiply

from bids_app.surface.mesh import load_mesh, vertex_areas
from bids_app.surface.smooth import (
    _bound,
    cotangent_laplacian,
    smooth_rows,
    smooth_surface,
)


def plane(n=61, spacing=1.0, jitter=0.0, seed=0):
    """A flat triangulated square, centered on 0."""
    axis = (np.arange(n) - n // 2) * spacing
    x, y = np.meshgrid(axis, axis)
    points = np.column_stack([x.ravel(), y.ravel(), np.zeros(n * n)])
    points[:, :2] += np.random.default_rng(seed).uniform(-jitter, jitter, (n * n, 2)) * spacing
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.vstack(
        [
            np.column_stack([corner, corner + 1, corner + n]),
            np.column_stack([corner + 1, corner + n + 1, corner + n]),
        ]
    )
    return points, faces


@pytest.mark.parametrize("fwhm", [4.0, 6.0, 10.0])
@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_delta_becomes_a_gaussian_of_the_width_asked_for(fwhm, jitter):
    points, faces = plane(jitter=jitter)
    center = len(points) // 2
    delta = np.zeros(len(points))
    areas = vertex_areas(points, faces)
    delta[center] = 1 / areas[center]
    smoothed = smooth_surface(delta, points, faces, fwhm)
    sigma = fwhm / math.sqrt(8 * math.log(2))
    distance2 = np.sum((points - points[center]) ** 2, axis=1)
    expected = np.exp(-distance2 / (2 * sigma**2)) / (2 * math.pi * sigma**2)
    assert np.corrcoef(smoothed, expected)[0, 1] > 0.995
    variance = np.sum(areas * smoothed * distance2) / 2
    assert variance == pytest.approx(sigma**2, rel=0.02)
    assert smoothed[center] == pytest.approx(expected[center], rel=0.8 / fwhm)


def test_equals_the_matrix_exponential():
    mesh = icosahedral_mesh(2)
    hemi = mesh.left
    points = hemi.white
    values = np.random.default_rng(1).standard_normal((3, hemi.n_vertices))
    areas = vertex_areas(points, hemi.faces)
    laplacian = cotangent_laplacian(points, hemi.faces).toarray()
    fwhm = 3 * math.sqrt(areas.mean())
    time = fwhm**2 / (16 * math.log(2))
    expected = values @ expm(-time * laplacian / areas[:, None]).T
    np.testing.assert_allclose(
        smooth_surface(values, points, hemi.faces, fwhm), expected, atol=1e-8
    )


@pytest.fixture(scope="module")
def cortex():
    hemi = load_mesh("fsaverage5").left
    points = (hemi.white + hemi.pial) / 2
    # A hole about the size of the medial wall.
    middle = np.array([-5.0, 0.0, 10.0])
    mask = np.linalg.norm(points - middle, axis=1) > 25
    return points, hemi.faces, mask


def test_constants_and_mass_are_kept_up_to_the_border(cortex):
    points, faces, mask = cortex
    values = np.vstack(
        [np.ones(len(points)), np.random.default_rng(2).standard_normal(len(points))]
    )
    smoothed = smooth_surface(values, points, faces, 6.0, mask=mask)
    np.testing.assert_allclose(smoothed[0], 1.0, atol=1e-7)
    areas = vertex_areas(points, faces[mask[faces].all(axis=1)])
    before, after = values[1, mask] @ areas[mask], smoothed[1, mask] @ areas[mask]
    assert after == pytest.approx(before, rel=1e-6)
    assert smoothed[1, mask].std() < 0.5 * values[1, mask].std()


def test_nothing_crosses_the_border(cortex):
    points, faces, mask = cortex
    values = np.random.default_rng(3).standard_normal((2, len(points)))
    wall = values.copy()
    wall[:, ~mask] = 1e6
    inside = [smooth_surface(v, points, faces, 8.0, mask=mask) for v in (values, wall)]
    np.testing.assert_array_equal(inside[0][:, mask], inside[1][:, mask])
    np.testing.assert_array_equal(inside[1][:, ~mask], wall[:, ~mask])
    wall[:, ~mask] = np.nan
    without_mask = smooth_surface(wall, points, faces, 8.0)
    np.testing.assert_allclose(without_mask[:, mask], inside[0][:, mask], atol=1e-12)
    assert np.isnan(without_mask[:, ~mask]).all()


def test_narrow_triangles_anywhere_cost_no_more_terms_than_they_must():
    points, faces = plane(31, jitter=0.35)
    order = np.random.default_rng(8).permutation(len(points))
    faces, points = np.argsort(order)[faces], points[order]
    values = np.random.default_rng(9).standard_normal((2, len(points)))
    scale = sparse.diags(vertex_areas(points, faces) ** -0.5)
    laplacian = cotangent_laplacian(points, faces)
    time = 6.0**2 / (16 * math.log(2))
    expected = expm_multiply(-time * scale**2 @ laplacian, values.T).T
    smoothed = smooth_surface(values, points, faces, 6.0)
    np.testing.assert_allclose(smoothed, expected, atol=1e-8)
    operator = scale @ laplacian @ scale
    largest = np.linalg.eigvalsh(operator.toarray())[-1]
    assert largest <= _bound(operator) < 1.02 * largest < abs(operator).sum(axis=1).max()


def test_rows_are_independent_and_missing_volumes_stay_missing(cortex):
    points, faces, mask = cortex
    values = np.random.default_rng(4).standard_normal((40, len(points)))
    values[5] = np.nan
    together = smooth_surface(values, points, faces, 5.0, mask=mask)
    assert np.isnan(together[5]).all()
    alone = smooth_surface(values[17], points, faces, 5.0, mask=mask)
    np.testing.assert_allclose(together[17], alone, atol=1e-12)
    scaled = smooth_surface(3 * values[17] + 2, points, faces, 5.0, mask=mask)
    np.testing.assert_allclose(scaled[mask], 3 * alone[mask] + 2, atol=1e-6)


def test_widths_add_in_squares():
    points, faces = plane(31)
    values = np.random.default_rng(5).standard_normal(len(points))
    twice = smooth_surface(smooth_surface(values, points, faces, 3.0), points, faces, 4.0)
    np.testing.assert_allclose(twice, smooth_surface(values, points, faces, 5.0), atol=1e-7)


def test_order_of_vertices_does_not_matter():
    points, faces = plane(15, jitter=0.1)
    values = np.random.default_rng(6).standard_normal(len(points))
    order = np.random.default_rng(7).permutation(len(points))
    shuffled = smooth_surface(values[order], points[order], np.argsort(order)[faces], 3.0)
    np.testing.assert_allclose(shuffled, smooth_surface(values, points, faces, 3.0)[order])


def test_zero_width_and_single_vertices():
    points, faces = plane(5)
    values = np.arange(25.0)
    unchanged = smooth_surface(values, points, faces, 0.0)
    np.testing.assert_array_equal(unchanged, values)
    assert unchanged is not values
    lonely = np.zeros(25, bool)
    lonely[[0, 24]] = True
    np.testing.assert_allclose(smooth_surface(values, points, faces, 4.0, mask=lonely), values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": np.zeros(24)}, "shape \\(24,\\)"),
        ({"fwhm": -1.0}, "0 or more"),
        ({"fwhm": math.nan}, "0 or more"),
        ({"mask": np.ones(3, bool)}, "mask"),
        ({"faces": np.array([[0, 1, 99]])}, "0 to 24"),
        ({"vertices": np.zeros((25, 2))}, "vertices"),
    ],
)
def test_bad_input(change, message):
    points, faces = plane(5)
    arguments = {"values": np.zeros(25), "vertices": points, "faces": faces, "fwhm": 2.0}
    with pytest.raises(ValueError, match=message):
        smooth_surface(**(arguments | change))


def test_rows_are_smoothed_in_their_place_and_one_by_one_as_together():
    points, faces = plane(6)
    values = np.random.default_rng(3).standard_normal((70, 36)).astype(np.float32)
    values[4] = np.nan
    mask = np.arange(36) != 5
    expected = smooth_surface(values, points, faces, 2.0, mask=mask).astype(np.float32)
    rows = np.hstack([values, values])
    smooth_rows(rows[:, :36], points, faces, 2.0, mask=mask)
    np.testing.assert_array_equal(rows, np.hstack([expected, values]))
    for row, wanted in zip(values[[3, 40]], expected[[3, 40]], strict=True):
        alone = smooth_surface(row, points, faces, 2.0, mask=mask)
        np.testing.assert_array_equal(alone.astype(np.float32), wanted)
