"""Read TensorFlow checkpoints without TensorFlow: format V1 (one file) and V2 (index and data).

Both rest on an SSTable, the sorted table of LevelDB, without compression: data blocks, an index
block that says where they are, and a footer that says where the index is. In V1 each value is a
``SavedTensorSlices`` (tensorflow/core/util/saved_tensor_slice.proto) with the numbers in it. In V2
the table is a file of its own, ``PREFIX.index``, whose values are ``BundleEntryProto``
(tensorflow/core/protobuf/tensor_bundle.proto) and say where the numbers lie in
``PREFIX.data-00000-of-00001``. Only what published networks need is read: float32 variables saved
whole, in one data file. Everything is held against the checksums in the file (CRC-32C).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.errors import BadDataError, MissingInputError
from bids_app.loading import map_bytes

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
# After a block: one byte for its compression, four for its checksum.
_TRAILER_BYTES = 5
_DT_FLOAT = 1
# Protocol-buffer wire types.
_VARINT, _BITS64, _BYTES, _BITS32 = 0, 1, 2, 5
_VARINT_BYTES = 10
_CRC_POLYNOMIAL = 0x82F63B78
_CRC_CHUNK = 1 << 20

Wanted = Callable[[str], bool]


def is_checkpoint(path: Path) -> bool:
    """Whether a file ends as an SSTable does: a V1 checkpoint, or the index of one of V2."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < _FOOTER_BYTES:
            return False
        file.seek(-8, 2)
        return struct.unpack("<Q", file.read(8))[0] == _MAGIC


def read_checkpoint(path: Path, wanted: Wanted = lambda name: True) -> dict[str, np.ndarray]:
    """Read the float32 variables of a checkpoint.

    Parameters
    ----------
    path : Path
        The one file of a V1 checkpoint, or the ``.index`` of a V2 checkpoint, beside which its
        ``.data-00000-of-00001`` lies.
    wanted : callable
        Whether the variable of a name is read; default: all.

    Returns
    -------
    variables : dict
        Name to float32 array in TensorFlow's shape; arrays are read-only and memory-mapped.

    Raises
    ------
    MissingInputError
        The data of a V2 checkpoint are not beside its index.
    BadDataError
        Not such a file, or damaged, compressed, in several data files, big-endian, or with
        partitioned variables.
    """
    if not is_checkpoint(path):
        raise BadDataError(
            "This is not a TensorFlow checkpoint (one file of V1, or the .index of V2).",
            where=path,
            found="another file",
            wanted="the published vggish_model.ckpt",
            remedy="for other checkpoints write their variables to an .npz file first",
        )
    try:
        records = _records(_mapped(path))
        bundle = path.name.endswith(".index")
        return _bundle_variables(records, path, wanted) if bundle else _variables(records, wanted)
    # What broken bytes lead numpy, struct and these functions into.
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise BadDataError(
            "This TensorFlow checkpoint cannot be read.",
            where=path,
            found=str(error),
            wanted="the published vggish_model.ckpt",
            remedy="download it again and compare its checksum with the published one",
        ) from error


def _mapped(path: Path) -> memoryview:
    return map_bytes(path)


def _variables(records: Iterator[tuple[bytes, memoryview]], wanted: Wanted) -> dict[str, Any]:
    """Variables of a V1 checkpoint."""
    shapes: dict[str, tuple[int, ...]] = {}
    variables: dict[str, np.ndarray] = {}
    for _, record in records:
        for field, value in _fields(record):
            if field == 1:
                shapes |= _shapes(value)
            elif field == 2:
                name, numbers = _slice(value)
                if name in variables:
                    raise ValueError(f"variable {name} is partitioned")
                variables[name] = numbers
    return {name: variables[name].reshape(s) for name, s in shapes.items() if wanted(name)}


def _bundle_variables(
    records: Iterator[tuple[bytes, memoryview]], path: Path, wanted: Wanted
) -> dict[str, np.ndarray]:
    """Variables of a V2 checkpoint."""
    key, header = next(records, (b"none", memoryview(b"")))
    about = dict(_fields(header))
    if key or about.get(1, 1) != 1 or about.get(2, 0) != 0:
        raise ValueError("no header, several data files, or big-endian numbers")
    place = path.with_name(path.name.removesuffix(".index") + ".data-00000-of-00001")
    if not place.is_file():
        raise MissingInputError(
            "The data of a TensorFlow checkpoint are not beside its index.",
            where=path,
            found="no such file",
            wanted=place.name,
            remedy="copy both files into one folder",
        )
    data = _mapped(place)
    variables = {}
    for key, entry in records:
        name = key.decode()
        parts = dict(_fields(entry))
        if parts.get(1) != _DT_FLOAT or not wanted(name):
            continue
        if 7 in parts:
            raise ValueError(f"variable {name} is partitioned")
        shape, offset, size = _shape(parts.get(2, b"")), parts.get(4, 0), parts.get(5, 0)
        if parts.get(3, 0) != 0 or size != 4 * math.prod(shape):
            raise ValueError(f"variable {name} of shape {shape} has {size} bytes")
        numbers = _part(data, offset, size, f"variable {name}")
        (checksum,) = struct.unpack("<I", parts[6])
        _check_crc(checksum, f"variable {name}", numbers)
        variables[name] = np.frombuffer(numbers, dtype="<f4").reshape(shape)
    return variables


def _part(content: memoryview, offset: int, size: int, what: str) -> memoryview:
    if offset + size > len(content):
        raise ValueError(f"{what} lies beyond the end of the file")
    return content[offset : offset + size]


def _records(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of the table, in order."""
    footer = content[len(content) - _FOOTER_BYTES :]
    place = 0
    handle = []
    for _ in range(4):
        number, place = _varint(footer, place)
        handle.append(number)
    end = 0
    for _, pointer in _block(content, handle[2], handle[3]):
        offset, after = _varint(pointer, 0)
        size, _ = _varint(pointer, after)
        # A table that names a block a thousand times would never end.
        if offset < end:
            raise ValueError("blocks of the table overlap")
        end = offset + size
        yield from _block(content, offset, size)


def _block(content: memoryview, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    """Keys and values of a block; a key repeats the beginning of the one before it."""
    stored = _part(content, offset, size + _TRAILER_BYTES, "a block of the table")
    if stored[size] != 0:
        raise ValueError("the table is compressed")
    (checksum,) = struct.unpack("<I", stored[size + 1 :])
    _check_crc(checksum, "a block of the table", stored[: size + 1])
    block = stored[:size]
    (n_restarts,) = struct.unpack("<I", block[-4:])
    end = size - 4 * (n_restarts + 1)
    place = 0
    key = b""
    while place < end:
        n_shared, place = _varint(block, place)
        n_key, place = _varint(block, place)
        n_value, place = _varint(block, place)
        if n_shared > len(key) or place + n_key + n_value > end:
            raise ValueError("a record is cut off")
        key = key[:n_shared] + bytes(block[place : place + n_key])
        place += n_key
        yield key, block[place : place + n_value]
        place += n_value


def _shapes(meta: memoryview) -> dict[str, tuple[int, ...]]:
    """Shapes of the float32 variables from a SavedTensorSliceMeta."""
    shapes = {}
    for field, tensor in _fields(meta):
        if field != 1:
            continue
        parts = dict(_fields(tensor))
        if parts.get(3) == _DT_FLOAT:
            shapes[bytes(parts[1]).decode()] = _shape(parts.get(2, b""))
    return shapes


def _shape(message: memoryview | bytes) -> tuple[int, ...]:
    """Sizes in a TensorShapeProto."""
    return tuple(dict(_fields(dim)).get(1, 0) for field, dim in _fields(message) if field == 2)


def _slice(saved: memoryview) -> tuple[str, np.ndarray]:
    """Name and numbers of a SavedSlice; other types than float32 give an empty array."""
    parts = dict(_fields(saved))
    for _, extent in _fields(parts.get(2, b"")):
        if 2 in dict(_fields(extent)):
            raise ValueError(f"variable {bytes(parts[1]).decode()} is partitioned")
    numbers = [
        np.frombuffer(value, dtype="<f4")
        for field, value in _fields(parts[3])
        if field == 5 and not isinstance(value, int)
    ]
    whole = numbers[0] if len(numbers) == 1 else np.concatenate([np.empty(0, "<f4"), *numbers])
    return bytes(parts[1]).decode(), whole


def _fields(message: memoryview | bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and values: int for numbers, memoryview for everything else."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, place = _varint(message, place)
        elif kind in (_BITS32, _BITS64):
            size = 4 if kind == _BITS32 else 8
        else:
            raise ValueError(f"unknown wire type {kind}")
        if place + size > len(message):
            raise ValueError("a record is cut off")
        yield tag >> 3, memoryview(message)[place : place + size]
        place += size


def _varint(content: memoryview | bytes, place: int) -> tuple[int, int]:
    """Number of variable length, and the place after it."""
    number = 0
    for k in range(_VARINT_BYTES):
        byte = content[place + k]
        number |= (byte & 0x7F) << 7 * k
        if byte < 0x80:
            return number, place + k + 1
    raise ValueError("a number has too many digits")


def _check_crc(masked: int, what: str, data: memoryview) -> None:
    """Raise ValueError unless the bytes have the checksum that is stored, masked, with them."""
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    if crc32c(data) != ((rotated >> 17 | rotated << 15) & 0xFFFFFFFF):
        raise ValueError(f"{what} has a wrong checksum (CRC-32C)")


def crc32c(data: memoryview | bytes) -> int:
    """CRC-32C (Castagnoli) of bytes.

    The remainder of joined halves is that of the left one, carried past the length of the right
    one, plus that of the right one: so all bytes of a chunk are joined pair by pair.

    Parameters
    ----------
    data : bytes or memoryview

    Returns
    -------
    int
        As RFC 3720 defines it: 0xE3069283 for ``b"123456789"``.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    state = 0xFFFFFFFF
    for start in range(0, len(data), _CRC_CHUNK):
        part = np.frombuffer(data[start : start + _CRC_CHUNK], dtype=np.uint8)
        for k in range(part.size.bit_length()):
            if part.size >> k & 1:
                state = int(_carry(np.array([state], np.uint32), k)[0])
        remainders = _carries(0)[0][part]
        level = 0
        while remainders.size > 1:
            if remainders.size % 2:  # zeros in front change nothing
                remainders = np.concatenate([np.zeros(1, np.uint32), remainders])
            remainders = _carry(remainders[::2], level) ^ remainders[1::2]
            level += 1
        state ^= int(remainders[0])
    return state ^ 0xFFFFFFFF


def _carry(remainders: np.ndarray, level: int) -> np.ndarray:
    """Remainders after 2**level more bytes of zeros."""
    tables = _carries(level)
    carried = tables[0][remainders & 0xFF]
    for k in range(1, 4):
        carried ^= tables[k][remainders >> np.uint32(8 * k) & 0xFF]
    return carried


@cache
def _carries(level: int) -> np.ndarray:
    """Table (4, 256) of :func:`_carry`: what each value of each byte of a remainder becomes."""
    values = np.arange(256, dtype=np.uint32) << (
        np.uint32(8) * np.arange(4, dtype=np.uint32)[:, None]
    )
    if level:
        return _carry(_carry(values, level - 1), level - 1)
    for _ in range(8):
        values = values >> np.uint32(1) ^ np.where(
            values & 1, np.uint32(_CRC_POLYNOMIAL), np.uint32(0)
        )
    return values
