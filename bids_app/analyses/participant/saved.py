"""Read models of ``--save-weights``, and check that they fit the settings of a call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.weights import ALL, IDENTITY
from bids_app.bands import Band, HighPass
from bids_app.config import settings_difference
from bids_app.encoding import delay_samples
from bids_app.encoding.gram import kept_rows
from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features.audio import file_sha256
from bids_app.files import read_json, reading
from bids_app.loading import hdf5_array, hdf5_member, open_hdf5
from bids_app.meshes import N_VERTICES
from bids_app.outputs import OutputTree

_UNREADABLE = "This is no model that can predict."
_WANTED = "a complete *_weights.h5 of --save-weights"
SAME_TR = 1e-3
"""Seconds by which headers of one repetition time may differ."""
_AGAIN = "run the participant level again with --save-weights"
_LARGEST = 1e30
_PIECE = re.compile(r"\[\d+/\d+\]$")
"""Of the only stimulus of a model, as a fold is called."""


def layers_meant(asked: Sequence[str], there: Sequence[str]) -> list[str]:
    """Layers as asked for; none where all are meant: by `ALL`, unless a layer has this name.

    Examples
    --------
    >>> layers_meant(["all"], ["conv1"]), layers_meant(["all"], ["rhythm", "all"])
    ([], ['all'])
    """
    return [] if list(asked) == [ALL] and ALL not in there else list(asked)


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

    def chosen(self, layers: Sequence[str]) -> list[str]:
        """These layers; all of the model where none is named, or ``all`` is.

        Raises
        ------
        UsageError
            The model lacks one.
        """
        asked = layers_meant(layers, self.layers)
        if not asked:
            return list(self.layers)
        if unknown := [layer for layer in asked if layer not in self.layers]:
            raise UsageError(
                "A saved model does not have this layer.",
                where=self.path,
                found=", ".join(unknown),
                wanted=f"names of the layers in the file: {', '.join(self.layers)}",
                remedy="give one of these, or save another one, too, with --save-weights of the "
                "participant level",
            )
        return asked

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

    def ranges(self, lengths: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """Rows that crop and delays leave of presentations of so many samples."""
        shifts = delay_samples(self.delays, self.tr)
        return kept_rows(lengths, shifts, float(self.settings["crop"]), self.tr)

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

    def dual(self, layer: str, weights: str, columns: slice = slice(None)) -> NDArray[np.float64]:
        """Weights of the training rows, (n_rows, n_columns).

        Parameters
        ----------
        layer, weights : str
        columns : slice
            Of the model's vertices; all of an hour on a fine mesh are more than memory has.

        Raises
        ------
        BadDataError
            The file cannot be read, or holds what no weight can be.
        """
        with (
            reading(self.path, _UNREADABLE, wanted=_WANTED, remedy=_AGAIN),
            open_hdf5(self.path) as file,
        ):
            found = hdf5_array(file, f"{layer}/dual/{weights}", columns)
            if np.isinf(found).any() or np.abs(found).max(initial=0) > _LARGEST:
                raise ValueError(f"{layer}/dual/{weights} has weights beyond {_LARGEST:g}")
            return found

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
        _check_identity(model, hdf5_array(file, "delays"), hdf5_array(file, "vertices"))
        n_rows = sum(stop - start for start, stop in model.ranges([len(t) for t in model.times]))
        for name, group in layers.items():
            duals = hdf5_member(group, "dual")
            wanted = {*(f"{k:02d}" for k in range(1, len(model.folds) + 1)), ALL}
            if set(duals) != wanted:
                raise ValueError(f"{name}/dual of {sorted(duals)}, not {sorted(wanted)}")
            for own in wanted:
                if hdf5_member(duals, own).shape != (n_rows, len(model.vertices)):
                    raise ValueError(f"{name}/dual/{own} of {hdf5_member(duals, own).shape}")
    _check_content(model)
    return model


def _check_identity(model: SavedModel, delays: NDArray[Any], vertices: NDArray[Any]) -> None:
    """Raise ValueError or KeyError where parts of a model contradict each other."""
    for key in ("Participant", "Model", "FeatureSpace", "Features", "FeatureFiles"):
        model.identity[key]
    for key in ("hop", "features", "weights_sha256"):
        model.settings[key]
    music = model.identity["Music"]
    try:
        wanted = delay_samples(model.delays, model.tr) * model.tr
    except UsageError as error:
        raise ValueError(f"delays {model.delays}, a repetition time of {model.tr:g} s") from error
    held = {_PIECE.sub("", one) for fold in model.folds for one in fold.split("+")}
    n = len(model.vertices)
    faults = {
        f"a crop of {model.settings['crop']} s": not float(model.settings["crop"]) >= 0,
        f"delays {delays} where the settings have {model.delays} at {model.tr:g} s": not (
            wanted.shape == delays.shape and np.allclose(wanted, delays, atol=0.1 * model.tr)
        ),
        f"vertices {vertices.dtype}, {n}, from {vertices.min(initial=0)} to "
        f"{vertices.max(initial=0)}": vertices.dtype.kind not in "iu"
        or not n
        or len(np.unique(vertices)) != n
        or vertices.min() < 0
        or vertices.max() >= model.n_vertices,
        "no layer": not model.layers,
        f"scales {dict(model.scales)}": not all(0 < one < np.inf for one in model.scales.values()),
        f"presentations of {model.stimuli}, music {list(music)}": not model.stimuli
        or not set(model.stimuli) <= set(music)
        or set(music) != set(model.identity["MusicFiles"]),
        f"folds {model.folds} of {model.stimuli}": not model.folds
        or not held <= set(model.stimuli),
        "times that are not those of volumes": any(
            not np.isfinite(one).all() or (np.diff(one) < 0.5 * model.tr).any()
            for one in model.times
        ),
    }
    if found := [told for told, wrong in faults.items() if wrong]:
        raise ValueError("; ".join(found))


def _check_content(model: SavedModel) -> None:
    """The file is that which the participant level wrote, where its record lies beside it."""
    if len(model.path.absolute().parents) < 3:
        return
    tree = OutputTree(model.path.absolute().parents[2])
    record = tree.participant_settings(model.participant, model.label)
    if not record.is_file():
        return
    outputs = read_json(record).get("Outputs")
    name = model.path.absolute().relative_to(tree.root).as_posix()
    wanted = outputs.get(name) if isinstance(outputs, Mapping) else None
    if wanted is not None and (found := file_sha256(model.path)) != wanted:
        raise BadDataError(
            "A saved model is not the one that was written.",
            where=model.path,
            found=f"SHA-256 {found[:16]}",
            wanted=f"SHA-256 {wanted[:16]}, by {record.name}",
            remedy=f"copy the file again, or {_AGAIN}",
        )


def unified(models: Sequence[SavedModel]) -> list[SavedModel]:
    """The same models, which call one recording by one name, and different ones by different.

    Recordings count by their SHA-256; the first model that has a name keeps it.
    """
    names: dict[str, str] = {}
    for model in models:
        for label, checksum in model.identity["Music"].items():
            if checksum in names:
                continue
            taken, name, number = set(names.values()), label, 2
            while name in taken:
                name, number = f"{label}-{number}", number + 1
            names[checksum] = name
    return [_renamed(model, names) for model in models]


def _renamed(model: SavedModel, names: Mapping[str, str]) -> SavedModel:
    of_label = {label: names[own] for label, own in model.identity["Music"].items()}
    if all(label == name for label, name in of_label.items()):
        return model

    def part(name: str) -> str:
        label = _PIECE.sub("", name)
        return of_label[label] + name[len(label) :]

    keyed = {
        key: {of_label.get(label, label): one for label, one in model.identity[key].items()}
        for key in ("Music", "MusicFiles", "FeatureFiles")
    }
    return replace(
        model,
        identity={**model.identity, **keyed},
        stimuli=tuple(of_label[label] for label in model.stimuli),
        folds=tuple("+".join(map(part, fold.split("+"))) for fold in model.folds),
    )
