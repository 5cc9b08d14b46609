"""Options of the analyses of experimental conditions."""

from __future__ import annotations

import argparse

from bids_app.config import Conditions

DESCRIPTION = """\
--contrast at the participant level: maps of a difference between conditions of the events, with
--seed of how the coupling with a region depends on it (PPI), with --target the lagged correlation
of two regions. Runs need no music for this. The group level tests what it finds over participants,
with --rating-difference also against a number per participant. Definitions: docs/emotion.md.
"""


def add_conditions(parser: argparse.ArgumentParser) -> None:
    """Add the options to the app's parser."""
    group = parser.add_argument_group("conditions", DESCRIPTION)
    group.add_argument(
        "--contrast",
        nargs="+",
        default=[],
        metavar="A-B",
        help="conditions joined by + and -, with factors if need be: dissonant-consonant, "
        "'a - 0.5*b - 0.5*c'; unknown names end in a list of those there are",
    )
    group.add_argument(
        "--condition-column",
        default=Conditions.column,
        metavar="COLUMN",
        help="which column of the events names conditions (default: %(default)s)",
    )
    region = (
        "a .label or .label.gii file (its name says lh or rh; FILE.label.gii:NAME for one of its "
        "labels), x,y,z[@radius] in mm on the template's cortex (write --seed=-52,4,-8 where x is "
        "negative), or a .nii.gz mask in MNI space, read from fMRIPrep's MNI volumes"
    )
    group.add_argument("--seed", metavar="REGION", help=f"seed of the interaction: {region}")
    group.add_argument(
        "--target",
        metavar="REGION",
        help="region correlated with the seed over lags, written like the seed; at a positive lag "
        "the target leads the seed",
    )
    group.add_argument(
        "--max-lag",
        type=float,
        default=Conditions.max_lag,
        metavar="SECONDS",
        help="lags from minus this to this (default: %(default)g)",
    )
    group.add_argument(
        "--rating-difference",
        metavar="COLUMN|TABLE.tsv:COLUMN",
        help="group level: a number per participant, such as the rating of dissonant minus that of "
        "consonant music, from participants.tsv of bids_dir or a table with participant_id; n/a "
        "keeps a participant out",
    )
    group.add_argument(
        "--difference-test",
        choices=("permutation", "sign-flip"),
        default=Conditions.difference_test,
        help="group level: residuals without the rating are permuted (Freedman and Lane) or "
        "flipped in sign (default: %(default)s)",
    )


def conditions_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Conditions:
    """The section of the configuration; options that need another one end in a usage message."""
    for name, other in (("seed", "contrast"), ("target", "seed")):
        if getattr(options, name) and not getattr(options, other):
            parser.error(f"--{name} needs --{other}")
    if not options.max_lag > 0:
        parser.error("--max-lag must be positive")
    return Conditions(
        contrasts=tuple(options.contrast),
        column=options.condition_column,
        seed=options.seed,
        target=options.target,
        max_lag=options.max_lag,
        rating_difference=options.rating_difference,
        difference_test=options.difference_test,
    )
