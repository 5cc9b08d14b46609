"""What the check of shapes lets through, and what its error says."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.errors import BadDataError, check_shape


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.zeros((4, 2)), (4, 2)),
        (np.zeros((4, 2)), ("n_times", np.int64(2))),
        (["a", "b"], (2,)),
        (np.zeros((0, 2)), (0, "n_units")),
    ],
)
def test_what_fits_passes(array, wanted):
    check_shape("values", array, *wanted)


@pytest.mark.parametrize(
    ("array", "wanted", "words"),
    [
        (np.zeros((4, 2)), (4, 3), r"shape \(4, 2\)\n  wanted: \(4, 3\)"),
        (np.zeros((4, 0)), (4, "n_units"), r"shape \(4, 0\)\n  wanted: \(4, n_units\)"),
        (np.zeros(4), (4, "n_units"), r"shape \(4,\)\n  wanted: \(4, n_units\)"),
        (np.zeros((4, 2)), (4,), r"shape \(4, 2\)\n  wanted: \(4,\)"),
        ([], ("n_stimuli",), r"shape \(0,\)\n  wanted: \(n_stimuli,\)"),
    ],
)
def test_what_does_not_fit_is_named(array, wanted, words):
    with pytest.raises(BadDataError, match=rf"where: values\n  found: {words}"):
        check_shape("values", array, *wanted)
