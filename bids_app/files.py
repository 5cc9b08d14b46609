"""Writing files so that nobody ever sees half of one.

A file appears under its final name by an atomic rename in the same folder; files that several
processes share are written under a lock that names its holder.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import SoftFileLease, Timeout

from bids_app.disk import full_disk, is_full
from bids_app.errors import (
    WRITABLE,
    WRITE_AGAIN,
    BadDataError,
    CannotWriteError,
    MissingInputError,
    MusencError,
    TryAgainError,
)
from bids_app.held import hold, holding_lock, let_go

_PARTIAL = ".partial-"


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` when the block succeeds.

    The temporary name keeps the suffixes of `target`, since writers choose the format by them.
    If the block raises, the temporary file is removed and `target` is left as it was.

    Raises
    ------
    CannotWriteError
        If the folder cannot be created or the file cannot be written.
    """
    target = Path(target)
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = hold(lambda: _new_file(target))
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except OSError as error:
        if isinstance(error, MissingInputError):
            raise
        if is_full(error):
            raise full_disk(error, [target.parent], file=target) from error
        raise CannotWriteError(
            "A file cannot be written.",
            where=target,
            found=error.strerror or str(error),
            wanted="a file that can be written",
            remedy=WRITABLE,
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
            let_go(temporary)


def _new_file(target: Path) -> str:
    handle, name = tempfile.mkstemp(
        prefix=_PARTIAL, suffix="".join(target.suffixes), dir=target.parent
    )
    os.close(handle)
    return name


def check_folder(folder: Path, *, written: bool = True) -> None:
    """Whether a folder is there or can be made, and can be written to if need be.

    Raises
    ------
    CannotWriteError
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or (written and not os.access(there, os.W_OK | os.X_OK)):
        raise CannotWriteError(
            "The results cannot be written.",
            where=folder,
            found=f"{there} is {'not writable' if there.is_dir() else 'no folder'}",
            wanted="a folder that can be written to",
            remedy=f"mount it so (docker: without :ro), or free its name: {there.name}",
        )


def remove_leftovers(root: Path) -> None:
    """Remove temporary files of processes that were killed while they wrote below `root`.

    Files of the last hour may belong to a process that still writes, and stay.
    """
    for path in Path(root).rglob(f"{_PARTIAL}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink()


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def write_text(target: Path, text: str) -> Path:
    """Write `text` as UTF-8 to `target` atomically, unless it already holds just that."""
    target = Path(target)
    if target.is_file() and target.read_bytes() == text.encode():
        return target
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return target


def write_json(target: Path, content: Any) -> Path:
    """Write `content` as indented JSON (NaN becomes null, keys keep their order)."""
    return write_text(target, json.dumps(as_plain(content), indent=2, ensure_ascii=False) + "\n")


SEAL = "RecordSHA256"
"""Key of a record's own checksum."""


def write_sealed(target: Path, content: Mapping[str, Any]) -> Path:
    """Write a JSON object with the checksum of its content, which `is_sealed` looks at."""
    return write_json(target, sealed(content))


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the checksum of its content."""
    plain = as_plain(dict(content))
    return {**plain, SEAL: _seal(plain)}


def is_sealed(content: Mapping[str, Any]) -> bool:
    """Whether a JSON object is what `write_sealed` wrote; how it is spaced does not count."""
    return content.get(SEAL) == _seal(content)


def _seal(content: Mapping[str, Any]) -> str:
    told = {key: value for key, value in content.items() if key != SEAL}
    return sha256_of(json.dumps(told, sort_keys=True, separators=(",", ":")))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; one that gives a key two values means nothing."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found and found[key] != value:
            raise ValueError(f"{key} stands in it twice: {found[key]!r:.40} and {value!r:.40}")
        found[key] = value
    return found


def read_json(source: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    MissingInputError, BadDataError
        If the file is not there or is not JSON.
    """
    source = Path(source)
    # Opening a named pipe would wait for ever.
    if not source.is_file():
        raise MissingInputError(
            "A file is missing.",
            where=source,
            found="no file",
            wanted="a JSON file",
            remedy="write the file again, or correct its path",
        )
    try:
        return json.loads(source.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except OSError as error:
        raise BadDataError(
            "A file cannot be read.",
            where=source,
            found=error.strerror,
            wanted="a JSON file that can be read",
            remedy="see who may read the file, and whether its disk is there",
        ) from error
    # Numbers of thousands of digits and thousands of brackets are refused by the parser.
    except (ValueError, RecursionError) as error:
        raise BadDataError(
            "A file is not valid JSON.",
            where=source,
            found=str(error),
            wanted="JSON text",
            remedy="correct the file, or write it again",
        ) from error


@contextmanager
def reading(
    path: Path,
    what: str,
    *,
    wanted: str,
    remedy: str = WRITE_AGAIN,
    kind: type[MusencError] = BadDataError,
) -> Iterator[None]:
    """Say in these words that a library cannot read a file, whatever it stumbles over.

    Raises
    ------
    MusencError
        Of this kind; those of the program pass.
    """
    try:
        yield
    # Where memory runs out, the file is not to blame; what announces too much is refused before.
    except (MusencError, MemoryError):
        raise
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        raise kind(what, where=path, found=found, wanted=wanted, remedy=remedy) from error


def as_plain(value: Any) -> Any:
    """Turn paths, numpy scalars and arrays, tuples and NaN into what JSON can hold."""
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return as_plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of(*parts: str | bytes | memoryview) -> str:
    """Hexadecimal SHA-256 of texts (as UTF-8) and bytes, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()


@contextmanager
def shared_lock(
    target: Path, *, timeout: float = 60.0, stale: float = 120.0, remedy: str | None = None
) -> Iterator[None]:
    """Hold the lock of a file or folder that several processes write.

    A marker file beside `target` names the holder's process and host. It needs nothing of the file
    system but exclusive creation, so it works on network file systems. The holder touches it every
    few seconds; the marker of a process that died, on this host or another, is taken over.

    Parameters
    ----------
    target : Path
        What is written.
    timeout : float
        Seconds to wait for somebody else.
    stale : float
        Seconds without a sign of life after which a holder on another host is taken for dead. All
        who share `target` give the same.
    remedy : str or None
        What to do where the folder cannot be written.

    Raises
    ------
    TryAgainError
        If somebody else holds the lock for longer than `timeout` seconds.
    CannotWriteError
        If the folder cannot be written.
    """
    target = Path(target)
    marker = target.with_name(f".{target.name}.lock")
    lock = SoftFileLease(
        marker, lease_duration=stale, heartbeat_interval=stale / 6, timeout=timeout
    )
    with ExitStack() as held:
        held.enter_context(holding_lock(marker))
        _acquire(lock, target, remedy)
        held.callback(lock.release)
        yield


def _acquire(lock: SoftFileLease, target: Path, remedy: str | None) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        holder = lock.owner
        raise TryAgainError(
            "Another process is writing to a shared file.",
            where=target,
            found="locked by "
            + (f"{holder.pid} on {holder.hostname}" if holder else "an unknown process"),
            wanted="a file that no other process has locked",
            remedy=f"wait for it, or delete {lock.lock_file} if nothing is running any more",
        ) from error
    except OSError as error:
        raise CannotWriteError(
            "A file cannot be written.",
            where=target,
            found=error.strerror or str(error),
            wanted="a file that can be written",
            remedy=remedy or WRITABLE,
        ) from error


def named_files(option: str) -> tuple[str, tuple[Path, ...]]:
    """Name, which may be empty, and absolute paths of ``[NAME=]FILE,FILE``."""
    name, equals, paths = option.partition("=")
    if not equals or "/" in name or "," in name:
        name, paths = "", option
    return name, tuple(Path(part).absolute() for part in paths.split(",") if part)
