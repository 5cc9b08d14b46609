"""Which end of a gradient file is transmodal is recorded from its values, and turns with them."""

from __future__ import annotations

import numpy as np
import pytest
from written_group import write_gradient

from bids_app.analyses.group.alignment import load_gradient
from bids_app.errors import BadDataError
from bids_app.group.orientation import SENSORY_CENTERS, TRANSMODAL_CENTERS
from bids_app.surface.cortex import bundled_cortex
from bids_app.surface.mesh import load_mesh


def sensory_to_transmodal() -> np.ndarray:
    """High around the centers of the default mode, low around sensory and motor ones."""
    mesh = load_mesh()
    points = np.vstack([hemi.pial for hemi in mesh.hemispheres])
    points[:, 0] = -np.abs(points[:, 0])
    values = np.full(len(points), 3.0)
    for sign, centers in ((1, TRANSMODAL_CENTERS), (-1, SENSORY_CENTERS)):
        for center in centers:
            values += sign * (np.linalg.norm(points - center, axis=1) < 20)
    return values


def test_the_record_follows_the_sign_of_the_file(tmp_path):
    values = sensory_to_transmodal()
    told = {}
    for name, own in (("plain", values), ("turned", -values)):
        (tmp_path / name).mkdir()
        gradient = load_gradient(write_gradient(tmp_path / name, own), "fsaverage5")
        np.testing.assert_allclose(gradient.values, own, rtol=1e-5)
        told[name] = gradient.record["Orientation"]
        assert told[name]["flipped"] is False
        assert len(gradient.sources) == 2
    assert told["plain"]["transmodal_mean"] > told["plain"]["sensory_mean"]
    for end in ("transmodal_mean", "sensory_mean"):
        np.testing.assert_allclose(told["turned"][end], -told["plain"][end], rtol=1e-5)


def test_what_tells_no_end_is_as_given(tmp_path):
    noise = np.random.default_rng(1).standard_normal(20484)
    gradient = load_gradient(write_gradient(tmp_path, noise), "fsaverage5")
    assert gradient.record["Orientation"] == "as given"


def levels(lowest: int) -> np.ndarray:
    """Four levels from the back to the front, and the medial wall as zero."""
    points = np.vstack([hemi.pial for hemi in load_mesh().hemispheres])
    found = lowest + np.digitize(points[:, 1], np.quantile(points[:, 1], [0.25, 0.5, 0.75]))
    return np.where(bundled_cortex(load_mesh()), found, 0.0)


def test_zeros_are_the_wall_only_in_a_file_without_nan(tmp_path):
    wall = ~bundled_cortex(load_mesh())
    (tmp_path / "plain").mkdir()
    plain = load_gradient(write_gradient(tmp_path / "plain", levels(1)), "fsaverage5")
    np.testing.assert_array_equal(np.isnan(plain.values), wall)
    assert plain.record["ZerosWithoutValue"] == wall.sum()
    assert "Warnings" not in plain.record

    (tmp_path / "marked").mkdir()
    marked = np.where(wall, np.nan, levels(0))
    found = load_gradient(write_gradient(tmp_path / "marked", marked), "fsaverage5")
    np.testing.assert_array_equal(found.values, marked)
    assert found.record["ZerosWithoutValue"] == 0

    (tmp_path / "bare").mkdir()
    bare = load_gradient(write_gradient(tmp_path / "bare", levels(0)), "fsaverage5")
    n_zeros = int((levels(0) == 0).sum())
    assert bare.record["ZerosWithoutValue"] == n_zeros
    (warning,) = bare.record["Warnings"]
    assert warning.startswith(f"{n_zeros} of 20484 vertices")
    assert "write NaN on the wall" in warning


def test_a_constant_beside_a_wall_of_zeros_is_refused(tmp_path):
    values = np.where(bundled_cortex(load_mesh()), 3.0, 0.0)
    with pytest.raises(BadDataError, match="does not vary"):
        load_gradient(write_gradient(tmp_path, values), "fsaverage5")
