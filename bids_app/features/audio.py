"""Audio files: read any format libsndfile knows, as mono at a wanted rate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_app.errors import BadDataError, MissingInputError
from bids_app.files import sha256_of_file
from bids_app.inputs.files import audio_problem, content_problem

if TYPE_CHECKING:
    import soundfile

_BLOCK_SAMPLES = 1 << 21
# Below -100 dB of full scale there is nothing to hear and nothing to standardize.
_SILENCE = 1e-5


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
        The file cannot be decoded, is empty or silent, or has samples that are not finite.
    """
    import soxr

    path = Path(path)
    blocks: list[np.ndarray] = []
    lowest, highest = np.inf, -np.inf
    with _open(path) as file:
        rate = file.samplerate
        stream = None
        if rate != sample_rate:
            stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float64", quality="HQ")
        for block in _read_blocks(file, path):
            lowest, highest = min(lowest, block.min()), max(highest, block.max())
            blocks.append(block if stream is None else stream.resample_chunk(block))
        if stream is not None:
            blocks.append(stream.resample_chunk(np.empty(0), last=True))
    audio = np.concatenate(blocks) if blocks else np.empty(0)
    # A resampled constant swings at its ends.
    _check_samples(audio, highest - lowest, path)
    return audio


def audio_duration(path: str | Path) -> float:
    """Length of an audio file in seconds, from its header.

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
    with _open(Path(path)) as file:
        return file.frames / file.samplerate


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises
    ------
    MissingInputError
        There is no such file.
    """
    path = Path(path)
    _check_exists(path)
    return sha256_of_file(path)


def _check_exists(path: Path) -> None:
    problem = content_problem(path)
    if problem and ("no permission" in problem or not path.is_file()):
        raise MissingInputError(
            "There is no such file, or it cannot be read.",
            where=path,
            found=problem,
            remedy="check the name and the folder it is in",
        )


def _open(path: Path) -> soundfile.SoundFile:
    import soundfile

    _check_exists(path)
    try:
        problem: object = audio_problem(path)
        if problem is None:
            return soundfile.SoundFile(path)
    except (OSError, soundfile.LibsndfileError, TypeError, ValueError) as error:
        problem = error
    raise BadDataError(
        "This file cannot be read as audio.",
        where=path,
        found=str(problem),
        wanted="a format libsndfile reads: WAV, FLAC, Ogg, MP3, AIFF, ...",
        remedy="copy it again, or convert it, for example with `ffmpeg -i FILE out.wav`",
    )


def _read_blocks(file: soundfile.SoundFile, path: Path) -> Iterator[np.ndarray]:
    import soundfile

    try:
        n_frames = max(1, _BLOCK_SAMPLES // max(1, file.channels))
        for block in file.blocks(n_frames, dtype="float64", always_2d=True):
            yield block.mean(axis=1)
    except (soundfile.LibsndfileError, ValueError, MemoryError) as error:
        raise BadDataError(
            "This audio file breaks off or is damaged.",
            where=path,
            found=str(error),
            remedy="copy or download it again",
        ) from error


def _check_samples(audio: np.ndarray, spread: float, path: Path) -> None:
    if audio.size == 0:
        raise BadDataError(
            "This audio file has no samples.", where=path, remedy="copy or download it again"
        )
    bad = np.count_nonzero(~np.isfinite(audio))
    if bad:
        raise BadDataError(
            "This audio file has samples that are not finite.",
            where=path,
            found=f"{bad} of {audio.size} samples are NaN or infinite",
            remedy="export it again from its source",
        )
    if spread < _SILENCE:
        raise BadDataError(
            "This audio file is silent.",
            where=path,
            found=f"{audio.size} samples within {spread:.2g} of each other",
            wanted="sound above -100 dB of full scale",
            remedy="check that the right file, and not an empty track, is given",
        )
