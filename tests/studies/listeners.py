"""A small study in which auditory cortex follows the loudness of one piece, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
from scipy.ndimage import gaussian_filter1d

from bids_app.surface.gifti import write_gifti
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import load_mesh

RATE = 4000
SECONDS = 150.0
RUN_SECONDS = 200.0
HEMODYNAMIC = 5.0


def write_listeners(
    root: Path,
    *,
    onset: float,
    participants: tuple[str, ...] = ("01", "02", "03"),
    tr: float = 2.0,
    space: str = "fsaverage5",
    strength: float = 2.0,
) -> Path:
    """Write fMRIPrep derivatives and ``stimuli/song.wav``; the music starts at `onset`.

    Auditory cortex follows the music by `strength` standard deviations of its noise.
    """
    rng = np.random.default_rng(7)
    clock = np.arange(-100, 300, 0.1)
    slow = np.exp(0.8 * _standard(gaussian_filter1d(rng.standard_normal(clock.size), 40)))
    samples = np.arange(int(SECONDS * RATE)) / RATE
    audio = 0.05 * np.interp(samples, clock, slow) * rng.standard_normal(samples.size)
    (root / "stimuli").mkdir(parents=True)
    soundfile.write(root / "stimuli" / "song.wav", np.clip(audio, -1, 1), RATE)
    fmriprep = root / "derivatives" / "fmriprep"
    fmriprep.mkdir(parents=True)
    description = {"Name": "x", "BIDSVersion": "1.8.0", "DatasetType": "derivative"}
    description["GeneratedBy"] = [{"Name": "fMRIPrep", "Version": "22.0.0"}]
    (fmriprep / "dataset_description.json").write_text(json.dumps(description))
    mesh = load_mesh(space)
    auditory = auditory_vertices(mesh)
    times = tr / 2 + tr * np.arange(int(RUN_SECONDS / tr))
    heard = times - onset - HEMODYNAMIC
    signal = np.where((heard > 0) & (heard < SECONDS), np.interp(heard, clock, slow**0.3), 0.5)
    for participant in participants:
        bold = rng.standard_normal((times.size, mesh.n_vertices)).astype(np.float32)
        bold[:, auditory] += strength * _standard(signal)[:, None]
        bold[:, :20] = 0  # a wall
        folder = fmriprep / f"sub-{participant}" / "func"
        folder.mkdir(parents=True)
        for hemi, half in zip("LR", np.split(bold + 100, 2, axis=1), strict=True):
            path = folder / f"sub-{participant}_task-song_hemi-{hemi}_space-{space}_bold.func.gii"
            write_gifti(path, half, hemi=hemi, names=[str(t) for t in times], tr=tr)
            sidecar = {"RepetitionTime": tr, "SliceTimingCorrected": True, "StartTime": tr / 2}
            path.with_name(path.name.replace(".func.gii", ".json")).write_text(json.dumps(sidecar))
    return root


def write_table(root: Path, *rows: str, columns: str = "task\tstim_file\tonset") -> Path:
    """A stimuli table in the study's folder."""
    path = root / "music.tsv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()
