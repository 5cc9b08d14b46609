"""A study with notes: what is odd about them stands in plan, log, sidecars and page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fault_study import RUNS, Study, write_study

from bids_app.cli.run import main

OPTIONS = ("--crop", "4", "--delays", "2:6", "--participant-label", "01", "--smoothing", "0")
SPACES = ("--features", "notes", "--joint", "added=notes@density+notes@stm")


def write_notes(study: Study, late: float = 0.0) -> None:
    for seed, run in enumerate(RUNS):
        rng = np.random.default_rng(seed)
        onset = np.arange(0.0, run.duration + late - 0.25, 0.25)
        pitch = 60 + rng.integers(0, 12, onset.size)
        rows = [f"{o:g}\t0.25\t{p}" for o, p in zip(onset, pitch, strict=True)]
        path = study.audio.with_name(run.stimulus).with_suffix("")
        text = "\n".join(["onset\tduration\tpitch", *rows, ""])
        path.with_name(f"{path.name}_notes.tsv").write_text(text)


@pytest.mark.slow
def test_a_study_with_notes(tmp_path):
    study = write_study(tmp_path / "study")
    out = tmp_path / "out"
    call = [str(study.bids), str(out), "participant", *OPTIONS, *SPACES]
    assert main(call) == 66  # no notes
    write_notes(study, late=9.0)
    assert main(call) == 0
    folder = out / "sub-01"
    (sidecar,) = folder.rglob("*hemi-L*model-notes_stat-r_statmap.json")
    told = json.loads(sidecar.read_text())
    assert "none" not in told["Description"]
    assert any("calm_notes.tsv" in source for source in told["Sources"])
    page = (out / "sub-01.html").read_text()
    assert "may be of another recording" in page
    assert "ltm and both" in page
    (shared,) = (p for p in folder.rglob("*model-added_stat-r_*.json") if "hemi-L" in p.name)
    assert json.loads(shared.read_text())["Spaces"] == ["notes density", "notes stm"]
    logs = "".join(path.read_text() for path in (out / "logs").glob("*.log"))
    assert "end at 69.0 s, the recording at 60.0 s" in logs
