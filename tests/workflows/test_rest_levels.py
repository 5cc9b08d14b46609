"""Resting runs through the command line, beside conditions; what is done again, and the page."""

from __future__ import annotations

import numpy as np
import pytest
from dissonance import write_dissonance
from listed import listed, written

from bids_app.cli.run import main
from bids_app.files import read_json
from bids_app.outputs import REST_DESC, OutputTree
from bids_app.surface.mesh import load_mesh
from bids_app.testing.rest import front_to_back, resting_series, write_resting_run


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two participants; the first has a resting run of 150 volumes."""
    root = write_dissonance(tmp_path_factory.mktemp("x") / "study", participants=("01", "02"))
    series = resting_series(150, front_to_back(load_mesh()), np.random.default_rng(1))
    entities = {"sub": "01", "task": "rest"}
    write_resting_run(root / "derivatives" / "fmriprep", entities, series)
    return root


def call(study, *extra):
    cleaning = ["--confounds", "none", "--smoothing", "0"]
    return [
        *(str(study), str(study / "out"), "participant", *cleaning),
        *("--contrast", "dissonant-consonant", *extra),
    ]


def test_what_is_listed_is_written_told_and_not_done_again(study, capsys):
    tree, options = OutputTree(study / "out"), ("--rest-task", "rest")
    assert main(call(study)) == 0
    own = tree.participant_settings("01", "", REST_DESC)
    before = read_json(tree.participant_settings("01", "conditions"))
    page = tree.participant_report("02").stat().st_mtime_ns
    assert not own.exists()
    capsys.readouterr()
    assert main(call(study, *options, "--dry-run")) == 0
    plan = capsys.readouterr().out
    assert main(call(study, *options)) == 0
    assert listed(plan) == written(study / "out", "01")
    assert read_json(tree.participant_settings("01", "conditions")) == before
    assert tree.participant_report("02").stat().st_mtime_ns == page
    status = read_json(max(tree.logs.glob("status_*.json"), key=lambda p: p.stat().st_mtime_ns))
    rows = {(row["participant"], row["run"]): row for row in status["rows"]}
    assert rows["01", "rest"]["state"] == "done"
    assert rows["02", "rest"]["state"] == "skipped"
    assert "no resting run (task-rest)" in rows["02", "rest"]["reason"]
    assert any("150 volumes are kept, 200 are wanted" in note for note in status["notes"])
    text = tree.participant_report("01").read_text()
    assert "Resting runs, cleaned as the music" in text
    assert "150 volumes are kept" in text
    files = [own, *tree.participant_dir("01").glob("*_desc-rest_bold.func.gii")]
    times = [path.stat().st_mtime_ns for path in files]
    assert len(files) == 3
    assert main(call(study, *options)) == 0
    assert [path.stat().st_mtime_ns for path in files] == times


def test_a_resting_run_that_cannot_be_read_costs_nothing_else(study, tmp_path):
    """All of them are unusable: conditions go on, the run is named, and the exit code is 1."""
    (series,) = (study / "derivatives").rglob("sub-01_task-rest*hemi-L*_bold.func.gii")
    before = series.read_bytes()
    series.write_bytes(before[:5000])
    command = call(study, "--rest-task", "rest")
    command[1] = str(tmp_path / "out")
    try:
        assert main(command) == 1
    finally:
        series.write_bytes(before)
    tree = OutputTree(tmp_path / "out")
    (status,) = tree.logs.glob("status_*.json")
    rows = read_json(status)["rows"]
    done = [row["participant"] for row in rows if row["state"] == "done"]
    assert done == ["01", "02"]
    assert any("truncated GIFTI" in row["reason"] for row in rows)
