"""``musenc features``: feature time series of audio files, or the stimulus side of a study."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from bids_app.cli.parser import add_option
from bids_app.config import DEFAULT_FEATURES, Model, Running
from bids_app.features.registry import find_space

LOGGER = logging.getLogger("bids_app")

DESCRIPTION = """\
musenc features AUDIO... -o DIR
    writes the features of audio files as time series (TSV or HDF5 with a JSON sidecar) and draws
    layers 1, 2, 18 and 23 of the network over time.

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
        "       musenc features BIDS_DIR OUTPUT_DIR [options of musenc-bidsapp]",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("audio", nargs="+", type=Path, metavar="AUDIO", help="audio files")
    parser.add_argument(
        "-o", "--output-dir", type=Path, required=True, metavar="DIR", help="folder of the results"
    )
    one = {"nargs": None, "default": DEFAULT_FEATURES, "help": "%(spaces)s"}
    add_option(parser, Model, "features", **one)
    add_option(parser, Model, "layers")
    add_option(parser, Model, "weights")
    add_option(parser, Model, "hop", help="seconds between samples")
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
        type=int,
        metavar="N",
        help="components per layer (default: as many as explain 99 %% of the variance)",
    )
    parser.add_argument(
        "--format",
        choices=("tsv", "h5"),
        default="tsv",
        help="a table per layer, or a file per piece (default: %(default)s)",
    )
    parser.add_argument("--no-picture", action="store_true", help="draw nothing")
    parser.set_defaults(work=_export)


def is_dataset_call(argv: Sequence[str]) -> bool:
    """Whether a command line is ``features BIDS_DIR ...`` rather than ``features AUDIO ...``."""
    return len(argv) > 1 and argv[0] == "features" and Path(argv[1]).is_dir()


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
        network = find_space(space.features).network
        grams = load_or_compute_grams(
            [(stimulus.label, stimulus.path) for stimulus in plan.stimuli],
            find_weights(config.model.weights) if network else None,
            features=space.features,
            hop=config.model.hop,
            cache_dir=config.cache_dir,
            device=resolve_device(config.running.device) if network else "cpu",
            progress=lambda message: LOGGER.info("features: %s", message),
        )
        print(f"features of {len(grams.labels)} pieces of music are in {grams.path}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from bids_app.features.export import export_features
    from bids_app.features.vggish import resolve_device
    from bids_app.resources import find_weights

    network = find_space(options.features).network
    files = export_features(
        options.audio,
        options.output_dir,
        weights=find_weights(options.vggish_weights) if network else None,
        layers=options.layers,
        features=options.features,
        device=resolve_device(options.device) if network else "cpu",
        hop=options.hop,
        preset=options.preset,
        n_components=options.n_components,
        file_format=options.format,
        picture=not options.no_picture,
        progress=lambda message: LOGGER.info("features: %s", message),
    )
    print(f"{len(files)} files written to {options.output_dir}")
    return 0
