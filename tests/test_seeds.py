"""Draws follow from seed and purpose, on every machine."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.seeds import generator

EXPECTED = [95, 702, 241, 929]


def test_one_purpose_gives_the_same_draws_everywhere():
    assert generator(7, "sign flips").integers(1000, size=4).tolist() == EXPECTED
    assert generator(np.int64(7), "sign flips").integers(1000, size=4).tolist() == EXPECTED


@pytest.mark.parametrize(
    "other", [(8, "sign flips"), (7, "rotations"), (7, "sign flips", 0), (7, "sign flips", "left")]
)
def test_another_seed_or_purpose_gives_other_draws(other):
    assert generator(*other).integers(1000, size=4).tolist() != EXPECTED
