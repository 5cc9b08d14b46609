"""What a process must release at its end: locks, incomplete files, work folders.

When the process is told to end, `release` removes all of it, whatever the process is doing; what a
process that was killed could not remove, `remove_unowned` does at the next start.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

PREFIX = "musenc-"
_OWNER = ".owner"
_LONGEST = 1.0  # seconds that making a file or a folder takes
_WITHOUT_OWNER = 3600.0  # seconds until a folder that never got one is taken for abandoned

_held: list[Path] = []
_locks: list[Path] = []
"""Marker files, which count while they name this process."""
_making = threading.Lock()
_ending = threading.Event()
_last_words: list[Callable[[int], object]] = []


def is_ending() -> bool:
    """Whether the process is on its way out."""
    return _ending.is_set()


def stand_still(*_: object) -> NoReturn:
    """Do nothing until the process ends."""
    while True:
        time.sleep(60)


def hold(make: Callable[[], Path | str]) -> Path:
    """Make a file or folder that `release` removes, and give its path.

    Whoever calls this when the process is ending waits for the end.
    """
    # Whoever stands still in here keeps the lock.
    locked = _making.acquire(timeout=_LONGEST)
    try:
        if not _ending.is_set():
            path = Path(make())
            _held.append(path)
            return path
    finally:
        if locked:
            _making.release()
    return stand_still()


@contextmanager
def holding_lock(marker: Path) -> Iterator[None]:
    """Have `release` remove a lock's marker file where it names this process."""
    if _ending.is_set():
        stand_still()
    _locks.append(marker)
    try:
        yield
    finally:
        _locks.remove(marker)


@contextmanager
def at_end(last_words: Callable[[int], object]) -> Iterator[None]:
    """Have this called with the exit code, from another thread, when the process is told to end."""
    _last_words.append(last_words)
    try:
        yield
    finally:
        _last_words.remove(last_words)


def say_last_words(code: int) -> None:
    """Call what `at_end` was given, the innermost first."""
    for last_words in reversed(_last_words):
        with suppress(Exception):
            last_words(code)


def let_go(path: Path) -> None:
    """Leave a file or folder of `hold` to others, or say that it is gone."""
    with suppress(ValueError):
        _held.remove(path)


def release() -> None:
    """Remove all that is held; nothing can be made afterwards. For the end of a process."""
    _ending.set()
    # Whoever makes something right now is let finish it, unless it stands still itself.
    _making.acquire(timeout=_LONGEST)
    for path in _locks:
        with suppress(OSError):
            if _names_this_process(path):
                path.unlink()
    for path in _held:
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                _remove_folder(path)
            else:
                path.unlink()


def _names_this_process(marker: Path) -> bool:
    words = marker.read_text(errors="replace").split()
    return f"pid={os.getpid()}" in words and f"host={platform.node()}" in words


def _remove_folder(folder: Path) -> None:
    """Remove a folder in which somebody may still be writing."""
    # Under another name nothing new is put into it.
    hidden = folder.with_name(f"{folder.name}-gone")
    with suppress(OSError):
        folder = folder.rename(hidden)
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


@contextmanager
def private_folder(kind: str, *, parent: Path | None = None) -> Iterator[Path]:
    """A new folder in the temporary directory that only this user may enter; gone afterwards.

    Parameters
    ----------
    kind : str
        A word in its name, one of `KINDS`.
    parent : Path or None
        Where to make it, in place of the temporary directory.
    """
    assert kind in KINDS, "only folders of these kinds are removed when their owner was killed"
    owner: list[IO[bytes]] = []

    def make() -> str:
        # Of mode 700 from the start, and never one that is there already, nor a link.
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{kind}-", dir=parent or temporary_folder()))
        owner.append(_own(folder))
        return str(folder)

    folder = hold(make)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        let_go(folder)
        owner[0].close()


def temporary_folder() -> Path:
    """Where `private_folder` makes its folders."""
    return Path(os.environ.get("TMPDIR") or tempfile.gettempdir())


def _own(folder: Path) -> IO[bytes]:
    """Lock the folder for as long as this process lives; processes that it starts do not count."""
    # Locked before it has its name: a folder with an unlocked owner is nobody's.
    new = folder / f"{_OWNER}.new"
    stream = new.open("wb")
    with suppress(OSError):  # without locks on this file system nobody removes it but we
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(folder / _OWNER)
    return stream


def remove_unowned(parent: Path | None = None) -> list[Path]:
    """Remove private folders of this user whose process is gone; returns them."""
    gone = []
    for folder in sorted((parent or temporary_folder()).glob(f"{PREFIX}*-*")):
        with suppress(OSError):
            about = folder.lstat()
            own = stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid()
            if own and _is_private(folder) and _is_nobodys(folder):
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(folder)
    return gone


def _is_private(folder: Path) -> bool:
    """Whether the name is one of `private_folder`, or of one that was being removed."""
    kind, _, rest = folder.name.removeprefix(PREFIX).removesuffix("-gone").rpartition("-")
    return kind in KINDS and len(rest) == 8


KINDS = ("work", "layers", "pool", "wheel", "gradient", "predict")
"""Words in the names of private folders; others' folders are left alone."""


def _is_nobodys(folder: Path) -> bool:
    """Whether the process that made a folder is gone; false where that cannot be known."""
    owner = folder / _OWNER
    if not owner.is_file():
        # Killed between making and locking; or of a file system without locks, where it may live.
        begun = all(one.name.startswith(_OWNER) for one in folder.iterdir())
        return begun and time.time() - folder.stat().st_mtime > _WITHOUT_OWNER
    with owner.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _forget() -> None:
    """A forked process holds nothing of its parent's."""
    global _making
    _held.clear()
    _locks.clear()
    _last_words.clear()
    _ending.clear()
    _making = threading.Lock()


os.register_at_fork(after_in_child=_forget)
