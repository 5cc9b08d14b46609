"""Effects of ratings against chance agreement with the music.

Everybody rated and heard the same few pieces. An accidental agreement with these pieces is the same
in everybody, so that sign flips do not detect it. The null rotates the Fourier phases of
everybody's regressors alike, with one set of phases per piece for all scales. An effect is linear
in its regressors and hence a sum of cosines and sines of the phases; the mean over participants is
the mean of these sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from bids_app.emotion.design import Design
from bids_app.errors import BadDataError, check_shape

FloatArray = npt.NDArray[np.float64]

# Vertices worked on at a time; does not change the result.
_CHUNK = 4096
# Of a frequency's energy outside the nuisance: frequencies that are nearly gone stay small.
_LEAST = 0.1


@dataclass(frozen=True, eq=False)
class PhaseTest:
    """Effects against those of regressors with random phases.

    Attributes
    ----------
    sd : (n_maps, n_vertices) float64
        Standard deviation of the null, in closed form; NaN where there is no effect.
    p : (n_maps, n_vertices) float64
        Two-sided, Gaussian, of each map and vertex by itself.
    p_max : (n_maps, n_vertices) float64
        Two-sided, corrected by the largest size over maps and vertices of each draw.
    null_max : (n_draws,) float64
        That largest size, in standard deviations.
    """

    sd: FloatArray
    p: FloatArray
    p_max: FloatArray
    null_max: FloatArray


def n_frequencies(n_rows: int, tr: float, highest: float = np.inf) -> int:
    """Number of frequencies of consecutive rows that have a phase.

    Parameters
    ----------
    n_rows : int
    tr : float
        Seconds between rows.
    highest : float
        Largest frequency, Hz.

    Returns
    -------
    int

    Examples
    --------
    >>> n_frequencies(100, 2.0), n_frequencies(100, 2.0, highest=0.1)
    (49, 20)
    """
    most = np.floor(min(highest * n_rows * tr, n_rows) + 1e-9)
    return max(0, min((n_rows - 1) // 2, int(most)))


def turned_effects(
    bold: npt.NDArray[np.floating],
    design: Design,
    contrasts: npt.NDArray[np.floating],
    autocorrelation: npt.NDArray[np.floating],
    windows: Sequence[slice],
    n_freq: Sequence[int],
) -> list[npt.NDArray[np.float32]]:
    """Effects of a run as sums of cosines and sines of the phases of their regressors.

    Responses and regressors are whitened, and nuisance is regressed out, as in the model. Within a
    window the effect of regressors whose Fourier coefficients are multiplied by exp(i phase) is

        fixed + sum over f of  cosine_f cos(phase_f) + sine_f sin(phase_f)

    Rotated regressors share variance with the nuisance, the observed regressors do not. A factor
    per frequency corrects for this loss.

    Parameters
    ----------
    bold : (n_times, n_vertices) array
        As for `fit_run`.
    design : Design
    contrasts : (n_contrasts, n_regressors) array
        Of columns of interest. Columns that no contrast weights are nuisance.
    autocorrelation : (n_vertices,) array
        At lag 1 (`GlmEstimate`).
    windows : sequence of slice
        Rows of each presentation, without overlap.
    n_freq : sequence of int
        Frequencies of each window that are rotated: cycles 1, 2, ... per window.

    Returns
    -------
    list of (n_contrasts, 1 + 2 * n_freq, n_vertices) float32
        Of each window: what is not rotated (mean, higher frequencies; in the first window also the
        rows outside all windows), then cosine and sine of frequency 1, of frequency 2, and so on.
        NaN where the autocorrelation is NaN.

    Raises
    ------
    BadDataError
        If shapes disagree or there is no window.

    Examples
    --------
    >>> from bids_app.emotion import build_design, fit_run
    >>> rng = np.random.default_rng(0)
    >>> tension = rng.standard_normal(120)  # change of felt tension in two pieces of 60 volumes
    >>> design = build_design({"tension": tension}, [], 120)
    >>> weights = design.contrast({"tension": 1.0})[np.newaxis]
    >>> bold = np.outer(tension, [1.0, 0.0]) + rng.standard_normal((120, 2))
    >>> fit = fit_run(bold, design, weights)
    >>> windows = [slice(0, 60), slice(60, 120)]
    >>> parts = turned_effects(bold, design, weights, fit.rho, windows, [29, 29])
    >>> [part.shape for part in parts]  # constant, cosine and sine of 29 frequencies
    [(1, 59, 2), (1, 59, 2)]
    >>> unrotated = sum(part[:, 0] + part[:, 1::2].sum(axis=1) for part in parts)
    >>> np.allclose(unrotated, fit.effect, atol=1e-4)  # all phases zero
    True
    """
    weights = np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
    n_times, n_vertices = bold.shape
    check_shape("design", design.matrix, n_times, "n_regressors")
    check_shape("contrasts", weights, "n_contrasts", design.matrix.shape[1])
    check_shape("autocorrelation", autocorrelation, n_vertices)
    if not windows or len(windows) != len(n_freq):
        raise BadDataError(
            "Windows and their frequencies do not fit together.",
            where="windows",
            found=f"{len(windows)} windows, {len(n_freq)} numbers of frequencies",
            wanted="one number of frequencies for each window, and a window",
            remedy="give both for every presentation of music",
        )
    scale = np.linalg.norm(design.matrix, axis=0)
    matrix, weights = (
        design.matrix / np.where(scale > 0, scale, 1),
        weights / np.where(scale > 0, scale, 1),
    )
    interest = (weights != 0).any(axis=0)
    found = [np.full((len(weights), 1 + 2 * n, n_vertices), np.nan, np.float32) for n in n_freq]
    for rho in np.unique(autocorrelation[np.isfinite(autocorrelation)]):
        columns = np.flatnonzero(autocorrelation == rho)
        whitened = _whiten(matrix, rho)
        regressors = weights @ np.linalg.pinv(whitened)
        basis, sizes, _ = np.linalg.svd(whitened[:, ~interest], full_matrices=False)
        basis = basis[:, sizes > 1e-10 * sizes.max(initial=0.0)]
        for start in range(0, len(columns), _CHUNK):
            part = columns[start : start + _CHUNK]
            series = _whiten(np.asarray(bold[:, part], dtype=np.float64), rho)
            series -= basis @ (basis.T @ series)
            parts = _turn(regressors, series, windows, n_freq, basis)
            for own, values in zip(found, parts, strict=True):
                own[:, :, part] = values
    return found


def _whiten(series: FloatArray, rho: float) -> FloatArray:
    """Series of AR(1) errors made white; the first row stays, as nilearn has it."""
    result = series.copy()
    result[1:] -= rho * series[:-1]
    return result


def _turn(
    regressors: FloatArray,
    series: FloatArray,
    windows: Sequence[slice],
    n_freq: Sequence[int],
    nuisance: FloatArray,
) -> list[FloatArray]:
    """Terms of every window; `nuisance` is an orthonormal basis of what the series were freed of.

    A rotated regressor has a part of its energy in the space of the nuisance, where the series have
    none, and the observed regressor has no such part. Terms are therefore scaled, frequency by
    frequency, to the size that they would have without that loss.
    """
    parts = []
    for window, n in zip(windows, n_freq, strict=True):
        x, y = regressors[:, window], series[window]
        kept = slice(1, n + 1)
        left, right = np.fft.rfft(x, axis=1)[:, kept], np.fft.rfft(y, axis=0)[kept]
        crossed = (2 / x.shape[1]) * left[:, :, np.newaxis] * right.conj()
        inside = np.abs(np.fft.rfft(nuisance[window], axis=0)[kept]) ** 2
        left_over = np.maximum(1 - inside.sum(axis=1) / x.shape[1], _LEAST)
        effects = crossed.real.sum(axis=1)
        crossed /= np.sqrt(left_over)[:, np.newaxis]
        values = np.empty((len(regressors), 1 + 2 * n, series.shape[1]))
        values[:, 1::2], values[:, 2::2] = crossed.real, -crossed.imag
        values[:, 0] = x @ y - effects
        parts.append(values)
    covered = np.zeros(len(series), dtype=bool)
    for window in windows:
        covered[window] = True
    parts[0][:, 0] += regressors[:, ~covered] @ series[~covered]
    return parts


def combine_turned(
    runs: Sequence[tuple[FloatArray, Sequence[str], Sequence[npt.NDArray[np.float32]]]],
) -> dict[str, npt.NDArray[np.float32]]:
    """Fixed effects over runs of what `turned_effects` gives, per piece of music.

    Parameters
    ----------
    runs : sequence of (variance, stimuli, parts)
        Of each run: variance of its effects, (n_contrasts, n_vertices), the stimulus of each
        window, and what `turned_effects` gave. Windows of one stimulus have the same phases.

    Returns
    -------
    dict from stimulus to (n_contrasts, 1 + 2 * n_freq, n_vertices) float32
        Weighted as `fixed_effects` does; shorter presentations have no higher frequencies.

    Examples
    --------
    >>> first = np.array([[1.0]]), ["waltz"], [np.full((1, 3, 1), 4.0)]  # variance 1
    >>> second = np.array([[3.0]]), ["waltz"], [np.full((1, 3, 1), 8.0)]  # variance 3
    >>> combine_turned([first, second])["waltz"].ravel().tolist()  # weights 3/4 and 1/4
    [5.0, 5.0, 5.0]
    """
    precision = [1.0 / variance for variance, _, _ in runs]
    total = np.sum(precision, axis=0)
    found: dict[str, npt.NDArray[np.float32]] = {}
    for own, (_, stimuli, parts) in zip(precision, runs, strict=True):
        share = (own / total)[:, np.newaxis]
        for stimulus, values in zip(stimuli, parts, strict=True):
            found[stimulus] = _add(found.get(stimulus), (share * values).astype(np.float32))
    return found


def _add(
    first: npt.NDArray[np.float32] | None, second: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Sum of two arrays of cosines and sines, the shorter one continued by zeros."""
    if first is None:
        return second
    longer, shorter = sorted((first, second), key=lambda one: one.shape[1], reverse=True)
    longer = longer.copy()
    longer[:, : shorter.shape[1]] += shorter
    return longer


def add_turned(
    total: dict[str, npt.NDArray[np.float32]], more: Mapping[str, npt.NDArray[np.float32]]
) -> None:
    """Add the terms of one participant to a sum over participants, in place.

    Parameters
    ----------
    total, more : mapping from stimulus to (n_maps, 1 + 2 n_freq, n_vertices) array
        As from `combine_turned`. NaN of `more` adds nothing.

    Examples
    --------
    >>> total: dict = {}
    >>> for one in (1.0, 2.0, np.nan):  # the third participant has no effect
    ...     add_turned(total, {"waltz": np.full((1, 3, 1), one, dtype=np.float32)})
    >>> total["waltz"].ravel().tolist()
    [3.0, 3.0, 3.0]
    """
    for stimulus, values in more.items():
        total[stimulus] = _add(total.get(stimulus), np.nan_to_num(values))


def turned_sd(turned: Mapping[str, npt.NDArray[np.floating]]) -> FloatArray:
    """Standard deviation of effects whose regressors have random phases.

    Parameters
    ----------
    turned : mapping from stimulus to (n_maps, 1 + 2 * n_freq, n_vertices) array
        As from `combine_turned`. What is not rotated has a random sign.

    Returns
    -------
    (n_maps, n_vertices) float64

    Examples
    --------
    >>> terms = np.array([[[1.0], [2.0], [2.0]]])  # fixed, cosine and sine of one frequency
    >>> turned_sd({"waltz": terms, "march": 2 * terms}).tolist()
    [[5.0]]
    """
    variance = 0.0
    for values in turned.values():
        squares = np.asarray(values, dtype=np.float64) ** 2
        variance = variance + squares[:, 0] + squares[:, 1:].sum(axis=1) / 2
    return np.sqrt(np.asarray(variance))


def phase_test(
    effect: npt.ArrayLike,
    turned: Mapping[str, npt.NDArray[np.floating]],
    *,
    phases: Callable[[str, int, int], FloatArray],
    signs: Callable[[str, int], FloatArray],
    n_draws: int,
) -> PhaseTest:
    """Test mean effects over participants against random phases shared by all of them.

    Terms that are not rotated (means and the highest frequencies) get a random sign.

    Parameters
    ----------
    effect : (n_maps, n_vertices) array
        Mean effects as they are reported; NaN where there is none.
    turned : mapping from stimulus to (n_maps, 1 + 2 * n_freq, n_vertices) array
        Means over the same participants of what `combine_turned` gives.
    phases : callable
        (stimulus, draw, n_freq) -> phases (`bids_app.seeds.random_phases`).
    signs : callable
        (stimulus, n_draws) -> plus and minus ones.
    n_draws : int

    Returns
    -------
    PhaseTest

    Raises
    ------
    BadDataError
        If shapes disagree.

    Examples
    --------
    >>> from bids_app.emotion import build_design, fit_run
    >>> from bids_app.seeds import generator, random_phases
    >>> rng = np.random.default_rng(0)
    >>> tension = rng.standard_normal(120)  # change of felt tension in two pieces of 60 volumes
    >>> design = build_design({"tension": tension}, [], 120)
    >>> weights = design.contrast({"tension": 1.0})[np.newaxis]
    >>> bold = np.outer(tension, [1.0, 0.0]) + rng.standard_normal((120, 2))
    >>> fit = fit_run(bold, design, weights)
    >>> windows = [slice(0, 60), slice(60, 120)]
    >>> parts = turned_effects(bold, design, weights, fit.rho, windows, [29, 29])
    >>> null = phase_test(
    ...     fit.effect,
    ...     combine_turned([(fit.variance, ["march", "waltz"], parts)]),
    ...     phases=lambda stimulus, draw, n: random_phases(0, stimulus, draw, n),
    ...     signs=lambda stimulus, n: generator(0, "signs", stimulus).choice([-1.0, 1.0], n),
    ...     n_draws=200,
    ... )
    >>> (null.p_max < 0.05).tolist(), null.null_max.shape
    ([[True, False]], (200,))
    """
    observed = np.asarray(effect, dtype=np.float64)
    check_shape("effect", observed, "n_maps", "n_vertices")
    turns, n_vertices = {}, observed.shape[1]
    for stimulus, values in turned.items():
        check_shape(f"turned[{stimulus}]", values, len(observed), "n_terms", n_vertices)
        n_freq = (values.shape[1] - 1) // 2
        angle = np.stack([phases(stimulus, draw, n_freq) for draw in range(n_draws)])
        turn = np.empty((n_draws, values.shape[1]), dtype=np.float32)
        turn[:, 0] = signs(stimulus, n_draws)
        turn[:, 1::2], turn[:, 2::2] = np.cos(angle), np.sin(angle)
        turns[stimulus] = turn
    sd = np.broadcast_to(turned_sd(turned), observed.shape)
    tested = np.isfinite(observed) & (sd > 0)
    sd = np.where(tested, sd, np.nan)
    largest = np.zeros(n_draws)
    for row in range(len(observed)):
        for start in range(0, n_vertices, _CHUNK):
            part = np.flatnonzero(tested[row, start : start + _CHUNK]) + start
            if not part.size:
                continue
            drawn = np.zeros((n_draws, part.size), dtype=np.float32)
            for stimulus, values in turned.items():
                scaled = (values[row][:, part] / sd[row, part]).astype(np.float32)
                drawn += turns[stimulus] @ scaled
            np.maximum(largest, np.abs(drawn).max(axis=1), out=largest)
    with np.errstate(invalid="ignore"):
        size = np.abs(observed) / sd
    ordered = np.sort(largest)
    beyond = n_draws - np.searchsorted(ordered, np.nan_to_num(size), side="left")
    p_max = np.where(tested, (1 + beyond) / (1 + n_draws), np.nan)
    return PhaseTest(sd, 2 * special.ndtr(-size), p_max, largest)
