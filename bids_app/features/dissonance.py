"""A piece of music and its dissonant twin: the original with copies of itself at other pitches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, UsageError, check_shape
from bids_app.features.compiled import compiled_alone

SHIFTS = (2.0, -6.0)
"""Semitones of the copies: a whole tone up, a tritone down."""
_WINDOW = 2048  # samples of librosa's phase vocoder


@compiled_alone(np.hanning(4096), 22050)
def dissonant_twin(
    audio: npt.ArrayLike, sample_rate: int, shifts: Sequence[float] = SHIFTS
) -> npt.NDArray[np.float64]:
    """Mix a sound with copies of itself at other pitches, as loud as the sound itself.

    Parameters
    ----------
    audio : (n_samples,) array
        Mono.
    sample_rate : int
        Hz.
    shifts : sequence of float
        Semitones by which the copies are moved; their lengths stay (phase vocoder of librosa).

    Returns
    -------
    (n_samples,) float64
        With the root mean square of `audio`; peaks may exceed those of `audio`.

    Raises
    ------
    BadDataError
        A sound that is silent, not finite, or shorter than a window.
    UsageError
        No shift, one that is not finite, or a sample rate that is not positive.

    Notes
    -----
    Dissonant versions of joyful dances were made in this way by Koelsch et al. 2006, Human Brain
    Mapping 27:239; there a tone above and a tritone below.

    Examples
    --------
    >>> tone = np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    >>> spectrum = np.abs(np.fft.rfft(dissonant_twin(tone, 22050)))
    >>> [int(np.argmax(spectrum[a:b])) + a for a, b in ((250, 380), (380, 460), (460, 600))]
    [311, 440, 494]
    """
    import librosa

    sound = np.asarray(audio, dtype=np.float64)
    check_shape("audio", sound, "n_samples")
    if not shifts or not np.isfinite(shifts).all() or not sample_rate > 0:
        raise UsageError(
            "A twin needs copies at other pitches.",
            where="shifts, sample_rate",
            found=(tuple(shifts), sample_rate),
            wanted="one finite shift or more, and a positive sample rate",
            remedy="give for example shifts=(1, -6)",
        )
    if sound.size < _WINDOW:
        raise BadDataError(
            "A sound is shorter than a window of the phase vocoder.",
            where="audio",
            found=f"{sound.size} samples",
            wanted=f"{_WINDOW} or more",
            remedy="give the whole recording",
        )
    loudness = float(np.sqrt(np.mean(sound**2)))
    if not 0 < loudness < np.inf:
        raise BadDataError(
            "A sound is silent or not finite.",
            where="audio",
            found=f"root mean square {loudness:g}",
            wanted="finite samples that are not all zero",
            remedy="give another recording",
        )
    copies = [librosa.effects.pitch_shift(sound, sr=sample_rate, n_steps=shift) for shift in shifts]
    mixed = sound + np.sum(copies, axis=0)
    return np.asarray(mixed * (loudness / np.sqrt(np.mean(mixed**2))), dtype=np.float64)
