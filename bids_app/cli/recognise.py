"""``musenc recognise``: which emotion does music express, from which layer."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from bids_app.cli.parser import add_option
from bids_app.config import Statistics
from bids_app.config.options import at_least
from bids_app.log import tell
from bids_app.plain import some_of
from bids_app.recognition.classify import CLASSIFIERS

LOGGER = logging.getLogger("bids_app")

# Columns of the table on the screen.
SHOWN = {
    "features": "features",
    "n_features": "n",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "chance": "chance",
    "p": "p",
    "p_corrected": "p corrected",
}

DESCRIPTION = """\
Cross-validated classification of clips by emotion from every layer or feature space, with its
chance level and p by permutation of the labels (Koh and Dubnov 2021, arXiv:2104.06517).

FEATURES    a folder that one call of `musenc features` filled (every clip is the mean of its time
            series), an .npz file (array `clips`, and one clips x features array per feature
            space), or a table with a column `clip` and one column per feature, named
            `layer:feature` for several feature spaces
LABELS.tsv  a column `clip` (file name; folder and ending do not count) and a column `label`, or
            `valence` and `arousal` around 0, which make quadrants: Q1 (+, +), Q2 (-, +), Q3 (-, -),
            Q4 (+, -); with a column `song` or `artist`, clips of one are never in both
            training and test set
"""

EXAMPLE = """\
example:
  musenc features clips/*.wav -o features
  musenc recognise features labels.tsv -o recognition --classifier logistic
"""


def add_recognise(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc recognise``."""
    parser = commands.add_parser(
        "recognise",
        aliases=["recognize"],
        help="classify clips by emotion from each layer, with chance level and p",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("features", type=Path, metavar="FEATURES", help="features of the clips")
    parser.add_argument("labels", type=Path, metavar="LABELS.tsv", help="their emotions")
    parser.add_argument(
        "-o",
        "--output-dir",
        type=Path,
        metavar="DIR",
        help="where recognition.tsv and .json are written (default: the table is only printed)",
    )
    parser.add_argument(
        "--classifier",
        choices=CLASSIFIERS,
        default="svm",
        help="support vectors (radial kernel), random forest of 200 trees, or logistic regression "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--n-folds",
        type=at_least(2),
        default=10,
        metavar="N",
        help="folds of the cross-validation, stratified by class; fewer where the rarest class has "
        "fewer clips or songs (default: %(default)d)",
    )
    parser.add_argument(
        "--n-permutations",
        type=at_least(0),
        default=200,
        metavar="N",
        help="permutations of the labels, 0 for none (default: %(default)d)",
    )
    add_option(parser, Statistics, "random_seed", help="of folds, forests and permutations")
    parser.set_defaults(work=_recognise)


def _recognise(options: argparse.Namespace) -> int:
    import pandas as pd

    from bids_app.recognition.folders import recognize_files, write_recognition

    settings = {
        "classifier": options.classifier,
        "n_folds": options.n_folds,
        "n_permutations": options.n_permutations,
        "seed": options.random_seed,
    }
    results, rows, left_out = recognize_files(
        options.features,
        options.labels,
        **settings,
        progress=lambda done, total, name: LOGGER.info(
            "recognition: feature space %d of %d (%s)", done + 1, total, name
        ),
    )
    table = pd.DataFrame(rows)[list(SHOWN)].rename(columns=SHOWN).set_index("features")
    tell(table.rename_axis(index=None, columns="features").to_string(float_format="%.3f"))
    first = next(iter(results.values()))
    tell(
        f"{first.n_clips} clips, {len(first.classes)} classes ({', '.join(first.classes)}), "
        f"{first.n_folds} folds, {options.classifier}, {options.n_permutations} permutations"
    )
    if left_out:
        which = some_of(left_out)
        tell(f"{len(left_out)} clips have only features or only a label, left out: {which}")
    if options.output_dir is not None:
        files = write_recognition(
            options.output_dir,
            results,
            rows,
            settings={**settings, "features": options.features, "labels": options.labels},
            left_out=left_out,
        )
        tell(f"written: {', '.join(str(path) for path in files)}")
    return 0
