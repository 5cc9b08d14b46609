"""Gram matrices kept beside the maps, so that the group level needs only the output folder."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bids_app.errors import BadDataError, MusencError
from bids_app.features.cache import DESCRIPTION, FeatureGrams
from bids_app.files import sha256_of_file, shared_lock

LOGGER = logging.getLogger("bids_app.features")

SUMS = "SHA256SUMS"
LARGEST = 4e9
"""Bytes of matrices that are copied where they cannot be linked."""
_LOCK_SECONDS = 3600.0


def keep_grams(grams: FeatureGrams, folder: Path) -> str:
    """Keep the matrices of a feature space in `folder`, with their checksums.

    Files are hard links where the file system allows it, and copies otherwise.

    Parameters
    ----------
    grams : FeatureGrams
        In the cache.
    folder : Path
        Of all kept feature spaces.

    Returns
    -------
    str
        Why they are not kept; empty where they are.
    """
    target = folder / grams.path.name
    if grams.path.resolve() == target.resolve() or _holds(target):
        return ""
    try:
        with shared_lock(target, timeout=_LOCK_SECONDS):
            if not _holds(target):
                return _keep(grams.path, target)
    except (OSError, MusencError) as error:
        return f"the features of the music cannot be kept in {folder}: {_first_line(error)}"
    return ""


def _holds(folder: Path) -> bool:
    """Whether features are kept here, as they were written."""
    try:
        _verify(folder)
    except BadDataError as error:
        LOGGER.warning("features: what is kept is kept anew: %s is not as it was", error.where)
        return False
    return (folder / SUMS).is_file()


def _keep(source: Path, target: Path) -> str:
    names = sorted(path.name for path in source.glob("*.npy"))
    files = [source / name for name in (*names, DESCRIPTION)]
    size = sum(path.stat().st_size for path in files)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for path in files:
            try:
                os.link(path.resolve(), temporary / path.name)
            except OSError:  # another file system, or one without links
                if size > LARGEST:
                    return (
                        f"the features of the music take {size / 1e9:.1f} GB and are not copied "
                        f"to {target.parent}; keep {source.parent} for the group level"
                    )
                shutil.copyfile(path, temporary / path.name)
        sums = [f"{sha256_of_file(temporary / path.name)}  {path.name}\n" for path in files]
        (temporary / SUMS).write_text("".join(sums), encoding="utf-8")
        temporary.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return ""


def find_grams(name: str, folders: Sequence[Path]) -> Path | None:
    """The first of `folders` that has the features called `name`.

    Raises
    ------
    BadDataError
        Kept matrices are not as they were written.
    """
    for folder in folders:
        found = folder / name
        if name and (found / DESCRIPTION).is_file():
            _verify(found)
            return found
    return None


def _verify(folder: Path) -> None:
    """Hold kept matrices against their checksums.

    Raises
    ------
    BadDataError
    """
    sums = folder / SUMS
    if not sums.is_file():
        return
    for line in sums.read_text(encoding="utf-8").splitlines():
        checksum, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file() or sha256_of_file(path) != checksum:
            raise BadDataError(
                "Kept features of the music are not as they were written.",
                where=path,
                found="another checksum" if path.is_file() else "no file",
                wanted=checksum,
                remedy=f"delete {folder}: the features in the cache are taken then, or the "
                "participant level computes them again",
            )


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
