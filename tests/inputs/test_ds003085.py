"""The real names of a public study: 39 participants, no events, content of three participants."""

from __future__ import annotations

import csv
import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from input_trees import MOTION, gifti_bytes
from planning import plan_study
from real_data import DATA

EXPECTED = Path(__file__).with_name("ds003085_plan.tsv")
N_VOLUMES = {"happy": 183, "sadsh": 271, "sadln": 530}
SECONDS = {"happy": 168, "sadsh": 256, "sadln": 515}
PRESENT = ("01", "02", "38")


def build_tree(root: Path) -> Path:
    """The whole tree: real JSON files where they are at hand, broken links where annexed."""
    source = DATA / "ds003085"
    for kind, folder in (("raw", root), ("fmriprep", root / "derivatives" / "fmriprep")):
        with gzip.open(source / kind / "manifest.tsv.gz", "rt") as stream:
            for line in stream:
                state, name = line.rstrip("\n").split("\t")
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if state == "annexed":
                    path.symlink_to(f"../../.git/annex/objects/{path.name}")
                elif state == "file" and (source / kind / name).exists():
                    shutil.copy(source / kind / name, path)
                elif state == "file":
                    path.write_text("{}" if name.endswith(".json") else "")
    for participant in PRESENT:
        for task, n_volumes in N_VOLUMES.items():
            add_content(root / "derivatives" / "fmriprep", participant, task, n_volumes)
    lines = ["task\tstim_file\tonset"]
    for task, seconds in SECONDS.items():
        noise = np.random.default_rng(seconds).uniform(-0.1, 0.1, 100 * seconds)
        soundfile.write(root / f"{task}.wav", noise, 100)
        lines.append(f"{task}\t{task}.wav\t5")
    (root / "music.tsv").write_text("\n".join(lines) + "\n")
    return root


def add_content(folder: Path, participant: str, task: str, n_volumes: int) -> None:
    stem = folder / f"sub-{participant}" / "func" / f"sub-{participant}_task-{task}"
    for hemisphere in "LR":
        path = stem.with_name(f"{stem.name}_hemi-{hemisphere}_space-fsaverage5_bold.func.gii")
        path.unlink()
        path.write_bytes(gifti_bytes(n_volumes, 10242, hemisphere, 1.0))
    path = stem.with_name(f"{stem.name}_desc-confounds_timeseries.tsv")
    path.unlink()
    columns = [*MOTION, *(f"a_comp_cor_{i:02d}" for i in range(6))]
    row = "\t".join("0" for _ in columns) + "\n"
    path.write_text("\t".join(columns) + "\n" + row * n_volumes)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    if not (DATA / "ds003085" / "fmriprep" / "manifest.tsv.gz").exists():
        pytest.skip(f"no real data in {DATA} (set MUSENC_TEST_DATA)")
    return build_tree(tmp_path_factory.mktemp("ds003085"))


def rows_of(plan):
    for run in plan.runs:
        heard = " ".join(f"{p.stimulus}@{p.onset:g}+{p.duration:g}" for p in run.presentations)
        timing = f"{run.n_volumes} x {run.tr:g} s from {run.start_time:g} s"
        yield run.label, timing, heard, ""
    for run in plan.skipped:
        yield run.label, "", "", run.reason


def test_plan_is_the_committed_one(study):
    plan = plan_study(study, table=study / "music.tsv")
    with EXPECTED.open(newline="") as stream:
        header, *expected = [tuple(row) for row in csv.reader(stream, delimiter="\t")]
    assert header == ("run", "volumes", "music", "skipped")
    assert list(rows_of(plan)) == expected
    assert len(plan.runs) == 9
    assert len(plan.skipped) == 39 * 4 - 9
    assert plan.has_problems
    assert "slice timing not corrected" in plan.runs[0].start_time_source


def test_content_of_others_is_no_matter_when_participants_are_chosen(study):
    plan = plan_study(study, table=study / "music.tsv", participants=PRESENT)
    assert plan.participants == PRESENT
    assert {run.task for run in plan.skipped} == {"rest"}
    assert not plan.has_problems
