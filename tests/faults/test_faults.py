"""Broken datasets: the exit code, the words that say what is wrong and where, and no traceback."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable

import pytest
from array_cases import array_cases
from condition_cases import condition_cases
from fault_cases import Case, all_matrices
from fault_study import ROUTES, Study, as_nobody, copy_study, write_study
from file_cases import file_cases
from group_cases import group_cases
from group_study import GROUP_ROUTES, write_group_study
from input_cases import input_cases
from odd_cases import odd_cases
from table_cases import table_cases

OLD: list[Case] = [*all_matrices(), *table_cases(), *file_cases(), *array_cases()]
NEW: list[Case] = [*condition_cases(), *group_cases()]
INPUTS: list[Case] = [*input_cases(), *odd_cases()]
CASES = [*OLD, *NEW, *INPUTS]
ALL_ROUTES = ROUTES | GROUP_ROUTES
# The same few every day, of every kind.
FAST = set(random.Random(20).sample([case.name for case in OLD], 60))
# Of these, such that stop before anything is computed.
FAST |= set(random.Random(20).sample([case.name for case in NEW if case.code], 12))
FAST |= set(random.Random(20).sample([case.name for case in INPUTS], 15))


@pytest.fixture(scope="session")
def studies(tmp_path_factory) -> Callable[[str], Study]:
    """The intact study that a route works on."""
    written: dict[bool, Study] = {}

    def of_route(route: str) -> Study:
        group = route in GROUP_ROUTES
        if group not in written:
            root = tmp_path_factory.mktemp("faults") / "study"
            written[group] = write_group_study(root) if group else write_study(root)
        return written[group]

    return of_route


@pytest.fixture(scope="session")
def intact(studies, tmp_path_factory):
    """What the intact study gives, by route and options."""
    known: dict[tuple[str, tuple[str, ...]], str] = {}

    def outcome(case: Case) -> str:
        key = case.route, case.options
        if key not in known:
            study = copy_study(studies(case.route), tmp_path_factory.mktemp("intact") / "s")
            seen = ALL_ROUTES[case.route](study, case.options)
            assert seen.code == 0, seen.text
            known[key] = _plain(seen.text, study)
        return known[key]

    return outcome


def _plain(text: str, study: Study) -> str:
    """Without what differs from call to call: paths, times of the clock, free memory and disk."""
    text = re.sub(r"^\d\d:\d\d:\d\d", "", text.replace(str(study.root), "ROOT"), flags=re.M)
    return re.sub(r"there are .*|[\d.]+ \w+ are free", "", text)


def test_there_are_a_thousand_of_them_and_no_name_twice():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 1000


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[] if case.name in FAST else pytest.mark.slow)
        for case in CASES
    ],
)
def test_broken_dataset(studies, intact, tmp_path, case):
    expected = intact(case) if case.same else None
    broken = copy_study(studies(case.route), tmp_path / "s")
    told = {getattr(broken, case.names).name} if case.names else set()
    case.spoil(broken)
    forbidden = "unreadable" in case.name
    with as_nobody(broken.root) if forbidden else contextlib.nullcontext():
        seen = ALL_ROUTES[case.route](broken, case.options)
    assert "Traceback" not in seen.text
    assert "defect of the program" not in seen.text, seen.text
    assert seen.code == case.code, seen.text
    for words in {*case.says, *told}:
        assert words in seen.text, seen.text
    if expected is not None:
        assert _plain(seen.text, broken) == expected
