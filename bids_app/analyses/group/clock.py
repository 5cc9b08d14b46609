"""Whose responses can be compared sample by sample: one sampling rate, rows matched in time.

Random phases cannot be shared across sampling rates, nor can responses be correlated. Who differs
is left out of these analyses alone, and named.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import damaged, read_maps, read_record
from bids_app.analyses.mapped import new_series
from bids_app.labels import safe_label
from bids_app.outputs import OutputTree, hemispheres_of, sidecar_of
from bids_app.plain import some_of

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]
TR_TOLERANCE = 1e-3
"""Repetition times that differ by a smaller share are the same."""
MAX_LOST_ROWS = 2
"""Rows at the borders of a stimulus that another onset may cost."""


@dataclass(frozen=True)
class Clock:
    """When a participant's responses to one stimulus were sampled.

    Attributes
    ----------
    tr : float
        Seconds between samples.
    times : array of shape (n_times,)
        Second of the audio file of each sample.
    """

    tr: float
    times: FloatArray


@dataclass(frozen=True)
class SharedClock:
    """Participants with one sampling rate, and which of their samples belong together.

    Attributes
    ----------
    participants : list of str
        Who takes part, in the order given; labels without prefix.
    stimuli : list of str
        Stimuli of which everybody who takes part has responses.
    tr : float
        Seconds between samples; 0 where nobody takes part.
    rows : dict from stimulus to array of shape (n_participants, n_times)
        Samples of each participant's file; those of one column are at most half a repetition time
        from that of the first participant.
    times : dict from stimulus to array of shape (n_participants, n_times)
        Second of the audio file of these samples.
    left_out : dict from participant to reason
    missing : dict from stimulus to reason
        Stimuli that take no part for anybody.
    again : dict from stimulus to list of str
        Who takes part and heard it several times; the first time counts.
    """

    participants: list[str]
    stimuli: list[str]
    tr: float
    rows: dict[str, NDArray[np.int64]]
    times: dict[str, FloatArray]
    left_out: dict[str, str]
    missing: dict[str, str]
    again: dict[str, list[str]] = field(default_factory=dict)

    @property
    def reasons(self) -> list[str]:
        """Who and what is left out, and why, in words."""
        people = [f"sub-{who} is left out: {why}" for who, why in self.left_out.items()]
        later = [
            f"{stimulus}: later presentations to {_names(who)}, who heard it several times"
            for stimulus, who in self.again.items()
        ]
        return people + [f"{stimulus}: {why}" for stimulus, why in self.missing.items()] + later


def share_clock(
    tree: OutputTree, participants: Sequence[str], stimuli: Sequence[str], space: str
) -> SharedClock:
    """Which participants' saved responses can be compared sample by sample.

    Parameters
    ----------
    tree : OutputTree
    participants, stimuli : sequence of str
    space : str
        Mesh of the responses.

    Returns
    -------
    SharedClock

    Raises
    ------
    MissingInputError, BadDataError
        A sidecar is missing or damaged.
    """
    clocks: dict[str, dict[str, Clock]] = {who: {} for who in participants}
    for who in participants:
        for stimulus in stimuli:
            paths = response_files(tree, who, stimulus, space)
            if all(path.exists() for path in paths):
                clocks[who][stimulus] = read_clock(sidecar_of(paths[0]))
    found = match_clocks(clocks, stimuli)
    again = {
        stimulus: [
            who
            for who in found.participants
            if len(tree.responses(who, space, safe_label(stimulus))) > 1
        ]
        for stimulus in found.stimuli
    }
    return replace(found, again={stimulus: who for stimulus, who in again.items() if who})


def match_clocks(clocks: Mapping[str, Mapping[str, Clock]], stimuli: Sequence[str]) -> SharedClock:
    """The largest group of participants with one repetition time, and their common samples.

    A stimulus that fewer than half of the participants have is left out; then whoever lacks one of
    the others, has another repetition time than most (of equally many, than the first), or was
    sampled over a shorter part of a stimulus.

    Parameters
    ----------
    clocks : mapping from participant to mapping from stimulus to Clock
    stimuli : sequence of str
    """
    lacking = {s: [who for who, own in clocks.items() if s not in own] for s in stimuli}
    missing = {
        s: f"no cleaned response of {_names(who)} was saved"
        for s, who in lacking.items()
        if 2 * len(who) > len(clocks)
    }
    used = [s for s in stimuli if s not in missing]
    if not used:
        return SharedClock([], [], 0.0, {}, {}, {}, missing)
    left_out = {}
    for who, own in clocks.items():
        absent = [s for s in used if s not in own]
        if absent:
            left_out[who] = f"no cleaned response to {', '.join(absent)} was saved"
        elif not _same_tr([clock.tr for s, clock in own.items() if s in used]):
            left_out[who] = "its repetition time differs from stimulus to stimulus"
    kept = [who for who in clocks if who not in left_out]
    if not kept:
        return SharedClock([], [], 0.0, {}, {}, left_out, missing)
    kept, others = same_rate({who: clocks[who][used[0]].tr for who in kept})
    left_out |= others
    tr = clocks[kept[0]][used[0]].tr
    slots = {s: {who: _slots(clocks[who][s], clocks[kept[0]][s], tr) for who in kept} for s in used}
    begin = {s: clocks[kept[0]][s].times[0] for s in used}
    for stimulus, of_people in slots.items():
        usual = Counter(len(found) for found in of_people.values()).most_common(1)[0][0]
        reference = next(found for found in of_people.values() if len(found) == usual)
        for who, found in of_people.items():
            if usual - np.isin(found, reference).sum() > MAX_LOST_ROWS and who not in left_out:
                first = clocks[who][stimulus].times[0]
                left_out[who] = (
                    f"{len(found)} samples of {stimulus}, the first at {first:g} s; most others "
                    f"have {usual}, the first near {tr * reference[0] + begin[stimulus]:g} s"
                )
    kept = [who for who in kept if who not in left_out]
    rows, times = {}, {}
    for stimulus in used:
        own_slots = [slots[stimulus][who] for who in kept]
        common = own_slots[0]
        for other in own_slots[1:]:
            common = np.intersect1d(common, other)
        rows[stimulus] = np.stack([np.searchsorted(one, common) for one in own_slots])
        pairs = zip(kept, rows[stimulus], strict=True)
        times[stimulus] = np.stack([clocks[who][stimulus].times[index] for who, index in pairs])
    return SharedClock(kept, used, tr, rows, times, left_out, missing)


def same_rate(trs: Mapping[str, float]) -> tuple[list[str], dict[str, str]]:
    """Participants of the commonest repetition time, and why the others are left out.

    Of repetition times that equally many have it is the shortest.

    Parameters
    ----------
    trs : mapping from participant to float
        Repetition times in seconds; at least one.

    Returns
    -------
    kept : list of str
        In the order given.
    left_out : dict from participant to reason
    """
    alike = {who: sum(_same_tr([tr, other]) for other in trs.values()) for who, tr in trs.items()}
    most = trs[min(trs, key=lambda who: (-alike[who], trs[who]))]
    kept = [who for who, tr in trs.items() if _same_tr([tr, most])]
    return kept, {
        who: f"sampled every {tr:g} s, most others every {most:g} s; neither responses nor random "
        "phases can be shared across sampling rates"
        for who, tr in trs.items()
        if who not in kept
    }


def _slots(clock: Clock, reference: Clock, tr: float) -> NDArray[np.int64]:
    """Number of each sample, counted from the reference's first, by the nearest one in time."""
    first = np.floor((clock.times[0] - reference.times[0]) / tr + 0.5)
    return np.asarray(first + np.rint((clock.times - clock.times[0]) / tr), dtype=np.int64)


def _same_tr(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= TR_TOLERANCE * max(values)


def _names(people: Sequence[str]) -> str:
    return some_of((f"sub-{who}" for who in people), 4)


@dataclass(frozen=True)
class Stack:
    """Responses of the participants of a `SharedClock` to one stimulus.

    Attributes
    ----------
    values : array of shape (n_participants, n_times, n_vertices), float32
        Memory-mapped.
    clocks : array of shape (n_participants, n_times)
        Second of the audio file of each sample.
    tr : float
        Seconds between samples.
    """

    values: NDArray[np.float32]
    clocks: FloatArray
    tr: float

    @property
    def times(self) -> FloatArray:
        """Second of the audio file of each sample, of the first participant."""
        return self.clocks[0]


def stack_responses(
    tree: OutputTree, shared: SharedClock, stimulus: str, space: str, folder: Path
) -> Stack:
    """Collect everybody's responses to a stimulus in one memory-mapped file.

    Parameters
    ----------
    tree : OutputTree
    shared : SharedClock
        With at least one participant.
    stimulus : str
        One of ``shared.stimuli``.
    space : str
    folder : Path
        Of the memory-mapped file.

    Raises
    ------
    MissingInputError, BadDataError
        A file is missing or damaged.
    """
    stacked: NDArray[np.float32] | None = None
    for index, participant in enumerate(shared.participants):
        left = response_files(tree, participant, stimulus, space)[0]
        n_arrays = len(read_clock(sidecar_of(left)).times)
        values = read_maps(left, space, n_arrays=n_arrays)[shared.rows[stimulus][index]]
        if stacked is None:
            path = folder / f"{safe_label(stimulus)}.npy"
            stacked = new_series(path, (len(shared.participants), *values.shape))
        stacked[index] = values
    assert stacked is not None
    return Stack(stacked, shared.times[stimulus], shared.tr)


def response_files(tree: OutputTree, participant: str, stimulus: str, space: str) -> list[Path]:
    """Left and right file of a participant's cleaned responses to a stimulus heard first."""
    found = tree.responses(participant, space, safe_label(stimulus))
    nowhere = tree.participant_bold(participant, "L", space, stim=safe_label(stimulus))
    return hemispheres_of(found[0] if found else nowhere)


def read_clock(sidecar: Path) -> Clock:
    """Sampling times of cleaned responses and their distance.

    Raises
    ------
    MissingInputError, BadDataError
    """
    told = read_record(sidecar, StimulusTimes=list, RepetitionTime=(int, float))
    try:
        times = np.asarray(told["StimulusTimes"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise damaged(sidecar, error, "numbers in StimulusTimes") from error
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise damaged(sidecar, f"StimulusTimes of shape {times.shape}", "seconds")
    if not told["RepetitionTime"] > 0:
        raise damaged(sidecar, f"RepetitionTime {told['RepetitionTime']}", "seconds")
    return Clock(float(told["RepetitionTime"]), times)
