"""Is head motion shared between listeners? If it is, motion may be what the music predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import signal

from bids_app.analyses.declare import Rows, TableOutput
from bids_app.analyses.folder.read import damaged, read_record, read_rows
from bids_app.analyses.group.analysis import RESPONSES, GroupAnalysis, state
from bids_app.analyses.group.clock import response_files, share_clock
from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.isc import MIN_PARTICIPANTS
from bids_app.config import Statistics
from bids_app.errors import BadDataError, MusencError, reason_of
from bids_app.group import isc
from bids_app.outputs import MOTION_DESC, OutputTree, sidecar_of

FloatArray = NDArray[np.float64]

TRACES = {"framewise_displacement": 0.01, "std_dvars": 0.01}
"""Columns of the design, and what is added before the logarithm; spikes count less by it."""
BREATHING, BREATHING_AXIS, BREATHING_BAND = "breathing", "trans_y", (0.2, 0.4)
"""Amplitude of the head's movement along the phase encoding in the band of breathing, in Hz."""
ADVANCE = 6.0
"""Seconds that artifacts come before what a model of delays from 3 to 9 s expects: -3 to 3 s."""
MIN_SAMPLES = 20
"""Of a stimulus; fewer correlate by chance."""


@dataclass(frozen=True)
class SharedMotion:
    """Correlation of head motion between participants, or why there is none.

    Attributes
    ----------
    rows : list of dict
        One per trace: mean r over pairs and stimuli, p corrected over traces.
    reasons : list of str
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def states(self) -> list[dict[str, str]]:
        """What went in, and what was left out."""
        done = [state("motion", row["trace"], done=True) for row in self.rows]
        return done + [state("motion", reason=reason) for reason in self.reasons]


def group_motion(tree: OutputTree, data: GroupData, statistics: Statistics) -> SharedMotion:
    """Correlate log motion of participants while they heard the same music.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
    statistics : Statistics

    Returns
    -------
    SharedMotion
    """
    shared = share_clock(tree, data.participants, data.stimuli, data.space)
    if len(shared.participants) < MIN_PARTICIPANTS or not shared.stimuli:
        return SharedMotion(reasons=["fewer than three participants with responses on one clock"])
    stacks, reasons = [], []
    for stimulus in shared.stimuli:
        try:
            pairs = zip(shared.participants, shared.rows[stimulus], strict=True)
            found = [motion_during(tree, who, stimulus, data.space, rows) for who, rows in pairs]
        except MusencError as error:
            reasons.append(f"{stimulus}: {reason_of(error)}")
            continue
        stack = np.stack(found)
        # The first volume has no motion since the one before it.
        known = np.asarray(np.isfinite(stack).all(axis=(0, 2)))
        if known[1:].all() and known.sum() >= MIN_SAMPLES:
            stacks.append(stack[:, known])
        else:
            reasons.append(f"{stimulus}: motion is known at {known.sum()} of {known.size} samples")
    if not stacks:
        return SharedMotion(reasons=reasons)
    return SharedMotion(motion_rows(stacks, statistics.random_seed), reasons)


def motion_courses(
    tree: OutputTree, participants: Sequence[str], stimuli: Sequence[str], space: str
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Motion that follows the music: the mean over listeners, as features of each piece.

    Parameters
    ----------
    tree : OutputTree
    participants, stimuli : sequence of str
    space : str
        Mesh of the responses.

    Returns
    -------
    courses : dict from stimulus to table
        Column ``time``, in seconds of the audio file; log framewise displacement and DVARS, and
        the amplitude of breathing where the repetition time shows it, each z-scored per
        participant; the same `ADVANCE` seconds earlier, ``*_artifact``: a model with delays for
        the hemodynamic response then sees what motion does to the signal at once.
    reasons : list of str
        What is not there, and why.

    Raises
    ------
    MissingInputError, BadDataError
        A table or sidecar is missing or damaged.
    """
    shared = share_clock(tree, participants, stimuli, space)
    reasons = list(shared.reasons)
    if len(shared.participants) < MIN_PARTICIPANTS:
        return {}, [*reasons, "fewer than three participants with responses on one clock"]
    breathing = 2 * BREATHING_BAND[1] * shared.tr < 1
    if not breathing:
        reasons.append(
            f"no breathing: volumes every {shared.tr:g} s show nothing up to {BREATHING_BAND[1]} Hz"
        )
    names = [*TRACES, *([BREATHING] if breathing else [])]
    courses = {}
    for stimulus in shared.stimuli:
        people = []
        for who, rows in zip(shared.participants, shared.rows[stimulus], strict=True):
            own = motion_during(tree, who, stimulus, space, rows)
            if breathing:
                path = sidecar_of(response_files(tree, who, stimulus, space)[0])
                amplitude = _breathing_of(tree, who, read_record(path), shared.tr)[rows]
                own = np.column_stack([own, amplitude])
            people.append((own - np.nanmean(own, axis=0)) / np.nanstd(own, axis=0))
        times, mean = shared.times[stimulus].mean(axis=0), np.nanmean(people, axis=0)
        # Volumes that somebody lacks are lines between their neighbors.
        grid = times[0] + shared.tr * np.arange(round((times[-1] - times[0]) / shared.tr) + 1)
        table = {"time": grid}
        for name, course in zip(names, mean.T, strict=True):
            known = np.isfinite(course)
            if not known.any():
                raise BadDataError(
                    "Motion is not known.",
                    where=stimulus,
                    found=f"no {name}",
                    wanted="a finite value at some volume",
                    remedy="see whether the confounds table of this stimulus' runs holds it",
                )
            table[name] = np.interp(grid, times[known], course[known])
            table[f"{name}_artifact"] = np.interp(grid + ADVANCE, grid, table[name])
        courses[stimulus] = pd.DataFrame(table)
    return courses, reasons


def _breathing_of(
    tree: OutputTree, participant: str, record: Mapping[str, Any], tr: float
) -> FloatArray:
    """Amplitude in the band of breathing at all samples of a response, over the whole run."""
    path = tree.participant_file(participant, "timeseries.tsv", desc="design")
    table = read_rows(path, ("run", "volume", *TRACES), run=str)
    if BREATHING_AXIS not in table:
        raise damaged(path, f"no {BREATHING_AXIS}", f"{BREATHING_AXIS} among the --confounds")
    own = table[table["run"] == str(record.get("Run"))].set_index("volume")[BREATHING_AXIS]
    filters = signal.butter(2, BREATHING_BAND, "bandpass", fs=1 / tr, output="sos")
    amplitude = np.abs(signal.hilbert(signal.sosfiltfilt(filters, own.to_numpy(np.float64))))
    found = pd.Series(amplitude, index=own.index).reindex(list(record["Volumes"]))
    return found.to_numpy(np.float64)


def motion_rows(stacks: Sequence[FloatArray], seed: int) -> list[dict[str, Any]]:
    """Mean correlation over pairs of every trace, with p of random phases.

    Parameters
    ----------
    stacks : sequence of arrays of shape (n_participants, n_times, n_traces)
        One per stimulus.
    seed : int
    """
    found = isc(stacks, seed=seed)
    return [
        {
            "trace": name,
            "n_participants": stacks[0].shape[0],
            "r": float(found.pairwise[k]),
            "p": float(found.p_max[k]),
        }
        for k, name in enumerate(TRACES)
    ]


def motion_during(
    tree: OutputTree, participant: str, stimulus: str, space: str, rows: NDArray[np.integer]
) -> FloatArray:
    """Log motion at samples of the saved responses to a stimulus heard once.

    Parameters
    ----------
    tree : OutputTree
    participant, stimulus, space : str
    rows : array of shape (n_times,), int
        Samples, from 0.

    Returns
    -------
    array of shape (n_times, n_traces)
        NaN where it is not known.

    Raises
    ------
    MissingInputError, BadDataError
        The table of the design is missing or damaged, or the responses were saved by a version
        that did not note their volumes.
    """
    path = sidecar_of(response_files(tree, participant, stimulus, space)[0])
    record = read_record(path)
    run, volumes = record.get("Run"), record.get("Volumes")
    if not isinstance(volumes, list) or len(volumes) <= np.max(rows):
        raise damaged(path, "no volume of every sample", "Run and Volumes")
    own = _design_of(tree, participant, str(run))
    values = own.reindex(np.asarray(volumes)[rows]).to_numpy(np.float64)
    return np.asarray(np.log(values + np.array(list(TRACES.values()))))


def _design_of(tree: OutputTree, participant: str, run: str) -> pd.DataFrame:
    path = tree.participant_file(participant, "timeseries.tsv", desc="design")
    table = read_rows(path, ("run", "volume", *TRACES), run=str)
    own = table[table["run"] == run].set_index("volume")[list(TRACES)]
    if not len(own):
        raise damaged(path, f"no row of {run}", "a row per volume")
    return own


def rows_of_motion(motion: SharedMotion) -> Rows:
    """One row per trace."""
    return motion.rows


MOTION_COLUMNS = {
    "trace": "column of fMRIPrep's confounds; its logarithm is correlated",
    "n_participants": "participants",
    "r": "mean correlation over pairs of participants and stimuli",
    "p": "one-sided p, independent phases per participant, corrected over traces by the largest"
    " value in standard deviations",
}
MOTION = GroupAnalysis(
    "motion",
    group_motion,
    (TableOutput("summary", MOTION_DESC, MOTION_COLUMNS, rows=rows_of_motion, of_model=False),),
    of_weights=False,
    reads=(RESPONSES, {"suffix": "timeseries.tsv", "model": "", "desc": "design"}),
)
