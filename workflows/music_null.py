"""Group accuracy against chance alignment with the music: the second of the two claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.encoding import EncodingPlan, plan_encoding
from bids_app.features.cache import FeatureGrams
from bids_app.features.timing import sample_gram
from bids_app.files import read_json
from bids_app.group import PredictionModel, StimulusNull, median_penalty, stimulus_null
from bids_app.outputs import OutputTree

from .aggregate import GroupData, load_fold_maps
from .isc import Stack, stack_responses


@dataclass(frozen=True)
class MusicNull:
    """The stimulus null of the group mean, or why there is none.

    Attributes
    ----------
    result : StimulusNull or None
    reasons : list of str
        Why there is none; empty where there is one.
    """

    result: StimulusNull | None
    reasons: list[str]


def group_music_null(
    tree: OutputTree,
    data: GroupData,
    mean_r: NDArray[np.float64],
    cache_dir: Path,
    folder: Path,
    *,
    n_threads: int = 1,
) -> MusicNull:
    """Closed-form null of the group mean with the music's phases shared by all participants.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
    mean_r : array of shape (n_layers, n_vertices)
        Group accuracy.
    cache_dir : Path
        Where the participant level kept the Gram matrices.
    folder : Path
        For memory-mapped stacks of responses.
    n_threads : int
    """
    stored = read_json(tree.participant_settings(data.participants[0], data.model))
    grams_dir = cache_dir / str(stored.get("FeaturesFolder", ""))
    if not (grams_dir / "features.json").is_file():
        reason = f"the features of the music are not in {cache_dir}; give --cache-dir"
        return MusicNull(None, [reason])
    stacks = []
    for stimulus in data.stimuli:
        stacked = stack_responses(tree, data.participants, stimulus, data.space, folder)
        if isinstance(stacked, str):
            return MusicNull(None, [f"{stimulus}: {stacked}"])
        stacks.append(stacked)
    grams = FeatureGrams.load(grams_dir)
    plans = _plans(grams, data, stacks)
    first = next(plans)
    cut = [
        stacks[segment.block].values[:, segment.start : segment.stop] for segment in first.segments
    ]
    alphas = load_fold_maps(tree, data, "alpha")
    penalty = median_penalty(alphas.reshape(-1, *alphas.shape[2:]), data.settings["alphas"])
    models = (_model(plan) for plan in _chain(first, plans))
    return MusicNull(stimulus_null(cut, models, penalty, mean_r, n_threads=n_threads), [])


def _plans(grams: FeatureGrams, data: GroupData, stacks: Sequence[Stack]) -> Iterator[EncodingPlan]:
    """The stimulus side of every layer, as the participants had it."""
    settings: dict[str, Any] = data.settings
    index = [grams.labels.index(label) for label in data.stimuli]
    times = [stack.times for stack in stacks]
    for name in data.layer_names:
        gram = sample_gram(
            grams.gram(grams.layer_names.index(name) + 1),
            grams.patch_times,
            index,
            times,
            stacks[0].tr,
            high_pass=settings["high_pass"] or None,
        )
        yield plan_encoding(
            gram,
            [len(t) for t in times],
            stimuli=data.stimuli,
            delays=tuple(settings["delays"]),
            crop=settings["crop"],
            tr=stacks[0].tr,
            alphas=settings["alphas"],
            durations=dict(zip(grams.labels, grams.durations, strict=True)),
        )


def _chain(first: EncodingPlan, rest: Iterator[EncodingPlan]) -> Iterator[EncodingPlan]:
    yield first
    yield from rest


def _model(plan: EncodingPlan) -> PredictionModel:
    resolution = plan.resolution
    return PredictionModel(
        resolution.matrices,
        resolution.sources,
        resolution.fold_of,
        [segment.size for segment in plan.segments],
    )
