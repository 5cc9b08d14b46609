"""End at once on a signal, and release everything that the process holds.

Python handles a signal between two of its own instructions, and the exception it raises there may
be caught by any library on the way: nipype takes it for the failure of one step and goes on with
the others. So no exception is raised. The main thread stands still, and a thread that waits for
signals ends the workers, removes what the process holds, and ends the process.
"""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from multiprocessing import forkserver, parent_process, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bids_app import held
from bids_app.held import private_folder

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORDS = "interrupted; the same command goes on where it stopped"
PATIENCE = 4.0
_PR_SET_PDEATHSIG = 1
_LONGEST_PATH = 60
_NO_MORE = b"\0"
"""No signal: the thread that waits for signals ends."""


def exit_code(number: int) -> int:
    """Of a process that ends by a signal, as shells have it: 130, 143, 129."""
    return 128 + number


@contextmanager
def ends_on_signals(words: str = WORDS, *, patience: float = PATIENCE) -> Iterator[None]:
    """End the process on SIGINT, SIGTERM and SIGHUP: workers, locks and work folders go with it.

    A SIGHUP that is ignored stays so (``nohup``); a SIGINT does not, which shells ignore for what a
    script starts in the background. Outside the main thread nothing is done.

    Parameters
    ----------
    words : str
        Printed to standard error; none where empty.
    patience : float
        Seconds that workers have to end by themselves.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hangs_on = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    taken = [n for n in SIGNALS if n != signal.SIGHUP or not hangs_on]
    undo, write_end = _take(taken, words, patience)
    try:
        yield
    finally:
        if held.is_ending():
            held.stand_still()
        for number, handler in undo.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        # Closing alone would not end the thread: a forked process may hold the pipe open.
        os.write(write_end, _NO_MORE)
        os.close(write_end)


def _take(numbers: Iterable[int], words: str, patience: float) -> tuple[dict[int, Any], int]:
    """Have these signals end the process; their handlers before, and the pipe they write to."""
    _forget_in_children()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before: dict[int, Any] = {number: signal.signal(number, held.stand_still) for number in numbers}
    # The byte is written the moment the signal arrives, whatever the main thread is doing.
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    arguments = (read_end, frozenset(before), words, patience)
    threading.Thread(target=_watch, args=arguments, daemon=True).start()
    return before, write_end


def _watch(read_end: int, numbers: frozenset[int], words: str, patience: float) -> None:
    while (received := os.read(read_end, 1)) != _NO_MORE:
        if received[0] in numbers:
            _end(received[0], words, patience)
    os.close(read_end)


def _end(number: int, words: str, patience: float) -> None:
    try:
        if words:
            os.write(2, f"\n{words}\n".encode())
        _end_workers(patience)
        _within(patience, held.say_last_words, exit_code(number))
        held.release()
        _within(0.5, _flush)
    finally:
        os._exit(exit_code(number))


def _within(seconds: float, work: Callable[..., object], *arguments: object) -> None:
    """Let something be done that may wait for the main thread, which stands still."""
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    thread.join(seconds)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _end_workers(patience: float) -> None:
    """Ask the processes this one started to end, then make them."""
    workers = multiprocessing.active_children()
    for worker in workers:
        with suppress(OSError, ValueError):
            worker.terminate()
    _await(workers, patience)
    for worker in workers:
        with suppress(OSError, ValueError):
            worker.kill()
    _await(workers, patience)


def _await(workers: list[BaseProcess], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(_lives(worker) for worker in workers):
        time.sleep(0.02)


def _lives(worker: BaseProcess) -> bool:
    with suppress(OSError, ValueError, AssertionError):
        return worker.is_alive()
    return False


def start_server_of_workers() -> None:
    """Start the process that workers are forked from, so that a Ctrl-C does not reach them.

    The terminal sends it to all processes; who ends the workers is their parent.
    """
    blocked = {signal.SIGINT, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        _private_temporary_folder()
        with _no_words_about_semaphores():
            resource_tracker.ensure_running()
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _no_words_about_semaphores() -> Iterator[None]:
    """Have the process that removes the semaphores of one that was ended do so in silence."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [before, "ignore:resource_tracker"]))
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


@cache
def _private_temporary_folder() -> None:
    """Have the library keep its sockets in a folder that is removed when nobody can do it here."""
    stack = ExitStack()
    # The whole path of a socket has 107 characters.
    short = None if len(tempfile.gettempdir()) < _LONGEST_PATH else Path("/tmp")
    folder = stack.enter_context(private_folder("pool", parent=short))
    vars(multiprocessing.current_process())["_config"]["tempdir"] = str(folder)
    atexit.register(stack.close)


def begin_worker() -> None:
    """In a worker: end with the parent, however that ends; the terminal's signals are its own."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _take([signal.SIGTERM], "", PATIENCE)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    parent = parent_process()
    if parent is not None:
        arguments = (parent.sentinel,)
        threading.Thread(target=_end_with, args=arguments, daemon=True).start()


def _end_with(sentinel: int) -> None:
    """Wait for the end of the parent: its end of a pipe closes, even after SIGKILL."""
    try:
        multiprocessing.connection.wait([sentinel])
        # So that the main thread stands still first.
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5 * PATIENCE)
    finally:
        os._exit(1)


@cache
def _forget_in_children() -> None:
    # A forked process shares the pipe: a signal to it would end its parent.
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_forget)


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _forget() -> None:
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if signal.getsignal(number) is held.stand_still:
            signal.signal(number, signal.SIG_DFL)
    _release()
