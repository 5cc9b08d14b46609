"""Frames of an MPEG audio file (MP3), counted from their headers."""

from __future__ import annotations

from dataclasses import dataclass, field

_RATES = (44100, 48000, 32000)
_LAYER_3_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LAYER_23_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAYER_2_V1 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_LAYER_1_V1 = (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448)
_LAYER_1_V2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
# Samples that every decoder adds before the first one.
_DECODER_DELAY = 529
# How far behind other bytes a first frame is looked for.
_SEARCHED = 1 << 16


@dataclass(frozen=True)
class Header:
    """One frame: where its samples are, and how many."""

    size: int
    rate: int
    n_samples: int
    n_channels: int
    info_at: int


@dataclass
class Part:
    """A file among several that were joined.

    Attributes
    ----------
    stated_frames : int or None
        What its Xing, Info or VBRI frame says.
    delay, padding : int
        Samples that the encoder added, by LAME's tag.
    n_frames : int
        Frames with sound that are there.
    """

    stated_frames: int | None = None
    delay: int = 0
    padding: int = 0
    n_frames: int = 0


@dataclass
class Scan:
    """What is in an MPEG audio file.

    Attributes
    ----------
    rate, n_channels, n_samples : int
        Hz, channels, samples per frame.
    parts : list of Part
        More than one where files were joined.
    pieces : list of (int, int)
        First byte, and byte after the last, of contiguous frames with sound.
    missing : int
        Bytes that the last frame lacks.
    foreign : int
        Bytes between frames that are neither frames nor tags.
    tag_seconds : float or None
        Length by the ID3 tag.
    changes : bool
        Whether rate or channels change within the file.
    """

    rate: int
    n_channels: int
    n_samples: int
    parts: list[Part] = field(default_factory=list)
    pieces: list[tuple[int, int]] = field(default_factory=list)
    missing: int = 0
    foreign: int = 0
    tag_seconds: float | None = None
    changes: bool = False

    @property
    def n_frames(self) -> int:
        """Frames with sound, over all parts."""
        return sum(part.n_frames for part in self.parts)

    @property
    def skipped(self) -> int:
        """Samples before the music that the encoder and every decoder add."""
        return self.parts[0].delay + _DECODER_DELAY if self.parts[0].delay else 0

    @property
    def length(self) -> int:
        """Samples of music."""
        padding = max(0, self.parts[-1].padding - _DECODER_DELAY) if self.parts[-1].delay else 0
        return max(0, self.n_frames * self.n_samples - self.skipped - padding)


def read_header(content: bytes, at: int) -> Header | None:
    """The frame whose header begins at a byte; None where none does."""
    head = content[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bits, rate_index = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate_index == 3:
        return None
    newest = version == 3
    rate = _RATES[rate_index] >> (0 if newest else 1 if version == 2 else 2)
    if layer == 1:
        kilobits, n_samples = (_LAYER_1_V1 if newest else _LAYER_1_V2)[bits], 384
        size = (12000 * kilobits // rate + (head[2] >> 1 & 1)) * 4
    else:
        table = (_LAYER_2_V1 if layer == 2 else _LAYER_3_V1) if newest else _LAYER_23_V2
        n_samples = 1152 if newest or layer == 2 else 576
        size = n_samples // 8 * 1000 * table[bits] // rate + (head[2] >> 1 & 1)
    mono = head[3] >> 6 == 3
    side = (17 if mono else 32) if newest else (9 if mono else 17)
    return Header(size, rate, n_samples, 1 if mono else 2, 4 + side)


def _synchsafe(four: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(four)))


def _tag_size(content: bytes, at: int) -> int:
    """Bytes of a tag that begins at a byte; 0 where none does."""
    if content.startswith(b"ID3", at):
        footer = 10 if content[at + 5 : at + 6] and content[at + 5] & 0x10 else 0
        return 10 + _synchsafe(content[at + 6 : at + 10]) + footer
    if content.startswith(b"TAG", at):
        return 128
    if content.startswith(b"TAG+", at):
        return 227
    if content.startswith(b"APETAGEX", at):
        header = content[at + 23 : at + 24] and content[at + 23] & 0x20
        return int.from_bytes(content[at + 12 : at + 16], "little") + 32 if header else 32
    if content.startswith(b"LYRICSBEGIN", at):
        end = max(content.find(b"LYRICS200", at), content.find(b"LYRICSEND", at))
        return end + 9 - at if end >= 0 else 0
    return 0


def _tag_seconds(content: bytes) -> float | None:
    """``TLEN`` of an ID3 tag at the start, in seconds."""
    if not content.startswith(b"ID3"):
        return None
    at = content.find(b"TLEN", 10, _tag_size(content, 0))
    if at < 0:
        return None
    text = content[at + 11 : at + 10 + int.from_bytes(content[at + 4 : at + 8], "big")]
    digits = bytes(byte for byte in text[:64] if 48 <= byte <= 57)
    return int(digits) / 1000 if digits and int(digits) else None


def _information(content: bytes, at: int, header: Header) -> Part | None:
    """What a frame says that holds no sound but the length (Xing, Info, VBRI)."""
    frame = content[at : at + header.size]
    tag = frame[header.info_at :]
    if tag[:4] in (b"Xing", b"Info"):
        flags, place, n_frames = int.from_bytes(tag[4:8], "big"), 8, None
        if flags & 1:
            n_frames = int.from_bytes(tag[place : place + 4], "big")
        for flag, size in ((1, 4), (2, 4), (4, 100), (8, 4)):
            place += size if flags & flag else 0
        packed = int.from_bytes(tag[place + 21 : place + 24], "big")
        encoder = tag[place : place + 4]
        known = encoder.isalnum() and len(tag) >= place + 24
        return Part(n_frames, packed >> 12 if known else 0, packed & 0xFFF if known else 0)
    if frame[36:40] == b"VBRI":
        return Part(int.from_bytes(frame[50:54], "big"))
    return None


def _next_frame(content: bytes, at: int, limit: int) -> int | None:
    """Where the next frame begins that another one, or the end, follows."""
    while (at := content.find(b"\xff", at, limit)) >= 0:
        header = read_header(content, at)
        if header is not None:
            after = at + header.size
            more = read_header(content, after)
            if after == len(content) or (more is not None and more.rate == header.rate):
                return at
            if _tag_size(content, after):
                return at
        at += 1
    return None


def scan(content: bytes) -> Scan | None:
    """Walk over all frames of a file.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    Scan or None
        None where the file does not begin with tags and MPEG frames.
    """
    at = 0
    while size := _tag_size(content, at):
        at += size
    start = _next_frame(content, at, min(len(content), at + _SEARCHED))
    if start is None or (start > at and not content.startswith(b"ID3")):
        return None
    first = read_header(content, start)
    assert first is not None
    found = Scan(first.rate, first.n_channels, first.n_samples, tag_seconds=_tag_seconds(content))
    at = start
    while at < len(content):
        header = read_header(content, at)
        if header is None:
            if size := _tag_size(content, at):
                at += size
                continue
            following = _next_frame(content, at, len(content))
            if following is None:
                # Some programs fill up with zeros.
                found.foreign += len(content[at:].strip(b"\0"))
                break
            found.foreign += following - at
            at = following
            continue
        _take(found, content, at, header)
        at += header.size
    found.missing = max(0, at - len(content)) if found.pieces else 0
    return found if found.parts and found.n_frames else None


def _take(found: Scan, content: bytes, at: int, header: Header) -> None:
    part = _information(content, at, header)
    if part is not None:
        found.parts.append(part)
        return
    if not found.parts:
        found.parts.append(Part())
    if header.rate != found.rate or header.n_channels != found.n_channels:
        found.changes = True
    if at + header.size > len(content):
        return
    found.parts[-1].n_frames += 1
    end = at + header.size
    if found.pieces and found.pieces[-1][1] == at:
        found.pieces[-1] = (found.pieces[-1][0], end)
    else:
        found.pieces.append((at, end))
