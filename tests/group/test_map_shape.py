"""Width and tails of maps of differences between layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_app.errors import BadDataError
from bids_app.group import map_shape


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_widths_of_refits_are_found_from_those_of_the_closed_form(exponent):
    rng = np.random.default_rng(3)
    closed = np.exp(0.3 * rng.standard_normal(300))
    true = 1.2 * closed**exponent
    found = map_shape(closed[:60], true[:60] * rng.standard_normal((400, 60)))
    assert found.exponent == pytest.approx(exponent, abs=0.06)
    np.testing.assert_allclose(found.sd(closed), true, rtol=0.12)


def test_tails_have_their_level():
    """The smallest of 300 p of a t distribution, which is far too small for a normal one."""
    rng = np.random.default_rng(4)
    unit = np.sqrt(6 / 8)  # standard deviation 1
    found = map_shape(np.ones(60), unit * rng.standard_t(8, (200, 60)))
    drawn = unit * rng.standard_t(8, (400, 300))
    smallest = found.two_sided_p(drawn).min(axis=1)
    assert 0.01 < np.mean(smallest < 0.05 / 300) < 0.11
    plain = map_shape(np.ones(60), rng.standard_normal((200, 60)))
    assert np.mean(plain.two_sided_p(drawn).min(axis=1) < 0.05 / 300) > 0.3
    p = found.two_sided_p([-3.0, 0.0, 3.0, np.nan])
    assert p[0] == p[2] < p[1] == 1
    assert np.isnan(p[3])
    score = found.normal_score([-3.0, 0.0, 3.0, 40.0])
    assert -3 < score[0] == -score[2] < -2.5
    assert score[1] == 0
    assert np.isfinite(score[3])


def test_widths_that_the_closed_form_does_not_tell_apart_lengthen_tails():
    """The smallest of 300 p, a third of the vertices being half as wide again as the others."""
    rng = np.random.default_rng(6)
    true = np.where(rng.random(300) < 1 / 3, 1.5, 1.0)
    found = map_shape(np.ones(60), true[:60] * rng.standard_normal((400, 60)))
    assert found.degrees < 15
    z = true * rng.standard_normal((1000, 300)) / found.sd(np.ones(300))
    assert np.mean(found.two_sided_p(z).min(axis=1) < 0.05 / 300) < 0.06
    normal = replace(found, degrees=np.inf)
    assert np.mean(normal.two_sided_p(z).min(axis=1) < 0.05 / 300) > 0.1


def test_a_closed_form_is_widened_and_never_narrowed():
    draws = np.random.default_rng(5).standard_normal((500, 40))
    assert map_shape(np.full(40, 0.8), draws).sd(np.full(3, 0.8))[0] == pytest.approx(1, abs=0.02)
    assert map_shape(np.full(40, 1.5), draws).sd(np.full(3, 1.5))[0] == pytest.approx(1.5)
    fewer = map_shape(np.full(40, 0.8), draws).around(0.4)
    assert fewer.sd([0.4, 0.0, np.nan])[0] == pytest.approx(0.5, abs=0.01)
    assert np.isnan(fewer.sd([0.4, 0.0, np.nan])[1:]).all()


def test_without_refits_that_vary_there_is_no_shape():
    with pytest.raises(BadDataError, match="vary"):
        map_shape(np.ones(4), np.zeros((30, 4)))
    with pytest.raises(BadDataError, match="closed_sd"):
        map_shape(np.ones((2, 4)), np.zeros((30, 4)))
