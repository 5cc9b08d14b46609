"""Lengths that audio files state, from the chunks and pages of their containers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

_OPEN_32 = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x7FFFFFFF - 36, 0xFFFFFFFF - 36)
_OPEN_64 = (0, (1 << 64) - 1, (1 << 63) - 1)
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
# A second of anything is more than this; less is padding or a stray tag.
_STRAY = 4000

Order = Literal["little", "big"]


@dataclass
class Stated:
    """What the container of an audio file says about its length.

    Attributes
    ----------
    problem : str
        Why the file is not whole; empty where it is.
    frames : dict of str to int
        Samples per channel, by where they are stated.
    seconds : dict of str to float
        Likewise where the rate is not that of the samples.
    known : bool
        Whether the length was not left open.
    notes : list of str
        What else does not agree.
    """

    problem: str = ""
    frames: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    known: bool = True
    notes: list[str] = field(default_factory=list)

    def compare_end(self, n_bytes: int, second: int = 0) -> None:
        """Refuse a second of what may be sound behind its stated end; note what is less."""
        if n_bytes > max(_STRAY, second):
            self.problem = self.problem or _unfinished(n_bytes)
        elif n_bytes > _STRAY:
            self.notes.append(f"{n_bytes} bytes lie behind the stated end of the sound: not used")

    def compare_header(self, said: int, end: int, size: int) -> None:
        """Hold the length of all that a header states against the end of its parts."""
        if _is_open(said):
            return
        if said > size + 1:
            self.problem = self.problem or _short("the header", said, size)
        elif end > said + _STRAY:
            self.notes.append(f"the header says {said} bytes, the sound ends at {end}: all is used")


def stated_lengths(path: Path) -> Stated | None:
    """What the container of an audio file says; None where its kind is not known.

    Parameters
    ----------
    path : Path
        A file whose content is there. WAV, RF64, W64, AIFF, 8SVX, AU, CAF, FLAC, Ogg,
        VOC and NIST are understood.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(16)
        for magic, reader in _READERS:
            if head.startswith(magic):
                stream.seek(0)
                try:
                    return reader(stream, size)
                except (ValueError, IndexError) as error:
                    return Stated(f"its header breaks off ({error})")
    return None


def _number(stream: BinaryIO, n_bytes: int, order: Order) -> int:
    content = stream.read(n_bytes)
    if len(content) < n_bytes:
        raise ValueError("end of file")
    return int.from_bytes(content, order)


def _short(what: str, said: int, there: int) -> str:
    return f"truncated audio file: {what} says {said} bytes, {there} are there"


_Chunk = tuple[bytes, int, int]
"""Name, first byte of the content, its size as stated."""


def _chunks(
    stream: BinaryIO, at: int, size: int, order: Order, wide: bool = False
) -> Iterator[_Chunk]:
    """Chunks of a name and a size of 32 bits, or 64 and without padding where `wide`."""
    n_bytes = 8 if wide else 4
    while at + 4 + n_bytes <= size:
        stream.seek(at)
        name, length = stream.read(4), _number(stream, n_bytes, order)
        if not all(32 <= byte < 127 for byte in name):
            return
        at += 4 + n_bytes
        yield name, at, length
        at += length if wide else length + length % 2


def _riff(stream: BinaryIO, size: int) -> Stated:
    head = stream.read(12)
    if head[8:] != b"WAVE":
        return Stated()
    order: Order = "big" if head[:4] == b"RIFX" else "little"
    wide = head[:4] in (b"RF64", b"BW64")
    said = int.from_bytes(head[4:8], order)
    numbers: dict[str, int] = {}
    data: tuple[int, int] | None = None
    end = 12
    for name, at, length in _chunks(stream, 12, size, order):
        if name == b"data":
            long = wide and length == 0xFFFFFFFF
            data = (at, numbers.get("data", length) if long else length)
            length = data[1]
            if wide or _is_open(length) or at + length > size:
                # In a long file, what follows is not found from the size in the chunk.
                end = min(size, max(at + length, numbers.get("riff", said) + 8)) if wide else size
                break
        numbers |= _riff_numbers(stream, name, at, order)
        end = at + length + length % 2
    if data is None:
        return Stated("truncated audio file: it has no chunk of samples")
    return _riff_lengths(numbers, data, size, end, numbers.get("riff", said))


def _riff_numbers(stream: BinaryIO, name: bytes, at: int, order: Order) -> dict[str, int]:
    """What a chunk of a WAV file says in numbers."""
    stream.seek(at)
    if name == b"ds64":
        return {key: _number(stream, 8, order) for key in ("riff", "data", "samples")}
    if name == b"fact":
        return {"samples": _number(stream, 4, order)}
    if name == b"fmt ":
        kind, _, rate, _, block = (_number(stream, n, order) for n in (2, 2, 4, 4, 2))
        return {"kind": kind, "rate": rate, "block": block}
    return {}


def _riff_lengths(
    numbers: dict[str, int], data: tuple[int, int], size: int, end: int, said: int
) -> Stated:
    found = Stated()
    at, length = data
    block = numbers.get("block", 0)
    if _is_open(length):
        found.known = False
        # Whole samples of compressed sound are not counted in bytes.
        if block and numbers.get("kind") in (1, 3, 0xFFFE):
            found.frames["the bytes that are there"] = (size - at) // block
    elif at + length > size + 1:
        found.problem = _short("the data chunk", length, size - at)
    else:
        if not _is_open(said):
            found.compare_header(said + 8, at + length, size)
        found.compare_end(size - end, block * numbers.get("rate", 0))
    if 0 < numbers.get("samples", 0) < 0xFFFFFFFF:
        found.frames["the count of samples in the header"] = numbers["samples"]
        found.known = True
    return found


def _is_open(size: int) -> bool:
    """Whether a size was left to be filled in later, as by programs that write to a pipe."""
    return size in _OPEN_32 or size in _OPEN_64


def _unfinished(n_bytes: int) -> str:
    return (
        f"{n_bytes} bytes lie behind the end that the header states: the recording program did not "
        "complete the header"
    )


def _w64(stream: BinaryIO, size: int) -> Stated:
    stream.seek(16)
    said, found = _number(stream, 8, "little"), Stated()
    at, end, open_end = 40, 0, False
    while at + 24 <= size:
        stream.seek(at)
        name, length = stream.read(16), _number(stream, 8, "little")
        if name == _W64_DATA:
            end, open_end = at + length, length in _OPEN_64
            if not open_end and end > size:
                found.problem = _short("the data chunk", length, size - at)
        elif not end and length < 24:
            raise ValueError("a chunk without a size")
        if not 24 <= length <= size - at:
            break
        at += (length + 7) // 8 * 8
    if not end:
        return Stated("truncated audio file: it has no chunk of samples")
    if not open_end:
        found.compare_header(said, end, size)
        found.compare_end(size - at)
    return found


def _aiff(stream: BinaryIO, size: int) -> Stated:
    head = stream.read(12)
    if head[8:] not in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
        return Stated()
    found, said = Stated(), int.from_bytes(head[4:8], "big")
    end, last, open_end = 0, 12, said in _OPEN_32
    for name, at, length in _chunks(stream, 12, size, "big"):
        last = at + length + length % 2
        n_frames = 0
        if name == b"COMM":
            stream.seek(at + 2)
            n_frames = _number(stream, 4, "big")
        elif name == b"VHDR":  # played once, and what is repeated
            stream.seek(at)
            n_frames = _number(stream, 4, "big") + _number(stream, 4, "big")
        elif name in (b"SSND", b"BODY"):
            end, open_end = at + length, open_end or length in _OPEN_32
            if not open_end and end > size + 1:
                found.problem = _short(f"the {name.decode()} chunk", length, size - at)
        if 0 < n_frames < 0xFFFFFFFF:
            found.frames[f"the {name.decode()} chunk"] = n_frames
    if not end:
        return Stated("truncated audio file: it has no chunk of samples")
    if not open_end:
        found.compare_header(said + 8, end, size)
        found.compare_end(size - last)
    return found


def _au(stream: BinaryIO, size: int) -> Stated:
    order: Order = "big" if stream.read(4) == b".snd" else "little"
    start, length = _number(stream, 4, order), _number(stream, 4, order)
    encoding, rate, channels = (_number(stream, 4, order) for _ in range(3))
    if length in _OPEN_32:
        return Stated(known=False)
    if start + length > size:
        return Stated(_short("the header", length, size - start))
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding, 4)
    found = Stated()
    found.compare_end(size - start - length, rate * channels * width)
    return found


def _caf(stream: BinaryIO, size: int) -> Stated:
    found, end, there = Stated(), 8, False
    for name, at, length in _chunks(stream, 8, size, "big", wide=True):
        there = there or name == b"data"
        if length in _OPEN_64:
            return Stated(known=False)
        end = at + length
        if end > size:
            return Stated(_short(f"the {name.decode()} chunk", length, size - at))
    found.compare_end(size - end)
    return found if there else Stated("truncated audio file: it has no chunk of samples")


def _flac(stream: BinaryIO, size: int) -> Stated:
    stream.seek(4)
    if _number(stream, 1, "big") & 0x7F:
        return Stated()
    stream.seek(4 + 4 + 13)
    n_frames = _number(stream, 5, "big") & ((1 << 36) - 1)
    stated = Stated(frames={"STREAMINFO": n_frames})
    if not n_frames:
        # libsndfile fails where the sound ends.
        stated.problem = "its header counts no samples, as of a FLAC file that went to a pipe"
    # A second file: its first metadata block is STREAMINFO, of 34 bytes.
    rest = stream.read()
    if n_frames and _more_flac(stream, n_frames):
        stated.problem = (
            f"its header counts {n_frames} samples, but more follow: the recording program did not "
            "complete the header"
        )
    if any(b"fLaC" + last + b"\0\0\x22" in rest for last in (b"\0", b"\x80")):
        stated.problem = "several FLAC files one behind the other, of which one would be read"
    return stated


def _more_flac(stream: BinaryIO, n_frames: int) -> bool:
    """Whether a sample can be decoded behind those that the header counts."""
    import soundfile

    stream.seek(0)
    content = bytearray(stream.read())
    content[21:26] = (int.from_bytes(content[21:26], "big") + 1).to_bytes(5, "big")
    try:
        with soundfile.SoundFile(BytesIO(content)) as file:
            file.seek(n_frames)
            return len(file.read(1)) > 0
    except soundfile.LibsndfileError:
        return False


def _voc(stream: BinaryIO, size: int) -> Stated:
    stream.seek(20)
    at = _number(stream, 2, "little")
    while at < size:
        stream.seek(at)
        kind = _number(stream, 1, "little")
        if kind == 0:
            return Stated()
        length = _number(stream, 3, "little")
        if at + 4 + length > size:
            return Stated(_short("a block", length, size - at - 4))
        at += 4 + length
    return Stated()


def _nist(stream: BinaryIO, size: int) -> Stated:
    fields = stream.read(1024).decode("latin-1").split()
    at = fields.index("sample_count") if "sample_count" in fields else -1
    return Stated(frames={"sample_count": int(fields[at + 2])} if at >= 0 else {})


def _ogg(stream: BinaryIO, size: int) -> Stated:
    """Pages: the last one closes its stream and counts the samples."""
    at, found = 0, Stated()
    streams: list[_Stream] = []
    current: dict[int, _Stream] = {}
    while at < size:
        stream.seek(at)
        head = stream.read(27)
        if head[:4] != b"OggS":
            if not any(head) or head[:3] == b"TAG":
                break
            found.problem = f"damaged audio file: no Ogg page at byte {at}"
            return found
        sizes = stream.read(head[26]) if len(head) == 27 else b""
        length = 27 + len(sizes) + sum(sizes)
        if len(head) < 27 or len(sizes) < head[26] or at + length > size:
            found.problem = "truncated audio file: its last Ogg page breaks off"
            return found
        serial = int.from_bytes(head[14:18], "little")
        if head[5] & 2:
            current[serial] = _Stream.of(stream.read(64))
            streams.append(current[serial])
        elif serial in current:
            current[serial].take(head)
        at += length
    if any(not one.closed for one in streams):
        found.problem = "truncated audio file: its last Ogg page does not close the stream"
        return found
    audible = [one for one in streams if one.rate]
    if audible:
        found.seconds["the Ogg pages"] = sum(one.seconds for one in audible)
    return found


@dataclass
class _Stream:
    """One logical stream of an Ogg file."""

    rate: int
    skipped: int = 0
    first: int | None = None
    last: int = 0
    closed: bool = False

    @classmethod
    def of(cls, packet: bytes) -> _Stream:
        """The stream that begins with this packet; its rate is 0 where that is no sound."""
        if packet[:7] == b"\x01vorbis":
            return cls(int.from_bytes(packet[12:16], "little"))
        if packet[:8] == b"OpusHead":
            return cls(48000, int.from_bytes(packet[10:12], "little"))
        if packet[:8] == b"Speex   ":
            return cls(int.from_bytes(packet[36:40], "little"))
        if packet[:5] == b"\x7fFLAC":
            return cls(int.from_bytes(packet[27:30], "big") >> 4)
        return cls(0)

    def take(self, head: bytes) -> None:
        position = int.from_bytes(head[6:14], "little", signed=True)
        self.closed = self.closed or bool(head[5] & 4)
        if position > 0:
            self.first = position if self.first is None else self.first
            self.last = position

    @property
    def seconds(self) -> float:
        first = self.first or 0
        # A stream that was cut out of a longer one goes on counting.
        start = first if first > 4 * self.rate else self.skipped
        return max(0.0, (self.last - start) / self.rate)


_READERS: tuple[tuple[bytes, Callable[[BinaryIO, int], Stated]], ...] = (
    (b"RIFF", _riff),
    (b"RIFX", _riff),
    (b"RF64", _riff),
    (b"BW64", _riff),
    (b"riff", _w64),
    (b"FORM", _aiff),
    (b".snd", _au),
    (b"dns.", _au),
    (b"caff", _caf),
    (b"fLaC", _flac),
    (b"OggS", _ogg),
    (b"Creative Voice F", _voc),
    (b"NIST_1A", _nist),
)
