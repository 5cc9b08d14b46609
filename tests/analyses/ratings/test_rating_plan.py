"""What the scores of layers and ratings rest on."""

from __future__ import annotations

from bids_app.analyses.ratings.plan import score_settings_of
from bids_app.cli.parser import parse_config


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
