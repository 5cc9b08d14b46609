"""``musenc features``: compute the stimulus side before the participants."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

LOGGER = logging.getLogger("bids_app")


def add_features(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc features``."""
    parser = commands.add_parser(
        "features",
        help="compute the features of the music, before the participants run",
        usage="musenc features BIDS_DIR OUTPUT_DIR [options of musenc-bidsapp]",
        description="Computes the audio network's features of all the music of a study into the "
        "cache (--cache-dir) and stops. Run it once before many participants run at the same "
        "time; they find the features there. Takes the options of musenc-bidsapp, which decide "
        "what the music is (--task-id, --stimuli, ...) and by which network it is described.",
    )
    parser.add_argument("bids_dir", help="as of musenc-bidsapp")
    parser.add_argument("output_dir", help="as of musenc-bidsapp; gets the cache by default")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of musenc-bidsapp")
    parser.set_defaults(work=_run_features, verbose=0)


def _run_features(options: argparse.Namespace) -> int:
    from bids_app.cli.parser import parse_config
    from bids_app.cli.run import make_plan
    from bids_app.features.cache import load_or_compute_grams
    from bids_app.resources import find_weights

    config = parse_config([options.bids_dir, options.output_dir, "participant", *options.options])
    plan = make_plan(config)
    grams = load_or_compute_grams(
        [(stimulus.label, Path(stimulus.path)) for stimulus in plan.stimuli],
        find_weights(config.model.weights),
        hop=config.model.hop,
        cache_dir=config.cache_dir,
        progress=lambda message: LOGGER.info("features: %s", message),
    )
    print(f"features of {len(grams.labels)} pieces of music are in {grams.path}")
    return 0
