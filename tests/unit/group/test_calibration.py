"""Small version of the calibration in benchmarks/calibration_group.py."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks/calibration_group.py"


@pytest.fixture(scope="module")
def calibration():
    spec = importlib.util.spec_from_file_location("calibration_group", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["common topography", "accuracy along gradient"])
def test_alignment_is_not_claimed_without_preference_along_the_gradient(calibration, kind):
    rates = calibration.alignment_case(calibration.make_setting(), kind, 16)
    assert rates["claim"] <= 3 / 16


@pytest.mark.slow
def test_a_true_preference_along_the_gradient_is_claimed(calibration):
    rates = calibration.alignment_case(calibration.make_setting(), "true preference", 4, 0.4)
    assert rates["claim"] >= 0.75


@pytest.mark.slow
def test_family_wise_error_of_smooth_noise(calibration):
    assert calibration.family_wise_case(calibration.make_setting(), 60, "greater") <= 8 / 60
