"""The audio files themselves, and what was played of them in a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bids_app.errors import BadDataError, InvalidInputError, MissingInputError
from bids_app.files import sha256_of_file
from bids_app.inputs.files import content_problem
from bids_app.inputs.records import Presentation, Stimulus
from bids_app.inputs.sound import Sound, examine_sound
from bids_app.inputs.stimuli import StimulusRow
from bids_app.inputs.stimulus_names import stimulus_label
from bids_app.plain import some_of

# Seconds by which onsets and ends of rows are rounded.
_SLACK = 0.1


class StimulusSet:
    """The audio files met so far, each read once.

    A stimulus is known by its content: two names of the same file are one stimulus, and two files
    with the same label but different content are an error.

    Parameters
    ----------
    labels : mapping from path to label
        Of files whose label depends on the others (see `stimulus_labels`).
    """

    def __init__(self, labels: Mapping[Path, str] | None = None) -> None:
        self._labels = dict(labels or {})
        self._by_path: dict[Path, Stimulus] = {}
        self._by_checksum: dict[str, Stimulus] = {}
        self._by_label: dict[str, Stimulus] = {}
        self.warnings: list[str] = []

    def check(self, rows: Iterable[StimulusRow]) -> None:
        """Report all audio files that cannot be read at once.

        Raises
        ------
        MissingInputError
            Where the content of a file is not there.
        """
        where = {row.path: row.where for row in reversed(list(rows))}
        problems = {path: content_problem(path) for path in sorted(where)}
        missing = {path: problem for path, problem in problems.items() if problem}
        if missing:
            raise MissingInputError(
                "The audio file of a stimulus cannot be read."
                if len(missing) == 1
                else "The audio files of several stimuli cannot be read.",
                where="; ".join(where[path] for path in missing),
                found="; ".join(missing.values()),
                wanted="audio files (wav, flac, ogg, mp3)",
                remedy="fetch or add the files, or correct their names",
            )

    def add(self, path: Path, where: str) -> Stimulus:
        """The stimulus of an audio file.

        Raises
        ------
        InvalidInputError
            Where it is not audio, or another file has its label.
        """
        if path in self._by_path:
            return self._by_path[path]
        sound = _sound(path, where)
        stimulus = Stimulus(
            self._labels.get(path) or stimulus_label(path),
            path,
            sha256_of_file(path),
            sound.duration,
            sound.notes,
        )
        twin = self._by_checksum.get(stimulus.sha256)
        if twin is not None:
            if twin.label != stimulus.label:
                self.warnings.append(
                    f"{path.name} and {twin.path.name} have the same content: "
                    f"they count as one stimulus, {twin.label}"
                )
            self._by_path[path] = twin
            return twin
        other = self._by_label.get(stimulus.label)
        if other is not None:
            raise InvalidInputError(
                "Two different audio files have the same label.",
                where=f"{stimulus.label!r}, {where}",
                found=f"{other.path} and {path}",
                wanted="file names that differ in letters or digits",
                remedy="rename one of them",
            )
        self._by_path[path] = stimulus
        self._by_checksum[stimulus.sha256] = stimulus
        self._by_label[stimulus.label] = stimulus
        return stimulus

    def stimuli(self, labels: Iterable[str]) -> tuple[Stimulus, ...]:
        """The stimuli with these labels, by label."""
        return tuple(self._by_label[label] for label in sorted(set(labels)))


def _sound(path: Path, where: str) -> Sound:
    try:
        return examine_sound(path)
    except BadDataError as error:
        raise InvalidInputError(
            "The file of a stimulus is not audio that can be used.",
            where=f"{error.where} ({where})",
            found=f"{error.what} {error.found or ''}".strip(),
            wanted=error.wanted or "wav, flac, ogg or mp3",
            remedy=error.remedy or "convert it to WAV or FLAC",
        ) from error


def _in_milliseconds(onset: float, run_end: float) -> str:
    inside = onset >= run_end and 0 <= onset / 1000 < run_end
    return "; is its onset in milliseconds?" if inside and onset > 1000 else ""


def _continued(
    rows: list[StimulusRow], stimuli: StimulusSet, warnings: list[str]
) -> list[StimulusRow]:
    """Rows in which a file that is named again before its end is one presentation.

    Raises
    ------
    InvalidInputError
        Where such rows do not follow one another without a pause: whether the file went on, or
        began again, is then unknown.
    """
    result: list[StimulusRow] = []
    by_stimulus: dict[str, list[StimulusRow]] = {}
    for row in sorted(rows, key=lambda row: row.onset):
        by_stimulus.setdefault(stimuli.add(row.path, row.where).label, []).append(row)
    for label, own in by_stimulus.items():
        length = stimuli.add(own[0].path, own[0].where).duration
        groups: list[list[StimulusRow]] = []
        for row in own:
            first = groups[-1][0] if groups else None
            again = first is not None and row.onset < first.onset + length - first.offset - _SLACK
            if again and not row.stated:
                groups[-1].append(row)
            else:
                groups.append([row])
        for group in groups:
            result.append(_joined(group, label, length, warnings) if len(group) > 1 else group[0])
    return result


def _joined(
    group: list[StimulusRow], label: str, length: float, warnings: list[str]
) -> StimulusRow:
    first, last = group[0], group[-1]
    ends = [row.onset + (row.duration or 0.0) for row in group]
    steps = zip(ends[:-1], group[:-1], group[1:], strict=True)
    follows = all(
        row.duration is not None and abs(after.onset - end) <= _SLACK for end, row, after in steps
    )
    played = None if last.duration is None else ends[-1] - first.onset
    if not follows or (played or 0.0) > length - first.offset + 0.5:
        raise InvalidInputError(
            "A file is named again before it has ended: did it go on, or begin again?",
            where=some_of((row.where for row in group), 4, "; "),
            found=f"{label} ({length:.1f} s) at "
            + some_of(f"{row.onset:g}" for row in group)
            + " s",
            wanted="one row for each time that a file is started, or rows without a pause between "
            "them, no longer in all than the file",
            remedy="name the file in the row in which the music starts only, or give --stimuli "
            "TABLE.tsv with a column offset (second of the file at which playing starts)",
        )
    warnings.append(
        f"{label}: {len(group)} rows without a pause between them, from {first.onset:g} s on, are "
        "taken for one presentation"
    )
    return replace(first, duration=played)


def presentations_of(
    rows: Sequence[StimulusRow], stimuli: StimulusSet, run_end: float
) -> tuple[tuple[Presentation, ...], list[str]]:
    """Presentations of one run, by onset, and what is odd about them.

    Parameters
    ----------
    rows : sequence of StimulusRow
    stimuli : StimulusSet
    run_end : float
        Seconds from the first volume to the end of the last.

    Returns
    -------
    presentations : tuple of Presentation
        Those that overlap the run.
    warnings : list of str

    Raises
    ------
    InvalidInputError
        Where a row cannot be, a file is named again before it has ended, or two overlap.
    """
    result: list[Presentation] = []
    warnings: list[str] = []
    for row in _continued(list(rows), stimuli, warnings):
        stimulus = stimuli.add(row.path, row.where)
        warnings += [note for note in stimulus.notes if note not in warnings]
        left = stimulus.duration - row.offset
        if left <= 0:
            raise InvalidInputError(
                "The offset of a stimulus is behind the end of the audio file.",
                where=row.where,
                found=f"offset {row.offset:g} s; {stimulus.path.name}: {stimulus.duration:.2f} s",
                wanted="seconds into the audio file",
                remedy="correct the offset",
            )
        duration = left if row.duration is None else row.duration
        if duration > 20 * left and 0.1 * left < duration / 1000 < 2 * left:
            raise InvalidInputError(
                "The duration of a stimulus is in another unit than seconds.",
                where=row.where,
                found=f"{duration:g} s; {stimulus.path.name} has {left:.2f} s from there on; in "
                "milliseconds it would fit",
                wanted="seconds",
                remedy="divide the durations by 1000 (and the onsets, if they are like them)",
            )
        if duration < left and abs(60 * duration - left) < 0.01 * left:
            warnings.append(
                f"{stimulus.label}: {duration:g} s of {left:.1f} s are played; as minutes the "
                "duration would be that of the file (durations are in seconds)"
            )
        if duration > left + 0.5:
            warnings.append(
                f"{stimulus.label}: {duration:.1f} s are said to be played, the audio file has "
                f"{left:.1f} s; the file's length is used"
            )
        presentation = Presentation(stimulus.label, row.onset, row.offset, min(duration, left))
        end = presentation.onset + presentation.duration
        if presentation.onset >= run_end or end <= 0:
            warnings.append(
                f"{stimulus.label}: plays from {row.onset:.1f} to {end:.1f} s, outside the run "
                f"({run_end:.1f} s){_in_milliseconds(row.onset, run_end)}; left out"
            )
            continue
        if end > run_end + 1.0:
            warnings.append(
                f"{stimulus.label}: the music ends at {end:.1f} s, {end - run_end:.1f} s after "
                f"the last volume ({run_end:.1f} s)"
            )
        result.append(presentation)
    result.sort(key=lambda presentation: presentation.onset)
    for before, after in itertools.pairwise(result):
        if after.onset < before.onset + before.duration - 0.5:
            raise InvalidInputError(
                "A piece starts before another one has ended.",
                where=some_of((row.where for row in rows), 4, "; "),
                found=f"{after.stimulus} starts at {after.onset:.1f} s, before the end of "
                f"{before.stimulus} ({before.onset + before.duration:.1f} s)",
                wanted="one piece at a time: the same volumes would be held out and trained on",
                remedy="correct the onsets, or give a duration where a piece was stopped",
            )
    return tuple(result), warnings
