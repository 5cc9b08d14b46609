"""Continuous ratings as records: participant, stimulus, scale, times and values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError, MusencError
from bids_app.inputs.labels import meant_by, taken_for
from bids_app.inputs.odd_values import far_value
from bids_app.inputs.units import other_unit
from bids_app.plain import some_of

# A slider at rest for less than this is a rating, not a file that was filled up.
MIN_HOLD = 5.0
MAX_GAP = 5.0
"""Seconds between samples that a line may bridge."""
_NOTED_GAP = 1.0
_MUCH_LONGER = 30.0
_FEW = 30
_CONSTANT = "is constant"
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
    faults : tuple of (str, str)
        Participant, and which of its ratings cannot be used and why.
    """

    ratings: tuple[Rating, ...]
    warnings: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()
    _index: dict[tuple[str | None, str, str], Rating] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index: dict[tuple[str | None, str, str], Rating] = {}
        for rating in self.ratings:
            key = (rating.participant, rating.stimulus, rating.scale)
            if key in index:
                raise _rated_twice(index[key], rating)
            index[key] = rating
        object.__setattr__(self, "_index", index)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the files and each rating; the same about many of them once."""
        whose: dict[str, list[str]] = {}
        for rating in self.ratings:
            for text in rating.warnings:
                name = describe(rating.participant, rating.stimulus, rating.scale)
                whose.setdefault(text, []).append(name)
        return (
            *self.warnings,
            *(f"{some_of(names, 3, '; ')}: {text}" for text, names in whose.items()),
        )

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

    def of_the_group(self, participant: str, stimuli: Iterable[str], scale: str) -> tuple[str, ...]:
        """Those of the stimuli for which the group's mean stands for a participant."""
        found = {stimulus: self.find(participant, stimulus, scale) for stimulus in stimuli}
        return tuple(name for name, one in found.items() if one and one.participant is None)

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


def _rated_twice(first: Rating, second: Rating) -> InvalidInputError:
    return InvalidInputError(
        "A scale was rated twice for the same music.",
        where=f"{first.source} and {second.source}",
        found=describe(first.participant, first.stimulus, first.scale),
        wanted="one course per participant, stimulus and scale",
        remedy="average the repetitions, or remove one of them",
    )


def rated_once(ratings: Sequence[Rating]) -> tuple[list[Rating], list[tuple[str, MusencError]]]:
    """Without what a participant rated twice, as nothing says which is meant; and whose it is."""
    by_key: dict[tuple[str | None, str, str], list[Rating]] = {}
    for rating in ratings:
        by_key.setdefault((rating.participant, rating.stimulus, rating.scale), []).append(rating)
    twice = {key: own for key, own in by_key.items() if key[0] is not None and len(own) > 1}
    once = [r for key, own in by_key.items() if key not in twice for r in own]
    return once, [(key[0] or "", _rated_twice(*own[:2])) for key, own in twice.items()]


def for_participants(ratings: RatingSet, there: Sequence[str]) -> RatingSet:
    """Ratings with participants as they are called in the dataset, and notes about the others.

    Parameters
    ----------
    ratings : RatingSet
    there : sequence of str
        Labels of all participants of the dataset.

    Raises
    ------
    InvalidInputError
        Where two participants of the ratings are the same one of the dataset.
    """
    notes, meant, unknown = [], {}, []
    for label in ratings.participants:
        found = meant_by(label, there)
        if found is None:
            unknown.append(f"sub-{label}")
        elif found != label:
            meant[label] = found
            notes.append(taken_for("sub", label, found))
    if unknown:
        notes.append(f"{', '.join(unknown)} of the ratings: no participant of the dataset")
    faults = tuple((meant_by(who, there) or who, text) for who, text in ratings.faults)
    changed = tuple(
        replace(rating, participant=meant[rating.participant])
        if rating.participant in meant
        else rating
        for rating in ratings.ratings
    )
    return RatingSet(changed, (*ratings.warnings, *notes), faults)


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
    start: float = 0.0,
    continues: bool = False,
    notes: list[str] | None = None,
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
        Second of the audio file at which the music ended.
    start : float
        Second at which it began.
    continues : bool
        Whether the recording goes on after the music by its nature, as that of a run does.
    notes : list of str, optional
        Gets what is left out because of gaps.

    Returns
    -------
    list of Rating

    Raises
    ------
    BadDataError
        If times are not finite and increasing, nothing overlaps the music, less than half of it is
        covered, or the recording goes on far beyond its end.
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
    keep &= times >= start - _TOLERANCE
    result, too_short = [], False
    for column, scale in enumerate(scales):
        use = keep & np.isfinite(values[:, column])
        if use.sum() < 2:
            continue
        own = times[use]
        too_short |= duration is not None and own[-1] - own[0] < (duration - start) / 2
        gap = _gap(own)
        if gap is not None and gap[1] - gap[0] > _bridged(own):
            if notes is not None:
                notes.append(
                    f"{describe(participant, stimulus, scale)}: nothing was recorded from "
                    f"{gap[0]:.1f} to {gap[1]:.1f} s, which is too long to bridge; left out"
                )
            continue
        far = far_value(values[use, column])
        said = (
            *warnings,
            *_coverage(own, gap, start, duration),
            *([f"{far}: if it stands for nothing, write n/a"] if far else []),
        )
        result.append(Rating(participant, stimulus, scale, own, values[use, column], source, said))
    if not keep.any() and recorded.any():
        raise BadDataError(
            "The ratings do not overlap the music.",
            where=where,
            found=f"ratings from {times[0]:g} to {times[-1]:g} s"
            + ("" if duration is None else _other_unit(times, duration - start)),
            wanted="at least two samples between 0 and "
            + (f"{duration:g} s" if duration is not None else "the end"),
            remedy="count the times from the start of the audio file",
        )
    if duration is not None and recorded.any():
        _check_extent(times, values[:, recorded], start, duration, where, continues, too_short)
    return result


def _other_unit(times: np.ndarray, length: float) -> str:
    return other_unit(float(times[-1]), length, float(times[0]))


def _gap(times: np.ndarray) -> tuple[float, float] | None:
    """The longest time between two samples, where it is longer than others."""
    steps = np.diff(times)
    k = int(steps.argmax())
    if steps[k] <= max(_NOTED_GAP, 3 * float(np.median(steps))):
        return None
    return float(times[k]), float(times[k + 1])


def _bridged(times: np.ndarray) -> float:
    """Seconds that a line may bridge: those of slow ratings are farther apart."""
    return max(MAX_GAP, 3 * float(np.median(np.diff(times))))


def _coverage(
    times: np.ndarray, gap: tuple[float, float] | None, start: float, duration: float | None
) -> list[str]:
    said = []
    if gap is not None:
        said.append(f"a gap from {gap[0]:.1f} to {gap[1]:.1f} s is bridged by a line")
    end = times[-1] if duration is None else duration
    if times[0] - start > MAX_GAP or end - times[-1] > MAX_GAP:
        said.append(
            f"ratings from {times[0]:.1f} to {times[-1]:.1f} s of music from {start:.1f} to "
            f"{end:.1f} s; the rest counts as not rated"
        )
    return said


def _check_extent(
    times: np.ndarray,
    values: np.ndarray,
    start: float,
    duration: float,
    where: str,
    continues: bool,
    too_short: bool,
) -> None:
    """Refuse ratings of a small part of the music, or of much more.

    Raises
    ------
    BadDataError
    """
    changed = np.flatnonzero((np.diff(np.nan_to_num(values), axis=0) != 0).any(axis=1))
    last_change = float(times[changed[-1] + 1]) if changed.size else float(times[0])
    beyond = not continues and (
        last_change > duration + max(_MUCH_LONGER, 0.5 * duration)
        or times[-1] > duration + max(4 * _MUCH_LONGER, 3 * duration)
    )
    if not (beyond or too_short):
        return
    raise BadDataError(
        "The ratings go on long after the music."
        if beyond
        else "The ratings cover less than half of the music.",
        where=where,
        found=f"times from {times[0]:g} to {times[-1]:g} s, music from {start:g} to "
        f"{duration:g} s{_other_unit(times, duration - start)}",
        wanted="times in seconds into the audio file, over the music",
        remedy="correct the unit of the times (or SamplingFrequency and StartTime), or leave this "
        "recording out",
    )


def without_other_columns(
    ratings: Sequence[Rating], asked: Sequence[str]
) -> tuple[tuple[Rating, ...], tuple[str, ...]]:
    """Ratings of columns that can have been felt, and notes about the others.

    A column that in every recording is constant, only ever grows or falls, counts at equal
    intervals, or consists of single pulses was not rated. Scales that were asked for stay.

    Parameters
    ----------
    ratings : sequence of Rating
    asked : sequence of str
        Scales that the user named; the rest is looked at where there are none.
    """
    notes, dropped = [], set()
    for scale in dict.fromkeys(rating.scale for rating in ratings):
        own = [rating for rating in ratings if rating.scale == scale]
        kinds = {_kind_of(rating) for rating in own}
        # A slider that everybody left alone, each at another place, is a slider.
        if kinds == {_CONSTANT} and len({rating.values[0] for rating in own}) > 1:
            continue
        if not asked and len(kinds) == 1 and (kind := kinds.pop()):
            dropped.add(scale)
            notes.append(f"the column {scale} {kind}: not taken for a scale, left out")
    return tuple(r for r in ratings if r.scale not in dropped), tuple(notes)


def _kind_of(rating: Rating) -> str:
    values, steps = rating.values, np.diff(rating.values)
    if not steps.any():
        return _CONSTANT
    if len(values) < _FEW:
        return ""
    if (steps > 0).all() or (steps < 0).all():
        return "only ever grows or falls, like a clock or a counter"
    if len(np.unique(steps[steps != 0])) == 1 and _regular(steps != 0):
        return "grows by one step at equal intervals, like a counter of volumes"
    fast = float(np.median(np.diff(rating.times))) < 0.5
    on = values != np.median(values)
    alone = not (on[1:] & on[:-1]).any()
    if alone and ((fast and 0 < on.mean() < 0.2) or _regular(on)):
        return "consists of single pulses, like a trigger"
    return ""


def _regular(marked: np.ndarray) -> bool:
    """Whether something happens at least three times, always after as many samples."""
    gaps = np.diff(np.flatnonzero(marked))
    return len(gaps) > 1 and bool((gaps == gaps[0]).all())


def describe(participant: str | None, stimulus: str, scale: str | None = None) -> str:
    """``sub-01, happy, Enjoyment``, for messages."""
    who = "group mean" if participant is None else f"sub-{participant}"
    return ", ".join(part for part in (who, stimulus, scale) if part)
