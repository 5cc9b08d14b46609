"""Refits under random Fourier phases of the responses, with max-statistic p values.

Phases depend on the seed, the stimulus and the number of the draw, never on the participant: draw
b has the same phases in everybody, so that a group analysis can pair the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.encoding.plan import EncodingPlan
from bids_app.encoding.resolution import Resolution, run_segments
from bids_app.encoding.responses import (
    Responses,
    check_responses,
    response_coefficients,
    standardize,
)
from bids_app.encoding.weights import penalty_indices
from bids_app.errors import UsageError, check_shape
from bids_app.seeds import random_phases
from bids_app.statistics import fisher_mean, pareto_tail_p

# Vertices refitted together; bounds memory.
GROUP = 24 * 1024


@dataclass(frozen=True)
class PhaseNull:
    """Mean r under random phases of the responses.

    Attributes
    ----------
    draws : ndarray of float32, shape (n_draws, n_vertices)
        Mean r over folds of every draw; NaN at degenerate vertices.
    sd : ndarray, shape (n_vertices,)
        Root mean square over draws (the mean under the null is zero).
    p : ndarray, shape (n_vertices,)
        One-sided, (1 + b) / (1 + m).
    max_null : ndarray, shape (n_draws,)
        Largest scaled mean r over vertices.
    p_max : ndarray, shape (n_vertices,)
        Family-wise p over vertices, with a Pareto tail beyond the upper quarter of ``max_null``.
    """

    draws: NDArray[np.float32]
    sd: NDArray[np.float64]
    p: NDArray[np.float64]
    max_null: NDArray[np.float64]
    p_max: NDArray[np.float64]


def _rotate(matrix: NDArray[Any], cosine: NDArray[Any], sine: NDArray[Any]) -> NDArray[Any]:
    """Columns of a matrix, cosines first and then sines, rotated in the plane of each frequency."""
    n = cosine.size
    even, odd = matrix[:, :n], matrix[:, n:]
    return np.concatenate([even * cosine - odd * sine, odd * cosine + even * sine], axis=1)


def _predict_turned(
    turns: list[tuple[NDArray[Any], NDArray[Any]]],
    own: tuple[NDArray[Any], NDArray[Any]],
    matrices: list[NDArray[Any]],
    joined: NDArray[Any],
    picked: NDArray[Any],
) -> NDArray[Any]:
    """Prediction from rotated responses, rotated back by the phases of the held-out segment.

    Either the responses are rotated or, for many vertices, both sides of the matrices.
    """
    if picked.shape[0] >= joined.shape[1]:
        turned = [_rotate(m, *t) for m, t in zip(matrices, turns, strict=True)]
        return picked @ _rotate(np.concatenate(turned, axis=1).T, *own)
    ends = np.cumsum([m.shape[1] for m in matrices])[:-1]
    parts = np.split(picked, ends, axis=1)
    turned = [_rotate(y, c, -s) for y, (c, s) in zip(parts, turns, strict=True)]
    return _rotate(np.concatenate(turned, axis=1) @ joined, *own)


def _turns(
    plan: EncodingPlan, labels: Sequence[str], draw: int, seed: int
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Cosines and sines of the phases of every segment in one draw."""
    turns = []
    for segment, label in zip(plan.segments, labels, strict=True):
        phases = random_phases(seed, label, draw, segment.size // 2)
        if segment.size % 2 == 0:
            phases[-1] = 0  # the Nyquist frequency has no phase
        turns.append((np.cos(phases).astype(plan.dtype), np.sin(phases).astype(plan.dtype)))
    return turns


def _refit(
    resolution: Resolution,
    coefficients: NDArray[Any],
    chosen: NDArray[np.intp],
    draws: list[list[tuple[NDArray[Any], NDArray[Any]]]],
    n_threads: int,
) -> NDArray[np.float32]:
    """The r of every draw, held-out segment and vertex."""
    shape = (len(draws), len(resolution.fold_of), chosen.shape[1])
    out = np.zeros(shape, dtype=np.float32)

    def task(segment: int, alpha: int, vertices: NDArray[np.intp]) -> None:
        sources = resolution.sources[segment]
        matrices = resolution.matrices(segment, alpha)
        target = coefficients[vertices, resolution.columns[segment]]
        picked = np.concatenate(
            [coefficients[vertices, resolution.columns[i]] for i in sources], axis=1
        )
        size = np.sqrt(np.einsum("vf,vf->v", target, target))
        joined = np.concatenate(matrices, axis=1).T
        for number, turns in enumerate(draws):
            predicted = _predict_turned(
                [turns[i] for i in sources], turns[segment], matrices, joined, picked
            )
            product = np.einsum("vf,vf->v", predicted, target)
            energy = np.sqrt(np.einsum("vf,vf->v", predicted, predicted))
            with np.errstate(invalid="ignore", divide="ignore"):
                out[number, segment, vertices] = product / (size * energy)

    run_segments(task, resolution.fold_of, chosen, n_threads)
    return out


def refit_draws(
    plan: EncodingPlan,
    coefficients: NDArray[Any],
    chosen: NDArray[np.intp],
    *,
    labels: Sequence[str],
    n_draws: int,
    seed: int,
    n_threads: int,
) -> NDArray[np.float32]:
    """Mean r under random phases, penalties fixed.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    coefficients : ndarray, shape (n_vertices, n_coefficients)
        Fourier coefficients of the standardized responses.
    chosen : ndarray of int, shape (n_folds, n_vertices)
        Index of the penalty.
    labels : sequence of str
        Source of the phases of every segment.
    n_draws, seed, n_threads : int
        As in :func:`phase_null`.

    Returns
    -------
    ndarray of float32, shape (n_draws, n_vertices)

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((180, 4))
    >>> plan = plan_encoding(x @ x.T, [60, 60, 60], delays=(2.0, 4.0), crop=4.0, tr=1.0)
    >>> responses = np.split(np.roll(x[:, :2], 3, axis=0), 3)
    >>> fit = fit_encoding(plan, responses, null="none")
    >>> y, _ = standardize(plan, responses, slice(0, 2))
    >>> draws = refit_draws(
    ...     plan,
    ...     response_coefficients(plan, y),
    ...     penalty_indices(plan, fit.alpha, 2),
    ...     labels=segment_labels(plan, None),
    ...     n_draws=19,
    ...     seed=0,
    ...     n_threads=1,
    ... )
    >>> draws.shape, (fit.mean_r > draws.max(axis=0)).tolist()
    ((19, 2), [True, True])
    """
    draws = [_turns(plan, labels, draw, seed) for draw in range(n_draws)]
    blocks = _refit(plan.resolution, coefficients, chosen, draws, n_threads)
    mean = np.mean if plan.plain_mean else fisher_mean
    r = [mean(blocks[:, list(fold.segments)], axis=1) for fold in plan.folds]
    return np.asarray(mean(np.stack(r, axis=1), axis=1), dtype=np.float32)


def segment_labels(plan: EncodingPlan, checksums: Sequence[str] | None) -> list[str]:
    """Names that the random phases of every segment are drawn from.

    Parameters
    ----------
    plan : EncodingPlan
    checksums : sequence of str, optional
        Of the stimulus of every presentation; labels stand in for them.

    Returns
    -------
    list of n_segments str

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> x = np.random.default_rng(0).standard_normal((120, 4))
    >>> plan = plan_encoding(
    ...     x @ x.T, [60, 60], delays=(2.0, 4.0), crop=4.0, tr=1.0, stimuli=["happy", "sad"]
    ... )
    >>> segment_labels(plan, None)
    ['happy', 'sad']
    >>> segment_labels(plan, ["ab12", "cd34"])
    ['ab12', 'cd34']
    """
    if checksums is None:
        return [s.label for s in plan.segments]
    check_shape("checksums", checksums, len(plan.stimuli))
    return [checksums[s.block] + s.label.removeprefix(s.stimulus) for s in plan.segments]


def phase_null(
    plan: EncodingPlan,
    responses: Responses,
    alpha: NDArray[np.float64],
    *,
    mean_r: NDArray[np.float64] | None = None,
    scale: NDArray[np.float64] | None = None,
    checksums: Sequence[str] | None = None,
    n_draws: int = 200,
    seed: int,
    n_threads: int = 1,
) -> PhaseNull:
    """Refit an encoding model to responses with random Fourier phases, penalties fixed.

    Amplitude spectra stay; the phases of a stimulus are the same for all vertices, in training
    and testing, so dependence between vertices, folds and layers is kept.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    responses : list of ndarray or Chosen, each (n_times, n_vertices)
        As given to :func:`fit_encoding`.
    alpha : ndarray, shape (n_folds, n_vertices)
        Penalties of the observed fit (``EncodingResult.alpha``).
    mean_r : ndarray, shape (n_vertices,), optional
        Observed mean r; without it the p values are NaN.
    scale : ndarray, shape (n_vertices,), optional
        Divisor of the mean r in the max-statistic, for example ``EncodingResult.null_sd``, so
        that vertices with a wide null do not set the threshold for all. Default: none.
    checksums : sequence of str, optional
        One per presentation: the source of the phases. Default: the stimulus labels.
    n_draws : int
        Refits.
    seed : int
        Seed of the analysis.
    n_threads : int
        Groups of vertices worked on at a time; results do not depend on it.

    Returns
    -------
    PhaseNull

    Raises
    ------
    BadDataError, UsageError
        Both ValueErrors: shapes that disagree, penalties outside the plan's grid, no draws.

    References
    ----------
    Prichard & Theiler (1994), Phys Rev Lett 73:951.

    Examples
    --------
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(
    ...     features @ features.T, [60, 60, 60], delays=(2.0, 6.0), crop=6.0, tr=1.0
    ... )
    >>> driven = np.roll(features, 4, axis=0) @ rng.standard_normal(8)
    >>> responses = np.split(np.stack([driven, rng.standard_normal(180)], axis=1), 3)
    >>> fit = fit_encoding(plan, responses)
    >>> null = phase_null(plan, responses, fit.alpha, mean_r=fit.mean_r, n_draws=99, seed=0)
    >>> null.draws.shape, (null.p < 0.05).tolist()
    ((99, 2), [True, False])
    """
    if n_draws < 1:
        raise UsageError(
            "n_draws must be positive.",
            where="n_draws",
            found=n_draws,
            wanted="1 or more",
            remedy="give the number of draws, for example 200",
        )
    n_vertices = check_responses(plan, responses)
    chosen = penalty_indices(plan, alpha, n_vertices)
    usable = np.asarray(~np.isnan(alpha).any(axis=0))
    labels = segment_labels(plan, checksums)
    draws = np.empty((n_draws, n_vertices), dtype=np.float32)
    for start in range(0, n_vertices, GROUP):
        columns = slice(start, min(start + GROUP, n_vertices))
        y, _ = standardize(plan, responses, columns)
        draws[:, columns] = refit_draws(
            plan,
            response_coefficients(plan, y.astype(plan.dtype)),
            chosen[:, columns],
            labels=labels,
            n_draws=n_draws,
            seed=seed,
            n_threads=n_threads,
        )
    draws[:, ~usable] = np.nan
    observed = np.full(n_vertices, np.nan) if mean_r is None else np.asarray(mean_r, float)
    divisor = np.ones(n_vertices) if scale is None else np.asarray(scale, float)
    return _compared(draws, observed, divisor, usable)


def _compared(
    draws: NDArray[np.float32],
    observed: NDArray[np.float64],
    divisor: NDArray[np.float64],
    usable: NDArray[np.bool_],
) -> PhaseNull:
    """The observed mean r against its draws, per vertex and over all vertices."""
    n_draws, n_vertices = draws.shape
    sd, exceed = np.empty(n_vertices), np.empty(n_vertices, dtype=np.intp)
    any_left, max_null = usable.copy(), np.full(n_draws, -np.inf)
    for start in range(0, n_vertices, GROUP):
        columns = slice(start, min(start + GROUP, n_vertices))
        own = draws[:, columns]
        sd[columns] = np.sqrt((own.astype(np.float64) ** 2).mean(axis=0))
        with np.errstate(invalid="ignore", divide="ignore"):
            exceed[columns] = (own >= observed[columns]).sum(axis=0)
            scaled = own / divisor[columns]
        any_left[columns] &= np.isfinite(scaled).all(axis=0)
        highest = scaled[:, any_left[columns]].max(axis=1, initial=-np.inf)
        np.maximum(max_null, highest, out=max_null)
    return PhaseNull(
        draws=draws,
        sd=sd,
        p=np.where(np.isnan(observed) | ~usable, np.nan, (1 + exceed) / (1 + n_draws)),
        max_null=max_null,
        p_max=pareto_tail_p(np.where(any_left, observed / divisor, np.nan), max_null),
    )
