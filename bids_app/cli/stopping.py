"""Stopping when asked to, in time: containers and clusters kill after some ten seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType

GRACE = 6.0
EXIT_CODE = 128 + signal.SIGTERM


@contextmanager
def stops_on_sigterm(grace: float = GRACE) -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, and into the end of the process if that takes long.

    Python handles a signal between two of its own instructions, so a long call into a numerical
    library, or a pool that waits for its workers, would hold it up. Files are renamed into place
    when they are complete, so that whatever is cut off here leaves none half-written.

    Parameters
    ----------
    grace : float
        Seconds between the signal and the end.
    """
    _forget_in_children()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    handler = signal.signal(signal.SIGTERM, _interrupt)
    wakeup = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read_end, grace), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGTERM, handler)
        os.close(write_end)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch(read_end: int, grace: float) -> None:
    """Wait for the byte that the interpreter writes the moment a signal arrives."""
    while received := os.read(read_end, 1):
        if received[0] == signal.SIGTERM:
            time.sleep(grace)
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(EXIT_CODE)
    os.close(read_end)


@cache
def _forget_in_children() -> None:
    # A forked worker shares the pipe: a signal to the worker would end its parent.
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_forget)


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _forget() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release()
