from __future__ import annotations

import numpy as np
import pytest
import soundfile

from bids_app.features.registry import find_space
from bids_app.inputs.notes import find_notes, read_notes
from bids_app.testing.music import DEFAULT_PIECES, Piece, compose, synthesize, write_music
from bids_app.testing.synthesis import DRUMS, Note, render

SHORT = Piece("short", 30.0, tempo=110.0, minor=False, tonic=60, energy=0.6)


def test_same_seed_same_music_other_seed_other_music():
    first = synthesize(SHORT, 3)
    np.testing.assert_array_equal(first, synthesize(SHORT, 3))
    other = synthesize(SHORT, 4)
    assert other.shape == first.shape
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.2


def test_default_pieces_last_eight_to_ten_minutes_and_differ_in_length():
    seconds = [piece.duration for piece in DEFAULT_PIECES]
    assert len(set(seconds)) == 3
    assert 480 <= sum(seconds) <= 600


def test_length_and_peak():
    sound = synthesize(SHORT, 0)
    assert sound.shape == (30 * 16000,)
    assert sound.dtype == np.float32
    assert 0.3 < np.abs(sound).max() <= 0.9


def test_stereo_channels_differ_and_mix_to_mono():
    stereo = render(compose(SHORT, 0), 30.0, 16000, seed=0)
    assert stereo.shape == (30 * 16000, 2)
    assert np.corrcoef(stereo.T)[0, 1] < 0.99
    np.testing.assert_allclose(stereo.mean(axis=1), synthesize(SHORT, 0), atol=1e-6)


def test_loudness_and_spectrum_change_over_a_piece():
    sound = synthesize(DEFAULT_PIECES[0], 0)
    windows = sound[: len(sound) // 64000 * 64000].reshape(-1, 64000)
    rms = np.sqrt(np.mean(windows**2, axis=1))
    assert rms.max() > 2.5 * rms.min()
    assert rms.min() > 0.001
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    centroid = power @ np.fft.rfftfreq(64000, 1 / 16000) / power.sum(axis=1)
    assert centroid.max() > 1.5 * centroid.min()


def test_pieces_have_several_voices_and_instruments():
    notes = compose(DEFAULT_PIECES[2], 0)
    assert len({note.instrument for note in notes}) >= 6
    onsets = np.array([note.onset for note in notes])
    ends = onsets + [note.duration for note in notes]
    sounding = [np.sum((onsets <= t) & (ends > t)) for t in np.arange(5, 220, 2.5)]
    assert np.median(sounding) >= 3


def test_tempo_changes():
    notes = [n for n in compose(DEFAULT_PIECES[0], 0) if n.duration > 0]
    per_window = np.histogram([n.onset for n in notes], bins=np.arange(0, 128, 8))[0]
    assert per_window.max() > 1.5 * max(1, per_window.min())


def test_a_tone_has_its_pitch():
    sound = render([Note(0.0, 1.0, 69, 0.8, "clarinet")], 1.5, 16000, seed=0, reverberation=0.0)
    spectrum = np.abs(np.fft.rfft(sound.mean(axis=1)[:16000]))
    assert abs(spectrum.argmax() - 440) <= 1


def test_louder_notes_are_brighter():
    def brightness(velocity):
        note = Note(0.0, 1.0, 57, velocity, "brass")
        power = np.abs(np.fft.rfft(render([note], 1.0, 16000, seed=0)[:, 0])) ** 2
        return power @ np.arange(power.size) / power.sum()

    assert brightness(1.0) > 1.2 * brightness(0.1)


def test_no_note_no_sound_and_late_notes_are_left_out():
    assert not render([], 0.5, 8000, seed=0).any()
    assert not render([Note(2.0, 1.0, 60, 1.0, "piano")], 0.5, 8000, seed=0).any()
    assert render([Note(0.4, 1.0, 60, 1.0, "piano")], 0.5, 8000, seed=0).shape == (4000, 2)


def test_wav_files_are_named_after_the_pieces(tmp_path):
    (path,) = write_music(tmp_path / "stimuli", [SHORT], seed=1)
    info = soundfile.info(path)
    assert path.name == "short.wav"
    assert (info.samplerate, info.channels, info.duration) == (16000, 1, 30.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_impossible_music_is_refused(seconds):
    piece = Piece("x", seconds, tempo=100.0, minor=False, tonic=60, energy=0.5)
    with pytest.raises(ValueError, match="positive"):
        synthesize(piece, 0)


def test_the_notes_of_the_music_lie_beside_it(tmp_path):
    (path,) = write_music(tmp_path, [SHORT], seed=1)
    notes = read_notes(find_notes(path))
    assert notes.path.name == "short_notes.tsv"
    assert notes.end <= 30.0 + 1e-3
    composed = [n for n in compose(SHORT, 1) if n.instrument not in DRUMS and n.onset < 30.0]
    assert len(notes.onset) == len(composed)
    np.testing.assert_allclose(notes.onset, sorted(n.onset for n in composed), atol=1e-4)
    assert np.ptp(notes.velocity) > 10
    assert find_space("notes").remarks_on("short", path, 30.0)[0].startswith("notes: no other")
