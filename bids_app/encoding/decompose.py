"""Decompositions of training sets and closed-form norms of what they predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import linalg

from bids_app.encoding.folds import Split

# Relative error of interpolated squared norms, below that of products in single precision.
NODE_TOLERANCE = 1e-7
# Rows of a triangular factor multiplied at a time: the zeros on their left are left out.
PANEL = 16


@dataclass(frozen=True)
class Training:
    """Decomposed kernel of one training set.

    Attributes
    ----------
    rows : ndarray of int, shape (n_train,)
        Rows of the kernel.
    eigenvalues : ndarray, shape (rank,)
        Positive eigenvalues.
    projector : ndarray, shape (rank, n_train)
        Transposed eigenvectors, in the plan's precision.
    shrinkage : ndarray, shape (rank, n_alphas)
        1 / (eigenvalue + penalty), in the plan's precision.
    """

    rows: NDArray[np.intp]
    eigenvalues: NDArray[np.float64]
    projector: NDArray[Any]
    shrinkage: NDArray[Any]


@dataclass(frozen=True)
class Panel:
    """Some rows of the triangular factor of a cross kernel, for squared norms of predictions.

    Attributes
    ----------
    shrunken : ndarray, shape (n_nodes, n_rows, n_columns)
        The rows at the node penalties, over the `n_columns` smallest eigenvalues.
    mix : ndarray, shape (n_alphas, n_nodes)
        The squared norm at every penalty as a mix of those at the nodes.
    """

    shrunken: NDArray[Any]
    mix: NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Predictions of one held-out block from one training set.

    Attributes
    ----------
    training : int
        Index of the training set.
    rows : ndarray of int, shape (n_test,)
        Held-out rows of the kernel.
    cross : ndarray, shape (n_test, rank)
        Centered kernel between held-out and training rows, times the eigenvectors.
    panels : tuple of Panel
        Their products add up to the squared norms of predictions. Empty where only the chosen
        penalty is needed.
    """

    training: int
    rows: NDArray[np.intp]
    cross: NDArray[Any]
    panels: tuple[Panel, ...]


def alpha_nodes(
    eigenvalues: NDArray[np.float64],
    column_norms: NDArray[np.float64],
    alphas: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Penalties from which the squared norms of predictions at all others follow.

    The squared norm of a prediction is a sum over pairs of eigenvalues of something times
    1 / ((s + a)(s' + a)): over the penalties these functions span a space of small dimension.

    Parameters
    ----------
    eigenvalues : ndarray, shape (rank,)
        Eigenvalues of the training kernel.
    column_norms : ndarray, shape (rank,)
        Norm of the cross kernel's column for each.
    alphas : ndarray, shape (n_alphas,)
        Penalties.

    Returns
    -------
    nodes : ndarray of int, shape (n_nodes,)
        Chosen penalties.
    mix : ndarray, shape (n_alphas, n_nodes)
        Weights of the nodes.

    Examples
    --------
    >>> eigenvalues = np.linspace(0.1, 5, 30)
    >>> nodes, mix = alpha_nodes(eigenvalues, np.ones(30), np.logspace(-3, 5, 20))
    >>> nodes.size < 20, mix.shape == (20, nodes.size)
    (True, True)
    """
    # The largest eigenvalues one by one: a response may have all its energy in few of them.
    spread = np.linspace(0, eigenvalues.size - 1, 40).round().astype(int)
    pick = np.union1d(spread, np.arange(max(eigenvalues.size - 12, 0), eigenvalues.size))
    profile = column_norms[pick, None] / (eigenvalues[pick, None] + alphas)
    size = np.sqrt((profile**2).sum(axis=0))
    if np.any(size == 0):
        return np.arange(alphas.size), np.eye(alphas.size)
    profile = profile / size
    first, second = np.triu_indices(pick.size)
    pairs = profile[first] * profile[second]
    triangle, order = linalg.qr(pairs, mode="r", pivoting=True)
    triangle = triangle[: alphas.size]
    # Column j of the rest keeps triangle[n:, j] when the first n penalties are the nodes.
    n_nodes = next(
        n
        for n in range(1, alphas.size + 1)
        if n >= triangle.shape[0]
        or np.sqrt((triangle[n:, n:] ** 2).sum(axis=0)).max(initial=0) <= NODE_TOLERANCE
    )
    mix = np.zeros((alphas.size, n_nodes))
    mix[order[:n_nodes], np.arange(n_nodes)] = 1
    mix[order[n_nodes:]] = linalg.solve_triangular(
        triangle[:n_nodes, :n_nodes], triangle[:n_nodes, n_nodes:]
    ).T
    nodes = order[:n_nodes].astype(np.intp)
    return nodes, mix * size[:, None] ** 2 / size[nodes] ** 2


def _decompose(
    kernel: NDArray[np.float64],
    rows: NDArray[np.intp],
    alphas: NDArray[np.float64],
    dtype: DTypeLike,
) -> tuple[Training, NDArray[np.float64]]:
    """Training set in the plan's precision, and its eigenvectors in full precision."""
    values, vectors = linalg.eigh(kernel[np.ix_(rows, rows)], driver="evd")
    keep = values > rows.size * np.finfo(float).eps * max(values[-1], 0)
    if not keep.any():
        keep[-1] = True
    values, vectors = np.maximum(values[keep], 0), vectors[:, keep]
    shrinkage = 1 / (values[:, None] + alphas)
    training = Training(
        rows,
        values,
        np.ascontiguousarray(vectors.T, dtype=dtype),
        np.ascontiguousarray(shrinkage, dtype=dtype),
    )
    return training, vectors


def _evaluation(
    kernel: NDArray[np.float64],
    index: int,
    training: Training,
    vectors: NDArray[np.float64],
    rows: NDArray[np.intp],
    alphas: NDArray[np.float64],
    with_norms: bool,
) -> Evaluation:
    dtype = training.projector.dtype
    cross = kernel[np.ix_(rows, training.rows)] @ vectors
    cross -= cross.mean(axis=0)
    panels = _panels(cross, training.eigenvalues, alphas, dtype) if with_norms else ()
    return Evaluation(index, rows, np.ascontiguousarray(cross, dtype=dtype), panels)


def _panels(
    cross: NDArray[np.float64],
    eigenvalues: NDArray[np.float64],
    alphas: NDArray[np.float64],
    dtype: DTypeLike,
) -> tuple[Panel, ...]:
    """The triangular factor by rows, of the largest eigenvalue first.

    Later rows have smaller eigenvalues alone, which span fewer decades and need fewer nodes.
    """
    factor = linalg.qr(cross[:, ::-1], mode="r")[0][: cross.shape[1], ::-1]
    panels = []
    for start in range(0, factor.shape[0], PANEL):
        left = eigenvalues[: eigenvalues.size - start]
        rows = factor[start : start + PANEL, : left.size]
        if dtype == np.float64:
            nodes, mix = np.arange(alphas.size), np.eye(alphas.size)
        else:
            nodes, mix = alpha_nodes(left, np.sqrt((rows**2).sum(axis=0)), alphas)
        shrunken = rows / (left + alphas[nodes, None, None])
        panels.append(Panel(shrunken.astype(dtype), mix))
    return tuple(panels)


class Decomposer:
    """Decomposes every training set once, however many splits share it."""

    def __init__(
        self, kernel: NDArray[np.float64], alphas: NDArray[np.float64], dtype: DTypeLike
    ) -> None:
        self.kernel, self.alphas, self.dtype = kernel, alphas, dtype
        self.trainings: list[Training] = []
        self.evaluations: list[Evaluation] = []
        self._vectors: list[NDArray[np.float64]] = []
        self._training_of: dict[bytes, int] = {}
        self._evaluation_of: dict[tuple[int, bytes, bool], int] = {}

    def training(self, rows: NDArray[np.intp]) -> int:
        """Index of a training set."""
        key = rows.tobytes()
        if key not in self._training_of:
            training, vectors = _decompose(self.kernel, rows, self.alphas, self.dtype)
            self._training_of[key] = len(self.trainings)
            self.trainings.append(training)
            self._vectors.append(vectors)
        return self._training_of[key]

    def split(self, split: Split, with_norms: bool) -> tuple[int, ...]:
        """Indices of the evaluations of a split's held-out blocks."""
        index = self.training(split.train)
        out = []
        for rows in split.tests:
            key = (index, rows.tobytes(), with_norms)
            if key not in self._evaluation_of:
                self._evaluation_of[key] = len(self.evaluations)
                self.evaluations.append(
                    _evaluation(
                        self.kernel,
                        index,
                        self.trainings[index],
                        self._vectors[index],
                        rows,
                        self.alphas,
                        with_norms,
                    )
                )
            out.append(self._evaluation_of[key])
        return tuple(out)
