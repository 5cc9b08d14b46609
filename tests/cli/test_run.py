"""What the app does before and instead of an analysis."""

from __future__ import annotations

import os

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from bids_app.cli.run import limit_threads, main


def test_boilerplate_only_prints_the_methods_of_these_settings(tmp_path, capsys):
    call = [str(tmp_path / "no data"), str(tmp_path / "out"), "participant", "--boilerplate-only"]
    options = "--delays 2:8 --crop 5 --vggish-weights random:3 --n-spins 77 --gradient l.gii,r.gii"
    assert main([*call, *options.split()]) == 0
    text = capsys.readouterr().out
    for words in (
        "from 2 to 8 s",
        "5 s at both ends",
        "weights drawn at random, random:3",
        "77 random rotations",
        "a gradient given as a file",
        "## References\n\n1. ",
    ):
        assert words in text, words
    assert not (tmp_path / "out").exists()
    assert main(call) == 0
    other = capsys.readouterr().out
    assert "principal gradient" in other
    assert "not trained" not in other
    assert main([*call, "--features", "envelope", "vggish"]) == 0
    envelope, _, network = capsys.readouterr().out.partition("# Model vggish")
    assert "VGGish" not in envelope
    assert "VGGish" in network


def test_threads_are_limited_here_and_in_what_starts_later(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpool_limits(limits=2):
        limit_threads(1)
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        assert os.environ["OMP_NUM_THREADS"] == "1"
