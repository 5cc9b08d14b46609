"""Options in a file: the defaults give way to it, and it gives way to the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bids_app.cli.parser import build_parser, parse_config

CALL = ["/data", "/out", "participant"]


@pytest.fixture
def parse(tmp_path):
    """Parse a command line with a file of this content."""

    def call(content, *arguments):
        path = tmp_path / "study.toml"
        path.write_text(content)
        return parse_config([*CALL, *arguments, "--config-file", str(path)])

    return call


def test_defaults_then_file_then_command_line(parse):
    config = parse("crop = 10\nsmoothing = 4.5\n", "--crop", "5")
    assert config.model.crop == 5.0
    assert config.cleaning.smoothing == 4.5
    assert config.cleaning.high_pass == parse_config(CALL).cleaning.high_pass


def test_a_list_of_the_command_line_replaces_that_of_the_file(parse):
    content = "task-id = ['task-music', 'speech']\nparticipant_label = 'sub-01'\n"
    assert parse(content).selection.tasks == ("music", "speech")
    assert parse(content, "--task-id", "noise").selection.tasks == ("noise",)
    assert parse(content).selection.participants == ("01",)


def test_a_file_says_what_a_command_line_says(parse):
    file = parse(
        "delays = '2:8'\nmissing = 'use'\nn-spins = 50\nwork-dir = 'w'\nreports-only = true\n"
        "verbose = 2\nstimuli = '/s.tsv'\nbids-filter-file = '/f.json'\n"
    )
    words = "--delays 2:8 --missing use --n-spins 50 --work-dir w --reports-only -vv"
    words += " --stimuli /s.tsv --bids-filter-file /f.json"
    assert file == parse_config([*CALL, *words.split()])
    assert file.running.work_dir == Path.cwd() / "w"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("smothing = 4", ["no option 'smothing'", "did you mean smoothing?"]),
        ("version = true", ["no option 'version'"]),
        ("bids_dir = '/other'", ["no option 'bids_dir'"]),
        ("missing = 'perhaps'", ["missing = 'perhaps'", "skip"]),
        ("crop = -1", ["crop = -1", "not a number of at least 0"]),
        ("crop = true", ["crop = True"]),
        ("delays = [3, 9]", ["delays = [3, 9]"]),
        ("dry-run = 1", ["dry-run = 1", "true or false"]),
        ("crop = ", ["not TOML"]),
        ("crop = " + "[" * 5000, ["not TOML"]),
    ],
)
def test_what_is_wrong_in_a_file_is_told(parse, capsys, content, words):
    with pytest.raises(SystemExit, match="2"):
        parse(content)
    message = capsys.readouterr().err
    assert all(word in message for word in ["study.toml", *words]), message


def test_a_file_that_is_not_there_is_told(capsys):
    with pytest.raises(SystemExit, match="2"):
        parse_config([*CALL, "--config-file", "/no/study.toml"])
    assert "/no/study.toml: No such file" in capsys.readouterr().err


def test_every_option_with_a_default_can_be_in_a_file(parse):
    """No option is read in a way that a file cannot express."""
    values = {
        action.option_strings[-1].removeprefix("--"): action.default
        for action in build_parser()._actions
        if action.option_strings and isinstance(action.default, int | float | str)
        if action.default not in ("", "==SUPPRESS==")
    }
    assert len(values) > 10
    lines = [
        f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for k, v in values.items()
    ]
    assert parse("\n".join(lines)) == parse_config(CALL)
