"""Parcel tables and the orientation of a gradient."""

import numpy as np
import pytest
from real_data import DATA

from bids_app.errors import BadDataError
from bids_app.group import orient_gradient, parcel_table

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


def test_empty_parcels_are_undefined_and_the_mask_counts():
    maps = np.array([1.0, np.nan, 3, 4])
    table = parcel_table(maps, [1, 2, 3, 3], np.ones(4), mask=[True, True, True, False])
    np.testing.assert_array_equal(table.values, [1, np.nan, 3])
    assert table.n_vertices.tolist() == [1, 1, 1]
    with pytest.raises(BadDataError, match="labels"):
        parcel_table(maps, [1, 2, 3], np.ones(4))
    with pytest.raises(BadDataError, match="no parcel"):
        parcel_table(maps, [0, 0, 0, 0], np.ones(4))


def test_orientation_by_networks_flips_only_what_is_upside_down():
    gradient = np.array([1.0, 2, np.nan, -3, -4])
    high = np.array([True, True, True, False, False])
    kept, decision = orient_gradient(gradient, transmodal=high, sensory=~high)
    np.testing.assert_array_equal(kept, gradient)
    assert (decision.flipped, decision.method, decision.n_transmodal) == (False, "labels", 2)
    turned, decision = orient_gradient(-gradient, transmodal=high, sensory=~high)
    np.testing.assert_array_equal(turned, gradient)
    assert decision.flipped
    assert (decision.transmodal_mean, decision.sensory_mean) == (1.5, -3.5)


def test_orientation_needs_something_to_go_by():
    values = np.ones(4)
    with pytest.raises(BadDataError, match="transmodal"):
        orient_gradient(values)
    with pytest.raises(BadDataError, match="coordinates"):
        orient_gradient(values, coordinates=np.ones((3, 3)))
    with pytest.raises(BadDataError, match="no vertex"):
        orient_gradient(values, coordinates=np.full((4, 3), 900.0))
    half = np.array([True, True, False, False])
    with pytest.raises(BadDataError, match="does not tell"):
        orient_gradient(values, transmodal=half, sensory=~half)
    with pytest.raises(BadDataError, match="sensory"):
        orient_gradient(values, transmodal=half, sensory=half[:3])


@needs_data
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("by", ["coordinates", "labels"])
def test_the_real_gradient_is_oriented(sign, by):
    import nibabel as nib
    import pandas as pd

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
    if by == "coordinates":
        options = {"coordinates": np.vstack([hemi.pial for hemi in load_mesh().hemispheres])}
    else:
        labels = np.loadtxt(DATA / "parcellations/schaefer_400_fsa5.csv").astype(int)
        table = pd.read_csv(DATA / "parcellations/lut_schaefer-400_mics.csv")
        names = dict(enumerate(table[table.label.str.contains("7Networks")].label, start=1))
        network = np.array([names.get(label, "") for label in labels])
        options = {
            "transmodal": np.char.find(network, "Default") >= 0,
            "sensory": (np.char.find(network, "_Vis_") >= 0)
            | (np.char.find(network, "_SomMot_") >= 0),
        }
    turned, decision = orient_gradient(sign * gradient, **options)
    np.testing.assert_array_equal(turned, gradient)
    assert decision.flipped == (sign < 0)
    assert decision.transmodal_mean > 2 > -2 > decision.sensory_mean
