"""Results of a step as a file with a checksum, whose arrays are memory-mapped.

A pickle without its arrays comes first; then the arrays, each at a place that processors like;
then where the pickle ends and every array begins, and the checksum of all that. Who reads a large
array takes from the disk what is looked at, and several readers share it.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

from bids_app.errors import BadDataError
from bids_app.files import atomic_path
from bids_app.loading import map_bytes

ENDING = ".handed-on.pkl"
_DIGEST = hashlib.sha256().digest_size
_PLACE = struct.Struct("<QQ")
_ALIGNED = 64
_CHUNK = 1 << 22


def write_handed_on(path: Path, value: Any) -> Path:
    """Write any value that can be pickled.

    Parameters
    ----------
    path : Path
        Its name ends with `ENDING`.
    value : object
    """
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    checksum = hashlib.sha256()
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        at = 0

        def put(content: bytes | memoryview) -> None:
            nonlocal at
            stream.write(content)
            checksum.update(content)
            at += len(content)

        put(head)
        places = [(0, len(head))]
        for buffer in buffers:
            put(bytes(-at % _ALIGNED))
            content = buffer.raw()
            places.append((at, content.nbytes))
            put(content)
        for place in places:
            put(_PLACE.pack(*place))
        put(_PLACE.pack(len(places), at))
        stream.write(checksum.digest())
    return path


def read_handed_on(path: Path) -> Any:
    """Read what `write_handed_on` wrote.

    Arrays are mapped; what is changed in them stays with the reader.

    Raises
    ------
    BadDataError
        If the file is not as it was written.
    """
    if not is_whole(path):
        raise BadDataError(
            "The result of a step is not as it was written.",
            where=path,
            found="a file that is missing or was changed",
            wanted="a file with its checksum",
            remedy="run the same command again: the step is repeated. If that does not help, "
            "delete the folder of --work-dir",
        )
    content = map_bytes(path, private=True)
    tail = len(content) - _DIGEST
    n_places, end = _PLACE.unpack(content[tail - _PLACE.size : tail])
    listed = content[end - n_places * _PLACE.size : end]
    (_, size), *others = _PLACE.iter_unpack(listed)
    buffers = [content[start : start + length] for start, length in others]
    return pickle.loads(content[:size], buffers=buffers)


def is_whole(path: Path) -> bool:
    """Whether a file is as `write_handed_on` wrote it."""
    size = path.stat().st_size
    if size < _DIGEST + 2 * _PLACE.size:
        return False
    found = hashlib.sha256()
    left = size - _DIGEST
    with path.open("rb") as stream:
        while left:
            chunk = stream.read(min(_CHUNK, left))
            if not chunk:
                return False
            found.update(chunk)
            left -= len(chunk)
        return stream.read() == found.digest()


def checksum_of(path: Path) -> str:
    """The checksum that a file carries."""
    with path.open("rb") as stream:
        stream.seek(-min(_DIGEST, path.stat().st_size), 2)
        return stream.read().hex()
