"""Read a TensorFlow 1 checkpoint (format V1, one file) without TensorFlow.

Such a file is an SSTable, the sorted table of LevelDB, without compression: data blocks, an index
block that says where they are, and a footer that says where the index is. Each value is a protocol
buffer ``SavedTensorSlices`` (tensorflow/core/util/saved_tensor_slice.proto). Only what the
published VGGish checkpoint needs is read: float32 variables saved whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.errors import BadDataError

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_DT_FLOAT = 1
# Protocol-buffer wire types.
_VARINT, _BITS64, _BYTES, _BITS32 = 0, 1, 2, 5


def is_checkpoint(path: Path) -> bool:
    """Whether a file ends as an SSTable does."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < _FOOTER_BYTES:
            return False
        file.seek(-8, 2)
        return struct.unpack("<Q", file.read(8))[0] == _MAGIC


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Read all float32 variables of a V1 checkpoint.

    Parameters
    ----------
    path : Path
        The one file of the checkpoint.

    Returns
    -------
    variables : dict
        Name to float32 array in TensorFlow's shape; arrays are read-only and memory-mapped.

    Raises
    ------
    BadDataError
        Not such a file, or damaged, compressed or with partitioned variables.
    """
    if not is_checkpoint(path):
        raise BadDataError(
            "This is not a TensorFlow checkpoint in one file (V1).",
            where=path,
            wanted="the published vggish_model.ckpt",
            remedy="for other checkpoints write their variables to an .npz file first",
        )
    content = np.memmap(path, dtype=np.uint8, mode="r").data
    try:
        return _variables(content)
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise BadDataError(
            "This TensorFlow checkpoint cannot be read.",
            where=path,
            found=str(error),
            remedy="download it again and compare its md5 with the published one",
        ) from error


def _variables(content: memoryview) -> dict[str, np.ndarray]:
    footer = content[len(content) - _FOOTER_BYTES :]
    place = 0
    handle = []
    for _ in range(4):
        number, place = _varint(footer, place)
        handle.append(number)
    shapes: dict[str, tuple[int, ...]] = {}
    variables: dict[str, np.ndarray] = {}
    for pointer in _block(content, handle[2], handle[3]):
        offset, after = _varint(pointer, 0)
        size, _ = _varint(pointer, after)
        for record in _block(content, offset, size):
            for field, value in _fields(record):
                if field == 1:
                    shapes |= _shapes(value)
                elif field == 2:
                    name, numbers = _slice(value)
                    if name in variables:
                        raise ValueError(f"variable {name} is partitioned")
                    variables[name] = numbers
    return {name: variables[name].reshape(shape) for name, shape in shapes.items()}


def _block(content: memoryview, offset: int, size: int) -> Iterator[memoryview]:
    """Values of a table block; keys are not needed, since values repeat the names."""
    if content[offset + size] != 0:
        raise ValueError("the table is compressed")
    block = content[offset : offset + size]
    (n_restarts,) = struct.unpack("<I", block[-4:])
    end = size - 4 * (n_restarts + 1)
    place = 0
    while place < end:
        _, place = _varint(block, place)
        n_key, place = _varint(block, place)
        n_value, place = _varint(block, place)
        place += n_key
        yield block[place : place + n_value]
        place += n_value


def _shapes(meta: memoryview) -> dict[str, tuple[int, ...]]:
    """Shapes of the float32 variables from a SavedTensorSliceMeta."""
    shapes = {}
    for field, tensor in _fields(meta):
        if field != 1:
            continue
        parts = dict(_fields(tensor))
        if parts.get(3) != _DT_FLOAT:
            continue
        sizes = [dict(_fields(dim)).get(1, 0) for f, dim in _fields(parts.get(2, b"")) if f == 2]
        shapes[bytes(parts[1]).decode()] = tuple(sizes)
    return shapes


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
    number = shift = 0
    while True:
        byte = content[place]
        number |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return number, place
        shift += 7
