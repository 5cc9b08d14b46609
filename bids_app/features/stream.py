"""Every layer of VGGish over every patch, a few rows of time at a time.

A layer such as conv1 has 393,216 units per patch, 3 GB for 2,000 patches, yet its z-scores and
inner products need all patches of a unit at once. So all patches are carried together through the
network one pair of time rows after another: each convolution keeps just the rows that its 3 x 3
kernel still needs, what a row contributes to the Gram matrix of its layer is added at once, and
only what enters conv3_1, conv4_1 and fc1_1 is ever held whole: in memory for 20 minutes of music
(490 MB at most), in a temporary file where it is more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import chain
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch.nn import functional

from bids_app.errors import BadDataError
from bids_app.features.gram import GramSum, LayerGram, StimulusScaler
from bids_app.features.layers import resolve_layers
from bids_app.features.network import CONVOLUTIONS, DENSE, Convolution, Dense, VGGish
from bids_app.features.vggish import LAYER_NAMES, check_patches
from bids_app.held import private_folder
from bids_app.loading import map_numbers

Progress = Callable[[str], None]
"""Called about ten times with a few words on what is being computed and how far it is."""


class Sink(Protocol):
    """What receives the units of one layer, in the order (time, mel, channel)."""

    def add(self, values: torch.Tensor, scratch: torch.Tensor) -> None:
        """Take (n_patches, n_units) values without changing them; scratch may be overwritten."""


SinkType = TypeVar("SinkType", bound=Sink)


# Convolutions that run interleaved; what leaves a group, always a pooling, is held whole.
_GROUPS = (CONVOLUTIONS[:2], CONVOLUTIONS[2:4], CONVOLUTIONS[4:])
_CHUNK_ROWS = 2  # of time, even; more take more memory and give the same up to rounding
_UNITS_PER_PRODUCT = 4096
_PATCHES_PER_CONVOLUTION = 256
_HELD_BYTES = 2**29  # of what leaves a group; more waits in a file


def layer_grams(
    model: VGGish,
    patches: Sequence[np.ndarray],
    *,
    layers: Sequence[int | str] | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Iterator[LayerGram]:
    """Patch-rate Gram matrices of the layers of VGGish over all stimuli.

    Units are z-scored over the patches of each stimulus (population standard deviation); where a
    unit is constant it is zero. So the trace of a stimulus' block is its number of patches times
    the number of units that vary in it. Products are float32, their sum float64.

    Parameters
    ----------
    model : VGGish
        From :func:`bids_app.features.vggish.load_vggish`.
    patches : sequence of arrays of shape (n_patches_i, 96, 64)
        Log-mel patches, one array per stimulus.
    layers : sequence of int or str, optional
        Numbers or names of the wanted layers, default: all 23; layers above the highest wanted
        one are not computed.
    device : str
        torch device of the forward pass and the products.
    progress : callable, optional
        Called about ten times with the name of a layer and the share done.

    Yields
    ------
    LayerGram
        In the order of the layers.

    Raises
    ------
    BadDataError
        Patches of another shape, empty or not finite.
    UsageError
        A layer that does not exist.
    """
    scaler = StimulusScaler([len(array) for array in patches])

    def new_sink() -> GramSum:
        return GramSum(scaler.n_rows, scaler, device)

    for layer, total in stream_layers(model, patches, layers, new_sink, device, progress):
        name = LAYER_NAMES[layer - 1]
        yield LayerGram(layer, name, total.result(), total.n_units, total.n_constant)


def stream_layers(
    model: VGGish,
    patches: Sequence[np.ndarray],
    layers: Sequence[int | str] | None,
    new_sink: Callable[[], SinkType],
    device: str = "cpu",
    progress: Progress | None = None,
) -> Iterator[tuple[int, SinkType]]:
    """Feed every chunk of every wanted layer to a sink of its own.

    Yields ``(layer, sink)`` once the layer is complete; parameters and errors as in
    :func:`layer_grams`.
    """
    if not len(patches):
        raise BadDataError(
            "There is no stimulus.",
            where="patches",
            found="none",
            wanted="at least one array",
            remedy="give the patches of each stimulus",
        )
    wanted = set(resolve_layers(layers, LAYER_NAMES))
    inputs = torch.from_numpy(np.concatenate([check_patches(array) for array in patches]))
    inputs = inputs.to(device)
    top = max(wanted)
    groups = [[conv for conv in group if conv.layer <= top] for group in _GROUPS]
    n_steps = sum(-(-conv.height // _CHUNK_ROWS) for group in groups for conv in group)
    stream: _Stream[SinkType] = _Stream(model, len(inputs), device, n_steps, progress)
    with ExitStack() as files:
        stream.open({1} & wanted, new_sink)
        stream.emit(1, inputs)
        yield from stream.close()
        rows = _consume(deque(inputs[..., None].unbind(dim=1)))
        del inputs
        for group in groups:
            if not group:
                return
            members = range(group[0].layer, group[-1].layer + 2 + group[-1].pooled)
            stream.open(set(members) & wanted, new_sink)
            for convolution in group:
                rows = stream.convolve(rows, convolution)
            if top > members[-1]:
                rows = _set_aside(rows, group[-1].height // 2, files)
            else:  # past the highest wanted layer the rows are only run through, not kept
                deque(rows, maxlen=0)
            yield from stream.close()
        if top < DENSE[0].layer:
            return
        values = _side_by_side(rows, CONVOLUTIONS[-1].height // 2)
        for dense in DENSE:
            if dense.layer > top:
                return
            stream.open({dense.layer, dense.layer + 1} & wanted, new_sink)
            values = stream.connect(values, dense)
            yield from stream.close()


class _Stream(Generic[SinkType]):
    """Forward steps for all patches, with the sinks of the layers that are being computed."""

    def __init__(
        self,
        model: VGGish,
        n_patches: int,
        device: str,
        n_steps: int,
        progress: Progress | None,
    ) -> None:
        self._model = model
        self._device = device
        self._n_steps = n_steps
        self._n_done = 0
        self._progress = progress
        self._sinks: dict[int, SinkType] = {}
        self._n_patches = n_patches
        self._scratch = torch.empty(0)

    def open(self, layers: set[int], new_sink: Callable[[], SinkType]) -> None:
        self._sinks = {layer: new_sink() for layer in sorted(layers)}
        self._scratch = torch.empty(self._n_patches * _UNITS_PER_PRODUCT, device=self._device)

    def close(self) -> Iterator[tuple[int, SinkType]]:
        self._scratch = torch.empty(0)  # what is made of a whole layer needs the memory
        while self._sinks:
            layer = min(self._sinks)
            yield layer, self._sinks.pop(layer)

    def emit(self, layer: int, values: torch.Tensor) -> None:
        if layer in self._sinks:
            for units in values.flatten(1).split(_UNITS_PER_PRODUCT, dim=1):
                self._sinks[layer].add(units, self._scratch)

    def convolve(
        self, rows: Iterator[torch.Tensor], convolution: Convolution
    ) -> Iterator[torch.Tensor]:
        """Yield output rows (n_patches, mel, channel), pulling input rows as they are needed."""
        weight, bias = self._model.weights(f"features.{convolution.place}", self._device)
        weight = weight.contiguous(memory_format=torch.channels_last)
        held: dict[int, torch.Tensor] = {}
        for start in range(0, convolution.height, _CHUNK_ROWS):
            stop = min(start + _CHUNK_ROWS, convolution.height)
            strip = _strip(rows, held, start - 1, stop, convolution.height)
            ready = deque(self._step(strip, weight, bias, convolution))
            for number in [number for number in held if number < stop - 1]:
                del held[number]
            del strip  # this generator sleeps below while others need the memory
            yield from _consume(ready)

    def _step(
        self,
        strip: list[torch.Tensor],
        weight: torch.Tensor,
        bias: torch.Tensor,
        convolution: Convolution,
    ) -> list[torch.Tensor]:
        """Rows after convolution, ReLU and pooling, each a tensor of its own."""
        n_patches, n_mel, _ = strip[0].shape
        shape = (n_patches, n_mel, len(bias))
        outputs = [strip[0].new_empty(shape) for _ in strip[1:-1]]
        with exact_float32(self._device):
            # A part of the patches at a time, since stacked rows would double what is held.
            for start in range(0, n_patches, _PATCHES_PER_CONVOLUTION):
                part = slice(start, start + _PATCHES_PER_CONVOLUTION)
                stacked = torch.stack([row[part] for row in strip], dim=1).permute(0, 3, 1, 2)
                images = functional.conv2d(stacked, weight, bias, padding=(0, 1))
                for k, row in enumerate(outputs):
                    row[part] = images[:, :, k].transpose(1, 2)
        for row in outputs:
            self.emit(convolution.layer, row)
        for row in outputs:
            self.emit(convolution.layer + 1, row.relu_())
        if convolution.pooled:
            outputs = [
                torch.maximum(*pair).unflatten(1, (-1, 2)).amax(dim=2)
                for pair in zip(outputs[::2], outputs[1::2], strict=True)
            ]
            for row in outputs:
                self.emit(convolution.layer + 2, row)
        self._report(convolution)
        return outputs

    def _report(self, convolution: Convolution) -> None:
        self._n_done += 1
        tenths, before = (10 * done // self._n_steps for done in (self._n_done, self._n_done - 1))
        if self._progress is not None and tenths > before:
            self._progress(f"{LAYER_NAMES[convolution.layer - 1]}, {10 * tenths} %")

    def connect(self, values: torch.Tensor, dense: Dense) -> torch.Tensor:
        """Dense layer of shape (n_patches, n_units) and its ReLU."""
        weight, bias = self._model.weights(f"embeddings.{dense.place}", self._device)
        with exact_float32(self._device):
            values = functional.linear(values, weight, bias)
            self.emit(dense.layer, values)
            values.relu_()
            self.emit(dense.layer + 1, values)
        return values


def exact_float32(device: str) -> AbstractContextManager[None]:
    """Full float32 products in convolutions: on CUDA, cuDNN would take 10-bit mantissas."""
    if not device.startswith("cuda"):
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _consume(rows: deque[torch.Tensor]) -> Iterator[torch.Tensor]:
    while rows:
        yield rows.popleft()


def _set_aside(
    rows: Iterator[torch.Tensor], n_rows: int, files: ExitStack
) -> Iterator[torch.Tensor]:
    """Compute all rows now and give them later: from memory, or from a file where they are many."""
    first = next(rows)
    rows = chain((first,), rows)
    if first.is_cuda or first.nbytes * n_rows <= _HELD_BYTES:
        return _consume(deque(rows))
    path = files.enter_context(private_folder("layers")) / "rows.f32"
    with path.open("wb") as file:
        for row in rows:
            row.numpy().tofile(file)
    shape = (n_rows, *first.shape)
    # Mapped anew for every row: pages of rows that were read would stay in memory.
    read = (np.array(map_numbers(path, np.float32, shape)[k]) for k in range(n_rows))
    return map(torch.from_numpy, read)


def _side_by_side(rows: Iterator[torch.Tensor], n_rows: int) -> torch.Tensor:
    """Units of all rows (n_patches, n_units); each row is let go once it is copied."""
    first = next(rows)
    values = first.new_empty((len(first), n_rows, *first.shape[1:]))
    for k, row in enumerate(chain((first,), rows)):
        values[:, k] = row
    return values.flatten(1)


def _strip(
    rows: Iterator[torch.Tensor],
    held: dict[int, torch.Tensor],
    first: int,
    last: int,
    height: int,
) -> list[torch.Tensor]:
    """Rows first to last, both included, each (n_patches, mel, channel); zeros outside."""
    for number in range(max(held, default=-1) + 1, min(last, height - 1) + 1):
        held[number] = next(rows)
    blank = torch.zeros_like(next(iter(held.values()))[:1]).expand_as(next(iter(held.values())))
    return [held.get(number, blank) for number in range(first, last + 1)]
