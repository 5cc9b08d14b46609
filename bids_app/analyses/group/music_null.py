"""Group accuracy against chance alignment with the music: the second of the two claims."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.declare import MapOutput
from bids_app.analyses.group.accuracy import GroupAccuracy
from bids_app.analyses.group.analysis import GroupAnalysis, state
from bids_app.analyses.group.clock import share_clock, stack_responses
from bids_app.analyses.group.collect import GroupData, load_fold_maps, read_encoding
from bids_app.analyses.participant.layers import StimulusSide
from bids_app.config import Model, Statistics
from bids_app.encoding import EncodingPlan
from bids_app.encoding.phases import segment_labels
from bids_app.errors import BadDataError
from bids_app.features.cache import FeatureGrams
from bids_app.group import (
    PredictionModel,
    StimulusNull,
    median_penalty,
    refit_stimulus_null,
    stimulus_null,
)
from bids_app.outputs import OutputTree
from bids_app.report.group import Shown, tell_music
from bids_app.seeds import random_phases
from bids_app.statistics import SIGNIFICANCE

LOGGER = logging.getLogger("bids_app.analyses")

N_CHECK_VERTICES = 60
N_CHECK_DRAWS = 100


@dataclass(frozen=True)
class NullCheck:
    """Standard deviation of the closed form over that of refits, at some vertices of one layer.

    Attributes
    ----------
    layer : int
        Number of the layer (1-based): that of the highest mean accuracy.
    n_vertices, n_draws : int
        How many of each.
    low, median, high : float
        5 %, 50 % and 95 % quantiles of the ratio over vertices.
    """

    layer: int
    n_vertices: int
    n_draws: int
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class MusicNull:
    """The stimulus null of the group mean, or why there is none.

    Attributes
    ----------
    result : StimulusNull or None
    reasons : list of str
        Why there is none; empty where there is one.
    check : NullCheck or None
        The closed form beside refits; None where there is none.
    predicted : array of shape (n_vertices,) or None
        Layers of which both claims hold; NaN where there is no accuracy.
    """

    result: StimulusNull | None
    reasons: list[str]
    check: NullCheck | None = None
    predicted: NDArray[np.float64] | None = None

    @property
    def check_record(self) -> dict[str, Any] | None:
        """The check as the sidecar has it."""
        return None if self.check is None else asdict(self.check)

    @property
    def states(self) -> list[dict[str, str]]:
        """That it was done, or why not."""
        return [state("music", reason=reason) for reason in self.reasons] or [state("music")]


def group_music_null(
    tree: OutputTree,
    data: GroupData,
    accuracy: GroupAccuracy,
    cache_dir: Path,
    folder: Path,
    statistics: Statistics,
    n_threads: int = 1,
) -> MusicNull:
    """Closed-form null of the group mean with the music's phases shared by all participants.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
    accuracy : GroupAccuracy
    cache_dir : Path
        Where the participant level kept the Gram matrices.
    folder : Path
        For memory-mapped stacks of responses.
    statistics : Statistics
        Its seed is that of the refits that check the closed form.
    n_threads : int
    """
    LOGGER.info("group: null over music")
    stored = read_encoding(tree, data.participants[0], data.model)
    grams_dir = cache_dir / str(stored.get("FeaturesFolder", ""))
    if not (grams_dir / "features.json").is_file():
        return _left_out(f"the features of the music are not in {cache_dir}; give --cache-dir")
    shared = share_clock(tree, data.participants, data.stimuli, data.space)
    if shared.reasons:
        return _left_out("; ".join(shared.reasons))
    stacks = [stack_responses(tree, shared, s, data.space, folder) for s in data.stimuli]
    grams = FeatureGrams.load(grams_dir)
    _check_grams(grams, data, stored["Stimuli"])
    settings: dict[str, Any] = data.settings
    model = Model(
        delays=tuple(settings["delays"]), crop=settings["crop"], alphas=tuple(settings["alphas"])
    )
    times = [stack.times for stack in stacks]
    side = StimulusSide(grams, data.stimuli, times, stacks[0].tr, model, settings["high_pass"])

    def plan_of(layer: int) -> EncodingPlan:
        return side.plan(side.gram(data.layer_names[layer]))

    first = plan_of(0)
    cut = [
        stacks[segment.block].values[:, segment.start : segment.stop] for segment in first.segments
    ]
    alphas = load_fold_maps(tree, data, "alpha")
    penalty = median_penalty(alphas.reshape(-1, *alphas.shape[2:]), settings["alphas"])
    layers = range(len(data.layer_names))
    models = (_model(plan_of(layer) if layer else first) for layer in layers)
    result = stimulus_null(cut, models, penalty, accuracy.mean_r, n_threads=n_threads)
    layer = int(np.nanargmax(np.nanmean(accuracy.mean_r, axis=1)))
    plan = plan_of(layer)
    checksums = [str(stored["Stimuli"][stimulus]) for stimulus in data.stimuli]
    seed = statistics.random_seed
    check = check_null(result, plan, cut, alphas[:, :, layer], data, layer, checksums, seed)
    both = (accuracy.p_max_t < SIGNIFICANCE) & (result.q < SIGNIFICANCE)
    predicted = np.where(np.isfinite(accuracy.t[0]), both.sum(axis=0), np.nan)
    return MusicNull(result, [], check, predicted)


def _left_out(reason: str) -> MusicNull:
    LOGGER.warning("group: no null over music: %s", reason)
    return MusicNull(None, [reason])


def _check_grams(grams: FeatureGrams, data: GroupData, checksums: Mapping[str, str]) -> None:
    """Whether the features are those of the music and the layers of the maps.

    Raises
    ------
    BadDataError
    """
    there = dict(zip(grams.labels, grams.checksums, strict=False))
    other = [name for name in data.stimuli if there.get(name) != checksums.get(name)]
    lacking = [name for name in data.layer_names if name not in grams.layer_names]
    if other or lacking:
        raise BadDataError(
            "The features in the cache are not those of the maps.",
            where=grams.path,
            found=f"stimuli {', '.join(there)}; layers {', '.join(grams.layer_names)}",
            wanted=", ".join([*other, *lacking]),
            remedy="delete the folder, or give another one with --cache-dir",
        )


def check_null(
    result: StimulusNull,
    plan: EncodingPlan,
    responses: Sequence[NDArray[np.float32]],
    alphas: NDArray[np.float32],
    data: GroupData,
    layer: int,
    checksums: Sequence[str],
    seed: int,
) -> NullCheck | None:
    """Compare the closed form with refits, each participant with its own penalties.

    Phases come from the seed, the stimulus' checksum and the draw, so that they are the same for
    every participant; `alphas` is (n_participants, n_folds, n_vertices). None where the folds are
    not those of the participants or fewer than two vertices are usable.
    """
    held = [frozenset(name.split("+")) for name in data.held_out]
    folds = [frozenset(fold.held_out) for fold in plan.folds]
    usable = np.flatnonzero(np.isfinite(result.sd[layer]) & np.isfinite(alphas).all(axis=(0, 1)))
    if set(held) != set(folds) or len(usable) < 2:
        return None
    n_vertices = min(N_CHECK_VERTICES, len(usable))
    vertices = usable[np.linspace(0, len(usable) - 1, n_vertices).astype(int)]
    grid = np.log(np.asarray(data.settings["alphas"]))
    picked = alphas[:, [held.index(fold) for fold in folds]][:, :, vertices]
    penalty = np.abs(np.log(picked)[..., np.newaxis] - grid).argmin(axis=-1)
    labels = segment_labels(plan, checksums)
    draws = refit_stimulus_null(
        [np.asarray(one[:, :, vertices]) for one in responses],
        _model(plan),
        penalty,
        n_draws=N_CHECK_DRAWS,
        phases=lambda draw, segment, n_freq: random_phases(seed, labels[segment], draw, n_freq),
    )
    ratio = result.sd[layer, vertices] / draws.std(axis=0)
    low, median, high = (float(value) for value in np.nanquantile(ratio, (0.05, 0.5, 0.95)))
    return NullCheck(layer + 1, n_vertices, N_CHECK_DRAWS, low, median, high)


def _model(plan: EncodingPlan) -> PredictionModel:
    resolution = plan.resolution
    return PredictionModel(
        resolution.matrices,
        resolution.sources,
        resolution.fold_of,
        [segment.size for segment in plan.segments],
    )


_NULL = "null over music: phases of the responses rotated alike in all participants"
_OUTPUTS = (
    MapOutput(
        "p",
        "result.p",
        f"one-sided p, {_NULL}",
        desc="music",
        details={"RefitCheck": "check_record"},
    ),
    MapOutput("q", "result.q", f"q per layer, {_NULL}", desc="music"),
    MapOutput(
        "n",
        "predicted",
        "layers that predict the vertex: max-T p < .05 and q over music < .05",
        desc="predicted",
        name="layers",
    ),
)
MUSIC = GroupAnalysis("music", group_music_null, _OUTPUTS, page=Shown(tell_music))
