"""The scripts of containers/slurm on a real SLURM: one node, on this machine alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from other_machines import ROOT, TOOLS, differences

SLURM = TOOLS / "one-node-slurm"
SCRIPTS = ROOT / "containers" / "slurm"

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
    output = study.root / "slurm results"
    settings = tmp_path / "settings.sh"

    def words(values):
        return "(" + " ".join(f"'{value}'" for value in values) + ")"

    settings.write_text(
        f"IMAGE=\nBIDS_DIR='{study.simulated.bids_dir}'\nOUTPUT_DIR='{output}'\n"
        f"CACHE_DIR='{study.root / 'slurm cache'}'\nOPTIONS={words(study.options)}\n"
        f"GROUP_OPTIONS={words(study.group_options)}\nSBATCH_OPTIONS=()\nCPUS=1\nMEMORY=3G\n"
    )
    done = subprocess.run(
        [SCRIPTS / "submit.sh", settings], capture_output=True, text=True, env=slurm
    )
    assert done.returncode == 0, done.stderr
    jobs = [line.split()[1] for line in done.stdout.splitlines()]
    states = wait_for(jobs, slurm)
    logs = "".join(p.read_text()[-2000:] for p in (output / "logs" / "slurm").glob("*.log"))
    assert set.union(*states.values()) == {"COMPLETED"}, f"{states}\n{logs}"
    assert (output / "logs" / "slurm" / "participants.txt").read_text() == "01\n02\n"
    assert differences(study.bare, output) == []


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
    settings = tmp_path / "settings.sh"
    settings.write_text(
        f"IMAGE=\nBIDS_DIR='{study.simulated.bids_dir}'\nOUTPUT_DIR={tmp_path}/out\n"
        f"CACHE_DIR='{study.cache}'\nOPTIONS=({' '.join(study.options)})\n"
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
    plugin = tmp_path / "plugin.yml"
    plugin.write_text("plugin: SLURM\nplugin_args: {sbatch_args: '--mem=3G'}\n")
    output, work_dir = study.root / "plugin results", tmp_path / "work"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bids_app", study.simulated.bids_dir, output, "participant"),
            *(*study.options, "--use-plugin", plugin, "--work-dir", work_dir),
            *("--cache-dir", study.cache),
        ],
        capture_output=True,
        text=True,
        env=slurm,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(list(work_dir.rglob("slurm-*.out"))) >= 2 + 5 * 2, "features, loudness; 5 steps each"
    assert differences(study.bare, output, only="sub-") == []
