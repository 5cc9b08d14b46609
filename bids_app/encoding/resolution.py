"""Held-out predictions at every vertex's own penalty, in the Fourier basis of each stimulus.

An outer fold predicts its held-out block as M y, with one resolution matrix M per penalty. In the
orthonormal basis of cosines and sines correlations are the same, the constant drops out, and a
rotation of Fourier phases is a rotation in the plane of each frequency: the same matrices serve
the scores, their closed-form null and its refits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.arrays import NUMPY, Arrays
from bids_app.encoding.decompose import Evaluation, Training
from bids_app.encoding.folds import Segment
from bids_app.errors import UsageError
from bids_app.threads import ordered_map

# Vertices of one penalty worked on at a time, so that memory does not grow with their number.
CHUNK = 2048


def fourier_basis(n_times: int) -> NDArray[np.float64]:
    """Orthonormal cosines and sines without the constant.

    Parameters
    ----------
    n_times : int
        Samples.

    Returns
    -------
    ndarray, shape (n_times, 2 * (n_times // 2))
        First all cosines, then all sines. At even lengths the last sine, of the Nyquist
        frequency, is zero.

    Examples
    --------
    >>> basis = fourier_basis(7)
    >>> basis.shape, np.allclose(basis.T @ basis, np.eye(6)), np.allclose(basis.sum(axis=0), 0)
    ((7, 6), True, True)
    """
    n_freq = n_times // 2
    phase = 2 * np.pi / n_times * np.outer(np.arange(n_times), np.arange(1, n_freq + 1))
    basis = np.sqrt(2 / n_times) * np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
    if n_times % 2 == 0:
        basis[:, n_freq - 1] /= np.sqrt(2)
        basis[:, -1] = 0
    return basis


def fourier_coefficients(series: NDArray[Any]) -> NDArray[Any]:
    """Coefficients of series in :func:`fourier_basis`.

    Parameters
    ----------
    series : ndarray, shape (n_times, n_vertices)
        Responses of one stimulus.

    Returns
    -------
    ndarray, shape (n_vertices, 2 * (n_times // 2))

    Examples
    --------
    >>> series = np.random.default_rng(0).standard_normal((7, 2))
    >>> np.allclose(fourier_coefficients(series), series.T @ fourier_basis(7))
    True
    """
    n_times = series.shape[0]
    transformed = np.fft.rfft(series.T, norm="ortho")[:, 1:]
    transformed *= np.sqrt(2).astype(series.dtype)
    if n_times % 2 == 0:
        transformed[:, -1] = transformed[:, -1].real / np.sqrt(2)
    return np.concatenate([transformed.real, -transformed.imag], axis=1)


class Resolution:
    """Resolution matrices of the outer folds, made per penalty when first needed.

    Parameters
    ----------
    segments : sequence of Segment
        All segments, in the order of the kernel's rows.
    fold_of : sequence of int
        Fold in which each segment is held out.
    held_out : sequence of Evaluation
        Of each segment in that fold.
    trainings : sequence of Training
        Decompositions that the evaluations name.

    Attributes
    ----------
    segments, fold_of
        As given.
    sources : list of list of int
        Segments that train that fold.
    n_freq : list of int
        Frequencies of each segment.
    columns : list of slice
        Where each segment's coefficients lie among those of all.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        fold_of: Sequence[int],
        held_out: Sequence[Evaluation],
        trainings: Sequence[Training],
    ) -> None:
        self.segments, self.fold_of = segments, list(fold_of)
        self._training_of = [evaluation.training for evaluation in held_out]
        self._trainings = trainings
        self.n_freq = [s.size // 2 for s in segments]
        ends = np.cumsum([2 * n for n in self.n_freq]).tolist()
        self.columns = [slice(e - 2 * n, e) for e, n in zip(ends, self.n_freq, strict=True)]
        self.sources: list[list[int]] = []
        self._left: list[NDArray[Any]] = []
        self._right: dict[tuple[int, int], NDArray[Any]] = {}
        self._made: dict[tuple[int, int], list[NDArray[Any]]] = {}
        self._name = object()
        bases = [fourier_basis(s.size) for s in segments]
        for basis, evaluation in zip(bases, held_out, strict=True):
            self._prepare(basis, evaluation, bases)

    def _prepare(
        self,
        basis: NDArray[np.float64],
        held_out: Evaluation,
        bases: list[NDArray[np.float64]],
    ) -> None:
        training = self._trainings[held_out.training]
        dtype = training.projector.dtype
        self._left.append((basis.T @ held_out.cross).astype(dtype))
        sources = []
        for i, source in enumerate(self.segments):
            low, high = np.searchsorted(training.rows, [source.offset, source.offset + source.size])
            if low == high:
                continue
            sources.append(i)
            if (held_out.training, i) not in self._right:
                rows = training.rows[low:high] - source.offset
                product = training.projector[:, low:high] @ bases[i][rows]
                self._right[held_out.training, i] = product.astype(dtype)
        self.sources.append(sources)

    def make(self, segment: int, alpha: int) -> list[NDArray[Any]]:
        """Resolution matrices of a held-out segment at one penalty, made and not kept.

        Parameters
        ----------
        segment : int
            Held-out segment.
        alpha : int
            Index of the penalty.

        Returns
        -------
        list of ndarray, each (2 * n_freq of the segment, 2 * n_freq of the source)
            One per training segment, in the order of ``sources[segment]``.
        """
        index = self._training_of[segment]
        left = self._left[segment] * self._trainings[index].shrinkage[:, alpha]
        return [left @ self._right[index, i] for i in self.sources[segment]]

    def name(self, alpha: int) -> tuple[object, int]:
        """What matrices at a penalty are known by, to be made once for models that share them."""
        return self._name, alpha

    def matrices(self, segment: int, alpha: int) -> list[NDArray[Any]]:
        """As :meth:`make`, kept for the next call."""
        key = (segment, alpha)
        if key not in self._made:
            self._made[key] = self.make(segment, alpha)
        return self._made[key]


def groups(labels: NDArray[np.intp]) -> list[tuple[int, NDArray[np.intp]]]:
    """Vertices of every label, at most `CHUNK` together.

    Parameters
    ----------
    labels : ndarray of int, shape (n_vertices,)
        Penalty of each vertex.

    Returns
    -------
    list of (label, ndarray of int)
        Labels ascending, each with vertices that have it.

    Examples
    --------
    >>> [(label, own.tolist()) for label, own in groups(np.array([3, 1, 3]))]
    [(1, [1]), (3, [0, 2])]
    """
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    return [
        (value, vertices[start : start + CHUNK])
        for value, vertices in zip(values.tolist(), np.split(order, starts[1:]), strict=True)
        for start in range(0, vertices.size, CHUNK)
    ]


def run_tasks(task: Callable[[Any], Any], items: Sequence[Any], n_threads: int) -> list[Any]:
    """Results of a task over items, with one BLAS thread each.

    Parameters
    ----------
    task : callable
        Of one item.
    items : sequence
    n_threads : int
        Items worked on at a time.

    Returns
    -------
    list
        In the order of the items.

    Raises
    ------
    UsageError
        When `n_threads` is not positive.

    Examples
    --------
    >>> run_tasks(abs, [-1, 2, -3], n_threads=2)
    [1, 2, 3]
    """
    if n_threads < 1:
        raise UsageError(
            "n_threads must be positive.",
            where="n_threads",
            found=n_threads,
            wanted="1 or more",
            remedy="give the number of threads, for example 1",
        )
    return list(ordered_map(task, items, n_threads))


def run_segments(
    task: Callable[[int, int, NDArray[np.intp]], Any],
    fold_of: Sequence[int],
    chosen: NDArray[np.intp],
    n_threads: int,
) -> None:
    """Call a task with every held-out segment, every penalty of its fold, and the vertices.

    Parameters
    ----------
    task : callable
        (segment, index of the penalty, vertices) -> None
    fold_of : sequence of n_segments int
        Fold that holds each segment out.
    chosen : ndarray of int, shape (n_folds, n_vertices)
        Index of the penalty.
    n_threads : int
        Calls at a time.
    """
    items = [
        (segment, alpha, vertices)
        for segment, fold in enumerate(fold_of)
        for alpha, vertices in groups(chosen[fold])
    ]
    run_tasks(lambda item: task(*item), items, n_threads)


def held_out_statistics(
    resolution: Resolution,
    coefficients: NDArray[Any],
    chosen: NDArray[np.intp],
    n_threads: int = 1,
    *,
    scored: NDArray[Any] | None = None,
    arrays: Arrays = NUMPY,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Products of held-out responses and predictions.

    Parameters
    ----------
    resolution : Resolution
        Of the plan.
    coefficients : ndarray, shape (n_vertices, n_coefficients)
        Fourier coefficients of the standardized responses.
    chosen : ndarray of int, shape (n_folds, n_vertices)
        Index of the penalty.
    n_threads : int
        Groups of vertices worked on at a time.
    scored : ndarray, shape (n_vertices, n_coefficients), optional
        Coefficients of the responses that predictions are compared with, where `coefficients`
        are those of other responses, which train.
    arrays : Arrays
        Where the products are done.

    Returns
    -------
    product, energy, total : ndarray, shape (n_segments, n_vertices)
        y'p, p'p and y'y.
    """
    shape = (len(resolution.fold_of), chosen.shape[1])
    product, energy, total = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    trained = arrays.put(coefficients)
    held_out = trained if scored is None else arrays.put(scored)

    def task(segment: int, alpha: int, vertices: NDArray[np.intp]) -> None:
        places = arrays.put(vertices)
        picked = trained[places]
        sources = zip(resolution.sources[segment], resolution.matrices(segment, alpha), strict=True)
        predicted = reduce(
            add, [picked[:, resolution.columns[i]] @ arrays.put(m).T for i, m in sources]
        )
        target = held_out[places, resolution.columns[segment]]
        product[segment, vertices] = arrays.back(arrays.dot(predicted, target, axis=1))
        energy[segment, vertices] = arrays.back(arrays.dot(predicted, predicted, axis=1))
        total[segment, vertices] = arrays.back(arrays.dot(target, target, axis=1))

    run_segments(task, resolution.fold_of, chosen, n_threads)
    return product, energy, total
