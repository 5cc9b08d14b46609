"""Music descriptors through librosa: loudness, timbre, tonality, rhythm."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter

from bids_app.features.compiled import compiled_alone
from bids_app.features.logmel import SAMPLE_RATE
from bids_app.features.pooling import FeatureSeries, Unit, window_means

_FFT_SIZE = 2048
_HOP = 512
_FRAME_SECONDS = _HOP / SAMPLE_RATE
# librosa looks for peaks within 30 ms, so frames must be closer than that.
_ONSET_HOP = 256
# Key, pulse and tempo are properties of seconds of music, not of one patch.
_CONTEXT_SECONDS = 6.0
_N_PARTIALS = 20
_FRAMES_PER_BLOCK = 2000
_TEMPO_RANGE = (40.0, 240.0)
_FAINTEST_PULSE = 0.05  # of the strongest: fainter ones are where nothing is struck
# Of the pulse, 4.1 and 8.2 s.
_SHORT_PULSE_FRAMES, _LONG_PULSE_FRAMES = 256, 512

UNITS = {
    "loudness": (Unit("rms", "Root mean square of the waveform", "a.u."),),
    "timbre": (
        Unit("centroid", "Spectral centroid: mean of the spectrum as a distribution", "Hz"),
        Unit("spread", "Spectral spread: standard deviation around the centroid", "Hz"),
        Unit("flux", "Spectral flux: distance between successive normalized spectra", "a.u."),
        Unit("roughness", "Sensory dissonance of the 20 strongest partials (Sethares)", "a.u."),
    ),
    "tonality": (
        *[
            Unit(f"chroma_{n:02d}", f"Chroma: share of pitch class {name}", "a.u.")
            for n, name in enumerate(
                ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
            )
        ],
        Unit("key_clarity", "Highest correlation with a key profile (Krumhansl-Kessler)", "r"),
    ),
    "rhythm": (
        Unit("pulse_clarity", "Highest autocorrelation of the onset strength", "r"),
        Unit("tempo", "Tempo of the local pulse", "beats/min"),
        Unit("onset_rate", "Onsets per second", "Hz"),
    ),
}

# Krumhansl and Kessler 1982.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
KEY_PROFILES = (_MAJOR, _MINOR)

# A second of clicks, and its onset strength: what librosa compiles depends on types alone.
_CLICKS = np.where(np.arange(SAMPLE_RATE) % 4000 == 0, 1.0, 0.0)
_ONSETS = np.where(np.arange(_LONG_PULSE_FRAMES) % 16 == 0, 1.0, 0.0).astype(np.float32)


@compiled_alone(_CLICKS, np.array([0.5]), 0.96)
def music_descriptors(
    audio: np.ndarray, patch_times: np.ndarray, step: float
) -> list[FeatureSeries]:
    """Descriptors at the patch rate in four groups, and all of them together.

    Parameters
    ----------
    audio : array of shape (n_samples,)
        At 16 kHz.
    patch_times : array of shape (n_patches,)
        Centers of the patches in seconds.

    Returns
    -------
    layers : list of FeatureSeries
        ``loudness``, ``timbre``, ``tonality``, ``rhythm`` and ``all``. Key and rhythm are measured
        over 6 s around the patch, everything else over the patch.

    Examples
    --------
    >>> clicks = np.zeros(160000)
    >>> clicks[::8000] = 1  # two a second
    >>> layers = music_descriptors(clicks, np.array([5.0]), step=0.96)
    >>> [layer.name for layer in layers]
    ['loudness', 'timbre', 'tonality', 'rhythm', 'all']
    >>> layers[3].units[2].name, layers[3].values[0, 2].round(1).item()
    ('onset_rate', 2.0)
    """
    import librosa

    audio = audio.astype(np.float32)
    spectrum = np.abs(librosa.stft(audio, n_fft=_FFT_SIZE, hop_length=_HOP))
    times = np.arange(spectrum.shape[1]) * _FRAME_SECONDS
    rms = librosa.feature.rms(y=audio, frame_length=_FFT_SIZE, hop_length=_HOP)[0]
    chroma = librosa.feature.chroma_stft(S=spectrum**2, sr=SAMPLE_RATE, n_fft=_FFT_SIZE).T
    onset = onset_strength(audio)
    onsets = librosa.onset.onset_detect(
        onset_envelope=onset, sr=SAMPLE_RATE, hop_length=_ONSET_HOP, units="frames"
    )
    timbre = np.column_stack(
        [
            librosa.feature.spectral_centroid(S=spectrum, sr=SAMPLE_RATE)[0],
            librosa.feature.spectral_bandwidth(S=spectrum, sr=SAMPLE_RATE)[0],
            spectral_flux(spectrum),
            roughness(spectrum),
        ]
    )
    wide = window_means(times, chroma, patch_times, _CONTEXT_SECONDS)
    onset_times = np.arange(onset.size) * _ONSET_HOP / SAMPLE_RATE
    struck = np.bincount(onsets, minlength=onset.size)
    rate = window_means(onset_times, struck, patch_times, _CONTEXT_SECONDS)
    rate *= SAMPLE_RATE / _ONSET_HOP
    values = {
        "loudness": window_means(times, rms[:, np.newaxis], patch_times, step),
        "timbre": window_means(times, timbre, patch_times, step),
        "tonality": np.column_stack(
            [window_means(times, chroma, patch_times, step), key_clarity(wide)]
        ),
        "rhythm": np.column_stack(
            [
                pulse_clarity(onset_times, onset, patch_times),
                local_tempo(onset, patch_times),
                rate,
            ]
        ),
    }
    layers = [FeatureSeries(name, array, UNITS[name]) for name, array in values.items()]
    together = tuple(unit for series in layers for unit in series.units)
    return [*layers, FeatureSeries("all", np.column_stack(list(values.values())), together)]


def spectral_flux(spectrum: np.ndarray) -> np.ndarray:
    """Euclidean distance between successive spectra of unit length.

    Parameters
    ----------
    spectrum : array of shape (n_bins, n_frames)
        Magnitudes.

    Returns
    -------
    flux : array of shape (n_frames,)
        0 for the first frame and wherever a frame is silent.

    Examples
    --------
    >>> spectral_flux(np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])).round(2).tolist()
    [0.0, 0.0, 1.41]
    """
    norms = np.linalg.norm(spectrum, axis=0)
    sounding = norms > 0
    unit = spectrum / np.where(sounding, norms, 1)
    distance = np.linalg.norm(np.diff(unit, axis=1), axis=0)
    return np.concatenate([[0.0], distance * (sounding[1:] & sounding[:-1])])


def roughness(spectrum: np.ndarray) -> np.ndarray:
    """Sensory dissonance of the strongest partials (Plomp and Levelt 1965; Sethares 1993).

    Parameters
    ----------
    spectrum : array of shape (n_bins, n_frames)
        Magnitudes of a 2,048-point transform at 16 kHz.

    Returns
    -------
    roughness : array of shape (n_frames,)
        Sum over pairs of the smaller amplitude times the dissonance of their distance.

    Examples
    --------
    >>> spectrum = np.zeros((1025, 2))
    >>> spectrum[[56, 60], 0] = 1  # two partials, 31 Hz apart
    >>> spectrum[[56, 112], 1] = 1  # an octave
    >>> rough, smooth = roughness(spectrum)
    >>> bool(rough > 1000 * smooth)
    True
    """
    inner = spectrum[1:-1]
    peaks = np.where((inner > spectrum[:-2]) & (inner >= spectrum[2:]), inner, 0).T
    n_frames = len(peaks)
    result = np.empty(n_frames)
    for start in range(0, n_frames, _FRAMES_PER_BLOCK):
        block = peaks[start : start + _FRAMES_PER_BLOCK]
        strongest = np.argpartition(-block, _N_PARTIALS, axis=1)[:, :_N_PARTIALS]
        amplitude = np.take_along_axis(block, strongest, axis=1)
        frequency = (strongest + 1) * SAMPLE_RATE / _FFT_SIZE
        distance = np.abs(frequency[:, :, np.newaxis] - frequency[:, np.newaxis])
        lower = np.minimum(frequency[:, :, np.newaxis], frequency[:, np.newaxis])
        weaker = np.minimum(amplitude[:, :, np.newaxis], amplitude[:, np.newaxis])
        scaled = 0.24 * distance / (0.0207 * lower + 18.96)
        pairs = weaker * (np.exp(-3.51 * scaled) - np.exp(-5.75 * scaled))
        result[start : start + len(block)] = pairs.sum(axis=(1, 2)) / 2
    return result


def key_clarity(chroma: np.ndarray) -> np.ndarray:
    """Highest correlation of a chroma vector with the 24 key profiles.

    Parameters
    ----------
    chroma : array of shape (n_patches, 12)
        From C upward.

    Returns
    -------
    clarity : array of shape (n_patches,)
        0 where the chroma is flat.

    Examples
    --------
    >>> triad = np.isin(np.arange(12), [0, 4, 7]).astype(float)
    >>> key_clarity(np.stack([triad, np.ones(12)])).round(2).tolist()
    [0.83, 0.0]
    """
    profiles = np.stack([np.roll(profile, k) for profile in KEY_PROFILES for k in range(12)])
    profiles = profiles - profiles.mean(axis=1, keepdims=True)
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    centered = chroma - chroma.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centered, axis=1)
    best = (centered @ profiles.T).max(axis=1)
    return np.divide(best, norms, out=np.zeros(len(chroma)), where=norms > 1e-12)


@compiled_alone(_CLICKS)
def onset_strength(audio: np.ndarray) -> np.ndarray:
    """Onset strength of a sound, a frame every 16 ms.

    Parameters
    ----------
    audio : (n_samples,) array
        At 16 kHz.

    Returns
    -------
    (n_frames,) array

    Examples
    --------
    >>> clicks = np.zeros(160000)
    >>> clicks[::8000] = 1
    >>> onset_strength(clicks).shape
    (626,)
    """
    import librosa

    samples = audio.astype(np.float32)
    strength: np.ndarray = librosa.onset.onset_strength(
        y=samples, sr=SAMPLE_RATE, hop_length=_ONSET_HOP
    )
    return strength


def pulse_clarity(times: np.ndarray, onset: np.ndarray, patch_times: np.ndarray) -> np.ndarray:
    """Highest autocorrelation of the onset strength.

    Parameters
    ----------
    times : array of shape (n_frames,)
        Seconds.
    onset : array of shape (n_frames,)
        Onset strength.
    patch_times : array of shape (n_patches,)
        Seconds.

    Returns
    -------
    clarity : array of shape (n_patches,)
        Highest normalized autocorrelation between 40 and 240 beats/min in 6 s; 0 where nothing is
        struck.

    Examples
    --------
    >>> times = np.arange(626) * 0.016
    >>> struck = (np.arange(626) % 30 == 0).astype(float)
    >>> pulse_clarity(times, struck, np.array([5.0])).round(1).tolist()
    [0.9]
    """
    step = times[1] - times[0]
    lags = np.arange(
        int(np.ceil(60 / _TEMPO_RANGE[1] / step)), int(60 / _TEMPO_RANGE[0] / step) + 1
    )
    clarity = np.zeros(len(patch_times))
    for n, center in enumerate(patch_times):
        near = onset[np.abs(times - center) <= _CONTEXT_SECONDS / 2]
        near = near - near.mean()
        usable = lags[lags < near.size - 1]
        power = near @ near
        if power > 0 and usable.size:
            products = np.array([near[lag:] @ near[:-lag] for lag in usable]) / power
            clarity[n] = max(products.max(), 0.0)
    return clarity


def local_tempo(onset: np.ndarray, patch_times: np.ndarray) -> np.ndarray:
    """Tempo of the predominant local pulse (Grosche and Mueller 2011), from beat to beat.

    A pulse over 4 s follows rubato but errs in octaves, one over 8 s the other way round: so the
    longer one says in which octave the shorter one is. Twice or half the tempo from one beat to
    the next counts as another level of the same pulse. A sudden change by more than a factor of
    1.41 cannot be distinguished from such a step.

    Parameters
    ----------
    onset : array of shape (n_frames,)
        Onset strength, a frame every 16 ms.
    patch_times : array of shape (n_patches,)
        Seconds.

    Returns
    -------
    tempo : array of shape (n_patches,)
        Beats/min, the line that joins the medians of three intervals between beats; held before
        the first and after the last, 98 where there is no pulse at all.

    Examples
    --------
    >>> clicks = np.zeros(160000)
    >>> clicks[::8000] = 1  # 120 beats/min
    >>> local_tempo(onset_strength(clicks), np.array([5.0])).round().tolist()
    [121.0]
    """
    return pulse_tempo(onset, patch_times)[0]


def pulse_tempo(onset: np.ndarray, patch_times: np.ndarray) -> tuple[np.ndarray, int]:
    """Tempo of the local pulse without its jumps by an octave, and their number.

    Parameters
    ----------
    onset : (n_frames,) array
        From `onset_strength`.
    patch_times : (n_patches,) array
        Seconds.

    Returns
    -------
    tempo : (n_patches,) array
        Beats per minute.
    n_jumps : int

    Examples
    --------
    >>> tempo, octaves = pulse_tempo(np.zeros(626), np.array([5.0]))
    >>> tempo.round().tolist(), octaves  # nothing is struck
    ([98.0], 0)
    """
    times, octaves = _pulse_octaves(onset, _LONG_PULSE_FRAMES)
    if not times.size:
        return np.full(len(patch_times), np.sqrt(_TEMPO_RANGE[0] * _TEMPO_RANGE[1])), 0
    smooth = median_filter(octaves, 3, mode="nearest")
    level = np.unwrap(smooth, period=1.0)
    level += np.round(np.median(smooth) - np.median(level))
    moved = np.round(smooth - level)
    short_times, short = _pulse_octaves(onset, _SHORT_PULSE_FRAMES)
    if short_times.size:
        moved = np.round(short - np.interp(short_times, times, level))
        times, level = short_times, median_filter(short - moved, 3, mode="nearest")
    return np.exp2(np.interp(patch_times, times, level)), int(np.count_nonzero(np.diff(moved)))


@compiled_alone(_ONSETS, _SHORT_PULSE_FRAMES)
def _pulse_octaves(onset: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Middle of the intervals between beats in seconds, and log2 of their beats/min."""
    import librosa

    n_frames = len(onset)
    pulse = librosa.beat.plp(
        onset_envelope=np.pad(onset, (0, max(0, window - n_frames))),
        sr=SAMPLE_RATE,
        hop_length=_ONSET_HOP,
        tempo_min=_TEMPO_RANGE[0],
        tempo_max=_TEMPO_RANGE[1],
        win_length=window,
    )
    peaks = np.flatnonzero((librosa.util.localmax(pulse) & (pulse > _FAINTEST_PULSE))[:n_frames])
    beats = peaks * (_ONSET_HOP / SAMPLE_RATE)
    intervals = np.diff(beats)
    # Longer ones span a silence.
    known = intervals <= 60 / _TEMPO_RANGE[0]
    return (beats[:-1] + intervals / 2)[known], np.log2(60 / intervals[known])
