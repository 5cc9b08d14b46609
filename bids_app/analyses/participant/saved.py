"""Read models of ``--save-weights``, and check that they fit the settings of a call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.weights import ALL, IDENTITY
from bids_app.bands import Band, HighPass
from bids_app.config import settings_difference
from bids_app.errors import MissingInputError, UsageError
from bids_app.files import reading
from bids_app.loading import hdf5_array, hdf5_member, open_hdf5
from bids_app.meshes import N_VERTICES

_UNREADABLE = "This is no model that can predict."
_WANTED = "a complete *_weights.h5 of --save-weights"
SAME_TR = 1e-3
"""Seconds by which headers of one repetition time may differ."""
_AGAIN = "run the participant level again with --save-weights"


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A participant's model of some layers.

    Attributes
    ----------
    path : Path
    identity : mapping
        Record in the file: settings, features, music.
    n_units : mapping from layer to int
    scales : mapping from layer to float
        What its kernel was divided by.
    folds : tuple of str
        What every fold held out.
    stimuli : tuple of str
        Label of every presentation that it was fitted to.
    times : tuple of arrays of shape (n_times,)
        Seconds of the audio file at which these were sampled.
    vertices : array of int
        Vertices of both hemispheres that it has, left first.
    """

    path: Path
    identity: Mapping[str, Any]
    n_units: Mapping[str, int]
    scales: Mapping[str, float]
    folds: tuple[str, ...]
    stimuli: tuple[str, ...]
    times: tuple[NDArray[np.float64], ...]
    vertices: NDArray[np.intp]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(self.n_units)

    @property
    def participant(self) -> str:
        """Whose responses it was fitted to."""
        return str(self.identity["Participant"])

    @property
    def label(self) -> str:
        """Model label."""
        return str(self.identity["Model"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the model's maps."""
        found: Mapping[str, Any] = self.identity["Settings"]
        return found

    @property
    def space(self) -> str:
        """Mesh."""
        return str(self.settings["space"])

    @property
    def n_vertices(self) -> int:
        """Vertices of the mesh, of both hemispheres."""
        return 2 * N_VERTICES[self.space]

    @property
    def tr(self) -> float:
        """Repetition time in seconds."""
        return float(self.identity["RepetitionTime"])

    @property
    def delays(self) -> tuple[float, float]:
        """First and last delay in seconds."""
        first, last = self.settings["delays"]
        return float(first), float(last)

    @property
    def high_pass(self) -> HighPass:
        """How responses and features were filtered."""
        told = self.settings["high_pass"]
        return Band.of(told) if isinstance(told, Mapping) else float(told or 0)

    def weights_for(self, stimulus: str) -> str:
        """Name of the weights that were not trained on a stimulus.

        Raises
        ------
        UsageError
            All of them were trained on a part of it.
        """
        if stimulus not in self.stimuli:
            return ALL
        for number, held_out in enumerate(self.folds, start=1):
            if stimulus == held_out or stimulus in held_out.split("+"):
                return f"{number:02d}"
        raise UsageError(
            "A saved model was fitted to all music that it is to predict.",
            where=self.path,
            found=f"{stimulus}, of which every fold trained on some part",
            wanted="music that was not trained on, or held out as a whole",
            remedy="give other music",
        )

    def dual(self, layer: str, weights: str) -> NDArray[np.float64]:
        """Weights of the training rows, (n_rows, n_vertices of the model).

        Raises
        ------
        BadDataError
            The file cannot be read.
        """
        with (
            reading(self.path, _UNREADABLE, wanted=_WANTED, remedy=_AGAIN),
            open_hdf5(self.path) as file,
        ):
            return hdf5_array(file, f"{layer}/dual/{weights}")

    def check(self, **asked: Any) -> None:
        """Hold what is asked for against what the model was made with.

        Parameters
        ----------
        **asked
            Settings by their names; ``repetition_time`` in seconds.

        Raises
        ------
        UsageError
            Names every difference.
        """
        own = {**self.settings, "repetition_time": self.tr}
        if abs(asked.get("repetition_time", np.inf) - self.tr) <= SAME_TR:
            asked["repetition_time"] = self.tr
        differs = settings_difference({name: own.get(name) for name in asked}, asked)
        if differs:
            raise UsageError(
                "A saved model does not fit what it is to predict.",
                where=self.path,
                found=f"{'; '.join(differs)} (model -> asked)",
                wanted="what the model was made with",
                remedy="give the options that the model was made with, or fit a model with these: "
                "the participant level with --save-weights",
            )


def read_saved(path: Path) -> SavedModel:
    """A model that ``--save-weights`` left.

    Raises
    ------
    MissingInputError
        The file is not there.
    BadDataError
        The file cannot be read, or is of an earlier version.
    """
    if not path.is_file():
        raise MissingInputError(
            "There is no such file of a saved model.",
            where=path,
            found="no file",
            wanted=_WANTED,
            remedy="correct the name",
        )
    with (
        reading(path, _UNREADABLE, wanted=_WANTED, remedy=_AGAIN),
        open_hdf5(path) as file,
    ):
        identity = json.loads(hdf5_array(file, IDENTITY).tobytes())
        heard = hdf5_member(file, "presentations")
        layers = {name: hdf5_member(file, name) for name in identity["Layers"]}
        model = SavedModel(
            path=path,
            identity=identity,
            n_units={name: int(group.attrs["n_units"]) for name, group in layers.items()},
            scales={name: float(group.attrs["scale"]) for name, group in layers.items()},
            folds=tuple(str(held) for held in file.attrs["folds"]),
            stimuli=tuple(str(heard[number].attrs["stimulus"]) for number in sorted(heard)),
            times=tuple(hdf5_array(heard, number) for number in sorted(heard)),
            vertices=hdf5_array(file, "vertices").astype(np.intp),
        )
        if not layers or model.vertices.max(initial=0) >= model.n_vertices:
            raise ValueError(f"{len(layers)} layers, vertices to {model.vertices.max(initial=0)}")
    return model
