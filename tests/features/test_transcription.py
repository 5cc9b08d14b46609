"""`--transcribe`: notes guessed from the sound, and called a guess."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bids_app.cli.parser import parse_config
from bids_app.errors import MissingInputError
from bids_app.features import transcription
from bids_app.features.export import export_features
from bids_app.features.registry import find_space
from bids_app.files import read_json
from bids_app.outputs import model_label

installed = pytest.mark.skipif(
    find_spec("onnxruntime") is None or find_spec("basic_pitch") is None,
    reason="onnxruntime and basic-pitch are not installed (docs/notes.md)",
)


def test_the_option_names_the_model_and_needs_what_it_needs(monkeypatch):
    given = ["--features", "notes", "envelope", "--transcribe", "--notes-corpus", "/k"]
    more = ["--joint", "s=notes@density+notes@both", "--lag-scan", "notes@density:notes"]
    config = parse_config(["/d", "/o", "participant", *given, *more])
    assert config.model.features == ("transcribed:corpus=/k", "envelope")
    assert config.joint.asked == ("s=transcribed:corpus=/k@density+transcribed:corpus=/k@both",)
    assert config.lag_scan.asked == ("transcribed:corpus=/k@density:notes",)
    assert model_label(config.model.features[0]) == "transcribed"
    monkeypatch.setattr(transcription, "find_spec", lambda name: None)
    with pytest.raises(MissingInputError, match="pip install --no-deps basic-pitch"):
        _ = find_space("transcribed").weights_identity


def test_layers_are_those_of_the_same_notes_in_a_file(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    onset = np.arange(0.0, 5.0, 0.25)
    pitch = rng.choice([60, 62, 64, 65, 67], onset.size)
    audio = tmp_path / "piece.wav"
    soundfile.write(audio, 0.1 * rng.standard_normal(96000), 16000)
    rows = [f"{t}\t0.2\t{p}" for t, p in zip(onset, pitch, strict=True)]
    (tmp_path / "piece_notes.tsv").write_text("\n".join(["onset\tduration\tpitch", *rows]) + "\n")
    heard = (onset, np.full(onset.size, 0.2), pitch, np.full(onset.size, 64.0))
    model = tmp_path / "nmp.onnx"
    model.write_bytes(b"1")
    monkeypatch.setattr(transcription, "transcriber", lambda: model)
    monkeypatch.setattr(transcription, "transcribe", lambda sound, path: heard)
    transcription._heard.cache_clear()
    spaces = [find_space(name) for name in ("notes", "transcribed")]
    layers = [list(space.values(space.sound("piece", audio))) for space in spaces]
    for one, two in zip(*layers, strict=True):
        assert one.name == two.name
        np.testing.assert_array_equal(one.values, two.values)
    guess = "notes, transcribed from the sound by basic-pitch and not checked"
    assert spaces[1].corpus_record()["Guess"] == guess
    assert "Guess" not in spaces[0].corpus_record()
    assert spaces[1].remarks_on("piece", audio, 6.0)[0] == f"piece: {guess}: a guess"
    for path in export_features([audio], tmp_path / "out", features="change:transcribed"):
        if path.suffix == ".json":
            assert read_json(path)["Guess"] == guess
    before = spaces[1].weights_identity
    model.write_bytes(b"2")
    assert spaces[1].weights_identity != before


def test_notes_of_activations():
    held, struck = np.zeros((2, 200, 88))
    held[20:60, 30], struck[20, 30] = 0.8, 0.9  # struck
    held[100:150, 40] = 0.6  # held, and not struck: its rise counts
    held[160:170, 50], struck[160, 50] = 0.9, 0.9  # too short
    found = sorted(transcription._events(held, struck))
    assert [one[:3] for one in found] == [(20, 51, 60), (100, 61, 150)]
    assert found[0][3] == pytest.approx(held[20:60, 30].mean())
    assert list(transcription._events(0 * held, struck)) == []


@installed
def test_the_notes_of_a_tune_are_found(tmp_path):
    rate, rng = 22050, np.random.default_rng(0)
    onset = 0.3 + np.arange(0.0, 10.0, 0.4)
    pitch = rng.choice(np.arange(55, 80), onset.size)
    times = np.arange(11 * rate) / rate
    sound = np.zeros(times.size)
    for start, key in zip(onset, pitch, strict=True):
        since = times - start
        loud = np.where((since > 0) & (since < 0.35), np.exp(-4 * since), 0.0)
        partials = np.arange(1, 6)
        waves = np.sin(2 * np.pi * 440 * 2 ** ((key - 69) / 12) * partials[:, None] * since)
        sound += loud * (waves / partials[:, None]).sum(axis=0)
    soundfile.write(tmp_path / "tune.wav", 0.2 * sound, rate)
    heard = transcription.notes_heard(tmp_path / "tune.wav")
    hit = (np.abs(heard.onset - onset[:, None]) < 0.1) & (heard.pitch == pitch[:, None])
    assert hit.any(axis=1).mean() > 0.9
    assert hit.any(axis=0).mean() > 0.5


@installed
def test_notes_are_those_of_basic_pitch():
    """Of its own program, which needs packages that this one does without."""
    creation = pytest.importorskip("basic_pitch.note_creation", exc_type=ImportError)
    rng = np.random.default_rng(1)
    held = np.repeat(rng.random((60, 88)) ** 3, 15, axis=0) * rng.random((900, 88)) ** 0.1
    struck = np.maximum(0, np.diff(held, axis=0, prepend=0)) * rng.random(held.shape)
    theirs = creation.output_to_notes_polyphonic(
        held.copy(), struck.copy(), 0.5, 0.3, 11, True, None, None
    )
    ours = [
        (first, last, pitch, r) for first, pitch, last, r in transcription._events(held, struck)
    ]
    assert len(ours) > 50
    assert sorted(ours) == sorted((int(a), int(b), int(p), float(r)) for a, b, p, r in theirs)
    assert Path(transcription.transcriber()).name == "nmp.onnx"
