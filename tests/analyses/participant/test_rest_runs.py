"""``--rest-task``: which resting runs are cleaned, how, and what is said of those without."""

from __future__ import annotations

import json

import numpy as np
import pytest
from listed import listed
from listeners import write_listeners, write_table

from bids_app.analyses.folder.claims import is_current
from bids_app.analyses.participant.rest_runs import clean_rest, write_rest
from bids_app.bands import high_pass_setting
from bids_app.cli.parser import parse_config
from bids_app.cli.run import main, make_plan, plan_resting
from bids_app.features.timing import high_pass_basis
from bids_app.outputs import REST_DESC, OutputTree, sidecar_of
from bids_app.surface.gifti import read_gifti
from bids_app.surface.mesh import load_mesh
from bids_app.testing.rest import front_to_back, resting_series, write_resting_run

CLEANING = ("--confounds", "none", "--smoothing", "0", "--features", "envelope")
MESH = load_mesh("fsaverage5")
KEPT = np.arange(0, MESH.n_vertices, 40)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three people with music; the first has two resting runs, the second a short one."""
    root = write_listeners(tmp_path_factory.mktemp("rest") / "study", onset=10.0)
    write_table(root, "song\tstimuli/song.wav\t10")
    for who, run, n_times in (("01", "1", 210), ("01", "2", 205), ("02", "1", 120)):
        place = np.zeros(MESH.n_vertices)
        place[KEPT] = front_to_back(MESH)[KEPT]
        series = resting_series(n_times, place, np.random.default_rng(int(who + run)))
        entities = {"sub": who, "task": "rest", "run": run}
        write_resting_run(root / "derivatives" / "fmriprep", entities, series)
    return root


def call(study, out, *extra):
    table = ("--stimuli", str(study / "music.tsv"))
    return [str(study), str(out), "participant", *table, *CLEANING, *extra]


def planned(study, out, *extra):
    config = parse_config(call(study, out, "--rest-task", "rest", *extra))
    return config, plan_resting(config, make_plan(config))


def test_plan_names_runs_volumes_and_who_has_none(study, tmp_path, capsys):
    options = ("--rest-task", "task-rest", "--dummy-scans", "2", "--dry-run")
    assert main(call(study, tmp_path / "out", *options)) == 0
    text = capsys.readouterr().out
    for words in (
        "resting, for --gradient own: 3 runs of 2 participants",
        "sub-01_task-rest_run-1: 208 of 210 volumes, TR 2 s",
        "sub-02_task-rest_run-1: 118 of 120 volumes, TR 2 s\n",
        "  warning: 118 volumes are kept, 200 are wanted",
        "sub-03: no resting run (task-rest)",
        "sub-01_task-rest_run-{1,2}_hemi-{L,R}_space-fsaverage_den-10k_desc-rest_bold.func.gii",
    ):
        assert words in text
    files = {name.rpartition("/")[2] for name in listed(text)}
    assert {"sub-01_desc-restruns_summary.tsv", "sub-01_desc-rest_settings.json"} <= files
    assert "no stimulus is given" not in text


def test_without_the_option_resting_runs_are_left_out_as_before(study, tmp_path, capsys):
    assert main(call(study, tmp_path / "out", "--dry-run")) == 0
    text = capsys.readouterr().out
    assert "no stimulus is given for this task" in text
    assert "desc-rest" not in text


@pytest.mark.parametrize(
    ("task", "code", "words"),
    [("sleep", 18, "There is no resting run"), ("song", 2, "Music was heard in the runs")],
)
def test_a_task_without_rest_is_refused(study, tmp_path, capsys, task, code, words):
    assert main(call(study, tmp_path / "out", "--rest-task", task, "--dry-run")) == code
    text = capsys.readouterr().err
    assert words in text
    assert f"--rest-task {task}" in text


def test_runs_are_cleaned_like_those_with_music_and_kept_with_what_they_rest_on(study, tmp_path):
    config, plan = planned(study, tmp_path / "out", "--dummy-scans", "2")
    record = plan.record("01")
    tree = OutputTree(config.output_dir)
    files = write_rest(tree, record, clean_rest(plan.runs_of("01"), plan.cleaning))
    assert is_current(tree, record)
    assert record.settings["rest_task"] == "rest"
    left, right = (
        tree.participant_bold("01", hemi, "fsaverage5", task="rest", run="1", desc=REST_DESC)
        for hemi in "LR"
    )
    found = np.hstack([read_gifti(path) for path in (left, right)])
    assert found.shape == (208, MESH.n_vertices)
    raw = np.hstack(
        [
            read_gifti(next(study.rglob(f"sub-01_task-rest_run-1_hemi-{h}_*_bold.func.gii")))
            for h in "LR"
        ]
    ).astype(np.float64)[2:]
    design = np.column_stack([np.ones(208), high_pass_basis(210, 2.0, 128.0)[2:]])
    vertex = KEPT[np.isfinite(found[0, KEPT])][5]
    wanted = raw[:, vertex] - design @ np.linalg.lstsq(design, raw[:, vertex], rcond=None)[0]
    np.testing.assert_allclose(found[:, vertex], wanted, atol=1e-4)
    told = json.loads(sidecar_of(left).read_text())
    assert told["Volumes"] == list(range(2, 210))
    assert told["HighPassCutoff"] == high_pass_setting(128.0)
    assert [one.rpartition("/")[2] for one in told["Sources"]] == [
        "sub-01_task-rest_run-1_hemi-L_space-fsaverage5_bold.func.gii"
    ]
    assert not any("mostly noise" in text for text in told["Warnings"])
    done = json.loads(tree.participant_settings("01", "", REST_DESC).read_text())
    assert done["Volumes"] == [208, 203]
    assert set(done["Outputs"]) == {str(f.relative_to(tree.root)) for f in files[:-1]}
    left.write_bytes(b"")
    assert not is_current(tree, record)


def test_a_short_run_is_told_in_sidecar_table_and_settings(study, tmp_path):
    config, plan = planned(study, tmp_path / "out")
    (run,) = clean_rest(plan.runs_of("02"), plan.cleaning)
    short = "120 volumes are kept, 200 are wanted: connectivity is mostly noise"
    assert run.warnings[-1] == short
    tree = OutputTree(config.output_dir)
    write_rest(tree, plan.record("02"), [run])
    done = json.loads(tree.participant_settings("02", "", REST_DESC).read_text())
    assert done["Warnings"][-1] == f"sub-02_task-rest_run-1: {short}"
    assert short in tree.participant_file("02", "summary.tsv", desc="restruns").read_text()


def test_without_high_pass_a_line_goes(study, tmp_path):
    _, plan = planned(study, tmp_path / "out", "--high-pass", "0")
    run = clean_rest(plan.runs_of("02"), plan.cleaning)[0]
    times = np.arange(120) - 59.5
    known = np.isfinite(run.values[0])
    assert known.any()
    assert np.abs(times @ run.values[:, known]).max() < 0.1


def test_what_selects_music_does_not_select_rest(study, tmp_path):
    _, plan = planned(study, tmp_path / "out", "--task-id", "song", "--participant-label", "01")
    assert [run.label for run in plan.study.runs] == [
        f"sub-01_task-rest_run-{number}" for number in "12"
    ]
    before = plan.settings
    _, same = planned(study, tmp_path / "out")
    assert same.settings == before
    assert set(same.left_out) == {"03"}
