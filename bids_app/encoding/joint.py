"""Several feature spaces in one ridge regression (banded ridge), and what each of them adds.

y = sum_s X_s b_s + e, with a penalty of its own for every space s. In kernel form the model is one
ridge regression on sum_s g_s K_s, g_s >= 0 and sum g_s = 1, with one penalty: a *candidate* g is
one plan of the engine. The candidates are a fixed list, the same for all vertices, folds and
participants; every vertex and outer fold chooses candidate and penalty by its inner folds.
Sources: Dupre la Tour et al. 2022, NeuroImage 264:119728; Nunez-Elizalde et al. 2019, NeuroImage
197:482.

Three scores, not to be confused: *accuracy* is r of the joint model; the *share* of a space (the
product measure) is the part of this r that is due to the space's part of the prediction, and
the shares sum to r; *unique accuracy* is r minus that of the model without the space. A space that
adds nothing but is correlated with one that does has a share and no unique accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bids_app.arrays import NUMPY, Arrays
from bids_app.encoding.decompose import Evaluation, Training
from bids_app.encoding.joint_plan import ChoicePlan as ChoicePlan
from bids_app.encoding.joint_plan import JointPlan as JointPlan
from bids_app.encoding.joint_plan import candidate_weights as candidate_weights
from bids_app.encoding.joint_plan import plan_joint as plan_joint
from bids_app.encoding.plan import EncodingPlan
from bids_app.encoding.resolution import groups, run_tasks
from bids_app.encoding.responses import Responses, check_responses, standardize
from bids_app.encoding.ridge import BLOCK, TIE, inner_scores
from bids_app.errors import ONE_OF_THESE, UsageError, check_shape
from bids_app.statistics import fisher_z

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class JointResult:
    """Cross-validated accuracy of a joint model at every vertex, and what its spaces add.

    Attributes
    ----------
    r : ndarray, shape (n_folds, n_vertices)
        Correlation of response and prediction on the held-out stimulus.
    mean_r : ndarray, shape (n_vertices,)
        Fisher-z mean over folds, back-transformed.
    share : ndarray, shape (n_spaces, n_vertices)
        Of `mean_r`, which they sum to; may be negative.
    left_out : tuple of n_left_out str
        Spaces that were left out, one by one.
    reduced_r : ndarray, shape (n_left_out, n_vertices)
        Accuracy of the model without each of them; zero without any space.
    unique : ndarray, shape (n_left_out, n_vertices)
        ``mean_r - reduced_r``. A little below zero on average where a space adds nothing.
    candidate : ndarray of int, shape (n_folds, n_vertices)
        Chosen candidate; -1 at degenerate vertices.
    alpha : ndarray, shape (n_folds, n_vertices)
        Chosen penalty.
    reduced_candidate, reduced_alpha : ndarray, shape (n_left_out, n_folds, n_vertices)
        The same of the models without each space.
    corner : ndarray, shape (n_spaces,)
        Share of folds and usable vertices whose candidate is this space alone.
    n_degenerate : int
        Vertices that are constant or not finite in some stimulus: NaN everywhere.
    fold_stimuli : tuple of tuple of str
        Labels held out per fold.
    """

    r: FloatArray
    mean_r: FloatArray
    share: FloatArray
    left_out: tuple[str, ...]
    reduced_r: FloatArray
    unique: FloatArray
    candidate: IntArray
    alpha: FloatArray
    reduced_candidate: IntArray
    reduced_alpha: FloatArray
    corner: FloatArray
    n_degenerate: int
    fold_stimuli: tuple[tuple[str, ...], ...]


def score_candidates(
    joint: JointPlan,
    responses: Responses,
    *,
    selection: Literal["r", "sse"] = "r",
    n_threads: int = 1,
    arrays: Arrays = NUMPY,
) -> NDArray[np.float64]:
    """Inner score of every candidate and penalty, to be used by models of more spaces.

    Parameters
    ----------
    joint : JointPlan
    responses : list of ndarray, each (n_times, n_vertices)
    selection, n_threads, arrays
        As in :func:`fit_joint`.

    Returns
    -------
    ndarray, shape (n_candidates, n_folds, n_alphas, n_vertices)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal((180, 8))
    >>> lengths, options = [60, 60, 60], {"delays": (2.0, 6.0), "crop": 6.0, "tr": 1.0}
    >>> joint = plan_joint({"a": a @ a.T}, lengths, weights=[[1.0]], **options)
    >>> response = np.roll(a, 4, axis=0) @ rng.standard_normal((8, 2))
    >>> scores = score_candidates(joint, np.split(response, 3))
    >>> scores.shape  # candidates, folds, penalties, vertices
    (1, 3, 20, 2)
    >>> bool((scores.max(axis=2) > 0.9).all())
    True
    """
    n_vertices, plans = check_responses(joint.first, responses), joint.plans[:]

    def task(start: int) -> FloatArray:
        block = slice(start, min(start + BLOCK, n_vertices))
        y = standardize(joint.first, responses, block)[0].astype(joint.first.dtype)
        return _scores(plans, y, selection, arrays)

    return np.concatenate(run_tasks(task, range(0, n_vertices, BLOCK), n_threads), axis=-1)


def _scores(
    plans: Sequence[EncodingPlan], y: NDArray[Any], selection: str, arrays: Arrays
) -> FloatArray:
    return np.stack([np.stack(inner_scores(plan, y, selection, arrays)) for plan in plans])


def fit_joint(
    joint: JointPlan,
    responses: Responses,
    *,
    selection: Literal["r", "sse"] = "r",
    leave_out: Sequence[str] | None = None,
    known: NDArray[np.float64] | None = None,
    n_threads: int = 1,
    arrays: Arrays = NUMPY,
) -> JointResult:
    """Score a joint model on responses by nested cross-validation, with and without each space.

    Candidate and penalty of every vertex and fold have the largest mean inner r; of those within
    1e-6 of it the candidate with the fewest spaces, then the largest penalty. The model without a
    space chooses in the same way among the candidates in which that space has weight zero, so
    that a larger search cannot pass for something a space adds.

    Parameters
    ----------
    joint : JointPlan
        From :func:`plan_joint`.
    responses : list of ndarray, each (n_times, n_vertices)
        One array per presentation, uncropped, as in :func:`bids_app.encoding.fit_encoding`.
    selection : {"r", "sse"}
        What chooses: inner r, or the summed inner squared error.
    leave_out : sequence of str, optional
        Spaces whose unique accuracy is wanted. Default: every one.
    known : ndarray, shape (n_known, n_folds, n_alphas, n_vertices), optional
        Scores of the first candidates, from :func:`score_candidates` of the smaller model.
    n_threads : int
        Blocks of vertices worked on at a time; results do not depend on it.
    arrays : Arrays
        Where the products of the inner folds are done, from
        :func:`bids_app.arrays.arrays_on`. Models that are chosen predict in numpy.

    Returns
    -------
    JointResult

    Raises
    ------
    BadDataError, UsageError
        Both ValueErrors: shapes that disagree, unknown options or spaces.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.standard_normal((2, 180, 8))
    >>> response = np.roll(a, 4, axis=0) @ rng.standard_normal((8, 3))
    >>> plan = plan_joint(
    ...     {"a": a @ a.T, "b": b @ b.T},
    ...     [60, 60, 60],
    ...     weights=candidate_weights(2, 5, rng),
    ...     delays=(2.0, 6.0),
    ...     crop=6.0,
    ...     tr=1.0,
    ... )
    >>> result = fit_joint(plan, np.split(response, 3))
    >>> bool((result.unique[0] > 0.5).all() and (result.unique[1] < 0.1).all())
    True
    """
    if selection not in ("r", "sse"):
        raise UsageError(
            "Unknown selection.",
            where="selection",
            found=selection,
            wanted="r or sse",
            remedy=ONE_OF_THESE,
        )
    n_vertices = check_responses(joint.first, responses)
    left_out = joint.spaces if leave_out is None else tuple(leave_out)
    if unknown := set(left_out) - set(joint.spaces):
        raise UsageError(
            "Unknown spaces.",
            where="leave_out",
            found=sorted(unknown),
            wanted=", ".join(joint.spaces),
            remedy="name spaces of the joint model",
        )
    n_known = 0 if known is None else len(known)
    if known is not None:
        shape = (len(joint.first.folds), joint.first.alphas.size, n_vertices)
        check_shape("known", known, n_known, *shape)
    masks = [np.ones(len(joint.plans), dtype=bool), *(joint.without(one) for one in left_out)]
    choosers = [_Chooser(joint, mask, selection) for mask in masks]
    plans = joint.plans[n_known:]

    def task(start: int) -> tuple[Any, ...]:
        block = slice(start, min(start + BLOCK, n_vertices))
        exact, bad = standardize(joint.first, responses, block)
        y = exact.astype(joint.first.dtype)
        scores = _scores(plans, y, selection, arrays)
        if known is not None:
            scores = np.concatenate([known[..., block], scores])
        chosen = np.stack([choose(scores) for choose in choosers])
        r, share, reduced = _held_out(joint, y, chosen)
        return r, share, reduced, chosen, bad

    found = run_tasks(task, range(0, n_vertices, BLOCK), n_threads)
    r, share, reduced, chosen, bad = (
        np.concatenate(part, axis=-1) for part in zip(*found, strict=True)
    )
    return _summarized(joint, left_out, r, share, reduced, chosen, bad)


class _Chooser:
    """Best candidate and penalty of some candidates, in the order of preference among ties."""

    def __init__(self, joint: JointPlan, mask: NDArray[np.bool_], selection: str) -> None:
        n_alphas = joint.first.alphas.size
        candidates = np.flatnonzero(mask)
        n_spaces = (joint.weights[candidates] > 0).sum(axis=1)
        alphas = np.arange(n_alphas)
        preferred = alphas if selection == "sse" else -alphas
        keys = np.stack(
            [
                np.repeat(candidates, n_alphas),
                np.tile(preferred, candidates.size),
                np.repeat(n_spaces, n_alphas),
            ]
        )
        pairs = np.stack([keys[0], np.tile(alphas, candidates.size)])
        self._pairs = pairs[:, np.lexsort(keys)]
        self._tie = 0.0 if selection == "sse" else TIE

    def __call__(self, scores: FloatArray) -> IntArray:
        """Candidate and penalty, (2, n_folds, n_vertices); -1 where no candidate is allowed."""
        _, n_folds, _, n_vertices = scores.shape
        if not self._pairs.size:
            return np.full((2, n_folds, n_vertices), -1, dtype=np.intp)
        own = scores[self._pairs[0], :, self._pairs[1]]
        first = (own >= own.max(axis=0) - self._tie).argmax(axis=0)
        return self._pairs[:, first]


def _held_out(
    joint: JointPlan, y: NDArray[Any], chosen: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scores of a block of vertices on the held-out segments.

    `chosen` is (1 + n_left_out, 2, n_folds, v). Returns r (n_segments, v), shares of it
    (n_spaces, n_segments, v) and r without each space (n_left_out, n_segments, v).
    """
    plan = joint.first
    n_spaces, n_segments, v = len(joint.spaces), len(plan.segments), y.shape[1]
    r, share = np.zeros((n_segments, v)), np.zeros((n_spaces, n_segments, v))
    reduced = np.zeros((len(chosen) - 1, n_segments, v))
    for k, fold in enumerate(plan.folds):
        for candidate, vertices in groups(chosen[0, 0, k]):
            for one in _predictions(joint, y, k, candidate, chosen[0, 1, k], vertices):
                parts = _by_space(joint, candidate, one)
                r[one.segment, vertices], share[:, one.segment, vertices] = _scored(
                    y[plan.segments[one.segment].rows][:, vertices], parts
                )
        held_out = list(fold.segments)
        for out, own in zip(reduced, chosen[1:], strict=True):
            out[held_out] = r[held_out]
            others = np.flatnonzero((own[:, k] != chosen[0, :, k]).any(axis=0))
            if others.size:
                _score_others(joint, y, k, own[:, k], others, out)
    return r, share, reduced


def _score_others(
    joint: JointPlan, y: NDArray[Any], fold: int, chosen: IntArray, others: IntArray, r: FloatArray
) -> None:
    """Put into `r`, (n_segments, v), the scores of vertices with another choice, (2, v).

    They are zero where no candidate is allowed.
    """
    for candidate, places in groups(chosen[0, others]):
        vertices = others[places]
        if candidate < 0:
            r[np.ix_(np.array(joint.first.folds[fold].segments), vertices)] = 0
            continue
        for one in _predictions(joint, y, fold, candidate, chosen[1], vertices):
            target = y[joint.first.segments[one.segment].rows][:, vertices]
            r[one.segment, vertices] = _scored(target, one.whole[np.newaxis])[0]


@dataclass(frozen=True, eq=False)
class _Prediction:
    """Of a held-out segment at some vertices.

    Attributes
    ----------
    segment : int
    whole : array of shape (n_test, v)
        The prediction.
    spectrum : array of shape (rank, v)
        What the training block's eigenvectors are multiplied with.
    held_out : Evaluation
    training : Training
    """

    segment: int
    whole: FloatArray
    spectrum: NDArray[Any]
    held_out: Evaluation
    training: Training


def _predictions(
    joint: JointPlan,
    y: NDArray[Any],
    fold: int,
    candidate: int,
    alpha: IntArray,
    vertices: IntArray,
) -> Iterator[_Prediction]:
    """Of every segment that a fold holds out, at penalties `alpha`, (v,), of a candidate."""
    plan = joint.plans[candidate]
    for segment, index in zip(plan.folds[fold].segments, plan.fold_plans[fold].outer, strict=True):
        held_out = plan.evaluations[index]
        training = plan.trainings[held_out.training]
        spectrum = training.projector @ y[np.ix_(training.rows, vertices)]
        spectrum *= training.shrinkage[:, alpha[vertices]]
        whole = (held_out.cross @ spectrum).astype(np.float64)
        yield _Prediction(segment, whole, spectrum, held_out, training)


def _by_space(joint: JointPlan, candidate: int, one: _Prediction) -> FloatArray:
    """Parts of a prediction that are due to each space, (n_spaces, n_test, v)."""
    weights = joint.weights[candidate]
    used = np.flatnonzero(weights > 0)
    parts = np.zeros((weights.size, *one.whole.shape))
    if used.size > 1:
        dual = one.training.projector.T @ one.spectrum
        places = np.ix_(one.held_out.rows, one.training.rows)
        for space in used:
            part = joint.kernels[space][places] @ dual
            parts[space] = weights[space] * (part - part.mean(axis=0))
    # Of single precision the prediction as a whole loses less than its parts.
    return parts + weights[:, np.newaxis, np.newaxis] * (one.whole - parts.sum(axis=0))


def _scored(target: NDArray[Any], parts: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Correlation of a response with the sum of the parts of its prediction, and each's share."""
    target = target - target.mean(axis=0, dtype=np.float64)
    whole = parts.sum(axis=0)
    scale = np.sqrt((target**2).sum(axis=0) * (whole**2).sum(axis=0))
    product = np.einsum("tv,stv->sv", target, parts)
    share = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
    return share.sum(axis=0), share


def _summarized(
    joint: JointPlan,
    left_out: tuple[str, ...],
    r: FloatArray,
    share: FloatArray,
    reduced: FloatArray,
    chosen: IntArray,
    bad: NDArray[np.bool_],
) -> JointResult:
    plan = joint.first
    z = fisher_z(r)
    # Shares of z sum to z, so that their means over segments and folds sum to the mean.
    stretch = np.divide(z, r, out=np.ones_like(r), where=np.abs(r) > 1e-12)
    fold_z, fold_reduced = _of_folds(plan, z), _of_folds(plan, fisher_z(reduced))
    mean_z = fold_z.mean(axis=0)
    mean_r, reduced_r = np.tanh(mean_z), np.tanh(fold_reduced.mean(axis=-2))
    back = np.divide(mean_r, mean_z, out=np.ones_like(mean_r), where=np.abs(mean_z) > 1e-12)
    shares = _of_folds(plan, share * stretch).mean(axis=-2) * back
    usable = chosen[0, 0][:, ~bad]
    alone = (joint.weights[usable] == 1) if usable.size else np.zeros((0, len(joint.spaces)))
    alpha = plan.alphas[chosen[:, 1]]
    alpha[chosen[:, 1] < 0] = np.nan
    unique, fold_r, candidate = mean_r - reduced_r, np.tanh(fold_z), chosen[:, 0].copy()
    for array in (fold_r, mean_r, shares, reduced_r, unique, alpha):
        array[..., bad] = np.nan
    candidate[..., bad] = -1
    return JointResult(
        r=fold_r,
        mean_r=mean_r,
        share=shares,
        left_out=left_out,
        reduced_r=reduced_r,
        unique=unique,
        candidate=candidate[0],
        alpha=alpha[0],
        reduced_candidate=candidate[1:],
        reduced_alpha=alpha[1:],
        corner=alone.reshape(-1, len(joint.spaces)).mean(axis=0)
        if usable.size
        else np.full(len(joint.spaces), np.nan),
        n_degenerate=int(bad.sum()),
        fold_stimuli=tuple(fold.held_out for fold in plan.folds),
    )


def _of_folds(plan: EncodingPlan, values: FloatArray) -> FloatArray:
    """Mean over the segments of each fold, (..., n_folds, n_vertices)."""
    return np.stack(
        [values[..., list(fold.segments), :].mean(axis=-2) for fold in plan.folds], axis=-2
    )


def predict_joint(
    joint: JointPlan,
    responses: Responses,
    candidate: NDArray[np.integer],
    alpha: NDArray[np.float64],
) -> tuple[NDArray[np.float64], ...]:
    """Held-out predictions of the z-scored responses, one part per space.

    Parameters
    ----------
    joint : JointPlan
    responses : list of ndarray, each (n_times, n_vertices)
        As given to :func:`fit_joint`.
    candidate, alpha : ndarray, shape (n_folds, n_vertices)
        Of that fit.

    Returns
    -------
    tuple of ndarray, each (n_spaces, n_kept, n_vertices)
        One per presentation, at its kept rows; they sum to the prediction. NaN at degenerate
        vertices.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.standard_normal((2, 180, 8))
    >>> response = np.split(np.roll(a, 4, axis=0) @ rng.standard_normal((8, 1)), 3)
    >>> joint = plan_joint(
    ...     {"a": a @ a.T, "b": b @ b.T},
    ...     [60, 60, 60],
    ...     weights=candidate_weights(2, 5, rng),
    ...     delays=(2.0, 6.0),
    ...     crop=6.0,
    ...     tr=1.0,
    ... )
    >>> fit = fit_joint(joint, response)
    >>> parts = predict_joint(joint, response, fit.candidate, fit.alpha)
    >>> parts[0].shape, bool(parts[0][0].std() > 5 * parts[0][1].std())
    ((2, 48, 1), True)
    """
    plan, n_vertices = joint.first, check_responses(joint.first, responses)
    exact, bad = standardize(plan, responses, slice(0, n_vertices))
    y = exact.astype(plan.dtype)
    out = np.zeros((len(joint.spaces), plan.n_rows, n_vertices))
    for k in range(len(plan.folds)):
        position = np.abs(np.log(plan.alphas)[:, None] - np.log(alpha[k])).argmin(axis=0)
        for own, vertices in groups(np.where(bad, 0, candidate[k]).astype(np.intp)):
            for one in _predictions(joint, y, k, own, position, vertices):
                rows = plan.segments[one.segment].rows[:, None]
                out[:, rows, vertices] = _by_space(joint, own, one)
    out[..., bad] = np.nan
    sizes = np.cumsum([stop - start for start, stop in plan.rows])[:-1]
    return tuple(np.split(out, sizes, axis=1))
