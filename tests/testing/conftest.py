from __future__ import annotations

import pytest
from fake_grams import DURATIONS, FakeGrams, make_runs

from bids_app.surface.mesh import load_mesh
from bids_app.testing.study import SimulatedResponses, plan_truth


@pytest.fixture(scope="session")
def mesh():
    return load_mesh("fsaverage3")


@pytest.fixture(scope="session")
def grams():
    return FakeGrams([f"piece{k}" for k in range(3)], DURATIONS)


@pytest.fixture(scope="session")
def study(mesh, grams):
    return SimulatedResponses(
        mesh, plan_truth(mesh), make_runs(DURATIONS), grams.patch_times, grams.gram
    )
