"""The size of the demo."""

from __future__ import annotations

import pytest

from bids_app.cli import tools
from bids_app.testing.music import DEFAULT_PIECES, default_pieces


def test_the_music_is_as_long_as_the_command_line_says():
    seconds = tools.build_parser().parse_args(["demo"]).duration
    assert sum(piece.duration for piece in default_pieces(seconds)) == pytest.approx(seconds)


def test_pieces_keep_their_shares_of_another_duration():
    pieces = default_pieces(240.0)
    assert [p.duration for p in pieces] == [p.duration / 2 for p in DEFAULT_PIECES]
    assert [p.label for p in pieces] == [p.label for p in DEFAULT_PIECES]
    assert default_pieces() == DEFAULT_PIECES


@pytest.mark.parametrize("options", [["--duration", "100"], ["--n-participants", "1"]])
def test_a_demo_that_is_too_small_is_refused(tmp_path, capsys, options):
    assert tools.main(["demo", "--output-dir", str(tmp_path / "demo"), *options]) == 2
    assert " ".join(options) in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
