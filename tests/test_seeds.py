"""Draws follow from seed and purpose, on every machine."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from bids_app.seeds import generator

ROOT = Path(__file__).parents[1]
EXPECTED = [95, 702, 241, 929]


def test_one_purpose_gives_the_same_draws_everywhere():
    assert generator(7, "sign flips").integers(1000, size=4).tolist() == EXPECTED
    assert generator(np.int64(7), "sign flips").integers(1000, size=4).tolist() == EXPECTED


@pytest.mark.parametrize(
    "other", [(8, "sign flips"), (7, "rotations"), (7, "sign flips", 0), (7, "sign flips", "left")]
)
def test_another_seed_or_purpose_gives_other_draws(other):
    assert generator(*other).integers(1000, size=4).tolist() != EXPECTED


def _functions():
    for path in sorted((ROOT / "bids_app").rglob("*.py")):
        if "testing" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    yield path, node


def test_nothing_else_makes_generators():
    makers = {"default_rng", "RandomState", "SeedSequence", "seed"}
    found = [
        f"{path}:{node.lineno}"
        for path, function in _functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and node.attr in makers
        and ast.unparse(node.value) in ("np.random", "numpy.random", "random")
        and path.name != "seeds.py"
    ]
    assert found == []


def test_no_function_has_a_seed_of_its_own():
    """None says that there is nothing to draw, or that a seed has to be given."""
    found = []
    for path, function in _functions():
        options = function.args
        positional = [*options.posonlyargs, *options.args]
        positional = positional[len(positional) - len(options.defaults) :]
        pairs = [*zip(positional, options.defaults, strict=True)]
        pairs += zip(options.kwonlyargs, options.kw_defaults, strict=True)
        found += [
            f"{path}:{function.lineno}"
            for argument, default in pairs
            if argument.arg in ("seed", "random_seed")
            and default is not None
            and ast.unparse(default) != "None"
        ]
    assert found == []
