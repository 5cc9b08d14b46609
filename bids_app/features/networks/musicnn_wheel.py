"""Extract from musicnn's wheel: trained variables, lists of tags, licence.

The wheel is read as an archive and not installed; no code in it is run.
"""

from __future__ import annotations

import ast
import shutil
import zipfile
from pathlib import Path

import numpy as np

from bids_app.features.networks.taggers import KINDS, variables_of
from bids_app.features.tf_checkpoint import read_checkpoint
from bids_app.features.wheels import check_wheel, write_variables
from bids_app.files import write_text
from bids_app.held import private_folder
from bids_app.resources import MUSICNN_NAMES, musicnn_file, musicnn_tags_file

WHEEL = "musicnn-0.1.0-py3-none-any.whl"
WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"

_LICENSE = "musicnn-0.1.0.dist-info/LICENSE.md"
_TAGS = "musicnn/configuration.py"
_PARTS = (".index", ".data-00000-of-00001")


def unpack_wheel(wheel: Path) -> None:
    """Put what is needed of the wheel among the resources.

    The optimizer's copies of the variables, two thirds of each checkpoint, are left out.

    Raises
    ------
    BadDataError
        Not the wheel, by its checksum.
    CannotWriteError
        The folder of resources cannot be written.
    """
    check_wheel(wheel, WHEEL, WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        for name in MUSICNN_NAMES:
            write_variables(musicnn_file(name), _variables(archive, name))
        for name, tags in _tags(archive.read(_TAGS).decode()).items():
            write_text(musicnn_tags_file(name), "".join(f"{tag}\n" for tag in tags))
        license_file = musicnn_file("").with_name("musicnn-LICENSE.md")
        write_text(license_file, archive.read(_LICENSE).decode())


def _variables(archive: zipfile.ZipFile, name: str) -> dict[str, np.ndarray]:
    needed = set(variables_of(KINDS[name.partition("_")[2]]()))
    with private_folder("wheel") as folder:
        for part in _PARTS:
            with (
                archive.open(f"musicnn/{name}/{part}") as source,
                (folder / f"variables{part}").open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
        found = read_checkpoint(folder / "variables.index", needed.__contains__)
        return {key: array.copy() for key, array in found.items()}


def _tags(source: str) -> dict[str, list[str]]:
    """The lists of tags by the beginning of a network's name."""
    values = {
        target.id: ast.literal_eval(statement.value)
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id.endswith("_LABELS")
    }
    return {name.removesuffix("_LABELS"): tags for name, tags in values.items()}
