"""Killed at random moments, at both levels, with both plugins: the rerun ends like any other run.

``pytest -m slow -s tests/faults/test_kills.py --kills 48`` kills three times in each of sixteen
settings, and prints when; `docs/reliability.md` has the table.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_study import Study, write_study
from left_processes import processes_of

from bids_app.files import sha256_of, sha256_of_file
from bids_app.stopping import WORDS, exit_code

SHORT = ("--crop", "4", "--delays", "2:6", "--layers", "1", "5", "--n-spins", "100")
LEVELS = ("participant", "group")
PLUGINS = {"Linear": "1", "MultiProc": "2"}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


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
        # Without a gradient the group level is incomplete, and says so.
        assert code == LEVELS.index(level), self.log.read_text()
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
        """Checksums of all results; of pages without the date and the name of the run."""
        found = {}
        for path in sorted(self.out.rglob("*")):
            inside = path.relative_to(self.out)
            if path.is_file() and inside.parts[0] not in ("logs", ".musenc"):
                own = _timeless(path) if path.suffix == ".html" else sha256_of_file(path)
                found[str(inside)] = own
        return found


def _timeless(page: Path) -> str:
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{8}", "RUN", page.read_text())
    return sha256_of(re.sub(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?", "DATE", text))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    return write_study(tmp_path_factory.mktemp("killed") / "study")


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory) -> dict[str, tuple[Workplace, float]]:
    """Both levels done once; after each, a copy of the workplace and the seconds it took."""
    root = tmp_path_factory.mktemp("undisturbed")
    found, place = {}, Workplace(root / "participant", study)
    for level in LEVELS:
        found[level] = place, place.run(level, "1")
        if level == "participant":
            shutil.copytree(root / "participant", root / "group")
            place = Workplace(root / "group", study)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_run_killed_anywhere_is_made_whole_by_the_same_command(
    study, undisturbed, tmp_path, request, level, plugin, number
):
    n_kills = max(1, request.config.getoption("--kills") // 16)
    draw = random.Random(f"{level} {plugin} {number} {n_kills}")
    wanted, seconds = undisturbed[level]
    for k in range(n_kills):
        root = tmp_path / str(k)
        root.mkdir()
        place = Workplace(root, study)
        if level == "group":
            shutil.copytree(undisturbed["participant"][0].out, place.out)
        shutil.copytree(wanted.cache, place.cache)
        if draw.random() < 0.3 and level == "participant":
            shutil.rmtree(place.cache)
        process = place.start(level, PLUGINS[plugin])
        moment = draw.uniform(0.1, 1.1) * seconds
        told = f"{level} {plugin} {number.name} after {moment:.1f} of {seconds:.1f} s"
        try:
            code = process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            begun = (place.out / "logs").exists() or level == "group"
            whole = draw.random() < 0.5 and number == signal.SIGINT
            (os.killpg if whole else os.kill)(process.pid, number)
            asked = time.monotonic()
            code = process.wait(timeout=120)
            told += f": exit {code} {time.monotonic() - asked:.1f} s later"
            by_force = number == signal.SIGKILL
            if by_force:
                assert code == -signal.SIGKILL, told
            elif begun:
                assert code == exit_code(number), f"{told}\n{place.log.read_text()}"
                assert WORDS in place.log.read_text(), told
            assert place.left(process.pid, by_force=by_force) == [], told
            assert "Traceback" not in place.log.read_text(), told
        print(told)  # noqa: T201
        place.run(level, PLUGINS[plugin])
        assert place.content() == wanted.content(), told
        assert place.left(process.pid, by_force=False) == [], told
        shutil.rmtree(root)
