"""What the scores of layers and ratings rest on, and whose ratings there are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from bids_app.analyses.ratings.plan import StudyRatings, score_settings_of, whose_ratings
from bids_app.cli.parser import parse_config
from bids_app.inputs.ratings import Rating, RatingSet


def test_scores_are_of_the_layers_that_are_fitted():
    """Asked for or not: without --layers the option is empty, and the model has all of them."""
    model = {
        "features": "vggish",
        "weights_sha256": "random:0",
        "layers": ["conv1", "pool1"],
        "layer_depth": [0.0, 1.0],
        "sampling": "means",
        "step": None,
    }
    for options in ([], ["--layers", "1", "pool1"]):
        config = parse_config(["/tmp", "/tmp/out", "participant", *options])
        settings = score_settings_of(config, model)
        assert {name: settings[name] for name in model} == model
        assert settings["crop"] == 15.0


def test_for_whom_the_mean_of_the_group_stands_is_named():
    people, pieces = ("01", "02", "03"), ("calm", "lively")
    heard = tuple(SimpleNamespace(stimulus=piece) for piece in pieces)
    runs = tuple(SimpleNamespace(participant=who, presentations=heard) for who in people)
    plan = SimpleNamespace(participants=people, runs=runs)
    t = np.arange(3.0)

    def told(*whose):
        felt = RatingSet(tuple(Rating(who, piece, "joy", t, t, "f") for who, piece in whose))
        return whose_ratings(StudyRatings(felt, ("joy",)), plan)["joy"]

    own = [("01", piece) for piece in pieces]
    assert told(*own) == "1 of 3 participants"
    mean = [(None, piece) for piece in pieces]
    assert told(*own, *mean) == "1 of 3 participants, the group's mean for 02, 03"
    some = told(*own, ("02", "calm"), *mean)
    assert some == "1 of 3 participants, the group's mean for 02 (lively), 03"
