"""Real names, sidecars, recordings and gradient around simulated responses.

The tree is that of OpenNeuro's ds003085 (fMRIPrep 22.0.0) as a checkout without content has it:
small JSON files are there, everything else is a broken git-annex link. Only the surface series and
confounds of the three music runs get content; there are no events.
"""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from real_data import DATA

from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.features.cache import FeatureGrams, load_or_compute_grams
from bids_app.features.timing import high_pass_basis, sample_gram, stimulus_rows
from bids_app.group import group_alignment, sign_flip_max_t, spin_alignment
from bids_app.inputs.presentations import stimulus_label
from bids_app.preference import group_residual_slopes
from bids_app.surface.gifti import read_gifti
from bids_app.surface.mesh import SurfaceMesh, load_mesh
from bids_app.surface.responses import clean_responses
from bids_app.testing import dataset
from bids_app.testing.confounds import confounds_table
from bids_app.testing.study import Run, SimulatedResponses, Truth, plan_truth

# Sidecars of the first, second and fifth are here; the others get those of the first.
PARTICIPANTS = ("01", "02", "03", "08", "38", "40")
MUSIC = {
    "happy": "Karissa_Hobbs_-_Lets_Go_Fishin.ogg",
    "sadln": "Kevin_MacLeod_-_P_I_Tchaikovsky_Dance_of_the_Sugar_Plum_Fairy.ogg",
    "sadsh": "Kevin_MacLeod_-_Vibe_Ace.ogg",
}
WEIGHTS = "random:0"
ONSET, TAIL = 6.0, 9.0
MIN_MASK = 200


@dataclass(frozen=True, eq=False)
class RealStudy:
    """Where the parts are, and what was planted."""

    fmriprep_dir: Path
    stimuli_table: Path
    gradient_files: tuple[Path, Path]
    cache_dir: Path
    truth: Truth


def margulies(mesh: SurfaceMesh) -> NDArray[np.float64]:
    """Gradient 1 on fsaverage5 as Connectome Workbench resampled it, NaN where it is not valid."""
    stem = "workbench_desc-fcgradient01_space-fsaverage_den-10k_hemi"
    values, valid = (
        np.concatenate([read_gifti(DATA / "gradient" / name.format(hemi))[0] for hemi in "LR"])
        for name in (stem + "-{}_feature.func.gii", "workbench_valid_hemi-{}.shape.gii")
    )
    gradient = np.where(valid > 0, values, np.nan).astype(np.float64)
    if mesh.space == "fsaverage5":
        return gradient
    halves = np.split(gradient, 2)
    return np.concatenate([half[: mesh.left.n_vertices] for half in halves])


def features(cache_dir: Path) -> FeatureGrams:
    """Gram matrices of the recordings, in the order in which the program will want them."""
    audio = sorted((DATA / "audio" / name for name in MUSIC.values()), key=stimulus_label)
    stimuli = [(stimulus_label(path), path) for path in audio]
    return load_or_compute_grams(stimuli, WEIGHTS, cache_dir=cache_dir)


def plan_runs(grams: FeatureGrams) -> list[Run]:
    """One run per recording; its length follows the audio."""
    tasks = {stimulus_label(Path(name)): task for task, name in MUSIC.items()}
    sidecar = _sidecar("01", "happy", "L")
    tr = float(sidecar["RepetitionTime"])
    return [
        Run(
            task=tasks[label],
            stimulus=label,
            stim_file=MUSIC[tasks[label]],
            n_volumes=int((ONSET + duration + TAIL) / tr),
            tr=tr,
            start_time=(tr - sidecar["DelayTime"]) / 2,
            onset=ONSET,
            duration=duration,
        )
        for label, duration in zip(grams.labels, grams.durations, strict=True)
    ]


def build(root: Path, *, seed: int = 0) -> RealStudy:
    """Write the dataset with layers planted along the real gradient."""
    mesh = load_mesh("fsaverage5")
    grams = features(root / "cache")
    truth = plan_truth(mesh, seed=seed, gradient=margulies(mesh))
    responses = SimulatedResponses(
        mesh, truth, plan_runs(grams), grams.patch_times, grams.gram, seed=seed
    )
    fmriprep = root / "ds003085-fmriprep"
    lay_out_tree(fmriprep)
    for number, label in enumerate(PARTICIPANTS):
        write_participant(fmriprep, label, number, responses)
    (root / "music").mkdir()
    for name in MUSIC.values():
        shutil.copyfile(DATA / "audio" / name, root / "music" / name)
    table = root / "music" / "stimuli.tsv"
    lines = [f"{task}\t{name}\t{ONSET}" for task, name in MUSIC.items()]
    table.write_text("\n".join(["task\tstim_file\tonset", *lines]) + "\n")
    files = dataset.write_truth(root / "truth", mesh, truth, {"Seed": seed})
    return RealStudy(fmriprep, table, files["gradient"], root / "cache", truth)


def lay_out_tree(root: Path) -> None:
    """All files of the participants' func folders and of the top, as a checkout has them."""
    source = DATA / "ds003085" / "fmriprep"
    with gzip.open(source / "manifest.tsv.gz", "rt") as stream:
        entries = [line.rstrip("\n").split("\t") for line in stream]
    folders = tuple(f"sub-{label}/func/" for label in PARTICIPANTS)
    for kind, name in entries:
        if kind == "submodule" or not (name.startswith(folders) or "/" not in name):
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "annexed":
            path.symlink_to(f"../../.git/annex/objects/0a/1b/MD5E-s1--{path.name}/{path.name}")
        elif (source / name).is_file():
            shutil.copyfile(source / name, path)
        elif name.startswith("sub-") and name.endswith(".json"):
            label = name[4:6]
            shutil.copyfile(source / name.replace(f"sub-{label}", "sub-01"), path)


def write_participant(root: Path, label: str, number: int, responses: SimulatedResponses) -> None:
    """Replace the links of the music runs by content; the names must be there already."""
    bold, nuisance = responses.bold(number)
    folder = root / f"sub-{label}" / "func"
    rng = np.random.default_rng([responses.seed, 31, number])
    for run, series, leaks in zip(responses.runs, bold, nuisance, strict=True):
        stem = f"sub-{label}_task-{run.task}"
        table = f"{stem}_desc-confounds_timeseries"
        for name in (
            *(f"{stem}_hemi-{hemi}_space-fsaverage5_bold.func.gii" for hemi in "LR"),
            f"{table}.tsv",
            f"{table}.json",
        ):
            (folder / name).unlink()
        sidecar = json.loads((folder / f"{stem}_hemi-L_space-fsaverage5_bold.json").read_text())
        dataset.write_surface_bold(folder, stem, responses.mesh, series, run, sidecar)
        dataset.write_confounds(folder, stem, *confounds_table(leaks, run.tr, rng))


def _sidecar(label: str, task: str, hemi: str) -> dict:
    name = f"sub-{label}_task-{task}_hemi-{hemi}_space-fsaverage5_bold.json"
    return json.loads((DATA / "ds003085" / "fmriprep" / f"sub-{label}" / "func" / name).read_text())


class ArrayStudy:
    """The same analysis by the library's functions on arrays, for many simulated studies.

    Coarse mesh and every third layer: the controls are about false positives, which depend on
    neither.
    """

    layers = (1, 4, 7, 10, 13, 16, 19, 22)

    def __init__(self, grams: FeatureGrams) -> None:
        self.mesh = load_mesh("fsaverage4")
        self.gradient = margulies(self.mesh)
        self.grams, self.runs = grams, plan_runs(grams)
        sampled = [
            stimulus_rows(run.n_volumes, run.tr, run.start_time, run.onset, run.duration)
            for run in self.runs
        ]
        self.rows = [rows for rows, _ in sampled]
        self.plans = [
            plan_encoding(
                sample_gram(
                    np.asarray(grams.gram(layer), np.float64),
                    grams.patch_times,
                    range(len(self.runs)),
                    [times for _, times in sampled],
                    1.0,
                    128.0,
                ),
                [len(rows) for rows in self.rows],
                delays=(3.0, 9.0),
                crop=15.0,
                tr=1.0,
            )
            for layer in self.layers
        ]

    def accuracies(self, truth: Truth, seed: int) -> NDArray[np.float64]:
        """Accuracy of six simulated participants, (n_participants, n_layers, n_vertices)."""
        responses = SimulatedResponses(
            self.mesh, truth, self.runs, self.grams.patch_times, self.grams.gram, seed=seed
        )
        return np.stack(
            [self._participant(responses, number) for number in range(len(PARTICIPANTS))]
        )

    def _participant(self, responses: SimulatedResponses, number: int) -> NDArray[np.float64]:
        bold, nuisance = responses.bold(number)
        blocks = [
            clean_responses(
                series,
                np.column_stack([leaks.motion, leaks.physiology]),
                high_pass_basis(len(series), 1.0, 128.0),
            ).values[rows]
            for series, leaks, rows in zip(bold, nuisance, self.rows, strict=True)
        ]
        return np.stack([fit_encoding(plan, blocks, null="none").mean_r for plan in self.plans])

    def alignment_p(self, r: NDArray[np.float64], seed: int) -> tuple[float, float]:
        """Spin p of the mean alignment, plain and given accuracy."""
        usable = np.isfinite(r).all(axis=(0, 1))
        averaged = np.where(usable, np.arctanh(r).mean(axis=1), np.nan)
        significant = sign_flip_max_t(averaged, tail="greater", seed=seed).p < 0.05
        mask = significant if significant.sum() >= MIN_MASK else usable
        depth = (np.array(self.layers) - 1) / 22
        result = spin_alignment(
            group_residual_slopes(r, mask, depth),
            self.gradient,
            mask,
            spheres=self.mesh.spheres,
            covariates=r.mean(axis=1),
            n_spins=500,
            seed=seed,
        )
        plain, partial = (
            group_alignment(result, partial=given, n_bootstrap=10, seed=0)
            for given in (False, True)
        )
        return plain.p, partial.p
