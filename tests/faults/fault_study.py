"""A small whole study with one of everything, and how to judge it after something was broken.

The responses are noise: what is wanted here is every kind of file that is read, in the layout of
the simulated study, and written in about a second.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np
import pytest
import soundfile

from bids_app.analyses.group.alignment import load_gradient
from bids_app.analyses.participant.responses import prepare_responses
from bids_app.cli.parser import parse_config
from bids_app.cli.run import guarded, main, make_plan
from bids_app.features.audio import load_audio
from bids_app.features.precomputed import load_precomputed
from bids_app.features.vggish import load_vggish
from bids_app.inputs.rating_files import find_rating_files, read_rating_files
from bids_app.inputs.ratings import read_ratings_table
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.mesh import load_mesh
from bids_app.testing import dataset
from bids_app.testing.confounds import confounds_table, draw_nuisance
from bids_app.testing.ratings import RatingScale
from bids_app.testing.study import Run

PARTICIPANTS = ("01", "02")
TR = 2.0
RUNS = (
    Run("calm", "calm", "calm.wav", 40, TR, 0.9, 6.0, 60.0),
    Run("lively", "lively", "lively.wav", 36, TR, 0.9, 6.0, 52.0),
)
DURATIONS = {run.stimulus: run.duration for run in RUNS}
PATCH_TIMES = 0.4875 + 0.48 * np.arange(int((52.0 - 0.96) / 0.48) + 1)
SCALES = (RatingScale("Enjoyment", 3, 0.0, 0.5),)


@dataclass(frozen=True)
class Study:
    """Paths of the files that cases break; all below `root`."""

    root: Path

    @property
    def bids(self) -> Path:
        return self.root / "bids"

    @property
    def fmriprep(self) -> Path:
        return self.bids / "derivatives" / "fmriprep"

    def raw(self, name: str, sub: str = "01") -> Path:
        return self.bids / f"sub-{sub}" / "func" / f"sub-{sub}_task-calm_{name}"

    def prep(self, name: str, sub: str = "01", task: str = "calm") -> Path:
        return self.fmriprep / f"sub-{sub}" / "func" / f"sub-{sub}_task-{task}_{name}"

    @property
    def gifti(self) -> Path:
        return self.prep("hemi-L_space-fsaverage5_bold.func.gii")

    @property
    def right(self) -> Path:
        return self.prep("hemi-R_space-fsaverage5_bold.func.gii")

    @property
    def bold_json(self) -> Path:
        return self.prep("hemi-L_space-fsaverage5_bold.json")

    @property
    def confounds(self) -> Path:
        return self.prep("desc-confounds_timeseries.tsv")

    @property
    def confounds_json(self) -> Path:
        return self.prep("desc-confounds_timeseries.json")

    @property
    def events(self) -> Path:
        return self.raw("events.tsv")

    @property
    def raw_json(self) -> Path:
        return self.raw("bold.json")

    @property
    def audio(self) -> Path:
        return self.bids / "stimuli" / "calm.wav"

    @property
    def table(self) -> Path:
        return self.bids / "stimuli" / "music.tsv"

    @property
    def description(self) -> Path:
        return self.bids / "dataset_description.json"

    @property
    def prep_description(self) -> Path:
        return self.fmriprep / "dataset_description.json"

    @property
    def people(self) -> Path:
        return self.bids / "participants.tsv"

    @property
    def extra(self) -> Path:
        return self.root / "extra"

    @property
    def rating(self) -> Path:
        return self.bids / "sub-01" / "beh" / "sub-01_task-calm_stim.tsv.gz"

    @property
    def rating_json(self) -> Path:
        return self.rating.with_name("sub-01_task-calm_stim.json")

    @property
    def rating_table(self) -> Path:
        return self.root / "extra" / "ratings.tsv"

    @property
    def features_table(self) -> Path:
        return self.root / "extra" / "tables" / "lively.tsv"

    @property
    def tables(self) -> Path:
        return self.features_table.parent

    @property
    def features_array(self) -> Path:
        return self.root / "extra" / "arrays.h5"

    @property
    def weights(self) -> Path:
        return self.root / "extra" / "weights.pth"

    @property
    def mask(self) -> Path:
        return self.root / "extra" / "mask-L.shape.gii"

    @property
    def gradient(self) -> Path:
        return self.root / "extra" / "gradient-L.func.gii"

    @property
    def strategy(self) -> Path:
        return self.root / "extra" / "strategy.yml"

    @property
    def filters(self) -> Path:
        return self.root / "extra" / "filters.json"


AnyStudy = TypeVar("AnyStudy", bound=Study)


def write_study(root: Path) -> Study:
    """Write the intact study."""
    study, rng, mesh = Study(root), np.random.default_rng(5), load_mesh("fsaverage5")
    (study.bids / "stimuli").mkdir(parents=True)
    for number, run in enumerate(RUNS):
        samples = np.random.default_rng(number).uniform(-0.2, 0.2, int(run.duration * 8000))
        soundfile.write(study.bids / "stimuli" / run.stim_file, samples, 8000)
    dataset.write_raw_dataset(study.bids, PARTICIPANTS, RUNS)
    dataset.write_fmriprep_description(study.fmriprep)
    for label in PARTICIPANTS:
        folder = study.fmriprep / f"sub-{label}" / "func"
        for run in RUNS:
            # Few digits: the files get small.
            noise = rng.integers(-8, 8, (run.n_volumes, mesh.n_vertices)).astype(np.float32)
            noise[:, :500] = 0
            stem = f"sub-{label}_task-{run.task}"
            dataset.write_surface_bold(folder, stem, mesh, noise + 100 * (noise != 0), run)
            nuisance = draw_nuisance(run.n_volumes, TR, rng)
            dataset.write_confounds(folder, stem, *confounds_table(nuisance, TR, rng))
        curves = [rng.uniform(0, 100, (int(5 * run.duration), 1)) for run in RUNS]
        dataset.write_ratings(study.bids, label, RUNS, curves, SCALES)
    _write_extras(study, rng)
    return study


def _write_extras(study: Study, rng: np.random.Generator) -> None:
    """What is named on the command line."""
    extra = study.root / "extra"
    (extra / "tables").mkdir(parents=True)
    rows = [f"{r.task}\t{r.stim_file}\t{r.onset:g}" for r in RUNS]
    study.table.write_text("\n".join(["task\tstim_file\tonset", *rows]) + "\n")
    rows = [
        f"sub-{p}\t{r.stimulus}\t{t}\t{t % 7}"
        for p in PARTICIPANTS
        for r in RUNS
        for t in range(50)
    ]
    header = "participant_id\tstimulus\ttime\tEnjoyment"
    study.rating_table.write_text("\n".join([header, *rows]) + "\n")
    times = np.arange(0, 60, 0.5)
    values = rng.standard_normal((times.size, 2))
    for run in RUNS:
        lines = ["time\tchroma\tflux"] + [
            f"{t}\t{a:.4f}\t{b:.4f}" for t, (a, b) in zip(times, values, strict=True)
        ]
        (extra / "tables" / f"{run.stimulus}.tsv").write_text("\n".join(lines) + "\n")
    with h5py.File(study.features_array, "w") as file:
        for run in RUNS:
            group = file.create_group(run.stimulus)
            group["time"], group["embedding"] = times, values
    from bids_app.surface.gifti import write_gifti

    for hemi in "LR":
        cortex = np.ones((1, 10242))
        cortex[0, :500] = 0
        write_gifti(extra / f"mask-{hemi}.shape.gii", cortex, hemi=hemi, names=["cortex"])
        path = extra / f"gradient-{hemi}.func.gii"
        write_gifti(path, load_mesh("fsaverage5").left.sphere[:, 1][None], hemi=hemi, names=["g"])
    study.weights.write_bytes(b"no weights")
    study.strategy.write_text("name: own\ncolumns: ['trans_[xyz]', 'rot_[xyz]']\n")
    study.filters.write_text(json.dumps({"bold": {"task": ["calm", "lively"]}}))


def copy_study(study: AnyStudy, root: Path) -> AnyStudy:
    """A copy to break: hard links, since most files stay as they are.

    Nothing may write into a file that is there; see `put`.
    """
    shutil.copytree(study.root, root, copy_function=os.link, symlinks=True)
    return type(study)(root)


def put(path: Path, content: bytes | str) -> None:
    """Replace a file without touching what other links to it see."""
    path.unlink(missing_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@dataclass(frozen=True)
class Outcome:
    """What a user got to see."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def observe(work: Callable[[], int]) -> Outcome:
    """Run `work` as the program would and keep what it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = work()
        except SystemExit as error:  # argparse
            code = int(error.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def _arguments(study: Study, options: tuple[str, ...]) -> list[str]:
    # Options name files of the intact study by attribute: "{table}".
    filled = [option.format_map(_Files(study)) for option in options]
    base = [str(study.bids), str(study.root / "out"), "participant"]
    return [*base, "--vggish-weights", "random:0", *filled]


class _Files(dict):
    def __init__(self, study: Study) -> None:
        self.study = study

    def __missing__(self, name: str) -> str:
        return str(getattr(self.study, name))


def plan(study: Study, options: tuple[str, ...] = ()) -> Outcome:
    """``--dry-run``."""
    return observe(lambda: main([*_arguments(study, options), "--dry-run"]))


def clean(study: Study, options: tuple[str, ...] = ()) -> Outcome:
    """Plan, then read and clean the responses of every run, without smoothing."""

    def work() -> int:
        config = parse_config(_arguments(study, options))
        study_plan = make_plan(config)
        cleaning = replace(config.cleaning, smoothing=0.0)
        prepared = prepare_responses(study_plan.runs, cleaning, random_seed=1)
        for row, block in zip(prepared.summary, prepared.blocks, strict=True):
            told = row["run"], row["n_degenerate_vertices"], row["warnings"], block.times[:3]
            sys.stdout.write(f"{told} {np.nansum(np.abs(block.values), dtype=float)}\n")
        for skipped in study_plan.skipped:
            sys.stdout.write(f"{skipped.label}: {skipped.reason}\n")
        return 1 if study_plan.has_problems else 0

    return observe(lambda: guarded(work))


def _reader(read: Callable[[Study], object]) -> Callable[..., Outcome]:
    def run(study: Study, options: tuple[str, ...] = ()) -> Outcome:
        def work() -> int:
            sys.stdout.write(f"{read(study)}\n")
            return 0

        return observe(lambda: guarded(work))

    return run


def _ratings(study: Study, options: tuple[str, ...] = ()) -> Outcome:
    """What is read of the dataset, and what of it cannot be used."""

    def work() -> int:
        files = find_rating_files(study.bids, PARTICIPANTS)
        runs = make_plan(parse_config(_arguments(study, ()))).runs
        found = read_rating_files(files, study.bids, runs, DURATIONS)
        sys.stdout.write(f"{_sums(found)}\n{found.faults}\n")
        return 1 if found.faults else 0

    return observe(lambda: guarded(work))


def _sums(found) -> object:
    return [
        (r.participant, r.stimulus, r.scale, r.times[[0, -1]], r.values.sum(), r.warnings)
        for r in found.ratings
    ], found.warnings


ROUTES: dict[str, Callable[..., Outcome]] = {
    "plan": plan,
    "clean": clean,
    "audio": _reader(lambda s: load_audio(s.audio).sum()),
    "weights": _reader(lambda s: load_vggish(s.weights)),
    "mask": _reader(
        lambda s: read_cortex_mask([s.mask, s.mask.with_name("mask-R.shape.gii")], 20484).sum()
    ),
    "gradient": _reader(
        lambda s: np.nansum(
            load_gradient(
                f"{s.gradient},{s.gradient.with_name('gradient-R.func.gii')}", "fsaverage5"
            ).values
        )
    ),
    "ratings": _ratings,
    "rating_table": _reader(lambda s: _sums(read_ratings_table(s.rating_table, DURATIONS))),
    "features_table": _reader(lambda s: _features(s.features_table.parent)),
    "features_array": _reader(lambda s: _features(s.features_array)),
}


def _features(path: Path) -> object:
    layers = load_precomputed(path, "lively", PATCH_TIMES, 0.48)
    return [(layer.name, layer.values.sum()) for layer in layers]


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Another user for whom permissions count, where this one is root."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.parents):
        if path.stat().st_uid == 0 and path.stat().st_mode & 0o005 != 0o005:
            path.chmod(path.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        if not os.access(os.__file__, os.R_OK, effective_ids=True):
            pytest.skip(f"other users cannot read {Path(os.__file__).parent}, where Python is")
        yield
    finally:
        os.seteuid(0)


def compressed(text: str | bytes) -> bytes:
    """Gzip without a date."""
    return gzip.compress(text.encode() if isinstance(text, str) else text, mtime=0)
