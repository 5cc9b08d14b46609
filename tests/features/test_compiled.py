"""What numba compiles for librosa: one process at a time, in a folder that only we write."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import bids_app
from bids_app.errors import BadDataError, TryAgainError
from bids_app.features import compiled
from bids_app.features.compiled import compiled_alone, compiled_folder
from bids_app.files import shared_lock


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(compiled.CACHE_VARIABLE, str(tmp_path / "numba"))
    return tmp_path / "numba"


def test_the_first_call_is_on_the_tiny_argument_while_nobody_else_compiles(folder):
    calls = []

    @compiled_alone("tiny")
    def given(value):
        calls.append((value, (folder / ".compiling.lock").exists()))
        return value

    assert [given("a piece"), given("another")] == ["a piece", "another"]
    assert calls == [("tiny", True), ("a piece", False), ("another", False)]


def test_waits_for_another_process_that_compiles(folder, monkeypatch):
    monkeypatch.setattr(compiled, "_TIMEOUT", 0.2)
    identity = compiled_alone(0)(lambda value: value)
    held, done = threading.Event(), threading.Event()

    def other():
        with shared_lock(folder / "compiling"):
            held.set()
            done.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(30)
    try:
        with pytest.raises(TryAgainError, match="Another process"):
            identity(1)
    finally:
        done.set()
        thread.join()
    assert identity(1) == 1


def test_a_compiled_function_may_call_another(folder):
    inner = compiled_alone(1)(lambda value: value + 1)
    outer = compiled_alone(1)(lambda value: inner(value) * 2)
    assert outer(3) == 8


def test_what_fails_on_the_tiny_argument_is_tried_again(folder):
    tries = []

    @compiled_alone(0)
    def fails_once(value):
        tries.append(value)
        if len(tries) == 1:
            raise BadDataError("Not yet.", found="0", wanted="1", remedy="try again")
        return value

    with pytest.raises(BadDataError):
        fails_once(5)
    assert not (folder / ".compiling.lock").exists()
    assert fails_once(5) == 5
    assert tries == [0, 0, 5]


def test_a_folder_of_its_own_where_none_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(compiled.CACHE_VARIABLE, str(tmp_path / "file" / "numba"))
    seen = compiled_alone()(lambda *_: compiled_folder())(1)
    assert seen.name.startswith("musenc-numba-")
    assert list(seen.iterdir()) == []


def test_the_folder_is_below_the_home(monkeypatch):
    monkeypatch.delenv(compiled.CACHE_VARIABLE, raising=False)
    assert compiled_folder() == Path.home() / ".cache" / "musenc" / "numba"


def _imports_librosa(function: ast.FunctionDef) -> bool:
    return any(
        alias.name.startswith("librosa")
        for node in ast.walk(function)
        if isinstance(node, ast.Import)
        for alias in node.names
    )


def test_every_function_that_imports_librosa_compiles_alone():
    found = {}
    for path in Path(bids_app.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        outside = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any("librosa" in ast.unparse(node) for node in outside), path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and _imports_librosa(node):
                found[node.name] = any(
                    "compiled_alone(" in ast.unparse(one) for one in node.decorator_list
                )
    assert len(found) >= 4
    assert [name for name, alone in found.items() if not alone] == []


@pytest.mark.slow
def test_two_processes_at_once_leave_what_later_ones_can_run(tmp_path):
    """Both begin with nothing compiled; a third one runs what they left."""
    code = (
        "import numpy as np\n"
        "from bids_app.features.descriptors import music_descriptors as d\n"
        "x = np.random.default_rng(0).standard_normal(32000)\n"
        "print(sum(float(np.nansum(s.values)) for s in d(x, np.array([1.0]), 0.96)))"
    )
    environment = {**os.environ, compiled.CACHE_VARIABLE: str(tmp_path / "numba")}

    def begin():
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    printed = []
    for processes in ([begin(), begin()], [begin()]):
        printed += [process.communicate()[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes)
    assert len(set(printed)) == 1
    assert any((tmp_path / "numba").rglob("*.nbc"))
