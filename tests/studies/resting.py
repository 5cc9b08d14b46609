"""Cleaned resting runs in an output folder, whose connectivity runs from back to front."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.rest_runs import RestRun, too_short, write_rest
from bids_app.meshes import N_VERTICES
from bids_app.outputs import REST_DESC, OutputTree
from bids_app.surface.mesh import load_mesh
from bids_app.testing.rest import front_to_back, resting_series

SETTINGS = {
    "space": "fsaverage5",
    "confounds": "none",
    "high_pass": 128.0,
    "smoothing": 0.0,
    "cortex_mask": {"Name": "nilearn"},
    "rest_task": "rest",
}
EVERY = 8
"""Of the vertices, or of fsaverage4's, one in so many has a signal, so that tests are fast."""


def with_signal() -> np.ndarray:
    """Vertices of fsaverage5 that have one: most, so that rotations cover the cortex."""
    number = np.arange(2 * N_VERTICES["fsaverage5"]) % N_VERTICES["fsaverage5"]
    return np.flatnonzero((number >= N_VERTICES["fsaverage4"]) | (number % EVERY == 0))


def write_resting(
    root: Path,
    participant: str,
    n_times: int = 220,
    n_runs: int = 1,
    *,
    dense: bool = False,
    **changed: object,
) -> list[Path]:
    """Runs of a participant, few vertices unless `dense`; other settings as `changed`."""
    mesh = load_mesh(str(changed.get("space", SETTINGS["space"])))
    place, rng = front_to_back(mesh), np.random.default_rng(int(participant))
    runs, known = [], with_signal() if dense else np.arange(0, len(place), EVERY)
    for number in range(1, n_runs + 1):
        values = np.full((n_times, len(place)), np.nan, dtype=np.float32)
        values[:, known] = resting_series(n_times, place[known], rng) - 100
        label = f"sub-{participant}_task-rest_run-{number}"
        short = too_short(n_times)
        warnings = (short,) if short else ()
        told = {"run": label, "n_kept": n_times, "warnings": "; ".join(warnings)}
        runs.append(RestRun(label, "rest", 2.0, np.arange(n_times), values, told, warnings))
    record = Record(
        participant,
        "",
        SETTINGS | changed,
        [],
        {},
        desc=REST_DESC,
        run_sources={run.label: [] for run in runs},
    )
    return write_rest(OutputTree(root), record, runs)
