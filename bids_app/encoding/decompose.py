"""Decompositions of training sets and closed-form norms of what they predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import linalg

from bids_app.encoding.folds import Split

# Eigenvalues closer than this share of the larger one count as equal in norms of predictions:
# their difference would be a divisor. What that changes is below the square of the share.
_EQUAL = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-6}


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
    excess : ndarray, shape (rank, n_alphas)
        What `shrinkage` is above that of the largest eigenvalue, without cancellation.
    """

    rows: NDArray[np.intp]
    eigenvalues: NDArray[np.float64]
    projector: NDArray[Any]
    shrinkage: NDArray[Any]
    excess: NDArray[Any]


@dataclass(frozen=True)
class Pairs:
    """Products of a held-out block's cross kernel, for norms of predictions at every penalty.

    The squared norm of a prediction is a sum over pairs of directions i, j of their product times
    h_i h_j, with h = 1 / (s + penalty). As h_i h_j = (h_i - h_j) / (s_j - s_i), a single matrix
    over the differences of eigenvalues s serves all penalties.

    Attributes
    ----------
    apart : ndarray, shape (rank, rank)
        Products of columns of the cross kernel over half the difference of their eigenvalues; zero
        where these are equal.
    equal : ndarray, shape (rank, 1) or (rank, rank)
        Products where eigenvalues are equal: the diagonal alone if all of them differ.
    """

    apart: NDArray[Any]
    equal: NDArray[Any]


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
    pairs : Pairs, optional
        For squared norms of predictions; none where only the chosen penalty is needed.
    """

    training: int
    rows: NDArray[np.intp]
    cross: NDArray[Any]
    pairs: Pairs | None


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
        np.ascontiguousarray(
            (values[-1] - values[:, None]) * shrinkage * shrinkage[-1], dtype=dtype
        ),
    )
    return training, vectors


def _evaluation(
    kernel: NDArray[np.float64],
    index: int,
    training: Training,
    vectors: NDArray[np.float64],
    rows: NDArray[np.intp],
    with_norms: bool,
) -> Evaluation:
    dtype = training.projector.dtype
    cross = kernel[np.ix_(rows, training.rows)] @ vectors
    cross -= cross.mean(axis=0)
    pairs = _pairs(cross, training.eigenvalues, dtype) if with_norms else None
    return Evaluation(index, rows, np.ascontiguousarray(cross, dtype=dtype), pairs)


def _pairs(
    cross: NDArray[np.float64], eigenvalues: NDArray[np.float64], dtype: np.dtype[Any]
) -> Pairs:
    products = cross.T @ cross
    difference = eigenvalues - eigenvalues[:, None]
    equal = np.abs(difference) <= _EQUAL[dtype] * np.maximum(eigenvalues, eigenvalues[:, None])
    apart = 2 * np.divide(products, difference, out=np.zeros_like(products), where=~equal)
    alone = equal.sum() == eigenvalues.size
    together = products.diagonal()[:, None] if alone else products * equal
    return Pairs(apart.astype(dtype), together.astype(dtype))


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
                        with_norms,
                    )
                )
            out.append(self._evaluation_of[key])
        return tuple(out)
