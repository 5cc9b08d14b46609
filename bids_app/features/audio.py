"""Audio files: read any format libsndfile knows, as mono at a wanted rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_app.files import sha256_of_file
from bids_app.inputs.sound import check_exists, examine_sound, open_sound


def load_audio(path: str | Path, sample_rate: int = 16000) -> np.ndarray:
    """Read an audio file as mono samples at one rate.

    Channels are averaged, then the rate is changed with soxr (quality HQ, as ``librosa.load``
    does). The file is read in blocks, so that memory does not grow with rate or channels.

    Parameters
    ----------
    path : str or Path
        Any file that libsndfile reads (WAV, FLAC, Ogg, MP3, AIFF, ...).
    sample_rate : int
        Wanted rate in Hz.

    Returns
    -------
    audio : array of shape (n_samples,)
        float64, full scale is 1.

    Raises
    ------
    MissingInputError
        There is no such file, or it is annexed and was not downloaded.
    BadDataError
        The file cannot be decoded to the end that it states, is empty or silent, its channels
        cancel, or it has samples that are not finite.
    """
    import soxr

    path = Path(path)
    # What cannot be used is told there, in the same words as in the plan.
    examine_sound(path)
    blocks: list[np.ndarray] = []
    with open_sound(path) as decoder:
        stream = None
        if decoder.rate != sample_rate:
            stream = soxr.ResampleStream(
                decoder.rate, sample_rate, 1, dtype="float64", quality="HQ"
            )
        for block in decoder.blocks():
            mix = block.mean(axis=1)
            blocks.append(mix if stream is None else stream.resample_chunk(mix))
        if stream is not None:
            blocks.append(stream.resample_chunk(np.empty(0), last=True))
    return np.concatenate(blocks)


def audio_duration(path: str | Path) -> float:
    """Length of an audio file in seconds, decoded to its end.

    Parameters
    ----------
    path : str or Path
        Any file that libsndfile reads.

    Returns
    -------
    duration : float
        Seconds.

    Raises
    ------
    MissingInputError, BadDataError
        As :func:`load_audio`.
    """
    return examine_sound(Path(path)).duration


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises
    ------
    MissingInputError
        There is no such file.
    """
    path = Path(path)
    check_exists(path)
    return sha256_of_file(path)
