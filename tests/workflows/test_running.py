"""How the steps are run: plugins, and what a crash stops."""

from __future__ import annotations

import itertools
import json
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bids_app.workflows import participant_level
from bids_app.workflows.running import Failure, Plugin, _read_crash, choose_plugin

from bids_app.analyses import group_level
from bids_app.analyses.ratings.plan import RatingWork, StudyRatings
from bids_app.cli import dry_run, tools
from bids_app.cli.run import main
from bids_app.config import Running
from bids_app.errors import MissingInputError, UsageError
from bids_app.inputs.ratings import RatingSet
from bids_app.outputs import OutputTree, sidecar_of
from bids_app.status import Status


@pytest.fixture
def write(tmp_path):
    """Write a plugin file."""

    def call(content):
        path = tmp_path / "plugin.yml"
        path.write_text(content)
        return path

    return call


def test_the_plugin_follows_the_number_of_processes():
    assert choose_plugin(Running()) == Plugin("Linear")
    several = choose_plugin(Running(n_procs=3))
    assert (several.name, several.arguments["n_procs"]) == ("MultiProc", 3)


def test_a_plugin_file_replaces_it(write):
    path = write("plugin: SLURM\nplugin_args:\n  sbatch_args: --mem=3G\n")
    plugin = choose_plugin(Running(n_procs=3, plugin_file=path, work_dir=Path("/shared/w")))
    assert plugin == Plugin("SLURM", {"sbatch_args": "--mem=3G"})
    assert not plugin.is_local
    assert choose_plugin(Running(plugin_file=write("plugin: Linear\n"))) == Plugin("Linear")


# Lists within lists, 9 ** 9 words when spelled out.
LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in itertools.pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    "content",
    [
        *("plugin: Slrum\n", "SLURM\n", "plugin: [", "", "plugin: SLURM\nplugin_args: 3\n"),
        *("plugin: [a]\n", "plugin: " + "[" * 5000, LAUGHS + "plugin: *j\n"),
    ],
)
def test_a_file_without_a_plugin_is_refused(write, content):
    with pytest.raises(UsageError, match="plugin"):
        choose_plugin(Running(plugin_file=write(content), work_dir=Path("/w")))


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(MissingInputError, match=r"no\.yml"):
        choose_plugin(Running(plugin_file=Path("/no.yml")))


@pytest.mark.parametrize("work_dir", [None, Path("/shared/my work")])
def test_jobs_of_a_cluster_need_a_folder_to_meet(write, work_dir):
    with pytest.raises(UsageError, match="--work-dir"):
        choose_plugin(Running(plugin_file=write("plugin: SLURM\n"), work_dir=work_dir))


def test_a_crash_stops_the_others_only_on_request(analyzed, garble, tmp_path, capfd):
    out = tmp_path / "out"
    arguments = [str(garble("01")), *analyzed.arguments("participant", output_dir=out)[1:]]
    only = ["--participant-label", "01", "02", "--stop-on-first-crash"]
    assert main([*arguments, *only]) == 1
    assert "Traceback" not in capfd.readouterr().err
    (status,) = (out / "logs").glob("status_*.json")
    reasons = {r["participant"]: r["reason"] for r in json.loads(status.read_text())["rows"]}
    assert "adagio" in reasons["01"]
    assert reasons["02"] == "the work stopped before its maps were complete"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(analyzed, tmp_path, capsys):
    arguments = analyzed.arguments("participant", "--device", "cuda", output_dir=tmp_path)
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "sees no CUDA device" in message
    assert "Traceback" not in message
    dataset = [arguments[0], arguments[1], *arguments[3:]]
    assert tools.main(["features", *dataset]) == 2
    assert "sees no CUDA device" in capsys.readouterr().err


def test_without_its_page_nothing_of_a_participant_is_done(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        participant_level, "write_participant_report", lambda *args, **_: drawn.append(args[1])
    )
    tree, status = OutputTree(tmp_path), Status("run", "participant")
    crash = tmp_path / "logs" / "run" / "crash-1.txt"
    page = Failure("w.draw_page_01", "01", "", "ValueError", "no ink", crash)
    fit = Failure("w.fit_model_02", "02", "", "ValueError", "no rows", crash)
    parts = {("01", "conditions"): [None], ("02", ""): [None]}
    participant_level._judge(status, tree, parts, [page, fit])
    assert [(row.participant, row.run, row.state) for row in status.rows] == [
        ("01", "conditions", "failed"),
        ("02", "", "failed"),
    ]
    assert "no ink" in status.rows[0].reason
    assert status.rows[0].crash_files == ["logs/run/crash-1.txt"]
    assert drawn == ["01", "02"]


def test_a_full_disk_is_told_with_what_is_free(analyzed, tmp_path):
    # The system refuses files of more than 200 kB, as it refuses those of a full disk.
    only = ["--participant-label", "01", "--layers", "5", "--null", "none"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bids_app"),
            *analyzed.arguments("participant", *only, output_dir=tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )
    assert done.returncode in (1, 73), done.stderr
    assert "A disk is full." in done.stderr
    assert "File too large" in done.stderr
    assert f"GB free at {tmp_path}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "CRITICAL" not in done.stderr


def test_a_crash_of_nipypes_own_for_want_of_place_is_told_as_such(tmp_path):
    crash = tmp_path / "crash-1.txt"
    crash.write_text(
        "Node: w.heard\nWorking directory: /w\n\nTraceback (most recent call last):\n"
        '  File "utils.py", line 128, in write_node_report\n'
        "OSError: [Errno 28] No space left on device\n"
    )
    failure = _read_crash(crash, {"w.heard": ("", "")}, [tmp_path])
    assert failure.error == "CannotWriteError"
    assert failure.text.startswith("A disk is full.")
    assert f"GB free at {tmp_path}" in failure.text


def volumes(tree, who):
    """Samples of all cleaned responses of a participant."""
    found = tree.responses(who, "fsaverage5")
    return sum(len(json.loads(sidecar_of(left).read_text())["StimulusTimes"]) for left in found)


@pytest.mark.parametrize(("train_on", "copies"), [("own", 2), ("both", 3)])
def test_the_plan_of_a_group_says_what_the_work_folder_takes(analyzed, capsys, train_on, copies):
    tree = OutputTree(analyzed.output_dir)
    assert main(analyzed.arguments("group", "--dry-run", "--train-on", train_on)) == 0
    n_times = sum(volumes(tree, who) for who in analyzed.study.participants)
    size = copies * n_times * 20484 * 4 / 2**20
    told = capsys.readouterr().out
    assert f"disk of the work folder: {size:.0f} MiB for the responses of everybody" in told
    assert "of the work folder, and" not in told


def test_a_work_folder_without_place_is_told_ahead(analyzed, monkeypatch, capsys):
    monkeypatch.setattr(group_level, "free_bytes", lambda folder: 1 << 20)
    work = ["--work-dir", str(analyzed.output_dir / "work")]
    assert main(analyzed.arguments("group", "--dry-run", *work)) == 0
    told = capsys.readouterr().out
    assert "warning: the responses of everybody take 0.1 GiB of the work folder" in told
    assert f"free at {analyzed.output_dir / 'work'}: give a --work-dir" in told


def test_an_output_folder_without_place_is_told_ahead(analyzed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dry_run, "free_bytes", lambda folder: 1 << 20)
    arguments = analyzed.arguments("participant", "--dry-run", output_dir=tmp_path / "out")
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert f"1 MiB are free at {tmp_path / 'out'}" in told
    assert "warning: this is more disk than is free" in told


@pytest.mark.parametrize("reason", ["", "no continuous ratings in the dataset"])
def test_ratings_of_one_participant_that_cannot_be_used_are_a_problem(caplog, reason):
    status = Status("x", "participant")
    for who in ("01", "02"):
        status.add(who, "", "done")
    assert status.exit_code == 0
    felt = RatingSet((), (), (("01", "ratings left out: not a table"),))
    study = StudyRatings(felt, (), "a file", reason)
    plan = SimpleNamespace(participants=("01", "02"), runs=())
    participant_level._tell(status, RatingWork(study), plan)
    assert status.exit_code == 1
    assert [row.participant for row in status.rows if row.problem] == ["01"]
    assert "sub-01: ratings left out: not a table" in caplog.text
