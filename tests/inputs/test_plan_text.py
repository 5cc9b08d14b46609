"""The plan as text."""

from __future__ import annotations

from planning import plan_study

from bids_app.inputs import plan_text
from bids_app.inputs.plan_text import format_plan


def test_plan_lists_runs_stimuli_and_what_is_skipped(tree):
    tree.simple(("01", "02", "03"), n_dummy=2)
    tree.bold(sub="01", task="rest")
    next(tree.fmriprep.glob("sub-02/func/*task-b*hemi-R*.gii")).write_bytes(b"")
    tree.events("4\t10\tpiece_a.wav", "15\tn/a\tpiece_b.wav", sub="01", task="a")
    text = format_plan(plan_study(tree.root, missing="use"))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].endswith(f"is a raw dataset; fMRIPrep outputs: {tree.fmriprep}")
    assert f"piecea 16.0 s 3 3 {tree.root}/stimuli/piece_a.wav" in lines
    assert f"pieceb 12.0 s 2 3 {tree.root}/stimuli/piece_b.wav" in lines
    assert "sub-01 - a - 12 (first 2 left out) 2 s +1 s piecea 4 s 10.0 s" in lines
    assert "pieceb 15 s 12.0 s" in lines
    assert any(line.startswith("skipped: sub-02_task-b: empty file: sub-02/func") for line in lines)
    assert "left out: sub-01_task-rest: no stimulus is given for this task" in lines
    assert "warning: sub-02 lacks pieceb; kept (--missing use)" in lines
    assert any("sub-01_task-a: pieceb: the music ends at 27.0 s" in line for line in lines)
    assert lines[-1] == "3 participants, 5 runs, 2 stimuli; 2 runs not used, " + (
        "1 of them because of their files"
    )


def test_long_lists_of_problems_are_counted(tree, monkeypatch):
    monkeypatch.setattr(plan_text, "MAX_SKIPPED", 3)
    tree.simple(("01", "02", "03"))
    for path in tree.fmriprep.glob("sub-0[12]/func/*.func.gii"):
        path.write_bytes(b"")
    text = format_plan(plan_study(tree.root))
    assert text.count("skipped: sub-") == 3
    assert "skipped: 1 more runs with unusable files" in text


def test_columns_are_aligned(tree):
    tree.simple()
    lines = format_plan(plan_study(tree.root)).splitlines()
    header = next(line for line in lines if line.startswith("participant"))
    rows = [line for line in lines if line.startswith("sub-")]
    assert len(rows) == 4
    column = header.index("stimulus")
    assert all(line[column:].startswith("piece") for line in rows)
