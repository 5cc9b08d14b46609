"""How cases about the group level are made, and what spoils its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fault_cases import Case, at
from fault_study import put

from bids_app.analyses.folder.read import sample_name
from bids_app.config import settings_hash
from bids_app.files import sha256_of_file, write_sealed
from bids_app.surface.gifti import load_gifti, read_gifti, write_gifti

ATLAS = ("--atlas", "mine={atlas},{right_atlas}")
Spoil = Callable[[Any], object]


def group_case(
    name: str,
    spoil: Spoil,
    code: int,
    *says: str,
    route: str = "group",
    options: tuple[str, ...] = (),
    names: str = "",
    signed: bool = True,
) -> Case:
    """A case about the group level; `signed` as `sign` does."""

    def all_of_it(study: Any) -> None:
        spoil(study)
        if signed:
            sign(study)

    return Case(f"group-{name}", all_of_it, code, says, route, options, names=names)


def one_file(
    name: str, attribute: str, spoil: Callable[[Path], object], code: int, *says: str, **how: Any
) -> Case:
    """A case about one file, which must be named."""
    how.setdefault("names", attribute if code else "")
    return group_case(f"{attribute}-{name}", at(attribute, spoil), code, *says, **how)


SURFACE, JSON_TEXT, WRITTEN = (
    "A surface file cannot be read",
    "not valid JSON",
    "not as it was written",
)
DIFFERENCE = ("--rating-difference", "{differences}:difference")


def values(
    change: Callable[[np.ndarray], np.ndarray], times: list[float] | None = None
) -> Callable[[Path], object]:
    """Write a surface file again with other values, and with the names of other `times`."""

    def spoil(path: Path) -> None:
        data = change(read_gifti(path).copy())
        names = [array.meta.get("Name", "") for array in load_gifti(path).darrays]
        names = [*names, *("more" for _ in data)] if times is None else map(sample_name, times)
        names = list(names)[: len(data)]
        path.unlink()
        hemi = "L" if "hemi-L" in path.name or path.name.startswith("gradient-L") else "R"
        write_gifti(path, data, hemi=hemi, names=names)

    return spoil


def fill(value: float, rows: slice = slice(None)) -> Callable[[np.ndarray], np.ndarray]:
    def change(data: np.ndarray) -> np.ndarray:
        data[rows] = value
        return data

    return change


def sign(study: Any) -> None:
    """Records that vouch for the files as they are now, as of a program at fault.

    What stands behind the checksums is seen only so.
    """
    for path in study.root.glob("*/sub-*/func/*_settings.json"):
        if not path.is_file():  # a pipe would wait for its other end
            continue
        try:
            told = json.loads(path.read_text())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(told, dict) and isinstance(told.get("Outputs"), dict):
            files = {name: path.parents[2] / name for name in told["Outputs"]}
            told["Outputs"] |= {n: sha256_of_file(p) for n, p in files.items() if p.is_file()}
            path.unlink()
            write_sealed(path, told)
    for path in study.root.glob("*/.musenc/*/features.json"):
        if not path.is_file():
            continue
        try:
            told = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(told, dict):
            files = {name: path.with_name(name) for name in told["sha256"]}
            told["sha256"] |= {n: sha256_of_file(p) for n, p in files.items() if p.is_file()}
            path.unlink()
            write_sealed(path, told)


def edited(**changes: object) -> Callable[[Path], object]:
    """Change keys of a JSON object; None removes them."""

    def spoil(path: Path) -> None:
        told = {**json.loads(path.read_text()), **changes}
        put(path, json.dumps({key: value for key, value in told.items() if value is not None}))

    return spoil


def setting(**changes: object) -> Callable[[Path], object]:
    """Change settings behind the maps, and with them their checksum."""

    def spoil(path: Path) -> None:
        settings = {**json.loads(path.read_text())["Settings"], **changes}
        settings = {key: value for key, value in settings.items() if value is not None}
        edited(Settings=settings, SettingsHash=settings_hash(settings))(path)

    return spoil
