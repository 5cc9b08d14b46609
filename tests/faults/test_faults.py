"""Broken datasets: the exit code, the words that say what is wrong and where, and no traceback."""

from __future__ import annotations

import contextlib
import random
import re

import pytest
from array_cases import array_cases
from fault_cases import Case, all_matrices
from fault_study import ROUTES, Study, as_nobody, copy_study, write_study
from file_cases import file_cases
from table_cases import table_cases

CASES: list[Case] = [*all_matrices(), *table_cases(), *file_cases(), *array_cases()]
# The same few every day, of every kind.
FAST = set(random.Random(20).sample([case.name for case in CASES], 60))


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    return write_study(tmp_path_factory.mktemp("faults") / "study")


@pytest.fixture(scope="session")
def intact(study):
    """What the intact study gives, by route and options."""
    known: dict[tuple[str, tuple[str, ...]], str] = {}

    def outcome(case: Case) -> str:
        key = case.route, case.options
        if key not in known:
            seen = ROUTES[case.route](study, case.options)
            assert seen.code == 0, seen.text
            known[key] = _plain(seen.text, study)
        return known[key]

    return outcome


def _plain(text: str, study: Study) -> str:
    """Without what differs from call to call: paths, times of the clock, free memory."""
    text = re.sub(r"^\d\d:\d\d:\d\d", "", text.replace(str(study.root), "ROOT"), flags=re.M)
    return re.sub(r"there are .*", "", text)


def test_there_are_three_hundred_of_them_and_no_name_twice():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 300


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[] if case.name in FAST else pytest.mark.slow)
        for case in CASES
    ],
)
def test_broken_dataset(study, intact, tmp_path, case):
    expected = intact(case) if case.same else None
    broken = copy_study(study, tmp_path / "s")
    case.spoil(broken)
    forbidden = "unreadable" in case.name
    with as_nobody(broken.root) if forbidden else contextlib.nullcontext():
        seen = ROUTES[case.route](broken, case.options)
    assert "Traceback" not in seen.text
    assert "defect of the program" not in seen.text, seen.text
    assert seen.code == case.code, seen.text
    for words in case.says:
        assert words in seen.text, seen.text
    if expected is not None:
        assert _plain(seen.text, broken) == expected
