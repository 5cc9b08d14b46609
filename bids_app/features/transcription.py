"""Notes transcribed from the sound by basic-pitch (Bittner et al. 2022), run with onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.signal import argrelmax

from bids_app.errors import BadDataError, MissingInputError
from bids_app.features.audio import load_audio
from bids_app.features.known_music import corpus_identity
from bids_app.features.notes import layers_of_notes, remarks_on_corpus
from bids_app.features.pooling import FeatureSeries
from bids_app.files import sha256_of, sha256_of_file
from bids_app.inputs.notes import Notes

if TYPE_CHECKING:
    from bids_app.features.registry import Sound

FloatArray = npt.NDArray[np.float64]

GUESS = "notes, transcribed from the sound by basic-pitch and not checked"
"""In records, plans and on pages."""
MODEL = Path("saved_models/icassp_2022/nmp.onnx")
"""In the package basic_pitch, which is not imported."""

# As the model was trained and as its own program decodes it (basic-pitch 0.4.0).
SAMPLE_RATE = 22050
_HOP = 256
_WINDOW = 2 * SAMPLE_RATE - _HOP
_OVERLAP = 30
_FRAMES_PER_SECOND = SAMPLE_RATE // _HOP
_FRAMES_PER_WINDOW = 2 * _FRAMES_PER_SECOND
_OUTPUTS = {"note": "StatefulPartitionedCall:1", "onset": "StatefulPartitionedCall:2"}
_INPUT = "serving_default_input_2:0"
_LOWEST = 21
_SHORTEST = 11
"""Frames: 128 ms."""
_GAP = 11
"""Frames below the threshold that end a note."""
_ONSET, _HELD = 0.5, 0.3


def transcriber() -> Path:
    """File of the model.

    Raises
    ------
    MissingInputError
        Model or `onnxruntime` is not installed.
    """
    package = find_spec("basic_pitch")
    path = None if package is None else Path(str(package.origin)).parent / MODEL
    if path is None or not path.is_file() or find_spec("onnxruntime") is None:
        raise MissingInputError(
            "Notes cannot be transcribed from the sound.",
            where="--transcribe",
            found="basic-pitch or onnxruntime is not installed",
            wanted="the model that the package basic-pitch holds, and onnxruntime",
            remedy="pip install 'musenc-bidsapp[transcription]', then pip install --no-deps "
            "basic-pitch==0.4.0, or give notes beside the recordings",
        )
    return path


def transcriber_identity(argument: str) -> str:
    """Checksum of the model and of the other music."""
    return sha256_of(sha256_of_file(transcriber()), corpus_identity(argument))


def transcribed_remarks(argument: str, label: str, audio: Path, duration: float) -> list[str]:
    """Warnings that notes are a guess, and about the other music."""
    transcriber()
    return [f"{label}: {GUESS}: a guess", *remarks_on_corpus(argument)]


def transcribed_layers(argument: str, sound: Sound) -> list[FeatureSeries]:
    """Layers of `bids_app.features.notes.note_layers`, from notes that a network transcribed.

    Raises
    ------
    MissingInputError
        See `transcriber`.
    BadDataError
        The network finds no note.
    """
    return layers_of_notes(argument, sound, notes_heard(sound.path))


def notes_heard(audio: Path) -> Notes:
    """Notes of a recording.

    Raises
    ------
    MissingInputError, BadDataError
        As for `transcribed_layers`.
    """
    return _heard(audio, audio.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _heard(audio: Path, stamp: int) -> Notes:
    onset, duration, pitch, velocity = transcribe(load_audio(audio, SAMPLE_RATE), transcriber())
    if not onset.size:
        raise BadDataError(
            "No note was heard in a recording.",
            where=audio,
            found="no note",
            wanted="a sound with notes",
            remedy="give its notes in a file, or leave --transcribe out",
        )
    return Notes(onset, duration, pitch, velocity, audio)


def transcribe(
    audio: npt.ArrayLike, model: Path
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64], FloatArray]:
    """Notes of a sound.

    Parameters
    ----------
    audio : (n_samples,) array
        At `SAMPLE_RATE`.
    model : Path
        As of `transcriber`.

    Returns
    -------
    onset, duration : (n_notes,) float64
        Seconds, by onset and then pitch.
    pitch : (n_notes,) int
        MIDI numbers.
    velocity : (n_notes,) float64
        From 1 to 127: how sure the model is.
    """
    held, struck = _activations(np.asarray(audio, dtype=np.float32), model)
    found = np.array(sorted(_events(held, struck)), dtype=np.float64).reshape(-1, 4)
    times = _frame_times(len(held))
    first, last = (times[found[:, k].astype(int)] for k in (0, 2))
    return first, last - first, found[:, 1].astype(np.int64), np.clip(127 * found[:, 3], 1, 127)


def _activations(audio: npt.NDArray[np.float32], model: Path) -> tuple[FloatArray, FloatArray]:
    """How sure the model is that a pitch is held, and that it is struck; (n_frames, 88)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(
        str(model), options, providers=["CPUExecutionProvider"]
    )
    overlap = _OVERLAP * _HOP
    padded = np.concatenate([np.zeros(overlap // 2, np.float32), audio])
    found: dict[str, list[FloatArray]] = {name: [] for name in _OUTPUTS}
    for start in range(0, padded.size, _WINDOW - overlap):
        window = padded[start : start + _WINDOW]
        window = np.pad(window, (0, _WINDOW - window.size))[np.newaxis, :, np.newaxis]
        told = session.run(list(_OUTPUTS.values()), {_INPUT: window})
        for name, values in zip(_OUTPUTS, told, strict=True):
            found[name].append(values[0, _OVERLAP // 2 : -(_OVERLAP // 2)].astype(np.float64))
    n_frames = int(audio.size * _FRAMES_PER_SECOND / SAMPLE_RATE)
    held, struck = (np.concatenate(one)[:n_frames] for one in found.values())
    return held, struck


def _frame_times(n_frames: int) -> FloatArray:
    """Seconds of the frames: windows are a little shorter than their frames."""
    frames = np.arange(n_frames)
    late = _HOP / SAMPLE_RATE * (_FRAMES_PER_WINDOW - _WINDOW / _HOP) + 0.0018
    return np.asarray(frames * _HOP / SAMPLE_RATE - late * (frames // _FRAMES_PER_WINDOW))


def _events(held: FloatArray, struck: FloatArray) -> Iterator[tuple[int, int, int, float]]:
    """Notes: first frame, pitch, frame after the last, and mean activation.

    Those that are struck, last ones first; then what is held and was not struck, loudest first.
    What a note has used is gone for others, a semitone above and below, too.
    """
    if not (held.size and held.max() > 0):
        return
    end, left = len(held) - 1, held.copy()
    onsets = _with_rises(held, struck)
    peaks = argrelmax(onsets, axis=0)
    clear = onsets[peaks] >= _ONSET
    for first, key in zip(peaks[0][clear][::-1], peaks[1][clear][::-1], strict=True):
        stop, missed = _walk(left[:, key], first + 1, end, 1)
        if stop - missed - first > _SHORTEST:
            left[first : stop - missed, max(0, key - 1) : key + 2] = 0
            yield _note(held, first, key, stop - missed)
    while left.max() > _HELD:
        middle, key = (int(k) for k in np.unravel_index(left.argmax(), left.shape))
        stop, missed = _walk(left[:, key], middle + 1, end, 1)
        start, lacked = _walk(left[:, key], middle - 1, 0, -1)
        left[middle, key] = 0
        for used in (slice(middle + 1, stop), slice(start + 1, middle)):
            left[used, max(0, key - 1) : key + 2] = 0
        first, last = start + 1 + lacked, stop - 1 - missed
        if last - first > _SHORTEST:
            yield _note(held, first, key, last)


def _note(held: FloatArray, first: int, key: int, last: int) -> tuple[int, int, int, float]:
    return int(first), int(key) + _LOWEST, int(last), float(held[first:last, key].mean())


def _walk(course: FloatArray, start: int, stop: int, step: int) -> tuple[int, int]:
    """Where a note has been silent for long, or the sound ends; and how long it was silent."""
    at, silent = start, 0
    while (stop - at) * step > 0 and silent < _GAP:
        silent = silent + 1 if course[at] < _HELD else 0
        at += step
    return at, silent


def _with_rises(held: FloatArray, struck: FloatArray) -> FloatArray:
    """Onsets, and sudden rises of what is held on the same scale."""
    rise = np.minimum(_later(held, 1), _later(held, 2))
    rise = np.maximum(rise, 0)
    rise[:2] = 0
    highest = rise.max()
    return np.maximum(struck, struck.max() * rise / highest) if highest > 0 else struck


def _later(held: FloatArray, n: int) -> FloatArray:
    """What is held, minus what was held `n` frames before."""
    before = np.zeros_like(held)
    before[n:] = held[:-n]
    return held - before
