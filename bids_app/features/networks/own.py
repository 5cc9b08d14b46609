"""Networks of the user's own: imported by name, and checked against the contract at every frame."""

from __future__ import annotations

import math
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError, MusencError, UsageError
from bids_app.features.networks.contract import AudioNetwork
from bids_app.features.timing import LONGEST_STEP

HIGHEST_RATE = 768_000
LONGEST_EDGE = 15.0
"""Seconds before the first frame: half of the longest window that a published network has."""
_SLACK = 1.0

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_REMEDY = "see the contract in docs/networks.md, and try `musenc features --check`"


def load_own(argument: str) -> CheckedNetwork:
    """The network that a function of an installed package returns.

    Parameters
    ----------
    argument : str
        ``PACKAGE.MODULE:FUNCTION``. The module is imported by its name from the environment
        (installed, or on PYTHONPATH), never from the current folder or from a dataset; the
        function is called without arguments.

    Returns
    -------
    CheckedNetwork

    Raises
    ------
    UsageError
        It is not such a name, there is no such module or function, or one of them fails.
    BadDataError
        What the function returns does not say what the contract asks for.
    """
    spelled = f"python:{argument}"
    if not _NAME.fullmatch(argument):
        raise UsageError(
            "This does not name a function that returns a network.",
            where="--features",
            found=spelled,
            wanted="python:PACKAGE.MODULE:FUNCTION, names and not paths",
            remedy="put the file into a package, install it (`pip install FOLDER`) or put its "
            "folder on PYTHONPATH, and give its name",
        )
    module, _, function = argument.partition(":")
    try:
        with _environment_only():
            found: Any = import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
        network = found()
    except MusencError:
        raise
    # The user's code fails as it likes.
    except (Exception, SystemExit) as error:
        raise UsageError(
            "The network cannot be loaded.",
            where=spelled,
            found=_told(error),
            wanted="a function without arguments, in a module that can be imported, that returns "
            "the network",
            remedy="try it in Python with the same environment; a module is found where it is "
            "installed or on PYTHONPATH, not in the current folder",
        ) from error
    return CheckedNetwork(network, spelled)


@contextmanager
def _environment_only() -> Iterator[None]:
    """Without the current folder among those that modules are looked for in.

    It is there under ``python -m``, and a dataset that somebody else made may be the current one.
    """
    before = sys.path[:]
    here = os.path.realpath(os.curdir)
    given = [os.path.realpath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if here not in given:
        sys.path[:] = [folder for folder in before if os.path.realpath(folder) != here]
    try:
        yield
    finally:
        added = [folder for folder in sys.path if folder not in before]
        sys.path[:] = [*before, *added]


def _told(error: BaseException) -> str:
    """Kind, words and place of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


class CheckedNetwork:
    """A network whose every frame is held to the contract before it is passed on.

    Parameters
    ----------
    network : AudioNetwork
        What is checked.
    where : str
        Name in errors, and the beginning of the identity.

    Attributes
    ----------
    sample_rate : int
    layers : tuple of str
    identity : str
    untrained : bool
        Whether the network says so of itself; False where it says nothing.
    where : str

    Raises
    ------
    BadDataError
        It does not have what the contract asks for; says what.
    """

    def __init__(self, network: AudioNetwork, where: str) -> None:
        self.where = where
        self._network = network
        rate = self._attribute("sample_rate", "a whole number of Hz")
        if isinstance(rate, bool) or not isinstance(rate, int | np.integer):
            raise self._wrong("sample_rate is no whole number", repr(rate), "for example 16000")
        if not 0 < rate <= HIGHEST_RATE:
            raise self._wrong("sample_rate is out of range", f"{rate} Hz", f"1 to {HIGHEST_RATE}")
        self.sample_rate = int(rate)
        layers = self._attribute("layers", "names in order of depth")
        if isinstance(layers, str) or not _is_listing(layers):
            raise self._wrong("layers is no sequence of names", repr(layers), "names in order")
        self.layers = tuple(layers)
        blank = [name for name in self.layers if not isinstance(name, str) or not name.strip()]
        if blank or not self.layers:
            raise self._wrong("layers lacks names", repr(self.layers), "at least one name")
        if folders := [name for name in self.layers if name in (".", "..")]:
            found = f"a layer called {', '.join(folders)}"
            raise self._wrong("a layer has the name of a folder", found, "names for files")
        repeated = sorted({name for name in self.layers if self.layers.count(name) > 1})
        if repeated:
            raise self._wrong("layers repeats names", ", ".join(repeated), "names of their own")
        identity = self._attribute("identity", "text that changes whenever the numbers could")
        if not isinstance(identity, str) or not identity.strip():
            raise self._wrong("identity is empty or no text", repr(identity), "for example a sum")
        self.identity = f"{where} {identity}"
        self.untrained = bool(getattr(network, "untrained", False))
        if not callable(network):
            raise self._wrong("it cannot be called", type(network).__name__, "network(audio)")

    def to(self, device: str) -> None:
        """Tell the network its torch device, if it has a method ``to``.

        Raises
        ------
        BadDataError
            The network cannot be there.
        """
        move = getattr(self._network, "to", None)
        if not callable(move):
            return
        try:
            move(device)
        except (Exception, SystemExit) as error:  # the user's code fails as it likes
            raise self._wrong(f"it cannot be on {device}", _told(error)) from error

    def __call__(
        self, audio: NDArray[np.float32]
    ) -> Iterator[tuple[float, Mapping[str, NDArray[np.float32]]]]:
        """Yield frames as the network does, in float32.

        Raises
        ------
        BadDataError
            A frame breaks the contract, or the network fails; says at which time and layer.
        """
        duration = len(audio) / self.sample_rate
        first, last, longest = math.nan, -math.inf, 0.0
        shapes: dict[str, tuple[int, ...]] = {}
        for n, frame in enumerate(self._frames(audio)):
            time, found = self._pair(frame, n)
            if not -1e-6 <= time <= duration + 1e-6:
                raise self._wrong(
                    f"frame {n} lies outside the sound", f"{time:g} s", f"0 to {duration:g} s"
                )
            if n == 0:
                first = time
            elif time <= last:
                raise self._wrong(
                    f"times do not increase at frame {n}", f"{time:g} s after {last:g} s"
                )
            else:
                longest = max(longest, time - last)
            last = time
            yield time, self._arrays(time, found, shapes)
        self._check_cover(duration, first, last, longest)

    def _frames(self, audio: NDArray[np.float32]) -> Iterator[object]:
        """What the network yields; what it raises is told with its place."""
        last = "before the first frame"
        try:
            for frame in self._network(audio):
                yield frame
                last = f"after the frame {frame[0]!r}"
        except MusencError:
            raise
        # The user's code fails as it likes.
        except (Exception, SystemExit) as error:
            raise self._wrong(f"it fails {last}", _told(error)) from error

    def _pair(self, frame: object, n: int) -> tuple[float, Mapping[Any, Any]]:
        wanted = "a time in seconds, and a mapping from the names of the layers to arrays"
        if not isinstance(frame, tuple | list) or len(frame) != 2:
            raise self._wrong(f"frame {n} is no pair", type(frame).__name__, wanted)
        time, found = frame
        if not isinstance(found, Mapping):
            raise self._wrong(f"frame {n} has no mapping of layers", type(found).__name__, wanted)
        try:
            seconds = float(time)
        except (TypeError, ValueError):
            seconds = math.nan
        if not math.isfinite(seconds):
            raise self._wrong(f"the time of frame {n} is no number", repr(time), wanted)
        return seconds, found

    def _arrays(
        self, time: float, found: Mapping[Any, Any], shapes: dict[str, tuple[int, ...]]
    ) -> dict[str, NDArray[np.float32]]:
        missing = [name for name in self.layers if name not in found]
        unknown = [str(name) for name in found if name not in self.layers]
        if missing or unknown:
            parts = [f"missing: {', '.join(missing)}"] * bool(missing)
            parts += [f"not in layers: {', '.join(unknown)}"] * bool(unknown)
            raise self._wrong(f"layers differ at {time:g} s", "; ".join(parts))
        arrays = {}
        for name in self.layers:
            where = f"layer {name} at {time:g} s"
            array = _array(found[name])
            if array is None:
                raise self._wrong(f"{where} is no array of numbers", type(found[name]).__name__)
            if array.size == 0:
                raise self._wrong(f"{where} is empty", f"shape {array.shape}")
            if array.shape != shapes.setdefault(name, array.shape):
                raise self._wrong(
                    f"{where} has another shape than before",
                    str(array.shape),
                    str(shapes[name]),
                )
            n_bad = int(np.count_nonzero(~np.isfinite(array)))
            if n_bad:
                raise self._wrong(f"{where} is not finite", f"{n_bad} of {array.size} numbers")
            arrays[name] = array
        return arrays

    def _check_cover(self, duration: float, first: float, last: float, longest: float) -> None:
        if math.isnan(first):
            raise self._wrong("it yields no frame", f"{duration:g} s of sound", "frames over time")
        if longest > LONGEST_STEP:
            raise self._wrong(
                "frames are too far apart",
                f"{longest:g} s",
                f"at most {LONGEST_STEP:g} s",
                "let windows overlap",
            )
        if first > LONGEST_EDGE:
            raise self._wrong(
                "frames do not cover the beginning",
                f"the first at {first:g} s",
                f"at most {LONGEST_EDGE:g} s",
            )
        # As much may be missing at the end as at the beginning, and what does not fill a step.
        if duration - last > max(_SLACK, first + longest):
            raise self._wrong(
                "frames do not cover the end",
                f"the last at {last:g} of {duration:g} s",
                f"at {duration - max(_SLACK, first + longest):g} s or later",
            )

    def _attribute(self, name: str, wanted: str) -> Any:
        try:
            return getattr(self._network, name)
        except AttributeError as error:
            raise self._wrong(f"it has no {name}", type(self._network).__name__, wanted) from error

    def _wrong(
        self, what: str, found: str, wanted: str | None = None, remedy: str = _REMEDY
    ) -> BadDataError:
        return BadDataError(
            "A network breaks the contract.",
            where=self.where,
            found=f"{what}: {found}",
            wanted=wanted,
            remedy=remedy,
        )


def _is_listing(value: object) -> bool:
    return hasattr(value, "__iter__") and hasattr(value, "__len__") and not isinstance(value, set)


def _array(value: object) -> NDArray[np.float32] | None:
    """Float32 array of real numbers, None where it is none."""
    # Tensors, which may lie on another device or want gradients.
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    # Numbers beyond float32 become infinite, and are told as such.
    with np.errstate(over="ignore"):
        return array.astype(np.float32) if array.dtype.kind in "fiub" else None
