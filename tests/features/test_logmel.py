"""The log-mel front end against a computation that shares no code with it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.signal

from bids_app.errors import BadDataError, UsageError
from bids_app.features.logmel import log_mel, log_mel_patches, patch_count


def reference_log_mel(samples):
    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    window = scipy.signal.get_window("hann", 400, fftbins=True)
    bins = np.arange(257) * 16000 / 512
    edges = np.linspace(mel(125), mel(7500), 66)
    bands = np.stack(
        [np.interp(mel(bins), edges[b : b + 3], [0, 1, 0], left=0, right=0) for b in range(64)]
    )
    bands[:, 0] = 0
    rows = []
    for start in range(0, len(samples) - 399, 160):
        frame = np.zeros(512)
        frame[:400] = samples[start : start + 400] * window
        spectrum = scipy.fft.fft(frame)[:257]
        rows.append(np.log(bands @ np.hypot(spectrum.real, spectrum.imag) + 0.01))
    return np.array(rows)


def test_log_mel_matches_an_independent_computation(audio):
    np.testing.assert_allclose(log_mel(audio), reference_log_mel(audio), atol=1e-10)


def test_bands_are_triangles_between_125_and_7500_hz():
    times = np.arange(16000) / 16000
    for hertz, band in ((60, None), (1000, 24), (7900, None)):
        spectrum = np.exp(log_mel(np.sin(2 * np.pi * hertz * times))).mean(axis=0)
        if band is None:
            assert spectrum.max() < 3  # leakage of the window
        else:
            assert spectrum.max() > 50
            edges = 700 * np.expm1(
                np.linspace(*(1127 * np.log1p(np.r_[125, 7500] / 700)), 66) / 1127
            )
            assert np.argmax(spectrum) == np.argmin(np.abs(edges[1:-1] - hertz))


def test_silence_gives_the_floor():
    np.testing.assert_allclose(log_mel(np.zeros(1000)), np.log(0.01))


def test_only_whole_windows_are_used():
    for n_samples, n_frames in ((400, 1), (559, 1), (560, 2), (16000, 98)):
        assert log_mel(np.ones(n_samples)).shape == (n_frames, 64)


@pytest.mark.parametrize(("hop", "n_patches"), [(0.96, 3), (0.48, 5), (0.01, 203)])
def test_patches_are_windows_of_the_spectrogram(audio, hop, n_patches):
    spectrogram = log_mel(audio)
    patches, times = log_mel_patches(audio, hop)
    assert patches.shape == (n_patches, 96, 64)
    assert patches.dtype == np.float32
    assert n_patches == patch_count(audio.size, hop)
    for number in (0, 1, n_patches - 1):
        start = round(number * hop * 100)
        np.testing.assert_allclose(
            patches[number], spectrogram[start : start + 96].astype(np.float32)
        )
        # Center of the sound the patch has heard: 95 hops and one window of 25 ms.
        assert times[number] == pytest.approx(start / 100 + (0.95 + 0.025) / 2)


def test_unusable_samples_are_refused():
    with pytest.raises(BadDataError, match="not finite"):
        log_mel(np.r_[np.ones(500), np.nan])
    with pytest.raises(BadDataError, match="floating-point"):
        log_mel(np.ones(500, dtype=np.int16))
    with pytest.raises(BadDataError, match="floating-point"):
        log_mel(np.ones((2, 3, 500)))
    with pytest.raises(BadDataError, match="one analysis window"):
        log_mel(np.ones(399))
    with pytest.raises(BadDataError, match="shorter than one patch"):
        log_mel_patches(np.ones(15599))
    assert len(log_mel_patches(np.ones(15600))[0]) == 1


@pytest.mark.parametrize("hop", [0.0, -0.48, 0.485])
def test_hops_between_frames_are_refused(audio, hop):
    with pytest.raises(UsageError, match=r"multiple of 0\.01"):
        log_mel_patches(audio, hop)
