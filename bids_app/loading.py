"""The only module that opens files of arrays: images, surfaces, HDF5, numpy's own.

A file may say that its data lie in another file of the machine, may unpack to a thousand times its
size, and may announce any size. Here none of these is believed. `tests/faults/test_security.py`
refuses calls of the libraries' own readers anywhere else.
"""

from __future__ import annotations

import base64
import gzip
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, cast
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 1 << 33
"""Of one array: a run of hours on the finest mesh."""

_FREELY = 1 << 28
_RATIO = 200
_MARKUP = 1 << 25
_CHUNK = 1 << 20
_MOST_AXES = 7
_MOST_LABELS = 1 << 20
_MOST_LINKS = 8
_MOST_DEPTH = 64
_MOST_EVENTS = 1 << 24
_MOST_MIDI = 1 << 21
"""Bytes, a third of which an hour of piano needs; three of them can take half a kilobyte."""
_MOST_ELEMENTS = 1 << 21
_OFFSETS = {348: ("f", 108), 540: ("q", 168)}
"""Where NIfTI-1 and NIfTI-2 say at which byte the data begin, by the size of the header."""


class Unpacking:
    """How much one file has unpacked to; real data shrink tenfold, zeros a thousandfold.

    Parameters
    ----------
    packed : int
        Bytes of the file.
    """

    def __init__(self, packed: int) -> None:
        self.packed, self.total = packed, 0

    def take(self, n_bytes: int) -> None:
        """Count what is about to be unpacked.

        Raises
        ------
        ValueError
            Where it is more than can be meant.
        """
        self.total += n_bytes
        if not 0 <= n_bytes <= MAX_BYTES:
            raise ValueError(f"{n_bytes:,} bytes of data, more than can be read at once")
        if self.total > max(_FREELY, _RATIO * self.packed):
            raise ValueError(f"{self.packed:,} bytes unpack to {self.total:,} or more")


class _Bounded(io.RawIOBase):
    """A packed stream that counts what it gives."""

    def __init__(self, path: Path) -> None:
        self._stream = gzip.open(path, "rb")  # noqa: SIM115
        self._unpacking = Unpacking(path.stat().st_size)

    def read(self, size: int = -1) -> bytes:
        size = _CHUNK if size < 0 else size
        self._unpacking.take(size)
        return self._stream.read(size)

    def close(self) -> None:
        self._stream.close()
        super().close()


def load_gifti(path: Path, *, each: Callable[[NDArray[Any]], None] | None = None) -> Any:
    """Open a GIFTI file; an image of `nibabel`.

    Parameters
    ----------
    path : Path
    each : callable, optional
        Is given the values of every data array as it is read; the image then has none.

    Raises
    ------
    OSError, ValueError, or whatever the library stumbles over
        Where the file is no GIFTI file, has its data elsewhere, unpacks to more than it says or
        than can be meant, or holds more than metadata can be.
    """
    path = Path(path)
    parser = _gifti_parser()(path.stat().st_size, each)
    with _Bounded(path) if path.suffix == ".gz" else path.open("rb") as stream:
        parser.parse(fptr=stream)
    if parser.img is None:
        raise ValueError("no GIFTI element")
    return parser.img


class _OneByOne:
    """Of a parser: hands on every array when it is read, and keeps none of it."""

    img: Any
    each: Callable[[NDArray[Any]], None] | None

    def EndElementHandler(self, name: str) -> None:
        super().EndElementHandler(name)  # type: ignore[misc]
        if name == "DataArray" and self.each is not None:
            array = self.img.darrays[-1]
            self.each(np.asarray(array.data))
            array.data = np.empty(0, dtype=np.float32)


@cache
def _gifti_parser() -> Any:
    from nibabel.gifti.parse_gifti_fast import GiftiImageParser
    from nibabel.gifti.util import gifti_encoding_codes

    class Parser(_OneByOne, GiftiImageParser):
        """Takes the compressed data and the bytes; the rest is nibabel's."""

        def __init__(self, packed: int, each: Callable[[NDArray[Any]], None] | None) -> None:
            super().__init__()
            self._unpacking, self.each = Unpacking(packed), each
            self._n_data = 0

        def parse(self, string: Any = None, fname: Any = None, fptr: Any = None) -> None:
            parser = self._create_parser()
            for name in self.HANDLER_NAMES:
                setattr(parser, name, getattr(self, name))
            fed = 0
            while chunk := fptr.read(_CHUNK):
                parser.Parse(chunk, False)
                fed += len(chunk)
                # A tag or comment that does not end would be read from its start with every chunk.
                if fed - self._n_data > _MARKUP and (
                    fed - parser.CurrentByteIndex > _MARKUP or self._markup(fed) > _MARKUP
                ):
                    raise ValueError(f"more than {_MARKUP >> 20} MiB beside its data")
            parser.Parse(b"", True)

        def _markup(self, fed: int) -> int:
            pending = sum(map(len, self._char_blocks or [])) if self.write_to == "Data" else 0
            return fed - self._n_data - pending - _CHUNK

        def StartElementHandler(self, name: str, attrs: dict[str, str]) -> None:
            if int(attrs.get("Dimensionality", "0")) > _MOST_AXES:
                raise ValueError(f"an array of {attrs['Dimensionality']} axes")
            super().StartElementHandler(name, attrs)

        def flush_chardata(self) -> None:
            if self.write_to == "Data" and self.da is not None:
                array: Any = self.da
                encoding = gifti_encoding_codes.label[array.encoding]
                if encoding == "External":
                    raise ValueError(f"its data are in another file ({array.ext_fname})")
                self._n_data += sum(map(len, self._char_blocks or []))
                if encoding == "B64GZ":
                    array.data = _unpacked(array, "".join(self._char_blocks or []), self._unpacking)
                    self._char_blocks = None
                    return
            super().flush_chardata()

    return Parser


def _unpacked(array: Any, text: str, unpacking: Unpacking) -> NDArray[Any]:
    """Values of a compressed data array of a GIFTI file, of the size its attributes say."""
    from nibabel.gifti.util import array_index_order_codes, gifti_endian_codes
    from nibabel.nifti1 import data_type_codes

    kind: Any = data_type_codes.dtype[array.datatype]
    dtype = kind.newbyteorder(gifti_endian_codes.byteorder[array.endian])
    n_bytes = math.prod(array.dims) * dtype.itemsize
    if not 0 <= n_bytes <= MAX_BYTES:
        raise ValueError(f"an array of {array.dims} numbers")
    unpacking.take(n_bytes)
    content = zlib.decompressobj().decompress(base64.b64decode(text), n_bytes + 1)
    if len(content) != n_bytes:
        found = f"more than {n_bytes}" if len(content) > n_bytes else f"{len(content)}"
        raise ValueError(f"{found} bytes of data for an array of {n_bytes}")
    order: Any = array_index_order_codes.npcode[array.ind_ord]
    values: NDArray[Any] = np.frombuffer(bytearray(content), dtype)
    return values.reshape(tuple(array.dims), order=order)


def load_volume(path: Path) -> Any:
    """Open a NIfTI or CIFTI file (``.nii``, ``.nii.gz``); an image of `nibabel`, data unread.

    Raises
    ------
    OSError, ValueError, or whatever the library stumbles over
        Where the file is neither, or says or unpacks to more than can be meant.
    """
    import nibabel as nib

    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError("no .nii or .nii.gz file")
    packed = path.suffix == ".gz"
    with gzip.open(path, "rb") if packed else path.open("rb") as stream:
        _check_nifti_head(cast("IO[bytes]", stream).read(540))
    image: Any = nib.load(path)
    if not isinstance(image, (nib.Nifti1Image, nib.Cifti2Image)):
        raise ValueError(f"a {type(image).__name__}")
    n_bytes = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    if packed:
        Unpacking(path.stat().st_size).take(n_bytes)
    elif n_bytes > path.stat().st_size:
        raise ValueError(f"{path.stat().st_size:,} bytes for an array of {n_bytes:,}")
    return image


def _check_nifti_head(head: bytes) -> None:
    """Refuse a header that puts more before the data than can be meant."""
    for order in "<>":
        size = struct.unpack_from(f"{order}i", head)[0] if len(head) >= 348 else 0
        if size in _OFFSETS:
            kind, at = _OFFSETS[size]
            (offset,) = struct.unpack_from(order + kind, head, at)
            if not 0 <= offset <= _MARKUP:
                raise ValueError(f"its data begin at byte {offset:g}")
            return
    raise ValueError("no NIfTI header")


def load_annotation(path: Path) -> tuple[NDArray[Any], NDArray[Any], list[bytes]]:
    """Region of every vertex, colors and names of a FreeSurfer annotation (``.annot``).

    Raises
    ------
    OSError, ValueError, or whatever the library stumbles over
    """
    import nibabel as nib

    path = Path(path)
    content = path.read_bytes()
    n_vertices = _count(content, 0)
    at = 4 + 8 * n_vertices
    if _count(content, at):
        first = _count(content, at + 4)
        # The newer format counts its entries behind a version and a name.
        if first & 0x80000000:
            name = at + 12
            listed = _count(content, name + 4 + _count(content, name))
            n_labels = max(_count(content, at + 8), listed)
        else:
            n_labels = first
        if n_labels > _MOST_LABELS:
            raise ValueError(f"a table of {n_labels:,} regions")
    return nib.freesurfer.read_annot(path)


def _count(content: bytes, at: int) -> int:
    if not 0 <= at <= len(content) - 4:
        raise ValueError("it breaks off")
    return int.from_bytes(content[at : at + 4], "big")


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Array of a ``.npy`` file, in memory or mapped read-only; no Python objects.

    Raises
    ------
    OSError, EOFError, ValueError
        Where the file is none, or does not hold what it announces.
    """
    path = Path(path)
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        known = {(1, 0): np.lib.format.read_array_header_1_0}
        header = known.get(version, np.lib.format.read_array_header_2_0)
        shape, _, dtype = header(stream)
        wanted = math.prod(shape) * dtype.itemsize + stream.tell()
    size = path.stat().st_size
    if size != wanted:
        raise ValueError(f"{size:,} bytes where its header announces {wanted:,}")
    return np.asarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays of a ``.npz`` file by name; no Python objects.

    Raises
    ------
    OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error
    """
    path = Path(path)
    with zipfile.ZipFile(path) as archive:
        unpacking = Unpacking(path.stat().st_size)
        for entry in archive.infolist():
            unpacking.take(entry.file_size)
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def load_numbers(
    path: Path, *, separator: str | None = None, skip: int = 0, n_axes: Literal[1, 2] = 1
) -> NDArray[np.float64]:
    """Numbers of a text file as an array of at least `n_axes` axes; the first is that of lines.

    Raises
    ------
    OSError, ValueError
        Where it is no text of numbers, or larger than any can be.
    """
    path = Path(path)
    if path.stat().st_size > _FREELY:
        raise ValueError(f"more than {_FREELY >> 20} MiB of text")
    text = io.StringIO(path.read_text(encoding="utf-8"))
    return np.loadtxt(text, delimiter=separator, skiprows=skip, ndmin=n_axes)


def map_numbers(path: Path, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """A file of bare numbers that the program itself wrote, mapped read-only."""
    return np.memmap(path, dtype=dtype, mode="r", shape=shape)


def map_bytes(path: Path, *, private: bool = False) -> memoryview:
    """Content of a file, mapped read-only, or so that changes stay with this process."""
    # An empty file cannot be mapped.
    if not Path(path).stat().st_size:
        return memoryview(b"")
    return np.memmap(path, dtype=np.uint8, mode="c" if private else "r").data


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """An HDF5 file for reading; its arrays are read with `hdf5_array`.

    Raises
    ------
    OSError
        Where it is none.
    """
    import h5py

    with h5py.File(path, "r") as content:
        yield content


def hdf5_member(group: Any, name: str) -> Any:
    """A group or array of this very file.

    Raises
    ------
    KeyError, ValueError
        Where there is none, or a link leads to another file.
    """
    import h5py

    found = group
    for _ in range(_MOST_LINKS):
        parts = [part for part in name.split("/") if part]
        found = group.file["/"] if name.startswith("/") else group
        for number, part in enumerate(parts):
            link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
            if isinstance(link, h5py.ExternalLink):
                raise ValueError(f"{part} is in another file ({link.filename})")
            if isinstance(link, h5py.SoftLink):
                group, name = found, "/".join([link.path, *parts[number + 1 :]])
                break
            if link is None:
                raise KeyError(f"no {name}")
            found = found[part]
        else:
            return found
    raise ValueError(f"{name} is a link to a link, and so on")


def hdf5_array(group: Any, name: str, columns: slice = slice(None)) -> NDArray[Any]:
    """An array of this very file, or some columns of it.

    Raises
    ------
    KeyError, TypeError, ValueError
        Where it is none, has its data in another file, or unpacks to more than can be meant.
    """
    found = _dataset(group, name)
    size = found.size
    if columns != slice(None):
        size = found.shape[0] * len(range(*columns.indices(found.shape[1])))
    n_bytes = size * max(8, found.dtype.itemsize)
    if n_bytes > MAX_BYTES:
        raise ValueError(f"{name} has {size:,} numbers, more than can be read at once")
    Unpacking(found.id.get_storage_size()).take(n_bytes)
    return np.asarray(found if columns == slice(None) else found[:, columns])


def hdf5_shape(group: Any, name: str) -> tuple[int, ...]:
    """Shape of an array of this very file, which is not read.

    Raises
    ------
    KeyError, TypeError, ValueError
        Where it is none, or has its data in another file.
    """
    return tuple(_dataset(group, name).shape)


def _dataset(group: Any, name: str) -> Any:
    import h5py

    found = hdf5_member(group, name)
    if not isinstance(found, h5py.Dataset):
        raise TypeError(f"{name} is no array")
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds no real numbers ({found.dtype})")
    if found.external or found.is_virtual:
        raise ValueError(f"{name} is in another file")
    return found


def load_midi(path: Path) -> Any:
    """A MIDI file, whose messages come with the seconds since the one before; a file of `mido`.

    Raises
    ------
    OSError, EOFError, ValueError, or whatever the library stumbles over
        Where it is none, or larger than any can be.
    """
    from mido import MidiFile

    content = Path(path).read_bytes()
    if len(content) > _MOST_MIDI:
        raise ValueError(f"{len(content):,} bytes, more than a MIDI file can have")
    if not content.startswith(b"MThd"):
        raise ValueError("no MIDI header")
    return MidiFile(file=io.BytesIO(content))


def load_match(path: Path) -> tuple[Any, list[dict[str, Any]], Any]:
    """Performance, alignment and score of a match file, as `partitura` has them.

    Raises
    ------
    ImportError
        There is no `partitura`.
    OSError, ValueError, or whatever the library stumbles over
        Where it is none, or larger than any can be.
    """
    import partitura

    size = Path(path).stat().st_size
    if size > _MOST_EVENTS:
        raise ValueError(f"{size:,} bytes, more than a match file can have")
    found = partitura.load_match(str(path), create_score=True, quiet=True)
    return found[0], found[1], found[2]


def load_score(content: bytes) -> Element:
    """Root of a MusicXML score, packed (``.mxl``) or not; entities are refused, not expanded.

    Raises
    ------
    ValueError, KeyError, zipfile.BadZipFile, zlib.error, expat.ExpatError
        Where it is none, declares entities, or unpacks to more than can be meant.
    """
    if not content.startswith(b"PK"):
        return _markup_root(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacking = Unpacking(len(content))
        for entry in archive.infolist():
            unpacking.take(entry.file_size)
        container = _markup_root(archive.read("META-INF/container.xml"))
        listed = container.find(".//rootfile")
        if listed is None:
            raise ValueError("its container names no score")
        return _markup_root(archive.read(listed.get("full-path", "")))


def _markup_root(content: bytes) -> Element:
    if len(content) > _FREELY:
        raise ValueError(f"more than {_FREELY >> 20} MiB of markup")
    builder, depth, n_elements = TreeBuilder(), 0, 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, n_elements
        depth += 1
        n_elements += 1
        if n_elements > _MOST_ELEMENTS:
            raise ValueError(f"more than {_MOST_ELEMENTS:,} elements")
        if depth > _MOST_DEPTH:
            raise ValueError(f"elements within elements, {depth} of them")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: Any) -> None:
        raise ValueError("it declares entities")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse
    parser.Parse(content, True)
    return builder.close()
