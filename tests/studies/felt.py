"""A small study with ratings: what the brain does about them is planted, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
from scipy.ndimage import gaussian_filter1d

from bids_app.surface.gifti import write_gifti
from bids_app.surface.lag import auditory_vertices
from bids_app.surface.mesh import load_mesh
from bids_app.testing.responses import hemodynamic_operator

PIECES = {"first": 100.0, "second": 120.0}
SCALES = ("Emotionality", "Enjoyment")
PARTICIPANTS = ("01", "02", "03")
LACKING = "03"
"""Who did not rate Enjoyment."""

RATE, ONSET, TAIL, TR = 4.0, 5.0, 15.0, 1.0
SHIFT = 5.0
"""Seconds by which `FOLLOWS` comes after changes of Emotionality, with no other response."""

EFFECT = 0.8
"""Percent signal change per standard deviation of a change of Enjoyment, at `MOVED`."""

N_HALF = 10242
FOLLOWS, MOVED, SILENT = slice(200, 215), slice(215, 230), slice(230, 245)  # off the wall


def write_felt(root: Path) -> Path:
    """Derivatives, ``stimuli/*.wav``, ``music.tsv``, ``ratings.tsv`` and a gradient."""
    rng = np.random.default_rng(5)
    (root / "stimuli").mkdir(parents=True)
    rows = ["task\tstim_file\tonset"]
    for name, duration in PIECES.items():
        slow = np.exp(gaussian_filter1d(rng.standard_normal(int(duration * 10)), 15) * 4)
        loud = np.interp(np.arange(int(duration * 4000)) / 400, np.arange(slow.size), slow)
        audio = 0.02 * loud * rng.standard_normal(loud.size)
        soundfile.write(root / "stimuli" / f"{name}.wav", np.clip(audio, -1, 1), 4000)
        rows.append(f"{name}\tstimuli/{name}.wav\t{ONSET}")
    (root / "music.tsv").write_text("\n".join(rows) + "\n")
    fmriprep = root / "derivatives" / "fmriprep"
    fmriprep.mkdir(parents=True)
    about = {"Name": "felt", "BIDSVersion": "1.8.0", "DatasetType": "derivative"}
    about["GeneratedBy"] = [{"Name": "fMRIPrep", "Version": "22.0.0"}]
    (fmriprep / "dataset_description.json").write_text(json.dumps(about))
    lines = ["\t".join(["participant_id", "stimulus", "time", *SCALES])]
    for participant in PARTICIPANTS:
        ratings = {name: _sliders(rng, duration) for name, duration in PIECES.items()}
        _write_bold(fmriprep, participant, ratings, rng)
        for name, values in ratings.items():
            for k, (first, second) in enumerate(values):
                second = "n/a" if participant == LACKING else f"{second:.6f}"
                lines.append(f"sub-{participant}\t{name}\t{k / RATE}\t{first:.6f}\t{second}")
    (root / "ratings.tsv").write_text("\n".join(lines) + "\n")
    for hemi in "LR":
        ramp = np.arange(N_HALF)[None]
        write_gifti(root / f"{hemi}.func.gii", ramp, hemi=hemi, names=["gradient"])
    return root


def _sliders(rng: np.random.Generator, duration: float) -> np.ndarray:
    n_samples = int(duration * RATE) + 1
    return 50 + 40 * gaussian_filter1d(rng.standard_normal((n_samples, len(SCALES))), 6, axis=0)


def _write_bold(
    fmriprep: Path, participant: str, ratings: dict[str, np.ndarray], rng: np.random.Generator
) -> None:
    changes = {name: np.abs(np.gradient(v, 1 / RATE, axis=0)) for name, v in ratings.items()}
    spread = np.concatenate(list(changes.values())).std(axis=0)
    folder = fmriprep / f"sub-{participant}" / "func"
    folder.mkdir(parents=True)
    # The check of the onsets listens to auditory cortex.
    auditory = auditory_vertices(load_mesh("fsaverage5"))
    alive = np.union1d(np.arange(SILENT.stop), auditory)
    for name, change in changes.items():
        duration = PIECES[name]
        times = TR / 2 + TR * np.arange(int((ONSET + duration + TAIL) / TR))
        clock = np.arange(len(change)) / RATE
        first, second = (change / spread).T
        bold = np.zeros((times.size, 2 * N_HALF), dtype=np.float32)
        bold[:, alive] = 100 + 0.5 * rng.standard_normal((times.size, alive.size))
        late = np.interp(times - ONSET - SHIFT, clock, first, left=0, right=0)
        bold[:, FOLLOWS] += late[:, None]
        operator = hemodynamic_operator(clock, times - ONSET, duration)
        bold[:, MOVED] += EFFECT * (operator @ second)[:, None]
        for hemi, half in zip("LR", np.split(bold, 2, axis=1), strict=True):
            stem = f"sub-{participant}_task-{name}_hemi-{hemi}_space-fsaverage5_bold"
            path = folder / f"{stem}.func.gii"
            write_gifti(path, half, hemi=hemi, names=[str(t) for t in times], tr=TR)
            sidecar = {"RepetitionTime": TR, "SliceTimingCorrected": True, "StartTime": TR / 2}
            (folder / f"{stem}.json").write_text(json.dumps(sidecar))
