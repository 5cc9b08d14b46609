"""The stimulus side of an encoding model: folds, decompositions and closed-form norms.

A plan depends on the features, sampling times and penalties alone, so everybody who heard the
same stimuli at the same times shares it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bids_app.encoding.decompose import Decomposer, Evaluation, Training
from bids_app.encoding.folds import Fold, Segment, lay_out, make_segments
from bids_app.encoding.gram import (
    MIN_ROWS,
    center_blocks,
    delay_samples,
    delayed_gram,
    kept_rows,
    mean_diagonal,
)
from bids_app.encoding.nulls import AnalyticNull
from bids_app.encoding.resolution import Resolution
from bids_app.errors import FINITE, BadDataError, UsageError, check_shape

DEFAULT_ALPHAS: tuple[float, ...] = tuple(np.logspace(-3, 5, 20).tolist())


@dataclass(frozen=True)
class FoldPlan:
    """Indices into the plan's evaluations.

    Attributes
    ----------
    outer : tuple of int
        One evaluation per held-out block.
    inner : tuple of tuple of int
        Per inner split, one evaluation per held-out block.
    """

    outer: tuple[int, ...]
    inner: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class EncodingPlan:
    """Everything about an encoding model that does not depend on the responses.

    Attributes
    ----------
    kernel : ndarray, shape (n_kept, n_kept)
        Delayed kernel at the kept rows, centered per block and divided by its mean diagonal.
    scale : float
        That mean diagonal (1 where raw penalties are used).
    lengths : tuple of int
        Samples of every presentation, before cropping.
    rows : tuple of (start, stop)
        Kept rows of every presentation.
    shifts : ndarray of int
        Delays in samples.
    tr : float
        Repetition time in seconds.
    alphas : ndarray, shape (n_alphas,)
        Penalties, ascending.
    stimuli : tuple of str
        Label of every presentation.
    segments : tuple of Segment
        Blocks that are centered and scored by themselves.
    folds : tuple of Fold
        Outer folds with their inner splits.
    effective_rank : float
        Participation ratio of the kernel's eigenvalues, ``tr(K)^2 / |K|^2``.
    degrees_of_freedom : ndarray, shape (n_folds, n_alphas)
        Sum of eigenvalue / (eigenvalue + penalty) of every outer training set.
    ddof : int
        Divisor of the responses' standard deviation is n - ddof.
    plain_mean : bool
        Average r over folds as it is instead of Fisher's z.
    trainings, evaluations, fold_plans
        Decompositions and how the folds use them.
    """

    kernel: NDArray[np.float64]
    scale: float
    lengths: tuple[int, ...]
    rows: tuple[tuple[int, int], ...]
    shifts: NDArray[np.intp]
    tr: float
    alphas: NDArray[np.float64]
    stimuli: tuple[str, ...]
    segments: tuple[Segment, ...]
    folds: tuple[Fold, ...]
    effective_rank: float
    degrees_of_freedom: NDArray[np.float64]
    ddof: int
    plain_mean: bool
    trainings: tuple[Training, ...]
    evaluations: tuple[Evaluation, ...]
    fold_plans: tuple[FoldPlan, ...]

    @property
    def n_rows(self) -> int:
        """Kept rows over all presentations."""
        return self.kernel.shape[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the matrix products."""
        return self.trainings[0].projector.dtype

    @property
    def has_repeats(self) -> bool:
        """Whether a stimulus was presented more than once."""
        return len({s.label for s in self.segments}) < len(self.segments)

    @cached_property
    def resolution(self) -> Resolution:
        """Resolution matrices of the outer folds, filled when first used (about 40 MB)."""
        held_out = {
            segment: (number, self.evaluations[index])
            for number, (fold, used) in enumerate(zip(self.folds, self.fold_plans, strict=True))
            for segment, index in zip(fold.segments, used.outer, strict=True)
        }
        fold_of, evaluations = zip(*(held_out[i] for i in range(len(self.segments))), strict=True)
        return Resolution(self.segments, fold_of, evaluations, self.trainings)

    @cached_property
    def analytic_null(self) -> AnalyticNull:
        """Closed-form null, shared by everybody who shares the plan."""
        return AnalyticNull(self.resolution)


def check_alphas(alphas: ArrayLike) -> NDArray[np.float64]:
    """Penalties as an array.

    Parameters
    ----------
    alphas : array_like, shape (n_alphas,)

    Returns
    -------
    ndarray of float64, shape (n_alphas,)

    Raises
    ------
    BadDataError, UsageError
        When they are not a list, or not positive and strictly increasing.

    Examples
    --------
    >>> check_alphas([0.1, 1, 10]).tolist()
    [0.1, 1.0, 10.0]
    """
    grid = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    check_shape("alphas", grid, "n_alphas")
    if not np.all(np.isfinite(grid)) or grid[0] <= 0 or np.any(np.diff(grid) <= 0):
        raise UsageError(
            "The penalties must be positive and strictly increasing.",
            where="alphas",
            found=grid.tolist(),
            wanted="for example logspace(-3, 5, 20)",
            remedy="sort the penalties, and remove what is there twice, zero or negative",
        )
    return grid


def _check_gram(gram: NDArray[np.floating], lengths: Sequence[int]) -> None:
    if not lengths or min(lengths) < 1:
        raise BadDataError(
            "There is no stimulus.",
            where="lengths",
            found=list(lengths),
            wanted="the number of rows of each stimulus, 1 or more",
            remedy="give one length for every stimulus",
        )
    total = int(sum(lengths))
    check_shape("gram", gram, total, total)
    if not np.all(np.isfinite(gram)):
        raise BadDataError(
            "The Gram matrix holds NaN or infinity.",
            where="gram",
            found="non-finite features",
            wanted="finite values",
            remedy=FINITE,
        )


def plan_from_kernel(
    kernel: NDArray[np.float64],
    lengths: Sequence[int],
    rows: Sequence[tuple[int, int]],
    stimuli: Sequence[str],
    *,
    shifts: NDArray[np.intp],
    tr: float,
    alphas: NDArray[np.float64],
    scale: float = 1.0,
    ddof: int = 0,
    plain_mean: bool = False,
    leave_one_out: bool = False,
    durations: Mapping[str, float] | None = None,
    dtype: DTypeLike = np.float32,
) -> EncodingPlan:
    """Plan from a delayed kernel at the kept rows, centered within every segment.

    Parameters
    ----------
    kernel : ndarray, shape (n_kept, n_kept)
        Delayed kernel over the kept rows of all presentations, in their order.
    lengths, rows, stimuli, shifts, tr, alphas, scale, ddof, plain_mean
        As in the attributes of :class:`EncodingPlan`.
    leave_one_out : bool
        One fold per stimulus, however many there are.
    durations : mapping of str to float, optional
        As in :func:`bids_app.encoding.folds.make_folds`.
    dtype : dtype
        Precision of the products with responses; norms are interpolated in float32 only.

    Returns
    -------
    EncodingPlan
    """
    segments, folds, purge = lay_out(
        stimuli, rows, shifts, leave_one_out=leave_one_out, durations=durations
    )
    if len(set(stimuli)) == 1:
        warnings.warn(
            "only one stimulus: contiguous pieces of it are held out, with a purge of "
            f"{purge} samples; this says nothing about other music",
            UserWarning,
            stacklevel=3,
        )
    builder = Decomposer(kernel, alphas, dtype)
    fold_plans = tuple(
        FoldPlan(
            builder.split(fold.outer, False), tuple(builder.split(s, True) for s in fold.inner)
        )
        for fold in folds
    )
    outer = [builder.trainings[builder.training(fold.outer.train)].eigenvalues for fold in folds]
    freedom = np.array([[(s / (s + a)).sum() for a in alphas] for s in outer])
    return EncodingPlan(
        kernel=kernel,
        scale=scale,
        lengths=tuple(int(n) for n in lengths),
        rows=tuple(rows),
        shifts=shifts,
        tr=float(tr),
        alphas=alphas,
        stimuli=tuple(stimuli),
        segments=segments,
        folds=folds,
        effective_rank=float(np.trace(kernel) ** 2 / (kernel**2).sum()),
        degrees_of_freedom=freedom,
        ddof=ddof,
        plain_mean=plain_mean,
        trainings=tuple(builder.trainings),
        evaluations=tuple(builder.evaluations),
        fold_plans=fold_plans,
    )


def check_stimuli(stimuli: Sequence[str] | None, n_blocks: int) -> tuple[str, ...]:
    """Labels of the presentations; numbered from 1 when there are none.

    Parameters
    ----------
    stimuli : sequence of str or None
    n_blocks : int
        Presentations.

    Returns
    -------
    tuple of n_blocks str

    Raises
    ------
    BadDataError
        When their number is not that of the presentations.

    Examples
    --------
    >>> check_stimuli(None, 3)
    ('1', '2', '3')
    >>> check_stimuli(["happy", "sad", "happy"], 3)
    ('happy', 'sad', 'happy')
    """
    if stimuli is None:
        return tuple(str(i + 1) for i in range(n_blocks))
    labels = tuple(str(s) for s in stimuli)
    check_shape("stimuli", labels, n_blocks)
    return labels


def rows_present(
    rows: Sequence[tuple[int, int]], present: Sequence[NDArray[np.intp]]
) -> tuple[list[NDArray[np.bool_]], tuple[tuple[int, int], ...]]:
    """Which of the kept rows have a response, and the kept rows counted among those that have one.

    Parameters
    ----------
    rows, present
        As in :class:`EncodingPlan` and :func:`plan_encoding`.

    Returns
    -------
    there : list of bool ndarray, each (n_kept,)
        Of every presentation, which of its kept rows have a response.
    inside : tuple of (start, stop)
        The same rows, counted among those that have a response.

    Raises
    ------
    BadDataError
        When fewer than four rows are left in a block.

    Examples
    --------
    >>> there, inside = rows_present([(1, 8)], [np.array([0, 1, 2, 5, 6, 7])])
    >>> there[0].astype(int).tolist(), inside
    ([1, 1, 0, 0, 1, 1, 1], ((1, 6),))
    """
    there, inside = [], []
    for i, ((start, stop), own) in enumerate(zip(rows, present, strict=True)):
        there.append(np.isin(np.arange(start, stop), own))
        before = int((own < start).sum())
        inside.append((before, before + int(there[-1].sum())))
        if there[-1].sum() < MIN_ROWS:
            raise BadDataError(
                "A stimulus has too few samples with a response.",
                where=f"block {i}",
                found=f"{there[-1].sum()} of {stop - start} rows",
                wanted=f"at least {MIN_ROWS}",
                remedy="leave the stimulus out, or censor fewer volumes",
            )
    return there, tuple(inside)


def plan_encoding(
    gram: NDArray[np.floating],
    lengths: Sequence[int],
    *,
    stimuli: Sequence[str] | None = None,
    delays: tuple[float, float],
    crop: float,
    tr: float,
    alphas: ArrayLike = DEFAULT_ALPHAS,
    durations: Mapping[str, float] | None = None,
    present: Sequence[NDArray[np.intp]] | None = None,
    dtype: DTypeLike = np.float32,
) -> EncodingPlan:
    """Prepare nested cross-validated ridge regression on the features behind a Gram matrix.

    Parameters
    ----------
    gram : ndarray, shape (sum(lengths), sum(lengths))
        Gram matrix of the undelayed features at the sampling times, all presentations in turn.
    lengths : sequence of int
        Samples (n_times) of every presentation.
    stimuli : sequence of str, optional
        Stimulus label of every presentation; repeats share a fold. Default: all differ.
    delays : (float, float)
        First and last delay in seconds, positive when the response follows the stimulus.
    crop : float
        Seconds left out at both ends of every presentation.
    tr : float
        Repetition time in seconds.
    alphas : array_like, shape (n_alphas,)
        Penalties, strictly increasing, relative to the mean diagonal of the delayed kernel.
    durations : mapping of str to float, optional
        Length of every stimulus' audio, so that more than six stimuli fall into the same folds
        for everybody, whatever the jitter of the volumes. Default: the kept rows decide.
    present : sequence of int arrays, optional
        Numbers, within each presentation, of the samples that have a response; default all. Samples
        without a response enter as delayed features of later samples. They have no row: lengths and
        rows of the plan count the samples with a response.
    dtype : dtype
        Precision of the products with responses; decompositions are always float64.

    Returns
    -------
    EncodingPlan

    Raises
    ------
    BadDataError, UsageError
        Both ValueErrors: shapes that disagree, non-finite or constant features, too few samples
        for delays and crop, penalties that do not increase.

    Examples
    --------
    >>> features = np.random.default_rng(0).standard_normal((180, 8))
    >>> plan = plan_encoding(
    ...     features @ features.T, [60, 60, 60], delays=(2.0, 6.0), crop=6.0, tr=1.0
    ... )
    >>> plan.shifts.tolist(), plan.rows[0]
    ([2, 3, 4, 5, 6], (6, 54))
    >>> [fold.held_out for fold in plan.folds]
    [('1',), ('2',), ('3',)]
    """
    side = delayed_kernel(
        gram, lengths, stimuli=stimuli, delays=delays, crop=crop, tr=tr, present=present
    )
    _check_moving(side)
    return side.plan(side.kernel, check_alphas(alphas), durations=durations, dtype=dtype)


def _check_moving(side: DelayedKernel) -> None:
    """Where nothing changes there is no correlation with what is predicted."""
    segments, _ = make_segments(side.stimuli, side.rows)
    sizes = np.cumsum([0, *(s.size for s in segments)])
    still = [
        s.label
        for s, start, stop in zip(segments, sizes, sizes[1:], strict=False)
        if not side.kernel[start:stop, start:stop].any()
    ]
    if still:
        raise BadDataError(
            "The features do not vary over the kept rows of a stimulus.",
            where="gram",
            found=f"constant in {', '.join(dict.fromkeys(still))}",
            wanted="features that change within every stimulus",
            remedy="leave the layer out (--layers) or the runs with this stimulus "
            "(--exclude-run), or choose other features",
        )


@dataclass(frozen=True)
class DelayedKernel:
    """Kernel of one feature space at the kept rows, and where these rows are.

    Attributes
    ----------
    kernel : ndarray, shape (n_kept, n_kept)
        Delayed, centered per block, divided by its mean diagonal.
    scale : float
        That mean diagonal.
    lengths, rows, stimuli, shifts, tr
        As in :class:`EncodingPlan`.
    """

    kernel: NDArray[np.float64]
    scale: float
    lengths: Sequence[int]
    rows: Sequence[tuple[int, int]]
    stimuli: tuple[str, ...]
    shifts: NDArray[np.intp]
    tr: float

    def plan(
        self, kernel: NDArray[np.float64], alphas: NDArray[np.float64], **options: Any
    ) -> EncodingPlan:
        """Plan of a kernel at these rows; `options` as for :func:`plan_from_kernel`."""
        return plan_from_kernel(
            kernel,
            self.lengths,
            self.rows,
            self.stimuli,
            shifts=self.shifts,
            tr=self.tr,
            alphas=alphas,
            scale=self.scale,
            **options,
        )


def delayed_kernel(
    gram: NDArray[np.floating],
    lengths: Sequence[int],
    *,
    stimuli: Sequence[str] | None = None,
    delays: tuple[float, float],
    crop: float,
    tr: float,
    present: Sequence[NDArray[np.intp]] | None = None,
) -> DelayedKernel:
    """Kernel of the delayed features behind a Gram matrix, at the rows that are kept.

    Parameters
    ----------
    gram, lengths, stimuli, delays, crop, tr, present
        As in :func:`plan_encoding`.

    Returns
    -------
    DelayedKernel

    Raises
    ------
    BadDataError, UsageError
        As :func:`plan_encoding`.

    Examples
    --------
    >>> features = np.random.default_rng(0).standard_normal((120, 8))
    >>> found = delayed_kernel(features @ features.T, [60, 60], delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> found.kernel.shape, round(float(found.kernel.diagonal().mean()), 2)
    ((96, 96), 1.0)
    """
    gram = np.asarray(gram)
    lengths = [int(n) for n in lengths]
    _check_gram(gram, lengths)
    labels = check_stimuli(stimuli, len(lengths))
    shifts = delay_samples(delays, tr)
    rows = kept_rows(lengths, shifts, crop, tr)
    raw = delayed_gram(gram, lengths, shifts, rows)
    if present is not None:
        there, rows = rows_present(rows, present)
        kept = np.flatnonzero(np.concatenate(there))
        raw, lengths = raw[np.ix_(kept, kept)], [len(own) for own in present]
    segments, _ = make_segments(labels, rows)
    kernel = center_blocks(raw, [s.size for s in segments])
    scale = mean_diagonal(kernel)
    return DelayedKernel(kernel / scale, scale, lengths, rows, labels, shifts, tr)
