"""When did the music start? Auditory cortex of all participants against loudness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.lags import (
    HEMODYNAMIC_DELAY,
    LAGS,
    STEP,
    loudness_run,
    read_loudness,
)
from bids_app.analyses.participant.responses import read_run, regress_out
from bids_app.config import Cleaning
from bids_app.inputs.records import BoldRun, Presentation, StudyPlan
from bids_app.surface.lag import EXPECTED_LAGS, FoundLag, auditory_vertices, find_lag, region_mean
from bids_app.surface.lag_scan import LagRun
from bids_app.surface.mesh import load_mesh

MIN_OVERLAP = 0.5
"""Share of the music (or of the run, if shorter) that must be in the run for a lag to be tried."""


@dataclass(frozen=True)
class OnsetEstimate:
    """What the data say about one stimulus in one task.

    Attributes
    ----------
    task, stimulus : str
    onsets : tuple of float
        Onsets that were assumed, in seconds after the first volume; mostly one.
    participants : tuple of str
    found : FoundLag
    """

    task: str
    stimulus: str
    onsets: tuple[float, ...]
    participants: tuple[str, ...]
    found: FoundLag

    @property
    def shift(self) -> float:
        """Seconds to add to the assumed onset."""
        return self.found.lag - HEMODYNAMIC_DELAY


def estimate_onsets(
    plan: StudyPlan,
    cleaning: Cleaning,
    *,
    random_seed: int,
    progress: Callable[[str], None] | None = None,
) -> list[OnsetEstimate]:
    """Where auditory cortex follows the loudness best, over whole runs of all participants.

    Parameters
    ----------
    plan : StudyPlan
        With the onsets to start from; all volumes of a run take part wherever the music is.
    cleaning : Cleaning
        Nothing is smoothed.
    random_seed : int
        Of phases and of the bootstrap over participants.
    progress : callable, optional
        Called with the label of each run.

    Returns
    -------
    list of OnsetEstimate
        By task and stimulus.
    """
    sounds = read_loudness([(s.label, s.path) for s in plan.stimuli])
    mesh = load_mesh(cleaning.space)
    auditory = auditory_vertices(mesh)
    heard: dict[tuple[str, str], dict[str, list[LagRun]]] = {}
    presented: dict[tuple[str, str], list[tuple[BoldRun, Presentation]]] = {}
    for run in plan.runs:
        if progress is not None:
            progress(run.label)
        data = read_run(run, cleaning, mesh)
        mean = region_mean(regress_out(data, data.bold[:, auditory]).values)[:, np.newaxis]
        volumes = run.start_time + run.tr * np.arange(len(mean), dtype=np.float64)
        for presentation in run.presentations:
            key = (run.task, presentation.stimulus)
            first = presentation.offset
            told = loudness_run(
                mean,
                volumes - presentation.onset + first,
                sounds[presentation.stimulus],
                (first, first + presentation.duration),
                tr=run.tr,
                high_pass=cleaning.high_pass,
            )
            heard.setdefault(key, {}).setdefault(run.participant, []).append(told)
            presented.setdefault(key, []).append((run, presentation))
    return [
        OnsetEstimate(
            *key,
            tuple(sorted({one.onset for _, one in presented[key]})),
            tuple(own),
            find_lag(
                list(own.values()),
                lags_to_try(presented[key]),
                seed=random_seed,
            ),
        )
        for key, own in sorted(heard.items())
    ]


def lags_to_try(
    presentations: Sequence[tuple[BoldRun, Presentation]],
) -> NDArray[np.float64]:
    """From the usual earliest lag to the latest at which enough music is left in a run.

    Parameters
    ----------
    presentations : sequence of (BoldRun, Presentation)
        Of one stimulus, with the onsets that are assumed.
    """
    latest = EXPECTED_LAGS[1]
    for run, heard in presentations:
        end = run.n_volumes * run.tr
        latest = max(latest, end - heard.onset - MIN_OVERLAP * min(heard.duration, end))
    return np.arange(LAGS[0], latest + STEP / 2, STEP)
