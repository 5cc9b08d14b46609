"""Every layer's encoding model for one participant."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bids_app.analyses.participant.predicted import best_vertices, predicted_rows
from bids_app.analyses.participant.responses import Block
from bids_app.arrays import NUMPY, Arrays, arrays_on
from bids_app.bands import HighPass
from bids_app.config import Model, Statistics
from bids_app.encoding import (
    Chosen,
    EncodingPlan,
    EncodingResult,
    FeatureSimilarity,
    NoiseNull,
    check_checksums,
    feature_similarity,
    fit_encoding,
    noise_null,
    phase_null,
    plan_encoding,
    similarity_p,
)
from bids_app.encoding.phases import segment_labels
from bids_app.errors import inside
from bids_app.features.cache import FeatureGrams
from bids_app.features.timing import sample_gram, whole_clock
from bids_app.features.vggish import resolve_device
from bids_app.group import music_refits
from bids_app.inputs.records import common_tr
from bids_app.seeds import generator, random_phases
from bids_app.statistics import benjamini_hochberg, pareto_tail_p

LOGGER = logging.getLogger("bids_app.analyses")
SIMILARITY_DRAWS = 200
SHORT = 20  # samples of a piece: p has not been measured with fewer (docs/encoding.md)
COLUMNS = 4096  # vertices looked at together
SHORT_PHASES = 60  # with fewer p by refits under random phases is too small


@dataclass(frozen=True)
class LayerFits:
    """Encoding results of all layers of one participant.

    Attributes
    ----------
    r : array of shape (n_layers, n_vertices)
        Fisher-z mean over held-out stimuli, back-transformed.
    z, p, q : array of shape (n_layers, n_vertices)
        Against noise of the vertex' own class, or random phases; NaN without a null.
    null_sd : array of shape (n_layers, n_vertices)
        Standard deviation of the mean accuracy under the null.
    fold_r, alpha : array of shape (n_layers, n_folds, n_vertices)
        Accuracy and penalty per held-out stimulus.
    fold_stimuli : list of n_folds str
        Labels of the stimuli held out, joined by ``+``.
    layer_names : list of n_layers str
    features_folder : str
        Name of the folder of the Gram matrices in the cache.
    table : list of n_layers dict
        Per layer: units, effective rank, penalty-edge shares, accuracy.
    n_degenerate : int
        Vertices without a result.
    average_sd_ratio : float
        Null standard deviation of the layer average over the layers' mean standard deviation:
        below 1, since layers are not perfectly correlated. NaN without a null.
    p_max : array of shape (n_layers, n_vertices), or None
        By refits only: p corrected for the maximum over vertices and layers.
    n_refits : int
        Draws behind it.
    warnings : list of str
        What weakens the result.
    predicted : list of dict
        Predicted and measured time courses at the best vertices.
    told : mapping
        By layer and stimulus, fields for sidecars on how features were computed.
    """

    r: NDArray[np.float32]
    z: NDArray[np.float32]
    p: NDArray[np.float32]
    q: NDArray[np.float32]
    null_sd: NDArray[np.float32]
    fold_r: NDArray[np.float32]
    alpha: NDArray[np.float32]
    fold_stimuli: list[str]
    layer_names: list[str]
    features_folder: str
    table: list[dict[str, Any]]
    n_degenerate: int
    average_sd_ratio: float
    p_max: NDArray[np.float32] | None = None
    n_refits: int = 0
    warnings: list[str] = field(default_factory=list)
    predicted: list[dict[str, Any]] = field(default_factory=list)
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StimulusSide:
    """The music at the sampling times of a model's presentations.

    Attributes
    ----------
    grams : FeatureGrams
    labels : sequence of n_blocks str
        Stimulus of every presentation.
    times : sequence of n_blocks arrays of shape (n_times,)
        Seconds of the audio file that the volumes were sampled at; with gaps where volumes were
        censored.
    tr : float
        Seconds.
    model : Model
        Delays, crop and penalties.
    high_pass : float or Band
        Seconds; with 0 a line is taken out of every presentation. Or the band that the responses
        were filtered to before.
    """

    grams: FeatureGrams
    labels: Sequence[str]
    times: Sequence[NDArray[np.float64]]
    tr: float
    model: Model
    high_pass: HighPass

    @property
    def clocks(self) -> list[tuple[NDArray[np.float64], NDArray[np.intp]]]:
        """Times of every presentation without gaps, and the numbers of those with a volume."""
        return [whole_clock(np.asarray(own), self.tr) for own in self.times]

    @property
    def lengths(self) -> list[int]:
        """Rows of the Gram matrix of every presentation, gaps included."""
        return [len(whole) for whole, _ in self.clocks]

    def gram(self, layer: str) -> NDArray[np.float64]:
        """Gram matrix of a layer at the volumes, those in gaps too, filtered like the responses."""
        return sample_gram(
            self.grams.gram(self.grams.layer_names.index(layer) + 1),
            self.grams.patch_times,
            [self.grams.labels.index(label) for label in self.labels],
            [whole for whole, _ in self.clocks],
            self.tr,
            high_pass=self.high_pass,
        )

    @property
    def plan_options(self) -> dict[str, Any]:
        """Arguments of plans of these presentations, besides Gram matrices and `lengths`."""
        present = [kept for _, kept in self.clocks]
        gaps = self.lengths != [len(kept) for kept in present]
        return {
            "stimuli": self.labels,
            "delays": self.model.delays,
            "crop": self.model.crop,
            "tr": self.tr,
            "alphas": self.model.alphas,
            "durations": dict(zip(self.grams.labels, self.grams.durations, strict=True)),
            "present": present if gaps else None,
        }

    def plan(self, gram: NDArray[np.float64], *, dtype: DTypeLike = np.float32) -> EncodingPlan:
        """The encoding model of a layer's Gram matrix; `dtype` of products with responses."""
        return plan_encoding(gram, self.lengths, **self.plan_options, dtype=dtype)


def fitting_arrays(device: str) -> Arrays:
    """Where models are fitted: on a GPU where ``--device cuda`` asks for it.

    ``auto`` is the processor, so that no result depends on whether there is a GPU.

    Raises
    ------
    UsageError
        CUDA was asked for and torch sees none.
    """
    return arrays_on("cpu" if device == "auto" else resolve_device(device))


def fit_layers(
    grams: FeatureGrams,
    blocks: Sequence[Block],
    *,
    layers: Sequence[str] = (),
    model: Model,
    statistics: Statistics,
    high_pass: HighPass,
    n_threads: int = 1,
    arrays: Arrays = NUMPY,
    progress: Callable[[int, int, str], None] | None = None,
) -> LayerFits:
    """Fit one nested leave-one-stimulus-out model per layer, or for those `layers` in their order.

    The random seed of `statistics` draws the noise that is simulated for the null, the vertices
    and phases of the refits behind `LayerFits.average_sd_ratio`, and the `n_nulls` of
    ``null="phase"``.

    Raises
    ------
    BadDataError
        If the runs differ in repetition time.
    """
    null, seed = statistics.null, statistics.random_seed
    tr = common_tr({block.run: block.tr for block in blocks})
    # Folds are named and ordered alike for everybody, whatever was played first.
    blocks = sorted(blocks, key=lambda block: block.stimulus)
    labels = [block.stimulus for block in blocks]
    checksums = [grams.checksums[grams.labels.index(label)] for label in labels]
    check_checksums(labels, checksums)
    side = StimulusSide(grams, labels, [block.times for block in blocks], tr, model, high_pass)
    usable = usable_vertices(blocks)
    vertices = np.flatnonzero(usable)
    responses = [Chosen(block.values, vertices) for block in blocks]
    average = _LayerAverageNull(responses, seed) if null != "none" else None
    refits = None
    if null == "phase":
        refits = _PhaseRefits(checksums, statistics.n_nulls, seed, n_threads, model.selection)
    noise: NoiseNull | None = None
    warnings: list[str] = []
    results: list[_LayerMaps] = []
    table: list[dict[str, Any]] = []
    names = list(layers or grams.layer_names)
    for position, name in enumerate(names, start=1):
        if progress is not None:
            progress(position, len(names), name)
        gram = side.gram(name)
        with inside(f"layer {name}"):
            plan = side.plan(gram)
        if position == 1 and null != "none":
            warnings = short_warnings(plan, null)
            for warning in warnings:
                LOGGER.warning("%s", warning)
            noise = noise_null(plan, responses, filters=_filters(blocks), seed=seed)
        result = fit_encoding(
            plan,
            responses,
            selection=model.selection,
            null=statistics.noise_null,
            noise=noise,
            n_threads=n_threads,
            arrays=arrays,
        )
        if refits is not None:
            result = refits.test(plan, responses, result)
        results.append(_LayerMaps.of(result))
        if average is not None:
            average.add(plan, result.alpha, checksums, n_threads)
        similar = feature_similarity(
            gram, side.lengths, stimuli=labels, n_draws=SIMILARITY_DRAWS, seed=seed
        )
        table.append(_layer_row(grams, name, plan, result, similar))
    ratio = float("nan") if average is None else average.sd_ratio
    fits = _stack(results, usable, grams, table, ratio, None if refits is None else refits.p_max)
    n_refits = statistics.n_nulls if refits is not None else 0
    predicted = _predicted(side, results, names, responses, usable)
    told = {name: grams.told[name] for name in names if name in grams.told}
    return replace(fits, n_refits=n_refits, warnings=warnings, predicted=predicted, told=told)


def _predicted(
    side: StimulusSide,
    results: Sequence[_LayerMaps],
    names: Sequence[str],
    responses: Sequence[Chosen],
    usable: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Time courses at the best vertices, of the layer that is best at the best of them."""
    accuracy = np.stack([result.mean_r for result in results])
    if not np.isfinite(accuracy).any():
        return []
    best = int(np.unravel_index(np.nanargmax(accuracy), accuracy.shape)[0])
    chosen = best_vertices(accuracy[best], responses)
    vertices, half = np.flatnonzero(usable)[chosen], len(usable) // 2
    places = [("L", int(v)) if v < half else ("R", int(v) - half) for v in vertices]
    own = [one[:, chosen] for one in responses]
    alpha = results[best].alpha[:, chosen].astype(np.float64)
    plan = side.plan(side.gram(names[best]))
    return predicted_rows(plan, own, side.times, alpha, places, names[best])


@dataclass(frozen=True)
class _LayerMaps:
    """What is kept of one layer, in the precision of the maps: on fine meshes it is a lot."""

    mean_r: NDArray[np.float32]
    null_sd: NDArray[np.float32]
    p: NDArray[np.float32]
    q: NDArray[np.float32]
    r: NDArray[np.float32]
    alpha: NDArray[np.float32]
    fold_stimuli: tuple[tuple[str, ...], ...]
    n_degenerate: int

    @classmethod
    def of(cls, result: EncodingResult) -> _LayerMaps:
        names = ("mean_r", "null_sd", "p", "q", "r", "alpha")
        arrays = {name: getattr(result, name).astype(np.float32) for name in names}
        return cls(**arrays, fold_stimuli=result.fold_stimuli, n_degenerate=result.n_degenerate)


class _PhaseRefits:
    """Null of every layer by refits under common phases, and the maximum over vertices and layers.

    Accuracies are divided by the standard deviation of their noise before the maximum is taken,
    so that vertices and layers with a wide null do not set the threshold for all. Penalties stay
    as chosen, which makes the null too narrow: it is widened as refits of some vertices are that
    choose penalties again.
    """

    N_VERTICES = 64
    N_DRAWS = 100

    def __init__(
        self,
        checksums: Sequence[str],
        n_draws: int,
        seed: int,
        n_threads: int,
        selection: Literal["r", "sse"] = "r",
    ) -> None:
        self._selection = selection
        self._options: dict[str, Any] = {
            "checksums": checksums,
            "n_draws": n_draws,
            "seed": seed,
            "n_threads": n_threads,
        }
        self._maxima: list[NDArray[np.float64]] = []
        self._observed: list[NDArray[np.float64]] = []

    def test(
        self, plan: EncodingPlan, responses: Sequence[Chosen], result: EncodingResult
    ) -> EncodingResult:
        """The result with the standard deviation, p and q of the refits."""
        wider, largest = self._widths(plan, responses, result)
        null = phase_null(
            plan,
            responses,
            result.alpha,
            mean_r=result.mean_r / wider,
            scale=result.null_sd,
            **self._options,
        )
        self._maxima.append(largest * null.max_null)
        self._observed.append(result.mean_r / result.null_sd)
        return replace(result, null_sd=wider * null.sd, p=null.p, q=benjamini_hochberg(null.p))

    def _widths(
        self, plan: EncodingPlan, responses: Sequence[Chosen], result: EncodingResult
    ) -> tuple[float, float]:
        """How much wider accuracies, and the largest, are where penalties are chosen again."""
        there = np.flatnonzero(np.isfinite(result.null_sd) & (result.null_sd > 0))
        if not there.size:
            return 1.0, 1.0
        rng = generator(self._options["seed"], "vertices whose penalties are chosen again")
        some = np.sort(rng.permutation(there)[: self.N_VERTICES])
        few, scale = [y[:, some] for y in responses], result.null_sd[some]
        options = self._options | {"n_draws": self.N_DRAWS}
        kept = phase_null(plan, few, result.alpha[:, some], **options).draws / scale
        labels = segment_labels(plan, self._options["checksums"])
        again = music_refits(
            [plan],
            [few],
            lambda r, _: r[:, 0, 0] / scale,
            phases=lambda draw, segment, n: random_phases(
                self._options["seed"], labels[segment], draw, n
            ),
            n_draws=self.N_DRAWS,
            fit=lambda own, scored, _: (
                fit_encoding(own, scored, selection=self._selection, null="none").mean_r
            ),
        )
        sizes = [np.sqrt(np.nanmean(one.astype(np.float64) ** 2)) for one in (again, kept)]
        highest = [np.nanmax(one, axis=1).mean() for one in (again, kept)]
        wider = max(1.0, float(sizes[0] / sizes[1]))
        return wider, max(wider, float(highest[0] / highest[1]))

    @property
    def p_max(self) -> NDArray[np.float64]:
        """Corrected for the maximum over vertices and layers, (n_layers, n_vertices)."""
        return pareto_tail_p(np.stack(self._observed), np.max(self._maxima, axis=0))


class _LayerAverageNull:
    """Null standard deviation of the layer average, by refits at a sample of vertices.

    All layers see the same phases, so the draws of their average keep the layers' dependence.
    """

    N_VERTICES = 64
    N_DRAWS = 40

    def __init__(self, responses: Sequence[Chosen], seed: int) -> None:
        n_vertices = responses[0].shape[1]
        size = min(self.N_VERTICES, n_vertices)
        chosen = generator(seed, "vertices of the layer average").choice(
            n_vertices, size=size, replace=False
        )
        self._chosen = np.sort(chosen)
        self._responses = [y[:, self._chosen] for y in responses]
        self._seed = seed
        self._sum = np.zeros((self.N_DRAWS, size))
        self._rms = 0.0

    def add(
        self,
        plan: EncodingPlan,
        alpha: NDArray[np.float64],
        checksums: Sequence[str],
        n_threads: int,
    ) -> None:
        """Refit one layer to responses with random phases."""
        null = phase_null(
            plan,
            self._responses,
            alpha[:, self._chosen],
            checksums=checksums,
            n_draws=self.N_DRAWS,
            seed=self._seed,
            n_threads=n_threads,
        )
        draws = null.draws.astype(np.float64)
        self._sum += draws
        self._rms += float(np.sqrt((draws**2).mean()))

    @property
    def sd_ratio(self) -> float:
        """SD of the average over the mean SD; at most 1."""
        if self._rms == 0:
            return 1.0
        return min(1.0, float(np.sqrt((self._sum**2).mean())) / self._rms)


def _layer_row(
    grams: FeatureGrams,
    name: str,
    plan: EncodingPlan,
    result: EncodingResult,
    similar: Sequence[FeatureSimilarity],
) -> dict[str, Any]:
    finite = result.mean_r[np.isfinite(result.mean_r)]
    index = grams.layer_names.index(name)
    return {
        "layer": index + 1,
        "name": name,
        "n_units": grams.n_units[index],
        "n_constant_units": grams.n_constant[index],
        "effective_rank": float(plan.effective_rank),
        "edge_low": float(result.edge_low),
        "edge_high": float(result.edge_high),
        "mean_r": float(finite.mean()) if finite.size else float("nan"),
        "max_r": float(finite.max()) if finite.size else float("nan"),
        "share_q05": float((result.q < 0.05).sum() / finite.size) if finite.size else 0.0,
        "similarity_r": max((s.r for s in similar), default=float("nan")),
        "similarity_p": similarity_p(similar),
    }


def _filters(blocks: Sequence[Block]) -> list[NDArray[np.float64]] | None:
    """What made the responses of their runs, where it is known of all."""
    found = [block.filter for block in blocks if block.filter is not None]
    return found if len(found) == len(blocks) else None


def short_warnings(plan: EncodingPlan, null: str) -> list[str]:
    """What p is worth where presentations are short."""
    shortest = min(segment.size for segment in plan.segments)
    if null == "phase" and shortest < SHORT_PHASES:
        return [
            f"only {shortest} samples of a presentation are kept: p of --null phase is too small"
            f" below about {SHORT_PHASES}; --null noise is not"
        ]
    if shortest < SHORT:
        return [
            f"only {shortest} samples of a presentation are kept: what p within participants is"
            f" worth has been measured from {SHORT} on"
        ]
    return []


def usable_vertices(blocks: Sequence[Block]) -> NDArray[np.bool_]:
    """Vertices with a finite, varying response in every presentation, (n_vertices,)."""
    usable = np.ones(blocks[0].values.shape[1], dtype=bool)
    for block in blocks:
        for start in range(0, usable.size, COLUMNS):
            values = block.values[:, start : start + COLUMNS]
            varies = np.isfinite(values).all(axis=0) & (np.ptp(values, axis=0) > 0)
            usable[start : start + COLUMNS] &= varies
    return usable


def _stack(
    results: Sequence[_LayerMaps],
    usable: NDArray[np.bool_],
    grams: FeatureGrams,
    table: list[dict[str, Any]],
    ratio: float,
    p_max: NDArray[np.float64] | None,
) -> LayerFits:
    def stack(name: str) -> NDArray[np.float32]:
        return on_mesh(np.stack([getattr(result, name) for result in results]))

    def on_mesh(found: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values of all layers on the whole mesh, NaN where a vertex has no response."""
        whole = np.full((*found.shape[:-1], len(usable)), np.nan, dtype=np.float32)
        whole[..., usable] = found
        return whole

    r, null_sd = stack("mean_r"), stack("null_sd")
    return LayerFits(
        r=r,
        z=r / null_sd,
        p=stack("p"),
        q=stack("q"),
        null_sd=null_sd,
        fold_r=stack("r"),
        alpha=stack("alpha"),
        fold_stimuli=["+".join(np.atleast_1d(held)) for held in results[0].fold_stimuli],
        layer_names=[row["name"] for row in table],
        features_folder=grams.path.name,
        table=table,
        n_degenerate=int((~usable).sum()) + int(results[0].n_degenerate),
        average_sd_ratio=ratio,
        p_max=None if p_max is None else on_mesh(p_max),
    )
