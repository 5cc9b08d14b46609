"""Nothing of a dataset is executed, and nothing goes out to a network."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_study import Study, write_study

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("bids_app", "workflows", "containers")
    for path in (ROOT / folder).rglob("*.py")
)
# What steps of one call hand to each other through its own work directory, as nipype does itself.
MAY_PICKLE = ROOT / "workflows" / "steps.py"
SHORT = ("--crop", "4", "--delays", "2:6")  # the pieces are
GUARD = """
import sys
def guard(event, arguments):
    # Pools of processes talk over sockets of the file system, whose address is no pair.
    out = event == "socket.connect" and isinstance(arguments[1], tuple)
    if out or event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        with open({record!r}, "a") as stream:
            stream.write(f"{{event}} {{arguments!r}}\\n")
        raise OSError("no network here")
sys.addaudithook(guard)
"""


def _calls(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}, node


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_executes_what_it_reads(path):
    forbidden = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
    forbidden |= {
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
        "joblib.load",
        "pd.read_pickle",
    }
    for name, keywords, node in _calls(path):
        where = f"{path}:{node.lineno}"
        assert name not in forbidden, where
        assert keywords.get("shell") in (None, "False"), where
        assert keywords.get("allow_pickle") in (None, "False"), where
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", where
        if name.endswith("Environment"):
            assert "default=True" in keywords["autoescape"], where
    unsafe = _imported(path) & {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
    assert not unsafe or path == MAY_PICKLE, f"{path} imports {unsafe}"


def test_only_prefetch_and_the_installer_know_how_to_download():
    networked = {"requests", "urllib", "http", "socket", "ftplib", "aiohttp", "httpx"}
    users = {str(path.relative_to(ROOT)) for path in FILES if _imported(path) & networked}
    assert users <= {"bids_app/cli/prefetch.py", "containers/lock.py", "containers/licenses.py"}


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    return write_study(tmp_path_factory.mktemp("guarded") / "study")


def guarded_call(study: Study, folder: Path, *options: str) -> tuple[int, str, str]:
    """Exit code, what was printed, and what the guard wrote down, of a call without a network."""
    record = folder / "network.txt"
    record.touch()
    (folder / "sitecustomize.py").write_text(GUARD.format(record=str(record)))
    command = [sys.executable, "-m", "bids_app", str(study.bids), str(folder / "out")]
    done = subprocess.run(
        [*command, "participant", "--vggish-weights", "random:0", *options],
        env={**os.environ, "PYTHONPATH": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr, record.read_text()


def test_the_guard_sees_what_goes_out(tmp_path):
    record = tmp_path / "r"
    record.touch()
    code = GUARD.format(record=str(record)) + (
        "import socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError: pass"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "127.0.0.1" in record.read_text()


def test_a_plan_needs_no_network(study, tmp_path):
    code, text, went_out = guarded_call(study, tmp_path, "--dry-run")
    assert (code, went_out) == (0, ""), text


@pytest.mark.slow
def test_a_run_needs_no_network(study, tmp_path):
    code, text, went_out = guarded_call(
        study, tmp_path, "--nprocs", "2", "--crop", "4", "--delays", "2:6"
    )
    assert (code, went_out) == (0, ""), text
