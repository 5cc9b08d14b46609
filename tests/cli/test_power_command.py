"""``musenc power``: a row per study, what it says of few participants, and its help."""

from __future__ import annotations

import re

import pytest

from bids_app.cli.tools import main

SIZES = ["--minutes", "20", "--pieces", "5", "--isc", ".1"]


def rows_of(text):
    lines = text.split("\n\n")[0].splitlines()
    names = lines[0].split("\t")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]


def test_every_combination_is_a_row(capsys):
    options = ["--participants", "12", "24", *SIZES, "--train-on", "both", "--expected-r", ".1"]
    assert main(["power", *options]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert [(row["participants"], row["weights"]) for row in rows] == [
        ("12", "own"),
        ("12", "others"),
        ("24", "own"),
        ("24", "others"),
    ]
    for row in rows:
        parts = float(row["accuracy, people"]), float(row["accuracy, music"])
        assert float(row["accuracy"]) == max(parts)
        assert 0 <= float(row["power, accuracy"]) <= 1
        assert "power, slope" in row
    assert float(rows[2]["power, accuracy"]) > float(rows[0]["power, accuracy"])


def test_without_what_is_expected_there_is_no_power(capsys):
    assert main(["power", "--participants", "12", *SIZES]) == 0
    (row,) = rows_of(capsys.readouterr().out)
    assert not [name for name in row if "power" in name or "true" in name]


def test_where_sign_flips_can_show_nothing_it_says_so(capsys):
    assert main(["power", "--participants", "4", "5", "12", *SIZES]) == 0
    told = capsys.readouterr().out
    # One of 32 signs is below .05, two are not; of 16 not even one.
    assert "With 4 participants sign flips give no two-sided p below .05" in told
    assert "but the primary claim, a t test, is possible" in told
    assert "a t test, and accuracy, a one-sided test, are possible" in told
    assert "With 12 participants" not in told


def test_a_study_that_is_too_small_is_refused_with_what_would_do(capsys):
    assert main(["power", "--participants", "12", "--minutes", "1", *SIZES[2:]]) == 2
    told = capsys.readouterr()
    assert "too little music" in told.err
    assert not told.out


@pytest.mark.parametrize(
    "option",
    ["--crop=-5", "--seconds-per-sample=0", "--minutes=nan", "--expected-r=0", "--expected-r=3"],
)
def test_values_that_no_study_has_are_refused_by_name(capsys, option):
    with pytest.raises(SystemExit, match="2"):
        main(["power", "--participants", "12", *SIZES, option])
    assert option.split("=")[0] in capsys.readouterr().err


def test_the_help_explains_people_and_music_and_its_examples_run(capsys):
    with pytest.raises(SystemExit) as done:
        main(["power", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for word in (
        "people",
        "music",
        "alignment",
        "seconds-per-sample",
        "measured on one resting run",
    ):
        assert word in text
    examples = re.findall(r"^  musenc (power .*)$", text, flags=re.MULTILINE)
    assert len(examples) == 2
    for example in examples:
        assert main(example.split()) == 0
