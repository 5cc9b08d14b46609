"""Columns of a general linear model: rating changes, conditions, music, nuisance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.emotion.ratings import check_course, sample_course
from bids_app.errors import FINITE, ONE_OF_THESE, BadDataError, UsageError, check_shape

FloatArray = NDArray[np.float64]

# Fine enough for ratings at 5 Hz and repetition times up to 5 s.
OVERSAMPLING = 50


@dataclass(frozen=True, eq=False)
class Design:
    """A design matrix.

    Attributes
    ----------
    matrix : (n_times, n_regressors) float64
        Effects first, then nuisance (unit length), then the constant.
    names : tuple of n_regressors str
    """

    matrix: FloatArray
    names: tuple[str, ...]

    def contrast(self, weights: Mapping[str, float]) -> FloatArray:
        """Weights of all columns, (n_regressors,).

        Raises
        ------
        UsageError
            If a name is none of a column; those there are named.
        """
        unknown = sorted(set(weights) - set(self.names))
        if unknown:
            raise UsageError(
                "A contrast names what is not in the design.",
                where=", ".join(unknown),
                found=", ".join(self.names),
                wanted="names of these columns",
                remedy="correct the name, or add the column to the design",
            )
        return np.array([float(weights.get(name, 0.0)) for name in self.names])


def convolved(
    onsets: ArrayLike,
    durations: ArrayLike,
    amplitudes: ArrayLike,
    frame_times: ArrayLike,
    *,
    hrf: str = "spm",
) -> FloatArray:
    """Boxcars convolved with nilearn's canonical hemodynamic response.

    Parameters
    ----------
    onsets, durations, amplitudes : (n_events,) array
        Seconds on the clock of `frame_times`, and heights.
    frame_times : (n_times,) array
        When the volumes were sampled, in seconds, equally spaced.
    hrf : {"spm", "glover"}
        Canonical response, of unit sum: a lasting amplitude of 1 is a regressor of 1.

    Returns
    -------
    (n_times,) float64

    Raises
    ------
    UsageError
        If the response is unknown.

    Examples
    --------
    >>> frames = np.arange(0.0, 60.0, 2.0)
    >>> column = convolved([10.0], [1.0], [1.0], frames)  # one second of music at 10 s
    >>> column.shape, float(frames[column.argmax()])
    ((30,), 16.0)
    >>> lasting = convolved([0.0], [60.0], [1.0], frames)
    >>> round(float(lasting[20]), 1)  # an amplitude of 1 that lasts
    1.0
    """
    from nilearn.glm.first_level import compute_regressor

    if hrf not in ("spm", "glover"):
        raise UsageError(
            "Unknown response.", where="hrf", found=hrf, wanted="spm or glover", remedy=ONE_OF_THESE
        )
    condition = np.vstack([np.asarray(x, float) for x in (onsets, durations, amplitudes)])
    frames = np.asarray(frame_times, dtype=np.float64)
    # Ratings of music that began before the first volume count too.
    earliest = min(-24.0, float(condition[0].min(initial=0.0) - frames[0]) - 1.0)
    columns, _ = compute_regressor(
        condition, hrf, frames, oversampling=OVERSAMPLING, min_onset=earliest
    )
    return np.asarray(columns[:, 0], dtype=np.float64)


def convolved_course(
    times: ArrayLike, values: ArrayLike, frame_times: ArrayLike, *, shift: float, hrf: str = "spm"
) -> FloatArray:
    """A course over the music, zero outside it, convolved with the hemodynamic response.

    Parameters
    ----------
    times, values : (n_samples,) array
        Course, in seconds into the audio file; each sample lasts half way to its neighbors.
    frame_times : (n_times,) array
        When the volumes were sampled, in seconds of the run.
    shift : float
        Seconds of the run minus seconds of the audio file (onset minus offset).
    hrf : {"spm", "glover"}
        As for `convolved`.

    Returns
    -------
    (n_times,) float64

    Raises
    ------
    BadDataError, UsageError
        As `check_course` and `convolved`.

    Examples
    --------
    >>> times, frames = np.arange(0.0, 60.0), np.arange(0.0, 90.0, 2.0)
    >>> rating = np.where(times < 30, 0.0, 1.0)  # felt from second 30 of the piece
    >>> column = convolved_course(times, rating, frames, shift=10.0)  # music starts at 10 s
    >>> rises = frames[column > 0.5]
    >>> column.shape, float(rises[0]), float(rises[-1])
    ((45,), 46.0, 74.0)
    """
    t, v = check_course(times, values)
    middle = (t[1:] + t[:-1]) / 2
    borders = np.concatenate([t[:1], middle, t[-1:]])
    return convolved(borders[:-1] + shift, np.diff(borders), v, frame_times, hrf=hrf)


def delayed_course(
    times: ArrayLike,
    values: ArrayLike,
    frame_times: ArrayLike,
    *,
    shift: float,
    delays: Sequence[float],
    width: float,
) -> FloatArray:
    """A course at several delays, zero outside its samples (finite impulse response).

    Parameters
    ----------
    times, values, frame_times, shift
        As for `convolved_course`.
    delays : sequence of float
        Seconds; column d holds the course at ``frame - d``: positive where the brain follows the
        rating, negative where it precedes it.
    width : float
        Seconds to average over, the repetition time.

    Returns
    -------
    (n_times, n_delays) float64

    Raises
    ------
    BadDataError
        If the course does not overlap the run at some delay.

    Examples
    --------
    >>> times, frames = np.arange(0.0, 60.0), np.arange(0.0, 60.0, 2.0)
    >>> rating = np.exp(-((times - 30) ** 2) / 8)  # a peak at 30 s
    >>> columns = delayed_course(times, rating, frames, shift=0.0, delays=[-4, 0, 4], width=2.0)
    >>> columns.shape, frames[columns.argmax(axis=0)].tolist()
    ((30, 3), [26.0, 30.0, 34.0])
    """
    frames = np.asarray(frame_times, dtype=np.float64) - shift
    columns = [sample_course(times, values, frames - d, width=width) for d in delays]
    return np.nan_to_num(np.stack(columns, axis=1))


def build_design(
    effects: Mapping[str, FloatArray], nuisance: Sequence[FloatArray | None], n_times: int
) -> Design:
    """Assemble a design matrix.

    Parameters
    ----------
    effects : mapping from name to (n_times,) array
        Columns of interest, kept in their units.
    nuisance : sequence of (n_times, n_columns) arrays or None
        Confounds, drift, ...; centered and scaled to unit length, constant columns left out.
    n_times : int
        Volumes.

    Returns
    -------
    Design

    Raises
    ------
    BadDataError
        If a length differs or a value is not finite.

    Examples
    --------
    >>> effects = {"tension": np.array([0.0, 1.0, 2.0, 1.0, 0.0])}
    >>> motion = np.array([[0.1], [0.3], [0.2], [0.1], [0.4]])
    >>> design = build_design(effects, [motion, None], 5)
    >>> design.matrix.shape, design.names
    ((5, 3), ('tension', 'nuisance1_1', 'constant'))
    >>> design.contrast({"tension": 1.0}).tolist()
    [1.0, 0.0, 0.0]
    """
    columns, names = [], []
    for name, column in effects.items():
        columns.append(_checked(np.asarray(column, dtype=np.float64)[:, None], n_times, name))
        names.append(name)
    for index, part in enumerate(nuisance, start=1):
        if part is None or part.size == 0:
            continue
        values = _checked(np.asarray(part, dtype=np.float64), n_times, f"nuisance {index}")
        centered = values - values.mean(axis=0)
        length = np.linalg.norm(centered, axis=0)
        use = length > 1e-10 * np.abs(values).max(axis=0, initial=0.0) * np.sqrt(n_times)
        columns.append(centered[:, use] / length[use])
        names += [f"nuisance{index}_{k + 1}" for k in range(int(use.sum()))]
    columns.append(np.ones((n_times, 1)))
    return Design(np.hstack(columns), (*names, "constant"))


def _checked(values: FloatArray, n_times: int, name: str) -> FloatArray:
    check_shape(name, values, n_times, "n_columns")
    if not np.isfinite(values).all():
        raise BadDataError(
            "A regressor holds values that are not finite.",
            where=name,
            found=f"{np.count_nonzero(~np.isfinite(values))} of {values.size}",
            wanted="finite values",
            remedy=FINITE,
        )
    return values
