"""VGGish (Hershey et al. 2017): names of its layers, weights, and a plain forward pass.

The network has the state-dict keys of torchvggish: ``features.{0,3,6,8,11,13}`` and
``embeddings.{0,2,4}``, each with ``weight`` and ``bias``. Layers are numbered 1 to 23 from the
input patch to the embedding after its ReLU; layer 22 is the embedding before it. The optional
PCA and 8-bit quantization that some distributions apply to the embedding are not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bids_app.errors import FINITE, BadDataError, UsageError, check_shape
from bids_app.features.audio import file_sha256
from bids_app.files import sha256_of
from bids_app.resources import random_seed

if TYPE_CHECKING:
    import torch

    from bids_app.features.network import VGGish

LAYER_NAMES = (
    "InputBatch",
    "conv1",
    "relu1",
    "pool1",
    "conv2",
    "relu2",
    "pool2",
    "conv3_1",
    "relu3_1",
    "conv3_2",
    "relu3_2",
    "pool3",
    "conv4_1",
    "relu4_1",
    "conv4_2",
    "relu4_2",
    "pool4",
    "fc1_1",
    "relu5_1",
    "fc1_2",
    "relu5_2",
    "fc2",
    "EmbeddingBatch",
)
"""Layers 1 to 23; the place in the tuple is the number minus one."""

TWINS = (*(name for name in LAYER_NAMES if name.startswith(("relu", "pool"))), "EmbeddingBatch")
"""What a layer becomes by its ReLU or its pooling."""


def load_vggish(weights: str | Path) -> VGGish:
    """Build VGGish with given weights.

    Parameters
    ----------
    weights : str or Path
        A torch state dict, such as ``vggish-10086976.pth`` or what ``musenc convert-weights``
        writes; or ``"random:SEED"`` for an untrained network: He-normal weights from a seeded
        generator, zero biases. A file is read without running any code in it.

    Returns
    -------
    model : VGGish
        In evaluation mode, float32, on the CPU. ``model.weights_label`` is the file's name or the
        specification; ``model.weights_sha256`` is the checksum of the file, or of the drawn
        numbers in the order of the keys.

    Raises
    ------
    MissingInputError
        There is no such file.
    BadDataError
        The file is not a state dict of VGGish; says which keys are missing, unexpected or
        misshapen.
    UsageError
        ``random:`` without a whole number.

    Examples
    --------
    >>> model = load_vggish("random:0")
    >>> model.weights_label, sum(one.numel() for one in model.parameters())
    ('random:0', 72141184)
    """
    from bids_app.features import network

    seed = random_seed(weights)
    if seed is not None:
        state = network.random_state(seed)
        checksum = sha256_of(*(tensor.numpy().data for tensor in state.values()))
        return network.build(state, label=str(weights), sha256=checksum)
    path = Path(weights)
    checksum = file_sha256(path)
    state = network.read_state(path)
    return network.build(state, label=path.name, sha256=checksum)


def resolve_device(device: str = "auto") -> str:
    """Name of the torch device to use: ``auto`` is CUDA where there is one.

    Raises
    ------
    UsageError
        CUDA was asked for and torch sees none.

    Examples
    --------
    >>> resolve_device("cpu")
    'cpu'
    """
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda" if device == "auto" else device
    if device == "auto":
        return "cpu"
    raise UsageError(
        "No CUDA device can be used.",
        where="device",
        found=f"{device}, but torch {torch.__version__} sees no CUDA device",
        wanted="a CUDA device that torch sees",
        remedy="use --device cpu, or install torch with CUDA and check the driver",
    )


def check_patches(patches: np.ndarray) -> np.ndarray:
    """Return patches as contiguous float32 after checking shape and values.

    Raises
    ------
    BadDataError
        Not of shape (n_patches, 96, 64), empty, or not finite.

    Examples
    --------
    >>> check_patches(np.zeros((2, 96, 64))).dtype
    dtype('float32')
    """
    patches = np.ascontiguousarray(patches, dtype=np.float32)
    check_shape("patches", patches, "n_patches", 96, 64)
    if not np.isfinite(patches).all():
        raise BadDataError(
            "patches have values that are not finite.",
            where="patches",
            found=f"{np.count_nonzero(~np.isfinite(patches))} of {patches.size}",
            wanted="finite values",
            remedy=FINITE,
        )
    return patches


def layer_activations(model: VGGish, patches: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Plain forward pass that yields every layer whole.

    For a few patches, and as the reference for the streamed computation: conv1 alone takes
    1.6 MB per patch.

    Parameters
    ----------
    model : VGGish
        From :func:`load_vggish`.
    patches : array of shape (n_patches, 96, 64)
        Log-mel patches.

    Yields
    ------
    name : str
        In the order of :data:`LAYER_NAMES`.
    activations : array of shape (n_patches, n_units)
        float32; units in the order (time, mel, channel), the last fastest.

    Raises
    ------
    BadDataError
        Patches of another shape or not finite.

    Examples
    --------
    >>> model = load_vggish("random:0")
    >>> layers = dict(layer_activations(model, np.zeros((1, 96, 64))))
    >>> len(layers), layers["conv1"].shape, layers["EmbeddingBatch"].shape
    (23, (1, 393216), (1, 128))
    """
    import torch

    checked = check_patches(patches)
    layers = model.layers(torch.from_numpy(checked).to(next(model.parameters()).device))
    for name, values in zip(LAYER_NAMES, layers, strict=True):
        yield name, _units_last(values).cpu().numpy()


def _units_last(values: torch.Tensor) -> torch.Tensor:
    if values.ndim == 4:
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(values), -1)
