"""Features of clips from the time series that ``musenc features`` writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError, MissingInputError
from bids_app.files import read_json
from bids_app.loading import hdf5_array, load_numbers, open_hdf5
from bids_app.plain import some_of
from bids_app.recognition.clips import ClipFeatures, clip_name

_MADE_BY = ("Preset", "WeightsSHA256", "ComponentsOf")
"""Fields of sidecars without which features of one name are not the same."""


def read_clip_folder(folder: Path) -> ClipFeatures:
    """Mean over time of every feature of every clip.

    Parameters
    ----------
    folder : Path
        What ``musenc features`` wrote in one call, tables or HDF5: one feature space per layer.

    Returns
    -------
    ClipFeatures
        Spaces are named after layers; ``space:layer`` where the folder holds several spaces.

    Raises
    ------
    MissingInputError
        If the folder holds no such files.
    InvalidInputError
        If a clip lacks a layer the others have.
    BadDataError
        If clips differ in their features, or in what made them: they come from different calls.
    """
    means: dict[tuple[str, int, str], dict[str, np.ndarray]] = {}
    made: dict[str, dict[str, Path]] = {}
    for sidecar in sorted(Path(folder).glob("*.json")):
        about = read_json(sidecar)
        if not isinstance(about, dict) or not {"FeatureSpace", "Stimulus"} <= set(about):
            continue
        how = ", ".join(f"{key} {about[key]}" for key in _MADE_BY if key in about)
        made.setdefault(str(about["FeatureSpace"]), {}).setdefault(how, sidecar)
        for number, layer, mean in _layer_means(sidecar, about):
            key = (str(about["FeatureSpace"]), number, layer)
            means.setdefault(key, {})[clip_name(str(about["Stimulus"]))] = mean
    if not means:
        raise MissingInputError(
            "A folder holds no features of clips.",
            where=folder,
            found="no such file",
            wanted="tables or .h5 files with their .json, as `musenc features` writes them",
            remedy="musenc features AUDIO... -o " + str(folder),
        )
    for of_space in made.values():
        _check_one_call(of_space)
    clips = tuple(sorted({clip for of_layer in means.values() for clip in of_layer}))
    several = len({space for space, _, _ in means}) > 1
    spaces = {}
    for space, number, layer in sorted(means):
        name = f"{space}:{layer}" if several else layer
        spaces[name] = _stacked(means[space, number, layer], clips, name, folder)
    return ClipFeatures(clips, spaces)


def _check_one_call(made: Mapping[str, Path]) -> None:
    if len(made) > 1:
        raise BadDataError(
            "Features of clips come from different calls, and do not mean the same.",
            where=next(iter(made.values())).parent,
            found="; ".join(f"{path.name}: {how or 'nothing said'}" for how, path in made.items()),
            wanted=f"sidecars that agree in {', '.join(_MADE_BY)}",
            remedy="write the features of all clips in one call of `musenc features`, into an "
            "empty folder",
        )


def _layer_means(sidecar: Path, about: dict[str, Any]) -> Iterator[tuple[int, str, np.ndarray]]:
    """Number, name and mean over time of the layers a sidecar speaks of."""
    if "Layers" not in about:
        table = sidecar.with_suffix(".tsv")
        try:
            values = load_numbers(table, separator="\t", skip=1, n_axes=2)
        except (OSError, ValueError) as error:
            raise _unreadable(table, error) from error
        yield int(about["Layer"]), str(about["LayerName"]), values[:, 1:].mean(axis=0)
        return
    arrays = sidecar.with_suffix(".h5")
    try:
        with open_hdf5(arrays) as stored:
            values_of = {name: hdf5_array(stored, name).astype(float) for name in about["Layers"]}
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _unreadable(arrays, error) from error
    for name, layer in about["Layers"].items():
        yield int(layer["Layer"]), str(name), values_of[name].mean(axis=0)


def _unreadable(path: Path, error: Exception) -> BadDataError:
    return BadDataError(
        "Features of a clip cannot be read.",
        where=path,
        found=str(error),
        wanted="a table or .h5 file of `musenc features`",
        remedy="write them again with `musenc features`",
    )


def _stacked(
    means: dict[str, np.ndarray], clips: tuple[str, ...], name: str, folder: Path
) -> np.ndarray:
    lacking = [clip for clip in clips if clip not in means]
    if lacking:
        raise InvalidInputError(
            "Clips lack a layer that others have.",
            where=folder,
            found=f"{name} of {len(means)} of {len(clips)} clips; not of {some_of(lacking)}",
            wanted="the same layers of every clip",
            remedy="write the features of all clips in one call of `musenc features`",
        )
    sizes = sorted({mean.size for mean in means.values()})
    if len(sizes) > 1:
        raise BadDataError(
            "Clips differ in the number of features of a layer.",
            where=folder,
            found=f"{name}: {', '.join(map(str, sizes))}",
            wanted="components that all clips share",
            remedy="write the features of all clips in one call of `musenc features`",
        )
    return np.stack([means[clip] for clip in clips])
