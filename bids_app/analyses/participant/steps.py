"""The steps from one participant's runs to maps and page, in the order of the data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_app.analyses.folder.records import Record
from bids_app.analyses.participant.figures import draw_stimuli
from bids_app.analyses.participant.layers import LayerFits, fit_layers, fitting_arrays
from bids_app.analyses.participant.preference import derive_preference
from bids_app.analyses.participant.regions import regions_of_runs, write_regions
from bids_app.analyses.participant.repeats import (
    CeilingOfRepeats,
    beside_ceiling,
    ceiling_of_repeats,
)
from bids_app.analyses.participant.responses import Prepared, prepare_responses
from bids_app.analyses.participant.subcortex import SubcorticalFits, write_subcortex
from bids_app.analyses.participant.weights import FittedModel, save_weights
from bids_app.analyses.participant.write import common_fields, presentations, write_participant
from bids_app.config import Cleaning, FeatureSpace, Model, Statistics
from bids_app.encoding.folds import held_out_stimuli
from bids_app.errors import CannotWriteError
from bids_app.features.cache import FeatureGrams, load_or_compute_grams
from bids_app.features.kept import keep_grams
from bids_app.features.loudness import Loudness
from bids_app.features.registry import find_space
from bids_app.features.vggish import resolve_device
from bids_app.inputs.records import BoldRun
from bids_app.outputs import OutputTree

LOGGER = logging.getLogger("bids_app.analyses")

Stimuli = Sequence[tuple[str, Path]]
"""Label and audio file of every stimulus."""


def compute_features(
    tree: OutputTree,
    stimuli: Stimuli,
    space: FeatureSpace,
    weights: str,
    model: Model,
    cache_dir: Path,
    device: str,
    folder: Path,
) -> FeatureGrams:
    """Gram matrix of every layer over all stimuli, from the cache where it is there.

    The output folder keeps them too, for the group level. `folder` is of this step: features are
    kept there where others may write to the cache.
    """
    grams = load_or_compute_grams(
        stimuli,
        weights or None,
        features=space.features,
        hop=model.hop,
        cache_dir=cache_dir,
        device=resolve_device(device) if find_space(space.features).is_network else "cpu",
        progress=lambda message: LOGGER.info("features: %s", message),
        private=folder,
    )
    if reason := keep_grams(grams, tree.features):
        LOGGER.warning("features: %s", reason)
    try:
        draw_stimuli(grams, stimuli)
    except CannotWriteError as error:
        LOGGER.warning("the pictures of the stimuli are left out: %s", error)
    return grams


def clean_runs(
    runs: Sequence[BoldRun], sounds: dict[str, Loudness], cleaning: Cleaning, statistics: Statistics
) -> Prepared:
    """Cleaned responses of one participant on the clock of the music."""
    LOGGER.info("sub-%s: cleaning %d runs", runs[0].participant, len(runs))
    prepared = prepare_responses(runs, cleaning, sounds=sounds, random_seed=statistics.random_seed)
    for row in prepared.summary:
        if row["warnings"]:
            LOGGER.warning("%s: %s", row["run"], row["warnings"])
    return prepared


def compare_presentations(
    prepared: Prepared, durations: Mapping[str, float], model: Model, statistics: Statistics
) -> CeilingOfRepeats | None:
    """Noise ceiling of a participant who heard pieces repeatedly, the same for every model.

    `durations` are the seconds of every stimulus.
    """
    blocks = prepared.blocks
    held_out = held_out_stimuli([block.stimulus for block in blocks], durations)
    return ceiling_of_repeats(blocks, held_out, model, statistics.random_seed)


def fit_model(
    record: Record,
    grams: FeatureGrams,
    prepared: Prepared,
    cleaning: Cleaning,
    model: Model,
    statistics: Statistics,
    n_threads: int,
    device: str,
) -> LayerFits:
    """Encoding models of all layers of one feature space."""
    return fit_layers(
        grams,
        prepared.blocks,
        layers=record.settings["layers"],
        model=model,
        statistics=statistics,
        high_pass=cleaning.high_pass,
        n_threads=n_threads,
        arrays=fitting_arrays(device),
        progress=lambda layer, n_layers, name: LOGGER.info(
            "sub-%s: encoding layer %d of %d (%s)", record.participant, layer, n_layers, name
        ),
    )


def save_model_weights(
    tree: OutputTree,
    record: Record,
    grams: FeatureGrams,
    prepared: Prepared,
    fits: LayerFits,
    stimuli: Stimuli,
    space: FeatureSpace,
    weights: str,
    cleaning: Cleaning,
    model: Model,
) -> list[Path]:
    """Weights of single layers at their units."""
    LOGGER.info("sub-%s: weights (model-%s)", record.participant, record.model)
    fitted = FittedModel(
        grams,
        prepared.blocks,
        fits,
        model,
        cleaning.high_pass,
        dict(stimuli),
        space.features,
        weights or None,
    )
    return save_weights(tree, record, fitted)


def write_model(
    tree: OutputTree,
    record: Record,
    prepared: Prepared,
    fits: LayerFits,
    shared: list[Path],
    runs: Sequence[BoldRun],
    cleaning: Cleaning,
    weights_files: list[Path] | None = None,
    subcortex: SubcorticalFits | None = None,
    repeats: CeilingOfRepeats | None = None,
) -> list[Path]:
    """Layer preference, and every map of one feature space."""
    depth, slope_model = (record.settings[name] for name in ("layer_depth", "slope_model"))
    preference = derive_preference(fits, depth, slope_model)
    if preference is not None and (preference.reason or preference.doubt):
        told = preference.doubt or f"no layer preference: {preference.reason}"
        LOGGER.warning("sub-%s: model-%s: %s", record.participant, record.model, told)
    regions = regions_of_runs(runs, cleaning)
    tables: list[Path] = []
    if regions is not None:
        parcels = str(cleaning.parcels)
        tables = write_regions(tree, record, fits, preference, regions, parcels)
    if subcortex is not None:
        common = common_fields(tree, record, subcortex.fits, subcortex.blocks)
        places = presentations([(b.run, b.stimulus) for b in subcortex.blocks])
        tables += write_subcortex(tree, record, subcortex, preference, common, places)
    written = write_participant(
        tree,
        record,
        fits,
        preference,
        prepared.blocks,
        repeats=None if repeats is None else beside_ceiling(repeats, fits),
        shared=[*shared, *tables, *(weights_files or [])],
    )
    LOGGER.info(
        "sub-%s: %d files written (model-%s)", record.participant, len(written), record.model
    )
    return written
