from __future__ import annotations

import numpy as np
import pytest
from fake_grams import DURATIONS, N_LAYERS, make_runs

from bids_app.testing.responses import hemodynamic_operator
from bids_app.testing.study import SignalSettings, SimulatedResponses, plan_truth


def test_truth_of_layers(mesh):
    truth = plan_truth(mesh, seed=1)
    assert truth.active.sum() == round(0.3 * truth.cortex.sum())
    assert not truth.active[~truth.cortex].any()
    assert truth.share.max() <= 0.2
    assert truth.share[truth.active].min() >= 0.1
    assert not truth.share[~truth.active].any()
    order = np.argsort(truth.gradient[truth.active])
    assert (np.diff(truth.layers[truth.active][order]) >= 0).all()
    assert truth.recovery(truth.gradient) > 0.9
    assert np.array_equal(plan_truth(mesh, seed=1).layers, truth.layers)
    assert not np.array_equal(plan_truth(mesh, seed=2).layers, truth.layers)


def test_truth_of_one_layer_and_of_nothing(mesh):
    one = plan_truth(mesh, effect="one-layer", layer=7)
    assert set(one.layers[one.cortex]) == {7}
    assert (
        np.argsort(one.share[one.cortex]).tolist() == np.argsort(one.gradient[one.cortex]).tolist()
    )
    assert one.share.max() == pytest.approx(0.2)
    nothing = plan_truth(mesh, effect="none")
    assert not nothing.active.any()
    assert not nothing.share.any()


def test_given_gradient_and_its_holes(mesh):
    gradient = np.random.default_rng(0).standard_normal(mesh.n_vertices)
    gradient[:300] = np.nan
    truth = plan_truth(mesh, gradient=gradient)
    assert not truth.cortex[:300].any()
    with pytest.raises(ValueError, match="gradient"):
        plan_truth(mesh, gradient=gradient[1:])


@pytest.mark.parametrize("wrong", [{"layer": 0}, {"layer": 24}])
def test_impossible_truth_is_refused(mesh, wrong):
    with pytest.raises(ValueError, match="range"):
        plan_truth(mesh, effect="one-layer", **wrong)


def test_recovery_ignores_silent_and_undefined_vertices(mesh):
    truth = plan_truth(mesh)
    found = np.where(truth.active, truth.depth, 100.0)
    found[np.flatnonzero(truth.active)[:5]] = np.nan
    assert truth.recovery(found) == pytest.approx(1.0)
    assert np.isnan(truth.recovery(np.ones(mesh.n_vertices)))
    assert np.isnan(plan_truth(mesh, effect="none").recovery(found))


def test_series_are_the_same_each_time_and_differ_between_participants(study, mesh, grams):
    first, _ = study.series(0)
    again = SimulatedResponses(mesh, study.truth, study.runs, grams.patch_times, grams.gram).series(
        0
    )[0]
    other, _ = study.series(1)
    for a, b, c, run in zip(first, again, other, study.runs, strict=True):
        assert a.shape == (run.n_volumes, mesh.n_vertices)
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_medial_wall_is_zero_and_cortex_varies(study):
    for run in study.bold(0)[0]:
        assert not run[:, ~study.truth.cortex].any()
        assert (run[:, study.truth.cortex].std(axis=0) > 0).all()
        assert 5000 < run[:, study.truth.cortex].mean() < 15000


def test_signal_has_the_stated_share_of_variance(study):
    truth = study.truth
    series = np.concatenate(study.series(0)[0])
    signal = study.signal(0)
    assert np.var(series[:, truth.cortex], axis=0).mean() == pytest.approx(1.0, abs=0.04)
    np.testing.assert_allclose(signal[:, truth.active].std(axis=0), 1.0)
    assert not signal[:, ~truth.active].any()
    active = truth.active
    slope = np.mean(series[:, active] * signal[:, active], axis=0)
    assert np.mean(slope**2) == pytest.approx(truth.share[active].mean(), abs=0.03)
    assert truth.share.max() <= 0.2


def test_participants_share_part_of_their_functionals(study, mesh, grams):
    active = study.truth.active

    def similarity(individual):
        simulated = SimulatedResponses(
            mesh,
            study.truth,
            study.runs,
            grams.patch_times,
            grams.gram,
            signal=SignalSettings(individual=individual),
        )
        return np.mean(simulated.signal(0)[:, active] * simulated.signal(1)[:, active])

    assert similarity(0.0) == pytest.approx(1.0)
    assert similarity(0.6) == pytest.approx(0.4, abs=0.05)


def test_neighbors_with_one_layer_respond_alike(study, mesh, grams):
    smooth = SimulatedResponses(
        mesh,
        study.truth,
        study.runs,
        grams.patch_times,
        grams.gram,
        signal=SignalSettings(fwhm=45.0),
    )
    pairs = mesh.adjacency.tocoo()
    layers = study.truth.layers
    same = (layers[pairs.row] == layers[pairs.col]) & (layers[pairs.row] > 0)

    def alike(signal):
        return np.mean(signal[:, pairs.row[same]] * signal[:, pairs.col[same]])

    assert alike(smooth.signal(0)) > max(0.6, 2 * alike(study.signal(0)))


def best_layer(study, grams, responses):
    """Layer whose units explain noise-free responses best, by ordinary least squares."""
    errors = []
    for layer in range(1, N_LAYERS + 1):
        parts = np.split(
            grams.features[layer - 1], np.cumsum([len(t) for t in grams.patch_times])[:-1]
        )
        design = np.concatenate(
            [
                hemodynamic_operator(times, run.music_times, run.duration) @ part
                for times, run, part in zip(grams.patch_times, study.runs, parts, strict=True)
            ]
        )
        design = np.column_stack([design, np.ones(len(design))])
        fit = design @ np.linalg.lstsq(design, responses, rcond=None)[0]
        errors.append(np.sum((responses - fit) ** 2, axis=0))
    return np.argmin(errors, axis=0) + 1


def test_an_ideal_observer_finds_the_planted_layer(study, grams):
    vertices = np.flatnonzero(study.truth.active)[::7]
    found = best_layer(study, grams, study.signal(0)[:, vertices])
    np.testing.assert_array_equal(found, study.truth.layers[vertices])


def test_nothing_is_found_in_noise(mesh, grams, study):
    silent = plan_truth(mesh, effect="none")
    simulated = SimulatedResponses(mesh, silent, study.runs, grams.patch_times, grams.gram)
    series = np.concatenate(simulated.series(0)[0])
    assert not simulated.signal(0).any()
    assert np.var(series[:, silent.cortex], axis=0).mean() == pytest.approx(1.0, abs=0.04)


def test_slow_sampling(mesh, grams):

    simulated = SimulatedResponses(
        mesh, plan_truth(mesh), make_runs(DURATIONS, tr=2.0), grams.patch_times, grams.gram
    )
    series, nuisance = simulated.series(0)
    assert [len(run) for run in series] == [len(n.motion) for n in nuisance] == [32, 37, 45]
