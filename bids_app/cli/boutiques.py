"""``musenc export boutiques``: the command line as a Boutiques descriptor, from the one parser.

Nipoppy, CBRAIN and ``bosh`` run programs from such a descriptor (https://boutiques.github.io).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, get_type_hints

from bids_app import __version__

NOT_FOR_MACHINES = ("help", "version")


def add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc export``."""
    parser = commands.add_parser(
        "export",
        help="describe the command line for other programs (Boutiques)",
        description="Prints the command line of musenc-bidsapp as a Boutiques descriptor (JSON), "
        "for Nipoppy, CBRAIN and bosh.",
    )
    parser.add_argument("what", choices=("boutiques",), help="format of the description")
    parser.add_argument(
        "--image", metavar="NAME", help="container image the descriptor names (default: none)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: standard output)"
    )
    parser.set_defaults(work=_run_export)


def _run_export(options: argparse.Namespace) -> int:
    from bids_app.cli.parser import build_parser
    from bids_app.files import write_text

    text = json.dumps(descriptor(build_parser(), image=options.image), indent=2) + "\n"
    if options.output is None:
        sys.stdout.write(text)
    else:
        write_text(options.output, text)
    return 0


def descriptor(parser: argparse.ArgumentParser, *, image: str | None = None) -> dict[str, Any]:
    """Describe a parser after Boutiques' schema 0.5.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The parser of a BIDS-App.
    image : str or None
        Docker image that runs it.

    Returns
    -------
    dict
        The descriptor, ready for JSON.
    """
    # argparse has no public list of its options.
    actions = [a for a in parser._actions if a.dest not in NOT_FOR_MACHINES]
    content: dict[str, Any] = {
        "name": parser.prog,
        "tool-version": __version__,
        "description": (parser.description or "").strip(),
        "url": "https://github.com/musenc/musenc-bidsapp",
        "schema-version": "0.5",
        "command-line": " ".join([parser.prog, *(_value_key(action) for action in actions)]),
        "inputs": [_input(action) for action in actions],
        "output-files": [
            {
                "id": "output_directory",
                "name": "output_dir",
                "description": "maps, tables, reports and logs",
                "path-template": "[OUTPUT_DIR]",
                "optional": False,
            }
        ],
        "error-codes": _error_codes(),
        "suggested-resources": {"cpu-cores": 2, "ram": 8},
        "tags": {"domain": ["neuroinformatics", "fMRI", "music"], "bids-app": True},
        "custom": {"BIDSApp": "1.0"},
    }
    if image is not None:
        content["container-image"] = {"type": "docker", "image": image, "entrypoint": True}
    return content


def _value_key(action: argparse.Action) -> str:
    return f"[{action.dest.upper()}]"


def _input(action: argparse.Action) -> dict[str, Any]:
    text = (action.help or "") % {**vars(action), "prog": ""} if action.help else ""
    entry: dict[str, Any] = {
        "id": action.dest,
        "name": action.dest,
        "description": text,
        "type": _type(action),
        "value-key": _value_key(action),
        "optional": bool(action.option_strings) and not action.required,
    }
    if action.option_strings:
        entry["command-line-flag"] = next(s for s in action.option_strings if s.startswith("--"))
    if action.nargs in ("+", "*"):
        entry["list"] = True
    if action.choices is not None:
        entry["value-choices"] = list(action.choices)
    if entry["type"] == "Number":
        entry["integer"] = _value_type(action) is int
    return entry


def _type(action: argparse.Action) -> str:
    """Boutiques' type; a folder that need not exist is a string, since `File` means an input."""
    if action.nargs == 0:
        return "Flag"
    kind = _value_type(action)
    if kind is Path and (action.dest == "bids_dir" or not action.dest.endswith("_dir")):
        return "File"
    return "Number" if kind in (int, float) else "String"


def _value_type(action: argparse.Action) -> object:
    """What an option's text is turned into."""
    if action.type is None or isinstance(action.type, type):
        return action.type
    return get_type_hints(action.type).get("return")


def _error_codes() -> list[dict[str, Any]]:
    """Exit codes, from the exceptions that cause them."""
    from bids_app import errors

    kinds: set[type[errors.MusencError]] = {
        errors.MusencError,
        *errors.MusencError.__subclasses__(),
    }
    texts = {kind.exit_code: (kind.__doc__ or "").splitlines()[0] for kind in kinds}
    texts[1] = "Something failed; the log and logs/status_*.json say what."
    return [{"code": code, "description": texts[code]} for code in sorted(texts)]
