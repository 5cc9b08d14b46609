"""``musenc power``: what a study of some size could show, before it is done."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product

import numpy as np

from bids_app.config.options import at_least, between, non_negative, positive_number
from bids_app.group.power import (
    ALIGNMENT_SD,
    SECONDS_PER_SAMPLE,
    SLOPE_RATIO,
    detectable_effects,
)
from bids_app.log import tell
from bids_app.statistics import SIGNIFICANCE

DESCRIPTION = """\
Computes the smallest accuracy, slope and alignment that a study could find with a power of .8 at
p < .05, for one planned test. A claim needs people and music, so the larger one counts:

  people  would other listeners show it? More participants help, and more music.
  music   is it beyond chance agreement with these pieces? What listeners share (the inter-subject
          correlation, ISC) is the same accident of the pieces in everybody: more participants stop
          helping once ISC squared times their number is above one. More music helps.

Give several values to compare studies: every combination is a row."""

EPILOG = f"""\
what the columns are:
  accuracy   mean correlation r of predicted and measured response, one layer and vertex or region
  slope      residual slope there, in r per network depth (first to last layer)
  alignment  mean correlation of participants' measured slope maps with a gradient
  true alignment
             with --expected-r: the correlation of the slopes themselves that noise lets show as
             such an alignment; n/a where even a correlation of 1 would not show
  power      of people and music at --expected-r, the smaller one (slope: at --expected-slope)

where the numbers come from: {SECONDS_PER_SAMPLE:g} s of music are one independent sample
(--seconds-per-sample), a slope's null is {SLOPE_RATIO:g} times as wide as accuracy's, and slopes of
noise correlate with the principal gradient with a standard deviation of {ALIGNMENT_SD:g}. They were
measured on one resting run (TR 1 s, high-pass 128 s, delays of 3 to 9 s) with layers of an
untrained VGGish; yours may differ by a third. From a participant's maps of your own:
seconds-per-sample = kept seconds x (r / z)^2 / 2. Corrections over vertices come on top: there the
detectable accuracy is about twice as large.

examples:
  musenc power --participants 20 --minutes 30 --pieces 6 --isc .1 --expected-r .1
  musenc power --participants 12 24 39 --minutes 15 30 60 --pieces 6 --isc .05 .2 --train-on both"""


def add_power(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc power``."""
    parser = commands.add_parser(
        "power",
        help="what a study of some size could show: accuracy, slope and alignment",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--participants", type=at_least(2), nargs="+", required=True, metavar="N")
    parser.add_argument(
        "--minutes",
        type=positive_number,
        nargs="+",
        required=True,
        help="of music, all pieces together",
    )
    parser.add_argument(
        "--pieces", type=at_least(2), nargs="+", required=True, metavar="N", help="2 or more"
    )
    parser.add_argument(
        "--isc",
        type=between(-1, 1),
        nargs="+",
        required=True,
        metavar="R",
        help="inter-subject correlation where the effect is looked for: about .1 to .3 in auditory "
        "cortex, .02 to .1 elsewhere (the group level's stat-isc_desc-pairwise)",
    )
    parser.add_argument(
        "--expected-r",
        type=between(0, 1),
        metavar="R",
        help="accuracy that is expected of a layer there, with the weights of the row: its power "
        "is given too",
    )
    parser.add_argument(
        "--expected-slope",
        type=between(0, 1),
        metavar="R",
        help="spread of the true slope over vertices (default: half of --expected-r)",
    )
    parser.add_argument(
        "--train-on",
        choices=("own", "others", "both"),
        default="own",
        help="whose responses train, as at the group level (default: own). With the others' "
        "weights nulls are wider where listeners share a response, and accuracies higher",
    )
    parser.add_argument(
        "--crop",
        type=non_negative,
        default=15.0,
        metavar="S",
        help="at both ends (default: %(default)g)",
    )
    parser.add_argument(
        "--seconds-per-sample",
        type=positive_number,
        default=SECONDS_PER_SAMPLE,
        metavar="S",
        help="per independent sample (default: %(default)g)",
    )
    parser.set_defaults(work=_run_power)


def _run_power(options: argparse.Namespace) -> int:
    rows = list(_rows(options))
    for cells in [list(rows[0]), *(list(row.values()) for row in rows)]:
        tell("\t".join(cells))
    few = sorted({n for n in options.participants if 2 / 2**n >= SIGNIFICANCE})
    for n in few:
        accuracy = " and accuracy, a one-sided test," if 1 / 2**n < SIGNIFICANCE else ""
        verb = "are" if accuracy else "is"
        tell(
            f"\nWith {n} participants sign flips give no two-sided p below .05: over people nothing"
            f" but the primary claim, a t test,{accuracy} {verb} possible."
        )
    return 0


def _rows(options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """One row per study, cells by the name of their column."""
    chosen = ("own", "others") if options.train_on == "both" else (options.train_on,)
    studies = product(options.participants, options.minutes, options.pieces, options.isc, chosen)
    for n, minutes, pieces, isc, weights in studies:
        found = detectable_effects(
            n,
            minutes,
            pieces,
            isc,
            expected_r=options.expected_r,
            expected_slope=options.expected_slope,
            weights=weights,
            crop=options.crop,
            seconds_per_sample=options.seconds_per_sample,
        )
        row = {
            "participants": f"{n}",
            "minutes": f"{minutes:g}",
            "pieces": f"{pieces}",
            "ISC": f"{isc:g}",
            "weights": weights,
        }
        for one in found:
            row[one.what] = _number(one.needed)
            row[f"{one.what}, people"] = _number(one.people)
            row[f"{one.what}, music"] = _number(one.music)
        for one in found:
            if np.isfinite(one.power):
                row[f"power, {one.what}"] = f"{one.power:.2f}"
        yield row


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "n/a"
