"""A signal ends the program in time, whatever it is doing, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from left_processes import processes_of

from bids_app import held
from bids_app.held import private_folder, remove_unowned
from bids_app.stopping import SIGNALS, WORDS, ends_on_signals, exit_code

PROGRAM = """
import concurrent.futures, multiprocessing, os, sys, time
from pathlib import Path
from bids_app.files import atomic_path, shared_lock
from bids_app.held import at_end, private_folder
from bids_app.stopping import begin_worker, ends_on_signals, start_server_of_workers
folder = Path({folder!r})

def wait(*_):
    (folder / f"worker-{{os.getpid()}}").touch()
    with shared_lock(folder / "of-a-worker"), private_folder("work"):
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass

def swallow():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            print("swallowed", flush=True)

def pool(context="forkserver"):
    if context == "forkserver":
        start_server_of_workers()
    pool = concurrent.futures.ProcessPoolExecutor(
        2, mp_context=multiprocessing.get_context(context), initializer=begin_worker)
    jobs = [pool.submit(wait) for _ in range(2)]
    while len(list(folder.glob("worker-*"))) < 2 or not (folder / ".of-a-worker.lock").exists():
        time.sleep(0.02)
    return pool, jobs

if __name__ == "__main__":
    with ends_on_signals():
        {before}
        print("ready", flush=True)
        {work}
"""


class Program:
    """A program in a folder, begun and told to end."""

    def __init__(self, folder: Path, work: str, before: str = "pass") -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        script = folder / "program.py"
        script.write_text(PROGRAM.format(folder=str(folder), before=before, work=work))
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.temporary)},
            start_new_session=True,
            # As from a terminal, also where the tests themselves were started with nohup.
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        )
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def end(self, number: int, *, group: bool = False) -> tuple[int, str, str]:
        """Exit code and what was printed."""
        (os.killpg if group else os.kill)(self.process.pid, number)
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err

    def left(self) -> list[str]:
        """Processes, locks and folders that are still there after a while."""
        for _ in range(200):
            found = [str(path) for path in self.temporary.iterdir()]
            found += [str(path) for path in self.folder.glob(".*")]
            found += [str(pid) for pid in processes_of(self.process.pid)]
            if not found:
                return []
            time.sleep(0.1)
        return found


BUSY = {
    "asleep": "time.sleep(60)",
    "where everything is caught": "swallow()",
    "with a lock and a work folder": (
        "with shared_lock(folder / 'x'), private_folder('work') as w, "
        "atomic_path(folder / 'y'):\n            (w / 'a').mkdir(); (w / 'a' / 'b').touch(); "
        "print('held', flush=True); swallow()"
    ),
}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("work", BUSY.values(), ids=BUSY)
def test_a_signal_ends_it_with_the_words_and_code_and_nothing_left(tmp_path, number, work):
    program = Program(tmp_path, work)
    if "held" in work:
        assert program.process.stdout.readline() == "held\n"
        assert (tmp_path / ".x.lock").exists()
        assert list(program.temporary.glob("musenc-work-*/a/b"))
    code, out, err = program.end(number)
    assert (code, out, err.strip()) == (exit_code(number), "", WORDS)
    assert program.left() == []


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("group", [False, True], ids=["to the program", "to all, as a terminal"])
def test_workers_go_with_the_program(tmp_path, number, group):
    program = Program(tmp_path, "jobs[0].result()", "kept, jobs = pool()")
    code, out, err = program.end(number, group=group)
    assert (code, out, err.strip()) == (exit_code(number), "", WORDS)
    assert program.left() == []


def test_the_pool_of_the_program_leaves_no_words_about_semaphores(tmp_path):
    before = (
        "from bids_app.workflows.worker_pool import WorkerPool; "
        "kept = WorkerPool({'n_procs': 1, 'mp_context': 'forkserver'})"
    )
    program = Program(tmp_path, "swallow()", before)
    code, out, err = program.end(signal.SIGINT)
    assert (code, out, err.strip()) == (130, "", WORDS)
    assert program.left() == []


@pytest.mark.parametrize("context", ["forkserver", "fork"])
def test_workers_end_by_themselves_when_the_program_is_killed(tmp_path, context):
    program = Program(tmp_path, "jobs[0].result()", f"kept, jobs = pool({context!r})")
    assert program.end(signal.SIGKILL) == (-signal.SIGKILL, "", "")
    assert program.left() == []


def test_a_signal_to_a_worker_does_not_end_its_parent(tmp_path):
    work = (
        "fork = multiprocessing.get_context('fork'); "
        "p = fork.Process(target=time.sleep, args=(60,)); p.start(); p.terminate(); p.join(); "
        "time.sleep(1); print('still here', flush=True)"
    )
    program = Program(tmp_path, work)
    out, _ = program.process.communicate(timeout=60)
    assert (program.process.returncode, out) == (0, "still here\n")


def test_what_is_to_be_said_at_the_end_is_said_even_when_the_file_is_made_then(tmp_path):
    # Given before the program says that it is ready.
    before = (
        "from contextlib import ExitStack; words = ExitStack(); "
        "words.enter_context(at_end("
        "lambda code: atomic_path(folder / 'status').__enter__().write_text('x'))); "
        "words.enter_context(at_end(lambda code: (folder / 'code').write_text(str(code))))"
    )
    assert Program(tmp_path, "swallow()", before).end(signal.SIGTERM)[0] == 143
    assert (tmp_path / "code").read_text() == "143"


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_everything_is_as_before_afterwards():
    before = [signal.getsignal(number) for number in SIGNALS]
    with ends_on_signals():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_no_thread_and_no_open_file_stays():
    def held_open():
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    # A thread of an earlier test may end meanwhile.
    (threads, files), until = held_open(), time.monotonic() + 10
    for _ in range(3):
        with ends_on_signals():
            pass
    while held_open() > (threads, files) and time.monotonic() < until:
        time.sleep(0.01)
    now = held_open()
    assert now[0] <= threads
    assert now[1] <= files


def test_a_private_folder_is_new_and_nobody_elses(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = os.umask(0)
    try:
        with private_folder("work") as folder:
            assert folder.parent == tmp_path
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder.stat().st_uid == os.getuid()
            assert not folder.is_symlink()
            assert remove_unowned() == []
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == []


def _killed_with_a_folder(tmp_path) -> Path:
    code = (
        "import os, signal\nfrom bids_app.held import private_folder\n"
        "with private_folder('work') as folder:\n    (folder / 'a').mkdir()\n"
        "    print(folder, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    return Path(done.stdout.strip())


def test_the_folder_of_a_killed_process_is_removed_and_nothing_else(tmp_path, monkeypatch):
    folder = _killed_with_a_folder(tmp_path)
    assert (folder / "a").is_dir()
    others = [
        tmp_path / name for name in ("musenc-1000", "musenc-work-mine", "musenc-job-abcdefgh")
    ]
    for other in others:
        other.mkdir()
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / "musenc-work-abcdefgh"
    link.symlink_to(target)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with private_folder("work") as own:
        assert remove_unowned() == [folder]
        assert own.is_dir()
    assert sorted(tmp_path.iterdir()) == sorted([*others, target, link])


def test_a_folder_of_somebody_elses_is_left(tmp_path, monkeypatch):
    folder = _killed_with_a_folder(tmp_path)
    monkeypatch.setattr(held.os, "getuid", lambda: folder.stat().st_uid + 1)
    assert remove_unowned(tmp_path) == []
    assert folder.is_dir()


def test_on_a_file_system_without_locks_nothing_is_taken_for_abandoned(tmp_path, monkeypatch):
    folder = _killed_with_a_folder(tmp_path)

    def unsupported(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(held.fcntl, "flock", unsupported)
    assert remove_unowned(tmp_path) == []
    assert folder.is_dir()
    with private_folder("work", parent=tmp_path) as own:
        assert own.is_dir()
    assert not own.exists()
