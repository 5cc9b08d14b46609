"""What others wrote does not steer a terminal, forge a line of a log, or start a formula."""

from __future__ import annotations

import ast
import csv
import io
import logging
from pathlib import Path

import pandas as pd
import pytest

from bids_app import log
from bids_app.analyses.folder.write import write_rows
from bids_app.errors import BadDataError, reason_of
from bids_app.inputs.tables import read_frame, read_tsv
from bids_app.plain import cell, plain, plain_lines, shown, some_of

ROOT = Path(__file__).parents[1]
NASTY = "a\x1b[2Jb\rc\x07\x9bd\u202ee\u2028f\x7f\x00"


def _is_safe(text: str) -> bool:
    return all(c.isprintable() or c in "\n" for c in text) and "\u202e" not in text


def test_control_characters_are_spelled_and_letters_stay():
    assert plain("Größe 음악 é") == "Größe 음악 é"
    assert plain("a\nb\tc") == r"a\nb\tc"
    assert _is_safe(plain(NASTY))
    assert r"\x1b[2J" in plain(NASTY)
    assert plain("\udcff") == r"\udcff"
    assert shown("a\tb\n\x1bc") == "a\tb\n\\x1bc"


def test_errors_and_their_reasons_are_safe_to_show():
    forged = f"{NASTY}\n12:00:00 INFO    all is well"
    error = BadDataError("A file is bad.", where=forged, found=forged, wanted=forged)
    assert _is_safe(str(error))
    assert not any(line.startswith("12:") for line in str(error).split("\n"))
    assert _is_safe(reason_of(error))


def test_what_is_found_is_cut_to_what_somebody_reads():
    error = BadDataError("A file is bad.", found="x" * 10**6)
    assert len(str(error)) < 10_000
    assert "1,000,000 characters" in str(error)


def test_a_line_of_the_log_is_one_of_ours(capsys):
    log.set_up_logging()
    logging.getLogger("bids_app").warning("%s is skipped", f"{NASTY}\n12:00:00 INFO    forged")
    text = capsys.readouterr().err
    assert _is_safe(text)
    assert [line.startswith(" ") for line in text.splitlines()] == [False, True]


def test_the_command_line_prints_through_one_function():
    found = [
        f"{path}:{node.lineno}"
        for folder in ("bids_app", "workflows")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert len(found) == 1, found
    assert "bids_app/log.py" in found[0]


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", '"open', "=", "-", "+-1"]
)
def test_no_cell_begins_a_formula_or_a_quotation(text):
    assert str(cell(text))[0] not in '=+-@\t\r"'


@pytest.mark.parametrize("value", ["-0.5", "+3", "-1e-9", "n/a", "a=b", 3, -0.5, None, "-inf"])
def test_numbers_and_other_texts_stay(value):
    assert cell(value) is value or cell(value) == value


def test_a_table_has_a_line_per_row_for_every_reader(tmp_path):
    rows = [
        {"name": f"=1{NASTY}\n\tnext", "r": -0.25, "-x": '"a'},
        {"name": 'say "hello"', "r": float("nan"), "-x": "b"},
    ]
    path = write_rows(tmp_path / "x.tsv", rows)
    text = path.read_text()
    assert text.count("\n") == 3
    assert _is_safe(text.replace("\t", " "))
    plain_rows = [line.split("\t") for line in text.splitlines()]
    assert {len(line) for line in plain_rows} == {3}
    assert all(not one.startswith(("=", "@", '"')) for line in plain_rows for one in line)
    assert plain_rows[0][2] == "'-x"
    assert list(csv.reader(io.StringIO(text), delimiter="\t")) == plain_rows
    assert read_tsv(path)[1][0]["r"] == "-0.25"
    assert list(read_frame(path)["r"]) == pytest.approx([-0.25, float("nan")], nan_ok=True)
    assert pd.read_csv(path, sep="\t")["name"][1] == 'say "hello"'


def test_lines_after_the_first_are_indented():
    assert plain_lines("a\nb") == "a\n    b"


def test_what_is_not_shown_of_many_is_counted():
    assert some_of([]) == ""
    assert some_of(["a", "b"], 2) == "a, b"
    assert some_of("abc", 2) == "a, b and 1 more"
    assert some_of(range(10), 3, "; ") == "0; 1; 2 and 7 more"
