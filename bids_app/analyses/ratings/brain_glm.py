"""Ratings and brain (Q1): where do responses follow, or precede, changes of what is felt?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.participant.linear_models import (
    NOISE_MODEL,
    LinearMaps,
    MapContrast,
    RunFits,
    TurnedEffect,
)
from bids_app.analyses.participant.responses import RunData, percent_change, read_run
from bids_app.analyses.ratings.courses import TRANSFORM, change_of, need_rating
from bids_app.config import Cleaning, Emotion
from bids_app.emotion import (
    Design,
    build_design,
    combine_turned,
    convolved,
    convolved_course,
    delayed_course,
    fit_run,
    is_constant,
    n_frequencies,
    turned_effects,
    turned_sd,
)
from bids_app.emotion.windows import WINDOWS
from bids_app.encoding import delay_samples
from bids_app.errors import BadDataError, MusencError, reason_of
from bids_app.inputs.ratings import RatingSet
from bids_app.inputs.records import BoldRun, Presentation
from bids_app.surface.mesh import load_mesh

RESPONSE_TAIL = 12.0
"""Seconds by which a response outlasts the music."""
NUISANCE = ("music", "confound", "drift")
"""What the columns of no interest are called; confounds and drift are numbered."""
HIGHEST = 0.15
"""Hz: a canonical response lets next to nothing pass above."""


def fit_rating_glm(
    runs: Sequence[BoldRun],
    ratings: RatingSet,
    cleaning: Cleaning,
    emotion: Emotion,
    *,
    scales: Sequence[str],
    read: Callable[[BoldRun], RunData] | None = None,
) -> LinearMaps:
    """Fit ``response = sum of b |d scale / dt| + confounds + drift + music + e`` to every run.

    All scales are in one model. Each change is divided by its standard deviation over all music of
    the participant, so that effects of different scales can be compared. The music itself is a
    regressor of no interest: a change is never negative, so without it the effect would also show
    what responds to music against silence.

    Parameters
    ----------
    runs : sequence of BoldRun
        Of one participant.
    ratings : RatingSet
        Of everybody.
    cleaning : Cleaning
    emotion : Emotion
        Its hemodynamic response, or one coefficient per delay with ``hrf="fir"``.
    scales : sequence of str
    read : callable, optional
        What reads a run (default: the vertices of the cortex).

    Returns
    -------
    LinearMaps
        One map per scale; with "fir" one per scale and delay, and the means over negative delays
        (``precedes``) and positive ones (``follows``).

    Raises
    ------
    BadDataError
        If no run has ratings of all scales that vary; the reasons are listed.
    """
    if not runs:
        raise BadDataError(
            "There is no run to relate to ratings.",
            where="runs",
            found="none",
            wanted="a run with ratings of all scales",
            remedy="add ratings, or choose others with --scales",
        )
    if read is None:
        read = partial(read_run, cleaning=cleaning, mesh=load_mesh(cleaning.space))
    participant = runs[0].participant
    spread = _spreads(runs, ratings, participant, scales)
    fits = RunFits()
    contrasts: list[MapContrast] = []
    designs: list[dict[str, Any]] = []
    turned: list[tuple[NDArray[np.float64], list[str], list[NDArray[np.float32]]]] = []
    for run in runs:
        if reason := _why_not(run, ratings, participant, scales, spread):
            fits.skip(run, reason)
            continue
        found = map_contrasts(scales, emotion, run.tr)
        if contrasts and [c.name for c in found] != [c.name for c in contrasts]:
            fits.skip(run, f"its volumes ({run.tr:g} s) have other delays than runs before")
            continue
        data = read(run)
        courses = _courses(run.presentations, ratings, participant, scales, spread)
        try:
            effects = _effects(courses, data, emotion, found)
            nuisance = [_music(run.presentations, data), *data.nuisance]
            design = build_design(effects, nuisance, len(data.frame_times))
            values, percent = percent_change(data)
            weights = np.stack([design.contrast(c.weights) for c in found])
            estimate = fit_run(values, design, weights)
            tested = tested_over_people(found)
            windows, n_freq = music_windows(run.presentations, data.frame_times, run.tr, emotion)
            parts = turned_effects(values, design, weights[tested], estimate.rho, windows, n_freq)
        except MusencError as error:
            fits.skip(run, reason_of(error))
            continue
        fits.add(run, design, estimate, percent=percent)
        designs += design_rows(run, design)
        stimuli = [p.stimulus for p in run.presentations]
        turned.append((estimate.variance[tested], stimuli, parts))
        contrasts = found
    details = _details(scales, spread, emotion)
    maps = fits.combine(contrasts, details, analysis="ratings and brain")
    joint = combine_turned(turned)
    tested, z = tested_over_people(contrasts), maps.z.copy()
    # Errors are not AR(1), so that t is too large; phases keep what they are.
    sd = turned_sd(joint)
    z[tested] = np.where(sd > 0, maps.effect[tested] / np.where(sd > 0, sd, 1.0), np.nan)
    return replace(
        maps,
        z=z,
        design=designs,
        turned=[
            TurnedEffect(contrasts[index], stimulus, values[k])
            for stimulus, values in joint.items()
            for k, index in enumerate(tested)
        ],
    )


def _details(
    scales: Sequence[str], spread: Mapping[str, float], emotion: Emotion
) -> dict[str, Any]:
    """The model, for sidecars."""
    return {
        "Scales": list(scales),
        "Transform": TRANSFORM,
        "StandardDeviation": spread,
        "HemodynamicModel": emotion.hrf,
        "NoiseModel": NOISE_MODEL,
        **({"Delays": list(emotion.delays)} if emotion.hrf == "fir" else {}),
    }


def design_rows(run: BoldRun, design: Design) -> list[dict[str, Any]]:
    """The design of a run, a row per volume after the dummy scans."""
    names = [_told(name) for name in design.names]
    return [
        {"run": run.label, "volume": volume, **dict(zip(names, map(float, row), strict=True))}
        for volume, row in enumerate(design.matrix, start=run.n_dummy)
    ]


def _told(column: str) -> str:
    """``confound3`` of ``nuisance2_3``; effects keep their names."""
    part, _, number = column.removeprefix("nuisance").partition("_")
    if part == column or not (part.isdigit() and number.isdigit()):
        return column
    kind = NUISANCE[int(part) - 1]
    return kind if kind == "music" else f"{kind}{number}"


def tested_over_people(contrasts: Sequence[MapContrast]) -> list[int]:
    """Positions of the maps that the group level tests: all but those of single delays."""
    return [k for k, contrast in enumerate(contrasts) if contrast.delay is None]


def music_windows(
    presentations: Sequence[Presentation],
    frame_times: NDArray[np.float64],
    tr: float,
    emotion: Emotion,
) -> tuple[list[slice], list[int]]:
    """Rows of each presentation with the response that outlasts it, and what of them turns.

    Frequencies above those that a canonical response lets pass do not turn.
    """
    starts = [int(np.searchsorted(frame_times, p.onset - 1e-6)) for p in presentations]
    ends = [
        int(np.searchsorted(frame_times, p.onset + p.duration + RESPONSE_TAIL - 1e-6))
        for p in presentations
    ]
    windows = [
        slice(start, min([end, *(other for other in starts if other > start)]))
        for start, end in zip(starts, ends, strict=True)
    ]
    return windows, [n_turning(w.stop - w.start, tr, emotion) for w in windows]


def n_turning(n_rows: int, tr: float, emotion: Emotion) -> int:
    """Frequencies of a window whose phases turn."""
    return n_frequencies(n_rows, tr, np.inf if emotion.hrf == "fir" else HIGHEST)


def _spreads(
    runs: Sequence[BoldRun],
    ratings: RatingSet,
    participant: str,
    scales: Sequence[str],
) -> dict[str, float]:
    """Standard deviation of every scale over the music of a participant; 0 without any."""
    stimuli = sorted({p.stimulus for run in runs for p in run.presentations})
    result = {}
    for scale in scales:
        there = [r for s in stimuli if (r := ratings.find(participant, s, scale)) is not None]
        values = [change_of(r) for r in there if not is_constant(r.values)]
        result[scale] = float(np.concatenate(values).std()) if values else 0.0
    return result


def _why_not(
    run: BoldRun,
    ratings: RatingSet,
    participant: str,
    scales: Sequence[str],
    spread: Mapping[str, float],
) -> str:
    """Why a run has no regressors; empty where it has."""
    stimuli = [p.stimulus for p in run.presentations]
    if not stimuli:
        return "no music"
    missing = ratings.missing(participant, stimuli, scales)
    if missing:
        return "no rating: " + ", ".join(missing)
    still = [
        scale
        for scale in scales
        if spread[scale] == 0
        or all(is_constant(need_rating(ratings, participant, s, scale).values) for s in stimuli)
    ]
    return f"constant rating: {', '.join(still)}" if still else ""


Courses = dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64], float]]]


def _courses(
    presentations: Sequence[Presentation],
    ratings: RatingSet,
    participant: str,
    scales: Sequence[str],
    spread: Mapping[str, float],
) -> Courses:
    """Per scale: times, values and shift to the run's clock, one entry per presentation."""
    result: Courses = {scale: [] for scale in scales}
    for presentation in presentations:
        for scale in scales:
            rating = need_rating(ratings, participant, presentation.stimulus, scale)
            if is_constant(rating.values):
                continue
            # What was not played was not felt.
            played = (rating.times >= presentation.offset - 1e-6) & (
                rating.times <= presentation.offset + presentation.duration + 1e-6
            )
            values = change_of(rating) / spread[scale]
            if played.sum() < 2:
                raise BadDataError(
                    "The ratings do not overlap the music.",
                    where=rating.source,
                    found=f"{scale} from {rating.times[0]:g} to {rating.times[-1]:g} s",
                    wanted=f"{presentation.offset:g} to "
                    f"{presentation.offset + presentation.duration:g} s",
                    remedy="correct the times of the rating, or their unit",
                )
            shift = presentation.onset - presentation.offset
            result[scale].append((rating.times[played], values[played], shift))
    return result


def map_contrasts(scales: Sequence[str], emotion: Emotion, tr: float) -> list[MapContrast]:
    """What each map shows; the columns of the design are called by these names."""
    if emotion.hrf != "fir":
        return [MapContrast(scale, {scale: 1.0}, scale=scale) for scale in scales]
    contrasts: list[MapContrast] = []
    steps = (delay_samples(emotion.delays, tr) * tr).tolist()
    for scale in scales:
        single = [
            MapContrast(name, {name: 1.0}, scale=scale, delay=step)
            for step in steps
            for name in [f"{scale} at {step:+g} s"]
        ]
        contrasts += single
        for window in WINDOWS:
            members = [c.name for c in single if c.delay is not None and window.holds(c.delay)]
            weights = {name: 1 / len(members) for name in members}
            if members:
                name = f"{scale} {window.brain}"
                contrasts.append(MapContrast(name, weights, scale=scale, window=window.brain))
    return contrasts


def _effects(
    courses: Courses, data: RunData, emotion: Emotion, contrasts: Sequence[MapContrast]
) -> dict[str, NDArray[np.float64]]:
    """Columns of interest of the design."""
    frames, tr = data.frame_times, data.run.tr
    columns: dict[str, NDArray[np.float64]] = {}
    for scale, parts in courses.items():
        own = [c for c in contrasts if c.scale == scale and not c.window]
        if emotion.hrf != "fir":
            (contrast,) = own
            columns[contrast.name] = np.sum(
                [convolved_course(t, v, frames, shift=s, hrf=emotion.hrf) for t, v, s in parts], 0
            )
            continue
        delays = [c.delay for c in own if c.delay is not None]
        shifted = np.sum(
            [delayed_course(t, v, frames, shift=s, delays=delays, width=tr) for t, v, s in parts],
            axis=0,
        )
        columns |= {c.name: column for c, column in zip(own, shifted.T, strict=True)}
    return columns


def _music(presentations: Sequence[Presentation], data: RunData) -> NDArray[np.float64]:
    onsets = [p.onset for p in presentations]
    durations = [p.duration for p in presentations]
    return convolved(onsets, durations, np.ones(len(onsets)), data.frame_times)[:, None]
