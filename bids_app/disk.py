"""Disks that are full: what to tell, wherever the system says so."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

from bids_app.errors import CannotWriteError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def free_bytes(folder: Path) -> int:
    """What is free where `folder` is, or will be.

    Examples
    --------
    >>> free_bytes(Path("/no such folder")) == free_bytes(Path("/"))
    True
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def is_full(error: BaseException) -> bool:
    """Whether an exception says that a disk or a quota has no place left.

    Examples
    --------
    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError("no"))
    (True, False)
    """
    return isinstance(error, OSError) and error.errno in _FULL


def says_full(text: str) -> bool:
    """Whether the text of an exception of the system says so.

    Examples
    --------
    >>> says_full("[Errno 28] No space left on device"), says_full("[Errno 2] No such file")
    (True, False)
    """
    return any(f"[Errno {number}]" in text for number in _FULL)


def full_disk(
    said: object,
    folders: Sequence[Path],
    *,
    file: Path | None = None,
    needed: int | None = None,
) -> CannotWriteError:
    """What to tell where a disk is full.

    Parameters
    ----------
    said : object
        The exception of the system, or its text.
    folders : sequence of Path
        Where the program writes.
    file : Path, optional
        What was being written.
    needed : int, optional
        Bytes of this file.
    """
    free = sorted((free_bytes(folder), folder) for folder in folders)
    there = [f"{size / 1e9:.1f} GB free at {folder}" for size, folder in free]
    return CannotWriteError(
        "A disk is full.",
        where=file or getattr(said, "filename", None) or (free[0][1] if free else None),
        found="; ".join([str(getattr(said, "strerror", None) or said), *there]),
        wanted=f"{needed / 1e9:.1f} GB for this file alone" if needed is not None else None,
        remedy="free some of it, or give a --work-dir and an output folder on a larger disk; "
        "the same command goes on where it stopped",
    )
