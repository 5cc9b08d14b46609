"""Small version of the calibration in benchmarks/calibration_group.py."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks/calibration_group.py"


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration_group", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def _rate(run, n_simulations, name):
    return sum(run(seed=seed)[name] for seed in range(n_simulations)) / n_simulations


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["common topography", "accuracy along gradient"])
def test_alignment_is_not_claimed_without_preference_along_the_gradient(calibration, kind):
    run = partial(calibration.alignment_case, calibration.make_setting(), kind)
    assert _rate(run, 16, "claim") <= 3 / 16


@pytest.mark.slow
def test_a_true_preference_along_the_gradient_is_claimed(calibration):
    setting = calibration.make_setting()
    run = partial(calibration.alignment_case, setting, "true preference", size=0.4)
    assert _rate(run, 4, "claim") >= 0.75


@pytest.mark.slow
def test_family_wise_error_of_smooth_noise(calibration):
    run = partial(calibration.family_wise_case, calibration.make_setting(), tail="greater")
    assert _rate(run, 60, "max-T") <= 8 / 60


@pytest.mark.slow
def test_a_shared_response_to_unrelated_music_is_not_predicted(calibration):
    rate = _rate(partial(calibration.predicted_case, 0.3, n_vertices=60), 6, "both")
    assert rate <= 0.06 + 0.04
