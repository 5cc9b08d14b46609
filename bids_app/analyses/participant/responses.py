"""One participant's runs to cleaned responses on the clock of the music."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_app.analyses.participant.bold import odd_volumes, read_bold
from bids_app.analyses.participant.lags import LagCheck, check_lag
from bids_app.bands import Band, HighPass
from bids_app.config import Cleaning
from bids_app.errors import BadDataError
from bids_app.features.loudness import Loudness
from bids_app.features.timing import (
    drift_basis,
    high_pass_basis,
    stimulus_rows,
    whole_clock,
)
from bids_app.inputs.confounds import ConfoundSelection, select_confounds
from bids_app.inputs.records import BoldRun, Presentation
from bids_app.inputs.tables import read_frame
from bids_app.resources import SIGNAL_CORTEX
from bids_app.surface.cortex import cortex_vertices
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import SurfaceMesh, load_mesh
from bids_app.surface.responses import (
    CleanedResponses,
    clean_responses,
    residual_matrix,
    temporal_snr,
)
from bids_app.surface.smooth import smooth_rows
from bids_app.surface.subcortex import Subcortex, smooth_within

# A medial wall is a tenth of a hemisphere; signal loss at the temporal poles adds to it.
MAX_SILENT_SHARE = 0.3
MEDIAL_WALL_SHARE = 0.09
MOTION_NAMES = {
    "framewise_displacement": ("framewise_displacement", "FramewiseDisplacement"),
    "std_dvars": ("std_dvars", "stdDVARS"),
}
"""Columns of the design, and what fMRIPrep calls them, or once did."""
MEAN_KEPT = 2.0
"""Median of mean over standard deviation from which on a series still has its mean."""
# Volumes, and vertices, worked on at a time; do not change the result.
_ROWS, _COLUMNS = 32, 4096


@dataclass(frozen=True)
class Block:
    """One presentation of one stimulus.

    Attributes
    ----------
    stimulus : str
        Label of the stimulus.
    run : str
        Label of the run it was heard in.
    tr : float
        Repetition time, in seconds.
    times : array of shape (n_times,)
        Second of the audio file each volume was sampled at.
    values : array of shape (n_times, n_vertices), float32
        Cleaned responses, both hemispheres (left first); NaN at degenerate vertices.
    filter : array of shape (n_times, n_volumes) or None
        The rows of these volumes in the matrix that removes confounds and drift from the run, or
        that filtered a series that was denoised before; None where it is not known.
    volumes : array of shape (n_times,), int, or None
        Which volumes of the file these are, from 0, dummy scans counted.
    """

    stimulus: str
    run: str
    tr: float
    times: NDArray[np.float64]
    values: NDArray[np.float32]
    filter: NDArray[np.float64] | None = None
    volumes: NDArray[np.intp] | None = None


@dataclass(frozen=True, eq=False)
class RunData:
    """One run as it was read, with the confounds and drift to be removed.

    Attributes
    ----------
    run : BoldRun
    mesh : SurfaceMesh
    bold : array of shape (n_volumes, n_vertices), float32
        Both hemispheres, left first, dummy scans included; NaN outside the cortex mask.
    inside : array of shape (n_vertices,), bool
        The cortex mask.
    confounds : ConfoundSelection
    drift : array of shape (n_volumes, n_basis)
        Slow cosines; no column where the high-pass filter is off.
    smoothing : float
        Full width at half maximum in mm that `clean` and `percent_change` apply; 0 for none.
    voxels : Subcortex or None
        Where the series are subcortical voxels in the place of vertices.
    """

    run: BoldRun
    mesh: SurfaceMesh
    bold: NDArray[np.float32]
    inside: NDArray[np.bool_]
    confounds: ConfoundSelection
    drift: NDArray[np.float64]
    smoothing: float
    voxels: Subcortex | None = None

    @property
    def frame_times(self) -> NDArray[np.float64]:
        """When the volumes after the dummy scans were sampled, in seconds of the run."""
        volumes = np.arange(self.run.n_dummy, len(self.bold), dtype=np.float64)
        return self.run.start_time + self.run.tr * volumes

    @property
    def present(self) -> NDArray[np.intp]:
        """Numbers of the volumes after the dummy scans that were not censored."""
        volumes = np.arange(self.run.n_dummy, len(self.bold))
        return np.setdiff1d(volumes, self.run.censored)

    @property
    def nuisance(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Confounds and drift after the dummy scans, for the design of a linear model."""
        kept = slice(self.run.n_dummy, None)
        return self.confounds.values[kept], self.drift[kept]


def read_run(run: BoldRun, cleaning: Cleaning, mesh: SurfaceMesh) -> RunData:
    """Read a run, blank what is not cortex, and select its confounds and drift.

    Parameters
    ----------
    run : BoldRun
    cleaning : Cleaning
    mesh : SurfaceMesh
        Of the analysis: `cleaning.space`.

    Raises
    ------
    MissingInputError, BadDataError
        If a file cannot be read, or is of another mesh or length.
    """
    bold = read_bold(run, mesh)
    inside = cortex_vertices(cleaning.cortex_mask, mesh)
    bold[:, ~inside] = np.nan
    selected, drift = nuisance_of(run, cleaning, len(bold))
    return RunData(run, mesh, bold, inside, selected, drift, cleaning.smoothing)


def nuisance_of(
    run: BoldRun, cleaning: Cleaning, n_volumes: int
) -> tuple[ConfoundSelection, NDArray[np.float64]]:
    """Confounds and drift of a run, (n_volumes, n_basis), dummy scans included."""
    selected = select_confounds(
        run.confounds_file,
        run.confounds_json,
        cleaning.confounds,
        n_volumes,
        own_high_pass=bool(cleaning.high_pass),
    )
    drift = np.empty((n_volumes, 0))
    cutoff = cleaning.high_pass
    if isinstance(cutoff, Band):  # filtered before
        cutoff = cutoff.cutoff
    if cutoff:
        drift = high_pass_basis(n_volumes, run.tr, cutoff)
    return selected, drift


def regress_out(data: RunData, series: NDArray[np.floating]) -> CleanedResponses:
    """Take confounds and drift out of series of a run, (n_volumes, n); nothing is smoothed.

    Censored volumes are left out, and NaN in the result.
    """
    return _regress_out(data, series, np.empty(series.shape, dtype=np.float32))


def _regress_out(
    data: RunData, series: NDArray[np.floating], out: NDArray[np.float32]
) -> CleanedResponses:
    run = data.run
    if not run.censored:
        return clean_responses(
            series, data.confounds.values, data.drift, n_dummy=run.n_dummy, out=out
        )
    rows = data.present
    there = series[rows]
    found = clean_responses(there, data.confounds.values[rows], data.drift[rows])
    out[:] = np.nan
    out[rows] = found.values
    return replace(found, values=out)


def clean(data: RunData) -> CleanedResponses:
    """Cleaned responses: confounds and drift regressed out of every vertex, then smoothed.

    They overwrite the BOLD.
    """
    cleaned = _regress_out(data, data.bold, data.bold)
    rows = data.present
    first, last = rows[0], rows[-1] + 1
    if len(rows) == last - first:
        _smooth(cleaned.values[first:last], data, ~cleaned.degenerate)
    else:
        present = cleaned.values[rows]
        _smooth(present, data, ~cleaned.degenerate)
        cleaned.values[rows] = present
    return cleaned


def percent_change(data: RunData) -> tuple[NDArray[np.float32], bool]:
    """A run in percent of each vertex' mean, then smoothed, for a model with the nuisance in it.

    In percent, effects of participants can be compared; a file whose mean was already taken out
    stays as it is.

    Returns
    -------
    values : array of shape (n_times, n_vertices)
        After the dummy scans.
    percent : bool
        Whether it is percent.
    """
    values = data.bold[data.run.n_dummy :]
    mean, sd = _moments(values)
    alive = np.isfinite(mean) & (sd > 0)
    percent = bool(alive.any() and np.median(mean[alive] / sd[alive]) > MEAN_KEPT)
    scale = np.ones(len(mean), dtype=np.float32)
    if percent:
        usable = alive & (mean > sd)
        scale = np.where(usable, 100.0 / np.where(usable, mean, 1.0), np.nan).astype(np.float32)
    values = values * scale
    if data.smoothing > 0:
        alive &= np.isfinite(scale)
        for start in range(0, len(values), _ROWS):
            alive &= np.isfinite(values[start : start + _ROWS]).all(axis=0)
        _smooth(values, data, alive)
    return values, percent


def signal_to_noise(data: RunData) -> NDArray[np.float64] | None:
    """Temporal signal-to-noise ratio of a run as it was read, (n_vertices,).

    None where the mean was taken out of the series before.
    """
    rows = data.present
    if data.run.censored:
        found = temporal_snr(data.bold[rows], data.drift[rows])
    else:
        found = temporal_snr(data.bold, data.drift, n_dummy=data.run.n_dummy)
    known = np.isfinite(found)
    return found if known.any() and np.median(found[known]) > MEAN_KEPT else None


def _moments(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every vertex, a range of vertices at a time."""
    mean, sd = np.empty((2, values.shape[1]))
    for start in range(0, values.shape[1], _COLUMNS):
        part = slice(start, start + _COLUMNS)
        mean[part] = values[:, part].mean(axis=0, dtype=np.float64)
        sd[part] = values[:, part].std(axis=0, dtype=np.float64)
    return mean, sd


def _smooth(values: NDArray[np.float32], data: RunData, usable: NDArray[np.bool_]) -> None:
    """Smooth rows on both hemispheres, in place; vertices that are not usable are left out.

    Voxels are smoothed within structures.
    """
    if data.smoothing == 0:
        return
    if data.voxels is not None:
        points, numbers = data.voxels.points, data.voxels.numbers
        values[:] = smooth_within(values, points, numbers, data.smoothing, usable)
        return
    for half, hemi, inside in zip(
        data.mesh.split(values), data.mesh.hemispheres, data.mesh.split(usable), strict=True
    ):
        points = (hemi.white + hemi.pial) / 2
        smooth_rows(half, points, hemi.faces, data.smoothing, mask=inside)


@dataclass
class Prepared:
    """A participant's responses, with tables about the runs.

    Attributes
    ----------
    blocks : list of Block
        One per presentation, in the order of the runs.
    summary : list of dict
        One row per run: volumes, confounds, degrees of freedom, degenerate vertices, lag, warnings.
    lags : list of dict
        Curves of the lag check: run, stimulus, lag_s, r.
    design : list of dict
        One row per volume: run, volume, framewise_displacement, confounds; None where unknown.
    events : dict from label of a run to list of dict
        When its music was taken to play, as the ``events.tsv`` of BIDS has it.
    tsnr, coverage : arrays of shape (n_runs, n_vertices), float32
        Temporal signal-to-noise ratio, NaN where a run has none; 1 where a run has a signal, 0
        where it has none, NaN outside the cortex mask.
    """

    blocks: list[Block] = field(default_factory=list)
    summary: list[dict[str, Any]] = field(default_factory=list)
    lags: list[dict[str, Any]] = field(default_factory=list)
    design: list[dict[str, Any]] = field(default_factory=list)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    tsnr: NDArray[np.float32] | None = None
    coverage: NDArray[np.float32] | None = None


def prepare_responses(
    runs: Sequence[BoldRun],
    cleaning: Cleaning,
    *,
    sounds: Mapping[str, Loudness] | None = None,
    random_seed: int,
) -> Prepared:
    """Clean every run, smooth it on the surface, and keep the volumes with music.

    Parameters
    ----------
    runs : sequence of BoldRun
    cleaning : Cleaning
    sounds : mapping of str to Loudness, optional
        Loudness of the stimuli by label; without it the lag of the music is not checked.
    random_seed : int
        Of the phases behind the p of the lag check.
    """
    prepared = Prepared()
    mesh = load_mesh(cleaning.space)
    auditory = auditory_vertices(mesh)
    tsnr, coverage = np.full((2, len(runs), mesh.n_vertices), np.nan, dtype=np.float32)
    for k, run in enumerate(runs):
        data = read_run(run, cleaning, mesh)
        odd = odd_volumes(run, data.bold)
        ratio = signal_to_noise(data)  # cleaning takes the place of the series
        cleaned = clean(data)
        tsnr[k] = np.nan if ratio is None else ratio
        coverage[k, data.inside] = ~cleaned.degenerate[data.inside]
        noticed = odd + without_signal(run, cleaned.degenerate, data.inside)
        if cleaning.cortex_mask == SIGNAL_CORTEX:
            noticed += _with_signal_everywhere(cleaned.degenerate)
        projection = residual_matrix(data.confounds.values, data.drift, n_dummy=run.n_dummy)
        blocks = [
            cut(run, presentation, cleaned.values, projection, cleaning.high_pass)
            for presentation in run.presentations
        ]
        checks = [
            check_lag(
                block.stimulus,
                *_without_gaps(block, auditory),
                sounds[block.stimulus],
                tr=block.tr,
                high_pass=cleaning.high_pass,
                random_seed=random_seed,
            )
            for block in blocks
            if sounds is not None
        ]
        prepared.blocks += blocks
        prepared.lags += [row for check in checks for row in check.rows(run.label)]
        prepared.events[run.label] = [_event(one) for one in run.presentations]
        prepared.design += _design_rows(run, data.confounds, len(data.bold))
        prepared.summary.append(
            {
                "smoothing_mm": cleaning.smoothing,
                "n_outside_cortex": int((~data.inside).sum()),
                "n_degenerate_vertices": int((cleaned.degenerate & data.inside).sum()),
                "tsnr": None if ratio is None else float(np.nanmedian(ratio)),
                **_summary_row(run, blocks, data.confounds, cleaned, checks, noticed),
            }
        )
    prepared.tsnr, prepared.coverage = tsnr, coverage
    return prepared


def _event(presentation: Presentation) -> dict[str, Any]:
    return {
        "onset": presentation.onset,
        "duration": presentation.duration,
        "trial_type": presentation.stimulus,
        "audio_start": presentation.offset,
    }


def _without_gaps(
    block: Block, vertices: NDArray[np.intp]
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Responses of some vertices and their times; lines across volumes that were censored."""
    times, kept = whole_clock(block.times, block.tr)
    responses = block.values[:, vertices]
    if len(times) == len(kept):
        return responses, times
    places = np.arange(len(times))
    columns = [np.interp(places, kept, column) for column in responses.T]
    return np.stack(columns, axis=1), times


def without_signal(
    run: BoldRun, degenerate: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> list[str]:
    """Warn of hemispheres in which much of the cortex has no signal.

    Raises
    ------
    BadDataError
        If no vertex has one.
    """
    if (degenerate | ~inside).all():
        raise BadDataError(
            "No vertex of a run has a signal.",
            where=run.bold_left,
            found=f"{inside.sum()} vertices that are constant or not finite",
            wanted="a vertex that varies",
            remedy="see whether these are the right files, or leave the run out with --exclude-run",
        )
    warnings = []
    for side, bad, cortex in zip(
        ("left", "right"), np.split(degenerate, 2), np.split(inside, 2), strict=True
    ):
        share = float(bad[cortex].mean()) if cortex.any() else 0.0
        if share > MAX_SILENT_SHARE:
            warnings.append(f"{share:.0%} of the vertices of the {side} hemisphere have no signal")
    return warnings


def _with_signal_everywhere(degenerate: NDArray[np.bool_]) -> list[str]:
    """Warn where the medial wall has a signal and no mask is to leave it out.

    It covers 9 % of a hemisphere of fsaverage.
    """
    shares = [half.mean() for half in np.split(degenerate, 2)]
    if min(shares) >= MEDIAL_WALL_SHARE / 2:
        return []
    return [
        f"only {min(shares):.1%} of a hemisphere has no signal: the medial wall counts as cortex "
        "with --cortex-mask signal"
    ]


def cut(
    run: BoldRun,
    presentation: Presentation,
    responses: NDArray[np.float32],
    projection: NDArray[np.float64],
    high_pass: HighPass,
) -> Block:
    """The volumes of a run in which a presentation was heard; without a line if nothing else.

    Volumes that were censored are left out, and their times.
    """
    rows, times = stimulus_rows(
        len(responses),
        run.tr,
        run.start_time,
        presentation.onset,
        presentation.duration,
        presentation.offset,
    )
    present = (rows >= run.n_dummy) & ~np.isin(rows, run.censored)
    if not present.any():
        raise BadDataError(
            "All volumes of a piece were censored.",
            where=run.label,
            found=f"{len(rows)} volumes during {presentation.stimulus}",
            wanted="volumes that were kept",
            remedy="leave the run out with --exclude-run",
        )
    kept, times = rows[present], times[present]
    whole = kept[-1] - kept[0] + 1 == len(kept)
    values = responses[kept[0] : kept[-1] + 1] if whole else responses[kept]
    filtered = projection[kept - run.n_dummy]
    if isinstance(high_pass, Band):  # of how the series came about only the band is known
        told = (presentation.stimulus, run.label, run.tr, times, values)
        if not (high_pass.low or high_pass.high):
            return Block(*told, volumes=kept)
        filtered = filtered @ high_pass.apply(np.eye(len(projection)), run.tr)
        return Block(*told, filtered, volumes=kept)
    if not high_pass:
        line = drift_basis(len(kept), run.tr, high_pass)
        values = values - (line @ (line.T @ values)).astype(np.float32)
        filtered = filtered - line @ (line.T @ filtered)
    return Block(presentation.stimulus, run.label, run.tr, times, values, filtered, kept)


def _summary_row(
    run: BoldRun,
    blocks: Sequence[Block],
    selected: ConfoundSelection,
    cleaned: CleanedResponses,
    checks: Sequence[LagCheck],
    noticed: Sequence[str],
) -> dict[str, Any]:
    lags = [check.warning for check in checks if check.warning]
    found = [check.found for check in checks]
    return {
        "run": run.label,
        "stimuli": ",".join(p.stimulus for p in run.presentations),
        "onsets_s": ",".join(f"{p.onset:g}" for p in run.presentations),
        "n_volumes": len(cleaned.values),
        "n_dummy": run.n_dummy,
        "n_volumes_with_music": sum(len(block.times) for block in blocks),
        "repetition_time_s": run.tr,
        "repetition_time_source": run.tr_source,
        "sampling_time_s": run.start_time,
        "sampling_time_source": run.start_time_source,
        "bold": f"{run.kind} in {run.space}",
        "n_confounds": len(selected.names),
        "confounds": ",".join(selected.names),
        "design_rank": cleaned.rank,
        "degrees_of_freedom": cleaned.degrees_of_freedom,
        "lag_s": ",".join(f"{one.lag:.2f}" if one.clear else one.state for one in found),
        "lag_r": ",".join(f"{one.r:.3f}" for one in found),
        "lag_p": ",".join(f"{one.p:.3f}" for one in found),
        "warnings": "; ".join(dict.fromkeys([*run.warnings, *selected.warnings, *noticed, *lags])),
    }


def _design_rows(run: BoldRun, selected: ConfoundSelection, n_volumes: int) -> list[dict[str, Any]]:
    """Confounds of the design, and head motion."""
    motion: dict[str, list[float | None]] = {name: [None] * n_volumes for name in MOTION_NAMES}
    if run.confounds_file is not None:
        table = read_frame(run.confounds_file)
        for ours, theirs in MOTION_NAMES.items():
            for name in theirs:
                if name in table and len(table) == n_volumes:
                    numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)
                    motion[ours] = [float(v) if np.isfinite(v) else None for v in numbers]
    return [
        {"run": run.label, "volume": volume}
        | {name: values[volume] for name, values in motion.items()}
        | dict(zip(selected.names, map(float, selected.values[volume]), strict=True))
        for volume in range(n_volumes)
    ]
