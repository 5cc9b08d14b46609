"""Models of single layers: weights of training rows and of units, and held-out predictions."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.layers import LayerFits, StimulusSide
from bids_app.analyses.participant.responses import Block
from bids_app.bands import HighPass
from bids_app.config import Model, settings_hash
from bids_app.encoding import EncodingPlan
from bids_app.encoding.transfer import whole_penalties, whole_plan
from bids_app.encoding.weights import dual_weights, impulse_responses, predict
from bids_app.errors import UsageError
from bids_app.features.cache import FeatureGrams
from bids_app.features.layers import layers_asked
from bids_app.features.registry import find_space
from bids_app.features.sources import scaled_layers
from bids_app.features.timing import sample_series
from bids_app.files import atomic_path, write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.cortex import read_cortex_mask

LOGGER = logging.getLogger("bids_app.analyses")
MAX_BYTES = 2 << 30
"""Of the weights of units; those of training rows have no limit."""
IDENTITY = "identity"
"""Array of the file with what the model is, as JSON."""
ALL = "all"
"""Name of the weights that all stimuli trained."""
_VERTICES = 256  # worked on at a time


def check_saved_names(layers: Sequence[str]) -> None:
    """Refuse layers that are called as something else in the file.

    Raises
    ------
    UsageError
    """
    taken = ("vertices", "delays", "presentations", IDENTITY)
    if wrong := [name for name in layers if name.split("/")[0] in taken]:
        raise UsageError(
            "Weights of a layer of this name cannot be saved.",
            where="--save-weights",
            found=", ".join(wrong),
            wanted=f"names other than {', '.join(taken)}, which the file has beside its layers",
            remedy="give the layer another name, or leave it out of --save-weights",
        )


def units_missing(grams: FeatureGrams, names: Sequence[str], n_values: int, features: str) -> str:
    """Why weights at the units are not kept; empty where they are.

    Parameters
    ----------
    grams : FeatureGrams
    names : sequence of str
        Layers.
    n_values : int
        Folds x delays x vertices.
    features : str
        Feature space.
    """
    if find_space(features).base is not None:
        return "units of a change or component are curves of a whole layer"
    units = [grams.n_units[grams.layer_names.index(name)] for name in names]
    n_patches = sum(len(times) for times in grams.patch_times)
    largest = max(max(units) * n_patches * 4, sum(units) * n_values * 4)
    if largest <= MAX_BYTES:
        return ""
    return (
        f"{sum(units)} units of {', '.join(names)} would take {largest / 2**30:.1f} GiB, more than"
        f" {MAX_BYTES >> 30}: ask for smaller layers, or give fewer vertices with --weights-mask"
    )


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A participant's model of a feature space, with all that it was fitted on.

    Attributes
    ----------
    grams : FeatureGrams
    blocks : sequence of Block
        Every presentation.
    fits : LayerFits
    model : Model
        Delays, crop and penalties; which layers' weights are kept, and at which vertices.
    high_pass : float or Band
    stimuli : mapping from label to Path
        Audio files.
    features : str
        Feature space.
    weights : str or None
        Of its network.
    """

    grams: FeatureGrams
    blocks: Sequence[Block]
    fits: LayerFits
    model: Model
    high_pass: HighPass
    stimuli: Mapping[str, Path]
    features: str
    weights: str | None

    @cached_property
    def ordered(self) -> list[Block]:
        """Presentations in the order of the models."""
        return sorted(self.blocks, key=lambda block: block.stimulus)

    @property
    def labels(self) -> list[str]:
        """Stimulus of every presentation, in that order."""
        return [block.stimulus for block in self.ordered]

    @property
    def side(self) -> StimulusSide:
        """What the models have of the music."""
        times, tr = [block.times for block in self.ordered], self.ordered[0].tr
        return StimulusSide(self.grams, self.labels, times, tr, self.model, self.high_pass)

    def responses(self, vertices: NDArray[np.intp]) -> list[NDArray[np.float32]]:
        """At some vertices, (n_times, n_vertices) of every presentation."""
        return [block.values[:, vertices] for block in self.ordered]

    def sampled(self, units: Mapping[str, NDArray[Any]]) -> list[NDArray[np.floating]]:
        """Units of a layer at the samples of every presentation, (n_times, n_units).

        Parameters
        ----------
        units : mapping from label to array of shape (n_patches, n_units)
        """
        centers = dict(zip(self.grams.labels, self.grams.patch_times, strict=True))
        return [
            sample_series(units[b.stimulus], centers[b.stimulus], b.times, b.tr, self.high_pass)
            for b in self.ordered
        ]

    @property
    def basis(self) -> dict[str, Any]:
        """The music that the model rests on, by content, and where it was."""
        space, heard = find_space(self.features), list(dict.fromkeys(self.labels))
        files = {label: space.checksum_of_files(label, self.stimuli[label]) for label in heard}
        checksums = dict(zip(self.grams.labels, self.grams.checksums, strict=True))
        return {
            "FeatureSpace": self.features,
            "Hop": self.grams.hop,
            "Music": {label: checksums[label] for label in heard},
            "MusicFiles": {label: str(self.stimuli[label]) for label in heard},
            "FeatureFiles": {k: found for k, found in files.items() if found},
        }


def save_weights(tree: OutputTree, record: Record, fitted: FittedModel) -> list[Path]:
    """Write the weights of a participant's model and their sidecar; see `write_weights`."""
    path = tree.weights(record.participant, str(record.settings["space"]), record.model)
    model, fits = fitted.model, fitted.fits
    names = layers_asked(model.save_weights, fits.layer_names, fitted.grams.layer_names)
    mask = model.weights_mask
    reason = write_weights(
        path,
        names,
        fitted,
        vertices=read_cortex_mask(mask, fits.r.shape[1]) if mask else None,
        identity={
            "Participant": record.participant,
            "Model": record.model,
            "Settings": dict(record.settings),
            "Features": record.features,
        },
    )
    if reason:
        LOGGER.warning(
            "sub-%s: model-%s: weights of units are left out: %s",
            record.participant,
            record.model,
            reason,
        )
    content = {
        "Description": "an encoding model: weights of its training rows, and of units",
        "Contents": CONTENTS,
        **({"UnitWeightsMissing": reason} if reason else {}),
        "Layers": names,
        "HeldOutStimuli": fits.fold_stimuli,
        "Sources": list(record.sources),
        "Features": record.features,
        "SettingsHash": settings_hash(dict(record.settings)),
    }
    write_json(sidecar_of(path), content)
    return [path, sidecar_of(path)]


def write_weights(
    path: Path,
    names: Sequence[str],
    fitted: FittedModel,
    *,
    vertices: NDArray[np.bool_] | None = None,
    identity: Mapping[str, Any],
) -> str:
    """Write an HDF5 file with one group per layer.

    Parameters
    ----------
    path : Path
    names : sequence of str
        Layers.
    fitted : FittedModel
    vertices : array of shape (n_vertices,), bool, optional
        Vertices whose weights are kept; default all with a result.
    identity : mapping
        Whose model it is, and with which settings and features it was made.

    Returns
    -------
    str
        Why weights of units are not in it; empty where they are.
    """
    side, fits, grams = fitted.side, fitted.fits, fitted.grams
    usable = np.isfinite(fits.alpha).all(axis=(0, 1))
    kept = np.flatnonzero(usable if vertices is None else usable & vertices)
    first = side.plan(side.gram(names[0]))
    n_values = len(first.folds) * first.shifts.size * kept.size
    reason = units_missing(grams, names, n_values, fitted.features)
    own: dict[str, Any] = {"features": fitted.features, "weights": fitted.weights}
    units = {
        label: scaled_layers(label, fitted.stimuli[label], names, hop=fitted.model.hop, **own)
        for label in dict.fromkeys(fitted.labels)
        if not reason
    }
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file["vertices"] = kept
        file["delays"] = first.shifts * first.tr
        file.attrs["folds"] = fits.fold_stimuli
        told = {
            **identity,
            **fitted.basis,
            "Layers": list(names),
            "RepetitionTime": first.tr,
        }
        text = json.dumps(told, sort_keys=True, default=str)
        file[IDENTITY] = np.frombuffer(text.encode(), dtype=np.uint8)
        for number, block in enumerate(fitted.ordered, start=1):
            heard = file.create_dataset(f"presentations/{number:02d}", data=block.times)
            heard.attrs.update(stimulus=block.stimulus, run=block.run)
        for name in names:
            gram, alpha = side.gram(name), fits.alpha[fits.layer_names.index(name)]
            plan, alpha = side.plan(gram), alpha.astype(np.float64)
            group = file.create_group(name)
            group.attrs["n_units"] = grams.n_units[grams.layer_names.index(name)]
            _write_predictions(group, plan, fitted, alpha, kept)
            if not reason:
                x = fitted.sampled({label: layers[name] for label, layers in units.items()})
                _write_units(group, plan, x, fitted, alpha, kept)
            _write_dual(group, side.plan(gram, dtype=np.float64), fitted, alpha, kept)
    return reason


def _parts(kept: NDArray[np.intp]) -> list[tuple[slice, NDArray[np.intp]]]:
    """Columns of the file, and the vertices that belong there."""
    starts = range(0, kept.size, _VERTICES)
    parts = [slice(start, min(start + _VERTICES, kept.size)) for start in starts]
    return [(part, kept[part]) for part in parts]


def _write_predictions(
    group: h5py.Group,
    plan: EncodingPlan,
    fitted: FittedModel,
    alpha: NDArray[np.float64],
    kept: NDArray[np.intp],
) -> None:
    """Held-out predictions of every presentation."""
    predictions = [
        group.create_dataset(f"predictions/{number:02d}", (stop - begin, kept.size), dtype="f4")
        for number, (begin, stop) in enumerate(plan.rows, start=1)
    ]
    for dataset, block in zip(predictions, fitted.ordered, strict=True):
        dataset.attrs.update(stimulus=block.stimulus, run=block.run)
    for columns, own in _parts(kept):
        predicted = predict(plan, fitted.responses(own), alpha[:, own])
        for dataset, values in zip(predictions, predicted, strict=True):
            dataset[:, columns] = values


def _write_units(
    group: h5py.Group,
    plan: EncodingPlan,
    features: Sequence[NDArray[np.floating]],
    fitted: FittedModel,
    alpha: NDArray[np.float64],
    kept: NDArray[np.intp],
) -> None:
    """Impulse responses of every unit."""
    shape = (len(plan.folds), plan.shifts.size, features[0].shape[1], kept.size)
    weights = group.create_dataset("weights", shape, dtype="f4")
    for columns, own in _parts(kept):
        responses = fitted.responses(own)
        for fold, dual in enumerate(dual_weights(plan, responses, alpha[:, own])):
            weights[fold, :, :, columns] = impulse_responses(plan, features, dual)


def _write_dual(
    group: h5py.Group,
    plan: EncodingPlan,
    fitted: FittedModel,
    alpha: NDArray[np.float64],
    kept: NDArray[np.intp],
) -> None:
    """Weights of the training rows: of every fold, and of a model of all stimuli."""
    whole = whole_plan(plan)
    group.attrs["scale"] = plan.scale
    names = [*(f"{number:02d}" for number in range(1, len(plan.folds) + 1)), ALL]
    written = {
        name: group.create_dataset(f"dual/{name}", (plan.n_rows, kept.size), dtype="f8")
        for name in names
    }
    penalties = group.create_dataset("alpha", (len(names), kept.size), dtype="f8")
    for columns, own in _parts(kept):
        responses = fitted.responses(own)
        last = whole_penalties(whole, responses, selection=fitted.model.selection)
        penalties[:, columns] = np.concatenate([alpha[:, own], last])
        duals = (
            *dual_weights(plan, responses, alpha[:, own]),
            *dual_weights(whole, responses, last),
        )
        for name, dual in zip(names, duals, strict=True):
            written[name][:, columns] = dual


CONTENTS = {
    "vertices": "vertices of the mesh whose weights are kept, left hemisphere first, from 0",
    "delays": "seconds by which the response follows the music",
    "identity": "bytes of a JSON text: settings, features and music behind the model",
    "presentations": "second of the audio file at which every sample of a presentation was taken",
    "LAYER/dual": "(rows, vertices): weight of every training row for the z-scored response, folds"
    " as in the attribute, and `all` for the model that all stimuli trained; rows are the samples"
    " that crop and delays leave, presentations in turn",
    "LAYER/alpha": "(folds and all, vertices): penalties",
    "LAYER/weights": "(folds, delays, units, vertices): change of the z-scored response per unit of"
    " the feature, which is z-scored over the stimulus at patch rate; folds as in the attribute",
    "LAYER/predictions": "(samples, vertices): held-out prediction of the z-scored response, one"
    " array per presentation, over the samples that crop and delays leave",
}
