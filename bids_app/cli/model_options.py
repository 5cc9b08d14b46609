"""Options of the encoding model."""

from __future__ import annotations

import argparse

from bids_app.cli.option_types import non_negative, paths, penalties, positive_number, span
from bids_app.config import DEFAULT_FEATURES, Model
from bids_app.features.registry import spaces_text


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options of the encoding model."""
    group = parser.add_argument_group("encoding model")
    group.add_argument(
        "--features",
        nargs="+",
        default=[],
        metavar="SPACE",
        help=f"{spaces_text()}; each becomes a model of its own (default: {DEFAULT_FEATURES})",
    )
    group.add_argument(
        "--model-label",
        "--model_label",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="names of the models, one per feature space (default: made from their names)",
    )
    group.add_argument(
        "--layers",
        nargs="+",
        default=[],
        metavar="LAYER",
        help="numbers or names of VGGish's layers to fit (default: all 23)",
    )
    group.add_argument(
        "--vggish-weights",
        "--vggish_weights",
        metavar="FILE|random:SEED",
        help="torchvggish state dict, or an untrained network as a control (default: the file "
        "among the resources)",
    )
    group.add_argument(
        "--delays",
        type=span,
        default=Model.delays,
        metavar="FIRST:LAST",
        help="delays from music to response, in seconds (default: 3:9)",
    )
    group.add_argument(
        "--crop",
        type=non_negative,
        default=Model.crop,
        metavar="SECONDS",
        help="left out at both ends of every piece (default: %(default)g)",
    )
    group.add_argument(
        "--hop",
        type=positive_number,
        default=Model.hop,
        metavar="SECONDS",
        help="between the starts of two patches of 0.96 s (default: %(default)g)",
    )
    group.add_argument(
        "--alphas",
        type=penalties,
        default=Model.alphas,
        metavar="FIRST:LAST:N",
        help="ridge penalties, equally spaced logarithms, relative to the mean diagonal of the "
        "kernel (default: 1e-3:1e5:20)",
    )
    group.add_argument(
        "--selection",
        choices=("r", "sse"),
        default=Model.selection,
        help="what chooses the penalty inside the training stimuli: mean correlation, or summed "
        "squared error (default: %(default)s)",
    )
    _add_weights(group)


def _add_weights(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--save-weights",
        "--save_weights",
        nargs="+",
        default=[],
        metavar="LAYER",
        help="keep weights of every unit and held-out predictions of these layers (names, numbers "
        "or all), up to 2 GiB, as HDF5",
    )
    group.add_argument(
        "--weights-mask",
        "--weights_mask",
        type=paths,
        default=(),
        metavar="LEFT,RIGHT",
        help="label or shape GIFTI, or tables of 0 and 1: vertices whose weights are kept "
        "(default: all with a result)",
    )


def model_of(options: argparse.Namespace) -> Model:
    """The settings that the options give."""
    return Model(
        features=tuple(options.features),
        labels=tuple(options.model_label),
        layers=tuple(options.layers),
        weights=options.vggish_weights,
        hop=options.hop,
        delays=options.delays,
        crop=options.crop,
        alphas=options.alphas,
        selection=options.selection,
        save_weights=tuple(options.save_weights),
        weights_mask=options.weights_mask,
    )
