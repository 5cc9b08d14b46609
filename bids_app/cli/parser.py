"""The command line of the BIDS-App, built from the options that the configuration declares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from bids_app import __version__
from bids_app.cli.config_file import read_defaults
from bids_app.config import Config
from bids_app.config.options import FIRST_VERSION, Kind, Option, absolute, options_of
from bids_app.errors import UsageError
from bids_app.features.registry import spaces_text

DESCRIPTION = """\
Encoding maps of an audio network's layers from music-listening fMRI that went through fMRIPrep.

participant  cleans the surface BOLD of every run, computes VGGish's 23 layers for every piece of
             music, fits one cross-validated ridge model per layer and vertex, and writes accuracy
             and layer-preference maps (GIFTI on --space).
group        combines the participants in output_dir: group maps, layer preference, and its
             alignment with a cortical gradient (spin test). Needs nothing but output_dir.

Begin with --dry-run: it prints what would be done, who is left out and why, time and memory.
"""

EXAMPLES = """\
examples:
  musenc-bidsapp /data /out participant --dry-run
  musenc-bidsapp /data /out participant --participant-label 01 02
  musenc-bidsapp /data /out participant --stimuli music.tsv --nprocs 4 -w /scratch
  musenc-bidsapp /data /out participant --vggish-weights random:0     (untrained control)
  musenc-bidsapp /data /out participant --contrast dissonant-consonant --seed lh.seed.label
  musenc-bidsapp /data /out group --gradient left.func.gii,right.func.gii

A stimuli table has the columns task, stim_file and onset (seconds after the first volume); without
it the events.tsv files must name the music (stim_file). The onset is never guessed.
Names of options may have underscores for hyphens, and be cut short where they stay unambiguous.

exit codes: 0 done, 1 something failed or a run was skipped because of its files, 2 wrong usage,
            16 input invalid, 18 nothing selected, 65 bad data, 66 input missing,
            73 cannot write, 75 try again
"""


class Parser(argparse.ArgumentParser):
    """A parser that takes ``--high_pass`` for ``--high-pass``."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As of `argparse.ArgumentParser`, which all other ways to parse come through."""
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([_with_hyphens(word) for word in words], namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The same, with the option that may have been meant for one that is not known."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flag = next((word for word in unknown if word.startswith("-")), "").partition("=")[0]
            close = get_close_matches(flag, self._option_string_actions, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found

    def error(self, message: str) -> NoReturn:
        """End with the message; the usage of so many options would hide it."""
        self.exit(2, f"{self.prog}: error: {message}\n{self.prog} --help lists all options\n")


def _with_hyphens(word: str) -> str:
    flag, equals, value = word.partition("=")
    return (flag.replace("_", "-") if flag.startswith("--") else flag) + equals + value


def build_parser(config: type[Config] = Config) -> argparse.ArgumentParser:
    """The parser of ``musenc-bidsapp``: a group of options per section of `config`."""
    parser = Parser(
        prog="musenc-bidsapp",
        usage="%(prog)s bids_dir output_dir {participant,group} [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"musenc-bidsapp {__version__}")
    for name, _ in options_of(config):
        add_option(parser, config, name)
    parser.add_argument(
        "--config-file",
        type=Path,
        metavar="FILE.toml",
        help="options by their long names, such as task-id = ['music']; the command line "
        "overrides them",
    )
    for section in _sections(config).values():
        group = parser.add_argument_group(section.title, getattr(section, "description", None))
        for name, _ in options_of(section):
            add_option(group, section, name)
    return parser


def parse_config(argv: Sequence[str] | None = None, config: type[Config] = Config) -> Config:
    """Turn a command line into a `Config`; exits with code 2 on wrong usage."""
    parser = build_parser(config)
    options = parser.parse_args(argv)
    # What stays None was not given.
    found = parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(vars(options))))
    given = {name for name, value in vars(found).items() if value is not None}
    if options.config_file is not None:
        defaults = read_defaults(parser, options.config_file)
        given |= set(defaults)
        parser.set_defaults(**defaults)
        options = parser.parse_args(argv)
    try:
        sections = {
            name: section(**_values(section, options))
            for name, section in _sections(config).items()
        }
    except UsageError as error:
        parser.error(str(error))
    return config(**_values(config, options), **sections, given=frozenset(given))


def add_option(
    parser: argparse._ActionsContainer, section: type, name: str, **changed: Any
) -> None:
    """Add the option of the field `name` of a section; `changed` is what differs here."""
    (entry,) = (entry for entry in fields(section) if entry.name == name)
    option: Option = entry.metadata["option"]
    known = {key: getattr(option, key) for key in ("metavar", "choices", "nargs", "action")}
    arguments = _arguments_of_type(get_type_hints(section, include_extras=True)[name])
    if option.action is not None:
        arguments = {}
    arguments |= {key: value for key, value in known.items() if value is not None}
    if entry.default is not MISSING:
        arguments["default"] = entry.default
    arguments |= changed
    arguments["help"] = _help(option, arguments)
    parser.add_argument(*option.flags, **arguments)


def _sections(config: type) -> dict[str, Any]:
    """Sections of a configuration by the names of their fields."""
    return {
        entry.name: entry.default_factory
        for entry in fields(config)
        if is_dataclass(entry.default_factory)
    }


def _values(section: type, options: argparse.Namespace) -> dict[str, Any]:
    """Values of the fields that are options."""
    values = {name: getattr(options, option.dest) for name, option in options_of(section)}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


def _arguments_of_type(kind: Any) -> dict[str, Any]:
    """What the type of a field says about its option."""
    if NoneType in get_args(kind):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    for known in getattr(kind, "__metadata__", ()):
        if isinstance(known, Kind):
            return {"type": known.convert, "metavar": known.metavar}
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind)}
    if kind is bool:
        return {"action": "store_true"}
    if kind is Path:
        return {"type": absolute}
    return {"type": kind} if kind in (int, float) else {}


def _help(option: Option, arguments: dict[str, Any]) -> str:
    """The help with the default in it."""
    default, text = arguments.get("default"), arguments.get("help", option.help)
    if isinstance(default, tuple):
        shown = (" " if option.nargs else ":").join(map(_text, default))
    else:
        no_value = default is None or default is False or option.action is not None
        shown = "" if no_value else _text(default)
    if shown and "default" not in text:
        text += " (default: %(default)s)"
    if option.level in ("participant", "group"):
        text = f"{option.level} level: {text}"
    if option.since != FIRST_VERSION:
        text += f" (since {option.since})"
    return (
        text.replace("%(default)s", shown).replace("%(spaces)s", spaces_text()).replace("%", "%%")
    )


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
