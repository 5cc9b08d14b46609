"""Made-up listeners on a small mesh, whose auditory cortex follows a feature by some seconds."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.lag_plan import LagFeature, LagJob
from bids_app.analyses.participant.responses import Block, Prepared
from bids_app.config.sections import Cleaning
from bids_app.features.course import Course
from bids_app.inputs.seeds import parse_seed
from bids_app.outputs import LAG_SCAN_LABEL
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import load_mesh

SPACE = "fsaverage3"
CLEANING = Cleaning(space=SPACE, cortex_mask="signal", high_pass=0.0)
FEATURE = LagFeature("descriptors@loudness", "descriptors", "loudness")
SEED = parse_seed("-40,-75,10@12")


def course(seed: int, n: int = 720) -> Course:
    """A smooth curve over 3 minutes."""
    times = np.arange(n) / 4
    values = gaussian_filter1d(np.random.default_rng(seed).standard_normal(n), 8)
    return Course(times, values / values.std(), "dB")


COURSES = {"fugue": course(0), "waltz": course(1)}
HELD = Course(course(0).times, np.full(720, 120.1), "beats per minute")
"""A tempo that a piece holds: without its mean, rounding is left."""


def prepared(
    shift: float | None,
    *,
    heard: tuple[str, ...] = ("fugue", "waltz"),
    n_times: int = 90,
    sign: float = 1.0,
    seed: int = 5,
    shared: float = 0.0,
) -> Prepared:
    """Noise on the mesh; auditory cortex follows the feature where there is a shift.

    A share of the noise is the same at every vertex, for every seed.
    """
    rng, common = np.random.default_rng(seed), np.random.default_rng(77)
    mesh = load_mesh(SPACE)
    auditory = auditory_vertices(mesh)
    blocks = []
    for number, label in enumerate(heard):
        times = 2.0 * np.arange(n_times)
        own = rng.standard_normal((n_times, mesh.n_vertices))
        same = gaussian_filter1d(common.standard_normal((n_times, 1)), 1, axis=0)
        values = np.sqrt(1 - shared) * own + np.sqrt(shared) * same / same.std()
        one = COURSES[label]
        if shift is not None:
            values[:, auditory] += sign * np.interp(times - shift, one.times, one.values)[:, None]
        values[:, :3] = np.nan
        run = f"sub-01_task-x_run-{number + 1}"
        blocks.append(Block(label, run, 2.0, times, values.astype(np.float32)))
    return Prepared(blocks=blocks)


def lag_job(n_draws: int = 99) -> LagJob:
    """A scan with two seeds, one of them in the volume."""
    settings = {
        "space": SPACE,
        "confounds": "none",
        "high_pass": 0.0,
        "smoothing": 0.0,
        "cortex_mask": "signal",
        "lags": [-6.0, 12.0, 37],
        "within": (0.0, 12.0),
        "n_draws": n_draws,
        "random_seed": 3,
        "feature": FEATURE.record,
    }
    return LagJob(FEATURE, settings, seeds=(SEED, parse_seed("/x/ic.nii.gz")))


def record_of(job: LagJob, who: str = "01") -> Record:
    """What the results of a participant rest on."""
    return Record(who, LAG_SCAN_LABEL, job.settings, [], {}, desc=FEATURE.label)
