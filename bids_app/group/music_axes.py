"""Axes of many resolution matrices, found while the matrices are made, so that none is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

FloatArray = NDArray[np.float64]

# Matrices looked at together.
_BLOCK = 256
# Squared part of matrices of norm one that is left out.
_ROUNDING = 1e-7


@dataclass(frozen=True, eq=False)
class Axes:
    """Orthonormal axes of the matrices of a product, weighted by the responses' spectra.

    Attributes
    ----------
    loadings : (n_matrices, n_axes) float64
        Matrices on the weighted axes.
    matrices : (n_axes, 2 n_left, 2 n_right) float64
        The axes, not weighted.
    """

    loadings: FloatArray
    matrices: FloatArray


class GrowingAxes:
    """Axes of matrices that are added one by one.

    Every matrix counts alike, however small: accuracies are divided by norms of predictions.

    Parameters
    ----------
    left_power, right_power : (n_kept,) arrays
        Mean power of the coefficients on both sides.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> few = rng.standard_normal((3, 4, 6))  # 500 combinations of three matrices
    >>> growing = GrowingAxes(np.ones(2), np.ones(3))
    >>> made = np.tensordot(rng.standard_normal((500, 3)), few, axes=1)
    >>> numbers = [growing.add(one) for one in made]
    >>> axes = growing.axes(numbers)
    >>> axes.loadings.shape, np.allclose(np.tensordot(axes.loadings, axes.matrices, axes=1), made)
    ((500, 3), True)
    """

    def __init__(self, left_power: NDArray[Any], right_power: NDArray[Any]) -> None:
        self._weight = np.sqrt(np.outer(np.tile(left_power, 2), np.tile(right_power, 2)))
        self._axes = np.zeros((0, self._weight.size))
        self._loadings: list[FloatArray] = []
        self._waiting: list[NDArray[Any]] = []
        self._n = 0

    def add(self, matrix: NDArray[Any]) -> int:
        """Add a matrix, (2 n_left, 2 n_right); returns its number."""
        self._waiting.append(matrix)
        self._n += 1
        if len(self._waiting) == _BLOCK:
            self._settle()
        return self._n - 1

    def axes(self, numbers: NDArray[np.intp] | list[int]) -> Axes:
        """Axes of all matrices, whose loadings are in the order of their numbers."""
        self._settle()
        loadings = np.zeros((self._n, len(self._axes)))
        start = 0
        for block in self._loadings:
            loadings[start : start + len(block), : block.shape[1]] = block
            start += len(block)
        sizes = _norms(loadings)
        unit = loadings / sizes
        rotation, _ = _directions(unit.T @ unit)
        if not rotation.size:  # nobody has responses
            return Axes(np.zeros((self._n, 1)), np.zeros((1, *self._weight.shape)))
        axes = rotation.T @ self._axes
        unweighted = np.divide(
            axes, self._weight.ravel(), out=np.zeros_like(axes), where=self._weight.ravel() > 0
        )
        return Axes(
            loadings[numbers] @ rotation, unweighted.reshape(len(axes), *self._weight.shape)
        )

    def _settle(self) -> None:
        """Put what has been added on the axes, and add axes for what they lack."""
        if not self._waiting:
            return
        block = (np.stack(self._waiting) * self._weight).reshape(len(self._waiting), -1)
        self._waiting = []
        sizes = _norms(block)
        block /= sizes
        known = block @ self._axes.T
        block -= known @ self._axes
        vectors, root = _directions(block @ block.T)
        new = (vectors / root).T @ block
        self._loadings.append(np.concatenate([known, block @ new.T], axis=1) * sizes)
        self._axes = np.concatenate([self._axes, new])


def _norms(rows: FloatArray) -> FloatArray:
    """Norms of rows as a column, one where a row is zero."""
    found = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(found > 0, found, 1.0)


def _directions(moments: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvectors that are more than rounding, in columns, and the roots of their values."""
    values, vectors = linalg.eigh(moments)
    keep = values > _ROUNDING
    return vectors[:, keep], np.sqrt(values[keep])
