"""A study of five people who did not all hear the same: repeats, a missing piece, another onset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_app.features.cache import load_or_compute_grams
from bids_app.inputs.presentations import stimulus_label
from bids_app.surface.mesh import load_mesh
from bids_app.testing import dataset
from bids_app.testing.confounds import confounds_table
from bids_app.testing.music import Piece, write_music
from bids_app.testing.study import Run, SimulatedResponses, plan_truth

PIECES = (
    Piece("adagio", 96.0, tempo=72.0, minor=True, tonic=57, energy=0.4),
    Piece("allegro", 84.0, tempo=126.0, minor=False, tonic=60, energy=0.7),
    Piece("andante", 108.0, tempo=84.0, minor=True, tonic=62, energy=0.5),
)
TR, TAIL = 1.5, 9.0
HEARD = {
    "01": ("adagio", "adagio", "allegro", "andante"),
    "02": ("adagio", "adagio", "allegro", "andante"),
    "03": ("adagio", "allegro"),
    "04": ("adagio", "allegro", "andante"),
    "05": ("adagio", "allegro", "andante"),
}
ONSETS = {"04": 10.4}
"""Of the music in the runs, seconds; 6 elsewhere."""


def simulate(root: Path, *, heard=HEARD, seed: int = 0, strength: float = 0.4, hop: float = 0.96):
    """Write raw data and derivatives; returns the BIDS folder, the truth and its gradient's files.

    Everybody follows layers of an untrained VGGish, of which 40 % of the drive is shared.
    """
    bids = root / "bids"
    fmriprep = bids / "derivatives" / "fmriprep"
    audio = sorted(write_music(bids / "stimuli", PIECES, seed=seed), key=stimulus_label)
    grams = load_or_compute_grams(
        [(stimulus_label(path), path) for path in audio],
        "random:0",
        hop=hop,
        cache_dir=root / "cache",
    )
    mesh = load_mesh("fsaverage5")
    truth = plan_truth(mesh, seed=seed, n_layers=len(grams.layer_names), strength=strength)
    files = {stimulus_label(path): path.name for path in audio}
    for number, (who, labels) in enumerate(heard.items()):
        runs = [_run(label, files[label], grams, ONSETS.get(who, 6.0)) for label in labels]
        _write_person(fmriprep, bids, mesh, truth, grams, runs, who, number, seed)
    dataset.write_fmriprep_description(fmriprep)
    dataset.write_raw_dataset(bids, list(heard), [])  # its descriptions; runs are written above
    gradient = dataset.write_truth(root / "truth", mesh, truth, {})["gradient"]
    return bids, truth, gradient


def _run(label, file, grams, onset):
    duration = grams.durations[grams.labels.index(label)]
    return Run(
        task=label,
        stimulus=label,
        stim_file=file,
        n_volumes=int((onset + duration + TAIL) / TR),
        tr=TR,
        start_time=(TR - dataset.DELAY_TIME) / 2,
        onset=onset,
        duration=duration,
    )


def _write_person(fmriprep, bids, mesh, truth, grams, runs, who, number, seed):
    """Gram matrices have the rows of the pieces in the order of the runs, repeats twice."""
    ends = np.cumsum([0, *(len(times) for times in grams.patch_times)])
    places = [grams.labels.index(run.stimulus) for run in runs]
    rows = np.concatenate([np.arange(ends[k], ends[k + 1]) for k in places])
    responses = SimulatedResponses(
        mesh,
        truth,
        runs,
        [grams.patch_times[k] for k in places],
        lambda layer: np.asarray(grams.gram(layer))[np.ix_(rows, rows)],
        seed=seed,
    )
    bold, nuisance = responses.bold(number)
    folder = fmriprep / f"sub-{who}" / "func"
    rng = np.random.default_rng([seed, 31, number])
    for k, (run, series, leaks) in enumerate(zip(runs, bold, nuisance, strict=True)):
        again = [one.stimulus for one in runs].count(run.stimulus) > 1
        name = f"{run.task}_run-{1 + [o.stimulus for o in runs[:k]].count(run.stimulus)}"
        stem = f"sub-{who}_task-{name if again else run.task}"
        dataset.write_surface_bold(folder, stem, mesh, series, run)
        dataset.write_confounds(folder, stem, *confounds_table(leaks, run.tr, rng))
        dataset._write_raw_run(bids / f"sub-{who}" / "func", stem, run)
