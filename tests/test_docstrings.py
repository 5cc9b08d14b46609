"""Every public numeric function has an example, and every example runs and gives what it shows."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import bids_app

ROOT = Path(__file__).parents[1]
# What their `__init__` exports is public.
PACKAGES = ("emotion", "encoding", "group", "preference")
# What they define is public.
MODULES = (
    "bands",
    "encoding.gram",
    "encoding.joint",
    "encoding.joint_plan",
    "features.auditory",
    "features.change",
    "features.descriptors",
    "features.gram",
    "features.logmel",
    "features.loudness",
    "features.pooling",
    "features.symbols",
    "features.timing",
    "features.vggish",
    "seeds",
    "statistics",
    "surface.lag",
    "surface.mesh",
    "surface.places",
    "surface.resample",
    "surface.responses",
    "surface.smooth",
)
EXCEPTIONS: dict[str, str] = {}
"""Public functions without an example, by full name, and why."""


def _files(package: str, folders: list[str]) -> Iterator[tuple[str, Path]]:
    """Name and file of every module, none of them imported."""
    for info in pkgutil.iter_modules(folders, f"{package}."):
        spec = info.module_finder.find_spec(info.name, None)
        yield info.name, Path(spec.origin)
        if info.ispkg:
            yield from _files(info.name, list(spec.submodule_search_locations))


FILES = dict(_files("bids_app", list(bids_app.__path__)))
WITH_EXAMPLES = sorted(name for name, path in FILES.items() if ">>> " in path.read_text())


def _run(module: ModuleType) -> tuple[doctest.TestResults, str]:
    runner, text = doctest.DocTestRunner(verbose=False), []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__):
        runner.run(test, out=text.append)
    return runner.summarize(verbose=False), "".join(text)


def _functions(module: ModuleType, *, own: bool) -> dict[str, FunctionType]:
    """Public functions that a module defines itself (`own`), or exports."""
    return {
        f"{found.__module__}.{found.__name__}": found
        for name, found in vars(module).items()
        if inspect.isfunction(found)
        and not name.startswith("_")
        and found.__module__.startswith("bids_app.")
        and (found.__module__ == module.__name__ or not own)
    }


def _public() -> dict[str, FunctionType]:
    found: dict[str, FunctionType] = {}
    for name in PACKAGES:
        found |= _functions(importlib.import_module(f"bids_app.{name}"), own=False)
    for name in MODULES:
        found |= _functions(importlib.import_module(f"bids_app.{name}"), own=True)
    return found


def _has_examples(function: FunctionType) -> bool:
    text = inspect.getdoc(function) or ""
    _, heading, examples = text.partition("\nExamples\n--------\n")
    return bool(heading) and examples.startswith(">>> ")


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_of_a_module_give_what_they_show(name, capsys):
    results, text = _run(importlib.import_module(name))
    capsys.readouterr()
    assert results.attempted
    assert not results.failed, text


def test_every_public_function_has_an_example():
    public = _public()
    without = {name for name, function in public.items() if not _has_examples(function)}
    assert sorted(without - set(EXCEPTIONS)) == []
    assert sorted(set(EXCEPTIONS) - without) == [], "they have an example, or are gone"


def test_every_function_of_the_reference_has_an_example():
    names = re.findall(r"^   (bids_app\.\S+)$", (ROOT / "docs/api.rst").read_text(), flags=re.M)
    assert len(names) > 60
    functions = {}
    for name in names:
        module, _, function = name.rpartition(".")
        functions[name] = getattr(importlib.import_module(module), function)
    assert [name for name, found in functions.items() if not _has_examples(found)] == []


def test_public_functions_are_found():
    public = _public()
    assert {
        "bids_app.encoding.ridge.fit_encoding",
        "bids_app.encoding.joint.fit_joint",
        "bids_app.group.isc.isc",
        "bids_app.statistics.fisher_z",
    } <= set(public)
    assert not any(name.rpartition(".")[2].startswith("_") for name in public)


# Sphinx takes it for a substitution; a literal is in two backticks.
BARS = re.compile(r"(?<![\w|`])\|\w+\|(?![\w|`^])")


def _docstrings(source: str) -> Iterator[str]:
    """Strings that stand by themselves: docstrings, and those of attributes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def _bars(source: str) -> list[str]:
    texts = [re.sub(r"``.*?``", "", text, flags=re.S) for text in _docstrings(source)]
    return [found for text in texts for found in BARS.findall(text)]


def test_bars_in_docstrings_are_literals():
    found = {name: bars for name, path in FILES.items() if (bars := _bars(path.read_text()))}
    assert found == {}


def test_bars_outside_of_literals_are_seen():
    assert _bars('"""The largest |z|, and ``|t|``."""') == ["|z|"]
    assert _bars('x = 1\n"A share (|sum|)."') == ["|sum|"]
    assert _bars('"""``max |z|`` of a | b or E|My|^2"""') == []


def test_a_wrong_example_is_seen(capsys):
    module = ModuleType("wrong")
    module.__doc__ = "Doubles.\n\n>>> 2 * 2\n5\n"
    results, text = _run(module)
    capsys.readouterr()
    assert (results.attempted, results.failed) == (1, 1)
    assert "Expected:" in text


def test_a_function_without_an_example_is_seen():
    def bare():
        """Give nothing.

        Examples
        --------
        See there.
        """

    assert not _has_examples(bare)
    bare.__doc__ = bare.__doc__.replace("See there.", ">>> bare()")
    assert _has_examples(bare)
