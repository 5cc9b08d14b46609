"""Options of what is done with continuous ratings of the music."""

from __future__ import annotations

import argparse
from pathlib import Path

from bids_app.cli.option_types import absolute, rate, span
from bids_app.config import Emotion


def add_ratings(parser: argparse.ArgumentParser) -> None:
    """Add the options to the app's parser."""
    group = parser.add_argument_group(
        "continuous ratings of the music: where does the brain follow them, which layers predict "
        "them (docs/emotion.md)"
    )
    group.add_argument(
        "--ratings",
        type=Path,
        metavar="TABLE.tsv",
        help="columns stimulus, time (seconds into the music), one per scale, optionally "
        "participant_id; or stimulus and ratings_file, one file per line (default: *_stim.tsv.gz "
        "and *_beh.tsv of the dataset)",
    )
    group.add_argument(
        "--emotion",
        choices=("auto", "off"),
        default=Emotion.mode,
        help="auto: what the ratings allow; off: nothing (default: %(default)s)",
    )
    group.add_argument(
        "--scales",
        nargs="+",
        default=[],
        metavar="NAME",
        help="columns that are scales (default: all others than those named above)",
    )
    group.add_argument(
        "--rating-hrf",
        "--rating_hrf",
        choices=("spm", "glover", "fir"),
        default=Emotion.hrf,
        help="canonical response to a change of a rating, or one coefficient per delay (default: "
        "%(default)s)",
    )
    group.add_argument(
        "--rating-delays",
        "--rating_delays",
        type=span,
        default=Emotion.delays,
        metavar="FIRST:LAST",
        help="delays of fir in seconds, positive where the brain follows the rating; write "
        "--rating-delays=-10:10 (the default)",
    )
    group.add_argument(
        "--rating-rate",
        "--rating_rate",
        type=rate,
        default=Emotion.rate,
        metavar="tr|own|HZ",
        help="samples per second at which layers predict ratings: one per repetition time, the "
        "ratings' own, or a number (default: %(default)s)",
    )


def ratings_of(options: argparse.Namespace) -> Emotion:
    """The settings behind the options."""
    return Emotion(
        mode=options.emotion,
        ratings=absolute(options.ratings),
        scales=tuple(options.scales),
        hrf=options.rating_hrf,
        delays=options.rating_delays,
        rate=options.rating_rate,
    )
