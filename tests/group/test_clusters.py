"""Cluster table."""

import numpy as np
import pytest
from icosahedron import icosahedral_mesh

from bids_app.errors import BadDataError
from bids_app.group import cluster_table

MESH = icosahedral_mesh(3)


def patch(sphere, axis, sign):
    return sign * sphere[:, axis] > 85


def test_planted_regions_are_found_with_area_peak_and_label():
    values = np.zeros(MESH.n_vertices)
    significant = np.zeros(MESH.n_vertices, dtype=bool)
    n_left = MESH.left.n_vertices
    top = np.flatnonzero(patch(MESH.left.sphere, 2, 1))
    front = n_left + np.flatnonzero(patch(MESH.right.sphere, 1, 1))
    values[top], values[front] = 2, -3
    values[top[4]], values[front[1]] = 5, -9
    significant[top] = significant[front] = True
    values[front[2]] = np.nan
    labels = np.where(np.arange(MESH.n_vertices) < n_left, 1, 2)
    labels[top[4]] = 7
    table = cluster_table(
        values,
        significant,
        MESH.adjacency,
        MESH.areas,
        n_left=n_left,
        labels=labels,
        label_names={1: "auditory", 7: "spot"},
    )
    assert [(c.hemisphere, c.n_vertices) for c in table] == [("L", len(top)), ("R", len(front) - 1)]
    left, right = table
    assert (left.peak_vertex, left.peak_value) == (top[4], 5)
    assert (left.peak_label, left.main_label) == ("spot", "auditory")
    assert (right.peak_vertex, right.peak_value) == (front[1] - n_left, -9)
    assert right.main_label == "2"
    np.testing.assert_allclose(left.area, MESH.areas[top].sum())
    np.testing.assert_allclose(left.mean_value, np.average(values[top], weights=MESH.areas[top]))


def test_neighbors_of_opposite_sign_are_apart_and_nothing_gives_an_empty_table():
    values = np.where(np.arange(MESH.n_vertices) % 2, 1.0, -1.0)
    everywhere = np.ones(MESH.n_vertices, dtype=bool)
    table = cluster_table(values, everywhere, MESH.adjacency, MESH.areas, n_left=642)
    assert sum(c.n_vertices for c in table) == MESH.n_vertices
    np.testing.assert_allclose(sum(c.area for c in table), MESH.areas.sum())
    assert [c.area for c in table] == sorted((c.area for c in table), reverse=True)
    assert cluster_table(values, ~everywhere, MESH.adjacency, MESH.areas, n_left=642) == []


def test_other_lengths_are_named():
    values = np.zeros(MESH.n_vertices)
    with pytest.raises(BadDataError, match="areas"):
        cluster_table(values, values > 0, MESH.adjacency, MESH.areas[1:], n_left=642)
