"""A gammatone front end: cochleagram, envelope and spectro-temporal modulation.

This is an own front end, not the NSL toolbox: 128 fourth-order gammatone filters of one ERB
(Glasberg and Moore 1990; Patterson et al. 1992) at 24 per octave from 180 to 7,040 Hz, the
magnitude of their analytic output averaged in frames of 8 ms, and a power of 0.3 as loudness
compression. Modulation filters have the shapes of Chi, Ru and Shamma 2005.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from bids_app.errors import LONGER, BadDataError
from bids_app.features.logmel import SAMPLE_RATE
from bids_app.features.pooling import FeatureSeries, Unit, window_means
from bids_app.features.registry import Sound

CENTERS_HZ = 440.0 * 2.0 ** (np.arange(-31, 97) / 24)
"""128 center frequencies."""
RATES_HZ = 2.0 ** np.arange(-1, 5)
SCALES_PER_OCTAVE = 2.0 ** np.arange(-1, 5)
CHANNELS_PER_OCTAVE = 24
FRAME_SAMPLES = 128
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
COMPRESSION = 0.3

_FFT_SIZE = 32768
_RESPONSE_SAMPLES = 2048
_STEP = _FFT_SIZE - _RESPONSE_SAMPLES
_MODULATION_TAIL_SECONDS = 10.0


def envelope_layers(sound: Sound) -> list[FeatureSeries]:
    """The layer of the space ``envelope``.

    Parameters
    ----------
    sound : Sound

    Returns
    -------
    list of one FeatureSeries
        One value per step.

    Examples
    --------
    >>> sound = Sound("clip", np.ones(32000), times=np.array([0.5, 1.0, 1.5]), step=0.5)
    >>> (layer,) = envelope_layers(sound)
    >>> layer.name, layer.values.shape
    ('envelope', (3, 1))
    """
    unit = Unit("envelope", "Mean over 128 compressed gammatone channels", "a.u.")
    (channels,) = cochleagram_layers(sound)
    return [FeatureSeries("envelope", channels.values.mean(axis=1, keepdims=True), (unit,))]


def cochleagram_layers(sound: Sound) -> list[FeatureSeries]:
    """The layer of the space ``cochleagram``.

    Parameters
    ----------
    sound : Sound

    Returns
    -------
    list of one FeatureSeries
        128 channels per step.

    Examples
    --------
    >>> sound = Sound("clip", np.ones(32000), times=np.array([0.5, 1.0, 1.5]), step=0.5)
    >>> (layer,) = cochleagram_layers(sound)
    >>> layer.values.shape, layer.units[0].long_name
    ((3, 128), 'Compressed gammatone envelope at 179.7 Hz')
    """
    units = tuple(
        Unit(f"channel_{n:03d}", f"Compressed gammatone envelope at {hertz:.1f} Hz", "a.u.")
        for n, hertz in enumerate(CENTERS_HZ)
    )
    values = window_means(*cochleagram(sound.audio), sound.times, sound.step)
    return [FeatureSeries("cochleagram", values, units)]


def modulation_layers(sound: Sound) -> list[FeatureSeries]:
    """The layer of the space ``modulation``.

    Parameters
    ----------
    sound : Sound

    Returns
    -------
    list of one FeatureSeries
        6 rates x 6 scales x 128 channels per step.

    Examples
    --------
    >>> sound = Sound("clip", np.ones(32000), times=np.array([0.5, 1.0, 1.5]), step=0.5)
    >>> (layer,) = modulation_layers(sound)
    >>> layer.values.shape  # 6 rates, 6 scales, 128 channels
    (3, 4608)
    """
    units = tuple(
        Unit(
            f"rate_{rate:g}_scale_{scale:g}_channel_{n:03d}",
            f"Modulation at {rate:g} Hz and {scale:g} cycles/octave around {hertz:.1f} Hz",
            "a.u.",
        )
        for rate in RATES_HZ
        for scale in SCALES_PER_OCTAVE
        for n, hertz in enumerate(CENTERS_HZ)
    )
    values = modulation(*cochleagram(sound.audio), sound.times, sound.step)
    return [FeatureSeries("modulation", values.reshape(len(values), -1), units)]


def cochleagram(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compressed envelopes of 128 gammatone channels.

    Parameters
    ----------
    audio : array of shape (n_samples,)
        At 16 kHz.

    Returns
    -------
    times : array of shape (n_frames,)
        Centers of the 8 ms frames in seconds.
    values : array of shape (n_frames, 128)
        float32; for a pure tone at the center of a channel its amplitude to the power of 0.3.

    Raises
    ------
    BadDataError
        Fewer samples than one frame.

    Examples
    --------
    >>> tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    >>> times, values = cochleagram(tone)
    >>> values.shape, CENTERS_HZ[values[60].argmax()].item()
    ((125, 128), 440.0)
    >>> round(float(values[60].max()), 3), round(0.5**0.3, 3)
    (0.812, 0.812)
    """
    n_frames = audio.size // FRAME_SAMPLES
    if n_frames == 0:
        raise BadDataError(
            "Audio is shorter than one frame.",
            where="audio",
            found=f"{audio.size} samples",
            wanted=f"at least {FRAME_SAMPLES} samples",
            remedy=LONGER,
        )
    filters = _gammatone_responses()
    # Zeros in front stand for the silence before the sound; each block begins with the history
    # that the longest impulse response reaches back to.
    padded = np.zeros(_RESPONSE_SAMPLES + -(-audio.size // _STEP) * _STEP, dtype=np.float32)
    padded[_RESPONSE_SAMPLES : _RESPONSE_SAMPLES + audio.size] = audio
    frames = []
    for start in range(0, padded.size - _RESPONSE_SAMPLES, _STEP):
        spectrum = scipy.fft.fft(padded[start : start + _FFT_SIZE])
        analytic = scipy.fft.ifft(filters * spectrum, axis=1)[:, _RESPONSE_SAMPLES:]
        envelope = np.abs(analytic).reshape(len(filters), -1, FRAME_SAMPLES).mean(axis=2)
        frames.append(envelope.T)
    values = np.concatenate(frames)[:n_frames] ** COMPRESSION
    return (np.arange(n_frames) + 0.5) * FRAME_SECONDS, values.astype(np.float32)


def modulation(
    frame_times: np.ndarray, values: np.ndarray, times: np.ndarray, step: float
) -> np.ndarray:
    """Spectro-temporal modulation of a cochleagram, averaged over steps.

    Magnitudes of filters tuned to 6 rates (0.5 to 16 Hz) and 6 scales (0.5 to 16 cycles/octave),
    mean of upward and downward sweeps. The channels resolve 12 cycles/octave, so the highest
    scale takes what is finest.

    Parameters
    ----------
    frame_times : array of shape (n_frames,)
        From :func:`cochleagram`.
    values : array of shape (n_frames, 128)
        From :func:`cochleagram`.
    times : array of shape (n_times,)
        Middles of the steps in seconds.
    step : float
        Seconds of a step.

    Returns
    -------
    modulation : array of shape (n_times, 6, 6, 128)
        float64: rate, scale, channel.

    Examples
    --------
    >>> seconds = np.arange(64000) / 16000
    >>> tremolo = (1 + np.sin(2 * np.pi * 4 * seconds)) * np.sin(2 * np.pi * 440 * seconds) / 2
    >>> energy = modulation(*cochleagram(tremolo), times=np.array([2.0]), step=1.0)
    >>> energy.shape
    (1, 6, 6, 128)
    >>> RATES_HZ[energy[0, :, :, 31].sum(axis=1).argmax()].item()  # Hz; channel 31 is at 440 Hz
    4.0
    """
    n_frames, n_channels = values.shape
    tail = round(_MODULATION_TAIL_SECONDS / FRAME_SECONDS)
    n_fft = scipy.fft.next_fast_len(n_frames + tail)
    edge = n_channels // 2
    mirrored = np.pad(values, ((0, 0), (edge, edge)), mode="symmetric").astype(np.float32)
    spectra = scipy.fft.fft(mirrored, axis=1)
    result = np.empty((len(times), len(RATES_HZ), len(SCALES_PER_OCTAVE), n_channels))
    for s, scale in enumerate(SCALES_PER_OCTAVE):
        ripple = scipy.fft.ifft(spectra * _scale_response(scale, mirrored.shape[1]), axis=1)
        over_time = scipy.fft.fft(ripple[:, edge:-edge], n_fft, axis=0)
        for r, rate in enumerate(RATES_HZ):
            response = _rate_response(rate, n_fft)
            # One-sided in both directions: the sign of the rate tells upward from downward.
            mirror = np.conj(np.roll(response[::-1], 1))
            magnitude = np.zeros((n_frames, n_channels), dtype=np.float32)
            for one_sided in (response, mirror):
                filtered = scipy.fft.ifft(over_time * one_sided[:, np.newaxis], axis=0)
                magnitude += np.abs(filtered[:n_frames]) / 2
            result[:, r, s] = window_means(frame_times, magnitude, times, step)
    return result


def _gammatone_responses() -> np.ndarray:
    """Frequency responses (128, n_fft) of the analytic filters, gain 2 at the center."""
    times = np.arange(_RESPONSE_SAMPLES) / SAMPLE_RATE
    bandwidth = 1.019 * 24.7 * (4.37 * CENTERS_HZ / 1000 + 1)
    decay = np.exp(-2 * np.pi * bandwidth[:, np.newaxis] * times)
    carrier = np.exp(2j * np.pi * CENTERS_HZ[:, np.newaxis] * times)
    impulse = times**3 * decay * carrier
    gain = np.abs((impulse * carrier.conj()).sum(axis=1, keepdims=True))
    # Half of a real tone is at the positive frequency, the only one that passes: hence the 2.
    return scipy.fft.fft(2 * impulse / gain, _FFT_SIZE, axis=1).astype(np.complex64)


def _scale_response(scale: float, n_channels: int) -> np.ndarray:
    cycles = scipy.fft.fftfreq(n_channels, 1 / CHANNELS_PER_OCTAVE)
    squared = (cycles / scale) ** 2
    return np.where(cycles > 0, 2 * squared * np.exp(1 - squared), 0).astype(np.float32)


def _rate_response(rate: float, n_fft: int) -> np.ndarray:
    times = np.arange(n_fft) * FRAME_SECONDS
    impulse = (rate * times) ** 2 * np.exp(-3.5 * rate * times) * np.sin(2 * np.pi * rate * times)
    response = scipy.fft.fft(impulse)
    response[scipy.fft.fftfreq(n_fft) <= 0] = 0
    return (2 * response / np.abs(response).max()).astype(np.complex64)
