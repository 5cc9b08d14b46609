"""How cases about the group level are made, and what spoils its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fault_cases import Case, at
from fault_study import put

from bids_app.config import settings_hash
from bids_app.surface.gifti import read_gifti, write_gifti

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
) -> Case:
    return Case(f"group-{name}", spoil, code, says, route, options, names=names)


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


def values(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], object]:
    """Write a surface file again with other values."""

    def spoil(path: Path) -> None:
        data = change(read_gifti(path).copy())
        path.unlink()
        hemi = "L" if "hemi-L" in path.name or path.name.startswith("gradient-L") else "R"
        write_gifti(path, data, hemi=hemi, names=[f"{k}" for k in range(len(data))])

    return spoil


def fill(value: float, rows: slice = slice(None)) -> Callable[[np.ndarray], np.ndarray]:
    def change(data: np.ndarray) -> np.ndarray:
        data[rows] = value
        return data

    return change


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
