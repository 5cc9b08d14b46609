"""What stops the group level is told in the first seconds, all of it, and leaves a status file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from written_group import SETTINGS, write_gradient, write_participant, write_settings

from bids_app.cli.run import main, may_hold_logs
from bids_app.errors import MissingInputError, Problems, UsageError
from bids_app.files import write_json
from bids_app.labels import safe_label
from bids_app.outputs import OutputTree
from bids_app.surface.mesh import load_mesh

FEW = ("--n-spins", "9", "--n-permutations", "2")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("group") / "results"
    for label in ("01", "02"):
        write_participant(root, label)
    return root


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(made, tmp_path / "results")


@pytest.fixture
def gradient(tmp_path) -> str:
    return write_gradient(tmp_path, np.vstack([h.pial for h in load_mesh().hemispheres])[:, 1])


def group(folder: Path, *options: str) -> int:
    return main(["/nowhere", str(folder), "group", *FEW, *options])


def status_of(folder: Path) -> dict:
    (path,) = (folder / "logs").glob("status_*.json")
    return json.loads(path.read_text())


def test_several_problems_are_one_error():
    problems = Problems()
    for kind, what in ((MissingInputError, "No maps."), (UsageError, "No such gradient.")):
        with problems.collecting():
            raise kind(what, where="there")
    with problems.collecting():
        raise MissingInputError("No maps.", where="there")
    with pytest.raises(UsageError, match=r"2 problems(.|\n)*1. No maps(.|\n)*2. No such gradient"):
        problems.tell("It cannot begin.")
    Problems().tell("Nothing.")


def test_everything_that_is_not_there_is_told_together(folder, gradient, capfd, monkeypatch):
    other = folder.parent / "nothing"
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(other))
    options = ("--atlas", f"{other}/l.annot,{other}/r.annot", "--participant-label", "07")
    assert group(folder, "--gradient", gradient, f"{other}/L.gii,{other}/R.gii", *options) == 18
    message = capfd.readouterr().err
    for told in ("3 problems", "07", "An atlas file is not there", "A gradient file is not there"):
        assert told in message
    left = status_of(folder)
    assert left["exit_code"] == 18
    assert [row["state"] for row in left["rows"]] == ["failed"]
    assert "An atlas file is not there" in left["rows"][0]["reason"]
    assert not (folder / "tpl-fsaverage").exists()


def files_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    folder, gradient, monkeypatch, tmp_path, capfd
):
    monkeypatch.setenv("NEUROMAPS_DATA", str(tmp_path / "empty"))
    before = files_of(folder)
    assert group(folder, "--gradient", gradient, "--dry-run") == 0
    told = capfd.readouterr().out
    assert "model-vggish: 2 participants: sub-01, sub-02" in told
    assert f"gradients: {gradient}" in told
    assert "analyses: " in told
    assert "accuracy" in told
    options = ("--gradient", "margulies2016", gradient, "--train-on", "both")
    assert group(folder, *options, "--dry-run") == 1
    told = capfd.readouterr().out
    assert "nothing is aligned with margulies2016: " in told
    assert "nothing is trained on the others' responses: " in told
    assert group(folder, "--participant-label", "07", "--dry-run") == 18
    assert files_of(folder) == before


def test_a_gradient_that_is_not_installed_costs_layers_without_an_order_nothing(
    folder, monkeypatch, tmp_path, capfd
):
    monkeypatch.setenv("NEUROMAPS_DATA", str(tmp_path / "empty"))
    assert group(folder, "--dry-run") == 1
    assert "nothing is aligned with" in capfd.readouterr().out
    shutil.rmtree(folder)
    for label in ("01", "02"):
        write_participant(folder, label, settings={**SETTINGS, "layer_depth": []})
    assert group(folder, "--dry-run") == 0
    assert "nothing is aligned with" not in capfd.readouterr().out


@pytest.mark.parametrize("name", ["logs", "tpl-fsaverage"])
def test_a_folder_that_cannot_be_written_is_found_first(folder, gradient, capfd, name):
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).write_text("no folder")
    assert group(folder, "--gradient", gradient) == 73
    assert f"{folder / name} is no folder" in capfd.readouterr().err


def test_a_gradient_that_is_not_installed_costs_the_alignment_alone(
    folder, gradient, monkeypatch, tmp_path, capfd
):
    monkeypatch.setenv("NEUROMAPS_DATA", str(tmp_path / "empty"))
    assert group(folder, "--gradient", "margulies2016", gradient) == 1
    assert "musenc prefetch" in capfd.readouterr().err
    left = status_of(folder)
    assert [row["problem"] for row in left["rows"] if row["run"]] == [True]
    assert "musenc prefetch" in left["rows"][0]["reason"]
    tree = OutputTree(folder)
    assert tree.group_map("L", "fsaverage5", model="vggish", stat="t").is_file()
    table = pd.read_csv(folder / "group_model-vggish_desc-analyses_summary.tsv", sep="\t")
    (row,) = table[table["analysis"] == "alignment"].itertuples()
    assert (row.part, row.state) == ("margulies2016_fcgradient01", "left out")
    page = (folder / "group.html").read_text()
    assert "Gradients without a result" in page
    assert "is not installed" in page
    own = safe_label(Path(gradient.partition(",")[0]).parent.name)
    assert tree.group_labels("vggish", "alignment") == [own]


def test_a_crash_leaves_a_status_file(folder, gradient, monkeypatch):
    def crash(*_):
        raise RuntimeError("disk on fire")

    monkeypatch.setattr("bids_app.workflows.group_level.run_workflow", crash)
    assert group(folder, "--gradient", gradient) == 1
    left = status_of(folder)
    assert (left["exit_code"], left["rows"][0]["reason"]) == (1, "disk on fire")


def test_nothing_there_leaves_a_status_file(tmp_path):
    assert group(tmp_path / "out") == 66
    assert "no participant maps" in status_of(tmp_path / "out")["rows"][0]["reason"]


def test_logs_are_left_in_output_folders_only(tmp_path):
    write_json(tmp_path / "dataset_description.json", {"GeneratedBy": [{"Name": "fMRIPrep"}]})
    assert not may_hold_logs(tmp_path)
    assert not may_hold_logs(tmp_path / "results")
    assert may_hold_logs(tmp_path / "derivatives" / "musenc")
    own = tmp_path / "results" / "dataset_description.json"
    write_json(own, {"GeneratedBy": [{"Name": "musenc-bidsapp"}]})
    assert may_hold_logs(tmp_path / "results")


@pytest.mark.parametrize(
    ("settings", "told", "message"),
    [
        ({}, {"HeldOutStimuli": ["calm"]}, "different stimuli"),
        ({"crop": 1.0}, {}, "different settings"),
    ],
)
def test_participants_who_do_not_belong_together_stop_the_plan(
    folder, capsys, settings, told, message
):
    tree = OutputTree(folder)
    path = tree.participant_settings("02", "vggish")
    known = json.loads(path.read_text())
    kept = ("Stimuli", "HeldOutStimuli", "DegenerateVertices", "ReferenceVertices")
    told = {name: known[name] for name in kept} | told
    files = [folder / name for name in known["Outputs"]]
    write_settings(tree, path, known["Settings"] | settings, files, **told)
    assert group(folder, "--dry-run") == 16
    assert message in capsys.readouterr().err


def test_joint_models_of_other_candidates_stop_the_plan(folder, capsys):
    tree = OutputTree(folder)
    for who, n in (("01", 18), ("02", 24)):
        path = tree.participant_settings(who, "vggish", "beyond")
        write_settings(tree, path, SETTINGS | {"candidates": n}, [], HeldOutStimuli=["calm"])
    assert group(folder, "--dry-run") == 16
    assert "candidates: 18 -> 24" in capsys.readouterr().err
