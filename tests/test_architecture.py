"""The contracts of imports hold and are not empty; what runs without nipype; what mirrors what."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"


def _run(code: str, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def _lint(folder: Path, **planted: str) -> subprocess.CompletedProcess[str]:
    """Check the imports of a copy as `make lint` does, with code put at the end of modules."""
    shutil.copytree(ROOT / "bids_app", folder / "bids_app")
    shutil.copytree(ROOT / "workflows", folder / "bids_app" / "workflows")
    for module, code in planted.items():
        with (folder / "bids_app" / f"{module.replace('__', '/')}.py").open("a") as stream:
            stream.write(code)
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    return _run(code, "--no-cache", ROOT / "pyproject.toml", cwd=folder)


def test_the_contracts_of_imports_hold(tmp_path):
    done = _lint(tmp_path)
    assert done.returncode == 0, done.stdout


LAYERS = "a package imports from layers below its own"
ANALYSES = "an analysis imports those it stands on"
NIPYPE = "only workflows imports nipype, and nobody a package called workflows"


@pytest.mark.parametrize(
    ("module", "code", "contract"),
    [
        ("encoding__ridge", "import bids_app.features", LAYERS),
        ("files", "def f():\n    from bids_app import config", LAYERS),
        ("report__page", "from bids_app.workflows import nodes", LAYERS),
        ("analyses__new", "import bids_app.workflows.nodes", LAYERS),
        ("analyses__folder__read", "import bids_app.analyses.group", ANALYSES),
        ("analyses__participant__plan", "def f():\n    import nipype", NIPYPE),
        ("workflows__nodes", "import workflows.running", NIPYPE),
        ("surface__mesh", "import bids_app.surface.resample", "no circle at any level"),
        (
            "encoding__resolution",
            "if TYPE_CHECKING:\n    from bids_app.encoding.plan import EncodingPlan",
            "no circle at any level",
        ),
    ],
)
def test_a_violation_breaks_its_contract(tmp_path, module, code, contract):
    done = _lint(tmp_path, **{module: f"\n{code}\n"})
    assert done.returncode != 0
    assert f"{contract} BROKEN" in done.stdout


def test_a_module_without_a_layer_is_named(tmp_path):
    done = _lint(tmp_path, new="")
    assert done.returncode != 0
    assert "bids_app.new" in done.stdout + done.stderr


def test_importing_everything_but_workflows_loads_no_nipype():
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "bids_app").rglob("*.py")
        if path.name != "__main__.py"
    )
    done = _run(
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        "assert 'bids_app.workflows' not in sys.modules\n"
        "assert 'nipype' not in sys.modules, 'nipype was imported'"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(option):
    done = _run(
        "import sys\nfrom bids_app.cli.run import main\n"
        f"try: main([{option!r}])\nexcept SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'nipype', 'nilearn', 'bids', 'scipy', 'pandas', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    assert done.returncode == 0, done.stderr


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_workflows_only_wires():
    """What touches no nipype, not even through its neighbors, has its place in analyses."""
    modules = sorted((ROOT / "workflows").rglob("*.py"))
    wires = ("nipype", "bids_app.workflows")
    assert modules
    assert [
        path.name
        for path in modules
        if path.name != "__init__.py"
        and not any(name.startswith(wires) for name in _imported(path))
    ] == []
    assert sum(len(path.read_text().splitlines()) for path in modules) < 3000


def test_tests_mirror_the_package():
    """A folder of tests is called like the package it tests, except for tests of several."""
    of_several = {"faults", "integration", "studies", "workflows"}
    folders = {
        path.parent.relative_to(TESTS) for path in TESTS.rglob("*.py") if path.parent != TESTS
    }
    assert folders
    assert {
        str(folder)
        for folder in folders
        if folder.parts[0] not in of_several
        and not (ROOT / "bids_app" / folder / "__init__.py").is_file()
    } == set()
