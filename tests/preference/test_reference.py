"""Reference profiles."""

import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.preference import (
    group_residual_slopes,
    layer_depth,
    leave_one_out_references,
    reference_profile,
    residual_slope,
)


def test_reference_is_the_mean_over_significant_finite_vertices():
    rng = np.random.default_rng(3)
    profiles = rng.normal(size=(4, 300))
    profiles[1, 0] = np.nan
    significant = np.arange(300) < 250
    found = reference_profile(profiles, significant)
    np.testing.assert_allclose(found.profile, profiles[:, 1:250].mean(axis=1))
    assert (found.n_vertices, found.reason) == (249, None)


def test_too_few_vertices_give_no_reference_and_the_reason():
    found = reference_profile(np.ones((4, 300)), np.arange(300) < 199)
    assert found.profile is None
    assert "199" in found.reason


def test_each_participant_is_compared_with_the_others_only():
    rng = np.random.default_rng(4)
    profiles = rng.normal(size=(5, 6, 40))
    mask = np.arange(40) % 2 == 0
    references = leave_one_out_references(profiles, mask)
    for left_out in range(5):
        others = np.delete(profiles, left_out, axis=0)[:, :, mask].mean(axis=(0, 2))
        np.testing.assert_allclose(references[left_out], others)
    slopes = group_residual_slopes(profiles, mask, layer_depth(6))
    np.testing.assert_allclose(
        slopes[2], residual_slope(profiles[2], layer_depth(6), references[2])
    )


@pytest.mark.parametrize(
    ("profiles", "mask"),
    [
        (np.ones((1, 4, 9)), np.ones(9, dtype=bool)),
        (np.ones((3, 4, 9)), np.zeros(9, dtype=bool)),
        (np.ones((3, 4, 9)), np.ones(8, dtype=bool)),
        (np.full((3, 4, 9), np.nan), np.ones(9, dtype=bool)),
    ],
)
def test_unusable_groups_are_refused(profiles, mask):
    with pytest.raises(BadDataError):
        leave_one_out_references(profiles, mask)
