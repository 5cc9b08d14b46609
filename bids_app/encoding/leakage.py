"""Checks for stimuli that are not independent of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bids_app.encoding.gram import center_blocks
from bids_app.encoding.plan import check_stimuli
from bids_app.errors import BadDataError, check_shape
from bids_app.seeds import random_phases

MIN_SHARED = 10
"""Samples that two pieces share at least where they are compared over shifts."""


@dataclass(frozen=True)
class FeatureSimilarity:
    """How alike one stimulus' features are to those of the others of the same length.

    Attributes
    ----------
    stimulus : str
        Label.
    others : tuple of str
        Stimuli of the same length.
    r : float
        Correlation over samples, pooled over units, with the sum of the others.
    p : float
        One-sided, by rotating the phases of the stimulus (all units alike), (1 + b) / (1 + m).
    """

    stimulus: str
    others: tuple[str, ...]
    r: float
    p: float


def check_checksums(stimuli: Sequence[str], checksums: Sequence[str]) -> None:
    """Raise an error where the same audio has two labels.

    One presentation would train the model that the other one tests.

    Parameters
    ----------
    stimuli : sequence of str
        Label of every presentation.
    checksums : sequence of str
        Checksum of its audio.

    Raises
    ------
    BadDataError
        When one checksum has two labels, so that it lands in two folds, or one label has two
        checksums.

    Examples
    --------
    >>> check_checksums(["fugue", "march", "fugue"], ["a1", "b2", "a1"])  # a repeat
    >>> check_checksums(["fugue", "march", "waltz"], ["a1", "b2", "a1"])
    Traceback (most recent call last):
    bids_app.errors.BadDataError: The same audio would be in two folds.
      where: stimuli
      found: fugue and waltz have the checksum a1
      wanted: one label per recording
      do this: give both presentations the same stimulus label
    """
    check_shape("checksums", checksums, len(stimuli))
    label_of: dict[str, str] = {}
    checksum_of: dict[str, str] = {}
    for label, checksum in zip(stimuli, checksums, strict=True):
        if label_of.setdefault(checksum, label) != label:
            raise BadDataError(
                "The same audio would be in two folds.",
                where="stimuli",
                found=f"{label_of[checksum]} and {label} have the checksum {checksum}",
                wanted="one label per recording",
                remedy="give both presentations the same stimulus label",
            )
        if checksum_of.setdefault(label, checksum) != checksum:
            raise BadDataError(
                "One stimulus label has two recordings.",
                where="stimuli",
                found=f"{label}: {checksum_of[label]} and {checksum}",
                wanted="one label per recording",
                remedy="give the recordings different labels",
            )


def feature_similarity(
    gram: NDArray[np.floating],
    lengths: Sequence[int],
    *,
    stimuli: Sequence[str] | None = None,
    n_draws: int = 1000,
    seed: int,
) -> list[FeatureSimilarity]:
    """Leave-one-out correlation of features between stimuli of equal length.

    Stimuli that share their course (a common fade, the same beat grid) let a model that learned
    one of them predict the response to the other without having learned anything about music.

    Parameters
    ----------
    gram : ndarray, shape (sum(lengths), sum(lengths))
        Gram matrix of the undelayed features.
    lengths : sequence of int
        Samples of every presentation.
    stimuli : sequence of str, optional
        Labels; of several presentations of a stimulus the first counts.
    n_draws : int
        Phase rotations.
    seed : int
        Seed.

    Returns
    -------
    list of FeatureSimilarity
        One per stimulus that has another of the same length; none when all lengths differ.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> fade = np.linspace(3.0, -3.0, 60)[:, np.newaxis]  # all four pieces fade out alike
    >>> pieces = [fade + rng.standard_normal((60, 8)) for _ in range(4)]
    >>> features = np.concatenate(pieces)
    >>> found = feature_similarity(features @ features.T, [60] * 4, n_draws=200, seed=0)
    >>> [one.r > 0.5 and one.p < 0.05 for one in found]
    [True, True, True, True]
    """
    labels = check_stimuli(stimuli, len(lengths))
    kernel = center_blocks(np.asarray(gram, dtype=np.float64), lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    first = {label: i for i, label in reversed(list(enumerate(labels)))}
    out = []
    for label in dict.fromkeys(labels):
        i, length = first[label], lengths[first[label]]
        others = [a for a in dict.fromkeys(labels) if a != label and lengths[first[a]] == length]
        if not others:
            continue
        blocks = [slice(starts[first[a]], starts[first[a]] + length) for a in others]
        mine = slice(starts[i], starts[i] + length)
        cross = sum(kernel[mine, b] for b in blocks)
        rest = sum(np.trace(kernel[a, b]) for a in blocks for b in blocks)
        scale = np.sqrt(np.trace(kernel[mine, mine]) * rest)
        if not scale > 0:
            continue
        # Rotating phases turns the trace into a sum over the diagonal in the Fourier domain.
        diagonal = np.diag(np.fft.ifft(np.fft.fft(cross, axis=0), axis=1)) / scale
        n_free = (length - 1) // 2
        fixed = diagonal[0].real + (diagonal[length // 2].real if length % 2 == 0 else 0.0)
        free = 2 * diagonal[1 : n_free + 1]
        phases = np.stack([random_phases(seed, label, draw, n_free) for draw in range(n_draws)])
        null = fixed + (np.exp(1j * phases) @ free).real
        r = float(np.trace(cross) / scale)
        p = float((1 + np.count_nonzero(null >= r)) / (1 + n_draws))
        out.append(FeatureSimilarity(label, tuple(others), r, p))
    return out


class SharedCourse(NamedTuple):
    """How alike the features of two pieces are where one is moved against the other.

    Attributes
    ----------
    r : float
        Correlation at the shift where they agree most; NaN where a piece is shorter than
        `MIN_SHARED` samples, or nothing changes in it.
    shift : int
        Sample of the second piece that is then the first sample of the first piece.
    elsewhere : float
        Correlation at the next best peak: of a regular beat it is nearly `r`, of one recording in
        two files it is not. NaN where there is no other peak.
    """

    r: float
    shift: int
    elsewhere: float


def shared_course(gram: NDArray[np.floating], first: slice, second: slice) -> SharedCourse:
    """Correlation of the features of two pieces at the shift where they agree most.

    Features are centered over what overlaps, so that a part of a recording, or one with silence
    around it, agrees with the recording whatever its features were scaled by.

    Parameters
    ----------
    gram : ndarray, shape (n_times, n_times)
        Inner products of the features of all pieces.
    first, second : slice
        Rows of the pieces.

    Returns
    -------
    SharedCourse

    Examples
    --------
    >>> features = np.random.default_rng(0).standard_normal((100, 3))
    >>> both = np.concatenate([features, 2 * features[10:80] + 1])
    >>> found = shared_course(both @ both.T, slice(0, 100), slice(100, 170))
    >>> round(found.r, 3), found.shift, found.elsewhere < 0.4
    (1.0, -10, True)
    >>> beat = np.tile([[1.0], [0.0], [0.5], [0.0]], (40, 1))
    >>> found = shared_course(beat @ beat.T, slice(0, 100), slice(100, 160))
    >>> round(found.r, 3), round(found.elsewhere, 3)
    (1.0, 1.0)
    """
    cross, own, theirs = (
        np.asarray(gram[a, b], dtype=np.float64)
        for a, b in ((first, second), (first, first), (second, second))
    )
    n_first, n_second = cross.shape
    least = max(MIN_SHARED, -(-min(n_first, n_second) // 2))
    sums = [_integral(block) for block in (cross, own, theirs)]
    shifts = range(least - n_first, n_second - least + 1)
    course = np.full(len(shifts) + 2, -np.inf)  # with a place before and behind it
    for place, shift in enumerate(shifts, start=1):
        a, b = max(0, -shift), max(0, shift)
        n = min(n_first - a, n_second - b)
        shared, mine, other = (
            np.trace(block[i : i + n, j : j + n]) - _sum_of(total, i, j, n) / n
            for block, total, i, j in zip(
                (cross, own, theirs), sums, (a, a, b), (b, a, b), strict=True
            )
        )
        # What rounding leaves of features that rest is no change.
        if min(mine, other) <= 1e-6 * max(np.trace(own), np.trace(theirs)) / max(n_first, n_second):
            continue
        course[place] = shared / np.sqrt(mine * other)
    best = int(np.argmax(course))
    if not np.isfinite(course[best]):
        return SharedCourse(float("nan"), 0, float("nan"))
    inner = course[1:-1]
    peaks = np.isfinite(inner) & (inner >= course[:-2]) & (inner >= course[2:])
    peaks[best - 1] = False
    elsewhere = float(inner[peaks].max()) if peaks.any() else float("nan")
    return SharedCourse(float(course[best]), shifts[best - 1], elsewhere)


def _integral(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over all rectangles from the first element on."""
    return np.pad(block.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _sum_of(total: NDArray[np.float64], i: int, j: int, n: int) -> float:
    return float(total[i + n, j + n] - total[i, j + n] - total[i + n, j] + total[i, j])


def similarity_p(found: Sequence[FeatureSimilarity]) -> float:
    """Smallest p of all stimuli, times their number (Bonferroni).

    Parameters
    ----------
    found : sequence of FeatureSimilarity

    Returns
    -------
    float
        1 at most; NaN where there are none.

    Examples
    --------
    >>> found = [FeatureSimilarity(name, ("c",), 0.4, p) for name, p in (("a", 0.01), ("b", 0.2))]
    >>> similarity_p(found)
    0.02
    """
    return min((min(1.0, len(found) * one.p) for one in found), default=float("nan"))
