"""`musenc dissonance`: what is added lies a tone above and a tritone below."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from bids_app.cli.tools import main
from bids_app.errors import BadDataError, UsageError
from bids_app.features.dissonance import SHIFTS, dissonant_twin

RATE = 22050


def tone(frequency, seconds=2.0, size=0.3):
    return size * np.sin(2 * np.pi * frequency * np.arange(int(RATE * seconds)) / RATE)


def partials(sound):
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) ** 2
    places = np.flatnonzero(
        (spectrum[1:-1] > spectrum[:-2])
        & (spectrum[1:-1] >= spectrum[2:])
        & (spectrum[1:-1] > 0.05 * spectrum.max())
    )
    return (places + 1) * RATE / sound.size


@pytest.mark.parametrize(("shifts", "ratios"), [((2, -6), (2 ** (-6 / 12), 1, 2 ** (2 / 12)))])
def test_copies_lie_at_the_shifts_and_loudness_stays(shifts, ratios):
    sound = tone(500.0)
    twin = dissonant_twin(sound, RATE, shifts)
    assert twin.shape == sound.shape
    np.testing.assert_allclose(partials(twin), 500 * np.array(ratios), rtol=0.005)
    assert np.sqrt(np.mean(twin**2)) == pytest.approx(np.sqrt(np.mean(sound**2)))


@pytest.mark.parametrize("shift", ["nan", "inf", "200", "-600"])
def test_shifts_are_of_two_octaves_at_most(capsys, shift):
    with pytest.raises(SystemExit, match="2"):
        main(["dissonance", "dance.wav", "--shift", "1", shift])
    assert "--shift" in capsys.readouterr().err
    with pytest.raises(UsageError, match="finite shift"):
        dissonant_twin(tone(440.0), RATE, (float("nan"),))


def test_the_command_writes_a_file_beside_the_recording(tmp_path, capsys):
    soundfile.write(tmp_path / "dance.wav", np.column_stack([tone(440.0)] * 2), RATE)
    assert main(["dissonance", str(tmp_path / "dance.wav")]) == 0
    assert "dance_dissonant.wav written" in capsys.readouterr().out
    twin, rate = soundfile.read(tmp_path / "dance_dissonant.wav")
    assert rate == RATE
    assert twin.shape == (int(RATE * 2.0),)
    np.testing.assert_allclose(partials(twin), [311.13, 440.0, 493.88], rtol=0.005)


def test_what_would_clip_is_softer_and_said(tmp_path, capsys):
    soundfile.write(tmp_path / "loud.wav", tone(440.0, size=0.99), RATE)
    call = ["dissonance", str(tmp_path / "loud.wav"), "-o", str(tmp_path / "out"), "--shift", "3"]
    assert main(call) == 0
    assert "dB softer" in capsys.readouterr().out
    assert np.abs(soundfile.read(tmp_path / "out" / "loud_dissonant.wav")[0]).max() <= 1


def test_what_has_no_twin_is_refused(tmp_path):
    with pytest.raises(BadDataError, match="silent"):
        dissonant_twin(np.zeros(4000), RATE)
    with pytest.raises(BadDataError, match=r"shorter than a window(.|\n)*1000 samples"):
        dissonant_twin(np.ones(1000), RATE)
    with pytest.raises(UsageError):
        dissonant_twin(tone(440.0), RATE, ())
    assert main(["dissonance", str(tmp_path / "none.wav")]) == 66


def test_recordings_of_one_name_are_refused_before_anything_is_written(tmp_path, capsys):
    files = [tmp_path / "a" / "x.wav", tmp_path / "b" / "x.wav"]
    for path, frequency in zip(files, (440.0, 550.0), strict=True):
        path.parent.mkdir()
        soundfile.write(path, tone(frequency), RATE)
    call = ["dissonance", *map(str, files)]
    assert main([*call, "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert all(str(path) in told for path in files)
    assert not (tmp_path / "out").exists()
    assert main(call) == 0
    assert (tmp_path / "b" / "x_dissonant.wav").is_file()


def test_the_help_names_the_shifts_that_are_used(capsys):
    with pytest.raises(SystemExit):
        main(["dissonance", "--help"])
    shown = " ".join(f"{shift:g}" for shift in SHIFTS)
    assert f"(default: {shown})" in " ".join(capsys.readouterr().out.split())
