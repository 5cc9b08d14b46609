"""The log-mel spectrogram that VGGish was trained on, and its patches.

Definition: Hershey et al. 2017 (ICASSP) and the parameters published with the network: 16 kHz
mono, 25 ms periodic Hann window every 10 ms, 512-point magnitude spectrum, 64 triangular bands
between 125 and 7,500 Hz on the scale 1127 ln(1 + f / 700), log(x + 0.01).
"""

from __future__ import annotations

import numpy as np

from bids_app.errors import FINITE, LONGER, BadDataError, UsageError

SAMPLE_RATE = 16000
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
FFT_SIZE = 512
N_BANDS = 64
LOWEST_HZ, HIGHEST_HZ = 125.0, 7500.0
LOG_OFFSET = 0.01
PATCH_FRAMES = 96
FRAME_SECONDS = HOP_SAMPLES / SAMPLE_RATE
PATCH_SECONDS = ((PATCH_FRAMES - 1) * HOP_SAMPLES + WINDOW_SAMPLES) / SAMPLE_RATE
"""Sound that one patch has heard, in seconds (0.975)."""

_FRAMES_PER_BLOCK = 4096


def mel_weights() -> np.ndarray:
    """Triangular bands from spectrum bins to mel bands.

    Returns
    -------
    weights : array of shape (257, 64)
        Triangles are linear in mel and not normalized by area; the zero-frequency bin is unused.

    Examples
    --------
    >>> weights = mel_weights()
    >>> weights.shape
    (257, 64)
    >>> (weights[:, 32].argmax() * 16000 / 512).item()  # Hz, where the 33rd band peaks
    1937.5
    """

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    bins = mel(np.linspace(0.0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1))[:, np.newaxis]
    edges = np.linspace(mel(LOWEST_HZ), mel(HIGHEST_HZ), N_BANDS + 2)
    low, center, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins - low) / (center - low)
    falling = (high - bins) / (high - center)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


def log_mel(audio: np.ndarray) -> np.ndarray:
    """VGGish's log-mel spectrogram.

    Parameters
    ----------
    audio : array of shape (n_samples,)
        Floating point, 16 kHz, full scale is 1.

    Returns
    -------
    spectrogram : array of shape (n_frames, 64)
        float64; frame f covers samples 160 f to 160 f + 400 at 16 kHz. Only whole windows:
        n_frames = (n_samples - 400) // 160 + 1.

    Raises
    ------
    BadDataError
        Wrong shape or type, samples that are not finite, or fewer than one window.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> spectrogram = log_mel(tone)
    >>> spectrogram.shape
    (98, 64)
    >>> bool(spectrogram[0].argmax() == mel_weights()[32].argmax())  # spectrum bin 32: 1,000 Hz
    True
    """
    audio = _checked(audio)
    if audio.size < WINDOW_SAMPLES:
        raise BadDataError(
            "Audio is shorter than one analysis window.",
            where="audio",
            found=f"{audio.size} samples at 16 kHz",
            wanted=f"at least {WINDOW_SAMPLES}",
            remedy=LONGER,
        )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
    frames = np.lib.stride_tricks.sliding_window_view(audio, WINDOW_SAMPLES)[::HOP_SAMPLES]
    weights = mel_weights()
    spectrogram = np.empty((len(frames), N_BANDS))
    # In blocks, since the spectra of a long piece would take many times its own memory.
    for start in range(0, len(frames), _FRAMES_PER_BLOCK):
        block = slice(start, start + _FRAMES_PER_BLOCK)
        magnitude = np.abs(np.fft.rfft(frames[block] * window, FFT_SIZE))
        spectrogram[block] = np.log(magnitude @ weights + LOG_OFFSET)
    return spectrogram


def log_mel_patches(audio: np.ndarray, hop: float = 0.48) -> tuple[np.ndarray, np.ndarray]:
    """Cut the log-mel spectrogram into VGGish's input patches.

    Parameters
    ----------
    audio : array of shape (n_samples,)
        Floating point, 16 kHz, full scale is 1.
    hop : float
        Seconds between the starts of successive patches, a multiple of 0.01.

    Returns
    -------
    patches : array of shape (n_patches, 96, 64)
        float32. Only whole patches: frames after the last one are not used.
    times : array of shape (n_patches,)
        Seconds in the audio at the center of the patch, ``0.4875 + hop * n``.

    Raises
    ------
    BadDataError
        As :func:`log_mel`, or the audio is shorter than one patch (0.975 s).
    UsageError
        The hop is not a positive multiple of 10 ms.

    Examples
    --------
    >>> patches, times = log_mel_patches(np.zeros(32000))
    >>> patches.shape
    (3, 96, 64)
    >>> times.round(4).tolist()
    [0.4875, 0.9675, 1.4475]
    """
    times = patch_times(len(audio), hop)
    spectrogram = log_mel(audio).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(spectrogram, PATCH_FRAMES, axis=0)
    patches = np.ascontiguousarray(windows[:: _hop_frames(hop)].transpose(0, 2, 1))
    return patches, times


def patch_times(n_samples: int, hop: float, where: object = "audio") -> np.ndarray:
    """Centers of the whole patches of a sound.

    Parameters
    ----------
    n_samples : int
        Samples at 16 kHz.
    hop : float
        Seconds between patches.
    where : object
        File for the error.

    Returns
    -------
    (n_patches,) float64
        Seconds.

    Raises
    ------
    BadDataError
        The sound is shorter than a patch.

    Examples
    --------
    >>> patch_times(32000, hop=0.48).round(4).tolist()
    [0.4875, 0.9675, 1.4475]
    """
    n_patches = patch_count(n_samples, hop)
    if n_patches == 0:
        raise BadDataError(
            "Audio is shorter than one patch.",
            where=where,
            found=f"{n_samples / SAMPLE_RATE:.3f} s",
            wanted=f"at least {PATCH_SECONDS} s",
            remedy=LONGER,
        )
    return patch_centers(n_patches, hop)


def patch_centers(n_patches: int, hop: float) -> np.ndarray:
    """Centers of patches.

    Parameters
    ----------
    n_patches : int
    hop : float
        Seconds between patches.

    Returns
    -------
    (n_patches,) float64
        Seconds in the audio.

    Examples
    --------
    >>> patch_centers(3, hop=0.96).round(4).tolist()
    [0.4875, 1.4475, 2.4075]
    """
    hop_seconds = _hop_frames(hop) * FRAME_SECONDS
    return PATCH_SECONDS / 2 + hop_seconds * np.arange(n_patches)


def patch_count(n_samples: int, hop: float) -> int:
    """Number of whole patches of a sound.

    Parameters
    ----------
    n_samples : int
        Samples at 16 kHz.
    hop : float
        Seconds between patches.

    Returns
    -------
    int

    Examples
    --------
    >>> patch_count(32000, hop=0.48)
    3
    """
    n_frames = (n_samples - WINDOW_SAMPLES) // HOP_SAMPLES + 1
    return max(0, (n_frames - PATCH_FRAMES) // _hop_frames(hop) + 1)


def _hop_frames(hop: float) -> int:
    frames = round(hop / FRAME_SECONDS)
    if frames < 1 or abs(frames * FRAME_SECONDS - hop) > 1e-6:
        raise UsageError(
            "The hop between patches must be a positive multiple of 0.01 s.",
            where="hop",
            found=hop,
            wanted="for example 0.48 (half a patch) or 0.96",
            remedy="give such a hop with --hop",
        )
    return frames


def _checked(audio: np.ndarray) -> np.ndarray:
    audio = np.asarray(audio)
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating):
        raise BadDataError(
            "audio must be floating-point samples.",
            where="audio",
            found=f"{audio.dtype} of shape {audio.shape}",
            wanted="float of shape (n_samples,), full scale 1",
            remedy="divide 16-bit integers by 32768",
        )
    bad = np.count_nonzero(~np.isfinite(audio))
    if bad:
        raise BadDataError(
            "Audio has samples that are not finite.",
            where="audio",
            found=f"{bad} of {audio.size}",
            wanted="finite samples",
            remedy=FINITE,
        )
    return audio
