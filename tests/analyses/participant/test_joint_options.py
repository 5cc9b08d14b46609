"""Which joint models are asked for, and what they try."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.analyses.participant.joint_models import (
    JointModel,
    Source,
    layer_weights,
    rival_weights,
)
from bids_app.config import Config
from bids_app.config.sections import LOW_LEVEL, Joint
from bids_app.errors import UsageError
from bids_app.features.registry import find_space

CONFIG = Config(Path("bids"), Path("out"), "participant")


def test_spaces_and_layers_of_joint_models():
    joint = Joint(("a=envelope+modulation", "b=vggish@random:3@pool1+python:my.net:load@deep"))
    assert joint.models == {
        "a": [("envelope", ""), ("modulation", "")],
        "b": [("vggish@random:3", "pool1"), ("python:my.net:load", "deep")],
    }
    assert Joint(("a=envelope+vggish@random:3",)).models["a"][1] == ("vggish@random:3", "")
    assert Joint().features == []
    assert Joint(("a=envelope+musicnn:MTT_vgg@pool1",), "low-level").features == [
        "envelope",
        "musicnn:MTT_vgg",
        "cochleagram",
        "modulation",
        "descriptors",
    ]


@pytest.mark.parametrize(
    "asked",
    [
        ("envelope+modulation",),
        ("a=envelope",),
        ("a=envelope+envelope",),
        ("a b=envelope+modulation",),
        ("emotion=envelope+modulation",),
        ("a=envelope+modulation", "a=envelope+cochleagram"),
    ],
)
def test_names_and_spaces_that_cannot_be(asked):
    with pytest.raises(UsageError, match="joint model"):
        Joint(asked)


def test_what_is_guessed_is_told_of_the_whole_model():
    sources = [SimpleNamespace(row=find_space(name)) for name in ("envelope", "transcribed")]
    told = JointModel.guessed.fget(SimpleNamespace(sources=sources, own=None))
    assert "basic-pitch" in told["Guess"]


def test_one_layer_stands_for_a_space():
    assert Source.of("descriptors", "", CONFIG, ["x"]).layer == "all"
    assert Source.of("envelope", "", CONFIG, ["x"]).layer == "envelope"
    assert Source.of("descriptors", "rhythm", CONFIG, ["x"]).name == "descriptors rhythm"
    with pytest.raises(UsageError, match="needs one of its layers"):
        Source.of("vggish@random:0", "", CONFIG, ["x"])
    with pytest.raises(UsageError, match="needs one of its layers"):
        Source.of("envelope", "loudness", CONFIG, ["x"])


def test_low_level_sound_is_known_and_every_reduced_model_is_a_candidate():
    for name in LOW_LEVEL:
        assert find_space(name).name == name
    low = rival_weights(len(LOW_LEVEL), 20, 1)
    weights = layer_weights(low, 1)
    assert len(low) == 10
    np.testing.assert_array_equal(weights[weights[:, -1] == 0][:, :-1], low)
    np.testing.assert_array_equal(low, rival_weights(len(LOW_LEVEL), 20, 1))
    with pytest.raises(
        UsageError, match=r"too few candidates[\s\S]*--candidates[\s\S]*16[\s\S]*18"
    ):
        rival_weights(len(LOW_LEVEL), 16, 1)
