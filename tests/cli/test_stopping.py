"""SIGTERM ends the program in time, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from bids_app.cli.stopping import EXIT_CODE, stops_on_sigterm

PROGRAM = """
import multiprocessing, sys, time
fork = multiprocessing.get_context("fork")
from bids_app.cli.stopping import stops_on_sigterm
with stops_on_sigterm(grace={grace}):
    try:
        {before}
        print("ready", flush=True)
        {work}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        {answer}
"""


def terminate(work, *, before="pass", answer="pass", grace=2.0):
    """Exit code, output, and seconds until a program ended after SIGTERM."""
    code = PROGRAM.format(before=before, work=work, answer=answer, grace=grace)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
        return process.wait(), output, time.monotonic() - started


def test_sigterm_interrupts():
    code, output, _ = terminate("time.sleep(60)", answer="sys.exit(130)", grace=50)
    assert (code, output) == (130, "interrupted\n")


def test_what_does_not_answer_is_ended():
    code, output, seconds = terminate("time.sleep(60)", answer="time.sleep(60)")
    assert (code, output) == (EXIT_CODE, "interrupted\n")
    assert seconds < 50


def test_a_pool_that_waits_for_its_workers_at_exit_is_ended():
    before = (
        "from concurrent.futures import ProcessPoolExecutor; pool = ProcessPoolExecutor(1); "
        "job = pool.submit(time.sleep, 60); time.sleep(0.5)"
    )
    code, output, seconds = terminate("job.result()", before=before, answer="sys.exit(130)")
    assert (code, output) == (EXIT_CODE, "interrupted\n")
    assert seconds < 50


def test_workers_are_ended_too():
    before = "p = fork.Process(target=time.sleep, args=(60,)); p.start()"
    answer = "print(p.pid, flush=True); p.join()"
    code, output, seconds = terminate("p.join()", before=before, answer=answer)
    assert code == EXIT_CODE
    assert seconds < 50
    worker = int(output.split()[-1])
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    with open(f"/proc/{worker}/stat") as stream:  # noqa: PTH123
        assert stream.read().split()[2] == "Z"


def test_a_signal_to_a_worker_does_not_end_its_parent():
    work = (
        "p = fork.Process(target=time.sleep, args=(60,)); p.start(); p.terminate(); p.join(); "
        "time.sleep(2); print('still here', flush=True); sys.exit(0)"
    )
    code = PROGRAM.format(before="pass", work=work, answer="pass", grace=0.5)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[-2] == "still here"
    assert done.returncode == 0


def test_everything_is_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with stops_on_sigterm():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.set_wakeup_fd(-1) == -1
