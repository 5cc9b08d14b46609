"""Files whose names nearly are those of BOLD: the run is named with what is there and wanted."""

from __future__ import annotations

import gzip
import shutil

import nibabel as nib
import numpy as np
from planning import plan_study

WANTED = "hemi-L_space-fsaverage5_bold.func.gii"


def gzipped(path):
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def surfaces(tree, who="01"):
    return sorted(tree.fmriprep.glob(f"sub-{who}/func/sub-{who}_task-a*.func.gii"))


def test_an_index_that_is_kept_knows_them_too(tree, tmp_path):
    tree.simple()
    for path in surfaces(tree):
        gzipped(path)
    for _ in range(2):
        plan = plan_study(tree.root, missing="use", database_dir=tmp_path / "index")
        assert len(plan.runs) == 3
        (run,) = plan.skipped
        assert (run.label, run.problem) == ("sub-01_task-a", True)
        assert "bold.func.gii.gz" in run.reason
        assert WANTED in run.reason


def test_copies_beside_the_files_are_no_matter(tree):
    tree.simple()
    for path in surfaces(tree):
        shutil.copy(path, path.with_name(path.name + ".bak"))
    plan = plan_study(tree.root)
    assert len(plan.runs) == 4
    assert not plan.skipped
    assert not any(run.warnings for run in plan.runs)


def test_a_volume_in_place_of_surfaces_that_are_not_read_is_said(tree):
    """Else one run of a participant would come from elsewhere than all others."""
    tree.simple()
    name = "sub-01_task-a_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"
    image = nib.Nifti1Image(np.zeros((2, 2, 2, 12), "f4"), np.eye(4))
    image.header.set_zooms((1, 1, 1, 2.0))
    nib.save(image, tree.func(tree.fmriprep, sub="01", task="a") / name)
    for path in surfaces(tree):
        gzipped(path)
    plan = plan_study(tree.root, repetition_time=2.0)
    assert not plan.skipped
    run = plan.runs[0]
    assert run.kind == "volume"
    assert any("bold.func.gii.gz" in text for text in run.warnings)


def test_a_run_that_fmriprep_left_out_is_a_row(tree):
    tree.simple()
    for who in ("01", "02"):
        for task in ("a", "b", "rest"):
            name = f"sub-{who}_task-{task}_bold.nii.gz"
            (tree.raw(sub=who, task=task) / name).write_bytes(b"x")
    for path in tree.fmriprep.glob("sub-01/func/*task-a*"):
        path.unlink()
    rows = {run.label: run for run in plan_study(tree.root, missing="use").skipped}
    assert rows["sub-01_task-a"].problem
    assert "left no BOLD of this run" in rows["sub-01_task-a"].reason
    assert set(rows) == {"sub-01_task-a"}
    out = plan_study(tree.root, missing="use", exclude_runs=["sub-01_task-a"])
    assert not out.has_problems
    for path in tree.fmriprep.glob("sub-02/func/*task-a*"):
        path.unlink()
    # Nobody's was preprocessed: that was meant.
    plan = plan_study(tree.root, missing="use")
    assert not plan.has_problems
    assert {run.label for run in plan.skipped} >= {"sub-01_task-a", "sub-02_task-a"}


def test_a_resting_run_that_fmriprep_left_out_is_no_matter_of_the_music(tree):
    tree.simple()
    tree.bold(sub="01", task="rest")
    for task in ("rest", "b"):
        name = f"sub-02_task-{task}_bold.nii.gz"
        (tree.raw(sub="02", task=task) / name).write_bytes(b"x")
    for path in [
        *tree.fmriprep.glob("sub-02/func/*task-b*"),
        *tree.root.glob("sub-02/func/*task-b_e*"),
    ]:
        path.unlink()
    rows = [run.label for run in plan_study(tree.root, missing="use").skipped if run.problem]
    # Nothing says what was heard in it, but others heard music in this task.
    assert rows == ["sub-02_task-b"]
