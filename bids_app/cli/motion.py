"""``musenc motion``: motion that follows the music, as features that models can be given."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from bids_app.errors import MissingInputError
from bids_app.files import write_text
from bids_app.log import tell

LOGGER = logging.getLogger("bids_app")


def add_motion(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc motion``."""
    parser = commands.add_parser(
        "motion",
        help="motion and breathing that listeners share with the music, as a feature space",
        description="Writes, for every piece, the mean course over listeners of framewise "
        "displacement, DVARS and the amplitude of breathing while they heard it. "
        "--features precomputed:DIR makes a model of them, and --joint NAME=precomputed:DIR+SPACE "
        "says what a space adds to them (docs/models.md).",
    )
    parser.add_argument("results", type=Path, help="output folder of musenc-bidsapp")
    parser.add_argument("-o", "--output-dir", type=Path, required=True, metavar="DIR")
    parser.set_defaults(work=_run_motion)


def _run_motion(options: argparse.Namespace) -> int:
    from bids_app.analyses.group.collect import read_encoding
    from bids_app.analyses.group.motion import motion_courses
    from bids_app.outputs import OutputTree

    tree = OutputTree(options.results)
    models = tree.models()
    people = tree.participants_of(models[0]) if models else []
    if not people:
        raise MissingInputError(
            "The output folder holds no participant maps.",
            where=options.results,
            found="no maps of participants",
            wanted="the output of a participant level",
            remedy="run the participant level first",
        )
    stored = [read_encoding(tree, who, models[0]) for who in people]
    stimuli = sorted({name for one in stored for name in one["Stimuli"]})
    space = str(stored[0]["Settings"]["space"])
    courses, reasons = motion_courses(tree, people, stimuli, space)
    for reason in reasons:
        LOGGER.warning("%s", reason)
    if not courses:
        raise MissingInputError(
            "There is no motion to be written.",
            where=options.results,
            found="; ".join(reasons),
            wanted="three participants with responses on one clock",
            remedy="run the participant level again, for three participants or more",
        )
    for stimulus, table in courses.items():
        text = table.to_csv(sep="\t", index=False, float_format="%.6g")
        tell(str(write_text(options.output_dir / f"{stimulus}.tsv", text)))
    return 0
