"""One-dimensional features of a piece over time: a layer of one unit, or one unit of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import UsageError
from bids_app.features.registry import STEP, Space
from bids_app.features.timing import window_matrix

WIDTH = 1.0
"""Seconds that a value is the mean of: slower than a beat, faster than any response."""


@dataclass(frozen=True, eq=False)
class Course:
    """One number at a time.

    Attributes
    ----------
    times : array of shape (n_steps,)
        Seconds in the music, `STEP` apart.
    values : array of shape (n_steps,)
        Means over `WIDTH`.
    units : str
        Of the values.
    """

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    units: str


def feature_course(space: Space, layer: str, unit: str, label: str, path: str | Path) -> Course:
    """A one-dimensional feature of one piece.

    Parameters
    ----------
    space : Space
    layer : str
        Of the space; empty for the only one.
    unit : str
        Name of one of several units of the layer; empty for the only one.
    label, path : str
        Of the piece.

    Raises
    ------
    UsageError
        The layers of the space are no curves, there is no such layer, or one of several units has
        to be named; the error lists those there are.
    MissingInputError, BadDataError
        A file is missing or unusable.
    """
    told = f"{space.spelling}@{layer}" if layer else space.spelling
    if space.is_network or space.base is not None:
        raise UsageError(
            "This feature is not one-dimensional.",
            where="--lag-scan",
            found=f"{told}: layers of networks, changes and components have many units",
            wanted="a layer of one unit, such as descriptors@loudness",
            remedy="write one curve of it into files and give precomputed:PATH",
        )
    sound = space.sound(label, path)
    series = list(space.values(sound))
    names = [one.name for one in series]
    chosen = next(
        (one for one in series if one.name == layer or (len(names) == 1 and not layer)), None
    )
    if chosen is None:
        raise UsageError(
            "Nothing says which layer of this space is to be scanned.",
            where="--lag-scan",
            found=told,
            wanted=f"{space.spelling}@LAYER, with one of {', '.join(names)}",
            remedy="add @LAYER to the feature",
        )
    units = {one.name: number for number, one in enumerate(chosen.units)}
    if unit not in units and not (not unit and len(units) == 1):
        raise UsageError(
            "This feature is not one-dimensional.",
            where="--lag-scan",
            found=f"{told}{':' if unit else ''}{unit}, a layer of {len(units)} units",
            wanted=f"{space.spelling}@{chosen.name}:UNIT, with one of {', '.join(units)}",
            remedy="add :UNIT to the layer",
        )
    column = units.get(unit, 0)
    grid = np.arange(sound.times[0], sound.times[-1] + STEP / 2, STEP)
    values = np.asarray(chosen.values[:, column], dtype=np.float64)
    return Course(
        grid, window_matrix(sound.times, grid, WIDTH) @ values, chosen.units[column].units
    )
