"""What is installed: every package listed, one top-level name, both scripts."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import bids_app

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _packages_on_disk() -> set[str]:
    found = set()
    for init in [
        *(ROOT / "bids_app").rglob("__init__.py"),
        *(ROOT / "workflows").rglob("__init__.py"),
    ]:
        parts = init.parent.relative_to(ROOT).parts
        found.add(".".join(("bids_app", *parts) if parts[0] == "workflows" else parts))
    return found


def test_every_package_is_listed():
    assert _packages_on_disk() == set(PROJECT["tool"]["setuptools"]["packages"])


def test_workflows_is_mapped_below_bids_app():
    mapping = PROJECT["tool"]["setuptools"]["package-dir"]
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        if package.startswith("bids_app.workflows"):
            assert mapping[package] == package.removeprefix("bids_app.").replace(".", "/")


def test_everything_that_states_the_version_states_the_same():
    stated = [
        yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"],
        json.loads((ROOT / "codemeta.json").read_text())["version"],
    ]
    assert set(stated) == {bids_app.__version__}


def test_hooks_run_what_ci_runs():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"] for hook in repository["hooks"]]
    steps = [line.split() for line in (ROOT / ".ci/run").read_text().splitlines()]
    assert set(entries) == {f"make {step[1]}" for step in steps if step[:1] == ["make"]}


def test_torch_is_bounded():
    (torch,) = [d for d in PROJECT["project"]["dependencies"] if d.startswith("torch")]
    assert torch.endswith("<=2.13.0")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_has_one_top_level_name(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bids_app"}


def test_wheel_holds_every_module_and_the_scripts(wheel):
    names = set(wheel.namelist())
    assert "bids_app/workflows/participant.py" in names
    assert "bids_app/py.typed" in names
    (entry,) = [name for name in names if name.endswith("entry_points.txt")]
    text = wheel.read(entry).decode()
    assert "musenc-bidsapp = bids_app.cli.run:main" in text
    assert "musenc = bids_app.cli.tools:main" in text
    (licence,) = [name for name in names if name.endswith("LICENSE")]
    assert "Apache License" in wheel.read(licence).decode()
