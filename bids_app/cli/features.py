"""``musenc features``: feature time series of audio files, or the stimulus side of a study."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from bids_app.cli.parser import add_option
from bids_app.config import (
    DEFAULT_FEATURES,
    Model,
    Places,
    Running,
    Stimuli,
    with_places,
)
from bids_app.config.options import at_least
from bids_app.errors import MissingInputError, UsageError
from bids_app.features.registry import find_space
from bids_app.log import tell

LOGGER = logging.getLogger("bids_app")

DESCRIPTION = """\
musenc features AUDIO... -o DIR
    writes the features of audio files as time series (TSV or HDF5 with a JSON sidecar) and draws
    layers 1, 2, 18 and 23 of the network over time.

musenc features --check python:PACKAGE.MODULE:FUNCTION AUDIO...
    runs a network of your own on audio files, checks its output against the contract of
    docs/networks.md, and prints its layers, rate, cost and memory.

musenc features BIDS_DIR OUTPUT_DIR [options of musenc-bidsapp]
    computes the features of all the music of a study into the cache (--cache-dir) and stops. Run
    it once before many participants run at the same time: they find them there.
"""


def add_features(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc features``."""
    parser = commands.add_parser(
        "features",
        help="feature time series of audio files; or fill a study's cache before its participants",
        usage="musenc features AUDIO... -o DIR [options]\n"
        "       musenc features --check NETWORK AUDIO...\n"
        "       musenc features BIDS_DIR OUTPUT_DIR [options of musenc-bidsapp]",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("audio", nargs="+", type=Path, metavar="AUDIO", help="audio files")
    parser.add_argument(
        "-o", "--output-dir", type=Path, metavar="DIR", help="folder of the results"
    )
    parser.add_argument(
        "--check",
        metavar="NETWORK",
        help="python:PACKAGE.MODULE:FUNCTION, or musicnn:NAME: check it and write nothing",
    )
    one = {"nargs": None, "default": DEFAULT_FEATURES, "help": "%(spaces)s"}
    add_option(parser, Model, "features", **one)
    for name in ("notes_dir", "notes_corpus"):
        add_option(parser, Stimuli, name)
    add_option(parser, Model, "layers")
    add_option(parser, Model, "weights")
    add_option(parser, Model, "hop", help="seconds between patches of VGGish")
    add_option(parser, Running, "device")
    parser.add_argument(
        "--preset",
        choices=("musenc", "lea"),
        default="musenc",
        help="components of the activations, or of the rectified activations "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--n-components",
        type=at_least(1),
        metavar="N",
        help="components per layer (default: as many as explain 99 %% of the variance)",
    )
    parser.add_argument(
        "--format",
        choices=("tsv", "h5"),
        default="tsv",
        help="a table per layer, or a file per piece (default: %(default)s)",
    )
    parser.add_argument("--no-picture", action="store_true", help="draw no figures")
    parser.set_defaults(work=_export)


def is_dataset_call(argv: Sequence[str]) -> bool:
    """Whether a command line is ``features BIDS_DIR ...`` rather than ``features AUDIO ...``."""
    if len(argv) < 2 or argv[0] != "features":
        return False
    path = Path(argv[1])
    # A folder that is mistyped is told as such; audio files have an ending, and -o.
    mistyped = not path.exists() and not path.suffix and not argv[1].startswith("-")
    return path.is_dir() or (mistyped and not {"-o", "--output-dir"} & set(argv))


def fill_cache(argv: Sequence[str]) -> int:
    """Compute the stimulus side of a study; `argv` is ``BIDS_DIR OUTPUT_DIR [options]``."""
    from bids_app.cli.parser import parse_config
    from bids_app.cli.run import make_plan
    from bids_app.features.cache import load_or_compute_grams
    from bids_app.features.vggish import resolve_device
    from bids_app.resources import find_weights

    config = parse_config([*argv[:2], "participant", *argv[2:]])
    plan = make_plan(config)
    for space in config.model.spaces:
        row = find_space(space.features)
        grams = load_or_compute_grams(
            [(stimulus.label, stimulus.path) for stimulus in plan.stimuli],
            find_weights(row.weights or config.model.weights) if row.network else None,
            features=space.features,
            hop=config.model.hop,
            cache_dir=config.cache_dir,
            device=resolve_device(config.running.device) if row.is_network else "cpu",
            progress=lambda message: LOGGER.info("features: %s", message),
        )
        tell(f"features of {len(grams.labels)} pieces of music are in {grams.path}")
    return 0


def _check(spelled: str, files: Sequence[Path]) -> int:
    """Hold a network to the contract over every file, and print what it is."""
    from bids_app.features.audio import load_audio
    from bids_app.features.networks.check import check_network
    from bids_app.features.networks.own import CheckedNetwork
    from bids_app.limits import format_bytes

    listener = find_space(spelled).streamed()
    if listener is None:
        raise UsageError(
            "This is no network that can be checked.",
            where="--check",
            found=spelled,
            wanted="python:PACKAGE.MODULE:FUNCTION or musicnn:NETWORK",
            remedy="spell the network so",
        )
    network = (
        listener if isinstance(listener, CheckedNetwork) else CheckedNetwork(listener, spelled)
    )
    untrained = ", untrained" if network.untrained else ""
    tell(f"{spelled}: {len(network.layers)} layers, hears {network.sample_rate} Hz{untrained}")
    tell(f"identity: {network.identity}")
    for path in files:
        report = check_network(network, load_audio(path, network.sample_rate))
        minutes = report.duration / 60
        tell(
            f"\n{path.name}: {report.n_frames} frames from {report.first:.3f} to "
            f"{report.last:.3f} of {report.duration:.3f} s\n"
            f"{report.rate:.4g} frames per second, {report.seconds / minutes:.2g} processor "
            f"seconds per minute of music, memory grew by {format_bytes(report.peak)}\n"
        )
        width = max(map(len, network.layers))
        for number, layer in enumerate(report.layers, start=1):
            shape = " x ".join(map(str, layer.shape)) or "1"
            constant = f", {layer.n_constant} constant" if layer.n_constant else ""
            if layer.n_constant == layer.n_units:
                constant = ", all constant: this layer predicts nothing"
            tell(f"{number:4} {layer.name:{width}}  {shape:>18} = {layer.n_units} units{constant}")
    tell(f"\n{spelled} keeps the contract")
    return 0


def _export(options: argparse.Namespace) -> int:
    if missing := [str(path) for path in options.audio if not path.is_file()]:
        raise MissingInputError(
            "An audio file is not there.",
            where=", ".join(missing),
            found="no file",
            wanted="an audio file",
            remedy="correct the names",
        )
    if options.check:
        return _check(options.check, options.audio)
    if options.output_dir is None:
        raise UsageError(
            "The features need a folder to be written to.",
            where="-o",
            found="nothing",
            wanted="a folder",
            remedy="give one with -o DIR, or --check NETWORK to write nothing",
        )
    from bids_app.features.audio import audio_duration
    from bids_app.features.export import export_features
    from bids_app.features.vggish import resolve_device
    from bids_app.resources import find_weights

    places = Places(options.notes_dir, options.notes_corpus)
    row = find_space(features := with_places(options.features, places))
    remarks = {
        remark: None
        for path in (options.audio if row.remarks else ())
        for remark in row.remarks_on(path.stem, path, audio_duration(path))
    }
    for remark in remarks:
        LOGGER.warning("%s", remark)
    files = export_features(
        options.audio,
        options.output_dir,
        weights=find_weights(row.weights or options.vggish_weights) if row.network else None,
        layers=options.layers,
        features=features,
        device=resolve_device(options.device) if row.is_network else "cpu",
        hop=options.hop,
        preset=options.preset,
        n_components=options.n_components,
        file_format=options.format,
        picture=not options.no_picture,
        progress=lambda message: LOGGER.info("features: %s", message),
    )
    tell(f"{len(files)} files written to {options.output_dir}")
    return 0
