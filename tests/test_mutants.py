"""Every mutant changes one place of a source that is there, and stands in the table of the docs."""

from __future__ import annotations

import pytest
from mutants import MUTANTS, ROOT, row


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.what)
def test_a_mutant_changes_one_place(mutant):
    source = (ROOT / "bids_app" / mutant.module).read_text()
    assert source.count(mutant.before) == 1
    for test in mutant.tests.split():
        assert (ROOT / "tests" / test).exists()


def test_the_table_of_the_developers_page_has_every_mutant():
    page = (ROOT / "docs/development.md").read_text()
    assert [one.what for one in MUTANTS if row(one, survived=False) not in page] == []
    assert f"{len(MUTANTS)} of {len(MUTANTS)} noticed" in page
