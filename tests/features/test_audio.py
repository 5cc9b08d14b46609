from __future__ import annotations

import hashlib

import numpy as np
import pytest
import soundfile
from real_data import DATA

from bids_app.errors import BadDataError, MissingInputError
from bids_app.features.audio import audio_duration, file_sha256, load_audio


def test_samples_come_back_as_written(make_wav, rng):
    samples = rng.uniform(-0.5, 0.5, 5000).astype(np.float32)
    np.testing.assert_array_equal(load_audio(make_wav(samples=samples)), samples)


def test_channels_are_averaged(make_wav, rng):
    samples = rng.uniform(-0.5, 0.5, 5000)
    path = make_wav(samples=samples, channels=2)
    np.testing.assert_allclose(load_audio(path), samples * 0.75, atol=1e-7)


@pytest.mark.parametrize("sample_rate", [8000, 22050, 44100, 48000])
def test_block_wise_resampling_equals_librosa(make_wav, sample_rate):
    import librosa

    path = make_wav(seconds=65, sample_rate=sample_rate, channels=2)
    ours = load_audio(path)
    theirs, _ = librosa.load(path, sr=16000)
    assert abs(len(ours) - len(theirs)) <= 1
    n = min(len(ours), len(theirs)) - 1
    np.testing.assert_allclose(ours[:n], theirs[:n], atol=1e-4)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "aiff", "mp3"])
def test_other_formats(tmp_path, rng, suffix):
    path = tmp_path / f"a.{suffix}"
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
    soundfile.write(path, tone, 16000)
    assert audio_duration(path) == pytest.approx(2.0, abs=0.1)
    loaded = load_audio(path)
    assert np.sqrt(np.mean(loaded[4000:28000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_duration_and_checksum(make_wav):
    path = make_wav(seconds=1.5, sample_rate=22050)
    assert audio_duration(path) == pytest.approx(1.5)
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(0), "no samples"),
        (np.zeros(20000), "silent"),
        (np.full(20000, 0.25), "silent"),
        (np.r_[np.ones(50), np.nan, np.zeros(50)], "1 of 101 samples are NaN"),
    ],
)
def test_useless_audio_is_refused_by_name(make_wav, samples, words):
    path = make_wav("broken.wav", samples=samples)
    with pytest.raises(BadDataError, match=words) as error:
        load_audio(path)
    assert "broken.wav" in str(error.value)
    assert "do this" in str(error.value)


def test_unreadable_and_absent_files(tmp_path):
    text = tmp_path / "notes.wav"
    text.write_text("this is no sound")
    with pytest.raises(
        BadDataError, match=r"cannot be read as audio(.|\n)*notes\.wav(.|\n)*ffmpeg"
    ):
        load_audio(text)
    with pytest.raises(MissingInputError, match="no such file"):
        load_audio(tmp_path / "absent.wav")
    link = tmp_path / "annexed.wav"
    link.symlink_to(tmp_path / ".git" / "annex" / "objects" / "x")
    with pytest.raises(MissingInputError, match="datalad get"):
        audio_duration(link)


@pytest.mark.integration
def test_real_recordings():
    files = sorted((DATA / "audio").glob("*.ogg"))
    if not files:
        pytest.skip(f"no recordings in {DATA}/audio (set MUSENC_TEST_DATA)")
    for path in files:
        assert len(load_audio(path)) / 16000 == pytest.approx(audio_duration(path), abs=0.01)
