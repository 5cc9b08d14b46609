"""From patch times to the volumes of a run: rows, interpolation, high-pass, all linear in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bids_app.errors import BadDataError, UsageError, check_shape

# Onsets and repetition times are decimal fractions: a volume at the very end must not be lost.
_TIME_TOLERANCE = 1e-6


def stimulus_rows(
    n_volumes: int,
    tr: float,
    start_time: float,
    onset: float,
    duration: float,
    offset: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Volumes taken while the stimulus plays, and what second of it they fall on.

    Volume k is sampled at ``start_time + k * tr`` and hears second
    ``start_time + k * tr - onset + offset`` of the audio file.

    Parameters
    ----------
    n_volumes : int
        Length of the run.
    tr : float
        Repetition time in seconds.
    start_time : float
        Seconds from the start of the run to the sampling time of its first volume (slice
        reference, and volumes that were removed).
    onset : float
        Seconds from the start of the run to the start of the music.
    duration : float
        Seconds that the music plays.
    offset : float
        Second of the audio file with which the music starts.

    Returns
    -------
    rows : array of int of shape (n_times,)
        Numbers of the volumes, from 0.
    times : array of shape (n_times,)
        Seconds in the audio file.

    Raises
    ------
    UsageError
        A repetition time or duration that is not positive, or an argument that is not finite.
    BadDataError
        No volume was taken while the music played.
    """
    values = {
        "tr": tr,
        "start_time": start_time,
        "onset": onset,
        "duration": duration,
        "offset": offset,
    }
    for name, value in values.items():
        positive = name not in ("tr", "duration") or value > 0
        if not (np.isfinite(value) and positive):
            wanted = "a positive number" if name in ("tr", "duration") else "a finite number"
            raise UsageError("A time cannot be used.", where=name, found=value, wanted=wanted)
    played = start_time + tr * np.arange(n_volumes) - onset
    rows = np.flatnonzero((played >= -_TIME_TOLERANCE) & (played <= duration + _TIME_TOLERANCE))
    if rows.size == 0:
        raise BadDataError(
            "No volume was taken while the stimulus played.",
            found=f"music from {onset:g} to {onset + duration:g} s, "
            f"volumes from {start_time:g} to {start_time + tr * (n_volumes - 1):g} s",
            remedy="check the onset in the events file or in the stimulus table",
        )
    return rows, played[rows] + offset


def interpolation_matrix(patch_times: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Linear interpolation from patch centers to other times, as a matrix.

    Before the first and after the last center the nearest patch is held.

    Parameters
    ----------
    patch_times : array of shape (n_patches,)
        Increasing, in seconds.
    times : array of shape (n_times,)
        Seconds in the same clock.

    Returns
    -------
    matrix : array of shape (n_times, n_patches)
        Each row sums to one and has at most two entries.

    Raises
    ------
    BadDataError
        Empty, not finite, or patch times that do not increase.
    """
    patch_times = np.asarray(patch_times, dtype=float)
    times = np.asarray(times, dtype=float)
    for name, value in (("patch_times", patch_times), ("times", times)):
        check_shape(name, value, f"n_{name}")
        if not np.isfinite(value).all():
            raise BadDataError("Times must be finite numbers.", where=name)
    if np.any(np.diff(patch_times) <= 0):
        raise BadDataError("Patch times must increase.", where="patch_times")
    matrix = np.zeros((times.size, patch_times.size))
    rows = np.arange(times.size)
    if patch_times.size == 1:
        matrix[:, 0] = 1.0
        return matrix
    held = np.clip(times, patch_times[0], patch_times[-1])
    left = np.clip(np.searchsorted(patch_times, held, side="right") - 1, 0, patch_times.size - 2)
    share = (held - patch_times[left]) / (patch_times[left + 1] - patch_times[left])
    matrix[rows, left] = 1.0 - share
    matrix[rows, left + 1] = share
    return matrix


def high_pass_basis(n_times: int, tr: float, cutoff: float) -> np.ndarray:
    """Slow cosines whose removal is the high-pass filter of SPM and nilearn.

    Parameters
    ----------
    n_times : int
        Number of samples.
    tr : float
        Seconds between them.
    cutoff : float
        Period in seconds; cosines slower than this are in the basis.

    Returns
    -------
    basis : array of shape (n_times, n_basis)
        Orthonormal DCT-II columns 1 to ``floor(2 n_times tr / cutoff)``, without the constant;
        no columns where the series is too short to hold one.

    Raises
    ------
    UsageError
        An argument is not positive.
    """
    if n_times < 1 or tr <= 0 or cutoff <= 0:
        raise UsageError(
            "A high-pass filter needs positive numbers.",
            where="n_times, tr, cutoff",
            found=(n_times, tr, cutoff),
        )
    n_basis = min(n_times - 1, int(np.floor(2 * n_times * tr / cutoff + 1e-9)))
    place = (np.arange(n_times) + 0.5)[:, np.newaxis]
    order = np.arange(1, n_basis + 1)
    return np.sqrt(2 / n_times) * np.cos(np.pi / n_times * place * order)


def sampling_matrix(
    patch_times: np.ndarray, times: np.ndarray, tr: float, high_pass: float | None
) -> np.ndarray:
    """Interpolation from patches to the samples of one presentation, then high-pass.

    Parameters
    ----------
    patch_times : array of shape (n_patches,)
        Seconds in the audio.
    times : array of shape (n_times,)
        Seconds in the audio at which the presentation is sampled.
    tr : float
        Seconds between samples.
    high_pass : float or None
        Period in seconds of the cosine high-pass; None for none.

    Returns
    -------
    matrix : array of shape (n_times, n_patches)
    """
    matrix = interpolation_matrix(patch_times, times)
    if high_pass is not None:
        basis = high_pass_basis(len(times), tr, high_pass)
        matrix -= basis @ (basis.T @ matrix)
    return matrix


def sample_gram(
    gram: np.ndarray,
    patch_times: Sequence[np.ndarray],
    stimulus_index: Sequence[int],
    times: Sequence[np.ndarray],
    tr: float,
    high_pass: float | None,
) -> np.ndarray:
    """Carry a patch-rate Gram matrix to the volumes of one participant: ``Q A G A' Q'``.

    Interpolation A and high-pass Q are linear in time, so what they do to the features they do
    to both sides of the features' inner products.

    Parameters
    ----------
    gram : array of shape (n_patches, n_patches)
        Inner products of all patches of all stimuli, in order; may be memory-mapped.
    patch_times : sequence of arrays of shape (n_patches_i,)
        Seconds in the audio, one array per stimulus.
    stimulus_index : sequence of int
        Stimulus of each presentation.
    times : sequence of arrays of shape (n_times_b,)
        Seconds in the audio at which each presentation is sampled.
    tr : float
        Seconds between samples of a presentation.
    high_pass : float or None
        Period in seconds of the cosine high-pass within each presentation; None for none.

    Returns
    -------
    sampled : array of shape (n_times, n_times)
        float64, symmetric; presentations in order, n_times = sum of n_times_b.

    Raises
    ------
    BadDataError
        Shapes that do not fit together.
    """
    ends = np.cumsum([len(centers) for centers in patch_times])
    check_shape("gram", gram, ends[-1], ends[-1])
    if len(stimulus_index) != len(times):
        raise BadDataError(
            "Each presentation needs its stimulus and its times.",
            where="stimulus_index, times",
            found=f"{len(stimulus_index)} and {len(times)}",
        )
    operators = [
        sampling_matrix(patch_times[stimulus], sampled, tr, high_pass)
        for stimulus, sampled in zip(stimulus_index, times, strict=True)
    ]
    return _two_sided(gram, ends, list(stimulus_index), operators)


def _two_sided(
    gram: np.ndarray, ends: np.ndarray, stimuli: list[int], operators: list[np.ndarray]
) -> np.ndarray:
    blocks = [
        slice(end - operator.shape[1], end)
        for end, operator in zip(ends[stimuli], operators, strict=True)
    ]
    borders = np.cumsum([0] + [len(operator) for operator in operators])
    result = np.empty((borders[-1], borders[-1]))
    for b, left in enumerate(operators):
        for c in range(b + 1):
            inner = np.asarray(gram[blocks[b], blocks[c]], dtype=np.float64)
            block = left @ inner @ operators[c].T
            if b == c:
                block = (block + block.T) / 2
            result[borders[b] : borders[b + 1], borders[c] : borders[c + 1]] = block
            result[borders[c] : borders[c + 1], borders[b] : borders[b + 1]] = block.T
    return result
