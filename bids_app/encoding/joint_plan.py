"""Candidates of joint models, and the plans of all their choices of candidate and penalty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from bids_app.encoding.folds import Segment
from bids_app.encoding.plan import (
    DEFAULT_ALPHAS,
    DelayedKernel,
    EncodingPlan,
    check_alphas,
    delayed_kernel,
)
from bids_app.errors import UsageError, check_shape, inside


def n_fixed_candidates(n_spaces: int) -> int:
    """Candidates that are always there: corners, center, and centers without one space.

    Examples
    --------
    >>> [n_fixed_candidates(n) for n in (1, 2, 3, 4)]
    [1, 3, 7, 9]
    """
    return n_spaces if n_spaces == 1 else n_spaces + 1 + (n_spaces if n_spaces > 2 else 0)


def candidate_weights(
    n_spaces: int, n_candidates: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Corners, center, the center without each space, and draws on the simplex and its faces.

    Parameters
    ----------
    n_spaces : int
    n_candidates : int
        At least the corners, the center and the centers without one space.
    rng : Generator
        Of the Dirichlet draws (all concentrations 1): on the whole simplex and on the face
        without each single space, so that each smaller model has candidates of its own.

    Returns
    -------
    ndarray, shape (n_candidates, n_spaces)
        Weights, which sum to 1; no two candidates are equal.

    Raises
    ------
    UsageError
        When there are fewer candidates than the fixed ones.

    Examples
    --------
    >>> candidate_weights(2, 3, np.random.default_rng(0)).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    """
    corners = np.eye(n_spaces)
    faces = [np.ones(n_spaces, dtype=bool)]
    if n_spaces > 2:
        faces += [~corner.astype(bool) for corner in corners]
    fixed = [corners, *(face[np.newaxis] / face.sum() for face in faces)]
    weights = np.unique(np.concatenate(fixed), axis=0)
    # Simple models first: few spaces, and among these the first space.
    weights = weights[np.lexsort((*-weights.T[::-1], (weights > 0).sum(axis=1)))]
    if n_candidates < len(weights):
        raise UsageError(
            "There are fewer candidates than models that must be among them.",
            where="n_candidates",
            found=n_candidates,
            wanted=f"at least {len(weights)}: every space alone, all together, and all but one",
            remedy="give more candidates",
        )
    drawn = np.zeros((n_candidates - len(weights) if n_spaces > 1 else 0, n_spaces))
    for k, row in enumerate(drawn):
        face = faces[k % len(faces)]
        row[face] = rng.dirichlet(np.ones(int(face.sum())))
    return np.concatenate([weights, drawn])


def weights_beyond(rivals: ArrayLike, rng: np.random.Generator) -> NDArray[np.float64]:
    """Candidates of rivals and one more space: each with and without it, and the space alone.

    Parameters
    ----------
    rivals : array_like, shape (n_candidates, n_rivals)
        Candidates of the model without the space.
    rng : Generator
        Of the weight of the space, uniform within equal steps of 0 to 1.

    Returns
    -------
    ndarray, shape (2 * n_candidates + 1, n_rivals + 1)
        The space has the last column, and weight 0 in the first ``n_candidates`` rows.

    Examples
    --------
    >>> weights_beyond([[1.0]], np.random.default_rng(0)).round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.363, 0.637]]
    """
    low = np.asarray(rivals, dtype=np.float64)
    steps = (rng.permutation(len(low)) + rng.random(len(low)))[:, np.newaxis] / len(low)
    alone = np.eye(low.shape[1] + 1)[-1:]
    return np.concatenate(
        [np.pad(low, ((0, 0), (0, 1))), alone, np.concatenate([(1 - steps) * low, steps], axis=1)]
    )


@dataclass(frozen=True)
class JointPlan:
    """Everything about a joint model that does not depend on the responses.

    Everybody who heard the same stimuli at the same times shares it.

    Attributes
    ----------
    spaces : tuple of n_spaces str
    weights : ndarray, shape (n_candidates, n_spaces)
        Weight of every space in each candidate.
    plans : sequence of n_candidates EncodingPlan
        Plan of each candidate's kernel, made when it is first asked for.
    kernels : tuple of n_spaces ndarray, each (n_kept, n_kept)
        Kernel of every space, in the plans' precision.
    """

    spaces: tuple[str, ...]
    weights: NDArray[np.float64]
    plans: Sequence[EncodingPlan]
    kernels: tuple[NDArray[Any], ...]

    @property
    def first(self) -> EncodingPlan:
        """Plan of the first candidate, whose rows, folds and penalties are those of all."""
        return self.plans[0]

    def without(self, space: str) -> NDArray[np.bool_]:
        """Candidates of the model without a space, (n_candidates,)."""
        return np.asarray(self.weights[:, self.spaces.index(space)] == 0)

    @property
    def choices(self) -> ChoicePlan:
        """All choices of candidate and penalty, as one plan with a longer list of penalties."""
        # Not kept: both would hold each other, and their plans fill the memory until a collection.
        return ChoicePlan(self)


def plan_joint(
    grams: Mapping[str, NDArray[np.floating]],
    lengths: Sequence[int],
    *,
    weights: ArrayLike,
    alphas: ArrayLike = DEFAULT_ALPHAS,
    durations: Mapping[str, float] | None = None,
    dtype: DTypeLike = np.float32,
    known: JointPlan | None = None,
    **options: Any,
) -> JointPlan:
    """Prepare nested cross-validated ridge regression on several feature spaces together.

    Parameters
    ----------
    grams : mapping from name of the space to ndarray of shape (sum(lengths), sum(lengths))
        Gram matrix of every space, as in :func:`bids_app.encoding.plan_encoding`.
    lengths : sequence of int
        Samples (n_times) of every presentation.
    weights : array_like, shape (n_candidates, n_spaces)
        Candidates, from :func:`candidate_weights` or :func:`weights_beyond`.
    alphas, durations, dtype, **options
        As in :func:`bids_app.encoding.plan_encoding`.
    known : JointPlan, optional
        Of fewer spaces at the same rows: its candidates are not decomposed again.

    Returns
    -------
    JointPlan

    Raises
    ------
    BadDataError, UsageError
        Both ValueErrors: as `plan_encoding`, naming the space; weights that are no weights.

    Examples
    --------
    >>> a, b = np.random.default_rng(0).standard_normal((2, 180, 8))
    >>> joint = plan_joint(
    ...     {"a": a @ a.T, "b": b @ b.T},
    ...     [60, 60, 60],
    ...     weights=[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]],
    ...     delays=(2.0, 6.0),
    ...     crop=6.0,
    ...     tr=1.0,
    ... )
    >>> joint.spaces, len(joint.plans), joint.without("b").tolist()
    (('a', 'b'), 3, [True, False, False])
    """
    spaces, grid = tuple(grams), check_alphas(alphas)
    found = _checked_weights(weights, len(spaces))
    sides = []
    for space, gram in grams.items():
        with inside(space):
            sides.append(delayed_kernel(gram, lengths, **options))
    plans = CandidatePlans(
        sides,
        found,
        None if known is None else _among(known, spaces),
        {"alphas": grid, "durations": durations, "dtype": dtype},
    )
    precision = plans[0].dtype
    return JointPlan(spaces, found, plans, tuple(side.kernel.astype(precision) for side in sides))


class CandidatePlans(Sequence[EncodingPlan]):
    """Plan of each candidate's kernel, made when it is asked for, and kept.

    Parameters
    ----------
    sides : sequence of n_spaces DelayedKernel
    weights : ndarray, shape (n_candidates, n_spaces)
    known : mapping from bytes of a candidate's weights to plans and the place of its own, optional
        Of candidates that another model has.
    options : mapping
        For :meth:`bids_app.encoding.plan.DelayedKernel.plan`.
    """

    def __init__(
        self,
        sides: Sequence[DelayedKernel],
        weights: NDArray[np.float64],
        known: Mapping[bytes, tuple[Sequence[EncodingPlan], int]] | None,
        options: Mapping[str, Any],
    ) -> None:
        self._sides, self._weights, self._options = sides, weights, options
        self._known = {} if known is None else known
        self._made: dict[int, EncodingPlan] = {}

    def __len__(self) -> int:
        return len(self._weights)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(len(self))[index]]
        number = range(len(self))[index]
        if number not in self._made:
            self._made[number] = self._make(self._weights[number])
        return self._made[number]

    def _make(self, weights: NDArray[np.float64]) -> EncodingPlan:
        if (there := self._known.get(weights.tobytes())) is not None:
            plans, number = there
            return plans[number]
        kernel = sum(
            (w * side.kernel for w, side in zip(weights, self._sides, strict=True) if w > 0),
            np.zeros_like(self._sides[0].kernel),
        )
        return self._sides[0].plan(kernel, **self._options)


def _among(
    known: JointPlan, spaces: Sequence[str]
) -> dict[bytes, tuple[Sequence[EncodingPlan], int]]:
    """Where the plans of a model of some of the spaces are, by their weights among all."""
    wide = np.zeros((len(known.weights), len(spaces)))
    wide[:, [spaces.index(space) for space in known.spaces]] = known.weights
    return {row.tobytes(): (known.plans, number) for number, row in enumerate(wide)}


def _checked_weights(weights: ArrayLike, n_spaces: int) -> NDArray[np.float64]:
    found = np.array(weights, dtype=np.float64)
    check_shape("weights", found, "n_candidates", n_spaces)
    if not (np.isfinite(found).all() and (found >= 0).all()):
        raise UsageError(
            "Weights of spaces must be zero or more.",
            where="weights",
            found=f"smallest {found.min():g}",
            wanted="finite numbers, 0 or more",
            remedy="give each space of a candidate its share of 1",
        )
    if not np.allclose(found.sum(axis=1), 1, atol=1e-9):
        raise UsageError(
            "Weights of a candidate must sum to 1.",
            where="weights",
            found=f"sums from {found.sum(axis=1).min():g} to {found.sum(axis=1).max():g}",
            wanted="rows that sum to 1",
            remedy="divide every row by its sum",
        )
    return found


class ChoiceResolution:
    """Resolution matrices of all candidates: a choice is a candidate and a penalty."""

    def __init__(self, plans: Sequence[EncodingPlan]) -> None:
        self._plans, self._n_alphas = plans, plans[0].alphas.size
        self.fold_of = plans[0].resolution.fold_of
        self.sources = plans[0].resolution.sources
        self.n_freq = plans[0].resolution.n_freq

    def make(self, segment: int, alpha: int) -> list[NDArray[Any]]:
        """Resolution matrices of a held-out segment at one choice."""
        candidate, penalty = divmod(alpha, self._n_alphas)
        return self._plans[candidate].resolution.make(segment, penalty)

    def name(self, alpha: int) -> tuple[object, int]:
        """As of the candidate's plan: models that share candidates share matrices."""
        candidate, penalty = divmod(alpha, self._n_alphas)
        return self._plans[candidate].resolution.name(penalty)

    def matrices(self, segment: int, alpha: int) -> list[NDArray[Any]]:
        """As :meth:`make`: those of all choices together would be too many to be kept."""
        return self.make(segment, alpha)


class ChoicePlan:
    """A joint plan as a plan with a longer list of penalties: the numbers of its choices from 1.

    A function of a plan and the penalty of every fold and vertex can be given this plan and the
    numbers from :meth:`chosen`. The unique accuracy of a space is then a difference of two models
    on one plan, and its null that of the difference of two resolution matrices.

    Parameters
    ----------
    joint : JointPlan
    n_candidates : int
        Candidates that have numbers: those of a model of more spaces that begins with these.
        Default: its own.
    left_out : str
        Space that the model is without.
    """

    plain_mean = False

    def __init__(self, joint: JointPlan, n_candidates: int = 0, left_out: str = "") -> None:
        self.left_out = left_out
        first, n = joint.first, n_candidates or len(joint.plans)
        self.joint, self._n_alphas, self._grid = joint, first.alphas.size, first.alphas
        self.segments: tuple[Segment, ...] = first.segments
        self.folds, self.stimuli = first.folds, first.stimuli
        self.lengths, self.ddof = first.lengths, first.ddof
        self.alphas = np.arange(1, n * first.alphas.size + 1, dtype=np.float64)

    @cached_property
    def resolution(self) -> ChoiceResolution:
        """Of all choices."""
        return ChoiceResolution(self.joint.plans)

    def chosen(
        self, candidate: NDArray[np.integer], alpha: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Numbers of choices, as penalties of this plan.

        Parameters
        ----------
        candidate : ndarray of int
            Of a :class:`JointResult`; negative for none.
        alpha : ndarray of the same shape
            Penalty.

        Returns
        -------
        ndarray of the same shape
            NaN where there is none.
        """
        there = np.asarray(candidate) >= 0
        logs = np.log(np.where(there, alpha, 1.0))
        position = np.abs(np.log(self._grid).reshape(-1, *[1] * logs.ndim) - logs).argmin(axis=0)
        return np.where(there, candidate * self._n_alphas + position + 1.0, np.nan)
