"""End whole runs at random moments; what the same command then makes is in docs/reliability.md.

    PYTHONPATH=tests/studies python tests/faults/kills.py [--kills 40] [--seed 0] [--write]

Both levels, one and two processes, four signals take turns. The run that is ended begins with one
of two participants (one of five times with nobody and without a cache) or, at the group level, with
both. The same command then runs to its end. Every result must have the bytes of a run that
nobody ended, pages but for the date and the name of the run; no process, lock, folder or
half-written file may be left, and every end but SIGKILL's has its code and its words.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fault_study import Study, write_study
from left_processes import processes_of
from tries import write_table

from bids_app.files import sha256_of, sha256_of_file
from bids_app.stopping import WORDS, exit_code

SHORT = ("--crop", "4", "--delays", "2:6", "--layers", "1", "5", "--n-spins", "100")
LEVELS = ("participant", "group")
PLUGINS = {"Linear": "1", "MultiProc": "2"}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Few kills take turns over both levels, both plugins and all signals.
SETTINGS = sorted(
    itertools.product(LEVELS, PLUGINS, SIGNALS),
    key=lambda s: (LEVELS.index(s[0]) + 2 * list(PLUGINS).index(s[1]) + SIGNALS.index(s[2])) % 4,
)
_LONGEST = 10.0  # seconds that an end may take


class Workplace:
    """An output folder, a cache and a temporary directory of their own."""

    def __init__(self, root: Path, study: Study) -> None:
        self.study, self.out, self.cache = study, root / "out", root / "cache"
        self.temporary, self.log = root / "tmp", root / "log"
        self.temporary.mkdir(parents=True, exist_ok=True)

    def start(self, level: str, n_procs: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "bids_app", str(self.study.bids), str(self.out), level]
        command += ["--vggish-weights", "random:0", "--cache-dir", str(self.cache)]
        command += [*SHORT, "--nprocs", n_procs]
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=self.log.open("w"),
            env={**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def run(self, level: str, n_procs: str) -> float:
        """Run a level to its end; returns the seconds it took."""
        started = time.monotonic()
        code = self.start(level, n_procs).wait()
        assert code == 0, self.log.read_text()
        return time.monotonic() - started

    def left(self, session: int, *, by_force: bool) -> list[str]:
        """Processes, locks, folders and half-written files that outlive a killed program."""
        for _ in range(100):
            found = [str(pid) for pid in processes_of(session)]
            if not by_force:
                found += [str(path) for path in self.temporary.iterdir()]
                for folder in (self.out, self.cache):
                    found += [str(path) for path in folder.rglob(".*.lock")]
                    found += [str(path) for path in folder.rglob(".partial-*")]
            if not found:
                break
            time.sleep(0.1)
        return found

    def content(self) -> dict[str, str]:
        """Checksums of all results; of pages without date, name and command of the run."""
        found = {}
        for path in sorted(self.out.rglob("*")):
            inside = path.relative_to(self.out)
            if path.is_file() and inside.parts[0] not in ("logs", ".musenc"):
                own = _timeless(path) if path.suffix == ".html" else sha256_of_file(path)
                found[str(inside)] = own
        return found


def _timeless(page: Path) -> str:
    text = re.sub(r"<dd>\S+/__main__.py .*?</dd>", "COMMAND", page.read_text())
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{8}", "RUN", text)
    return sha256_of(re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?", "DATE", text))


class Undisturbed:
    """Both levels done once in a folder, each in a workplace of its own."""

    def __init__(self, root: Path) -> None:
        self.study = write_study(root / "study")
        self.places: dict[str, Workplace] = {}
        self.seconds: dict[str, float] = {}
        for level in LEVELS:
            place = Workplace(root / level, self.study)
            if level == "group":
                shutil.copytree(self.places["participant"].out, place.out)
                shutil.copytree(self.places["participant"].cache, place.cache)
            self.places[level], self.seconds[level] = place, place.run(level, "1")

    def before(self, level: str, root: Path, draw: random.Random) -> tuple[Workplace, float]:
        """A workplace in which a level has not run yet, and about the seconds it will take."""
        place, seconds = Workplace(root, self.study), self.seconds[level]
        if level == "participant" and draw.random() < 0.2:
            return place, seconds
        if level == "participant":
            lacks, seconds = shutil.ignore_patterns("sub-02*"), 0.6 * seconds
        else:
            lacks = None
        shutil.copytree(self.places["participant"].out, place.out, ignore=lacks)
        shutil.copytree(self.places[level].cache, place.cache)
        return place, seconds


@dataclass
class Kill:
    """A run that was ended, and what was not as it should be.

    `at` and `within` are seconds from the start and from the signal; `begun` is whether the program
    listened to signals already.
    """

    level: str
    plugin: str
    number: signal.Signals
    at: float
    within: float = 0.0
    begun: bool = True
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = f"{self.level} {self.plugin} {self.number.name} after {self.at:.1f} s"
        return "; ".join([f"{told}, ended in {self.within:.1f} s", *self.failures])


def kill_and_rerun(
    undisturbed: Undisturbed,
    setting: tuple[str, str, signal.Signals],
    root: Path,
    draw: random.Random,
) -> Kill:
    """End a run at a random moment, run the same command again, and look at everything."""
    level, plugin, number = setting
    while True:
        place, seconds = undisturbed.before(level, root / "place", draw)
        process = place.start(level, PLUGINS[plugin])
        kill = Kill(*setting, draw.uniform(0.05, 1) * seconds)
        try:
            process.wait(timeout=kill.at)
        except subprocess.TimeoutExpired:
            break
        shutil.rmtree(root / "place")  # it was faster
    kill.begun = _listens(process.pid)
    whole = draw.random() < 0.5 and number == signal.SIGINT
    (os.killpg if whole else os.kill)(process.pid, number)
    asked = time.monotonic()
    code = process.wait(timeout=120)
    kill.within = time.monotonic() - asked
    kill.failures += _ending(place, kill, code, process.pid)
    place.run(level, PLUGINS[plugin])
    wanted, found = undisturbed.places[level].content(), place.content()
    differ = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    kill.failures += [f"{name} differs" for name in differ]
    kill.failures += [f"left: {one}" for one in place.left(process.pid, by_force=False)]
    shutil.rmtree(root / "place")
    return kill


def _listens(process: int) -> bool:
    """Whether a program has begun to end on signals by itself."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def _ending(place: Workplace, kill: Kill, code: int, session: int) -> Iterator[str]:
    log, by_force = place.log.read_text(), kill.number == signal.SIGKILL
    # What is told before the program listens ends it as it ends any.
    codes = {-kill.number} if by_force or not kill.begun else set()
    codes |= set() if by_force else {exit_code(kill.number)}
    if code not in codes:
        yield f"exit {code}: {log}"
    if not by_force and code == exit_code(kill.number) and WORDS not in log:
        yield f"no words: {log}"
    if kill.within > _LONGEST:
        yield "too slow"
    for word in ("Traceback", "leaked"):
        if word in log and kill.begun:
            yield f"{word}: {log}"
    for one in place.left(session, by_force=by_force):
        yield f"outlived it: {one}"


def table(kills: list[Kill]) -> str:
    rows = [
        "| Level | Processes | Signal | Kills | Longest end | Failures |",
        "|---|---|---|---|---|---|",
    ]
    for level, plugin, number in itertools.product(LEVELS, PLUGINS, SIGNALS):
        own = [k for k in kills if (k.level, k.plugin, k.number) == (level, plugin, number)]
        if own:
            rows.append(f"| {level} | {PLUGINS[plugin]} | {number.name} | {_counts(own)} |")
    rows.append(f"| all | all | all | {_counts(kills)} |")
    return "\n".join(rows) + "\n"


def _counts(kills: list[Kill]) -> str:
    longest = max(kill.within for kill in kills)
    return f"{len(kills)} | {longest:.1f} s | {sum(bool(kill.failures) for kill in kills)}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="into docs/reliability.md")
    asked = parser.parse_args(argv)
    draw = random.Random(asked.seed)
    kills = []
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Undisturbed(Path(folder) / "undisturbed")
        for setting in itertools.islice(itertools.cycle(SETTINGS), asked.kills):
            kills.append(kill_and_rerun(undisturbed, setting, Path(folder), draw))
            sys.stderr.write(f"{kills[-1]}\n")
    shown = table(kills)
    sys.stdout.write(shown)
    if asked.write:
        write_table("kills", shown)
    return int(any(kill.failures for kill in kills))


if __name__ == "__main__":
    raise SystemExit(main())
