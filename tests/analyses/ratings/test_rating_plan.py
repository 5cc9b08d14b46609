"""What the scores of layers and ratings rest on, and whose ratings there are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.analyses.ratings.plan import (
    StudyRatings,
    find_ratings,
    score_settings_of,
    whose_ratings,
)
from bids_app.cli.parser import parse_config
from bids_app.errors import InvalidInputError
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


@pytest.mark.parametrize("scales", [("joy 1", "Joy-1"), ("pleasant (+)", "pleasant (-)")])
def test_scales_whose_maps_would_have_one_name_are_refused(tmp_path, scales):
    table = tmp_path / "ratings.tsv"
    lines = ["\t".join(["stimulus", "time", *scales, "tension"])]
    lines += [f"calm\t{t}\t{t % 3}\t{t % 4}\t{t % 5}" for t in range(60)]
    table.write_text("\n".join(lines) + "\n")
    heard = (SimpleNamespace(stimulus="calm"),)
    plan = SimpleNamespace(
        stimuli=(SimpleNamespace(label="calm", duration=60.0),),
        participants=("01",),
        runs=(SimpleNamespace(participant="01", presentations=heard),),
        derivatives=(),
        raw_dir=None,
    )

    def found(*options):
        arguments = ["/tmp", "/tmp/out", "participant", "--ratings", str(table), *options]
        return find_ratings(parse_config(arguments), plan)

    with pytest.raises(InvalidInputError, match="one name") as caught:
        found()
    assert caught.value.found == f"{scales[0]!r}, {scales[1]!r}"
    assert found("--scales", scales[0], "tension").scales == (scales[0], "tension")
