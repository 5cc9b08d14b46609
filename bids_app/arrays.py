"""Where products of many vertices are done: in numpy, which is the reference, or on a GPU.

Numeric code is written once and takes the one or the other as an argument. What `put` returns
knows the operators that both have in common: ``@``, ``*``, ``-``, ``.T``, ``.mean(axis)``,
``.reshape`` and indices that were put. Products are of single precision where the arrays are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# Of the memory of a GPU that is free: others work on it too.
_SHARE = 0.25


class Arrays(Protocol):
    """A place of arrays."""

    def put(self, values: NDArray[Any]) -> Any:
        """The array there."""

    def back(self, values: Any) -> NDArray[np.float64]:
        """An array from there, of double precision."""

    def dot(self, a: Any, b: Any, axis: int) -> Any:
        """Sums of ``a * b`` over an axis of arrays of two or three dimensions."""

    def join(self, parts: Sequence[Any], axis: int) -> Any:
        """Arrays there as one."""

    def n_together(self, n_bytes: int, usual: int) -> int:
        """Vertices worked on at once where each takes so many bytes; `usual` in numpy."""


class NumpyArrays:
    """The processor.

    Examples
    --------
    >>> NUMPY.dot(np.ones((2, 3)), np.full((2, 3), 5.0), axis=0).tolist()
    [10.0, 10.0, 10.0]
    """

    def put(self, values: NDArray[Any]) -> NDArray[Any]:
        """The array itself."""
        return values

    def back(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The array in double precision."""
        return values.astype(np.float64, copy=False)

    def dot(self, a: NDArray[Any], b: NDArray[Any], axis: int) -> NDArray[Any]:
        """Sums of products, in the precision of the arrays."""
        letters = "nij"[-a.ndim :]
        left = letters.replace(letters[axis], "")
        return np.asarray(np.einsum(f"{letters},{letters}->{left}", a, b))

    def join(self, parts: Sequence[NDArray[Any]], axis: int) -> NDArray[Any]:
        """As `numpy.concatenate`."""
        return np.concatenate(parts, axis=axis)

    def n_together(self, n_bytes: int, usual: int) -> int:
        """The usual number: results on a processor do not depend on its memory."""
        return usual


class TorchArrays:
    """A device of torch.

    Parameters
    ----------
    device : str
        ``cuda``; ``cpu`` is for tests.
    """

    def __init__(self, device: str) -> None:
        import torch

        self._torch, self._device = torch, torch.device(device)
        # Ten bits of mantissa are not enough for what is compared here.
        torch.backends.cuda.matmul.allow_tf32 = False

    def put(self, values: NDArray[Any]) -> Any:
        """A tensor on the device."""
        return self._torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def back(self, values: Any) -> NDArray[np.float64]:
        """An array from the device."""
        return np.asarray(values.double().cpu().numpy())

    def dot(self, a: Any, b: Any, axis: int) -> Any:
        """Sums in double precision of products in the precision of the arrays."""
        return (a * b).sum(dim=axis, dtype=self._torch.float64)

    def join(self, parts: Sequence[Any], axis: int) -> Any:
        """As `torch.cat`."""
        return self._torch.cat(list(parts), dim=axis)

    def n_together(self, n_bytes: int, usual: int) -> int:
        """What a share of the free memory holds; the usual number on a processor."""
        if self._device.type != "cuda":
            return usual
        free, _ = self._torch.cuda.mem_get_info(self._device)
        return max(usual, int(_SHARE * free) // n_bytes)


NUMPY = NumpyArrays()


def arrays_on(device: str) -> Arrays:
    """The place that a device is called.

    Parameters
    ----------
    device : {"cpu", "cuda"}
        ``cuda`` must be there.

    Examples
    --------
    >>> arrays_on("cpu") is NUMPY
    True
    """
    return NUMPY if device == "cpu" else TorchArrays(device)
