"""Convert VGGish's TensorFlow variables to the torch state dict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from bids_app.errors import WRITABLE, BadDataError, CannotWriteError, MissingInputError
from bids_app.features import network
from bids_app.features.tf_checkpoint import is_checkpoint, read_checkpoint
from bids_app.features.vggish import layer_activations
from bids_app.files import atomic_path
from bids_app.loading import load_arrays
from bids_app.seeds import generator

TENSORFLOW_NAMES = {
    "vggish/conv1": "features.0",
    "vggish/conv2": "features.3",
    "vggish/conv3/conv3_1": "features.6",
    "vggish/conv3/conv3_2": "features.8",
    "vggish/conv4/conv4_1": "features.11",
    "vggish/conv4/conv4_2": "features.13",
    "vggish/fc1/fc1_1": "embeddings.0",
    "vggish/fc1/fc1_2": "embeddings.2",
    "vggish/fc2": "embeddings.4",
}
"""Variable scope in TensorFlow to module in torch."""

_TOLERANCE = 1e-5


def convert_weights(source: str | Path, target: str | Path) -> None:
    """Convert TensorFlow weights of VGGish to a torch state dict and check the result.

    The check runs a test sound through both: once in NumPy with the TensorFlow arrays in
    TensorFlow's layout, once through the torch network with the converted ones. Every layer must
    agree to 1e-5 of its largest value.

    Parameters
    ----------
    source : str or Path
        The published checkpoint ``vggish_model.ckpt`` (V1, read without TensorFlow), or an
        ``.npz`` file of variable names (``vggish/conv1/weights``, ...) and arrays.
    target : str or Path
        State dict to write; replaced if it exists.

    Raises
    ------
    MissingInputError
        There is no source.
    BadDataError
        The source cannot be read, lacks variables, or has them in other shapes.
    CannotWriteError
        The target cannot be written.
    """
    source, target = Path(source), Path(target)
    if not target.parent.is_dir():
        raise CannotWriteError(
            "The converted weights cannot be written.",
            where=target,
            found="no such folder",
            wanted="a folder that is there",
            remedy="make the folder, or give another path",
        )
    variables = _read(source)
    state = convert_variables(variables, where=source)
    difference = conversion_error(variables, state)
    if not difference < _TOLERANCE:
        raise BadDataError(
            "The converted network does not compute what the source does.",
            where=source,
            found=f"relative difference {difference:.2g}",
            wanted=f"below {_TOLERANCE:g}",
            remedy="download the source again, and report this where it happens again",
        )
    try:
        with atomic_path(target) as temporary:
            torch.save(state, temporary)
    except RuntimeError as error:
        raise CannotWriteError(
            "The converted weights cannot be written.",
            where=target,
            found=str(error),
            wanted="a file that can be written",
            remedy=WRITABLE,
        ) from error


def convert_variables(
    variables: Mapping[str, np.ndarray], where: object = "variables"
) -> dict[str, torch.Tensor]:
    """State dict from TensorFlow variables.

    Kernels go from (time, mel, in, out) to (out, in, time, mel), dense weights from (in, out) to
    (out, in). Variables of other names are left out.

    Raises
    ------
    BadDataError
        Variables are missing or misshapen; says which.
    """
    state: dict[str, torch.Tensor] = {}
    missing = []
    for scope, module in TENSORFLOW_NAMES.items():
        for theirs, ours in (("weights", "weight"), ("biases", "bias")):
            array = variables.get(f"{scope}/{theirs}")
            if array is None:
                missing.append(f"{scope}/{theirs}")
                continue
            if array.ndim == 4:
                array = array.transpose(3, 2, 0, 1)
            elif array.ndim == 2:
                array = array.T
            copy = np.array(array, dtype=np.float32, order="C")
            state[f"{module}.{ours}"] = torch.from_numpy(copy)
    if missing:
        raise BadDataError(
            "These are not the variables of VGGish.",
            where=where,
            found=f"missing: {', '.join(missing)}",
            wanted="the variables of the published vggish_model.ckpt",
            remedy="give the published checkpoint of VGGish",
        )
    network.check_state(state, where)
    return state


def conversion_error(
    variables: Mapping[str, np.ndarray], state: Mapping[str, torch.Tensor]
) -> float:
    """Largest difference between both networks in any layer, relative to its largest value."""
    patch = generator(0, "patch of the check").normal(-2.0, 1.5, (1, 96, 64)).astype(np.float32)
    model = network.build(state, label="converted", sha256="")
    theirs = _tensorflow_layers(variables, patch)
    worst = 0.0
    for (_, ours), expected in zip(layer_activations(model, patch), theirs, strict=True):
        scale = np.abs(expected).max()
        if scale > 0:
            worst = max(worst, float(np.abs(ours - expected.reshape(1, -1)).max() / scale))
    return worst


def _tensorflow_layers(
    variables: Mapping[str, np.ndarray], patches: np.ndarray
) -> list[np.ndarray]:
    """Layers 1 to 23 in TensorFlow's layout: maps (patch, time, mel, channel), kernels as saved."""
    pooled = {f"features.{conv.place}" for conv in network.CONVOLUTIONS if conv.pooled}
    values = patches[..., np.newaxis].astype(np.float64)
    layers = [values]
    for scope, module in TENSORFLOW_NAMES.items():
        weights = variables[f"{scope}/weights"]
        biases = variables[f"{scope}/biases"]
        if weights.ndim == 4:
            padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
            values = np.einsum("ptmiab,abio->ptmo", windows, weights, optimize=True) + biases
        else:
            values = values.reshape(len(values), -1) @ weights.astype(np.float64) + biases
        layers.append(values)
        values = np.maximum(values, 0)
        layers.append(values)
        if module in pooled:
            n_patches, n_times, n_mels, n_channels = values.shape
            pairs = values.reshape(n_patches, n_times // 2, 2, n_mels // 2, 2, n_channels)
            values = pairs.max(axis=(2, 4))
            layers.append(values)
    return layers


def _read(source: Path) -> dict[str, np.ndarray]:
    if not source.is_file():
        raise MissingInputError(
            "There is no such file.",
            where=source,
            found="no file",
            wanted="vggish_model.ckpt, an .index or an .npz",
            remedy="correct the path, or download the checkpoint",
        )
    if is_checkpoint(source):
        return read_checkpoint(source)
    try:
        return {name.removesuffix(":0"): one for name, one in load_arrays(source).items()}
    except Exception as error:
        raise BadDataError(
            "This file holds no TensorFlow variables that can be read.",
            where=source,
            found=str(error),
            wanted="the published vggish_model.ckpt, the .index of a newer checkpoint, or an .npz "
            "of variable names and arrays",
            remedy="give the published checkpoint, or write its variables to an .npz file first",
        ) from error
