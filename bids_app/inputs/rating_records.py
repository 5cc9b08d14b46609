"""Continuous ratings as records: who felt what at which second of which piece of music."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError

# A slider at rest for less than this is a rating, not a file that was filled up.
MIN_HOLD = 5.0
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Rating:
    """One scale's course over one piece of music.

    Attributes
    ----------
    participant : str or None
        Label without prefix; None for the mean of a group, which stands for everybody.
    stimulus : str
        Label of the stimulus.
    scale : str
        What was rated.
    times : ndarray of shape (n_samples,)
        Seconds into the audio file, increasing.
    values : ndarray of shape (n_samples,)
        Finite, in the units of the scale.
    source : str
        File.
    warnings : tuple of str
        What was cropped, and what looks odd.
    """

    participant: str | None
    stimulus: str
    scale: str
    times: np.ndarray
    values: np.ndarray
    source: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RatingSet:
    """All ratings of a study.

    Attributes
    ----------
    ratings : tuple of Rating
    warnings : tuple of str
        About the files as a whole; each rating has its own.
    """

    ratings: tuple[Rating, ...]
    warnings: tuple[str, ...] = ()
    _index: dict[tuple[str | None, str, str], Rating] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index: dict[tuple[str | None, str, str], Rating] = {}
        for rating in self.ratings:
            key = (rating.participant, rating.stimulus, rating.scale)
            if key in index:
                raise InvalidInputError(
                    "A scale was rated twice for the same music.",
                    where=f"{index[key].source} and {rating.source}",
                    found=describe(*key),
                    wanted="one course per participant, stimulus and scale",
                    remedy="average the repetitions, or remove one of them",
                )
            index[key] = rating
        object.__setattr__(self, "_index", index)

    @property
    def scales(self) -> tuple[str, ...]:
        """Names of the scales, in the order met."""
        return tuple(dict.fromkeys(rating.scale for rating in self.ratings))

    @property
    def participants(self) -> tuple[str, ...]:
        """Participants with ratings of their own, sorted."""
        return tuple(sorted({r.participant for r in self.ratings if r.participant is not None}))

    def find(self, participant: str, stimulus: str, scale: str) -> Rating | None:
        """A participant's own rating, else the group's mean, else None."""
        own = self._index.get((participant, stimulus, scale))
        return own or self._index.get((None, stimulus, scale))

    def missing(
        self, participant: str, stimuli: Iterable[str], scales: Iterable[str]
    ) -> tuple[str, ...]:
        """What a participant lacks: ``Enjoyment of happy`` for every scale that is not there."""
        wanted = list(dict.fromkeys(stimuli))
        return tuple(
            f"{scale} of {stimulus}"
            for scale in scales
            for stimulus in wanted
            if self.find(participant, stimulus, scale) is None
        )


def crop_ratings(
    times: np.ndarray, values: np.ndarray, duration: float | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Samples that belong to the music; recording programs hold the last value after its end.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
        Seconds into the music.
    values : ndarray of shape (n_samples, n_scales)
        NaN where nothing was recorded.
    duration : float or None
        Length of the music in seconds. Without it, a common constant end of at least 5 s is taken
        for held values and only its first sample is kept.

    Returns
    -------
    keep : ndarray of bool of shape (n_samples,)
    warnings : tuple of str
    """
    n_samples = len(times)
    changes = np.flatnonzero((np.nan_to_num(np.diff(values, axis=0)) != 0).any(axis=1))
    rest = int(changes[-1]) + 1 if changes.size else 0
    held = float(times[-1] - times[rest]) if changes.size else 0.0
    keep = times >= -_TOLERANCE
    if duration is None:
        if held < MIN_HOLD:
            return keep, ()
        return keep & (np.arange(n_samples) <= rest), (
            f"the last value is held for {held:.1f} s: cropped after {times[rest]:.1f} s",
        )
    keep &= times <= duration + _TOLERANCE
    beyond = float(times[-1] - duration)
    if beyond <= _TOLERANCE:
        return keep, ()
    how = "with the last value held" if held >= min(beyond, MIN_HOLD) else "with changing values"
    warnings = [f"{beyond:.1f} s after the end of the music cropped ({how})"]
    if held > beyond and duration - times[rest] >= MIN_HOLD:
        warnings.append(
            f"constant from {times[rest]:.1f} s on, {duration - times[rest]:.1f} s before the end "
            "of the music: the recording may have stopped there"
        )
    return keep, tuple(warnings)


def make_ratings(
    times: np.ndarray,
    values: np.ndarray,
    scales: Sequence[str],
    *,
    participant: str | None,
    stimulus: str,
    duration: float | None,
    source: str,
) -> list[Rating]:
    """Records of one recording, cropped to the music; a scale without any value is left out.

    Parameters
    ----------
    times : ndarray of shape (n_samples,)
        Seconds into the audio file.
    values : ndarray of shape (n_samples, n_scales)
        NaN where nothing was recorded.
    scales : sequence of str
    participant, stimulus, source
        As in `Rating`.
    duration : float or None
        Seconds of music.

    Returns
    -------
    list of Rating

    Raises
    ------
    BadDataError
        If times are not finite and increasing, or nothing overlaps the music.
    """
    where = f"{source} ({describe(participant, stimulus)})"
    if len(times) == 0 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise BadDataError(
            "The times of a rating do not increase.",
            where=where,
            found=f"{len(times)} samples"
            + (f", {int((np.diff(times) <= 0).sum())} steps back or still" if len(times) else ""),
            wanted="seconds into the music, increasing, one line per sample",
            remedy="give each participant and stimulus a label of its own, or sort the lines",
        )
    recorded = np.isfinite(values).any(axis=0)
    keep, warnings = crop_ratings(times, values[:, recorded], duration)
    result = []
    for column, scale in enumerate(scales):
        use = keep & np.isfinite(values[:, column])
        if use.sum() >= 2:
            result.append(
                Rating(
                    participant, stimulus, scale, times[use], values[use, column], source, warnings
                )
            )
    if not result and recorded.any():
        raise BadDataError(
            "The ratings do not overlap the music.",
            where=where,
            found=f"ratings from {times[0]:g} to {times[-1]:g} s",
            wanted="at least two samples between 0 and "
            + (f"{duration:g} s" if duration is not None else "the end"),
            remedy="count the times from the start of the audio file",
        )
    return result


def describe(participant: str | None, stimulus: str, scale: str | None = None) -> str:
    """``sub-01, happy, Enjoyment``, for messages."""
    who = "group mean" if participant is None else f"sub-{participant}"
    return ", ".join(part for part in (who, stimulus, scale) if part)
