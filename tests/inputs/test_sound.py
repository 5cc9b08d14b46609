"""Length and content of sounds, whatever their container says."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bids_app.errors import BadDataError, InvalidInputError
from bids_app.features.audio import audio_duration, load_audio
from bids_app.inputs.mpeg import read_header, scan
from bids_app.inputs.presentations import StimulusSet, presentations_of
from bids_app.inputs.sound import examine_sound, open_sound
from bids_app.inputs.stimuli import StimulusRow

RATE, SECONDS = 44100, 8


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """Loud at the start, quiet later, so that a bit rate of the start misleads."""
    t = np.arange(SECONDS * RATE) / RATE
    noise = np.random.default_rng(0).normal(size=t.size)
    return noise * np.where(t < 1, 0.1, 0.002) + 0.3 * np.sin(2000 * t) * (t % 1.7 < 0.05)


def mp3(path: Path, samples: np.ndarray, rate: int = RATE, mode: str = "VARIABLE") -> bytes:
    soundfile.write(path, samples, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return path.read_bytes()


def without_first_frame(content: bytes) -> bytes:
    header = read_header(content, 0)
    assert header is not None
    assert b"Xing" in content[: header.size] or b"Info" in content[: header.size]
    return content[header.size :]


def id3(milliseconds: int) -> bytes:
    text = b"\0" + str(milliseconds).encode()
    frame = b"TLEN" + struct.pack(">I", len(text)) + b"\0\0" + text
    return b"ID3\x04\0\0\0\0\0" + bytes([len(frame)]) + frame


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT", "AVERAGE"])
@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
def test_an_mp3_that_states_no_length_is_decoded_to_its_end(tmp_path, music, rate, mode):
    path = tmp_path / "a.mp3"
    content = mp3(path, music[: 5 * rate], rate, mode)
    first = read_header(content, 0)
    assert first is not None
    path.write_bytes(content[first.size :])
    sound = examine_sound(path)
    assert sound.duration == pytest.approx(5, abs=0.12)
    assert len(load_audio(path)) / 16000 == pytest.approx(sound.duration, abs=1e-3)
    assert audio_duration(path) == sound.duration
    assert StimulusSet().add(path, "here").duration == sound.duration
    assert "does not say how long it is" in sound.notes[0]


def test_decoding_from_a_pipe_gives_the_samples_of_the_whole_file(tmp_path, music):
    whole, bare = tmp_path / "whole.mp3", tmp_path / "bare.mp3"
    bare.write_bytes(without_first_frame(mp3(whole, music)))
    expected, got = load_audio(whole, RATE), load_audio(bare, RATE)
    found = scan(whole.read_bytes())
    assert found is not None
    # Without its tag, what the encoder added stays; at its very start the encoder's state differs.
    got = got[found.skipped :][: len(expected)]
    np.testing.assert_allclose(got[3000:], expected[3000 : len(got)], atol=1e-6)


@pytest.mark.parametrize(("kind", "rate"), [("mp3", 22050), ("opus", 48000)])
def test_a_file_read_in_blocks_has_the_samples_of_the_whole(tmp_path, music, kind, rate, capfd):
    """Seeking after a block costs these decoders what the next frame needs."""
    path = tmp_path / f"a.{kind}"
    encoding = {"format": "OGG", "subtype": "OPUS"} if kind == "opus" else {}
    soundfile.write(path, music[: 5 * rate], rate, **encoding)
    with open_sound(path) as decoder:
        blocks = np.concatenate(list(decoder.blocks(rate // 7)))[:, 0]
    np.testing.assert_allclose(blocks, soundfile.read(path)[0], atol=1e-6)
    assert capfd.readouterr().err == ""


def test_of_joined_mp3_files_all_is_used_and_said(tmp_path, music):
    path = tmp_path / "a.mp3"
    content = mp3(path, music)
    for name, joined in (
        ("plain", content + content),
        ("tags", id3(1000 * SECONDS) + content + id3(1000 * SECONDS) + content),
        ("bare", content + without_first_frame(content)),
    ):
        other = tmp_path / f"{name}.mp3"
        other.write_bytes(joined)
        sound = examine_sound(other)
        assert sound.duration == pytest.approx(2 * SECONDS, abs=0.12)
        audio = load_audio(other)
        # The loud second is there twice.
        assert np.abs(audio[(SECONDS * 16000) + 4000 :]).std() > 0.5 * np.abs(audio).std()
        assert "all are used" in " ".join(sound.notes)


@pytest.mark.parametrize("share", [0.2, 2 / 3, 0.97])
def test_an_mp3_that_was_cut_off_is_refused(tmp_path, music, share):
    path = tmp_path / "a.mp3"
    content = mp3(path, music)
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadDataError, match=r"states \d+ frames(.|\n)*do this"):
        examine_sound(path)
    with pytest.raises(BadDataError, match="breaks off"):
        load_audio(path)
    zeros = content[: int(len(content) * share)].ljust(len(content), b"\0")
    path.write_bytes(zeros + b"\0")
    with pytest.raises(BadDataError, match="truncated"):
        audio_duration(path)


def test_an_mp3_without_a_length_that_was_cut_off_is_refused(tmp_path, music):
    path = tmp_path / "a.mp3"
    content = without_first_frame(mp3(path, music))
    path.write_bytes(content[: len(content) // 2 + 1])
    with pytest.raises(BadDataError, match="last frame lacks"):
        examine_sound(path)
    # At the end of a frame only the tag can tell.
    found = scan(content)
    assert found is not None
    at = 0
    for _ in range(found.n_frames // 2):
        header = read_header(content, at)
        assert header is not None
        at += header.size
    path.write_bytes(id3(1000 * SECONDS) + content[:at])
    with pytest.raises(BadDataError, match=r"ID3 tag: 8\.00 s"):
        examine_sound(path)


def test_an_mp3_with_foreign_bytes_inside_is_refused(tmp_path, music):
    path = tmp_path / "a.mp3"
    content = without_first_frame(mp3(path, music))
    noise = np.random.default_rng(1).bytes(5000)
    path.write_bytes(content[:20000] + noise + content[20000:])
    with pytest.raises(BadDataError, match="no MPEG frames"):
        examine_sound(path)
    other = without_first_frame(mp3(path, music[:100000], 48000))
    path.write_bytes(content + other)
    with pytest.raises(BadDataError, match="change within"):
        examine_sound(path)


_WHOLE = {
    "wav": "WAV", "rf64": "RF64", "w64": "W64", "aiff": "AIFF", "au": "AU", "caf": "CAF",
    "flac": "FLAC", "ogg": "OGG", "svx": "SVX", "voc": "VOC", "nist": "NIST",
}  # fmt: skip


@pytest.mark.parametrize("kind", _WHOLE)
def test_a_file_that_breaks_off_is_refused_in_plan_and_features(tmp_path, music, kind):
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, music, RATE, format=_WHOLE[kind])
    assert examine_sound(path).duration == pytest.approx(SECONDS, abs=1e-6)
    assert examine_sound(path).notes == ()
    content = path.read_bytes()
    for share in (0.5, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(InvalidInputError, match=r"breaks off(.|\n)*do this"):
            StimulusSet().add(path, "here")
        with pytest.raises(BadDataError, match="breaks off"):
            load_audio(path)
    # Two files one behind the other: never the first alone.
    path.write_bytes(content + content)
    with contextlib.suppress(BadDataError):
        assert examine_sound(path).duration == pytest.approx(2 * SECONDS, abs=0.05)


_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_STATED = [
    ("WAV", b"RIFF", 4, "<I"), ("WAV", b"data", 4, "<I"), ("RF64", b"ds64", 8, "<Q"),
    ("RF64", b"ds64", 16, "<Q"), ("RF64", b"ds64", 24, "<Q"), ("W64", b"riff", 16, "<Q"),
    ("W64", _W64_DATA, 16, "<Q"), ("AIFF", b"FORM", 4, ">I"), ("AIFF", b"COMM", 10, ">I"),
    ("AIFF", b"SSND", 4, ">I"), ("AU", b".snd", 8, ">I"), ("CAF", b"data", 4, ">Q"),
    ("SVX", b"FORM", 4, ">I"), ("SVX", b"VHDR", 8, ">I"), ("SVX", b"BODY", 4, ">I"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "mark", "offset", "number"), _STATED)
@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1])
def test_every_length_that_a_container_states_is_compared(
    tmp_path, music, kind, mark, offset, number, factor
):
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, music, RATE, format=kind)
    content = bytearray(path.read_bytes())
    at = content.index(mark) + offset
    said = struct.unpack_from(number, content, at)[0]
    struct.pack_into(number, content, at, int(said * factor))
    path.write_bytes(content)
    try:
        notes = examine_sound(path).notes
    except BadDataError as error:
        notes = (str(error.found),)
    assert notes
    assert all(text.isprintable() for text in notes)


_RARE = "AVR HTK IRCAM MAT4 MAT5 MPC2K PAF PVF SDS WVE XI"


@pytest.mark.parametrize("kind", _RARE.split())
def test_a_kind_whose_end_cannot_be_compared_is_refused(tmp_path, music, kind):
    path = tmp_path / "a.bin"
    subtype = {"WVE": "ALAW", "XI": "DPCM_16"}.get(kind)
    soundfile.write(path, music, RATE, format=kind, subtype=subtype)
    with pytest.raises(BadDataError, match=r"do not say where(.|\n)*convert it to WAV or FLAC"):
        examine_sound(path)


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "ULAW", "FLOAT", "PCM_24", "PCM_U8"])
def test_encodings_of_wav_files(tmp_path, music, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, music, RATE, subtype=subtype)
    assert examine_sound(path).duration == pytest.approx(SECONDS, abs=0.12)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(BadDataError, match="breaks off"):
        examine_sound(path)


def test_headers_that_were_never_completed(tmp_path, music):
    path = tmp_path / "a.wav"
    soundfile.write(path, music, RATE)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    # A pipe leaves the size open: all of it counts.
    content[4:8] = content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert examine_sound(path).duration == pytest.approx(SECONDS)
    assert "does not say how long it is" in examine_sound(path).notes[0]
    for said in (0, RATE * 4):
        content[4:8] = struct.pack("<I", said + 36)
        content[at : at + 4] = struct.pack("<I", said)
        path.write_bytes(content)
        with pytest.raises(BadDataError, match=r"behind the end|that are there"):
            examine_sound(path)


def test_flac_of_another_length_than_its_header_counts_is_refused_with_its_cause(tmp_path, music):
    path = tmp_path / "a.flac"
    soundfile.write(path, music, RATE)
    content = bytearray(path.read_bytes())
    path.write_bytes(content + b"TAG" + bytes(125))
    assert examine_sound(path).n_frames == music.size
    content[21] &= 0xF0
    for said, words in (
        (0, "counts no samples"),
        (music.size // 2, "more follow"),
        (music.size - 1, "more follow"),
        (music.size + RATE, "9.00 s of sound, but 8.00 s can be decoded"),
    ):
        content[22:26] = struct.pack(">I", said)
        path.write_bytes(content)
        with pytest.raises(BadDataError, match=words):
            examine_sound(path)


@pytest.mark.parametrize("factor", [-1.0, -0.9, -1.05])
def test_channels_that_cancel_are_refused(tmp_path, music, factor):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([music, factor * music], axis=1), RATE)
    with pytest.raises(BadDataError, match=r"cancel(.|\n)*ffmpeg"):
        load_audio(path)
    with pytest.raises(InvalidInputError, match="cancel"):
        StimulusSet().add(path, "here")


def test_what_is_odd_about_a_sound_is_said(tmp_path, music):
    half = np.where(np.arange(music.size) < music.size / 2, music, -music)
    nothing = np.zeros(12 * RATE)
    cases = {
        "ordinary": (np.stack([music, music[::-1]], axis=1), ""),
        "nearly": (np.stack([music, -0.7 * music], axis=1), "nearly cancel"),
        "half": (np.stack([music, half], axis=1), "cancel in 4 of 8 seconds"),
        "one": (np.stack([0 * music, music], axis=1), "channel 1 of 2 is silent"),
        "clipped": (np.clip(40 * music, -1, 1), "clipped at full scale"),
        "faint": (1e-4 * music, "very faint"),
        "tail": (np.r_[music, nothing], "silence from 8 to 20 s"),
    }
    for name, (samples, words) in cases.items():
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples, RATE, subtype="FLOAT")
        notes = " ".join(examine_sound(path).notes)
        assert words in notes, name
        assert bool(words) == bool(notes), name
    path = tmp_path / "nearly.wav"
    rows = [StimulusRow(path, onset, 0.0, None, {}, "line 2") for onset in (0.0, 20.0)]
    _, warnings = presentations_of(rows, StimulusSet(), 60.0)
    assert [text for text in warnings if "nearly cancel" in text] == warnings


def test_samples_of_another_unit_are_refused(tmp_path, music):
    path = tmp_path / "a.wav"
    soundfile.write(path, music * 32768, RATE, subtype="FLOAT")
    with pytest.raises(BadDataError, match=r"full scale is 1(.|\n)*32768"):
        load_audio(path)


def test_a_changed_file_is_examined_again(tmp_path, music):
    path = tmp_path / "a.wav"
    soundfile.write(path, music, RATE)
    assert audio_duration(path) == SECONDS
    soundfile.write(path, music[: 2 * RATE], RATE)
    os.utime(path, ns=(1, 1))
    assert audio_duration(path) == 2
