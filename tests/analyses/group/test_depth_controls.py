"""Alignment with fewer layers, and with the depths of the layers exchanged."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.analyses.group import depth_controls as module
from bids_app.analyses.group.depth_controls import BLOCKS, FITTED, ORDERS, depth_controls
from bids_app.group import gradient_correlations
from bids_app.preference import group_residual_slopes
from bids_app.statistics import fisher_mean

N_PEOPLE, N_LAYERS, N_VERTICES = 6, 7, 300
DEPTH = np.linspace(0, 1, N_LAYERS)
GRADIENT = np.linspace(-1, 1, N_VERTICES)
MASK = np.arange(N_VERTICES) % 4 > 0
PROFILE = 0.2 + 0.1 * np.sin(9 * DEPTH)


def accuracies(slope: float, *, noise: float = 0.01) -> np.ndarray:
    rng = np.random.default_rng(4)
    planted = slope * np.outer(DEPTH - DEPTH.mean(), GRADIENT)
    return PROFILE[:, None] + planted + noise * rng.standard_normal((6, N_LAYERS, N_VERTICES))


def mean_alignment(r: np.ndarray, depth: np.ndarray) -> float:
    slopes = group_residual_slopes(r, MASK, depth)
    return float(fisher_mean(gradient_correlations(slopes, GRADIENT, MASK)))


def test_a_planted_order_aligns_more_than_other_orders():
    r = accuracies(0.1)
    found = depth_controls(r, DEPTH, GRADIENT, MASK, n_orders=99, seed=1)
    assert found.fitted == pytest.approx(mean_alignment(r, DEPTH))
    assert found.fitted > 0.5
    # A line in depth is matched by it and its reverse alone.
    assert found.share <= 0.03
    assert np.abs(np.median(found.orders)) < 0.3


def test_orders_are_those_of_permuted_depths_and_follow_the_seed():
    r = accuracies(0.1)
    found = depth_controls(r, DEPTH, GRADIENT, MASK, n_orders=5, seed=1)
    again = depth_controls(r, DEPTH, GRADIENT, MASK, n_orders=5, seed=1)
    other = depth_controls(r, DEPTH, GRADIENT, MASK, n_orders=5, seed=2)
    np.testing.assert_array_equal(found.orders, again.orders)
    assert np.abs(found.orders - other.orders).max() > 0.01
    reverse = depth_controls(r[:, ::-1], DEPTH, GRADIENT, MASK, n_orders=1, seed=1)
    assert reverse.fitted == pytest.approx(-found.fitted, abs=1e-9)


def test_without_a_planted_order_the_layers_order_is_one_among_others():
    found = depth_controls(accuracies(0.0), DEPTH, GRADIENT, MASK, n_orders=99, seed=1)
    assert abs(found.fitted) < 0.15
    assert found.share > 0.1


def test_layers_that_repeat_others_are_left_out():
    r = accuracies(0.1)
    r[:, 3] -= 5 * GRADIENT  # a twin that would turn the slope of no other layer
    found = depth_controls(r, DEPTH, GRADIENT, MASK, twins=[3], n_orders=1, seed=1)
    kept = [0, 1, 2, 4, 5, 6]
    assert found.blocks == pytest.approx(mean_alignment(r[:, kept], DEPTH[kept]))
    assert found.n_blocks == 6
    assert [row["control"] for row in found.rows] == [FITTED, BLOCKS, ORDERS]


@pytest.mark.parametrize(
    ("twins", "why"), [([], "no layer repeats another"), ([1, 2, 3], "fewer than 5 depths")]
)
def test_why_there_are_no_blocks_is_told(twins, why):
    found = depth_controls(accuracies(0.1), DEPTH, GRADIENT, MASK, twins=twins, n_orders=1, seed=1)
    assert np.isnan(found.blocks)
    assert why in found.no_blocks


def test_vertices_without_values_are_left_out():
    r, gradient = accuracies(0.1), GRADIENT.copy()
    r[2, :, :10] = np.nan
    gradient[10:21] = np.nan
    found = depth_controls(r, DEPTH, gradient, MASK, n_orders=3, seed=1)
    assert np.isfinite(found.orders).all()
    assert found.fitted == pytest.approx(mean_alignment(accuracies(0.1), DEPTH), abs=0.1)


def test_orders_are_compared_at_some_vertices_of_a_large_mask(monkeypatch):
    monkeypatch.setattr(module, "N_VERTICES", 60)
    r = accuracies(0.1)
    found = depth_controls(r, DEPTH, GRADIENT, MASK, n_orders=99, seed=1)
    some = np.flatnonzero(MASK)[::4]
    slopes = group_residual_slopes(r[..., some], np.ones(len(some), dtype=bool), DEPTH)
    rho = gradient_correlations(slopes, GRADIENT[some], np.ones(len(some), dtype=bool))
    assert found.at_some == pytest.approx(float(fisher_mean(rho)))
    assert found.fitted == pytest.approx(mean_alignment(r, DEPTH))
    assert found.share <= 0.03
