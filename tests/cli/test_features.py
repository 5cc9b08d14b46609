"""``musenc features`` on what cannot be used: the error names the file and what to do."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from bids_app.cli.tools import main

RATE = 16000


def call(*arguments):
    return main(["features", *map(str, arguments)])


def write(path, samples):
    soundfile.write(path, np.asarray(samples, dtype=np.float32), RATE, subtype="FLOAT")
    return path


@pytest.fixture
def sound(tmp_path):
    return write(tmp_path / "song.wav", np.random.default_rng(0).normal(0, 0.1, 3 * RATE))


def test_a_file_that_is_not_there_is_told_before_weights(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path))
    assert call(tmp_path / "nosuch.wav", "-o", tmp_path / "out") == 66
    told = capsys.readouterr().err
    assert "nosuch.wav" in told
    assert "weights" not in told


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(0), "no samples"),
        (np.zeros(2 * RATE), "silent"),
        (np.sin(np.arange(RATE // 5)), "0.2 s"),
        (np.r_[np.ones(RATE), np.nan, -np.ones(RATE)], "finite"),
    ],
    ids=["empty", "silent", "short", "nan"],
)
def test_useless_audio(samples, words, tmp_path, capsys):
    path = write(tmp_path / "song.wav", samples)
    assert call(path, "-o", tmp_path / "out", "--features", "envelope") == 65
    message = capsys.readouterr().err
    assert str(path) in message
    assert words in message
    assert "Traceback" not in message


def test_weights_of_something_else(sound, tmp_path, capsys):
    path = tmp_path / "weights.pth"
    torch.save({"features.0.weight": torch.zeros(64, 1, 5, 5)}, path)
    assert call(sound, "-o", tmp_path / "out", "--vggish-weights", path) == 65
    message = capsys.readouterr().err
    assert str(path) in message
    assert "embeddings.4.bias" in message
    assert "features.0.weight" in message


def test_precomputed_times_that_do_not_cover_the_audio(sound, tmp_path, capsys):
    table = tmp_path / "own" / "song.tsv"
    table.parent.mkdir()
    table.write_text("time\tx\n0.2\t1\n0.4\t2\n0.6\t1\n")
    assert call(sound, "-o", tmp_path / "out", "--features", f"precomputed:{table.parent}") == 65
    message = capsys.readouterr().err
    assert str(table) in message
    assert "0.2 to 0.6 s" in message
    assert "whole audio file" in message


def test_notes_lie_where_the_option_says_and_their_remarks_are_told(sound, tmp_path, capsys):
    notes = tmp_path / "scores" / "song_notes.tsv"
    notes.parent.mkdir()
    rows = "".join(f"{0.2 * k:g}\t0.2\t{60 + k % 5}\n" for k in range(50))
    notes.write_text("onset\tduration\tpitch\n" + rows)
    own = ("-o", tmp_path / "out", "--features", "notes", "--no-picture")
    assert call(sound, *own) == 66
    assert "--notes-dir" in capsys.readouterr().err
    assert call(sound, *own, "--notes-dir", notes.parent) == 0
    told = capsys.readouterr()
    told = told.out + told.err
    assert "song: the notes of song_notes.tsv end at 10.0 s, the recording at 3.0 s" in told
    assert "so the layers ltm and both are left out" in told


def test_a_dataset_that_is_not_there_is_told_as_such(tmp_path, capsys):
    assert call(tmp_path / "nodata", tmp_path / "out", "--cache-dir", tmp_path / "cache") == 66
    message = capsys.readouterr().err
    assert "dataset folder does not exist" in message
    assert str(tmp_path / "nodata") in message
    assert call(tmp_path / "nosong", "-o", tmp_path / "out") != 0
    assert "audio file is not there" in capsys.readouterr().err
