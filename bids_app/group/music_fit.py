"""Held-out accuracies of a study at given penalties, and their weighted sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.group.music_side import Clock, Float32Array, FloatArray, Plan
from bids_app.group.music_study import Spectra, Study, Weights
from bids_app.statistics import fisher_mean
from bids_app.threads import ordered_map

Matrices = Callable[[int, int], Sequence[NDArray[Any]]]

# Vertices fitted at a time.
_CHUNK = 512


def fitted_sums(study: Study, weights: Weights, n_threads: int = 1) -> FloatArray:
    """Sums of w r with the fitted accuracies.

    Parameters
    ----------
    study : Study
    weights : array or callable
        As for `linear_music_null`.
    n_threads : int
        Chunks of vertices worked on at a time.

    Returns
    -------
    (n_summaries,) float64
        Where there is no accuracy, it counts as zero.
    """
    weigh, n_summaries = study.weights_of(weights)
    r = np.nan_to_num(fitted_accuracies(study, n_threads), nan=0.0)
    out = np.zeros(n_summaries)
    step = study.step(n_summaries, _CHUNK)
    for start in range(0, study.n_vertices, step):
        part = slice(start, min(start + step, study.n_vertices))
        out += np.einsum("splv,plv->s", weigh(part), r[..., part], dtype=np.float64)
    return out


def fitted_accuracies(study: Study, n_threads: int = 1) -> Float32Array:
    """Mean held-out r over folds at the given penalties.

    Parameters
    ----------
    study : Study
    n_threads : int
        Chunks of vertices worked on at a time.

    Returns
    -------
    (n_participants, n_layers, n_vertices) float32
        NaN where there are no responses or no penalty.
    """
    shape = (study.n_participants, study.n_layers, study.n_vertices)
    out = np.full(shape, np.nan, dtype=np.float32)
    starts = range(0, study.n_vertices, _CHUNK)
    for clock in study.clocks:
        for layer in range(study.n_layers):
            plan: Plan = clock.plans[layer]
            run = partial(_part, study, clock, layer, plan, cache(plan.resolution.make))
            for start, r in zip(starts, ordered_map(run, starts, n_threads), strict=True):
                out[clock.participants, layer, start : start + _CHUNK] = r
    return out


def _part(
    study: Study, clock: Clock, layer: int, plan: Plan, matrices_of: Matrices, start: int
) -> Float32Array:
    part = slice(start, min(start + _CHUNK, study.n_vertices))
    chosen = study.chosen[clock.participants, layer][..., part]
    return _accuracies(clock, plan, matrices_of, study.spectra(clock, part), chosen)


def _accuracies(
    clock: Clock, plan: Plan, matrices_of: Matrices, spectra: Spectra, chosen: NDArray[np.integer]
) -> Float32Array:
    """(n_participants, n_vertices) of one layer; chosen (n_participants, n_folds, n_vertices)."""
    scored, trained = (
        [np.concatenate([one.real, one.imag], axis=1) for one in side]
        for side in (spectra.scored, spectra.trained)
    )
    by_segment = np.full((len(clock.segments), len(scored[0])), np.nan)
    for segment, fold in enumerate(clock.fold_of):
        index = chosen[:, fold].ravel()
        for alpha in np.unique(index[index < clock.n_alphas]).tolist():
            series = np.flatnonzero(index == alpha)
            matrices = matrices_of(segment, alpha)
            predicted = np.zeros((len(series), scored[segment].shape[1]))
            for i, matrix in zip(clock.sources[segment], matrices, strict=True):
                predicted += trained[i][series] @ matrix.T
            target = scored[segment][series].astype(np.float64)
            norms = np.linalg.norm(predicted, axis=1) * np.linalg.norm(target, axis=1)
            product = np.einsum("nf,nf->n", predicted, target)
            by_segment[segment, series] = np.divide(
                product, norms, out=np.full(len(series), np.nan), where=norms > 0
            )
    mean = np.mean if plan.plain_mean else fisher_mean
    folds = [np.flatnonzero(np.asarray(clock.fold_of) == k) for k in sorted(set(clock.fold_of))]
    r = [by_segment[f[0]] if len(f) == 1 else mean(by_segment[f], axis=0) for f in folds]
    return np.asarray(mean(np.stack(r), axis=0).reshape(spectra.valid.shape), dtype=np.float32)
