"""The group's accuracy against chance alignment with the music: one null for everybody.

Participants heard the same few pieces, so that an accident of these pieces is shared and flipping
participants' signs does not see it. Here the responses' Fourier phases are rotated, the same
rotation for all participants, vertices and layers, with the model refit at the chosen penalties.
The standard deviation of the group mean follows in closed form from spectra crossed between the
stimuli and summed over participants; the mean is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special

from bids_app.errors import BadDataError, check_shape
from bids_app.group.stimulus_weights import (
    PredictionModel,
    StackedWeights,
    spectra_of,
)
from bids_app.group.threads import ordered_map
from bids_app.statistics import benjamini_hochberg, fisher_z

FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex64]
IntArray = npt.NDArray[np.intp]

_CHUNK = 128


@dataclass(frozen=True, eq=False)
class StimulusNull:
    """Null of the group's mean accuracy over music.

    Attributes
    ----------
    sd : (n_layers, n_vertices) float64
        Standard deviation of the group mean under shared phase rotation; NaN where no
        participant has responses.
    p : (n_layers, n_vertices) float64
        One-sided p of the group mean; Gaussian.
    q : (n_layers, n_vertices) float64
        Benjamini-Hochberg over vertices, layer by layer.
    n : (n_vertices,) int
        Participants with responses.
    """

    sd: FloatArray
    p: FloatArray
    q: FloatArray
    n: npt.NDArray[np.int64]


def median_penalty(alphas: npt.ArrayLike, grid: npt.ArrayLike) -> IntArray:
    """Index of the median penalty per vertex.

    Parameters
    ----------
    alphas : (n_values, ..., n_vertices) array
        Penalties over participants (and folds, if they come first too); NaN are left out.
    grid : (n_alphas,) array
        Penalties to choose from, ascending.

    Returns
    -------
    (..., n_vertices) int
        Nearest entry of the grid on a logarithmic scale; 0 where all are NaN.
    """
    logs = np.log(np.asarray(alphas, dtype=np.float64))
    ordered = np.sort(logs, axis=0)
    count = np.isfinite(logs).sum(axis=0)
    middle = np.maximum(count - 1, 0) // 2
    median = np.take_along_axis(ordered, middle[np.newaxis], axis=0)[0]
    points = np.log(np.asarray(grid, dtype=np.float64))
    borders = (points[1:] + points[:-1]) / 2
    return np.searchsorted(borders, np.where(count > 0, median, -np.inf)).astype(np.intp)


def stimulus_null(
    responses: Sequence[npt.NDArray],
    models: Iterable[PredictionModel],
    penalty: npt.ArrayLike,
    mean_r: npt.ArrayLike,
    *,
    n_threads: int = 1,
) -> StimulusNull:
    """Closed-form null of the mean accuracy over participants, phases shared.

    Parameters
    ----------
    responses : sequence of (n_participants, n_times, n_vertices) arrays
        Cleaned responses at the rows each segment is scored on; z-scored here. They may be memory
        mapped. A participant is missing at a vertex that is constant or not finite in any segment.
    models : iterable of PredictionModel
        One per layer; the same segments, sources and folds for all. A generator saves memory: no
        model is kept.
    penalty : (n_layers, n_vertices) int array
        Index of the penalty that stands for all participants and folds (`median_penalty`).
    mean_r : (n_layers, n_vertices) array
        Group mean accuracy.
    n_threads : int
        Chunks of vertices worked on at a time; results do not depend on it.

    Returns
    -------
    StimulusNull
        Standard deviation, p, q.

    Raises
    ------
    BadDataError
        If shapes disagree.

    Notes
    -----
    First order: r is scaled by the expected norm of its prediction, averaged over participants.
    `refit_stimulus_null` draws the same null without these approximations.
    """
    penalty, mean_r = np.asarray(penalty), np.asarray(mean_r, dtype=np.float64)
    _check(responses, penalty, mean_r)
    weights = StackedWeights(_checked(models, responses), penalty)
    n_vertices = responses[0].shape[2]
    starts = range(0, n_vertices, _CHUNK)

    def run(start: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        part = slice(start, min(start + _CHUNK, n_vertices))
        spectra, valid = spectra_of(responses, part)
        return weights.variance(spectra, valid, part), valid.sum(axis=0)

    sd, n = np.empty(mean_r.shape), np.empty(n_vertices, dtype=np.int64)
    for index, (variance, count) in enumerate(ordered_map(run, starts, n_threads)):
        part = slice(starts[index], starts[index] + len(count))
        sd[:, part], n[part] = np.sqrt(variance), count
    sd[:, n < 1] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        p = special.ndtr(-mean_r / sd)
    return StimulusNull(sd=sd, p=p, q=benjamini_hochberg(p, axis=-1), n=n)


def refit_stimulus_null(
    responses: Sequence[npt.NDArray],
    model: PredictionModel,
    penalty: npt.ArrayLike,
    *,
    phases: Callable[[int, int, int], FloatArray],
    n_draws: int = 200,
) -> FloatArray:
    """Draw the same null by refits, every participant with its own penalties.

    Parameters
    ----------
    responses : sequence of (n_participants, n_times, n_vertices) arrays
        As for `stimulus_null`.
    model : PredictionModel
        One layer.
    penalty : (n_participants, n_folds, n_vertices) int array
        Index of each participant's penalty.
    phases : callable
        (draw, segment, n_freq) -> phases, the same for all participants.
    n_draws : int
        Draws of phases.

    Returns
    -------
    (n_draws, n_vertices) float64
        Group mean of Fisher z over folds and participants, under shared random phases.
    """
    n_vertices = responses[0].shape[2]
    spectra, valid = spectra_of(responses, slice(0, n_vertices))
    penalty = np.asarray(penalty)
    n_participants = len(valid)
    draws = np.zeros((n_draws, n_vertices))

    matrices_of = cache(model.matrices)
    shares = model.shares
    # Each group of participants, vertices and penalty is one matrix product per draw.
    for draw in range(n_draws):
        turned = [
            _rotate(one, size, phases(draw, segment, one.shape[2]))
            for segment, (one, size) in enumerate(zip(spectra, model.n_times, strict=True))
        ]
        real = [np.concatenate([one.real, one.imag], axis=2) for one in turned]
        z = np.zeros((n_participants, n_vertices))
        for segment, fold in enumerate(model.fold_of):
            target = real[segment]
            for alpha in np.unique(penalty[:, fold]):
                who, where = np.nonzero(penalty[:, fold] == alpha)
                parts = zip(model.sources[segment], matrices_of(segment, int(alpha)), strict=True)
                predicted = sum(real[i][who, where] @ matrix.T for i, matrix in parts)
                y = target[who, where]
                product = np.einsum("kf,kf->k", predicted, y)
                norm = np.linalg.norm(predicted, axis=1) * np.linalg.norm(y, axis=1)
                r = product / np.where(norm > 0, norm, 1.0)
                z[who, where] += shares[segment] * fisher_z(r)
        draws[draw] = (z * valid).sum(axis=0) / np.maximum(valid.sum(axis=0), 1)
    return draws


def _rotate(spectrum: ComplexArray, n_times: int, phases: FloatArray) -> ComplexArray:
    turn = np.exp(1j * phases)
    if n_times % 2 == 0:
        turn[-1] = 1
    return (spectrum * turn).astype(np.complex64)


def _checked(
    models: Iterable[PredictionModel], responses: Sequence[npt.NDArray]
) -> Iterator[PredictionModel]:
    lengths = [array.shape[1] for array in responses]
    first = None
    for index, model in enumerate(models):
        layout = ([list(sources) for sources in model.sources], list(model.fold_of))
        first = first or layout
        if list(model.n_times) != lengths or layout != first:
            raise BadDataError(
                "Responses do not have the lengths of the model's segments, or models differ in "
                "their folds.",
                where=f"models[{index}]",
                found=f"responses of {lengths} samples, folds {layout}",
                wanted=f"{list(model.n_times)}, folds {first}",
                remedy="Cut the responses to the rows that the model keeps.",
            )
        yield model


def _check(responses: Sequence[npt.NDArray], penalty: npt.NDArray, mean_r: npt.NDArray) -> None:
    check_shape("responses", responses, "n_segments")
    n_participants, n_vertices = len(responses[0]), responses[0].shape[-1]
    for index, array in enumerate(responses):
        check_shape(f"responses[{index}]", array, n_participants, "n_times", n_vertices)
    check_shape("mean_r", mean_r, "n_layers", n_vertices)
    check_shape("penalty", penalty, *mean_r.shape)
