"""Disks that are full."""

from __future__ import annotations

import errno
import os
import shutil
from types import SimpleNamespace

import pytest

from bids_app.cli.run import guarded
from bids_app.disk import full_disk, is_full, says_full


def full(number=errno.ENOSPC):
    return OSError(number, os.strerror(number), "/out/map.gii")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (full(), True),
        (full(errno.EDQUOT), True),
        (full(errno.EFBIG), True),
        (full(errno.EACCES), False),
        (ValueError(errno.ENOSPC, "no"), False),
    ],
)
def test_what_says_that_a_disk_is_full(error, found):
    assert is_full(error) is found
    assert says_full(str(error)) is found


def test_the_fullest_folder_is_named_first(tmp_path, monkeypatch):
    free = {tmp_path: 3e9, tmp_path / "work": 1e7}
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free[folder]))
    told = full_disk("[Errno 28] No space left on device", list(free), needed=2 * 10**9)
    assert told.where == tmp_path / "work"
    assert told.found == (
        f"[Errno 28] No space left on device; 0.0 GB free at {tmp_path / 'work'}; "
        f"3.0 GB free at {tmp_path}"
    )
    assert told.wanted == "2.0 GB for this file alone"
    assert "--work-dir" in told.remedy


def test_a_file_that_the_system_names_comes_before_folders(tmp_path):
    assert full_disk(full(), [tmp_path]).where == "/out/map.gii"


def test_a_full_disk_is_no_defect_of_the_program(capsys):
    def work():
        raise full()

    assert guarded(work) == 73
    message = capsys.readouterr().err
    assert "A disk is full." in message
    assert "defect" not in message
    assert "Traceback" not in message
