"""Parcel tables and the orientation of a gradient."""

import numpy as np
import pytest
from real_data import DATA

from bids_app.errors import BadDataError
from bids_app.group import orient_gradient, parcel_table
from bids_app.group.orientation import SENSORY_CENTERS, TRANSMODAL_CENTERS

needs_data = pytest.mark.skipif(
    not (DATA / "gradient").is_dir(), reason="real gradient not found; set MUSENC_TEST_DATA"
)


def test_parcels_are_area_weighted_means_per_participant_and_layer():
    rng = np.random.default_rng(5)
    maps = rng.normal(size=(3, 4, 60))
    labels = rng.integers(0, 5, size=60)
    areas = rng.uniform(1, 2, size=60)
    maps[1, 2, 7] = np.nan
    table = parcel_table(maps, labels, areas, label_names={2: "auditory"})
    assert table.labels.tolist() == [1, 2, 3, 4]
    assert table.names == ("1", "auditory", "3", "4")
    assert table.values.shape == (3, 4, 4)
    inside = (labels == 2) & np.isfinite(maps[1, 2])
    np.testing.assert_allclose(
        table.values[1, 2, 1], np.average(maps[1, 2, inside], weights=areas[inside])
    )
    np.testing.assert_allclose(table.area[3], areas[labels == 4].sum())
    assert table.n_vertices.sum() == (labels > 0).sum()


def test_empty_parcels_are_undefined_and_background_is_none():
    maps = np.array([1.0, np.nan, 3, 4])
    table = parcel_table(maps, [1, 2, 3, 0], np.ones(4))
    np.testing.assert_array_equal(table.values, [1, np.nan, 3])
    assert table.n_vertices.tolist() == [1, 0, 1]  # what no map has does not count
    assert table.area.tolist() == [1, 0, 1]
    with pytest.raises(BadDataError, match="labels"):
        parcel_table(maps, [1, 2, 3], np.ones(4))
    with pytest.raises(BadDataError, match="no parcel"):
        parcel_table(maps, [0, 0, -1, 0], np.ones(4))


HIGH, LOW = np.array([TRANSMODAL_CENTERS[0], SENSORY_CENTERS[0]])


def test_orientation_flips_only_what_is_upside_down():
    gradient = np.array([1.0, 2, np.nan, -3, -4, 0])
    points = np.array([HIGH, HIGH * [-1, 1, 1], HIGH, LOW, LOW, [0, 900, 0]])
    kept, decision = orient_gradient(gradient, points)
    np.testing.assert_array_equal(kept, gradient)
    assert (decision.flipped, decision.method, decision.n_transmodal) == (False, "coordinates", 2)
    turned, decision = orient_gradient(-gradient, points)
    np.testing.assert_array_equal(turned, gradient)
    assert decision.flipped
    assert (decision.transmodal_mean, decision.sensory_mean) == (1.5, -3.5)


def test_orientation_needs_something_to_go_by():
    values = np.ones(4)
    with pytest.raises(BadDataError, match="coordinates"):
        orient_gradient(values, np.ones((3, 3)))
    with pytest.raises(BadDataError, match="no vertex"):
        orient_gradient(values, np.full((4, 3), 900.0))
    with pytest.raises(BadDataError, match="same mean"):
        orient_gradient(values, np.array([HIGH, HIGH, LOW, LOW]))


@needs_data
@pytest.mark.parametrize("sign", [1, -1])
def test_the_real_gradient_is_oriented(sign):
    import nibabel as nib

    from bids_app.surface.mesh import load_mesh

    parts = [
        nib.load(
            DATA
            / "gradient"
            / f"workbench_desc-fcgradient01_space-fsaverage_den-10k_hemi-{hemi}_feature.func.gii"
        ).agg_data()
        for hemi in "LR"
    ]
    gradient = np.concatenate(parts)
    gradient = np.where(gradient == 0, np.nan, gradient)
    pial = np.vstack([hemi.pial for hemi in load_mesh().hemispheres])
    turned, decision = orient_gradient(sign * gradient, pial)
    np.testing.assert_array_equal(turned, gradient)
    assert decision.flipped == (sign < 0)
    assert decision.transmodal_mean > 2 > -2 > decision.sensory_mean
