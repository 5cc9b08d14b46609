"""An option that a field declares reaches help, command line, configuration file and Boutiques."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from worked_examples import import_example

from bids_app.cli.boutiques import descriptor
from bids_app.cli.parser import build_parser, parse_config
from bids_app.config import Config
from bids_app.config.options import Kind, option, options_of, settings_of, several, switch
from bids_app.errors import UsageError

CALL = ["/data", "/out", "participant"]


def _semitones(text: str) -> float:
    """Semitones from cents."""
    return float(text) / 100


@dataclass(frozen=True)
class Tuning:
    title: ClassVar = "tuning of the instruments"
    description: ClassVar = "What was played how high."

    pitch: float = option("-p --chamber-pitch HERTZ", "of the a", 442.0, changes=("layers",))
    shift: Annotated[float, Kind(_semitones, "CENTS")] = option(
        "--shift", "of all", 0.5, changes=()
    )
    scale: Literal["equal", "just"] = option("--scale", "temperament", "equal", since="0.2.0")
    table: Path | None = option("--tuning-table FILE", "one line per instrument")
    strings: tuple[str, ...] = several("--strings NAME", "those that are played", ("g", "d"))
    muted: bool = switch("--muted", "play with mutes")

    def __post_init__(self) -> None:
        if self.muted and not self.strings:
            raise UsageError("--muted needs --strings")
        if self.pitch > 1000:
            raise UsageError("--chamber-pitch is too high")


@dataclass(frozen=True)
class TunedConfig(Config):
    tuning: Tuning = field(default_factory=Tuning)


def _parse(*words):
    return parse_config([*CALL, *words], TunedConfig)


def test_the_command_line_reads_every_kind_of_option():
    assert _parse().tuning == Tuning()
    words = "-p 440 --shift 25 --scale just --tuning-table t.tsv --strings a e --muted"
    wanted = Tuning(440.0, 0.25, "just", Path.cwd() / "t.tsv", ("a", "e"), True)
    assert _parse(*words.split()).tuning == wanted


def test_underscores_and_short_names_are_understood():
    wanted = Tuning(440.0, table=Path("/a_b"))
    assert _parse("--chamber_pitch", "440", "--tuning_table=/a_b").tuning == wanted
    assert _parse("--chamber_p", "440", "--tuning-t", "/a_b").tuning == wanted


def test_a_file_and_boutiques_know_it(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text("chamber_pitch = 440\nshift = 25\nstrings = ['a', 'e']\nmuted = true\n")
    wanted = Tuning(440.0, 0.25, strings=("a", "e"), muted=True)
    assert _parse("--config-file", str(path)).tuning == wanted
    inputs = {entry["id"]: entry for entry in descriptor(build_parser(TunedConfig))["inputs"]}
    assert inputs["chamber_pitch"]["type"] == inputs["shift"]["type"] == "Number"
    assert inputs["chamber_pitch"]["command-line-flag"] == "--chamber-pitch"
    assert inputs["scale"]["value-choices"] == ["equal", "just"]
    assert inputs["tuning_table"]["type"] == "File"
    assert inputs["strings"]["list"]
    assert inputs["muted"]["type"] == "Flag"


def test_the_help_shows_group_default_and_version():
    text = " ".join(build_parser(TunedConfig).format_help().split())
    assert "tuning of the instruments: What was played how high." in text
    assert "-p HERTZ, --chamber-pitch HERTZ of the a (default: 442)" in text
    assert "--shift CENTS of all (default: 0.5)" in text
    assert "temperament (default: equal) (since 0.2.0)" in text
    assert "--strings NAME [NAME ...] those that are played (default: g d)" in text
    assert "chamber_pitch" not in text


def test_what_contradicts_itself_is_wrong_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        _parse("--chamber-pitch", "4400")
    assert "error: --chamber-pitch is too high" in capsys.readouterr().err


def test_an_option_says_whose_results_it_changes():
    assert settings_of(Tuning(), "layers").keys() == {"pitch", "scale", "table", "strings", "muted"}
    assert settings_of(Tuning(), "conditions").keys() == {"scale", "table", "strings", "muted"}


def test_every_field_of_the_configuration_is_an_option():
    """No setting can be reached from Python alone."""
    sections = [entry.default_factory for entry in fields(Config)]
    sections = [section for section in sections if is_dataclass(section)]
    assert len(sections) == 10
    # And the names of those that were given.
    assert len(list(options_of(Config))) + len(sections) + 1 == len(fields(Config))
    for section in sections:
        assert [name for name, _ in options_of(section)] == [
            entry.name for entry in fields(section)
        ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "1,2,3"], "--seed needs --contrast"),
        (["--contrast", "a-b", "--target", "1,2,3"], "--target needs --seed"),
        (["--weights-mask", "l.gii,r.gii"], "--weights-mask needs --save-weights"),
        (["--hop", "480"], "480 s is not from 0.01 to 10: is it in milliseconds?"),
        (["--high-pass", "0.008"], "is it in Hz? Its period is 125 s"),
        (["--smoothing", "0.006"], "is it in m?"),
        (["--slice-time-ref", "500"], "is it in milliseconds?"),
        (["--slice-time-ref", "1.5"], "is not from 0 to 1"),
        (["--repetition-time", "2000"], "is it in milliseconds?"),
        (["--delays", "3000:9000"], "is it in milliseconds?"),
        (["--rating-delays=-10000:10000"], "is it in milliseconds?"),
        (["--rating-rate", "200000"], "is not from 0.001 to 1000"),
        (["--max-lag", "20000"], "is it in milliseconds?"),
        (["--ceiling-floor", "30"], "is it in percent?"),
    ],
)
def test_options_that_cannot_be_say_so(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse_config([*CALL, *words])
    assert message in capsys.readouterr().err


def test_the_example_of_the_documentation(tmp_path, monkeypatch):
    remembering = import_example("class Memory", tmp_path, monkeypatch).Remembering
    assert parse_config(CALL, remembering).memory.decay == 4.0
    config = parse_config([*CALL, "--memory-decay", "2"], remembering)
    assert settings_of(config.memory, "layers") == {"decay": 2.0}
    assert settings_of(config.memory, "ratings") == {}
    assert config.participant_settings("")["decay"] == 2.0
    assert "decay" not in config.rating_map_settings()
    assert "half of a chord is forgotten" in build_parser(remembering).format_help()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--smothing", "4"], "unrecognized arguments: --smothing 4; did you mean --smoothing?"),
        (["--qqqq"], "unrecognized arguments: --qqqq"),
        (["--joint", "mfcc+envelope"], "where: --joint"),
    ],
)
def test_wrong_usage_is_told_without_the_usage_of_all_options(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse_config([*CALL, *words])
    told = capsys.readouterr().err
    assert message in told
    assert told.endswith("musenc-bidsapp --help lists all options\n")
    assert "usage:" not in told
