"""Inner products between patches, summed over units that arrive in chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.linalg.blas import dsyrk, ssyrk

from bids_app.errors import FINITE, BadDataError, check_shape

# A float32 unit that varies by less than this share of its mean varies by rounding only.
_CONSTANT_SHARE = 1e-6
_ROWS = 1024  # of a block
_UNITS = 1024  # of explicit features, at once

Transform = Callable[[torch.Tensor, torch.Tensor], int]
"""Fill the second tensor (n_rows, n_units) from the first (n_patches, n_units); return the number
of units that are dead."""


@dataclass(frozen=True)
class LayerGram:
    """Inner products between all patches in one layer.

    Attributes
    ----------
    layer : int
        1 to 23.
    name : str
        As in ``LAYER_NAMES``.
    gram : array of shape (n_patches, n_patches)
        float64, over the z-scored units; not divided by their number.
    n_units : int
        Units of the layer.
    n_constant : int
        Units that are constant in every stimulus, and so contribute nothing.
    told : mapping
        By stimulus, fields for sidecars on how its values were computed.
    """

    layer: int
    name: str
    gram: np.ndarray
    n_units: int
    n_constant: int
    told: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class StimulusScaler:
    """Z-score units within each stimulus (population standard deviation).

    Parameters
    ----------
    lengths : sequence of int
        Patches of each stimulus, in order.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        borders = np.cumsum([0, *lengths])
        self.segments = [slice(a, b) for a, b in pairwise(borders)]
        self.n_rows = int(borders[-1])

    def __call__(self, values: torch.Tensor, out: torch.Tensor) -> int:
        """Write z-scores to ``out``; a unit constant in a stimulus becomes zero there.

        Returns the number of units that are constant in every stimulus.
        """
        alive = torch.zeros(values.shape[1], dtype=torch.bool, device=values.device)
        for segment in self.segments:
            mean = values[segment].mean(dim=0)
            centered = torch.sub(values[segment], mean, out=out[segment])
            spread = torch.linalg.vector_norm(centered, dim=0) / np.sqrt(len(centered))
            varies = spread > _CONSTANT_SHARE * mean.abs()
            # Division by infinity also clears the rounding left in constant units.
            centered /= torch.where(varies, spread, torch.inf)
            alive |= varies
        return int((~alive).sum())


class GramSum:
    """Gram matrix of transformed units, float64 sum of products in the units' own precision.

    Only blocks of rows at and below the diagonal are held: half of the matrix, and products no
    larger than a block, so that memory allows for an hour of music in several layers at once.

    Parameters
    ----------
    n_rows : int
        Rows and columns of the matrix.
    transform : callable
        What is done to a chunk before its inner products; see :data:`Transform`.
    device : str
        Where chunks live.
    dtype : torch.dtype
        Of the chunks.
    """

    def __init__(
        self, n_rows: int, transform: Transform, device: str, dtype: torch.dtype = torch.float32
    ) -> None:
        self.n_units = 0
        self.n_constant = 0
        self._n_rows = n_rows
        self._transform = transform
        self._on_cpu = device == "cpu"
        self._syrk = ssyrk if dtype == torch.float32 else dsyrk
        self._blocks = [slice(a, min(a + _ROWS, n_rows)) for a in range(0, n_rows, _ROWS)]
        self._total: dict[tuple[int, int], np.ndarray] | torch.Tensor
        if self._on_cpu:
            sizes = [block.stop - block.start for block in self._blocks]
            self._total = {
                (i, j): np.zeros((sizes[i], sizes[j]), order="F")
                for i in range(len(sizes))
                for j in range(i + 1)
            }
        else:
            self._total = torch.zeros((n_rows, n_rows), dtype=torch.float64, device=device)

    def add(self, values: torch.Tensor, scratch: torch.Tensor) -> None:
        """Add units, without changing them.

        Parameters
        ----------
        values : tensor of shape (n_patches, n_units)
            As many rows as the transform takes.
        scratch : tensor of the same type
            Overwritten where it is large enough.
        """
        shape = (self._n_rows, values.shape[1])
        if scratch.numel() < shape[0] * shape[1]:
            scratch = values.new_empty(shape)
        out = scratch.flatten()[: shape[0] * shape[1]].view(shape)
        self.n_constant += self._transform(values, out)
        self.n_units += values.shape[1]
        if isinstance(self._total, torch.Tensor):
            self._total += out @ out.T
            return
        units = out.numpy()
        for (i, j), total in self._total.items():
            left = units[self._blocks[i]]
            if i == j:
                # Row-major (rows, units) is what BLAS calls (units, rows): no copy. Lower half.
                total += self._syrk(1.0, left.T, trans=1, lower=1)
            else:
                total += left @ units[self._blocks[j]].T

    def result(self) -> np.ndarray:
        """Symmetric float64 matrix of shape (n_rows, n_rows); nothing can be added after it."""
        if isinstance(self._total, torch.Tensor):
            return self._total.cpu().numpy()
        whole = np.empty((self._n_rows, self._n_rows))
        while self._total:
            (i, j), total = self._total.popitem()
            if i == j:
                total += np.tril(total, -1).T
            whole[self._blocks[i], self._blocks[j]] = total
            whole[self._blocks[j], self._blocks[i]] = total.T
        return whole


def values_gram(values: Sequence[np.ndarray]) -> tuple[np.ndarray, int]:
    """Gram matrix of explicit features, scaled as the layers of the network are.

    Parameters
    ----------
    values : sequence of arrays of shape (n_patches_i, n_units)
        One per stimulus.

    Returns
    -------
    gram : array of shape (n_patches, n_patches)
        float64 inner products of units z-scored within each stimulus; constant units are zero.
    n_constant : int
        Units that are constant in every stimulus.

    Raises
    ------
    BadDataError
        Arrays without a common number of units, empty, or not finite.

    Examples
    --------
    >>> values = [np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([[2.0, 5.0], [0.0, 5.0]])]
    >>> gram, n_constant = values_gram(values)  # the second unit is constant
    >>> gram[0].tolist(), n_constant
    ([1.0, -1.0, -1.0, 1.0], 1)
    """
    arrays = [np.asarray(array, dtype=np.float64) for array in values]
    check_shape("values", arrays, "n_stimuli")
    for number, array in enumerate(arrays):
        check_shape(f"values[{number}]", array, "n_patches", "n_units")
    shapes = [array.shape for array in arrays]
    if len({shape[1] for shape in shapes}) != 1:
        raise BadDataError(
            "Stimuli differ in their number of units.",
            where="values",
            found=shapes,
            wanted="one number of units",
            remedy="compute the features of all stimuli with the same settings",
        )
    for number, array in enumerate(arrays):
        if not np.isfinite(array).all():
            raise BadDataError(
                "values are not finite.",
                where=f"values[{number}]",
                found=f"{np.count_nonzero(~np.isfinite(array))} of {array.size}",
                wanted="finite numbers",
                remedy=FINITE,
            )
    scaler = StimulusScaler([len(array) for array in arrays])
    total = GramSum(scaler.n_rows, scaler, "cpu", torch.float64)
    scratch = torch.empty(0, dtype=torch.float64)
    for start in range(0, shapes[0][1], _UNITS):
        chunk = np.concatenate([array[:, start : start + _UNITS] for array in arrays])
        if scratch.numel() < chunk.size:
            scratch = torch.empty(chunk.size, dtype=torch.float64)
        total.add(torch.from_numpy(chunk), scratch)
    return total.result(), total.n_constant
