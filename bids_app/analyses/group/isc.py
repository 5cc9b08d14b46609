"""Inter-subject correlation from the cleaned responses in the output folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput
from bids_app.analyses.folder.read import damaged, read_maps, read_record
from bids_app.analyses.group.analysis import GroupAnalysis, state
from bids_app.analyses.group.collect import GroupData
from bids_app.config import Statistics
from bids_app.group import IscResult, isc
from bids_app.outputs import HEMISPHERES, OutputTree, safe_label, sidecar_of
from bids_app.report.extras import isc_section
from bids_app.report.group import Shown

LOGGER = logging.getLogger("bids_app.analyses")

# Responses on clocks that differ by more than this share of a volume are not compared.
CLOCK_TOLERANCE = 0.1


@dataclass(frozen=True)
class IscOutcome:
    """Inter-subject correlation, or why there is none.

    Attributes
    ----------
    result : IscResult or None
    stimuli : list of str
        Stimuli that went in.
    reasons : list of str
        What was left out and why.
    """

    result: IscResult | None
    stimuli: list[str]
    reasons: list[str]

    @property
    def states(self) -> list[dict[str, str]]:
        """What went in, and what was left out."""
        done = [state("isc", stimulus) for stimulus in self.stimuli]
        return done + [state("isc", reason=reason) for reason in self.reasons]


def group_isc(
    tree: OutputTree, data: GroupData, folder: Path, statistics: Statistics
) -> IscOutcome:
    """Correlate participants' cleaned responses to each stimulus.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
    folder : Path
        For memory-mapped stacks of responses, which may exceed the memory.
    statistics : Statistics
    """
    LOGGER.info("group: inter-subject correlation")
    stacks, used, reasons = [], [], []
    if len(data.participants) < 3:
        reasons.append("fewer than three participants")
    for stimulus in () if reasons else data.stimuli:
        stacked = stack_responses(tree, data.participants, stimulus, data.space, folder)
        if isinstance(stacked, str):
            reasons.append(f"{stimulus}: {stacked}")
        else:
            stacks.append(stacked.values)
            used.append(stimulus)
    for reason in reasons:
        LOGGER.warning("group: left out of the inter-subject correlation: %s", reason)
    result = isc(stacks, seed=statistics.random_seed) if stacks else None
    return IscOutcome(result, used, reasons)


@dataclass(frozen=True)
class Stack:
    """All participants' responses to one stimulus, on one clock.

    Attributes
    ----------
    values : array of shape (n_participants, n_times, n_vertices), float32
        Memory-mapped.
    times : array of shape (n_times,)
        Second of the audio file of each sample, of the first participant.
    tr : float
        Seconds between samples.
    """

    values: NDArray[np.float32]
    times: NDArray[np.float64]
    tr: float


def stack_responses(
    tree: OutputTree, participants: Sequence[str], stimulus: str, space: str, folder: Path
) -> Stack | str:
    """Collect responses to a stimulus in one memory-mapped file, or say why that cannot be done."""
    stacked: NDArray[np.float32] | None = None
    first: NDArray[np.float64] | None = None
    tr = 0.0
    for index, participant in enumerate(participants):
        paths = [
            tree.participant_bold(participant, hemi, space, stim=safe_label(stimulus))
            for hemi in HEMISPHERES
        ]
        if not all(path.exists() for path in paths):
            return f"no single cleaned response of sub-{participant} was saved"
        times, own_tr = _clock(sidecar_of(paths[0]))
        if first is None:
            first, tr = times, own_tr
        if len(times) != len(first) or np.abs(times - first).max() > CLOCK_TOLERANCE * tr:
            return f"sub-{participant} was sampled at other times than sub-{participants[0]}"
        values = read_maps(paths[0], space, n_arrays=len(times))
        if stacked is None:
            stacked = np.lib.format.open_memmap(
                folder / f"{safe_label(stimulus)}.npy",
                mode="w+",
                dtype=np.float32,
                shape=(len(participants), *values.shape),
            )
        stacked[index] = values
    if stacked is None or first is None:
        return "no participants"
    return Stack(stacked, first, tr)


def _clock(sidecar: Path) -> tuple[NDArray[np.float64], float]:
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
    return times, float(told["RepetitionTime"])


_OUTPUTS = tuple(
    MapOutput(
        stat,
        f"result.{value}",
        text,
        desc=desc,
        name=desc,
        details={"Stimuli": "stimuli", "LeftOut": "reasons"},
        of_model=False,
    )
    for stat, desc, value, text in (
        ("isc", "pairwise", "pairwise", "mean over pairs of participants"),
        (
            "isc",
            "leaveoneout",
            "leave_one_out_mean",
            "each participant with the others' mean",
        ),
        ("p", "isc", "p", "one-sided p of the pairwise mean, participant bootstrap, uncorrected"),
    )
)
SYNCHRONY = GroupAnalysis(
    "synchrony", group_isc, _OUTPUTS, page=Shown(sections=(isc_section,), once=True)
)
