"""Extract files from wheels, which are read as archives and never installed or run."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bids_app.errors import BadDataError
from bids_app.files import atomic_path, sha256_of_file


def check_wheel(wheel: Path, name: str, sha256: str) -> None:
    """Hold a wheel against its checksum.

    Raises
    ------
    BadDataError
        If it is another file.
    """
    found = sha256_of_file(wheel)
    if found != sha256:
        raise BadDataError(
            "The wheel is not the published one.",
            where=wheel,
            found=f"SHA-256 {found}",
            wanted=f"{name}, SHA-256 {sha256}",
            remedy="fetch the file again",
        )


def write_variables(target: Path, variables: Mapping[str, np.ndarray]) -> None:
    """Write arrays as ``.npz`` whose bytes depend on nothing but the arrays.

    Raises
    ------
    CannotWriteError
        The file cannot be written.
    """
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(variables):
            content = io.BytesIO()
            np.lib.format.write_array(content, variables[name], allow_pickle=False)
            # numpy would write down the time.
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            archive.writestr(entry, content.getvalue())
