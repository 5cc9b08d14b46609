"""Killed, out of disk, or run several times at once.

What is there is whole, and a second start ends where an undisturbed one would have.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import soundfile
from fault_study import Study, write_study

from bids_app.errors import CannotWriteError, TryAgainError
from bids_app.features.cache import load_or_compute_grams
from bids_app.files import (
    atomic_path,
    read_json,
    remove_leftovers,
    sha256_of_file,
    shared_lock,
    write_json,
)
from bids_app.outputs import OutputTree, write_dataset_files
from bids_app.surface.gifti import write_gifti

FORK = multiprocessing.get_context("fork")
RNG = np.random.default_rng(0)


def _in_child(work: Callable[[], object]) -> multiprocessing.Process:
    process = FORK.Process(target=work)
    process.start()
    return process


def _wait_for(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("before", ["nothing", "an older file"])
def test_a_process_killed_inside_a_write_leaves_no_half_file(tmp_path, number, before):
    target = tmp_path / "map.func.gii"
    if before != "nothing":
        target.write_text("old")

    def write() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"half")
            (tmp_path / "ready").touch()
            signal.pause()

    child = _in_child(write)
    _wait_for(lambda: (tmp_path / "ready").exists() or not child.is_alive())
    os.kill(child.pid, number)
    child.join()
    assert child.exitcode == -number
    assert (target.read_text() if target.exists() else "") == ("old" if before != "nothing" else "")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_leftovers_of_the_dead_are_removed_and_work_in_progress_is_not(tmp_path):
    folder = tmp_path / "sub-01" / "func"
    folder.mkdir(parents=True)
    old, new, other = (folder / name for name in (".partial-a.gii", ".partial-b.gii", "c.gii"))
    for path in (old, new, other):
        path.touch()
    for path in (old, other):
        os.utime(path, (0, 0))
    remove_leftovers(tmp_path)
    assert sorted(folder.iterdir()) == [new, other]


def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path):
    target = tmp_path / "map.func.gii"

    def write() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            write_gifti(target, RNG.standard_normal((3, 10242)), hemi="L", names=["a", "b", "c"])
        except CannotWriteError as error:
            os._exit(error.exit_code if str(target) in str(error) else 1)
        os._exit(0)

    child = _in_child(write)
    child.join()
    assert child.exitcode == CannotWriteError.exit_code
    assert list(tmp_path.iterdir()) == []


def _sounds(folder: Path) -> list[tuple[str, Path]]:
    for name in ("a", "b"):
        samples = np.random.default_rng(ord(name)).uniform(-0.2, 0.2, 8000 * 4)
        soundfile.write(folder / f"{name}.wav", samples, 8000)
    return [(name, folder / f"{name}.wav") for name in ("a", "b")]


def test_a_full_disk_leaves_no_half_cache(tmp_path):
    sounds = _sounds(tmp_path)

    def compute() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        try:
            load_or_compute_grams(sounds, cache_dir=tmp_path / "cache", features="envelope")
        except CannotWriteError as error:
            os._exit(error.exit_code)
        os._exit(0)

    child = _in_child(compute)
    child.join()
    assert child.exitcode == CannotWriteError.exit_code
    assert list((tmp_path / "cache").iterdir()) == []
    grams = load_or_compute_grams(sounds, cache_dir=tmp_path / "cache", features="envelope")
    assert np.isfinite(grams.gram(1)).all()


def test_eight_processes_share_an_output_folder_and_a_cache(tmp_path):
    sounds, out = _sounds(tmp_path), tmp_path / "out"
    start = FORK.Barrier(8, timeout=600)

    def work(number: int) -> None:
        start.wait()
        tree = OutputTree(out)
        for turn in range(5):
            write_dataset_files(tree, sources=[{"Name": "raw", "URL": "file:///data"}], suffixes=[])
            write_json(tree.status(f"{number}-{turn}"), {"number": number})
        grams = load_or_compute_grams(sounds, cache_dir=tmp_path / "cache", features="envelope")
        write_json(tmp_path / f"sum-{number}.json", float(grams.gram(1).sum(dtype=float)))
        os._exit(0)

    children = [FORK.Process(target=work, args=(number,)) for number in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 8
    assert len({read_json(tmp_path / f"sum-{number}.json") for number in range(8)}) == 1
    assert len(list((out / "logs").glob("status_*.json"))) == 40
    assert read_json(out / "dataset_description.json")["DatasetType"] == "derivative"
    (cached,) = (tmp_path / "cache").iterdir()
    assert (cached / "features.json").is_file()
    assert not [path for path in out.rglob(".*") if path.name != ".bidsignore"]


def test_a_lock_without_a_sign_of_life_is_taken_over_from_another_host(tmp_path):
    marker = tmp_path / ".shared.json.lock"
    with shared_lock(tmp_path / "shared.json", stale=0.6):
        of_a_holder = marker.read_text()
    marker.write_text(of_a_holder.replace("host=", "host=another-"))
    with pytest.raises(TryAgainError, match=f"{os.getpid()} on another-{socket.gethostname()}"):
        with shared_lock(tmp_path / "shared.json", timeout=0, stale=0.6):
            pass
    with shared_lock(tmp_path / "shared.json", timeout=60, stale=0.6):
        assert marker.read_text() != of_a_holder
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_holder_lives_is_not_taken_and_says_whose_it_is(tmp_path):
    path = tmp_path / "shared.json"
    with shared_lock(path, stale=1.5), pytest.raises(TryAgainError) as caught:
        with shared_lock(path, timeout=4, stale=1.5):
            pass
    assert f"{os.getpid()} on {socket.gethostname()}" in str(caught.value)


def test_locks_need_nothing_that_network_file_systems_lack(tmp_path, monkeypatch):
    def unsupported(*_: object) -> None:
        raise OSError(37, "No locks available")

    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, unsupported)
    with shared_lock(tmp_path / "a"):
        assert f"pid={os.getpid()}" in (tmp_path / ".a.lock").read_text().split()
        grams = load_or_compute_grams(
            _sounds(tmp_path), cache_dir=tmp_path / "c", features="envelope"
        )
    assert np.isfinite(grams.gram(1)).all()
    assert [path.name for path in (tmp_path / "c").iterdir()] == [grams.path.name]
    assert not (tmp_path / ".a.lock").exists()


# The whole program; the pieces are short.
SHORT = ("--crop", "4", "--delays", "2:6")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    return write_study(tmp_path_factory.mktemp("interrupted") / "study")


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    with _program(study, root / "out", root / "cache") as process:
        assert process.wait() == 0
    return root


def _program(study: Study, out: Path, cache: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "bids_app", str(study.bids), str(out), "participant"]
    command += ["--vggish-weights", "random:0", "--cache-dir", str(cache), *SHORT, *options]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def _derivatives(out: Path) -> dict[str, str]:
    """Checksums of the maps, tables and sidecars."""
    files = [path for path in out.glob("sub-*/func/*") if not path.name.startswith(".")]
    return {str(path.relative_to(out)): sha256_of_file(path) for path in sorted(files)}


def _check_whole(out: Path) -> None:
    """Whatever has its final name can be read to its end."""
    for path in out.rglob("*"):
        if path.name.startswith(".") or ".musenc" in path.parts or not path.is_file():
            continue
        if path.suffix == ".gii":
            assert all(np.shape(array.data) == (10242,) for array in nib.load(path).darrays)
        elif path.suffix == ".json":
            read_json(path)
        elif path.suffix == ".html":
            assert path.read_text().rstrip().endswith("</html>")


def _moments(out: Path, cache: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "features", lambda: list(cache.glob(".vggish-*/layer-05.npy"))
    yield "maps of the first participant", lambda: list(out.glob("sub-*/func/*stat-r_*.gii"))
    yield "between participants", lambda: list(out.glob("sub-*/func/*settings.json"))
    yield "a write", lambda: len(list(out.glob("sub-02/func/.partial-*"))) or out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda n: n.name)
def test_a_program_killed_again_and_again_ends_like_an_undisturbed_one(
    study, undisturbed, tmp_path, number
):
    out, cache = tmp_path / "out", tmp_path / "cache"
    for _, reached in _moments(out, cache):
        with _program(study, out, cache) as process:
            _wait_for(lambda r=reached, p=process: r() or p.poll() is not None)
            os.killpg(process.pid, number)
            assert process.wait() != 0 or out.exists()
        _check_whole(out)
    finished = {path: path.stat().st_mtime_ns for path in cache.glob("vggish-*/layer-*.npy")}
    with _program(study, out, cache) as process:
        assert process.wait() == 0
    assert _derivatives(out) == _derivatives(undisturbed / "out")
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items())


@pytest.mark.slow
def test_two_on_one_participant_and_one_on_another_end_like_one(study, undisturbed, tmp_path):
    out, cache = tmp_path / "out", undisturbed / "cache"
    labels = ("01", "01", "02")
    processes = [_program(study, out, cache, "--participant-label", label) for label in labels]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert _derivatives(out) == _derivatives(undisturbed / "out")
    _check_whole(out)


@pytest.mark.slow
def test_two_processes_and_the_other_order_give_the_same_bytes(study, undisturbed, tmp_path):
    out, cache = tmp_path / "out", undisturbed / "cache"
    options = ("--nprocs", "2", "--participant-label", "02", "01")
    with _program(study, out, cache, *options) as process:
        assert process.wait() == 0
    assert _derivatives(out) == _derivatives(undisturbed / "out")
