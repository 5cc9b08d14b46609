"""The Boutiques descriptor follows the parser, and bosh accepts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bids_app.cli import tools
from bids_app.cli.boutiques import descriptor
from bids_app.cli.parser import build_parser, parse_config
from bids_app.errors import MissingInputError


@pytest.fixture
def inputs():
    return {entry["id"]: entry for entry in descriptor(build_parser())["inputs"]}


def test_every_option_is_an_input_with_a_place_on_the_command_line(inputs):
    content = descriptor(build_parser())
    words = content["command-line"].split()
    assert words[0] == "musenc-bidsapp"
    assert words[1:4] == ["[BIDS_DIR]", "[OUTPUT_DIR]", "[ANALYSIS_LEVEL]"]
    assert words[1:] == [entry["value-key"] for entry in content["inputs"]]
    assert len(set(words)) == len(words)
    assert not {"help", "version"} & inputs.keys()


def test_types_come_from_the_parser(inputs):
    assert inputs["bids_dir"]["type"] == "File"
    assert inputs["output_dir"]["type"] == "String"
    assert inputs["analysis_level"]["value-choices"] == ["participant", "group"]
    assert not inputs["analysis_level"]["optional"]
    assert inputs["participant_label"]["list"]
    assert inputs["participant_label"]["command-line-flag"] == "--participant-label"
    assert inputs["nprocs"] | {"description": ""} == {
        "id": "nprocs",
        "name": "nprocs",
        "description": "",
        "type": "Number",
        "integer": True,
        "value-key": "[NPROCS]",
        "optional": True,
        "command-line-flag": "--nprocs",
    }
    assert inputs["dry_run"]["type"] == "Flag"
    assert inputs["verbose"]["type"] == "Flag"


def test_help_texts_are_filled_in(inputs):
    assert all(entry["description"] for entry in inputs.values())
    assert not any("%(" in entry["description"] for entry in inputs.values())


def test_an_invocation_from_the_descriptor_is_one_the_parser_takes(inputs):
    values = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"}
    words = [*values.values(), inputs["participant_label"]["command-line-flag"], "sub-01"]
    assert build_parser().parse_args(words).participant_label == ["01"]


def test_exit_codes_are_those_of_the_exceptions():
    codes = {e["code"]: e["description"] for e in descriptor(build_parser())["error-codes"]}
    assert set(codes) == {1, 2, 16, 18, 65, 66, 73, 75}
    assert codes[MissingInputError.exit_code] == MissingInputError.__doc__


def test_the_tool_writes_the_descriptor(tmp_path, capsys):
    target = tmp_path / "descriptor.json"
    arguments = ["export", "boutiques", "--image", "musenc-bidsapp:1"]
    assert tools.main([*arguments, "--output", str(target)]) == 0
    assert tools.main(arguments) == 0
    content = json.loads(target.read_text())
    assert content == json.loads(capsys.readouterr().out)
    assert content["container-image"]["image"] == "musenc-bidsapp:1"


@pytest.fixture
def bosh(tmp_path):
    """Call Boutiques' own program with the descriptor's file in place of DESCRIPTOR."""
    program = Path(sys.executable).with_name("bosh")
    if not program.exists():
        pytest.skip("bosh is not installed (pip install boutiques)")
    target = tmp_path / "descriptor.json"
    target.write_text(json.dumps(descriptor(build_parser(), image="musenc-bidsapp")))

    def call(*words):
        command = [program, *(target if word == "DESCRIPTOR" else word for word in words)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def test_bosh_validates_it(bosh):
    assert bosh("validate", "DESCRIPTOR").strip().endswith("OK")


def test_bosh_makes_a_command_line_that_the_parser_takes(bosh, tmp_path):
    values = {
        "bids_dir": str(tmp_path),
        "output_dir": "/out",
        "analysis_level": "participant",
        "participant_label": ["sub-01", "02"],
        "delays": "2:8",
        "nprocs": 3,
        "dry_run": True,
    }
    invocation = tmp_path / "invocation.json"
    invocation.write_text(json.dumps(values))
    printed = bosh("exec", "simulate", "-i", str(invocation), "DESCRIPTOR")
    program, *arguments = printed.splitlines()[-1].split()
    assert program == "musenc-bidsapp"
    config = parse_config(arguments)
    assert config.selection.participants == ("01", "02")
    assert config.model.delays == (2.0, 8.0)
    assert (config.running.n_procs, config.running.dry_run) == (3, True)
