"""One object decides the last line and the exit code."""

import json

import pytest

from bids_app.status import Status


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
