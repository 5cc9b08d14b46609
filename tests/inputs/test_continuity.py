"""Series that lack volumes of their run."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from planning import plan_study

from bids_app.errors import BadDataError


def raw_run(tree, n_volumes, sub="01", task="a", step=1.0, unit="unknown", **entities):
    path = tree.raw(sub=sub) / f"{tree.stem(sub=sub, task=task, **entities)}_bold.nii.gz"
    image = nib.Nifti1Image(np.ones((2, 2, 2, n_volumes), np.int16), np.eye(4))
    image.header["pixdim"][4] = step
    image.header.set_xyzt_units("mm", unit)
    nib.save(image, path)
    return path


def warnings_of(tree, label="sub-01_task-a"):
    plan = plan_study(tree.root)
    return " ".join(next(run for run in plan.runs if run.label == label).warnings)


@pytest.mark.parametrize("n_raw", [10, 12, 22])
def test_another_length_than_the_raw_run_is_said(tree, n_raw):
    tree.simple()
    raw_run(tree, n_raw)
    told = warnings_of(tree)
    assert (f"the raw run has {n_raw} volumes, the preprocessed one 12" in told) == (n_raw != 12)
    assert "raw run" not in warnings_of(tree, "sub-02_task-a")


@pytest.mark.parametrize(
    ("step", "unit", "said"),
    [
        (1.0, "sec", "1"),
        (3.0, "sec", "3"),
        (1500.0, "msec", "1.5"),
        (3.0, "unknown", "3"),
        (3000.0, "unknown", "3000"),
        (2.0, "sec", ""),
        (2000.0, "msec", ""),
        (2e6, "usec", ""),
        (2000.0, "unknown", ""),
        (1.0, "unknown", ""),
        (0.0, "sec", ""),
        (float("nan"), "sec", ""),
        (3.0, "hz", ""),
    ],
)
def test_another_repetition_time_in_the_raw_header_is_said(tree, step, unit, said):
    tree.simple()
    raw_run(tree, 12, step=step, unit=unit)
    told = warnings_of(tree)
    if said:
        assert f"the raw image header's time step is {said}, but the surface" in told
        assert "says 2 s, which is used" in told
    else:
        assert "time step" not in told


def test_all_echoes_are_one_run(tree):
    tree.simple()
    for echo in ("1", "2"):
        raw_run(tree, 20, echo=echo)
    raw_run(tree, 99, task="a", run="7")
    assert "the raw run has 20 volumes" in warnings_of(tree)


def test_what_cannot_be_read_of_the_raw_run_says_nothing(tree):
    tree.simple()
    path = raw_run(tree, 20)
    path.write_bytes(b"nonsense" * 200)
    assert "raw run" not in warnings_of(tree)
    path.unlink()
    path.symlink_to("../../.git/annex/objects/x")
    assert "raw run" not in warnings_of(tree)


def denoised(tree, outliers=None, filters=True):
    """Series of 12 volumes as XCP-D would have filtered them."""
    tree.simple(participants=("01",))
    for path in tree.fmriprep.rglob("*_bold.json"):
        content = json.loads(path.read_text())
        if filters:
            content["SoftwareFilters"] = {"High-pass cutoff (Hz)": 0.01}
        path.write_text(json.dumps(content))
    if outliers is not None:
        for task in "ab":
            path = tree.func(tree.fmriprep, sub="01") / f"sub-01_task-{task}_outliers.tsv"
            path.write_text("framewise_displacement\n" + "\n".join(map(str, outliers)) + "\n")


CENSORED = [0] * 6 + [1] * 3 + [0] * 6
OTHER = [0] * 6 + [1] * 4 + [0] * 5
"""Marks another number of volumes than are missing."""


@pytest.mark.parametrize(
    ("n_raw", "outliers", "words"),
    [
        (None, OTHER, r"12 volumes are left of the 15 of the table of outliers(.|\n)*4 volumes"),
        (15, None, "12 volumes are left of the 15 of the raw run"),
        (15, OTHER, "12 volumes are left of the 15 of the raw run(.|\n)*4 volumes are censored"),
        (None, None, "may lack volumes that were censored"),
        (16, [0] * 12, "12 volumes are left of the 16"),
    ],
)
def test_a_joined_series_is_refused(tree, n_raw, outliers, words):
    denoised(tree, outliers)
    if n_raw:
        for task in "ab":
            raw_run(tree, n_raw, task=task)
    with pytest.raises(BadDataError, match=words) as error:
        plan_study(tree.root)
    assert "interpolates" in str(error.value)


@pytest.mark.parametrize(("n_raw", "outliers"), [(12, None), (None, [0] * 12), (12, [0, 1] * 6)])
def test_a_whole_series_is_used_and_its_filter_named(tree, n_raw, outliers):
    denoised(tree, outliers)
    if n_raw:
        for task in "ab":
            raw_run(tree, n_raw, task=task)
    told = warnings_of(tree)
    assert "denoised before (above 0.01 Hz, order 2)" in told
    assert ("6 of 12 volumes are outliers" in told) == (outliers == [0, 1] * 6)


def test_a_table_of_outliers_that_cannot_be_read(tree):
    denoised(tree, CENSORED)
    for path in tree.fmriprep.rglob("*_outliers.tsv"):
        path.write_text("a\tb\n1\t2\t3\n")
    with pytest.raises(BadDataError, match="which volumes were censored is not known"):
        plan_study(tree.root)
