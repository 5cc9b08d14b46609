"""The size of the demo."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.cli import demo, tools
from bids_app.testing import simulate
from bids_app.testing.music import DEFAULT_PIECES, default_pieces


def test_the_music_is_as_long_as_the_command_line_says():
    seconds = tools.build_parser().parse_args(["demo"]).duration
    assert sum(piece.duration for piece in default_pieces(seconds)) == pytest.approx(seconds)


def test_pieces_keep_their_shares_of_another_duration():
    pieces = default_pieces(240.0)
    assert [p.duration for p in pieces] == [p.duration / 2 for p in DEFAULT_PIECES]
    assert [p.label for p in pieces] == [p.label for p in DEFAULT_PIECES]
    assert default_pieces() == DEFAULT_PIECES


def test_what_layers_add_is_told_where_it_is_asked_for(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(demo, "run", lambda config: asked.append(config.joint) or 1)
    study = SimpleNamespace(bids_dir=tmp_path, gradient_files=["a.gii", "b.gii"])
    monkeypatch.setattr(simulate, "simulate_study", lambda *_, **__: study)
    for options in ([], ["--beyond"]):
        assert tools.main(["demo", "--output-dir", str(tmp_path / "demo"), *options]) == 1
    assert [(one.beyond, one.candidates) for one in asked] == [("none", 20), ("low-level", 18)]
    maps = {"n": np.array([2.0, 0, 1, np.nan]), "r": np.array([0.1, 0.3, 0.5, np.nan])}
    monkeypatch.setattr(demo, "_group_map", lambda *_, stat, **__: maps[stat])
    truth = SimpleNamespace(active=np.array([True, True, False, True]))
    told = demo._beyond_found(None, truth, "vggish")
    assert "at 2 vertices over people and over music, 1 of them" in told
    assert "r = 0.20 at the 2 planted" in told


@pytest.mark.parametrize("options", [["--duration", "100"], ["--n-participants", "1"]])
def test_a_demo_that_is_too_small_is_refused(tmp_path, capsys, options):
    assert tools.main(["demo", "--output-dir", str(tmp_path / "demo"), *options]) == 2
    assert " ".join(options) in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
