"""Layers of a network that yields them frame by frame, at the steps of its space.

A network is given a piece and yields frames: a time, and an array for every layer. A frame has all
layers, while the z-scores of a unit need all of its times. Frames are therefore averaged over the
steps of the clock, and the means are written to one temporary file per layer. Later a layer is read
a few units at a time: memory does not grow with the width of a layer, and the disk holds four bytes
for every step and unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from bids_app.errors import BadDataError
from bids_app.features.audio import load_audio
from bids_app.features.components import LayerComponents, centering, components_from_gram
from bids_app.features.gram import GramSum, LayerGram, StimulusScaler, Transform
from bids_app.features.timing import step_times
from bids_app.held import private_folder
from bids_app.loading import map_numbers

if TYPE_CHECKING:
    from bids_app.features.networks import AudioNetwork

Frames = Iterable[tuple[float, Mapping[str, NDArray[np.float32]]]]
Rows = Iterator[tuple[float, list[NDArray[np.floating]]]]
"""Times in order, each with the units of every layer."""

_VALUES_PER_CHUNK = 1 << 23  # 32 MB of float32
_UNITS_PER_PRODUCT = 4096


class Heard:
    """Activations of a network for some stimuli, in temporary files that are deleted with it.

    Attributes
    ----------
    names : tuple of str
        Layers, in order.
    times : list of arrays of shape (n_times_i,)
        Seconds in the audio, one array per stimulus.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.times: list[NDArray[np.float64]] = []
        self._open = ExitStack()
        self._folder = self._open.enter_context(private_folder("layers"))
        self._n_units: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, label: str, frames: Frames, duration: float, step: float) -> None:
        """Write the layers of one stimulus; parameters as in :func:`step_means`.

        Raises
        ------
        BadDataError
            No frame, times that do not increase, a layer that is not there, or one whose number
            of units changes.
        """
        times = []
        with ExitStack() as stack:
            files = [stack.enter_context(self._file(name).open("ab")) for name in self.names]
            for time, layers in step_means(self._rows(label, frames), duration, step):
                for values, file in zip(layers, files, strict=True):
                    values.astype(np.float32).tofile(file)
                times.append(time)
        if not times:
            raise BadDataError(
                "A network returned no frame.",
                where=label,
                found="no frame",
                wanted="a frame or more",
                remedy="let the network give its layers for every piece of sound",
            )
        self.times.append(np.array(times))

    def _rows(self, label: str, frames: Frames) -> Rows:
        last = -np.inf
        for time, layers in frames:
            lacking = [name for name in self.names if name not in layers]
            if lacking or not time > last:
                raise BadDataError(
                    "The frames of a network are not in order of time.",
                    where=label,
                    found=f"a frame at {time:g} s after one at {last:g} s"
                    + (f", without {', '.join(lacking)}" if lacking else ""),
                    wanted=f"times that increase, each with {', '.join(self.names)}",
                    remedy="let the network give whole frames, the earliest first",
                )
            last = float(time)
            rows = [np.ravel(layers[name]) for name in self.names]
            for name, values in zip(self.names, rows, strict=True):
                wanted = self._n_units.setdefault(name, values.size)
                if values.size != wanted:
                    raise BadDataError(
                        "A layer changes its number of units.",
                        where=f"{label}, layer {name}, {last:g} s",
                        found=values.size,
                        wanted=wanted,
                        remedy="let the network give the same units for every frame",
                    )
            yield last, rows

    def _file(self, name: str) -> Path:
        return self._folder / f"{self.names.index(name)}.f32"

    def units(self, name: str) -> NDArray[np.float32]:
        """A layer over all stimuli, (n_times, n_units), memory-mapped."""
        shape = (sum(map(len, self.times)), self._n_units[name])
        return map_numbers(self._file(name), np.float32, shape)

    def products(self, name: str, transform: Transform, device: str) -> GramSum:
        """Inner products of a layer over all of its units, a few at a time."""
        units = self.units(name)
        total = GramSum(len(units), transform, device)
        width = max(1, min(_UNITS_PER_PRODUCT, _VALUES_PER_CHUNK // len(units)))
        scratch = torch.empty(len(units) * min(width, units.shape[1]), device=device)
        for start in range(0, units.shape[1], width):
            chunk = np.array(units[:, start : start + width], order="C")
            total.add(torch.from_numpy(chunk).to(device), scratch)
        return total


def listen(
    network: AudioNetwork,
    stimuli: Sequence[tuple[str, str | Path]],
    names: Sequence[str],
    step: float,
    progress: Callable[[str], None] | None = None,
) -> Heard:
    """Let a network hear every stimulus once.

    Parameters
    ----------
    network : AudioNetwork
    stimuli : sequence of (str, str or Path)
        Label and audio file.
    names : sequence of str
        Layers to keep, in order.
    step : float
        Seconds of the clock.
    progress : callable, optional
        Called with a few words on every stimulus.

    Raises
    ------
    MissingInputError, BadDataError
        An audio file is missing or unusable, or the output of the network violates the contract.
    """
    heard = Heard(names)
    try:
        for label, path in stimuli:
            if progress is not None:
                progress(f"network: {label}")
            audio = load_audio(path, network.sample_rate).astype(np.float32)
            try:
                heard.add(label, network(audio), audio.size / network.sample_rate, step)
            except BadDataError as error:
                raise _of_stimulus(error, label, path) from error
    except BaseException:
        heard.__exit__()
        raise
    return heard


def _of_stimulus(error: BadDataError, label: str, path: str | Path) -> BadDataError:
    """The same error, which names the stimulus."""
    where = (
        f"{label} ({path})" if error.where in (None, label, "audio") else f"{error.where}, {path}"
    )
    return BadDataError(
        error.what, where=where, found=error.found, wanted=error.wanted, remedy=error.remedy
    )


def step_means(rows: Rows, duration: float, step: float) -> Rows:
    """Average a series over the steps of a clock, with two rows in memory.

    The series is linear between its rows and held before the first and after the last; its
    integral over each step is exact, as in :func:`bids_app.features.timing.window_matrix`.

    Parameters
    ----------
    rows : iterator of (time, list of vectors)
    duration : float
        Seconds of the sound; a last step that is not whole is left out.
    step : float
        Seconds of a step. A series with a step as long, or longer, is not averaged.

    Yields
    ------
    time : float
        Middle of the step.
    means : list of vectors
        float64.

    Examples
    --------
    >>> rows = ((float(t), [np.array([2.0 * t])]) for t in range(5))  # a line, once a second
    >>> [(time, means[0].tolist()) for time, means in step_means(rows, duration=4.0, step=2.0)]
    [(1.0, [2.0]), (3.0, [6.0])]
    """
    first = next(rows, None)
    if first is None:
        return
    second = next(rows, None)
    if second is None or second[0] - first[0] >= step * (1 - 1e-6):
        yield from chain([first], [] if second is None else [second], rows)
        return
    yield from _averaged(chain([first, second], rows), step_times(duration, step), step)


def _averaged(rows: Rows, middles: NDArray[np.float64], step: float) -> Rows:
    total: list[Any] = []
    number, end = 0, len(middles) * step
    for (start, before), (stop, after) in pairwise(_held(rows, end)):
        while number < len(middles) and stop > (number + 1e-9) * step:
            begin, finish = max(start, number * step), min(stop, (number + 1) * step)
            late = ((begin + finish) / 2 - start) / (stop - start)
            share = max(finish - begin, 0.0) / step
            parts: list[Any] = [
                share * ((1 - late) * np.asarray(a, np.float64) + late * b)
                for a, b in zip(before, after, strict=True)
            ]
            total = [t + p for t, p in zip(total, parts, strict=True)] if total else parts
            if stop < (number + 1 - 1e-9) * step:
                break
            yield float(middles[number]), total
            total, number = [], number + 1


def _held(rows: Rows, end: float) -> Rows:
    """The rows, with the first one held from 0 on and the last one until the end."""
    time, values = next(rows)
    if time > 0:
        yield 0.0, values
    yield time, values
    for time, values in rows:
        yield time, values
    if time < end:
        yield end, values


def streamed_grams(
    heard: Heard, numbers: Mapping[str, int], device: str = "cpu"
) -> Iterator[LayerGram]:
    """Gram matrices of the layers, as :func:`bids_app.features.stream.layer_grams` defines them.

    Parameters
    ----------
    heard : Heard
        Its files end with the last layer.
    numbers : mapping from name to int
        Of the layers in their network.
    device : str
        torch device of the products.
    """
    scaler = StimulusScaler([len(times) for times in heard.times])
    with heard:
        for name in heard.names:
            total = heard.products(name, scaler, device)
            gram = total.result()
            yield LayerGram(numbers[name], name, gram, total.n_units, total.n_constant)


def streamed_components(
    heard: Heard, numbers: Mapping[str, int], rectify: bool, **options: Any
) -> Iterator[LayerComponents]:
    """Scores of the principal components, as :func:`bids_app.features.components.layer_components`.

    Parameters
    ----------
    heard, numbers
        As for :func:`streamed_grams`.
    rectify : bool
        Set negative values to zero before.
    **options
        As of :func:`bids_app.features.components.components_from_gram`.
    """
    ends = np.cumsum([len(times) for times in heard.times])
    for name in heard.names:
        total = heard.products(name, centering(rectify), "cpu")
        scores, explained = components_from_gram(total.result(), **options)
        parts = tuple(np.split(scores, ends[:-1]))
        yield LayerComponents(numbers[name], name, parts, explained)
