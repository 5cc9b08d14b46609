"""The reader of audio files: decodes to the end and checks every length that a file states."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_app.errors import BadDataError, MissingInputError
from bids_app.inputs import mpeg
from bids_app.inputs.containers import Stated, stated_lengths
from bids_app.inputs.files import content_problem

if TYPE_CHECKING:
    import soundfile

_BLOCK_SAMPLES = 1 << 21
# Below -100 dB of full scale there is nothing to hear and nothing to standardize.
SILENCE = 1e-5
# Encoders add and drop some blocks of samples.
_TOLERANCE, _MORE = 0.12, 0.5
# Share of the channels' power that is left in their mean: 1/100 is lost, 1/10 is odd.
_CANCELLED, _WEAK = 0.01, 0.1
_LOUDEST = 8.0
_FAINT = 1e-3
_CLIPPED = 0.01
_LONG_SILENCE = 10.0
_LONGEST = 24 * 3600.0
_AGAIN = "copy or download it again, or convert it, for example with `ffmpeg -i FILE out.wav`"


@dataclass(frozen=True)
class Sound:
    """Content of an audio file, as it was decoded.

    Attributes
    ----------
    n_frames, rate, n_channels : int
        Samples per channel as decoded, Hz, channels.
    notes : tuple of str
        What is odd about it, though it can be used.
    """

    n_frames: int
    rate: int
    n_channels: int
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.n_frames / self.rate


@dataclass
class Decoder:
    """An audio file that is being decoded.

    Attributes
    ----------
    path : Path
    rate, n_channels : int
    n_frames : int
        Samples per channel so far.
    stated : Stated
    notes : list of str
    """

    path: Path
    rate: int
    n_channels: int
    stated: Stated
    notes: list[str]
    _file: soundfile.SoundFile
    _skipped: int = 0
    _length: int | None = None
    n_frames: int = 0

    def blocks(self, n_frames: int | None = None) -> Iterator[np.ndarray]:
        """All samples, as arrays of shape (n_frames, n_channels) of float64.

        Raises
        ------
        BadDataError
            Where decoding fails, or gives less than the file states.
        """
        import soundfile

        size = n_frames or max(1, _BLOCK_SAMPLES // max(1, self.n_channels))
        to_skip = self._skipped
        try:
            while True:
                block = self._file.read(size, dtype="float64", always_2d=True)
                at_end = len(block) < size
                dropped = min(to_skip, len(block))
                to_skip -= dropped
                block = block[dropped:]
                if self._length is not None:
                    block = block[: self._length - self.n_frames]
                self.n_frames += len(block)
                if len(block):
                    yield block
                if at_end:
                    break
        except (soundfile.LibsndfileError, ValueError, MemoryError) as error:
            found = f"decoding fails after {self.n_frames / self.rate:.2f} s {error}".rstrip()
            raise _broken(self.path, found) from error
        self._compare()

    def _compare(self) -> None:
        """Hold what was decoded against what is stated."""
        seconds = self.n_frames / self.rate
        stated = {name: n / self.rate for name, n in self.stated.frames.items() if n}
        stated |= self.stated.seconds
        for name, said in stated.items():
            if seconds < said - max(_TOLERANCE, 1.0 if "ID3" in name else 0.0):
                raise _broken(
                    self.path, f"{name}: {said:.2f} s of sound, but {seconds:.2f} s can be decoded"
                )
            if seconds > said + (1.0 if "ID3" in name else _MORE):
                self.notes.append(
                    f"{name} of {self.path.name} says {said:.2f} s; {seconds:.2f} s are decoded, "
                    "and all of it is used"
                )


@contextmanager
def open_sound(path: Path) -> Iterator[Decoder]:
    """Open an audio file for decoding.

    Parameters
    ----------
    path : Path
        A file that libsndfile reads, of a kind that states its end (WAV, FLAC, Ogg, MP3,
        AIFF, ...).

    Yields
    ------
    Decoder

    Raises
    ------
    MissingInputError
        There is no such file, or it is annexed and was not downloaded.
    BadDataError
        It is no audio, its container says that a part is missing, or does not tell.
    """
    check_exists(path)
    found = mpeg.scan(path.read_bytes()) if _may_be_mpeg(path) else None
    if found is None:
        stated = stated_lengths(path)
        if stated and stated.problem:
            raise _broken(path, stated.problem)
        with _open(path) as file:
            if stated is None:
                raise _not_comparable(path, file.format_info)
            if 0 < file.frames < 1 << 40:
                stated.frames.setdefault("the header", file.frames)
            notes = [f"{path.name}: {note}" for note in stated.notes]
            notes += [] if stated.known else [_unstated(path, file.format)]
            yield Decoder(path, file.samplerate, file.channels, stated, notes, file)
        return
    stated, notes = _stated_by_frames(path, found)
    part = found.parts[0]
    said = part.stated_frames or 0
    if len(found.parts) == 1 and part.delay and abs(part.n_frames - said) <= 2:
        with _open(path) as file:
            yield Decoder(path, file.samplerate, file.channels, stated, notes, file)
        return
    # libsndfile guesses a length where none, or another's, is stated, and ends there: a pipe
    # has no length.
    with _stream(path, found.pieces) as file:
        yield Decoder(
            path, file.samplerate, file.channels, stated, notes, file, found.skipped, found.length
        )


def _not_comparable(path: Path, kind: str) -> BadDataError:
    return BadDataError(
        "Audio files of this kind do not say where they end.",
        where=path,
        found=f"{kind}; it begins with {path.read_bytes()[:4]!r}",
        wanted="a file that begins as WAV, FLAC, Ogg, MP3, AIFF, AU, CAF, W64, 8SVX, VOC or NIST",
        remedy="convert it to WAV or FLAC, and compare the length with that of the original",
    )


def _unstated(path: Path, kind: str) -> str:
    return (
        f"{path.name} does not say how long it is ({kind}): whether its end is there is not known"
    )


def _may_be_mpeg(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.read(4)
    return head.startswith((b"ID3", b"\xff", b"TAG", b"APET"))


def _stated_by_frames(path: Path, found: mpeg.Scan) -> tuple[Stated, list[str]]:
    stated, notes = Stated(), []
    counted = [part for part in found.parts if part.stated_frames]
    for part in counted:
        said = part.stated_frames or 0
        if part.n_frames < said - 2:
            raise _broken(
                path, f"truncated MP3 file: it states {said} frames, {part.n_frames} are there"
            )
    if found.missing and not counted:
        raise _broken(path, f"truncated MP3 file: its last frame lacks {found.missing} bytes")
    if found.foreign > 2 * (found.pieces[0][1] - found.pieces[0][0]) / max(1, found.n_frames) + 512:
        raise _broken(path, f"damaged MP3 file: {found.foreign} bytes are no MPEG frames")
    if found.changes:
        raise _broken(path, "sampling rate or number of channels change within the file")
    if len(found.parts) > 1:
        lengths = ", ".join(
            f"{part.n_frames * found.n_samples / found.rate:.1f} s" for part in found.parts
        )
        notes.append(
            f"{path.name} is {len(found.parts)} MP3 files joined ({lengths}); all are used, though "
            "some players stop after the first"
        )
    elif counted and counted[0].n_frames > (counted[0].stated_frames or 0) + 2:
        notes.append(
            f"{path.name} states {counted[0].stated_frames} MP3 frames and has "
            f"{counted[0].n_frames}; all are used, though some players stop early"
        )
    if not counted and not found.tag_seconds:
        notes.append(_unstated(path, "MP3 without a Xing frame"))
    stated.frames["the count of MP3 frames"] = found.length
    if found.tag_seconds:
        stated.seconds["the ID3 tag"] = found.tag_seconds
    return stated, notes


def check_exists(path: Path) -> None:
    """Refuse a file that is not there.

    Raises
    ------
    MissingInputError
    """
    problem = content_problem(path)
    if problem and ("no permission" in problem or not path.is_file()):
        raise MissingInputError(
            "There is no such file, or it cannot be read.",
            where=path,
            found=problem,
            remedy="check the name and the folder it is in",
        )


def _broken(path: Path, found: str) -> BadDataError:
    return BadDataError(
        "This audio file breaks off or is damaged.", where=path, found=found, remedy=_AGAIN
    )


def _open(source: Path | int, path: Path | None = None) -> soundfile.SoundFile:
    import soundfile

    try:
        file = soundfile.SoundFile(source, closefd=isinstance(source, Path))
        # soundfile seeks after every block of a file that it holds seekable, and decoders of MP3
        # and Opus forget there what the next frame needs.
        file.seekable = lambda: False
        return file
    # libsndfile lets some headers through that Python cannot represent.
    except (OSError, soundfile.LibsndfileError, TypeError, ValueError, ArithmeticError) as error:
        raise BadDataError(
            "This file cannot be read as audio.",
            where=path or source,
            found=str(error),
            wanted="a format libsndfile reads: WAV, FLAC, Ogg, MP3, AIFF, ...",
            remedy="copy it again, or convert it, for example with `ffmpeg -i FILE out.wav`",
        ) from error


@contextmanager
def _stream(path: Path, pieces: list[tuple[int, int]]) -> Iterator[soundfile.SoundFile]:
    """A file opened from a pipe that is fed parts of it."""
    reading, writing = os.pipe()

    def feed() -> None:
        with path.open("rb") as stream, os.fdopen(writing, "wb") as pipe:
            try:
                for start, end in pieces:
                    stream.seek(start)
                    left = end - start
                    while left:
                        block = stream.read(min(left, 1 << 16))
                        if not block:
                            return
                        pipe.write(block)
                        left -= len(block)
                pipe.flush()
            except (BrokenPipeError, OSError):
                return

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        with _open(reading, path) as file:
            yield file
    finally:
        os.close(reading)
        feeder.join()


_KNOWN: dict[tuple[str, int, int], Sound] = {}


def examine_sound(path: Path) -> Sound:
    """Decode an audio file to its end and say what it holds; each file once per process.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Sound

    Raises
    ------
    MissingInputError
        As `open_sound`.
    BadDataError
        As `open_sound`; also where the file breaks off, has no samples or samples that are not
        finite, is silent, where the channels cancel in their mean, or where samples are not
        numbers with full scale 1.
    """
    path = Path(path)
    check_exists(path)
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key not in _KNOWN:
        with open_sound(path) as decoder, np.errstate(over="ignore", invalid="ignore"):
            _KNOWN[key] = _examined(decoder)
    return _KNOWN[key]


def _examined(decoder: Decoder) -> Sound:
    path, rate, n_channels = decoder.path, decoder.rate, decoder.n_channels
    levels: list[np.ndarray] = []
    ends: list[tuple[int, int]] = []  # of the sound in every second that has some, in frames
    n_bad = n_full = 0
    lowest, highest, peak, total = np.inf, -np.inf, 0.0, 0.0
    # Blocks of a second, so that what is true of a part is seen.
    for block in decoder.blocks(max(1, rate)):
        finite = np.isfinite(block)
        if not finite.all():
            n_bad += int(np.count_nonzero(~finite.all(axis=1)))
            continue
        mix = block.mean(axis=1)
        lowest, highest = min(lowest, mix.min()), max(highest, mix.max())
        size: np.ndarray = np.abs(block)
        peak = max(peak, float(size.max()))
        n_full += int(np.count_nonzero(size >= 0.9999))
        if len(loud := np.flatnonzero((size > SILENCE).any(axis=1))):
            start = decoder.n_frames - len(block)
            ends.append((start + int(loud[0]), start + int(loud[-1]) + 1))
        total += float(mix.sum())
        centred = block - block.mean(axis=0)
        levels.append(np.r_[mix.var(), (centred**2).mean(axis=0)])
    _check_samples(path, decoder.n_frames, n_bad, highest - lowest, peak, levels)
    if decoder.n_frames / rate > _LONGEST:
        raise _broken(path, f"{decoder.n_frames / rate:g} s of sound")
    power = np.array(levels)
    notes = [*decoder.notes, *_cancelled(path, power)]
    if n_full > _CLIPPED * decoder.n_frames * n_channels:
        share = 100 * n_full / (decoder.n_frames * n_channels)
        notes.append(f"{path.name}: {share:.0f} % of the samples are clipped at full scale")
    if peak < _FAINT:
        notes.append(f"{path.name}: very faint, {20 * np.log10(peak):.0f} dB of full scale at most")
    offset = abs(total / decoder.n_frames)
    if offset > power[:, 0].mean() ** 0.5:
        notes.append(f"{path.name}: a constant offset of {offset:.2f} is larger than the sound")
    borders = [0, *itertools.chain(*ends), decoder.n_frames]
    for first, last in zip(borders[::2], borders[1::2], strict=True):
        if last - first >= _LONG_SILENCE * rate:
            told = f"{round(first / rate, 1):g} to {round(last / rate, 1):g} s"
            notes.append(f"{path.name}: nothing but silence from {told}")
    return Sound(decoder.n_frames, rate, n_channels, tuple(notes))


def _check_samples(
    path: Path,
    n_frames: int,
    n_bad: int,
    spread: float,
    peak: float,
    levels: list[np.ndarray],
) -> None:
    if n_frames == 0:
        raise BadDataError(
            "This audio file has no samples.", where=path, remedy="copy or download it again"
        )
    if n_bad:
        raise BadDataError(
            "This audio file has samples that are not finite.",
            where=path,
            found=f"{n_bad} of {n_frames} samples are NaN or infinite",
            remedy="export it again from its source",
        )
    if peak > _LOUDEST:
        raise BadDataError(
            "The samples of this audio file have another unit than full scale.",
            where=path,
            found=f"samples up to {peak:g}, where full scale is 1",
            wanted="floating-point samples between -1 and 1",
            remedy="divide the samples by their full scale (32768 for 16 bits) and save them again",
        )
    power = np.array(levels).mean(axis=0)
    if power.size > 2 and power[0] < _CANCELLED * power[1:].mean() and power[1:].max() > SILENCE**2:
        raise BadDataError(
            "The channels of this audio file cancel: nothing is left in their mean.",
            where=path,
            found=f"root mean square {power[0] ** 0.5:.2g} of the mean, "
            f"{power[1:].max() ** 0.5:.2g} of a channel",
            wanted="channels that are not of opposite sign",
            remedy="turn the sign of one channel, or keep one, for example with "
            "`ffmpeg -i FILE -af 'pan=mono|c0=c0' out.wav`",
        )
    if spread < SILENCE:
        raise BadDataError(
            "This audio file is silent.",
            where=path,
            found=f"{n_frames} samples within {spread:.2g} of each other",
            wanted="sound above -100 dB of full scale",
            remedy="check that the right file, and not an empty track, is given",
        )


def _cancelled(path: Path, power: np.ndarray) -> list[str]:
    """Notes about channels: nearly cancelling, cancelling for a while, silent."""
    if power.shape[1] < 3:
        return []
    mix, channels = power[:, 0], power[:, 1:]
    notes = []
    sounding = channels.max(axis=1) > SILENCE**2
    lost = sounding & (mix < _CANCELLED * channels.mean(axis=1))
    total = channels.mean(axis=0)
    silent = [str(k + 1) for k in np.flatnonzero(total < SILENCE**2)]
    if silent:
        notes.append(
            f"{path.name}: channel {', '.join(silent)} of {len(total)} is silent; "
            "the mean of all channels is used"
        )
    if mix.mean() < _WEAK * total.mean():
        notes.append(
            f"{path.name}: the channels nearly cancel; their mean has "
            f"{100 * mix.mean() / total.mean():.1f} % of their power"
        )
    elif lost.sum() > max(2, 0.05 * len(lost)):
        notes.append(f"{path.name}: the channels cancel in {lost.sum()} of {len(lost)} seconds")
    return notes
