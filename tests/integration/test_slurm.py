"""The scripts of containers/slurm on a real SLURM: one node, on this machine alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bids_app.cli.parser import build_parser
from bids_app.testing.music import Piece

ROOT = Path(__file__).parents[2]
SLURM = ROOT / ".." / "shared" / "tools" / "one-node-slurm"
SCRIPTS = ROOT / "containers" / "slurm"
PIECES = (
    Piece("allegro", 48.0, tempo=126.0, minor=False, tonic=60, energy=0.7),
    Piece("adagio", 56.0, tempo=72.0, minor=True, tonic=57, energy=0.4),
    Piece("andante", 64.0, tempo=84.0, minor=True, tonic=62, energy=0.5),
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def slurm():
    """The environment in which sbatch finds the daemons and the jobs find the program."""
    if not SLURM.exists():
        pytest.skip("no SLURM to start")
    started = "SLURM_CONF" not in os.environ
    if started:
        subprocess.run([SLURM, "start"], check=True, capture_output=True)
    line = subprocess.run([SLURM, "env"], check=True, capture_output=True, text=True).stdout
    name, _, value = line.removeprefix("export ").strip().partition("=")
    yield {
        **os.environ,
        name: value,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    if started:
        subprocess.run([SLURM, "stop"], check=False)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small simulated study, and its results without SLURM."""
    from bids_app.cli.run import main
    from bids_app.testing.simulate import simulate_study

    root = tmp_path_factory.mktemp("study on shared storage")
    simulated = simulate_study(root / "study", n_participants=3, pieces=PIECES)
    gradient = ",".join(map(str, simulated.gradient_files))
    options = ["--vggish-weights", "random:0"]
    group_options = ["--gradient", gradient, "--n-spins", "100"]
    for level, extra in (("participant", []), ("group", group_options)):
        arguments = [str(simulated.bids_dir), str(root / "bare"), level, *options, *extra]
        assert main([*arguments, "--cache-dir", str(root / "bare cache")]) == 0
    return root, simulated, options, group_options


def results_of(folder):
    """Content of everything that is data: maps and tables."""
    names = [p for suffix in ("*.gii", "*.tsv") for p in folder.rglob(suffix)]
    return {str(p.relative_to(folder)): p.read_bytes() for p in names}


def wait_for(jobs, environment, seconds=900):
    """Wait until jobs have left the queue; returns the state of each."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        queue = subprocess.run(
            ["squeue", "--noheader", "--format", "%A", "--jobs", ",".join(jobs)],
            capture_output=True,
            text=True,
            env=environment,
        )
        if not queue.stdout.strip():
            break
        time.sleep(2)
    states = {}
    for job in jobs:
        shown = subprocess.run(
            ["scontrol", "show", "job", job], capture_output=True, text=True, env=environment
        ).stdout
        states[job] = {w.split("=")[1] for w in shown.split() if w.startswith("JobState=")}
    return states


def test_features_then_array_then_group(slurm, study, tmp_path):
    root, simulated, options, group_options = study
    output = root / "slurm results"
    settings = tmp_path / "settings.sh"

    def words(values):
        return "(" + " ".join(f"'{value}'" for value in values) + ")"

    settings.write_text(
        f"IMAGE=\nBIDS_DIR='{simulated.bids_dir}'\nOUTPUT_DIR='{output}'\n"
        f"CACHE_DIR='{root / 'slurm cache'}'\nOPTIONS={words(options)}\n"
        f"GROUP_OPTIONS={words(group_options)}\nSBATCH_OPTIONS=()\nCPUS=1\nMEMORY=3G\n"
    )
    done = subprocess.run(
        [SCRIPTS / "submit.sh", settings], capture_output=True, text=True, env=slurm
    )
    assert done.returncode == 0, done.stderr
    jobs = [line.split()[1] for line in done.stdout.splitlines()]
    states = wait_for(jobs, slurm)
    logs = "".join(p.read_text()[-2000:] for p in (output / "logs" / "slurm").glob("*.log"))
    assert set.union(*states.values()) == {"COMPLETED"}, f"{states}\n{logs}"
    assert (output / "logs" / "slurm" / "participants.txt").read_text() == "01\n02\n03\n"
    expected = results_of(root / "bare")
    found = results_of(output)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_a_dataset_without_participants_submits_nothing(slurm, tmp_path):
    settings = tmp_path / "settings.sh"
    (tmp_path / "empty").mkdir()
    settings.write_text(
        f"IMAGE=\nBIDS_DIR={tmp_path}/empty\nOUTPUT_DIR={tmp_path}/out\nCACHE_DIR={tmp_path}/c\n"
        "OPTIONS=()\nGROUP_OPTIONS=()\nSBATCH_OPTIONS=()\nCPUS=1\nMEMORY=1G\n"
    )
    done = subprocess.run(
        [SCRIPTS / "submit.sh", settings], capture_output=True, text=True, env=slurm
    )
    assert done.returncode == 16
    assert "no sub- folders" in done.stderr


def test_a_failing_participant_keeps_the_group_from_running(slurm, study, tmp_path):
    root, simulated, options, _ = study
    settings = tmp_path / "settings.sh"
    settings.write_text(
        f"IMAGE=\nBIDS_DIR='{simulated.bids_dir}'\nOUTPUT_DIR={tmp_path}/out\n"
        f"CACHE_DIR='{root / 'bare cache'}'\nOPTIONS=({' '.join(options)})\n"
        "GROUP_OPTIONS=()\nSBATCH_OPTIONS=(--kill-on-invalid-dep=yes)\nCPUS=1\nMEMORY=3G\n"
    )
    done = subprocess.run(
        [SCRIPTS / "submit.sh", settings, "99"], capture_output=True, text=True, env=slurm
    )
    assert done.returncode == 0, done.stderr
    jobs = [line.split()[1] for line in done.stdout.splitlines()]
    states = wait_for(jobs, slurm, 300)
    assert states[jobs[2]] == {"CANCELLED"}
    assert not list((tmp_path / "out").rglob("*.gii"))


def test_nipype_submits_to_slurm(slurm, study, tmp_path):
    if not any(action.dest == "use_plugin" for action in build_parser()._actions):
        pytest.skip("the command line has no --use-plugin")
    root, simulated, options, _ = study
    plugin = tmp_path / "plugin.yml"
    plugin.write_text("plugin: SLURM\nplugin_args: {sbatch_args: '--mem=3G'}\n")
    output = root / "plugin results"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bids_app", simulated.bids_dir, output, "participant"),
            *(*options, "--use-plugin", plugin, "--work-dir", root / "work"),
            *("--cache-dir", root / "bare cache"),
        ],
        capture_output=True,
        text=True,
        env=slurm,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    expected = {k: v for k, v in results_of(root / "bare").items() if k.startswith("sub-")}
    found = {k: v for k, v in results_of(output).items() if k.startswith("sub-")}
    assert found == expected
