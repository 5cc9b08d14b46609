"""``musenc``: the tools around the BIDS-App."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bids_app import __version__
from bids_app.cli.boutiques import add_export
from bids_app.cli.dissonance import add_dissonance
from bids_app.cli.doctor import add_doctor
from bids_app.cli.features import add_features, fill_cache, is_dataset_call
from bids_app.cli.gradient import add_gradient
from bids_app.cli.messages import add_messages
from bids_app.cli.motion import add_motion
from bids_app.cli.onset import add_onset
from bids_app.cli.parser import Parser, add_option
from bids_app.cli.power import add_power
from bids_app.cli.predict import add_predict
from bids_app.cli.prefetch import add_prefetch
from bids_app.cli.recognise import add_recognise
from bids_app.cli.run import guarded
from bids_app.config import Running
from bids_app.config.options import at_least, positive_number
from bids_app.log import set_up_logging, tell


def build_parser() -> argparse.ArgumentParser:
    """The parser of ``musenc``."""
    parser: argparse.ArgumentParser = Parser(
        prog="musenc", description="Tools around musenc-bidsapp, the music encoding BIDS-App."
    )
    parser.add_argument("--version", action="version", version=f"musenc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    add_features(commands)
    add_recognise(commands)
    add_onset(commands)
    add_gradient(commands)
    add_motion(commands)
    add_dissonance(commands)
    add_power(commands)
    add_predict(commands)
    _add_convert(commands)
    add_doctor(commands)
    add_messages(commands)
    add_prefetch(commands)
    add_export(commands)
    for command in set(commands.choices.values()):  # twice there under an alias
        add_option(command, Running, "verbosity")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one tool; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if is_dataset_call(argv):
        set_up_logging()
        return guarded(lambda: fill_cache(argv[1:]))
    options = build_parser().parse_args(argv)
    set_up_logging(options.verbose)
    return guarded(lambda: int(options.work(options)))


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="simulate a small music study, analyze it, and compare with the truth",
        description="Simulates three pieces of music and the fMRI of a few listeners whose cortex "
        "follows known layers of an untrained VGGish and changes of their ratings, runs the "
        "participant and the group level, and reports how well the truth was recovered. Needs no "
        "network and no data.",
    )
    parser.add_argument(
        "--output-dir", type=Path, default=Path("demo"), help="default: %(default)s"
    )
    add_option(parser, Running, "n_procs", default=2)
    parser.add_argument(
        "--n-participants",
        type=at_least(1),
        default=12,
        help="listeners; with fewer than five no vertex can be claimed (default: %(default)d)",
    )
    parser.add_argument(
        "--duration",
        type=positive_number,
        default=480.0,
        metavar="SECONDS",
        help="music in all; less is faster and recovers less (default: %(default)g)",
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=0, help="of the simulation (default: 0)"
    )
    parser.add_argument(
        "--network",
        metavar="musicnn:NAME",
        help="trained network whose layers the cortex follows; its untrained twin is fitted beside "
        "it (default: an untrained VGGish)",
    )
    parser.add_argument(
        "--beyond",
        action="store_true",
        help="also what each layer adds to low-level sound; takes several times as long",
    )
    parser.set_defaults(work=_run_demo)


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "convert-weights",
        help="turn TensorFlow's VGGish checkpoint into the state dict used here",
        description="Converts the published TensorFlow checkpoint (vggish_model.ckpt), or an .npz "
        "file of its variables, to a torch state dict, and checks every layer numerically.",
    )
    parser.add_argument("source", type=Path, help="vggish_model.ckpt or variables.npz")
    parser.add_argument("target", type=Path, help="state dict to write, such as vggish.pth")
    parser.set_defaults(work=_convert)


def _convert(options: argparse.Namespace) -> int:
    from bids_app.features.convert import convert_weights
    from bids_app.files import sha256_of_file

    convert_weights(options.source, options.target)
    tell(f"{options.target} written and checked; SHA-256 {sha256_of_file(options.target)}")
    return 0


def _run_demo(options: argparse.Namespace) -> int:
    from bids_app.cli.demo import run_demo

    return run_demo(
        options.output_dir.absolute(),
        n_participants=options.n_participants,
        n_procs=options.nprocs,
        seed=options.seed,
        duration=options.duration,
        network=options.network,
        beyond=options.beyond,
    )


if __name__ == "__main__":
    sys.exit(main())
