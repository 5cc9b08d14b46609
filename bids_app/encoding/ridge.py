"""Cross-validated ridge regression of many responses on one planned stimulus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bids_app.arrays import NUMPY, Arrays
from bids_app.encoding.decompose import Evaluation, Pairs, Training
from bids_app.encoding.noise import NoiseNull, noise_null, upper_scale
from bids_app.encoding.nulls import gaussian_p
from bids_app.encoding.phases import refit_draws
from bids_app.encoding.plan import EncodingPlan
from bids_app.encoding.resolution import held_out_statistics, run_tasks
from bids_app.encoding.responses import (
    Chosen,
    Responses,
    check_responses,
    response_coefficients,
    standardize,
)
from bids_app.encoding.weights import penalty_indices
from bids_app.errors import ONE_OF_THESE, UsageError, check_shape
from bids_app.statistics import benjamini_hochberg, fisher_mean

# Vertices per task. Fixed, so that results do not depend on the number of threads.
BLOCK = 1024
# Vertices whose outer folds are done together: many share a penalty, memory stays bounded.
GROUP = 24 * BLOCK
# Refits behind the null of a study with repeated stimuli.
N_REFITS = 200
# Penalties whose inner scores are this close count as tied.
TIE = 1e-6


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
        Standard deviation of the mean r under the null (for noise of a vertex' class the one
        whose normal distribution has the right 95 % point), one-sided p, Benjamini-Hochberg q
        over vertices. NaN without a null.
    edge_low, edge_high : float
        Shares of folds and usable vertices whose penalty is the first or last of the grid.
    n_degenerate : int
        Vertices that are constant or not finite in some stimulus: NaN everywhere.
    fold_stimuli : tuple of tuple of str
        Labels held out per fold.
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
    inner_score: NDArray[np.float64]
    weights: tuple[NDArray[np.float64], ...] | None = None
    predictions: tuple[NDArray[np.float64], ...] | None = None


def _squared_norms(pairs: Pairs, training: Training, spectrum: Any, arrays: Arrays = NUMPY) -> Any:
    """Squared norms of predictions at every penalty, (n_alphas, v)."""
    apart = arrays.put(pairs.apart) @ spectrum
    apart *= spectrum
    equal = arrays.put(pairs.equal)
    equal = spectrum * (equal * spectrum if equal.shape[1] == 1 else equal @ spectrum)
    of_apart, of_equal = arrays.put(training.excess), arrays.put(training.shrinkage) ** 2
    return of_apart.T @ apart + of_equal.T @ equal


def _inner_statistics(
    evaluation: Evaluation, training: Training, spectrum: Any, y: Any, arrays: Arrays
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Products y'p and p'p at every penalty, and y'y, for one held-out block."""
    target = y[arrays.put(evaluation.rows)]
    target = target - target.mean(axis=0)
    back = arrays.put(evaluation.cross).T @ target
    back *= spectrum
    product = arrays.put(training.shrinkage).T @ back
    total = arrays.dot(target, target, axis=0)
    assert evaluation.pairs is not None, "made for every inner fold"
    norms = _squared_norms(evaluation.pairs, training, spectrum, arrays)
    return arrays.back(product), arrays.back(norms), arrays.back(total)


def choose_penalty(
    score: NDArray[np.float64], selection: str
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Best penalty of each vertex.

    Parameters
    ----------
    score : ndarray, shape (n_alphas, n_vertices)
        Larger is better.
    selection : {"r", "sse"}
        With "r" the largest penalty within 1e-6 of the best score is chosen, with "sse" the
        smallest penalty of the best score.

    Returns
    -------
    chosen : ndarray of int, shape (n_vertices,)
        Index of the penalty.
    score : ndarray, shape (n_vertices,)

    Examples
    --------
    >>> score = np.array([[0.1, 0.3], [0.2, 0.3]])  # two penalties, two vertices
    >>> choose_penalty(score, "r")[0].tolist(), choose_penalty(score, "sse")[0].tolist()
    ([1, 1], [1, 0])
    """
    if selection == "sse":
        chosen = score.argmax(axis=0)
    else:
        tied = score >= score.max(axis=0) - TIE
        chosen = score.shape[0] - 1 - tied[::-1].argmax(axis=0)
    return chosen, np.take_along_axis(score, chosen[None], axis=0)[0]


def inner_scores(
    plan: EncodingPlan, y: NDArray[Any], selection: str, arrays: Arrays = NUMPY
) -> list[NDArray[np.float64]]:
    """Score of every penalty in the inner folds.

    Parameters
    ----------
    plan : EncodingPlan
    y : ndarray, shape (n_kept, n_vertices)
        Standardized responses in the plan's precision.
    selection : {"r", "sse"}
        Mean correlation, or minus the summed squared error.
    arrays : Arrays
        Where the products are done.

    Returns
    -------
    list of ndarray, each (n_alphas, n_vertices)
        One per outer fold; larger is better.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> y = np.zeros((plan.n_rows, 1))
    >>> y[:, 0] = rng.standard_normal(plan.n_rows)
    >>> scores = inner_scores(plan, y, "r")
    >>> len(scores), scores[0].shape == (plan.alphas.size, 1)
    (3, True)
    """
    scores = [np.zeros((plan.alphas.size, y.shape[1])) for _ in plan.folds]
    uses: dict[int, list[tuple[int, float]]] = {}
    for k, fold in enumerate(plan.fold_plans):
        for split in fold.inner:
            for index in split:
                uses.setdefault(index, []).append((k, 1 / (len(split) * len(fold.inner))))
    y = arrays.put(y)
    current, spectrum = -1, y
    for index in sorted(uses, key=lambda i: plan.evaluations[i].training):
        evaluation = plan.evaluations[index]
        training = plan.trainings[evaluation.training]
        if evaluation.training != current:
            current = evaluation.training
            spectrum = arrays.put(training.projector) @ y[arrays.put(training.rows)]
        product, energy, total = _inner_statistics(evaluation, training, spectrum, y, arrays)
        if selection == "sse":
            value, weighted = -(total - 2 * product + energy), False
        else:
            scale = np.sqrt(np.maximum(energy * total, 0))
            value = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
            weighted = True
        for k, weight in uses[index]:
            scores[k] += weight * value if weighted else value
    return scores


def block_size(plan: EncodingPlan, arrays: Arrays) -> int:
    """Vertices whose inner folds are done together, so that their products fit into memory.

    Parameters
    ----------
    plan : EncodingPlan
    arrays : Arrays
        Where the products are done.

    Returns
    -------
    int
    """
    return arrays.n_together(8 * plan.n_rows * plan.dtype.itemsize, BLOCK)


def _choose_block(
    plan: EncodingPlan,
    responses: Responses,
    columns: slice,
    selection: str,
    coefficients: NDArray[Any],
    arrays: Arrays,
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_]]:
    """Penalty, inner score, degenerate; the Fourier coefficients go into `coefficients`."""
    exact, degenerate = standardize(plan, responses, columns)
    y = exact.astype(plan.dtype)
    picks = [choose_penalty(score, selection) for score in inner_scores(plan, y, selection, arrays)]
    coefficients[:] = response_coefficients(plan, y)
    return np.stack([c for c, _ in picks]), np.stack([best for _, best in picks]), degenerate


def _choose_penalties(
    plan: EncodingPlan,
    responses: Responses,
    columns: slice,
    selection: str,
    n_threads: int,
    arrays: Arrays,
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_], NDArray[Any]]:
    """Penalties of a range of vertices by the inner folds, in blocks.

    Returns index of the penalty and inner score (n_folds, v), degenerate vertices (v,), and the
    Fourier coefficients (v, n_coefficients) of the standardized responses, all segments in turn.
    """
    n_coefficients = sum(2 * (segment.size // 2) for segment in plan.segments)
    coefficients = np.empty((columns.stop - columns.start, n_coefficients), dtype=plan.dtype)
    size = block_size(plan, arrays)

    def task(start: int) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_]]:
        block = slice(start, min(start + size, columns.stop))
        own = coefficients[start - columns.start : block.stop - columns.start]
        return _choose_block(plan, responses, block, selection, own, arrays)

    blocks = run_tasks(task, range(columns.start, columns.stop, size), n_threads)
    alpha, inner, degenerate = (
        np.concatenate(parts, axis=-1) for parts in zip(*blocks, strict=True)
    )
    return alpha, inner, degenerate, coefficients


def _check_options(selection: str, null: str) -> None:
    if selection not in ("r", "sse"):
        raise UsageError(
            "Unknown selection.",
            where="selection",
            found=selection,
            wanted="r or sse",
            remedy=ONE_OF_THESE,
        )
    if null not in ("analytic", "noise", "none"):
        raise UsageError(
            "Unknown null.",
            where="null",
            found=null,
            wanted="analytic, noise or none",
            remedy=ONE_OF_THESE,
        )


def fit_encoding(
    plan: EncodingPlan,
    responses: Responses,
    *,
    training: Sequence[NDArray[np.floating]] | None = None,
    selection: Literal["r", "sse"] = "r",
    null: Literal["analytic", "noise", "none"] = "analytic",
    noise: NoiseNull | None = None,
    seed: int | None = None,
    n_threads: int = 1,
    arrays: Arrays = NUMPY,
) -> EncodingResult:
    """Score a planned encoding model on responses by nested cross-validation.

    The penalty of every vertex and fold maximizes the mean inner r (the largest penalty within
    1e-6 of the best), or minimizes the summed inner squared error (the smallest at the minimum).
    Nothing is chosen on the held-out stimulus.

    Parameters
    ----------
    plan : EncodingPlan
        Stimulus side.
    responses : list of ndarray or Chosen, each (n_times, n_vertices)
        One per presentation, on the rows of the plan's Gram matrix and uncropped. Cropping
        and z-scoring within stimulus happen here.
    training : list of ndarray, each (n_times, n_vertices), optional
        Responses that choose the penalties and train the models, where these are not the scored
        responses: the mean response of other people. Such a fit has no null here.
    selection : {"r", "sse"}
        What chooses the penalty.
    null : {"analytic", "noise", "none"}
        Phase-rotation null in closed form (by 200 refits where a stimulus was presented more
        than once); noise of a vertex' own class; or none.
    noise : NoiseNull, optional
        From :func:`bids_app.encoding.noise.noise_null`, for all layers of a participant, with
        ``null="noise"``. Default: estimated here, as if no drift had been removed.
    seed : int, optional
        Seed of the refits or of the noise estimate, required for both. The closed form draws
        nothing.
    n_threads : int
        Blocks of vertices worked on at a time; results do not depend on it.
    arrays : Arrays
        Where the products are done, from :func:`bids_app.arrays.arrays_on`. Decompositions and
        nulls stay in numpy.

    Returns
    -------
    EncodingResult

    Raises
    ------
    BadDataError, UsageError
        Both ValueErrors: shapes that disagree, unknown options, a null with responses that train.

    Examples
    --------
    >>> from bids_app.encoding import plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(
    ...     features @ features.T, [60, 60, 60], delays=(2.0, 6.0), crop=6.0, tr=1.0
    ... )
    >>> driven = np.roll(features, 4, axis=0) @ rng.standard_normal(8)  # 4 s after the music
    >>> response = np.stack([driven, rng.standard_normal(180)], axis=1)
    >>> result = fit_encoding(plan, np.split(response, 3))
    >>> result.r.shape, (result.mean_r > 0.9).tolist(), (result.q < 0.05).tolist()
    ((3, 2), [True, False], [True, False])
    """
    _check_options(selection, null)
    responses = [y if isinstance(y, Chosen) else np.asarray(y) for y in responses]
    n_vertices = check_responses(plan, responses)
    sd = _StandardDeviation(plan, null, seed, n_threads, arrays)
    if null == "noise" and training is None:
        sd.noise_of(responses, noise, selection)
    trained: Responses = responses
    if training is not None:
        trained = _checked_training(plan, training, n_vertices, null)
    found = []
    for start in range(0, n_vertices, GROUP):
        columns = slice(start, min(start + GROUP, n_vertices))
        alpha, inner, bad, coefficients = _choose_penalties(
            plan, trained, columns, selection, n_threads, arrays
        )
        scored = None
        if training is not None:
            exact, silent = standardize(plan, responses, columns)
            scored, bad = response_coefficients(plan, exact.astype(plan.dtype)), bad | silent
        product, energy, total = held_out_statistics(
            plan.resolution, coefficients, alpha, n_threads, scored=scored, arrays=arrays
        )
        null_sd = sd.of(coefficients, alpha, total, columns)
        null_sd[bad] = np.nan
        found.append((alpha, inner, bad, product, energy, total, null_sd))
    return _summarize(plan, *(np.concatenate(part, axis=-1) for part in zip(*found, strict=True)))


def _checked_training(
    plan: EncodingPlan,
    training: Sequence[NDArray[np.floating]],
    n_vertices: int,
    null: str,
) -> list[NDArray[np.floating]]:
    """Responses that train, with as many vertices as the scored ones."""
    if null != "none":
        raise UsageError(
            "A null within a participant is for models trained on the participant's own responses.",
            where="null",
            found=null,
            wanted='"none" with training responses',
            remedy='give null="none", or leave the training responses out',
        )
    trained = [np.asarray(response) for response in training]
    check_responses(plan, trained)
    check_shape("training[0]", trained[0], plan.lengths[0], n_vertices)
    return trained


class _StandardDeviation:
    """Standard deviation of the mean r under the null that is asked for."""

    def __init__(
        self, plan: EncodingPlan, null: str, seed: int | None, n_threads: int, arrays: Arrays
    ) -> None:
        self._plan, self._null, self._seed, self._n_threads = plan, null, seed, n_threads
        self._arrays = arrays
        self._noise: NoiseNull | None = None
        self._simulated: EncodingResult | None = None
        self._scale = 1.0

    def noise_of(self, responses: Responses, noise: NoiseNull | None, selection: Any) -> None:
        """Take the noise of the vertices, and fit the simulated series."""
        plan = self._plan
        if noise is None:
            noise = noise_null(plan, responses, seed=self._needed_seed("noise"))
        weights = noise.vertices.weights
        check_shape("noise.vertices.weights", weights, responses[0].shape[1], weights.shape[1])
        self._noise = noise
        self._simulated = fit_encoding(
            plan,
            noise.series,
            selection=selection,
            null="none",
            n_threads=self._n_threads,
            arrays=self._arrays,
        )

    def of(
        self,
        coefficients: NDArray[Any],
        chosen: NDArray[np.intp],
        total: NDArray[np.float64],
        columns: slice,
    ) -> NDArray[np.float64]:
        """Standard deviations of a range of vertices; NaN without a null."""
        plan, n_threads = self._plan, self._n_threads
        if self._null == "none":
            return np.full(chosen.shape[1], np.nan)
        if self._noise is not None:
            return self._of_noise(self._noise, chosen, columns)
        if not plan.has_repeats:
            return plan.analytic_null.standard_deviation(coefficients, chosen, total, n_threads)
        # Repeats of a stimulus share their phases, which the closed form does not cover.
        draws = refit_draws(
            plan,
            coefficients,
            chosen,
            labels=[s.label for s in plan.segments],
            n_draws=N_REFITS,
            seed=self._needed_seed("repeated stimuli"),
            n_threads=n_threads,
        )
        return np.asarray(np.sqrt((draws.astype(np.float64) ** 2).mean(axis=0)))

    def _of_noise(
        self, noise: NoiseNull, chosen: NDArray[np.intp], columns: slice
    ) -> NDArray[np.float64]:
        """First order from expected spectra, scaled by what it is off for simulated series."""
        plan, series = self._plan, self._simulated
        power = noise.power(plan, noise.vertices, columns)
        if series is not None:  # with the first vertices, since products over pairs are shared
            own = penalty_indices(plan, series.alpha, series.mean_r.size)
            chosen = np.concatenate([chosen, own], axis=1)
            more = noise.power(plan, noise.simulated)
            power = [np.concatenate(both) for both in zip(power, more, strict=True)]
        sd = plan.analytic_null.of_power(power, chosen, self._sizes, self._n_threads)
        if series is not None:
            sd, of_series = np.split(sd, [sd.size - series.mean_r.size])
            with np.errstate(invalid="ignore", divide="ignore"):
                self._scale = upper_scale(series.mean_r / of_series)
            self._simulated = None
        return np.asarray(self._scale * sd)

    @property
    def _sizes(self) -> NDArray[np.float64]:
        """Squared norms of z-scored responses, (n_segments, 1)."""
        plan = self._plan
        return np.array([[float(s.size)] for s in plan.segments])

    def _needed_seed(self, what: str) -> int:
        if self._seed is None:
            raise UsageError(
                "A null that is drawn needs a seed.",
                where=what,
                found="no seed",
                wanted="a whole number",
                remedy='give one, or null="none"',
            )
        return self._seed


def _summarize(
    plan: EncodingPlan,
    chosen: NDArray[np.intp],
    inner: NDArray[np.float64],
    degenerate: NDArray[np.bool_],
    product: NDArray[np.float64],
    energy: NDArray[np.float64],
    total: NDArray[np.float64],
    null_sd: NDArray[np.float64],
) -> EncodingResult:
    mean = np.mean if plan.plain_mean else fisher_mean
    groups = [list(fold.segments) for fold in plan.folds]
    with np.errstate(invalid="ignore", divide="ignore"):
        r_block = product / np.sqrt(energy * total)
    r = np.stack([r_block[g[0]] if len(g) == 1 else mean(r_block[g], axis=0) for g in groups])
    alpha, inner = plan.alphas[chosen], inner.copy()
    for array in (r, alpha, inner):
        array[..., degenerate] = np.nan
    mean_r = mean(r, axis=0)
    p = gaussian_p(mean_r, null_sd)
    usable = chosen[:, ~degenerate]
    return EncodingResult(
        r=r,
        alpha=alpha,
        mean_r=mean_r,
        null_sd=null_sd,
        p=p,
        q=benjamini_hochberg(p),
        edge_low=float(np.mean(usable == 0)) if usable.size else float("nan"),
        edge_high=float(np.mean(usable == plan.alphas.size - 1)) if usable.size else float("nan"),
        n_degenerate=int(degenerate.sum()),
        fold_stimuli=tuple(fold.held_out for fold in plan.folds),
        inner_score=inner,
    )
