"""`--features expression`: tempo, loudness, dynamics, articulation and pedal of made-up playing."""

from __future__ import annotations

import json
from pathlib import Path

import mido
import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from bids_app.analyses.participant.figures import draw_stimuli, drawn_stimulus
from bids_app.analyses.participant.plan import EncodingModel, fitted_layers
from bids_app.cli.parser import parse_config
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.export import export_features
from bids_app.features.expression import UNITS
from bids_app.features.registry import find_space
from bids_app.inputs import performance
from bids_app.inputs.performance import read_beats, read_match

RATE = 16000


def played_beats(seconds, swing=18.0, period=24.0, mean=76.0):
    """Beats of a performance whose tempo swings, and its tempo as a function of time."""

    def bpm(t):
        return mean + swing * np.sin(2 * np.pi * np.asarray(t) / period)

    beats, now = [], 0.5
    while now < seconds - 0.5:
        beats.append(now)
        # Halfway through the beat, its tempo is that of its length.
        length = 60 / bpm(now)
        now += 60 / bpm(now + length / 2)
    return np.array(beats), bpm


def write_clicks(path, times, seconds, loud=None):
    """Short tones that decay, one at each time."""
    sound = np.zeros(int(RATE * seconds))
    tone = np.arange(int(0.2 * RATE)) / RATE
    stroke = np.sin(2 * np.pi * 660 * tone) * np.exp(-tone / 0.04)
    for k, start in enumerate((np.asarray(times) * RATE).astype(int)):
        part = stroke[: len(sound) - start]
        sound[start : start + len(part)] += part * (0.3 if loud is None else loud[k])
    soundfile.write(path, sound, RATE)
    return path


def write_beats(path, times):
    path.write_text("time\n" + "".join(f"{t:.4f}\n" for t in times))
    return path


def write_midi(path, notes, pedal=()):
    """Notes as (onset, duration, pitch, velocity), and (second, value) of the pedal."""
    events = [(s, mido.Message("control_change", control=64, value=v)) for s, v in pedal]
    for onset, duration, pitch, velocity in notes:
        events += [
            (onset, mido.Message("note_on", note=pitch, velocity=velocity)),
            (onset + duration, mido.Message("note_off", note=pitch)),
        ]
    file, track, now = mido.MidiFile(ticks_per_beat=1000), mido.MidiTrack(), 0
    for second, message in sorted(events, key=lambda one: one[0]):
        tick = round(2000 * second)
        track.append(message.copy(time=tick - now))
        now = tick
    file.tracks.append(track)
    file.save(path)
    return path


NOTES = [
    (0.0, 0.5, 60, 40),
    (1.0, 1.0, 62, 80),
    (1.02, 1.0, 55, 60),
    (2.0, 0.25, 64, 100),
    (3.0, 1.0, 65, 20),
]
PEDAL = [(0.5, 127), (1.0, 0), (2.125, 127), (3.0, 64)]


@pytest.fixture
def piece(tmp_path):
    return write_clicks(tmp_path / "piece.wav", [0, 1, 2, 3], 4.0)


def layers_of(audio, features="expression"):
    space = find_space(features)
    sound = space.sound(audio.stem, audio)
    return sound.times, {layer.name: layer for layer in space.values(sound)}


def test_a_table_of_beats_wins_over_the_sound(tmp_path):
    beats, bpm = played_beats(60.0)
    # The sound says another tempo.
    audio = write_clicks(tmp_path / "piece.wav", np.arange(0.5, 59.5, 0.5), 60.0)
    times, found = layers_of(audio)
    assert found["tempo"].told["TempoFrom"] == "local pulse of the sound"
    np.testing.assert_allclose(found["tempo"].values[20:-20], 120.0, rtol=0.03)
    write_beats(tmp_path / "piece_beats.tsv", beats)
    _, found = layers_of(audio)
    assert found["tempo"].told == {"TempoFrom": "piece_beats.tsv", "OctaveJumps": 0}
    tempo = found["tempo"].values[:, 0]
    inside = (times > beats[0]) & (times < beats[-1])
    assert np.corrcoef(tempo[inside], bpm(times[inside]))[0, 1] > 0.99
    assert np.abs(tempo[inside] / bpm(times[inside]) - 1).max() < 0.06


def test_octave_jumps_are_divided_out_and_counted(tmp_path, piece):
    beats, bpm = played_beats(60.0)
    # Every other beat in the middle, and one beat missed.
    kept = np.ones(len(beats), dtype=bool)
    kept[20:40:2] = False
    kept[60] = False
    audio = write_clicks(tmp_path / "long.wav", beats, 60.0)
    write_beats(tmp_path / "long_beats.tsv", beats[kept])
    times, found = layers_of(audio)
    assert found["tempo"].told["OctaveJumps"] == 4
    inside = (times > beats[0]) & (times < beats[-1])
    r = np.corrcoef(found["tempo"].values[inside, 0], bpm(times[inside]))[0, 1]
    assert r > 0.97


def test_the_tempo_of_a_sound_is_found(tmp_path):
    beats, bpm = played_beats(72.0)
    audio = write_clicks(tmp_path / "piece.wav", beats, 72.0)
    times, found = layers_of(audio)
    tempo = found["tempo"].values[:, 0]
    inside = (times > 5) & (times < 67)
    assert np.corrcoef(tempo[inside], bpm(times[inside]))[0, 1] > 0.95


def test_curves_of_midi_are_exact(piece):
    write_midi(piece.with_suffix(".mid"), NOTES, PEDAL)
    times, found = layers_of(piece)
    assert list(found) == list(UNITS)
    at = {t: k for k, t in enumerate(times.tolist())}
    for name, wanted in {
        "dynamics": {0.125: 40, 0.875: 40, 1.125: 70, 2.125: 100, 3.875: 20},
        "articulation": {0.125: 0.5, 1.125: 1.0, 2.125: 0.25, 3.875: 0.25},
        "pedal": {0.125: 0, 0.625: 1, 1.125: 0, 2.125: 0.5, 2.375: 1, 3.125: 64 / 127},
    }.items():
        got = {t: found[name].values[at[t], 0] for t in wanted}
        assert got == pytest.approx(wanted, abs=1e-9), name


def test_a_rolled_chord_is_one_note_of_the_melody(piece):
    rolled = [(0.0, 1.0, 60, 64), (0.03, 1.0, 64, 64), (0.06, 0.94, 67, 60)]
    # The last but one is held for four times the time to the next.
    line = [(1.0, 0.5, 65, 64), (2.0, 4.0, 67, 64), (3.0, 1.0, 69, 9)]
    write_midi(piece.with_suffix(".mid"), [*rolled, *line])
    times, found = layers_of(piece)
    at = {t: k for k, t in enumerate(times.tolist())}
    got = [found["articulation"].values[at[t], 0] for t in (0.125, 0.625, 1.625, 2.625)]
    np.testing.assert_allclose(got, [1.0, 1.0, 0.5, 2.0], atol=1e-3)


@pytest.mark.parametrize(
    ("pedal", "reason"),
    [
        ([(0.0, 0)], "the sustaining pedal of piece.mid is never pressed"),
        ([(0.5, 0), (1.5, 0)], "the sustaining pedal of piece.mid is never pressed"),
        ([(0.0, 127)], "the sustaining pedal of piece.mid never moves"),
    ],
)
def test_a_pedal_that_does_nothing_is_no_layer(piece, pedal, reason):
    write_midi(piece.with_suffix(".mid"), NOTES, pedal)
    order = find_space("expression").layer_order({"piece": piece})
    assert order.left_out == {"pedal": f"not all pieces can have it: piece ({reason})"}
    assert list(layers_of(piece)[1]) == list(UNITS)[:-1]


def test_dynamics_and_articulation_that_never_change_are_no_layers(piece):
    # Two voices whose mean velocity is the same, and intervals that differ by rounding.
    onsets = 0.3 * np.arange(12)
    loud = [(s, 0.2, 72, 60 + 10 * (k % 2)) for k, s in enumerate(onsets)]
    soft = [(s, 0.2, 60, 70 - 10 * (k % 2)) for k, s in enumerate(onsets)]
    write_midi(piece.with_suffix(".mid"), [*loud, *soft], PEDAL)
    order = find_space("expression").layer_order({"piece": piece})
    assert order.names == ("tempo", "loudness", "pedal")
    assert "one mean velocity" in order.left_out["dynamics"]
    assert "one articulation" in order.left_out["articulation"]


def test_loudness_is_the_square_root_of_power_compressed(tmp_path):
    seconds = np.arange(8 * RATE) / RATE
    loud = np.where(seconds < 4, 0.1, 0.8)
    soundfile.write(tmp_path / "a.wav", loud * np.sin(2 * np.pi * 500 * seconds), RATE, "FLOAT")
    times, found = layers_of(tmp_path / "a.wav")
    wanted = (np.where(times < 4, 0.1, 0.8) / np.sqrt(2)) ** 0.3
    np.testing.assert_allclose(found["loudness"].values[:, 0], wanted, rtol=1e-4)


def test_a_study_has_the_layers_that_all_pieces_can_have(tmp_path, piece):
    write_midi(piece.with_suffix(".mid"), NOTES, PEDAL)
    other = write_clicks(tmp_path / "other.wav", [0, 1, 2, 3], 4.0)
    space, music = find_space("expression"), {"piece": piece, "other": other}
    assert space.layer_order({"piece": piece}).names == tuple(UNITS)
    assert space.layer_order({"piece": piece}).left_out == {}
    order = space.layer_order(music)
    assert order.names == ("tempo", "loudness")
    assert order.left_out["pedal"] == "not all pieces can have it: other (no notes)"
    write_midi(other.with_suffix(".mid"), NOTES)
    order = space.layer_order(music)
    assert order.names == ("tempo", "loudness", "dynamics", "articulation")
    assert "other.mid has no sustaining pedal" in order.left_out["pedal"]
    grams = load_or_compute_grams(
        list(music.items()), cache_dir=tmp_path / "c", features="expression"
    )
    assert grams.layer_names == order.names
    assert grams.told["tempo"]["other"]["TempoFrom"] == "local pulse of the sound"
    config = parse_config(["/d", "/o", "participant", "--features", "expression"])
    fitted = fitted_layers(config, music)["expression"]
    model = EncodingModel.of(config.model.spaces[0], fitted, config)
    assert model.description["LayersLeftOut"] == order.left_out
    assert [path.name for path in space.files_of("piece", piece)] == ["piece.mid"]
    asked = parse_config(
        ["/d", "/o", "participant", "--features", "expression", "--layers", "pedal"]
    )
    with pytest.raises(UsageError, match=r"other\.mid has no sustaining pedal"):
        fitted_layers(asked, music)


def test_other_files_are_other_features(tmp_path, piece):
    def key():
        stimuli = [("piece", piece)]
        return load_or_compute_grams(
            stimuli, cache_dir=tmp_path / "c", features="expression"
        ).path.name

    keys = [key()]
    write_beats(tmp_path / "piece_beats.tsv", [0.0, 0.9, 2.0, 3.2])
    keys.append(key())
    write_midi(tmp_path / "piece.mid", NOTES)
    keys += [key(), key()]
    assert len(set(keys)) == 3
    assert keys[2] == keys[3]


def test_notes_can_lie_in_a_folder_of_their_own(tmp_path, piece):
    folder = tmp_path / "my notes"
    folder.mkdir()
    write_midi(folder / "piece.mid", NOTES, PEDAL)
    options = ["--features", "expression", "--notes-dir", str(folder), "--notes-corpus", "/k"]
    config = parse_config(["/d", "/o", "participant", *options])
    spelled = config.model.spaces[0].features
    assert "corpus" not in spelled
    assert list(layers_of(piece, spelled)[1]) == list(UNITS)


def write_score(path):
    note = "<note><pitch><step>C</step><octave>4</octave></pitch><duration>1</duration></note>"
    path.write_text(
        "<score-partwise><part id='P1'><measure number='1'><attributes><divisions>1</divisions>"
        f"</attributes><sound tempo='60'/>{4 * note}</measure></part></score-partwise>"
    )


def test_a_score_is_no_performance(tmp_path, piece):
    write_score(tmp_path / "piece.musicxml")
    order = find_space("expression").layer_order({"piece": piece})
    assert order.names == ("tempo", "loudness")
    assert "piece.musicxml is a score" in order.left_out["dynamics"]


def test_what_is_odd_is_said(tmp_path, piece):
    space = find_space("expression")
    assert space.remarks_on("piece", piece, 4.0) == []
    write_beats(tmp_path / "piece_beats.tsv", [0.0, 1.0, 2.0, 9.0])
    write_midi(tmp_path / "piece.mid", NOTES)
    beats, notes = space.remarks_on("piece", piece, 1.5)
    assert "go from 0.0 to 9.0 s" in beats
    assert "end at 4.0 s, the recording at 1.5 s" in notes
    for times, what in (
        ([0.0, 2000.0, 4000.0], "in milliseconds they would fit"),
        ([0.0, 0.5, 1.0], "the last beat at 1 s"),
    ):
        write_beats(tmp_path / "piece_beats.tsv", times)
        with pytest.raises(BadDataError, match=what):
            space.remarks_on("piece", piece, 4.0)
    for times, what in (([1.0], "1 beats"), ([0.0, 2.0, 1.0], "beat 3 at 1 s")):
        write_beats(tmp_path / "piece_beats.tsv", times)
        with pytest.raises(BadDataError, match=what):
            space.remarks_on("piece", piece, 4.0)
    (tmp_path / "piece_beats.tsv").write_text("beat\n1\n2\n")
    with pytest.raises(BadDataError, match="wanted: time"):
        read_beats(tmp_path / "piece_beats.tsv")


def test_curves_are_drawn_and_exported(tmp_path, piece):
    write_midi(piece.with_suffix(".mid"), NOTES, PEDAL)
    files = export_features([piece], tmp_path / "out", features="expression")
    assert tmp_path / "out" / "piece_expression.png" in files
    assert Image.open(tmp_path / "out" / "piece_expression.png").height > 700
    told = json.loads((tmp_path / "out" / "piece_expression_01-tempo.json").read_text())
    assert told["TempoFrom"] == "local pulse of the sound"
    table = pd.read_csv(tmp_path / "out" / "piece_expression_05-pedal.tsv", sep="\t")
    assert table["sustain"].max() == 1
    stimuli = [("piece", piece)]
    grams = load_or_compute_grams(stimuli, cache_dir=tmp_path / "c", features="expression")
    draw_stimuli(grams, stimuli)
    drawn = drawn_stimulus(grams, "piece").with_suffix(".svg").read_text()
    assert "beats/min" in drawn
    assert "principal components" not in drawn


def write_match(path, beats):
    """A scale of quarter notes, played at these seconds, with its match file."""
    partitura = pytest.importorskip("partitura", reason="the extra [performance] is not installed")
    part = partitura.score.Part("P0", quarter_duration=4)
    part.add(partitura.score.TimeSignature(4, 4), 0)
    notes, alignment = [], []
    for k, second in enumerate(beats.tolist()):
        written = partitura.score.Note("CDEFGAB"[k % 7], 4, id=f"s{k}", voice=1)
        part.add(written, 4 * k, 4 * (k + 1))
        played = {"id": f"p{k}", "midi_pitch": written.midi_pitch, "velocity": 40 + k % 50}
        notes.append({**played, "note_on": second, "note_off": second + 0.25})
        alignment.append({"label": "match", "score_id": f"s{k}", "performance_id": f"p{k}"})
    partitura.score.add_measures(part)
    pedal = [{"type": "sustain_pedal", "number": 64, "time": 1.0, "value": 127}]
    played = partitura.performance.PerformedPart(notes, controls=pedal)
    partitura.save_match(alignment, played, part, path, mpq=500000, ppq=1000)


def test_tempo_follows_a_score_matched_to_a_performance(tmp_path):
    beats, bpm = played_beats(40.0)
    audio = write_clicks(tmp_path / "piece.wav", [0.5], 40.0)
    write_match(tmp_path / "piece.match", beats)
    match = read_match(tmp_path / "piece.match")
    np.testing.assert_allclose(match.beats, beats, atol=2e-3)
    np.testing.assert_allclose(match.notes.duration, 0.25, atol=2e-3)
    times, found = layers_of(audio)
    assert list(found) == list(UNITS)
    assert found["tempo"].told["TempoFrom"] == "piece.match"
    inside = (times > beats[0]) & (times < beats[-1])
    assert np.corrcoef(found["tempo"].values[inside, 0], bpm(times[inside]))[0, 1] > 0.99
    write_beats(tmp_path / "piece_beats.tsv", beats)
    assert layers_of(audio)[1]["tempo"].told["TempoFrom"] == "piece_beats.tsv"


def test_a_match_file_counts_beside_a_score_not_beside_a_performance(tmp_path, piece):
    def files():
        return [path.name for path in find_space("expression").files_of("piece", piece)]

    (tmp_path / "piece.match").write_text("info(matchFileVersion,1.0.0).\n")
    write_score(tmp_path / "piece.musicxml")
    assert files() == ["piece.match"]
    write_beats(tmp_path / "piece_beats.tsv", [0.0, 1.0, 2.0])
    assert files() == ["piece_beats.tsv", "piece.match"]
    write_midi(tmp_path / "piece.mid", NOTES)
    assert files() == ["piece_beats.tsv", "piece.mid"]


def test_notes_of_a_match_file_win_over_a_score(tmp_path):
    beats, _ = played_beats(20.0)
    audio = write_clicks(tmp_path / "piece.wav", [0.5], 20.0)
    write_match(tmp_path / "piece.match", beats)
    alone = layers_of(audio)[1]
    write_score(tmp_path / "piece.musicxml")
    write_beats(tmp_path / "piece_beats.tsv", beats)
    found = layers_of(audio)[1]
    assert list(found) == list(UNITS)
    assert found["tempo"].told["TempoFrom"] == "piece_beats.tsv"
    for name in ("dynamics", "articulation", "pedal"):
        np.testing.assert_array_equal(found[name].values, alone[name].values)


def test_without_the_package_a_match_file_names_the_extra(tmp_path, piece, monkeypatch):
    def absent(path: Path) -> None:
        raise ModuleNotFoundError("No module named 'partitura'")

    (tmp_path / "piece.match").write_text("info(matchFileVersion,1.0.0).\n")
    monkeypatch.setattr(performance, "load_match", absent)
    with pytest.raises(MissingInputError, match=r"musenc-bidsapp\[performance\]"):
        layers_of(piece)
    # Beats and notes beside it: it is not read.
    write_beats(tmp_path / "piece_beats.tsv", [0.0, 1.0, 2.0])
    write_midi(tmp_path / "piece.mid", NOTES)
    assert len(layers_of(piece)[1]) == 4
