"""Weights of single layers, back-projected to their units, and held-out predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from bids_app.encoding.weights import dual_weights, impulse_responses, predict
from bids_app.errors import BadDataError, UsageError
from bids_app.features.cache import FeatureGrams
from bids_app.features.sources import scaled_layers
from bids_app.features.timing import sample_series
from bids_app.files import atomic_path, write_json
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.surface.cortex import read_cortex_mask

MAX_BYTES = 2 << 30
_VERTICES = 256  # worked on at a time


def layers_asked(asked: Sequence[str], fitted: Sequence[str], grams: FeatureGrams) -> list[str]:
    """Names of the layers whose weights are wanted.

    Raises
    ------
    UsageError
        If a layer was not fitted.
    """
    if list(asked) == ["all"]:
        return list(fitted)
    numbered = {str(number): name for number, name in enumerate(grams.layer_names, start=1)}
    names = [numbered.get(text, text) for text in asked]
    if unknown := [name for name in names if name not in fitted]:
        raise UsageError(
            "Weights are asked for of a layer that is not fitted.",
            where="--save-weights",
            found=", ".join(unknown),
            wanted=f"all, or of {', '.join(fitted)}",
        )
    return names


def check_size(grams: FeatureGrams, names: Sequence[str], n_values: int) -> None:
    """Refuse what does not fit; `n_values` is folds x delays x vertices.

    Raises
    ------
    BadDataError
        If units or weights take more than 2 GiB.
    """
    units = [grams.n_units[grams.layer_names.index(name)] for name in names]
    n_patches = sum(len(times) for times in grams.patch_times)
    largest = max(max(units) * n_patches * 4, sum(units) * n_values * 4)
    if largest > MAX_BYTES:
        raise BadDataError(
            "The weights do not fit.",
            where="--save-weights",
            found=f"{largest / 2**30:.1f} GiB for {sum(units)} units of {', '.join(names)}",
            wanted=f"at most {MAX_BYTES >> 30} GiB",
            remedy="choose smaller layers (pooled or dense ones), or give fewer vertices with "
            "--weights-mask",
        )


def save_weights(
    tree: OutputTree,
    record: Record,
    grams: FeatureGrams,
    blocks: Sequence[Block],
    fits: LayerFits,
    *,
    model: Model,
    high_pass: HighPass,
    stimuli: Mapping[str, Path],
    features: str,
    weights: str | None,
) -> list[Path]:
    """Write the weights of a participant's model and their sidecar; see `write_weights`."""
    path = tree.weights(record.participant, str(record.settings["space"]), record.model)
    names = layers_asked(model.save_weights, fits.layer_names, grams)
    mask = model.weights_mask
    write_weights(
        path,
        names,
        grams,
        blocks,
        fits,
        model=model,
        high_pass=high_pass,
        stimuli=stimuli,
        features=features,
        weights=weights,
        vertices=read_cortex_mask(mask, fits.r.shape[1]) if mask else None,
    )
    content = {
        "Description": "weights of an encoding model at the units of its features",
        "Contents": CONTENTS,
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
    grams: FeatureGrams,
    blocks: Sequence[Block],
    fits: LayerFits,
    *,
    model: Model,
    high_pass: HighPass,
    stimuli: Mapping[str, Path],
    features: str,
    weights: str | None,
    vertices: NDArray[np.bool_] | None = None,
) -> None:
    """Write an HDF5 file with one group per layer.

    Parameters
    ----------
    path : Path
    names : sequence of str
        Layers.
    grams, blocks, fits, model, high_pass
        What the models were fitted on and with, and the fits.
    stimuli : mapping
        Label to audio file.
    features, weights : str
        Feature space, and weights of the network.
    vertices : array of shape (n_vertices,), bool, optional
        Vertices whose weights are kept; default all with a result.
    """
    blocks = sorted(blocks, key=lambda block: block.stimulus)
    labels = [block.stimulus for block in blocks]
    times = [block.times for block in blocks]
    side = StimulusSide(grams, labels, times, blocks[0].tr, model, high_pass)
    usable = np.isfinite(fits.alpha).all(axis=(0, 1))
    kept = np.flatnonzero(usable if vertices is None else usable & vertices)
    plans = {name: side.plan(side.gram(name)) for name in names}
    first = plans[names[0]]
    check_size(grams, names, len(first.folds) * first.shifts.size * kept.size)
    units = {
        label: scaled_layers(
            label, stimuli[label], names, features=features, weights=weights, hop=model.hop
        )
        for label in dict.fromkeys(labels)
    }
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file["vertices"] = kept
        file["delays"] = first.shifts * first.tr
        file.attrs["folds"] = fits.fold_stimuli
        for name in names:
            x = [_sampled(block, grams, units[block.stimulus][name], high_pass) for block in blocks]
            alpha = fits.alpha[fits.layer_names.index(name)].astype(np.float64)
            _write_layer(file.create_group(name), plans[name], x, blocks, alpha, kept)


def _sampled(
    block: Block, grams: FeatureGrams, values: NDArray[Any], high_pass: HighPass
) -> NDArray[np.floating]:
    """Units at the samples of one presentation, (n_times, n_units)."""
    centers = grams.patch_times[grams.labels.index(block.stimulus)]
    return sample_series(values, centers, block.times, block.tr, high_pass)


def _write_layer(
    group: h5py.Group,
    plan: EncodingPlan,
    features: Sequence[NDArray[np.floating]],
    blocks: Sequence[Block],
    alpha: NDArray[np.float64],
    kept: NDArray[np.intp],
) -> None:
    n_units = features[0].shape[1]
    shape = (len(plan.folds), plan.shifts.size, n_units, kept.size)
    weights = group.create_dataset("weights", shape, dtype="f4")
    predictions = [
        group.create_dataset(f"predictions/{number:02d}", (stop - begin, kept.size), dtype="f4")
        for number, (begin, stop) in enumerate(plan.rows, start=1)
    ]
    for dataset, block in zip(predictions, blocks, strict=True):
        dataset.attrs.update(stimulus=block.stimulus, run=block.run)
    for start in range(0, kept.size, _VERTICES):
        own = kept[start : start + _VERTICES]
        columns = slice(start, start + own.size)
        responses = [block.values[:, own] for block in blocks]
        for fold, dual in enumerate(dual_weights(plan, responses, alpha[:, own])):
            weights[fold, :, :, columns] = impulse_responses(plan, features, dual)
        for dataset, values in zip(
            predictions, predict(plan, responses, alpha[:, own]), strict=True
        ):
            dataset[:, columns] = values


CONTENTS = {
    "vertices": "vertices of the mesh whose weights are kept, left hemisphere first, from 0",
    "delays": "seconds by which the response follows the music",
    "LAYER/weights": "(folds, delays, units, vertices): change of the z-scored response per unit of"
    " the feature, which is z-scored over the stimulus at patch rate; folds as in the attribute",
    "LAYER/predictions": "(samples, vertices): held-out prediction of the z-scored response, one"
    " array per presentation, over the samples that crop and delays leave",
}
