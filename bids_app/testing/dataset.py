"""Files of a simulated study: raw BIDS dataset, fMRIPrep-like derivatives, the truth."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_app.files import write_json, write_text
from bids_app.outputs import HEMISPHERES
from bids_app.surface.gifti import write_gifti
from bids_app.surface.mesh import SurfaceMesh
from bids_app.testing.ratings import RATING_RATE, RatingScale
from bids_app.testing.responses import FloatArray
from bids_app.testing.study import Run, Truth

# Of the acquisition that is imitated: the pause at the end of each volume.
DELAY_TIME = 0.1825

_README = """\
Simulated music-listening study

No person was scanned. The music is composed and synthesized by a program; the responses are
simulated from the layers of an untrained VGGish network plus noise. The images in the folders
func/ are placeholders without content: what is analyzed are the surface data in
derivatives/fmriprep.
"""


def write_raw_dataset(root: Path, participants: Sequence[str], runs: Sequence[Run]) -> None:
    """Write a raw BIDS dataset: descriptions, events, sidecars, placeholder images.

    Parameters
    ----------
    root : Path
        The dataset; its audio files are already in `root`/stimuli.
    participants : sequence of str
        Labels.
    runs : sequence of Run
        The same for every participant.
    """
    description = {
        "Name": "Simulated music listening",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": ["musenc-bidsapp", "its random number generator"],
    }
    write_json(root / "dataset_description.json", description)
    write_text(root / "README", _README)
    rng = np.random.default_rng(len(participants))
    people = pd.DataFrame(
        {
            "participant_id": [f"sub-{label}" for label in participants],
            "age": rng.integers(19, 36, len(participants)),
            "sex": rng.choice(["F", "M"], len(participants)),
        }
    )
    _write_table(root / "participants.tsv", people)
    write_json(
        root / "participants.json",
        {
            "age": {"Description": "Age of the simulated participant", "Units": "year"},
            "sex": {"Description": "Drawn at random", "Levels": {"F": "female", "M": "male"}},
        },
    )
    for label in participants:
        for run in runs:
            _write_raw_run(root / f"sub-{label}" / "func", f"sub-{label}_task-{run.task}", run)


def _write_raw_run(folder: Path, stem: str, run: Run) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    events = pd.DataFrame(
        {
            "onset": [run.onset],
            "duration": [run.duration],
            "trial_type": ["music"],
            "stim_file": [run.stim_file],
        }
    )
    _write_table(folder / f"{stem}_events.tsv", events)
    sidecar = {"TaskName": run.task, "RepetitionTime": run.tr, "EchoTime": 0.035, "FlipAngle": 52}
    write_json(folder / f"{stem}_bold.json", sidecar)
    _write_placeholder(folder / f"{stem}_bold.nii.gz", run)


def _write_placeholder(path: Path, run: Run) -> None:
    """A tiny image of the right length: the validator wants one beside a sidecar."""
    import nibabel as nib

    data = np.ones((2, 2, 2, run.n_volumes), np.int16)
    image = nib.Nifti1Image(data, np.diag([80.0, 80.0, 60.0, 1.0]))
    image.header.set_zooms((80.0, 80.0, 60.0, run.tr))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)


def write_ratings(
    root: Path,
    participant: str,
    runs: Sequence[Run],
    ratings: Sequence[FloatArray],
    scales: Sequence[RatingScale],
) -> None:
    """Write continuous ratings, made after the scan, as ``beh/*_stim.tsv.gz`` with sidecars.

    Parameters
    ----------
    root : Path
        The raw dataset.
    participant : str
        Label.
    runs : sequence of Run
        For tasks and music.
    ratings : sequence of (n_samples_i, n_scales) arrays
        One per run, at 5 Hz from the start of the music.
    scales : sequence of RatingScale
        Columns.
    """
    folder = root / f"sub-{participant}" / "beh"
    folder.mkdir(parents=True, exist_ok=True)
    for run, values in zip(runs, ratings, strict=True):
        stem = f"sub-{participant}_task-{run.task}_stim"
        text = pd.DataFrame(values).to_csv(
            sep="\t", index=False, header=False, float_format="%.2f", lineterminator="\n"
        )
        # Without name and date in its header the file is the same each time.
        (folder / f"{stem}.tsv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        sidecar: dict[str, Any] = {
            "TaskName": run.task,
            "SamplingFrequency": RATING_RATE,
            "StartTime": 0.0,
            "Columns": [scale.name for scale in scales],
        }
        for scale in scales:
            sidecar[scale.name] = {
                "Description": f"Continuous rating of {scale.name.lower()}, slider from 0 to 100"
            }
        write_json(folder / f"{stem}.json", sidecar)


def write_fmriprep_description(root: Path) -> None:
    """Write what fMRIPrep 22 writes at the top of its output folder."""
    write_json(
        root / "dataset_description.json",
        {
            "Name": "fMRIPrep - fMRI PREProcessing workflow (simulated)",
            "BIDSVersion": "1.4.0",
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": "fMRIPrep",
                    "Version": "22.0.0",
                    "Description": "imitated by the simulation of musenc-bidsapp",
                    "CodeURL": "https://github.com/nipreps/fmriprep/archive/22.0.0.tar.gz",
                }
            ],
            "HowToAcknowledge": "Simulated data: nothing to acknowledge.",
        },
    )


def surface_sidecar(run: Run) -> dict[str, Any]:
    """Content of the JSON beside a surface BOLD series, as fMRIPrep 22 writes it."""
    return {
        "DelayTime": DELAY_TIME,
        "RepetitionTime": run.tr,
        "SliceTimingCorrected": False,
        "TaskName": run.task,
    }


def write_surface_bold(
    folder: Path,
    stem: str,
    mesh: SurfaceMesh,
    bold: FloatArray,
    run: Run,
    sidecar: dict[str, Any] | None = None,
) -> list[Path]:
    """Write a series as a pair of GIFTI files with sidecars.

    Parameters
    ----------
    folder : Path
        ``sub-XX/func``.
    stem : str
        ``sub-XX_task-T``.
    mesh : SurfaceMesh
        Its space goes into the names.
    bold : (n_volumes, n_vertices) array
        Left, then right.
    run : Run
        For timing.
    sidecar : dict or None
        Default: `surface_sidecar`.

    Returns
    -------
    list of Path
        The GIFTI files, left and right.
    """
    paths = []
    names = [f"volume {k}" for k in range(run.n_volumes)]
    for hemi, data in zip(HEMISPHERES, mesh.split(bold), strict=True):
        path = folder / f"{stem}_hemi-{hemi}_space-{mesh.space}_bold.func.gii"
        write_gifti(path, data, hemi=hemi, names=names, tr=run.tr)
        write_json(
            folder / f"{stem}_hemi-{hemi}_space-{mesh.space}_bold.json",
            sidecar or surface_sidecar(run),
        )
        paths.append(path)
    return paths


def write_confounds(
    folder: Path, stem: str, table: pd.DataFrame, metadata: dict[str, dict[str, object]]
) -> Path:
    """Write ``*_desc-confounds_timeseries.tsv`` and its JSON; missing values are n/a."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}_desc-confounds_timeseries.tsv"
    _write_table(path, table)
    write_json(path.with_suffix(".json"), metadata)
    return path


def write_truth(
    folder: Path, mesh: SurfaceMesh, truth: Truth, settings: dict[str, Any]
) -> dict[str, tuple[Path, Path]]:
    """Write what was planted: maps, a table with a line per vertex, and how it was drawn.

    Parameters
    ----------
    folder : Path
        Created.
    mesh : SurfaceMesh
        Where.
    truth : Truth
        What.
    settings : dict
        Goes into truth.json.

    Returns
    -------
    dict from str to (Path, Path)
        Left and right GIFTI file of ``gradient``, ``layer``, ``depth``, ``active``, ``snr`` (share
        of the signal in the variance) and ``follows<scale>`` (percent signal change).
    """
    gradient = np.where(truth.cortex, truth.gradient, np.nan)
    maps = {
        "gradient": gradient,
        "layer": truth.layers,
        "depth": truth.depth,
        "active": truth.active,
        "snr": truth.share,
        **{f"follows{scale}": effect for scale, effect in truth.feeling.items()},
    }
    files: dict[str, tuple[Path, Path]] = {}
    for name, values in maps.items():
        left, right = (
            write_gifti(
                folder / f"hemi-{hemi}_space-{mesh.space}_desc-{name}.func.gii",
                part[np.newaxis],
                hemi=hemi,
                names=[name],
            )
            for hemi, part in zip(
                HEMISPHERES, mesh.split(np.asarray(values, np.float32)), strict=True
            )
        )
        files[name] = left, right
    n_left = mesh.left.n_vertices
    table = pd.DataFrame(
        {
            "hemi": np.repeat(HEMISPHERES, [n_left, mesh.right.n_vertices]),
            "vertex": np.concatenate([np.arange(n_left), np.arange(mesh.right.n_vertices)]),
            "cortex": truth.cortex.astype(int),
            **{name: values for name, values in maps.items() if name != "active"},
            "active": truth.active.astype(int),
        }
    )
    _write_table(folder / "truth.tsv", table)
    write_json(folder / "truth.json", settings)
    return files


def _write_table(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(
        path, sep="\t", index=False, na_rep="n/a", float_format="%.8g", lineterminator="\n"
    )
