"""Atomic writing and shared locks."""

import json
import multiprocessing
import os

import numpy as np
import pytest

from bids_app.errors import BadDataError, CannotWriteError, MissingInputError, TryAgainError
from bids_app.files import (
    atomic_path,
    read_json,
    sha256_of,
    sha256_of_file,
    shared_lock,
    write_json,
)


def test_atomic_path_writes_under_the_final_name(tmp_path):
    target = tmp_path / "new" / "a.func.gii"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.endswith(".func.gii")
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [p.name for p in target.parent.iterdir()] == ["a.func.gii"]


def test_atomic_path_leaves_the_old_file_when_writing_fails(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_atomic_path_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_atomic_path_names_a_folder_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWriteError, match="file/a"), atomic_path(tmp_path / "file" / "a.txt"):
        pass


def test_write_json_turns_numbers_into_json(tmp_path):
    content = {"a": np.float32(1.5), "b": np.arange(3), "c": float("nan"), "d": tmp_path, "e": (1,)}
    path = write_json(tmp_path / "a.json", content)
    assert json.loads(path.read_text()) == {
        "a": 1.5,
        "b": [0, 1, 2],
        "c": None,
        "d": str(tmp_path),
        "e": [1],
    }


def test_write_json_leaves_an_equal_file_alone(tmp_path):
    path = write_json(tmp_path / "a.json", {"a": 1})
    before = path.stat().st_ino
    write_json(path, {"a": 1})
    assert path.stat().st_ino == before
    write_json(path, {"a": 2})
    assert read_json(path) == {"a": 2}


def test_read_json_reads_a_byte_order_mark_and_names_bad_files(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {"a": 1}
    path.write_text("{")
    with pytest.raises(BadDataError, match=r"a\.json"):
        read_json(path)
    with pytest.raises(MissingInputError, match=r"b\.json"):
        read_json(tmp_path / "b.json")


def test_sha256_of_file_is_that_of_its_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "a").startswith("ba7816bf8f01cfea")
    assert sha256_of("a", b"b", memoryview(b"c")) == sha256_of_file(tmp_path / "a")


def _append(path, count):
    for _ in range(count):
        with shared_lock(path):
            value = int(path.read_text())
            path.write_text(str(value + 1))


def test_shared_lock_loses_no_update(tmp_path):
    path = tmp_path / "counter"
    path.write_text("0")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append, args=(path, 20)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert path.read_text() == "60"


def test_shared_lock_names_its_holder(tmp_path):
    path = tmp_path / "shared.json"
    with shared_lock(path), pytest.raises(TryAgainError, match=str(os.getpid())):
        with shared_lock(path, timeout=0.2):
            pass


def _hold_and_die(path):
    with shared_lock(path):
        os._exit(9)


def test_shared_lock_of_a_dead_process_is_taken_over(tmp_path):
    path = tmp_path / "shared.json"
    worker = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(path,))
    worker.start()
    worker.join()
    assert any(p.name.endswith(".lock") for p in tmp_path.iterdir())
    with shared_lock(path):
        assert any(p.name.endswith(".lock") for p in tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []
