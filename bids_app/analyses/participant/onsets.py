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
from bids_app.features.loudness import Loudness
from bids_app.inputs.records import BoldRun, StudyPlan
from bids_app.surface.lag import FoundLag, auditory_vertices, find_lag, region_mean
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
    onsets: dict[tuple[str, str], set[float]] = {}
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
            onsets.setdefault(key, set()).add(presentation.onset)
    return [
        OnsetEstimate(
            *key,
            tuple(sorted(onsets[key])),
            tuple(own),
            find_lag(
                list(own.values()),
                _lags_to_try([run for run in plan.runs if _hears(run, key)], sounds[key[1]]),
                seed=random_seed,
            ),
        )
        for key, own in sorted(heard.items())
    ]


def _hears(run: BoldRun, key: tuple[str, str]) -> bool:
    return run.task == key[0] and key[1] in [p.stimulus for p in run.presentations]


def _lags_to_try(runs: Sequence[BoldRun], sound: Loudness) -> NDArray[np.float64]:
    """From the usual earliest lag to the latest at which enough music is left in the run."""
    end = max(run.n_volumes * run.tr for run in runs)
    latest = max(LAGS[-1], end - MIN_OVERLAP * min(sound.seconds, end))
    return np.arange(LAGS[0], latest + STEP / 2, STEP)
