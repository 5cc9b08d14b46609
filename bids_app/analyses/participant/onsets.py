"""When did the music start? Auditory cortex of all participants against loudness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.lags import (
    HEMODYNAMIC_DELAY,
    LAGS,
    N_DRAWS,
    heard_at,
    read_loudness,
)
from bids_app.analyses.participant.responses import read_run, regress_out
from bids_app.bands import HighPass
from bids_app.config import Cleaning
from bids_app.features.loudness import Loudness
from bids_app.inputs.records import BoldRun, Presentation, StudyPlan
from bids_app.seeds import generator
from bids_app.statistics import SIGNIFICANCE
from bids_app.surface.lag import (
    LagSummary,
    auditory_vertices,
    lag_curve,
    null_curves,
    peak_p,
    summarize_lags,
)
from bids_app.surface.mesh import load_mesh

MIN_OVERLAP = 0.5
"""Share of the music (or of the run, if shorter) that must be in the run for a lag to be tried."""

_STEP = 0.5
_N_DRAWS = 1000


@dataclass(frozen=True)
class OnsetEstimate:
    """What the data say about one stimulus in one task.

    Attributes
    ----------
    task, stimulus : str
    onsets : tuple of float
        Onsets that were assumed, in seconds after the first volume; mostly one.
    lags, low, high : arrays of shape (n_lags,)
        Seconds, and 95 % interval of the mean curve over participants.
    summary : LagSummary
        Mean curve, its maximum and the interval of that.
    participants : tuple of str
    p : float
        Of the maximum, against random phases of the responses, the same for everybody.
    """

    task: str
    stimulus: str
    onsets: tuple[float, ...]
    lags: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    summary: LagSummary
    participants: tuple[str, ...]
    p: float

    @property
    def clear(self) -> bool:
        """Whether noise seldom gives such a maximum."""
        return self.p < SIGNIFICANCE

    @property
    def at_edge(self) -> bool:
        """Whether the maximum is at the first or last lag that was tried."""
        return not self.lags[0] < self.summary.lag < self.lags[-1]

    @property
    def shift(self) -> float:
        """Seconds to add to the assumed onset."""
        return self.summary.lag - HEMODYNAMIC_DELAY


def estimate_onsets(
    plan: StudyPlan,
    cleaning: Cleaning,
    *,
    random_seed: int,
    progress: Callable[[str], None] | None = None,
) -> list[OnsetEstimate]:
    """Lag curves of whole runs, averaged over each participant's runs and then over participants.

    Parameters
    ----------
    plan : StudyPlan
        With the onsets to start from; all volumes of a run take part wherever the music is.
    cleaning : Cleaning
        Nothing is smoothed.
    random_seed : int
        Of the bootstrap over participants.
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
    curves: dict[tuple[str, str], dict[str, list[NDArray[np.float64]]]] = {}
    nulls: dict[tuple[str, str], dict[str, list[NDArray[np.float64]]]] = {}
    onsets: dict[tuple[str, str], set[float]] = {}
    lags = {
        key: _lags_to_try([run for run in plan.runs if _hears(run, key)], sounds[key[1]])
        for key in sorted({(run.task, p.stimulus) for run in plan.runs for p in run.presentations})
    }
    for run in plan.runs:
        if progress is not None:
            progress(run.label)
        data = read_run(run, cleaning, mesh)
        responses = regress_out(data, data.bold[:, auditory]).values
        for presentation in run.presentations:
            key = (run.task, presentation.stimulus)
            heard = _heard(run, presentation, sounds[key[1]], len(responses), cleaning.high_pass)
            curve = lag_curve(responses, heard, run.tr, lags[key])
            curves.setdefault(key, {}).setdefault(run.participant, []).append(curve)
            # One seed for all: what listeners share of noise stays shared.
            rng = generator(random_seed, "onset phases", *key)
            null = null_curves(responses, heard, run.tr, lags[key], n_draws=N_DRAWS, rng=rng)
            nulls.setdefault(key, {}).setdefault(run.participant, []).append(null)
            onsets.setdefault(key, set()).add(presentation.onset)
    return [
        _estimate(key, tuple(sorted(onsets[key])), lags[key], curves[key], nulls[key], random_seed)
        for key in sorted(curves)
    ]


def _hears(run: BoldRun, key: tuple[str, str]) -> bool:
    return run.task == key[0] and key[1] in [p.stimulus for p in run.presentations]


def _lags_to_try(runs: Sequence[BoldRun], sound: Loudness) -> NDArray[np.float64]:
    """From the usual earliest lag to the latest at which enough music is left in the run."""
    end = max(run.n_volumes * run.tr for run in runs)
    length = sound.values.size * sound.frame
    latest = max(LAGS[-1], end - MIN_OVERLAP * min(length, end))
    return np.arange(LAGS[0], latest + _STEP / 2, _STEP)


def _heard(
    run: BoldRun, presentation: Presentation, sound: Loudness, n_volumes: int, high_pass: HighPass
) -> NDArray[np.float64]:
    """Loudness of a presentation over a whole run."""
    times = run.start_time + run.tr * np.arange(n_volumes) - presentation.onset
    # Before the offset and after the end of playing nothing was heard.
    played = (times >= 0) & (times <= presentation.duration)
    inside = np.where(played, times + presentation.offset, -1.0)
    return heard_at(sound, inside, tr=run.tr, high_pass=high_pass)


def _estimate(
    key: tuple[str, str],
    onsets: tuple[float, ...],
    lags: NDArray[np.float64],
    curves: dict[str, list[NDArray[np.float64]]],
    nulls: dict[str, list[NDArray[np.float64]]],
    random_seed: int,
) -> OnsetEstimate:
    null = np.stack([_mean_z(np.stack(own)) for own in nulls.values()]).mean(axis=0)
    z = np.stack([_mean_z(np.stack(own)) for own in curves.values()])
    rng = generator(random_seed, "bootstrap of onset curves", *key)
    draws = [_mean_z(np.tanh(z[rng.integers(0, len(z), len(z))])) for _ in range(_N_DRAWS)]
    low, high = np.tanh(np.percentile(draws, [2.5, 97.5], axis=0))
    return OnsetEstimate(
        task=key[0],
        stimulus=key[1],
        onsets=onsets,
        lags=lags,
        low=low,
        high=high,
        summary=summarize_lags(np.tanh(z), lags, seed=random_seed),
        participants=tuple(curves),
        p=peak_p(z.mean(axis=0), null),
    )


def _mean_z(r: NDArray[Any]) -> NDArray[np.float64]:
    """Mean Fisher z over rows; NaN where a row is."""
    return np.asarray(np.arctanh(np.clip(r, -0.999999, 0.999999)).mean(axis=0))
