"""A study of many participants on SLURM, by the scripts of containers/slurm.

    python benchmarks/cluster.py FOLDER [--participants 200] [--cpus 1] [--memory 8G] [OPTION ...]

Needs sbatch, and the folder on storage that all nodes see. Participants are simulated and small
(three minutes of music, TR 2 s, fsaverage5); what is tried is their number. One job computes the
features, an array the participants, a last one the group. Further options go to every call of the
program. The table says what the jobs of each kind took; memory is that of all processes of a job.
FOLDER keeps the study, and the logs of the jobs in results/logs/slurm.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from memory import watch

SECONDS = 180.0
TR = 2.0
PROGRAMS = ("musenc", "musenc-bidsapp")
SCRIPTS = Path(__file__).parents[1] / "containers" / "slurm"
OPTIONS = ["--vggish-weights", "random:0", "--layers", "blocks", "--emotion", "off"]


def watched(jobs: Path, command: list[str]) -> int:
    """Run a command of a job, and note what it took in the folder of jobs."""
    started = time.time()
    process = subprocess.Popen(command)
    peaks: dict[str, float] = {}
    watcher = threading.Thread(target=watch, args=(process, peaks))
    watcher.start()
    watcher.join()
    code = process.wait()
    used = os.times()
    taken = {
        "job": os.environ["SLURM_JOB_NAME"],
        "exit": code,
        "wall": time.time() - started,
        "processor": used.children_user + used.children_system,
        "memory": peaks.get("Pss", 0.0),
        "ended": time.time(),
    }
    (jobs / f"{os.environ['SLURM_JOB_ID']}.json").write_text(json.dumps(taken))
    return code


def submit(folder: Path, options: argparse.Namespace, gradient: str) -> list[str]:
    """Hand the study to SLURM; returns the numbers of the jobs."""
    # The program is watched where the scripts call it: functions come before programs.
    runs = f"{shlex.quote(sys.executable)} {shlex.quote(__file__)} --watch {folder}/jobs"
    bin_folder = Path(sys.executable).parent
    functions = [f'{name}() {{ {runs} {bin_folder / name} "$@"; }}' for name in PROGRAMS]
    values = {
        "IMAGE": "",
        "BIDS_DIR": folder / "study" / "bids",
        "OUTPUT_DIR": folder / "results",
        "CACHE_DIR": folder / "cache",
        "CPUS": options.cpus,
        "MEMORY": options.memory,
    }
    lists = {
        "OPTIONS": [*OPTIONS, *options.rest],
        "GROUP_OPTIONS": ["--gradient", gradient],
        "SBATCH_OPTIONS": [],
    }
    lines = [f"{name}={shlex.quote(str(value))}" for name, value in values.items()]
    lines += [f"{name}=({shlex.join(given)})" for name, given in lists.items()]
    settings = folder / "settings.sh"
    settings.write_text("\n".join([*lines, *functions]) + "\n")
    told = subprocess.run(
        [SCRIPTS / "submit.sh", settings], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    print(told, end="", flush=True)
    return [line.split()[1] for line in told.splitlines()]


def wait_for(jobs: list[str], folder: Path) -> None:
    """Until no job is left, or what is left waits for one that failed."""
    while True:
        queue = subprocess.run(
            ["squeue", "--noheader", "--array", "--format", "%T %r", "--jobs", ",".join(jobs)],
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.split("\n")
        waiting = [line for line in queue if line and "DependencyNeverSatisfied" not in line]
        if not waiting:
            return
        n_done = sum(1 for _ in folder.glob("*.json"))
        print(f"{time.strftime('%H:%M')}  {n_done} jobs done, {len(waiting)} left", flush=True)
        time.sleep(60)


def table(folder: Path) -> str:
    """What the jobs of each kind took, as a table of Markdown."""
    taken = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    lines = [
        "| job | jobs | failed | processor, median | most | wall, median | memory, most |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted({one["job"] for one in taken}):
        jobs = [one for one in taken if one["job"] == name]
        processor, wall, memory = (
            np.array([one[key] for one in jobs]) for key in ("processor", "wall", "memory")
        )
        failed = sum(one["exit"] != 0 for one in jobs)
        lines.append(
            f"| {name} | {len(jobs)} | {failed} | {np.median(processor):.0f} s "
            f"| {processor.max():.0f} s | {np.median(wall):.0f} s | {memory.max() / 1e9:.2f} GB |"
        )
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Make the study, submit it, wait, print."""
    if argv[:1] == ["--watch"]:
        return watched(Path(argv[1]), argv[2:])
    from bids_app.testing.music import default_pieces
    from bids_app.testing.simulate import simulate_study

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--participants", type=int, default=200)
    parser.add_argument("--cpus", default="1")
    parser.add_argument("--memory", default="8G")
    options, options.rest = parser.parse_known_args(argv)
    folder = options.folder.resolve()
    for old in ("study", "results", "cache", "jobs"):
        shutil.rmtree(folder / old, ignore_errors=True)
    (folder / "jobs").mkdir(parents=True)
    study = simulate_study(
        folder / "study",
        n_participants=options.participants,
        pieces=default_pieces(SECONDS),
        tr=TR,
    )
    jobs = submit(folder, options, ",".join(map(str, study.gradient_files)))
    started = time.time()
    wait_for(jobs, folder / "jobs")
    print(table(folder / "jobs"))
    print(f"{(time.time() - started) / 60:.0f} minutes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
