"""A small study of dissonant and consonant music with everything planted; no audio files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bids_app.emotion import convolved
from bids_app.surface.gifti import write_gifti

TR = 2.5
N_TIMES = 132
N_HALF = 10242
SHIFT = 5.0
"""Seconds by which the target leads the seed."""

SEED, TARGET = np.arange(0, 8), np.arange(24, 32)
CONTRAST, COUPLED, SILENT = np.arange(1000, 1040), np.arange(200, 240), np.arange(1050, 1090)
RATINGS = {"01": -2.0, "02": -1.0, "03": 0.0, "04": 1.0, "05": 2.0, "06": None}


def write_dissonance(
    root: Path, *, participants: tuple[str, ...] = tuple(RATINGS), shift: float = SHIFT
) -> Path:
    """Raw dataset with events, fMRIPrep derivatives, labels ``lh.seed`` and ``lh.target``.

    At `CONTRAST` dissonant music makes 2 + rating percent more than consonant music; at `COUPLED`
    it adds to the coupling with the seed.
    """
    fmriprep = root / "derivatives" / "fmriprep"
    for folder, kind in ((root, "raw"), (fmriprep, "derivative")):
        folder.mkdir(parents=True)
        about: dict[str, object] = {
            "Name": "dissonance",
            "BIDSVersion": "1.8.0",
            "DatasetType": kind,
        }
        if kind == "derivative":
            about["GeneratedBy"] = [{"Name": "fMRIPrep", "Version": "22.0.0"}]
        (folder / "dataset_description.json").write_text(json.dumps(about))
    lines = ["participant_id\tdislike"]
    lines += [f"sub-{p}\t{'n/a' if (x := RATINGS[p]) is None else x}" for p in participants]
    (root / "participants.tsv").write_text("\n".join(lines) + "\n")
    for name, vertices in (("seed", SEED), ("target", TARGET)):
        rows = "\n".join(f"{v} 0 0 0 0" for v in vertices)
        (root / f"lh.{name}.label").write_text(f"#!ascii label\n{len(vertices)}\n{rows}\n")
    for k, participant in enumerate(participants):
        _write_participant(root, fmriprep, participant, k, shift)
    return root


def trials() -> tuple[np.ndarray, list[str]]:
    """Onsets of trials of 30 s, and what was heard."""
    return 10.0 + 40.0 * np.arange(8), ["dissonant", "consonant"] * 4


def _write_participant(
    root: Path, fmriprep: Path, participant: str, index: int, shift: float
) -> None:
    rng = np.random.default_rng(index)
    onsets, names = trials()
    stem = f"sub-{participant}_task-music"
    events = root / f"sub-{participant}" / "func" / f"{stem}_events.tsv"
    events.parent.mkdir(parents=True)
    rows = [f"{onset}\t30\t{name}" for onset, name in zip(onsets, names, strict=True)]
    events.write_text("\n".join(["onset\tduration\ttrial_type", *rows]) + "\n")
    frames = TR / 2 + TR * np.arange(N_TIMES)
    shown = {
        name: convolved(onsets[[n == name for n in names]], [30.0] * 4, [1.0] * 4, frames)
        for name in ("dissonant", "consonant")
    }
    difference = shown["dissonant"] - shown["consonant"]
    bold = np.zeros((N_TIMES, 2 * N_HALF), np.float32)
    used = np.concatenate([SEED, TARGET, CONTRAST, COUPLED, SILENT])
    bold[:, used] = rng.standard_normal((N_TIMES, used.size))
    common = rng.standard_normal(N_TIMES + 20)
    steps = round(shift / TR)
    seed, target = common[10 - steps :][:N_TIMES], common[10:][:N_TIMES]
    bold[:, SEED] = seed[:, None] + 0.2 * bold[:, SEED]
    bold[:, TARGET] = target[:, None] + 0.2 * bold[:, TARGET]
    bold[:, CONTRAST] += (2.0 + (RATINGS[participant] or 0.0)) * shown["dissonant"][:, None]
    bold[:, COUPLED] += (seed * (0.3 + 0.9 * difference))[:, None]
    bold[:, used] += 100
    folder = fmriprep / f"sub-{participant}" / "func"
    folder.mkdir(parents=True)
    labels = [str(k) for k in range(N_TIMES)]
    for hemi, half in zip("LR", np.split(bold, 2, axis=1), strict=True):
        path = folder / f"{stem}_hemi-{hemi}_space-fsaverage5_bold.func.gii"
        write_gifti(path, half, hemi=hemi, names=labels, tr=TR)
        sidecar = {"RepetitionTime": TR, "SliceTimingCorrected": True, "StartTime": TR / 2}
        path.with_name(path.name.replace(".func.gii", ".json")).write_text(json.dumps(sidecar))
