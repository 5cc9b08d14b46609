"""First calls of functions that numba compiles: one process at a time, in a folder of their own."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from bids_app.errors import CannotWriteError
from bids_app.files import shared_lock

Given = ParamSpec("Given")
Result = TypeVar("Result")

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
_TIMEOUT = 900.0
"""Seconds; compiling takes about 20 on one core."""
_ONE_THREAD, _HELD = threading.RLock(), threading.Event()


def compiled_alone(*tiny: Any) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Let a function compile all it needs, in a call on `tiny`, before its first call.

    Meanwhile no other process of the same user compiles. Of two that do, each may leave a part of
    what numba keeps; every later call then ends with a segmentation fault (numba's issue 10128).

    Parameters
    ----------
    *tiny : object
        Arguments of the types of real ones, as small as may be.

    Examples
    --------
    >>> @compiled_alone(1.0)
    ... def double(number):
    ...     return 2 * number
    >>> double(21.0)
    42.0
    """

    def decorate(function: Callable[Given, Result]) -> Callable[Given, Result]:
        compiled = False

        @wraps(function)
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            nonlocal compiled
            if not compiled:
                with _nobody_else(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    function(*tiny)  # type: ignore[call-arg]
                compiled = True
            return function(*args, **kwargs)

        return call

    return decorate


def compiled_folder() -> Path:
    """``$NUMBA_CACHE_DIR``, else ``~/.cache/musenc/numba``: never beside the sources of librosa.

    What other programs left there may be broken already.
    """
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else Path.home() / ".cache" / "musenc" / "numba"


@contextmanager
def _nobody_else() -> Iterator[None]:
    with _ONE_THREAD:
        if _HELD.is_set():  # a compiled function calls another one
            yield
            return
        _HELD.set()
        try:
            with ExitStack() as held:
                folder = compiled_folder()
                try:
                    held.enter_context(shared_lock(folder / "compiling", timeout=_TIMEOUT))
                except CannotWriteError:
                    folder = _own_folder()
                _compile_in(folder)
                yield
        finally:
            _HELD.clear()


def _compile_in(folder: Path) -> None:
    os.environ[CACHE_VARIABLE] = str(folder)
    if "numba" in sys.modules:  # it read the variable when it was imported
        sys.modules["numba"].config.CACHE_DIR = str(folder)


def _own_folder() -> Path:
    """A folder of this process alone, where the one for all cannot be written."""
    folder = tempfile.mkdtemp(prefix="musenc-numba-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
