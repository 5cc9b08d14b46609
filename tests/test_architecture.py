"""The import direction is a contract: layers, independent numeric packages, no nipype outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A package may import from layers below its own; the names are first parts after ``bids_app.``.
LAYERS = [
    {"cli", "__main__"},
    {"workflows", "recognition", "testing"},
    {"analyses"},
    {"report"},
    {"group", "emotion", "preference", "encoding", "features", "surface"},
    {"inputs", "outputs", "resources", "config", "status", "log"},
    {"files", "limits", "seeds"},
    {"errors"},
]
NUMERIC = LAYERS[4]
# Neighbors in one layer that may see each other.
ALLOWED = {
    ("__main__", "cli"),
    ("testing", "workflows"),
    ("inputs", "config"),
    ("inputs", "outputs"),
    ("resources", "outputs"),
    ("config", "outputs"),
}


def _python_files():
    for folder in ("bids_app", "workflows"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def _module(path: Path) -> list[str]:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] == "workflows":
        parts = ["bids_app", *parts]
    return parts[:-1] if parts[-1] == "__init__" else parts


def _imports(path: Path) -> list[tuple[int, str]]:
    """Absolute names of everything a file imports, also inside functions."""
    module = _module(path)
    package = module if path.name == "__init__.py" else module[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found.append((node.lineno, name))
            if name == "bids_app":
                found += [(node.lineno, f"bids_app.{alias.name}") for alias in node.names]
    return found


def _layer(name: str) -> int | None:
    return next((i for i, layer in enumerate(LAYERS) if name in layer), None)


def _violations(path: Path) -> list[str]:
    module = _module(path)
    if len(module) == 1:
        return []
    own = module[1]
    problems = []
    for line, name in _imports(path):
        parts = name.split(".")
        if parts[0] == "workflows":
            problems.append(f"{path}:{line} imports `workflows` instead of bids_app.workflows")
        if parts[0] != "bids_app" or len(parts) < 2 or parts[1] == own:
            continue
        target, source = _layer(parts[1]), _layer(own)
        if target is None or source is None:
            continue
        if target < source or (target == source and (own, parts[1]) not in ALLOWED):
            problems.append(f"{path}:{line} {own} imports {parts[1]}")
    return problems


@pytest.mark.parametrize("path", list(_python_files()), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    assert _violations(path) == []


def test_every_package_has_a_layer():
    own = {_module(path)[1] for path in _python_files() if len(_module(path)) > 1}
    assert own - set().union(*LAYERS) == set()


def test_the_check_finds_a_violation(tmp_path, monkeypatch):
    bad = tmp_path / "bids_app" / "encoding" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("def f():\n    from bids_app.features import vggish\n    import workflows\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert len(_violations(bad)) == 2


def test_nipype_is_imported_in_workflows_only():
    offenders = [
        f"{path}:{line}"
        for path in _python_files()
        for line, name in _imports(path)
        if name.split(".")[0] == "nipype" and path.relative_to(ROOT).parts[0] != "workflows"
    ]
    assert offenders == []


def test_importing_everything_but_workflows_loads_no_nipype():
    modules = sorted(
        ".".join(_module(path))
        for path in _python_files()
        if path.relative_to(ROOT).parts[0] != "workflows" and path.name != "__main__.py"
    )
    code = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        "assert 'bids_app.workflows' not in sys.modules\n"
        "assert 'nipype' not in sys.modules, 'nipype was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(option):
    code = (
        "import sys\nfrom bids_app.cli.run import main\n"
        f"try: main([{option!r}])\nexcept SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'nipype', 'nilearn', 'bids', 'scipy', 'pandas', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
