"""Noise ceilings of ratings: what raters share."""

from __future__ import annotations

import numpy as np
import pytest

from bids_app.analyses.ratings import rater_ceiling as module
from bids_app.analyses.ratings.predicted import RatingModel
from bids_app.analyses.ratings.rater_ceiling import rater_ceiling
from bids_app.config import Statistics
from bids_app.errors import BadDataError
from bids_app.outputs import OutputTree

SCALES = ["Emotionality", "Enjoyment"]
STORED = {
    "Settings": {"crop": 9.0, "alphas": [1.0], "high_pass": 100.0},
    "Details": {"SamplingFrequency": 1.0},
    "Stimuli": {"happy": "a", "sadln": "b"},
}
N_TIMES = (240, 300)


def courses(seed, *, share=(1.0, 0.0)):
    """Of one rater: the first scale is shared by all, beside noise of variance 1."""
    rng = np.random.default_rng(seed)
    common = [np.random.default_rng(77 + n).standard_normal((n, 2)) for n in N_TIMES]
    values = [share * own + rng.standard_normal(own.shape) for own in common]
    return [np.arange(n) + 0.5 for n in N_TIMES], values


@pytest.fixture
def rated(monkeypatch, tmp_path):
    """Call with what every participant rated."""

    def call(people):
        monkeypatch.setattr(module, "read_courses", lambda tree, who, *rest: people[who])
        tree, who = OutputTree(tmp_path), list(people)
        fitted = RatingModel.of(STORED, tmp_path / "settings.json")
        return rater_ceiling(tree, "vggish", who, fitted, SCALES, Statistics())

    return call


def test_ceiling_is_what_raters_share(rated):
    found = rated({str(k): courses(k) for k in range(6)})
    assert found.n_raters == 6
    assert found.ceiling[0] == pytest.approx(0.5**0.5, abs=0.05)
    assert found.lower[0] < found.ceiling[0]
    assert found.p[0] < 0.01 < 0.05 < found.p[1]
    fraction = found.fraction(np.array([[0.35, 0.35], [0.1, 0.1]]))
    np.testing.assert_allclose(fraction[:, 0], [0.35, 0.1] / found.ceiling[0])
    assert np.isnan(fraction[:, 1]).all()


def test_few_raters_have_no_ceiling(rated):
    found = rated({str(k): courses(k) for k in range(3)})
    assert (found.n_raters, found.reason) == (3, "3 people rated, 4 are needed")
    assert np.isnan([*found.ceiling, *found.p, *found.fraction(np.ones((3, 2))).ravel()]).all()


def test_why_there_is_no_ceiling_is_said(rated):
    people = {str(k): courses(k) for k in range(5)}
    assert rated(people | {"9": "sub-9 has no courses"}).reason == "sub-9 has no courses"
    times, values = courses(9)
    found = rated(people | {"9": ([clock + 0.5 for clock in times], values)})
    assert "samples fall on other seconds of the music" in found.reason


def test_settings_without_a_rate_are_damaged(tmp_path):
    with pytest.raises(BadDataError, match="SamplingFrequency"):
        RatingModel.of({**STORED, "Details": {}}, tmp_path / "settings.json")
