"""One object decides the last line and the exit code."""

import json

import pytest

from bids_app.status import Status


def test_runs_with_unusable_files_are_in_the_exit_code(tmp_path):
    status = Status("id", "participant")
    status.add("01", "", "done")
    status.add("02", "sub-02_task-x", "skipped", "left out by --exclude-run")
    assert status.exit_code == 0
    status.add("03", "sub-03_task-x", "skipped", "empty file", problem=True)
    assert status.exit_code == 1
    assert status.closing_line == (
        "participant level finished INCOMPLETE: participants 1 done; runs and parts 2 skipped; "
        "1 skipped because of their files"
    )
    stored = json.loads(status.write(tmp_path / "s.json").read_text())
    assert [row["problem"] for row in stored["rows"]] == [False, False, True]


def test_a_part_of_the_group_level_that_was_not_done_is_named():
    status = Status("id", "group")
    status.add("01", "", "done")
    status.add("", "alignment with margulies2016", "skipped", "not installed", problem=True)
    assert status.exit_code == 1
    assert status.closing_line == (
        "group level finished INCOMPLETE: participants 1 done; runs and parts 1 skipped; "
        "not done: alignment with margulies2016"
    )


@pytest.mark.parametrize(
    ("states", "code", "word"),
    [
        (["done", "done"], 0, "finished"),
        (["done", "skipped"], 0, "finished"),
        (["done", "failed"], 1, "FAILED"),
        (["skipped"], 1, "FAILED"),
        ([], 1, "FAILED"),
    ],
)
def test_exit_code_and_closing_line_agree(states, code, word, tmp_path):
    status = Status("id", "participant")
    for index, state in enumerate(states):
        status.add(f"{index:02d}", "", state, "why")
    assert status.exit_code == code
    assert word in status.closing_line
    stored = json.loads(status.write(tmp_path / "s.json").read_text())
    assert stored["exit_code"] == code
    assert [row["state"] for row in stored["rows"]] == states
