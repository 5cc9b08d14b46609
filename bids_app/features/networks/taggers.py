"""The torch modules behind :mod:`bids_app.features.networks.musicnn`, and their variables.

Variables keep the names and layouts that TensorFlow gave them: kernels (time, band, in, out),
dense ones (in, out). Every convolution is followed by its ReLU and then by batch normalization.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bids_app.errors import BadDataError

PATCH_FRAMES = 187
N_TAGS = 50
_EPSILON = 1e-3

Layer = tuple[str, torch.Tensor, Sequence[float] | None]
"""Name; values (patch, channel, time, band) or (patch, unit); where in the patch the times of a map
are, in frames, None for units that have heard all of it."""


class Block(nn.Module):
    """Convolution, ReLU, batch normalization.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    size : tuple of int
        Of the kernel, in time and bands. There are zeros around the time, so that it keeps its
        length; of an even kernel one more of them at the end.
    pad_bands : bool
        Whether there are zeros around the bands, too.
    """

    def __init__(
        self, n_in: int, n_out: int, size: tuple[int, int], *, pad_bands: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, size)
        self.norm = nn.BatchNorm2d(n_out, eps=_EPSILON)
        time, bands = ((n - 1) // 2 for n in size)
        around = (bands, size[1] - 1 - bands) if pad_bands else (0, 0)
        self._zeros = (*around, time, size[0] - 1 - time)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Maps (patch, channel, time, band) to maps."""
        return self.norm(functional.relu(self.conv(functional.pad(values, self._zeros))))


class Tagger(nn.Module):
    """From patches of a log-mel spectrogram to the logits of 50 tags."""

    layer_names: tuple[str, ...]

    @abstractmethod
    def layers(self, patches: torch.Tensor) -> Iterator[Layer]:
        """Yield the layers of patches (n_patches, 187, 96), in order of depth."""

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Logits of shape (n_patches, 50)."""
        *_, (_, logits, _) = self.layers(patches)
        return logits


class Vgg(Tagger):
    """Five 3 x 3 convolutions of 128 channels, each followed by a pooling."""

    layer_names = (
        "input",
        *(f"{kind}{n}" for n in range(1, 6) for kind in ("conv", "pool")),
        "logits",
    )
    # Height and stride in time, width and stride in bands.
    _POOLS = (((4, 1), (2, 2)), *[((2, 2), (2, 2))] * 3, ((4, 4), (4, 4)))

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, eps=_EPSILON)
        self.blocks = nn.ModuleList(
            [Block(128 if k else 1, 128, (3, 3), pad_bands=True) for k in range(len(self._POOLS))]
        )
        # What is left of 187 x 96 after the poolings: 2 x 1.
        self.dense = nn.Linear(2 * 128, N_TAGS)

    def layers(self, patches: torch.Tensor) -> Iterator[Layer]:
        """See `Tagger`; only pool5 has heard the whole patch, and is (time, channel) in one."""
        centers = np.arange(PATCH_FRAMES, dtype=float)
        yield "input", patches[:, None], list(centers)
        values = self.norm(patches[:, None])
        for n, (block, (size, stride)) in enumerate(
            zip(self.blocks, self._POOLS, strict=True), start=1
        ):
            values = block(values)
            yield f"conv{n}", values, list(centers)
            values = functional.max_pool2d(values, size, stride)
            # Middle of the times that a pooling sees.
            centers = np.array(
                [centers[k * stride[0] :][: size[0]].mean() for k in range(values.shape[2])]
            )
            if n < len(self.blocks):
                yield f"pool{n}", values, list(centers)
        values = values.permute(0, 2, 3, 1).flatten(1)
        yield f"pool{len(self.blocks)}", values, None
        yield "logits", self.dense(values), None


class MusicallyMotivated(Tagger):
    """Filters as high as timbre and as long as rhythm, three residual layers, pooling, dense."""

    layer_names = (
        *("input", "timbral", "temporal", "cnn1", "cnn2", "cnn3"),
        *("max_pool", "mean_pool", "penultimate", "logits"),
    )
    _TIMBRAL = (204, (38, 67))
    _TEMPORAL = (51, (128, 64, 32))
    _MIDDLE = 64
    _DENSE = 200

    def __init__(self) -> None:
        super().__init__()
        n_timbral, heights = self._TIMBRAL
        n_temporal, lengths = self._TEMPORAL
        n_front = n_timbral * len(heights) + n_temporal * len(lengths)
        self.norm = nn.BatchNorm2d(1, eps=_EPSILON)
        self.timbral = nn.ModuleList([Block(1, n_timbral, (7, h)) for h in heights])
        self.temporal = nn.ModuleList([Block(1, n_temporal, (n, 1)) for n in lengths])
        self.middle = nn.ModuleList(
            [Block(1, self._MIDDLE, (7, n)) for n in (n_front, self._MIDDLE, self._MIDDLE)]
        )
        n_pooled = 2 * (n_front + len(self.middle) * self._MIDDLE)
        self.norm_pooled = nn.BatchNorm1d(n_pooled, eps=_EPSILON)
        self.dense = nn.Linear(n_pooled, self._DENSE)
        self.norm_dense = nn.BatchNorm1d(self._DENSE, eps=_EPSILON)
        self.dense_1 = nn.Linear(self._DENSE, N_TAGS)

    def layers(self, patches: torch.Tensor) -> Iterator[Layer]:
        """See `Tagger`; timbral and temporal are beside one another, and so are the poolings."""
        frames = list(range(PATCH_FRAMES))
        yield "input", patches[:, None], frames
        values = self.norm(patches[:, None])
        # The highest over the bands, of shape (patch, channel, time, 1).
        timbral, temporal = (
            torch.cat([block(values).amax(dim=3, keepdim=True) for block in blocks], dim=1)
            for blocks in (self.timbral, self.temporal)
        )
        yield "timbral", timbral, frames
        yield "temporal", temporal, frames
        values = torch.cat([timbral, temporal], dim=1)
        everything = [values]
        for n, block in enumerate(self.middle, start=1):
            # The channels become the bands of one channel.
            heard = block(values.transpose(1, 3))
            values = heard if n == 1 else heard + values
            everything.append(values)
            yield f"cnn{n}", values, frames
        values = torch.cat(everything, dim=1)[..., 0]
        highest, mean = values.amax(dim=2), values.mean(dim=2)
        yield "max_pool", highest, None
        yield "mean_pool", mean, None
        # Both of a unit side by side.
        values = self.norm_pooled(torch.stack([highest, mean], dim=2).flatten(1))
        values = self.norm_dense(functional.relu(self.dense(values)))
        yield "penultimate", values, None
        yield "logits", self.dense_1(values), None


KINDS: dict[str, Callable[[], Tagger]] = {"vgg": Vgg, "musicnn": MusicallyMotivated}


def scopes(tagger: Tagger) -> Iterator[tuple[str, nn.Module]]:
    """TensorFlow's scope of every module that has variables, in the order they were made."""
    counts: dict[str, int] = {}
    for module in tagger.modules():
        if isinstance(module, nn.Conv2d):
            word = "conv2d"
        elif isinstance(module, nn.Linear):
            word = "dense"
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            word = "batch_normalization"
        else:
            continue
        n = counts[word] = counts.get(word, -1) + 1
        if word == "conv2d" and isinstance(tagger, Vgg):
            yield f"{n + 1}CNN", module
        else:
            yield f"{word}_{n}" if n else word, module


def _tensors(module: nn.Module) -> dict[str, tuple[torch.Tensor, tuple[int, ...]]]:
    """The variables of a module, and the order of axes that turns them into torch's."""
    if isinstance(module, nn.Conv2d):
        return {"kernel": (module.weight, (3, 2, 0, 1)), "bias": (_of(module.bias), (0,))}
    if isinstance(module, nn.Linear):
        return {"kernel": (module.weight, (1, 0)), "bias": (_of(module.bias), (0,))}
    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    names = {
        "gamma": module.weight,
        "beta": module.bias,
        "moving_mean": module.running_mean,
        "moving_variance": module.running_var,
    }
    return {name: (_of(tensor), (0,)) for name, tensor in names.items()}


def _of(tensor: torch.Tensor | None) -> torch.Tensor:
    assert tensor is not None
    return tensor


def fill(tagger: Tagger, variables: Mapping[str, np.ndarray], where: object) -> None:
    """Give a network its trained variables, and evaluation mode.

    Raises
    ------
    BadDataError
        Variables are missing, unexpected, misshapen or not finite; says which.
    """
    faults = []
    known = set()
    for scope, module in scopes(tagger):
        for name, (tensor, order) in _tensors(module).items():
            known.add(f"{scope}/{name}")
            found = variables.get(f"{scope}/{name}")
            wanted = tuple(np.array(tensor.shape)[np.argsort(order)].tolist())
            if found is None:
                faults.append(f"missing: {scope}/{name} {wanted}")
            elif found.shape != wanted:
                faults.append(f"misshapen: {scope}/{name} is {found.shape}, wanted {wanted}")
            elif found.dtype != np.float32 or not np.isfinite(found).all():
                faults.append(f"not finite float32 numbers: {scope}/{name}")
            else:
                tensor.data = torch.from_numpy(np.ascontiguousarray(found.transpose(order)))
    faults += [f"unexpected: {name}" for name in variables if name not in known]
    if faults:
        raise BadDataError(
            "These are not the weights of this network.",
            where=where,
            found="; ".join(faults),
            wanted=f"{len(known)} arrays",
            remedy="delete the file and run `musenc prefetch musicnn`",
        )
    tagger.eval().requires_grad_(False)


def fill_randomly(tagger: Tagger, seed: int) -> None:
    """He-normal kernels (He et al. 2015, fan-in) from a seeded generator, zero biases."""
    generator = torch.Generator().manual_seed(seed)
    for _, module in scopes(tagger):
        if isinstance(module, nn.Conv2d | nn.Linear):
            weight = module.weight.data
            scale = math.sqrt(2 / math.prod(weight.shape[1:]))
            module.weight.data = torch.randn(weight.shape, generator=generator).mul_(scale)
            _of(module.bias).data.zero_()
    tagger.eval().requires_grad_(False)


def variables_of(tagger: Tagger) -> dict[str, np.ndarray]:
    """All variables of a network under TensorFlow's names, in TensorFlow's layouts."""
    return {
        f"{scope}/{name}": np.ascontiguousarray(
            tensor.detach().cpu().numpy().transpose(np.argsort(order))
        )
        for scope, module in scopes(tagger)
        for name, (tensor, order) in _tensors(module).items()
    }
