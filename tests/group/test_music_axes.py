"""Axes of resolution matrices that are found while the matrices are made."""

import numpy as np

from bids_app.encoding.gram import feature_gram
from bids_app.encoding.joint import plan_joint
from bids_app.group.music_axes import GrowingAxes
from bids_app.group.music_study import Study


def test_small_matrices_are_as_exact_as_large_ones_and_blocks_do_not_matter():
    rng = np.random.default_rng(0)
    few = rng.standard_normal((7, 10, 12))
    # High penalties give predictions of next to nothing, whose correlations count alike.
    sizes = 10.0 ** rng.integers(-6, 1, 600)
    made = sizes[:, None, None] * np.tensordot(rng.standard_normal((600, 7)), few, axes=1)
    made[300] = rng.standard_normal((10, 12)) * 1e-6
    made[301] = 0
    growing = GrowingAxes(rng.uniform(1, 2, 5), rng.uniform(1, 2, 6))
    numbers = [growing.add(one) for one in made]
    axes = growing.axes(numbers[::-1])
    assert axes.loadings.shape == (600, 8)
    again = np.tensordot(axes.loadings, axes.matrices, axes=1)[::-1]
    error = np.abs(again - made).max(axis=(1, 2))
    assert (error <= 1e-3 * np.abs(made).max(axis=(1, 2))).all()


def test_frequencies_without_power_are_zero():
    growing = GrowingAxes(np.array([1.0, 0.0]), np.ones(2))
    axes = growing.axes([growing.add(np.ones((4, 4)))])
    np.testing.assert_allclose(axes.loadings @ axes.matrices[:, 0], [[1, 1, 1, 1]])
    np.testing.assert_array_equal(axes.matrices[:, [1, 3]], 0)


def test_nothing_has_one_axis():
    growing = GrowingAxes(np.ones(2), np.ones(3))
    axes = growing.axes([growing.add(np.zeros((4, 6))) for _ in range(2)])
    assert axes.loadings.tolist() == [[0], [0]]
    assert axes.matrices.shape == (1, 4, 6)


def test_models_that_share_candidates_share_matrices():
    rng = np.random.default_rng(1)
    lengths = (50, 60, 55)
    grams = [feature_gram([rng.standard_normal((n, 3)) for n in lengths]) for _ in range(3)]
    options = {"delays": (2.0, 4.0), "crop": 4.0, "tr": 1.0, "alphas": np.logspace(0, 2, 2)}
    low = plan_joint({"low": grams[0]}, lengths, weights=[[1.0]], **options)
    weights = [[1.0, 0.0], [0.5, 0.5]]
    joint = [
        plan_joint({"low": grams[0], "x": one}, lengths, weights=weights, known=low, **options)
        for one in grams[1:]
    ]
    plans = [one.choices for one in joint]
    responses = [[rng.standard_normal((n, 8)).cumsum(axis=0) for n in lengths]]
    # Every model and fold has every choice: two candidates of two penalties.
    alphas = np.broadcast_to(np.tile([1.0, 2.0, 3.0, 4.0], 2), (1, 2, 3, 8))
    study = Study(plans, responses, alphas, None, None, None)
    study.prepare(np.arange(8), 1e-3)
    columns = study.clocks[0].columns[0][:, :4]
    np.testing.assert_array_equal(columns[0, :2], columns[1, :2])
    assert len(np.unique(columns)) == 6
    assert [product.n_matrices for product in study.clocks[0].products] == [12] * 3
