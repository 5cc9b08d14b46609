"""Slope and curvature over participants."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.analyses.group import preference as module
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.preference import group_preference, measure_rows, told_of_preference
from bids_app.config import Statistics
from bids_app.preference import group_residual_slopes, layer_depth

N_PARTICIPANTS, N_VERTICES = 6, 300
MASK = np.arange(N_VERTICES) < 250


def group_of(reference, monkeypatch, *, slope=0.0, bend=0.0, model="quadratic"):
    """Profiles that are multiples of a reference, half of the vertices with a preference."""
    n_layers = len(reference)
    rng = np.random.default_rng(5)
    depth = layer_depth(n_layers) - 0.5
    square = depth**2 - (depth**2).mean()
    planted = np.where(np.arange(N_VERTICES) % 2, 1.0, -1.0) * (
        slope * depth[:, np.newaxis] + bend * square[:, np.newaxis]
    )
    r = np.multiply.outer(rng.uniform(0.9, 1.1, (N_PARTICIPANTS, N_VERTICES)), reference)
    r = (
        np.moveaxis(r, 2, 1)
        + planted
        + 0.002 * rng.standard_normal((N_PARTICIPANTS, n_layers, N_VERTICES))
    )
    data = GroupData(
        "vggish",
        [f"{k:02d}" for k in range(N_PARTICIPANTS)],
        r.astype(np.float32),
        [f"layer{k}" for k in range(n_layers)],
        ["one"],
        ["one"],
        {"space": "fsaverage5", "layer_depth": layer_depth(n_layers).tolist()},
        [],
    )
    monkeypatch.setattr(module, "load_fold_maps", lambda tree, data, stat: data.r[:, np.newaxis])
    accuracy = SimpleNamespace(mask=MASK, mask_kind="significant", mean_r=data.r.mean(axis=0))
    statistics = Statistics(slope_model=model, n_permutations=64)
    found = group_preference(None, data, accuracy, statistics)
    return found, data, accuracy, statistics


def of(statistics):
    """What writes with these settings."""
    return SimpleNamespace(settings={"slope_model": statistics.slope_model})


def peak(n_layers):
    return 0.05 + 0.05 * np.exp(-((layer_depth(n_layers) - 0.6) ** 2) / 0.1)


def test_weights_give_the_slopes(monkeypatch):
    found, data, _, _ = group_of(peak(8), monkeypatch, slope=0.02)
    profiles = data.r.astype(np.float64)
    wanted = np.einsum("pl,plv->pv", found.slope_weights, profiles)
    np.testing.assert_allclose(found.slopes, wanted, atol=1e-12)
    direct = group_residual_slopes(profiles, MASK, layer_depth(8))
    np.testing.assert_allclose(found.slopes, direct, atol=1e-12)
    bends = np.einsum("pl,plv->pv", found.curvature_weights, profiles)
    np.testing.assert_allclose(found.curvatures, bends, atol=1e-12)
    np.testing.assert_allclose(found.curvature, bends.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("kind", ["slope", "curvature"])
def test_each_measure_finds_its_own(monkeypatch, kind):
    sizes = {"slope": {"slope": 0.05}, "curvature": {"bend": 0.2}}[kind]
    found, _, accuracy, _ = group_of(peak(12), monkeypatch, **sizes)
    rows = {row["measure"]: row for row in measure_rows(accuracy, found)}
    other = "curvature" if kind == "slope" else "slope"
    assert rows[kind]["n_significant"] == N_VERTICES
    assert rows[other]["n_significant"] < 20
    assert rows[kind]["largest_t"] > 5
    assert rows[kind]["n_vertices"] == MASK.sum()


def test_a_nearly_linear_reference_is_told_and_not_hidden(monkeypatch, caplog):
    rising = 0.05 + 0.05 * layer_depth(12) + 0.001 * np.sin(9 * layer_depth(12))
    with caplog.at_level("WARNING", logger="bids_app.analyses"):
        found, data, _, statistics = group_of(rising, monkeypatch)
    assert found.explained > 0.95
    assert "cannot be separated from accuracy" in found.doubt
    assert found.doubt in caplog.text
    assert told_of_preference(of(statistics), data, found)["SlopeDoubt"] == found.doubt
    assert np.isfinite(found.slopes).all()
    certain, *_ = group_of(peak(12), monkeypatch)
    assert certain.doubt == ""


def test_four_layers_have_a_linear_slope_and_no_curvature(monkeypatch):
    found, data, accuracy, statistics = group_of(peak(4), monkeypatch)
    assert found is None
    assert measure_rows(accuracy, found) == []
    told = told_of_preference(of(statistics), data, None)
    assert "needs at least 5 layers; this model has 4" in told["LayerPreferenceMissing"]
    found, data, accuracy, statistics = group_of(peak(4), monkeypatch, model="linear")
    assert np.isfinite(found.t).all()
    assert np.isnan(found.curvatures).all()
    assert told_of_preference(of(statistics), data, found)["LayerPreferenceMissing"] == ""
    bent = measure_rows(accuracy, found)[1]
    assert (bent["n_vertices"], bent["n_significant"]) == (0, 0)
