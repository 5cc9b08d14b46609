"""Models of all stimuli, and their predictions for other music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bids_app.encoding.decompose import Decomposer
from bids_app.encoding.folds import Fold, Split, make_segments
from bids_app.encoding.gram import center_blocks, delay_samples, delayed_gram, kept_rows
from bids_app.encoding.plan import EncodingPlan, FoldPlan
from bids_app.encoding.responses import Responses, check_responses, standardize
from bids_app.encoding.ridge import choose_penalty, inner_scores
from bids_app.errors import check_shape


def whole_plan(plan: EncodingPlan) -> EncodingPlan:
    """The same model with one fold that is trained on all stimuli.

    Its inner folds are the outer folds of `plan`: the penalty is chosen by leaving stimuli out.

    Parameters
    ----------
    plan : EncodingPlan

    Returns
    -------
    EncodingPlan
        Its only fold holds nothing out; for `whole_penalties` and
        :func:`bids_app.encoding.weights.dual_weights`, not for accuracy.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> features = np.random.default_rng(0).standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> [fold.held_out for fold in whole_plan(plan).folds], whole_plan(plan).n_rows
    ([()], 144)
    """
    rows = np.arange(plan.n_rows)
    inner = tuple(fold.outer for fold in plan.folds)
    fold = Fold((), tuple(range(len(plan.segments))), Split(rows, (rows,)), inner)
    builder = Decomposer(plan.kernel, plan.alphas, plan.dtype)
    used = FoldPlan(
        builder.split(fold.outer, False), tuple(builder.split(split, True) for split in inner)
    )
    values = builder.trainings[builder.training(rows)].eigenvalues
    return replace(
        plan,
        folds=(fold,),
        degrees_of_freedom=np.array([[(values / (values + a)).sum() for a in plan.alphas]]),
        trainings=tuple(builder.trainings),
        evaluations=tuple(builder.evaluations),
        fold_plans=(used,),
    )


def whole_penalties(
    whole: EncodingPlan, responses: Responses, *, selection: Literal["r", "sse"] = "r"
) -> NDArray[np.float64]:
    """Penalty of every vertex for a model of all stimuli.

    Parameters
    ----------
    whole : EncodingPlan
        From `whole_plan`.
    responses : list of ndarray or Chosen, each (n_times, n_vertices)
        As given to :func:`bids_app.encoding.fit_encoding`.
    selection : {"r", "sse"}
        What chooses the penalty.

    Returns
    -------
    ndarray, shape (1, n_vertices)
        NaN at degenerate vertices.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> rng = np.random.default_rng(1)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> driven = np.roll(features, 4, axis=0) @ rng.standard_normal((8, 1))  # 4 s after the music
    >>> noise = rng.standard_normal((180, 1))
    >>> alpha = whole_penalties(whole_plan(plan), np.split(np.hstack([driven, noise]), 3))
    >>> alpha.shape, bool(alpha[0, 0] < alpha[0, 1])
    ((1, 2), True)
    """
    n_vertices = check_responses(whole, responses)
    y, bad = standardize(whole, responses, slice(0, n_vertices))
    (score,) = inner_scores(whole, y.astype(whole.dtype), selection)
    alpha = whole.alphas[choose_penalty(score, selection)[0]]
    alpha[bad] = np.nan
    return alpha[None]


def new_kernel(
    gram: NDArray[np.floating],
    lengths: Sequence[int],
    stimuli: Sequence[str],
    *,
    n_trained: int,
    delays: tuple[float, float],
    crop: float,
    tr: float,
    scale: float,
) -> tuple[NDArray[np.float64], ...]:
    """Kernel between new presentations and those that a model was trained on.

    Times dual weights, it is what the model says of the new presentations.

    Parameters
    ----------
    gram : ndarray, shape (sum(lengths), sum(lengths))
        Gram matrix of the undelayed features at the sampling times: the presentations of the
        model in its order, then the new ones.
    lengths : sequence of int
        Samples of every presentation.
    stimuli : sequence of str
        Labels of the presentations of the model.
    n_trained : int
        How many these are.
    delays, crop, tr
        As in :func:`bids_app.encoding.plan_encoding`, and as the model has them.
    scale : float
        ``EncodingPlan.scale`` of the model.

    Returns
    -------
    tuple of ndarray, each (n_kept_new, n_kept)
        One per new presentation, at its kept rows, centered over them.

    Raises
    ------
    BadDataError, UsageError
        Shapes that disagree, or a new presentation that is too short for delays and crop.

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> from bids_app.encoding.weights import dual_weights
    >>> rng = np.random.default_rng(0)
    >>> features, weights = rng.standard_normal((240, 8)), rng.standard_normal((8, 1))
    >>> gram = features @ features.T
    >>> told = {"delays": (2.0, 6.0), "crop": 6.0, "tr": 1.0}
    >>> plan = plan_encoding(gram[:180, :180], [60] * 3, **told)
    >>> responses = np.split(np.roll(features, 4, axis=0) @ weights, 4)  # 4 s after the music
    >>> whole = whole_plan(plan)
    >>> (dual,) = dual_weights(whole, responses[:3], whole_penalties(whole, responses[:3]))
    >>> (kernel,) = new_kernel(gram, [60] * 4, "abc", n_trained=3, **told, scale=plan.scale)
    >>> predicted = kernel @ dual
    >>> predicted.shape, bool(np.corrcoef(predicted[:, 0], responses[3][6:54, 0])[0, 1] > 0.9)
    ((48, 1), True)
    """
    check_shape("gram", gram, int(sum(lengths)), int(sum(lengths)))
    check_shape("stimuli", list(stimuli), n_trained)
    shifts = delay_samples(delays, tr)
    rows = kept_rows(lengths, shifts, crop, tr)
    segments, _ = make_segments(stimuli, rows[:n_trained])
    own = [segment.size for segment in segments]
    new = [stop - start for start, stop in rows[n_trained:]]
    kernel = center_blocks(delayed_gram(gram, lengths, shifts, rows), [*own, *new])
    between = kernel[sum(own) :, : sum(own)] / scale
    return tuple(np.split(between, np.cumsum(new)[:-1]))
