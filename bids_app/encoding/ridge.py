"""Cross-validated ridge regression of many responses on one planned stimulus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bids_app.encoding.nulls import AnalyticNull, gaussian_p
from bids_app.encoding.plan import EncodingPlan, Evaluation
from bids_app.encoding.scores import benjamini_hochberg, fisher_mean
from bids_app.errors import BadDataError, UsageError

# Vertices per task. Fixed, so that results do not depend on the number of threads.
BLOCK = 1024
# Penalties whose inner scores are this close count as tied.
TIE = 1e-6
_CONSTANT = 1e-10

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EncodingResult:
    """Cross-validated accuracy of one model at every vertex.

    Attributes
    ----------
    r : ndarray, shape (n_folds, n_vertices)
        Correlation of response and prediction on the held-out stimulus (Fisher-z mean over its
        presentations, or over the stimuli of the fold where several are held out together).
    alpha : ndarray, shape (n_folds, n_vertices)
        Chosen penalty.
    mean_r : ndarray, shape (n_vertices,)
        Fisher-z mean over folds, back-transformed (plain mean with the ``lea`` preset).
    null_sd, p, q : ndarray, shape (n_vertices,)
        Standard deviation of the mean r under phase rotation of the responses, one-sided p,
        Benjamini-Hochberg q over vertices. NaN without a null.
    edge_low, edge_high : float
        Shares of folds and usable vertices whose penalty is the first or last of the grid.
    n_degenerate : int
        Vertices that are constant or not finite in some stimulus: NaN everywhere.
    fold_stimuli : tuple of tuple of str
        Labels held out per fold.
    r_block : ndarray, shape (n_blocks, n_vertices)
        Correlation per held-out presentation.
    block_stimuli : tuple of str
        Label of each row of ``r_block``.
    r2 : ndarray, shape (n_folds, n_vertices)
        1 - residual / total sum of squares on the held-out z-scored responses.
    r_concatenated : ndarray, shape (n_vertices,)
        Correlation over all held-out presentations, each centered by itself.
    inner_score : ndarray, shape (n_folds, n_vertices)
        Mean inner r (or minus the summed squared error) at the chosen penalty.
    weights : tuple of ndarray, each (n_delays, n_units, n_vertices), or None
        Per fold, on request: impulse response of every unit.
    predictions : tuple of ndarray, each (n_kept, n_vertices), or None
        Per presentation, on request: held-out prediction of the z-scored response.
    """

    r: NDArray[np.float64]
    alpha: NDArray[np.float64]
    mean_r: NDArray[np.float64]
    null_sd: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    edge_low: float
    edge_high: float
    n_degenerate: int
    fold_stimuli: tuple[tuple[str, ...], ...]
    r_block: NDArray[np.float64]
    block_stimuli: tuple[str, ...]
    r2: NDArray[np.float64]
    r_concatenated: NDArray[np.float64]
    inner_score: NDArray[np.float64]
    weights: tuple[NDArray[np.float64], ...] | None = None
    predictions: tuple[NDArray[np.float64], ...] | None = None


@dataclass(frozen=True)
class _BlockFit:
    """Sufficient statistics of one block of vertices; last axis is vertices."""

    chosen: NDArray[np.intp]  # (n_folds, v)
    inner: NDArray[np.float64]  # (n_folds, v)
    product: NDArray[np.float64]  # (n_segments, v): response times prediction
    energy: NDArray[np.float64]  # (n_segments, v): squared norm of the prediction
    total: NDArray[np.float64]  # (n_segments, v): squared norm of the response
    degenerate: NDArray[np.bool_]  # (v,)


def check_responses(plan: EncodingPlan, responses: Sequence[NDArray[np.floating]]) -> int:
    """Check the responses' shapes against a plan and return the number of vertices.

    Raises
    ------
    BadDataError
        When their number, lengths or vertices disagree.
    """
    if len(responses) != len(plan.lengths):
        raise BadDataError(
            "every presentation needs its responses",
            where="responses",
            found=f"{len(responses)} arrays",
            wanted=f"{len(plan.lengths)}",
        )
    n_vertices = responses[0].shape[-1] if responses[0].ndim == 2 else 0
    for i, (response, length) in enumerate(zip(responses, plan.lengths, strict=True)):
        if response.ndim != 2 or response.shape != (length, n_vertices):
            raise BadDataError(
                "responses do not fit the features",
                where=f"responses[{i}]",
                found=f"shape {response.shape}",
                wanted=f"({length}, {n_vertices or 'n_vertices'})",
            )
    return n_vertices


def standardize(
    plan: EncodingPlan, responses: Sequence[NDArray[np.floating]], columns: slice
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Responses at the kept rows, z-scored within every segment.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    responses : list of ndarray, each (n_times, n_vertices)
        One array per presentation.
    columns : slice
        Vertices.

    Returns
    -------
    ndarray, shape (n_kept, n_columns)
        Zero where degenerate.
    ndarray of bool, shape (n_columns,)
        Vertices that are constant or not finite in some segment.
    """
    parts, bad = [], np.zeros(responses[0][:1, columns].shape[1], dtype=bool)
    for segment in plan.segments:
        part = responses[segment.block][segment.start : segment.stop, columns]
        y = np.array(part, dtype=np.float64)
        finite = np.isfinite(y).all(axis=0)
        y[:, ~finite] = 0
        size = np.abs(y).max(axis=0, initial=0)
        y -= y.mean(axis=0)
        sd = np.sqrt((y**2).sum(axis=0) / (segment.size - plan.ddof))
        usable = finite & (sd > _CONSTANT * size) & np.isfinite(sd)
        y /= np.where(usable, sd, 1)
        y[:, ~usable] = 0
        bad |= ~usable
        parts.append(y)
    out = np.concatenate(parts)
    out[:, bad] = 0
    return out, bad


def _inner_statistics(
    evaluation: Evaluation, shrinkage: NDArray[Any], spectrum: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Products y'p and p'p at every penalty, and y'y, for one held-out block."""
    target = y[evaluation.rows]
    target = target - target.mean(axis=0)
    back = evaluation.cross.T @ target
    product = shrinkage.T @ np.multiply(back, spectrum, out=back)
    norms = np.empty((evaluation.nodes.size, y.shape[1]))
    for i, node in enumerate(evaluation.nodes):
        np.multiply(spectrum, shrinkage[:, node, None], out=back)
        predicted = evaluation.factor @ back
        norms[i] = np.einsum("ij,ij->j", predicted, predicted)
    total = np.einsum("ij,ij->j", target, target)
    return product.astype(np.float64), evaluation.mix @ norms, total.astype(np.float64)


def _choose(
    score: NDArray[np.float64], selection: str
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Penalty index and score per vertex; score is (n_alphas, v), larger is better."""
    if selection == "sse":
        chosen = score.argmax(axis=0)
    else:
        tied = score >= score.max(axis=0) - TIE
        chosen = score.shape[0] - 1 - tied[::-1].argmax(axis=0)
    return chosen, np.take_along_axis(score, chosen[None], axis=0)[0]


def _inner_scores(plan: EncodingPlan, y: NDArray[Any], selection: str) -> list[NDArray[np.float64]]:
    """Inner score (n_alphas, v) of every fold."""
    scores = [np.zeros((plan.alphas.size, y.shape[1])) for _ in plan.folds]
    uses: dict[int, list[tuple[int, float]]] = {}
    for k, fold in enumerate(plan.fold_plans):
        for split in fold.inner:
            for index in split:
                uses.setdefault(index, []).append((k, 1 / (len(split) * len(fold.inner))))
    current, spectrum = -1, np.empty(0)
    for index in sorted(uses, key=lambda i: plan.evaluations[i].training):
        evaluation = plan.evaluations[index]
        training = plan.trainings[evaluation.training]
        if evaluation.training != current:
            current, spectrum = evaluation.training, training.projector @ y[training.rows]
        product, energy, total = _inner_statistics(evaluation, training.shrinkage, spectrum, y)
        if selection == "sse":
            value, weighted = -(total - 2 * product + energy), False
        else:
            scale = np.sqrt(np.maximum(energy * total, 0))
            value = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
            weighted = True
        for k, weight in uses[index]:
            scores[k] += weight * value if weighted else value
    return scores


def _fit_block(
    plan: EncodingPlan, responses: Sequence[NDArray[np.floating]], columns: slice, selection: str
) -> _BlockFit:
    exact, degenerate = standardize(plan, responses, columns)
    y = exact.astype(plan.dtype)
    picks = [_choose(score, selection) for score in _inner_scores(plan, y, selection)]
    shape = (len(plan.segments), y.shape[1])
    product, energy, total = np.empty(shape), np.empty(shape), np.empty(shape)
    for fold, fold_plan, (chosen, _) in zip(plan.folds, plan.fold_plans, picks, strict=True):
        for segment, index in zip(fold.segments, fold_plan.outer, strict=True):
            predicted, target = predict_block(plan, index, y, chosen), exact[fold_rows(plan, index)]
            product[segment] = np.einsum("ij,ij->j", predicted, target)
            energy[segment] = np.einsum("ij,ij->j", predicted, predicted)
            total[segment] = np.einsum("ij,ij->j", target, target)
    return _BlockFit(
        np.stack([chosen for chosen, _ in picks]),
        np.stack([best for _, best in picks]),
        product,
        energy,
        total,
        degenerate,
    )


def fold_rows(plan: EncodingPlan, evaluation: int) -> NDArray[np.intp]:
    """Held-out rows of an evaluation."""
    return plan.evaluations[evaluation].rows


def predict_block(
    plan: EncodingPlan, evaluation: int, y: NDArray[Any], chosen: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Predict one held-out block at every vertex's own penalty.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    evaluation : int
        Index of the held-out block among the plan's evaluations.
    y : ndarray, shape (n_kept, n_vertices)
        Standardized responses in the plan's precision.
    chosen : ndarray of int, shape (n_vertices,)
        Index of the penalty.

    Returns
    -------
    ndarray, shape (n_test, n_vertices)
    """
    held_out = plan.evaluations[evaluation]
    training = plan.trainings[held_out.training]
    spectrum = training.projector @ y[training.rows]
    spectrum *= training.shrinkage[:, chosen]
    return (held_out.cross @ spectrum).astype(np.float64)


def vertex_blocks(n_vertices: int) -> Iterator[slice]:
    """Fixed blocks of vertices."""
    for start in range(0, n_vertices, BLOCK):
        yield slice(start, min(start + BLOCK, n_vertices))


def map_blocks(
    task: Callable[[slice], Any],
    n_vertices: int,
    n_threads: int,
    progress: Progress | None = None,
) -> list[Any]:
    """Run a task over the vertex blocks, each with one BLAS thread, and keep their order."""
    if n_threads < 1:
        raise UsageError("n_threads must be positive", where="n_threads", found=n_threads)
    blocks = list(vertex_blocks(n_vertices))
    out = []
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        for done, result in enumerate(pool.map(task, blocks), start=1):
            out.append(result)
            if progress is not None:
                progress(done, len(blocks))
    return out


def _check_options(selection: str, null: str) -> None:
    if selection not in ("r", "sse"):
        raise UsageError("unknown selection", where="selection", found=selection, wanted="r or sse")
    if null not in ("analytic", "none"):
        raise UsageError("unknown null", where="null", found=null, wanted="analytic or none")


def fit_encoding(
    plan: EncodingPlan,
    responses: Sequence[NDArray[np.floating]],
    *,
    selection: Literal["r", "sse"] = "r",
    null: Literal["analytic", "none"] = "analytic",
    n_threads: int = 1,
    progress: Progress | None = None,
) -> EncodingResult:
    """Score a planned encoding model on responses by nested cross-validation.

    The penalty of every vertex and fold maximizes the mean inner r (the largest penalty within
    1e-6 of the best), or minimizes the summed inner squared error (the smallest at the minimum).
    Nothing is chosen on the held-out stimulus.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    responses : list of ndarray, each (n_times, n_vertices)
        One array per presentation, on the rows of the plan's Gram matrix and uncropped. Cropping
        and z-scoring within stimulus happen here.
    selection : {"r", "sse"}
        What chooses the penalty.
    null : {"analytic", "none"}
        Closed-form phase-rotation null, or none.
    n_threads : int
        Blocks of vertices worked on at a time; results do not depend on it.
    progress : callable, optional
        Called with the numbers of finished and of all vertex blocks.

    Returns
    -------
    EncodingResult

    Raises
    ------
    BadDataError, UsageError
        Both ValueErrors: shapes that disagree, unknown options.
    """
    _check_options(selection, null)
    responses = [np.asarray(response) for response in responses]
    n_vertices = check_responses(plan, responses)
    fits = map_blocks(
        lambda columns: _fit_block(plan, responses, columns, selection),
        n_vertices,
        n_threads,
        progress,
    )
    fit = _BlockFit(
        *(
            np.concatenate([getattr(f, name) for f in fits], axis=-1)
            for name in _BlockFit.__dataclass_fields__
        )
    )
    sd = np.full(n_vertices, np.nan)
    if null == "analytic":
        sd = AnalyticNull(plan).standard_deviation(responses, fit.chosen, fit.degenerate, n_threads)
    return _summarize(plan, fit, sd, plain_mean=False)


def _summarize(
    plan: EncodingPlan, fit: _BlockFit, null_sd: NDArray[np.float64], *, plain_mean: bool
) -> EncodingResult:
    mean = np.mean if plain_mean else fisher_mean
    with np.errstate(invalid="ignore", divide="ignore"):
        r_block = fit.product / np.sqrt(fit.energy * fit.total)
        concatenated = fit.product.sum(axis=0) / np.sqrt(fit.energy.sum(axis=0) * fit.total.sum(0))
        groups = [list(fold.segments) for fold in plan.folds]
        residual = fit.total - 2 * fit.product + fit.energy
        r2 = np.stack([1 - residual[g].sum(axis=0) / fit.total[g].sum(axis=0) for g in groups])
    r_block[:, fit.degenerate] = np.nan
    r2[:, fit.degenerate] = np.nan
    concatenated[fit.degenerate] = np.nan
    r = np.stack([r_block[g[0]] if len(g) == 1 else mean(r_block[g], axis=0) for g in groups])
    mean_r = mean(r, axis=0)
    usable = ~fit.degenerate
    alpha = plan.alphas[fit.chosen]
    alpha[:, fit.degenerate] = np.nan
    inner = fit.inner.copy()
    inner[:, fit.degenerate] = np.nan
    p = gaussian_p(mean_r, null_sd)
    return EncodingResult(
        r=r,
        alpha=alpha,
        mean_r=mean_r,
        null_sd=null_sd,
        p=p,
        q=benjamini_hochberg(p),
        edge_low=float(np.mean(fit.chosen[:, usable] == 0)) if usable.any() else float("nan"),
        edge_high=float(np.mean(fit.chosen[:, usable] == plan.alphas.size - 1))
        if usable.any()
        else float("nan"),
        n_degenerate=int(fit.degenerate.sum()),
        fold_stimuli=tuple(fold.held_out for fold in plan.folds),
        r_block=r_block,
        block_stimuli=tuple(s.label for s in plan.segments),
        r2=r2,
        r_concatenated=concatenated,
        inner_score=inner,
    )
