"""``--config-file``: options in a TOML file, read with the parser of the command line."""

from __future__ import annotations

import argparse
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

NOT_IN_FILES = ("help", "version", "config_file")


def read_defaults(parser: argparse.ArgumentParser, path: Path) -> dict[str, Any]:
    """Values of the options in a file, checked and converted as those of the command line are.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Exits with code 2 and says why if the file cannot be used.
    path : Path
        TOML: the long names of options without their ``--``, and their values; a list for several,
        true for an option without a value.

    Returns
    -------
    dict
        Value by the parser's name of the option; for `argparse.ArgumentParser.set_defaults`.
    """
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        parser.error(f"--config-file {path}: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        parser.error(f"--config-file {path}: not TOML: {error}")
    # argparse has no public list of its options.
    options = {
        flag.removeprefix("--"): action
        for action in parser._actions
        for flag in action.option_strings
        if flag.startswith("--") and action.dest not in NOT_IN_FILES
    }
    defaults: dict[str, Any] = {}
    for name, value in content.items():
        action = options.get(name.replace("_", "-"))
        if action is None:
            close = get_close_matches(name, options, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            parser.error(f"--config-file {path}: there is no option {name!r}{hint}")
        defaults[action.dest] = _convert(parser, path, name, action, value)
    return defaults


def _convert(
    parser: argparse.ArgumentParser, path: Path, name: str, action: argparse.Action, value: object
) -> Any:
    if action.nargs == 0:
        wanted = (bool,) if action.const is True else (int,)
        if not isinstance(value, wanted):
            kind = "true or false" if action.const is True else "a whole number"
            parser.error(f"--config-file {path}: {name} = {value!r}: wanted {kind}")
        return value
    values = value if action.nargs == "+" and isinstance(value, list) else [value]
    if any(isinstance(each, dict | list | bool) for each in values):
        parser.error(f"--config-file {path}: {name} = {value!r}: wanted a text or a number")
    try:
        # argparse has no public way to convert and check the values of one option.
        return parser._get_values(action, [str(each) for each in values])
    except argparse.ArgumentError as error:
        parser.error(f"--config-file {path}: {name} = {value!r}: {error.message}")
