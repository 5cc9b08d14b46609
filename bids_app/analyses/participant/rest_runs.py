"""Resting runs of a participant, cleaned as the music's and kept for the group level."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput, Part, TableOutput
from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.analysis import ParticipantAnalysis, Scope
from bids_app.analyses.participant.bold import odd_volumes
from bids_app.analyses.participant.cost import RUN_SECONDS_PER_VOLUME
from bids_app.analyses.participant.responses import clean, read_run, without_signal
from bids_app.analyses.participant.write import filter_fields, place_of_run
from bids_app.analyses.participant.writer import ParticipantWriter
from bids_app.bands import Band
from bids_app.config import Cleaning, settings_hash
from bids_app.features.timing import drift_basis
from bids_app.inputs.estimate import Cost, Series
from bids_app.inputs.records import BoldRun
from bids_app.outputs import REST_DESC, OutputTree
from bids_app.report.rest import rest_sections
from bids_app.surface.mesh import SurfaceMesh, load_mesh

LOGGER = logging.getLogger("bids_app.analyses")

MIN_VOLUMES = 200
"""Of a run; with fewer, connectivity is mostly noise."""


@dataclass(frozen=True, eq=False)
class RestRun:
    """A cleaned resting run.

    Attributes
    ----------
    label, task : str
    tr : float
        Repetition time, in seconds.
    volumes : array of shape (n_times,)
        Numbers of the volumes that were kept, from 0.
    values : array of shape (n_times, n_vertices), float32
        Cleaned responses, both hemispheres, left first; NaN where there is no signal.
    told : dict
        Its row of the table of resting runs.
    warnings : tuple of str
    """

    label: str
    task: str
    tr: float
    volumes: NDArray[np.intp]
    values: NDArray[np.float32]
    told: dict[str, Any]
    warnings: tuple[str, ...]


def kept_volumes(run: BoldRun) -> NDArray[np.intp]:
    """Numbers of the volumes that are neither dummy scans nor censored."""
    return np.setdiff1d(np.arange(run.n_dummy, run.n_volumes), run.censored)


def too_short(n_volumes: int) -> str:
    """Warning about a run of so many volumes; empty where they are enough."""
    if n_volumes >= MIN_VOLUMES:
        return ""
    return f"{n_volumes} volumes are kept, {MIN_VOLUMES} are wanted: connectivity is mostly noise"


def clean_rest_run(run: BoldRun, cleaning: Cleaning, mesh: SurfaceMesh) -> RestRun:
    """Read and clean a run from its first volume to its last, as a run with music.

    Raises
    ------
    MissingInputError, BadDataError
        If a file cannot be read, is of another mesh or length, or no vertex has a signal.
    """
    data = read_run(run, cleaning, mesh)
    odd = odd_volumes(run, data.bold)
    cleaned = clean(data)
    noticed = odd + without_signal(run, cleaned.degenerate, data.inside)
    volumes = np.flatnonzero(np.isfinite(cleaned.values).any(axis=1))
    values = cleaned.values[volumes]
    if not (isinstance(cleaning.high_pass, Band) or cleaning.high_pass):
        line = drift_basis(len(values), run.tr, cleaning.high_pass)
        values -= (line @ (line.T @ values)).astype(np.float32)
    short = too_short(len(volumes))
    every = [*run.warnings, *data.confounds.warnings, *noticed, *([short] if short else [])]
    warnings = list(dict.fromkeys(every))  # the plan has those of the confounds
    told = {
        "run": run.label,
        "n_volumes": len(data.bold),
        "n_dummy": run.n_dummy,
        "n_censored": len(run.censored),
        "n_kept": len(volumes),
        "repetition_time_s": run.tr,
        "bold": f"{run.kind} in {run.space}",
        "n_confounds": len(data.confounds.names),
        "degrees_of_freedom": cleaned.degrees_of_freedom,
        "n_degenerate_vertices": int((cleaned.degenerate & data.inside).sum()),
        "warnings": "; ".join(warnings),
    }
    return RestRun(run.label, run.task, run.tr, volumes, values, told, tuple(warnings))


def clean_rest(runs: Sequence[BoldRun], cleaning: Cleaning) -> list[RestRun]:
    """Resting runs of one participant."""
    LOGGER.info("sub-%s: cleaning %d resting runs", runs[0].participant, len(runs))
    mesh = load_mesh(cleaning.space)
    found = [clean_rest_run(run, cleaning, mesh) for run in runs]
    for run in found:
        for text in run.warnings:
            LOGGER.warning("%s: %s", run.label, text)
    return found


def write_rest(tree: OutputTree, record: Record, rest: Sequence[RestRun]) -> list[Path]:
    """Write cleaned resting runs; the settings file comes last and marks completion."""
    settings = dict(record.settings)
    writer = ParticipantWriter(tree, record)
    writer.begin()
    parts = [Part()]
    for run in rest:
        names = [f"volume {number}" for number in run.volumes]
        sidecar = {
            "Description": "resting run: confounds and drift regressed out, smoothed on the "
            "surface; without dummy scans and censored volumes",
            "TaskName": run.task,
            "RepetitionTime": run.tr,
            "Volumes": run.volumes,
            "DataArrays": names,
            "Confounds": settings["confounds"],
            **filter_fields(settings["high_pass"]),
            "SmoothingFWHM": settings["smoothing"],
            "CortexMask": settings["cortex_mask"],
            "Warnings": list(run.warnings),
            "Sources": list(record.run_sources[run.label]),
            "SettingsHash": settings_hash(settings),
        }
        place = place_of_run(run.label)
        parts.append(Part("rest", place, names, of=run, sidecar=sidecar, tr=run.tr))
    writer.write(REST, SimpleNamespace(runs=[run.told for run in rest]), parts)
    written = writer.finish(
        **writer.basis,
        Runs=[run.label for run in rest],
        Volumes=[len(run.volumes) for run in rest],
        Warnings=[f"{run.label}: {text}" for run in rest for text in run.warnings],
    )
    LOGGER.info("sub-%s: %d files of resting runs written", record.participant, len(written))
    return written


REST_COLUMNS = {
    "run": "label of the run",
    "n_volumes": "volumes in the file",
    "n_dummy": "volumes dropped at the start",
    "n_censored": "volumes that were censored",
    "n_kept": "volumes kept",
    "repetition_time_s": "repetition time in seconds",
    "bold": "kind of BOLD file and its space",
    "n_confounds": "confound regressors",
    "degrees_of_freedom": "volumes kept minus the rank of constant, confounds and drift together",
    "n_degenerate_vertices": "vertices of the cortex mask that are constant or not finite",
    "warnings": "what was noticed",
}


def _planned(scope: Scope) -> list[Part]:
    runs = [(place_of_run(run.label), [""] * len(kept_volumes(run))) for run in scope.rest]
    return [Part(), *(Part("rest", place, names) for place, names in runs)]


def _cost(scope: Scope) -> Cost:
    series = Series.of(scope.rest, 0, scope.config.cleaning.space)
    steps = {"clean_rest": series.cleaning, "write_rest": series.holding(series.volumes)}
    return Cost(scope.seconds(scope.rest, RUN_SECONDS_PER_VOLUME), steps)


REST = ParticipantAnalysis(
    "resting runs",
    needed=lambda scope: bool(scope.rest),
    parts=_planned,
    cost=_cost,
    maps=(
        MapOutput(
            "",
            "values",
            "cleaned resting run, for --gradient own",
            desc=REST_DESC,
            each="rest",
            of_model=False,
            suffix="bold",
        ),
    ),
    tables=(
        TableOutput("summary", "restruns", REST_COLUMNS, value="runs", whole=True, of_model=False),
    ),
    desc=REST_DESC,
    sections=rest_sections,
    of_no_model=True,
)
