"""Untrained networks are named on top of a page, trained ones beside them are not."""

from __future__ import annotations

import json

import pytest

from bids_app.report.controls import control_banner


@pytest.fixture
def folder(tmp_path):
    def say(participant, model, **features):
        path = tmp_path / f"sub-{participant}" / "func"
        path.mkdir(parents=True, exist_ok=True)
        (path / f"sub-{participant}_model-{model}_settings.json").write_text(
            json.dumps({"Features": features})
        )

    say("01", "trained", Untrained=False, Weights="a.npz")
    say("01", "twin", Untrained=True, Weights="random:0")
    say("02", "twin", Untrained=True, Weights="random:1")
    say("02", "own", Untrained=True)
    return tmp_path


def test_only_the_untrained_models_are_named(folder):
    banner = control_banner(folder, ["trained", "twin"])
    assert "model-twin (random:0, random:1)" in banner
    assert "model-trained" not in banner
    assert control_banner(folder, ["trained"]) == ""


def test_a_page_of_controls_says_so_of_everything(folder):
    banner = control_banner(folder, ["twin"], "01")
    assert banner.startswith("The audio network was not trained (random:0)")
    assert "random:1, random weights" in control_banner(folder, ["twin", "own"], "02")


def test_unreadable_settings_are_told_elsewhere(folder):
    (folder / "sub-01" / "func" / "sub-01_model-twin_settings.json").write_text("{")
    assert control_banner(folder, ["twin"], "01") == ""
    (folder / "sub-01" / "func" / "sub-01_model-twin_settings.json").write_text("[]")
    assert control_banner(folder, ["twin"], "01") == ""
