"""The torch module behind :mod:`bids_app.features.vggish`, and its state dict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from bids_app.errors import BadDataError


class Convolution(NamedTuple):
    """Place in ``features``, channels, rows of time, number of the layer, whether pooling follows.

    Layer + 1 is the ReLU, layer + 2 the pooling.
    """

    place: int
    n_in: int
    n_out: int
    height: int
    layer: int
    pooled: bool


class Dense(NamedTuple):
    """Place in ``embeddings``, units, and number of the layer; layer + 1 is the ReLU."""

    place: int
    n_in: int
    n_out: int
    layer: int


CONVOLUTIONS = (
    Convolution(0, 1, 64, 96, 2, True),
    Convolution(3, 64, 128, 48, 5, True),
    Convolution(6, 128, 256, 24, 8, False),
    Convolution(8, 256, 256, 24, 10, True),
    Convolution(11, 256, 512, 12, 13, False),
    Convolution(13, 512, 512, 12, 15, True),
)
DENSE = (Dense(0, 12288, 4096, 18), Dense(2, 4096, 4096, 20), Dense(4, 4096, 128, 22))

_REMEDY = (
    "give the torch state dict of VGGish (vggish-10086976.pth), "
    "or convert a TensorFlow checkpoint with `musenc convert-weights`"
)


class VGGish(nn.Module):
    """VGGish from log-mel patch to 128 numbers.

    Attributes
    ----------
    weights_label, weights_sha256 : str
        Source and checksum of the weights, for sidecars and cache keys.
    """

    def __init__(self, *, weights_label: str = "", weights_sha256: str = "") -> None:
        super().__init__()
        self.weights_label = weights_label
        self.weights_sha256 = weights_sha256
        features: list[nn.Module] = []
        for conv in CONVOLUTIONS:
            features += [nn.Conv2d(conv.n_in, conv.n_out, 3, padding=1), nn.ReLU()]
            if conv.pooled:
                features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        embeddings: list[nn.Module] = []
        for dense in DENSE:
            embeddings += [nn.Linear(dense.n_in, dense.n_out), nn.ReLU()]
        self.embeddings = nn.Sequential(*embeddings)

    def layers(self, patches: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield layers 1 to 23 for patches of shape (n_patches, 96, 64).

        Convolutional layers have the shape (n_patches, channel, time, mel).
        """
        values = patches[:, None]
        yield values
        for module in self.features:
            values = module(values)
            yield values
        # The dense layers were trained on maps in the order (time, mel, channel).
        values = values.permute(0, 2, 3, 1).flatten(1)
        for module in self.embeddings:
            values = module(values)
            yield values

    def weights(self, name: str, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias of a module such as ``features.0``, on a device."""
        return (
            self.get_parameter(f"{name}.weight").to(device),
            self.get_parameter(f"{name}.bias").to(device),
        )

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Layer 23 of shape (n_patches, 128)."""
        values = patches
        for layer in self.layers(patches):
            values = layer
        return values


def layer_shapes() -> list[tuple[int, ...]]:
    """Of every layer for one patch: (time, mel, channel), or (unit,) from fc1_1 on.

    Examples
    --------
    >>> layer_shapes()[:4], layer_shapes()[-1]
    ([(96, 64, 1), (96, 64, 64), (96, 64, 64), (48, 32, 64)], (128,))
    """
    shapes: list[tuple[int, ...]] = [(96, 64, 1)]
    for conv in CONVOLUTIONS:
        shapes += [(conv.height, conv.height * 2 // 3, conv.n_out)] * 2
        if conv.pooled:
            shapes.append((conv.height // 2, conv.height // 3, conv.n_out))
    return shapes + [(dense.n_out,) for dense in DENSE for _ in range(2)]


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Keys of the state dict, in order, with their shapes.

    Examples
    --------
    >>> len(parameter_shapes()), parameter_shapes()["features.0.weight"]
    (18, (64, 1, 3, 3))
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for conv in CONVOLUTIONS:
        shapes[f"features.{conv.place}.weight"] = (conv.n_out, conv.n_in, 3, 3)
        shapes[f"features.{conv.place}.bias"] = (conv.n_out,)
    for dense in DENSE:
        shapes[f"embeddings.{dense.place}.weight"] = (dense.n_out, dense.n_in)
        shapes[f"embeddings.{dense.place}.bias"] = (dense.n_out,)
    return shapes


def random_state(seed: int) -> dict[str, torch.Tensor]:
    """He-normal weights (He et al. 2015, fan-in) from a seeded generator, zero biases."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in parameter_shapes().items():
        if key.endswith("bias"):
            state[key] = torch.zeros(shape)
        else:
            scale = math.sqrt(2 / math.prod(shape[1:]))
            state[key] = torch.randn(shape, generator=generator).mul_(scale)
    return state


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict and check it key by key.

    Keys under ``pproc.`` (the optional PCA of torchvggish) are left out.

    Raises
    ------
    BadDataError
        Not a torch file, not a state dict, or keys are missing, unexpected, misshapen, not
        floating point or not finite.
    """
    try:
        # torch raises whatever the bytes led it into.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BadDataError(
            "This file cannot be read as torch weights.",
            where=path,
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            wanted="a torch state dict",
            remedy=_REMEDY,
        ) from error
    if not isinstance(content, Mapping):
        raise BadDataError(
            "This torch file holds no state dict.",
            where=path,
            found=type(content).__name__,
            wanted="a mapping from names to arrays",
            remedy=_REMEDY,
        )
    state = {key: value for key, value in content.items() if not str(key).startswith("pproc.")}
    check_state(state, path)
    return {key: state[key].detach().float().contiguous() for key in parameter_shapes()}


def check_state(state: Mapping[str, torch.Tensor], where: object) -> None:
    """Raise BadDataError naming every key that is not as in VGGish."""
    shapes = parameter_shapes()
    faults = [f"missing: {key} {shapes[key]}" for key in shapes if key not in state]
    faults += [f"unexpected: {key}" for key in state if key not in shapes]
    for key, shape in shapes.items():
        value = state.get(key)
        if value is None:
            continue
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            faults.append(f"not floating point: {key}")
        elif tuple(value.shape) != shape:
            faults.append(f"misshapen: {key} is {tuple(value.shape)}, wanted {shape}")
        elif not bool(torch.isfinite(value).all()):
            faults.append(f"not finite: {key}")
    if faults:
        raise BadDataError(
            "These are not the weights of VGGish.",
            where=where,
            found="; ".join(faults),
            wanted=f"{len(shapes)} arrays, 72,141,184 numbers",
            remedy=_REMEDY,
        )


def build(state: Mapping[str, torch.Tensor], *, label: str, sha256: str) -> VGGish:
    """Network around a checked state dict, which it keeps without copying."""
    with torch.device("meta"):
        model = VGGish(weights_label=label, weights_sha256=sha256)
    model.load_state_dict(dict(state), assign=True)
    return model.eval().requires_grad_(False)
