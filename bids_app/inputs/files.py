"""Whether the content of a file is present, and its header, without reading all of it."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeGuard
from xml.parsers import expat

from bids_app.errors import FETCH, BadDataError, InvalidInputError, MissingInputError
from bids_app.files import read_json
from bids_app.lookalikes import difference, nearest
from bids_app.plain import some_of

_HEAD_CHUNK = 16384
_TAIL = 64
_MOST_HEAD = 1 << 24
_BEYOND = 1e12
_SAMPLE = 1 << 16


@dataclass(frozen=True)
class GiftiHeader:
    """What the beginning of a GIFTI time series says.

    Attributes
    ----------
    n_volumes : int
        Data arrays, or columns of the only one.
    n_vertices : int
    time_step : float or None
        ``TimeStep`` of the file's metadata as written (FreeSurfer writes milliseconds).
    structure : str or None
        ``AnatomicalStructurePrimary``.
    """

    n_volumes: int
    n_vertices: int
    time_step: float | None
    structure: str | None


def on_disk(path: Path) -> Path:
    """The file that a path means, whichever Unicode form its name has on disk.

    macOS writes accents and Hangul decomposed (NFD), most programs composed (NFC). A path that is
    there as it is spelled stays; so does one that nothing on disk is meant by.
    """
    if os.path.lexists(path) or not path.name:
        return path
    folder = on_disk(path.parent)
    wanted = unicodedata.normalize("NFC", path.name)
    if folder.is_dir() and not wanted.isascii():
        for other in sorted(folder.iterdir()):
            if unicodedata.normalize("NFC", other.name) == wanted:
                return other
    return folder / path.name


def inside(root: Path, folder: str, name: str, *, where: object, found: object) -> Path:
    """The file below a folder of a dataset that a text of this dataset names.

    Parameters
    ----------
    root : Path
        Of the dataset.
    folder : str
        Within the dataset, to which `name` is relative.
    name : str
        As the dataset has it.
    where, found
        Of the error.

    Returns
    -------
    Path
        The very path that was checked, without ``..``. Links keep their own names: those of
        git-annex lead to names that say nothing.

    Raises
    ------
    InvalidInputError
        If the path, or the file at the end of its links, lies elsewhere; the content of git-annex
        may.
    """
    base = Path(root) / folder
    path = on_disk(Path(os.path.normpath(base / name)))
    below = path != base and path.is_relative_to(os.path.normpath(base))
    if below and "\0" not in name:
        real = Path(os.path.realpath(path))
        homes = [Path(os.path.realpath(one)) for one in (root, base)]
        below = any(real.is_relative_to(home) for home in homes) or _in_annex(real)
        below = below or not os.path.exists(real)  # noqa: PTH110  (a broken link is told later)
    if below:
        return path
    raise InvalidInputError(
        "A file that the dataset names lies outside the dataset.",
        where=where,
        found=found,
        wanted=f"a path below {base}",
        remedy=f"move the file, no link to it, into {base}, or give the files with "
        "--stimuli TABLE.tsv",
    )


def _in_annex(path: Path) -> bool:
    parts = path.parts
    return any(pair == ("annex", "objects") for pair in pairwise(parts))


def _lookalike(path: Path) -> str:
    """A file beside that is meant by all appearances, and how its name differs; empty else."""
    try:
        names = [other.name for other in path.parent.iterdir()]
    except (OSError, ValueError):
        return _outside_its_folder(path)
    other = nearest(path.name, names)
    if other is not None:
        return f"; there is {other}, which looks the same: {difference(path.name, other)}"
    if "\\" in path.name:
        return "; folders are separated by /, not by a backslash"
    own = path.name.casefold()
    if same := [name for name in sorted(names) if name.casefold() == own]:
        return f"; there is {same[0]}: upper and lower case differ"
    stems = {Path(own).stem, own} - {""}
    if alike := [name for name in sorted(names) if Path(name.casefold()).stem in stems]:
        return f"; there is {some_of(alike, 3)}"
    return ""


def _outside_its_folder(path: Path) -> str:
    """Say that there is no such folder, and whether the file lies in what would hold it."""
    there = next((folder for folder in path.parents if folder.is_dir()), None)
    if there is None:
        return ""
    lost = path.relative_to(there).parts[0]
    alone = "; the file lies in it" if (there / path.name).is_file() else ""
    return f"; there is no folder {lost} in {there}{alone}"


def content_problem(path: Path) -> str | None:
    """Say why the content of a file cannot be read, or None where it can.

    Recognizes git-annex links and pointer files (DataLad datasets whose content was not fetched),
    git-LFS pointers, broken links, folders, empty files and files nobody may read.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return f"not found: {path}{_lookalike(path)}"
    # A name that is too long, or a folder that may not be entered.
    except (OSError, ValueError) as error:
        return f"not found: {path} ({getattr(error, 'strerror', error)})"
    if path.is_symlink() and not path.exists():
        target = str(path.readlink())
        if "annex" in target or ".git" in Path(target).parts:
            return f"content not present: datalad get {path}"
        return f"broken link: {path} points to {target}, which does not exist"
    if not path.is_file():
        return f"not a file: {path}"
    try:
        with path.open("rb") as stream:
            start = stream.read(_HEAD_CHUNK)
    except PermissionError:
        return f"no permission to read: {path}"
    except OSError as error:
        return f"cannot be read: {path} ({error.strerror})"
    if not start:
        return f"empty file: {path}"
    if len(start) < 1024:
        if start.startswith(b"/annex/objects/"):
            return f"content not present: datalad get {path}"
        if start.startswith(b"version https://git-lfs"):
            return f"content not present: git lfs pull --include {path.name} ({path})"
    return None


def sampled_checksum(path: Path) -> str:
    """SHA-256 of size, start, middle and end of a file: what copies of a file have in common."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        for at in (0, size // 2, max(0, size - _SAMPLE)):
            stream.seek(at)
            digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()


def is_named(path: Path) -> bool:
    """Whether a file is there, or a link whose content was not fetched."""
    try:
        return path.is_file() or path.is_symlink()
    except OSError:  # a name that no file can have
        return False


def need_content(path: Path, what: str, *, remedy: str = FETCH) -> None:
    """Refuse a file whose content `content_problem` finds not there, in these words.

    Raises
    ------
    MissingInputError
    """
    if problem := content_problem(path):
        raise MissingInputError(what, where=path, found=problem, remedy=remedy)


def read_object(
    path: Path,
    what: str = "A JSON sidecar cannot be read.",
    wanted: str = 'a JSON object such as {"RepetitionTime": ..., ...}',
) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InvalidInputError
        In these words, where the file is not JSON or not an object.
    """
    found: object = None
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            found = f"a {type(content).__name__}: it does not hold an object"
    except BadDataError as error:
        found = error.found
    if found is not None:
        raise InvalidInputError(
            what, where=path, found=found, wanted=wanted, remedy="correct the file"
        )
    return content


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of JSON is a finite number: no text, no boolean, not beyond any unit."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _BEYOND


class _HeaderParser:
    """Collect what precedes the first data of a GIFTI file."""

    def __init__(self) -> None:
        self.n_arrays: int | None = None
        self.shape: list[int] = []
        self.metadata: dict[str, str] = {}
        self.done = False
        self._text: list[str] = []
        self._name = ""
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text.append

    def feed(self, chunk: bytes) -> None:
        self._parser.Parse(chunk, False)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._text.clear()
        if tag == "GIFTI":
            self.n_arrays = int(attributes.get("NumberOfDataArrays", "0"))
        elif tag == "DataArray" and not self.shape:
            n_axes = int(attributes.get("Dimensionality", "1"))
            self.shape = [int(attributes[f"Dim{axis}"]) for axis in range(n_axes)]
            if attributes.get("Encoding", "").startswith("External"):
                raise ValueError("its data lie in another file: write it with encoded data")
        elif tag == "Data":
            self.done = True

    def _end(self, tag: str) -> None:
        text = "".join(self._text).strip()
        if tag == "Name":
            self._name = text
        elif tag == "Value" and not self.done:
            self.metadata.setdefault(self._name, text)
        self._text.clear()


def read_gifti_header(path: Path) -> GiftiHeader:
    """Read shape and metadata from the first kilobytes of a GIFTI file.

    Parameters
    ----------
    path : Path
        A file that `content_problem` finds nothing wrong with.

    Returns
    -------
    GiftiHeader

    Raises
    ------
    ValueError
        Where the file is no GIFTI time series or does not end as one (truncated).
    """
    parser = _HeaderParser()
    with path.open("rb") as stream:
        try:
            # Twice as much every time: the parser reads a tag that does not end from its start.
            size = _HEAD_CHUNK
            while not parser.done and (chunk := stream.read(size)):
                parser.feed(chunk)
                size *= 2
                if not parser.done and stream.tell() > _MOST_HEAD:
                    raise ValueError(f"more than {_MOST_HEAD >> 20} MiB before its data")
        except (expat.ExpatError, KeyError, ValueError) as error:
            raise ValueError(f"not a GIFTI file: {path} ({error})") from error
        stream.seek(-min(_TAIL, path.stat().st_size), 2)
        tail = stream.read()
    if parser.n_arrays is None:
        raise ValueError(f"not a GIFTI file: {path}")
    if not tail.rstrip().endswith(b"</GIFTI>"):
        raise ValueError(f"truncated GIFTI file: {path} (copy it again or rerun fMRIPrep)")
    if not parser.shape:
        raise ValueError(f"GIFTI file without data: {path}")
    if len(parser.shape) > 1 and parser.n_arrays == 1:
        n_vertices, n_volumes = parser.shape[0], parser.shape[1]
    else:
        n_vertices, n_volumes = parser.shape[0], parser.n_arrays
    try:
        time_step = float(parser.metadata["TimeStep"])
    except (KeyError, ValueError):
        time_step = None
    structure = parser.metadata.get("AnatomicalStructurePrimary")
    return GiftiHeader(n_volumes, n_vertices, time_step, structure)
