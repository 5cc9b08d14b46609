"""Unique accuracy of layers over music: joint models as plans of the null over music.

A joint model with its choices (candidate and penalty) is a plan with a longer list of penalties,
so that low-level sound alone and with each layer are the models of one null; the unique accuracy
of a layer has the weights +1 and -1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bids_app.analyses.group.collect import GroupData
from bids_app.analyses.group.heard import Heard, kept_features, no_features
from bids_app.analyses.group.over_music import MusicSide, spread_out
from bids_app.analyses.group.summaries import TOO_FEW, Scaled, compared, widened
from bids_app.analyses.participant.joint import LAYER
from bids_app.analyses.participant.joint_models import layer_weights, rival_weights
from bids_app.analyses.participant.layers import StimulusSide
from bids_app.bands import high_pass_of
from bids_app.config import Model
from bids_app.encoding.joint import fit_joint
from bids_app.encoding.joint_plan import ChoicePlan, JointPlan, plan_joint
from bids_app.features.cache import FeatureGrams
from bids_app.group import vertex_null_sd
from bids_app.outputs import OutputTree
from bids_app.statistics import benjamini_hochberg

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]
Settings = Mapping[str, Any]

N_COMPARED = 3
"""Layers whose refits, candidates and penalties chosen again, the closed form is compared with."""
MOST_COMPARED = 5
"""The same of slopes, which need more layers."""


@dataclass(frozen=True, eq=False)
class BeyondMusic:
    """Unique accuracy over music.

    Attributes
    ----------
    sd, p, q : array of shape (n_layers, n_vertices)
        Of the mean unique accuracy of the participants behind the null: standard deviation,
        one-sided p, q per layer.
    scaled : Scaled
        How the closed form compares with refits.
    """

    sd: FloatArray
    p: FloatArray
    q: FloatArray
    scaled: Scaled


class ModelsOfClock(Sequence[ChoicePlan]):
    """Low-level sound, then with each layer; made when asked for, since they fill the memory.

    Parameters
    ----------
    sides : sequence of StimulusSide
        Of each rival, that of the layers last.
    settings : mapping
        Of the participants' joint models.
    layers : sequence of str
    """

    def __init__(
        self, sides: Sequence[StimulusSide], settings: Settings, layers: Sequence[str]
    ) -> None:
        rivals, seed = settings["spaces"], int(settings["random_seed"])
        low = rival_weights(len(rivals), int(settings["candidates"]), seed)
        self._sides, self._layers = sides, list(layers)
        self._weights = layer_weights(low, seed)
        self._spaces = {
            f"rival {k}": side.gram(str(rival["layer"]))
            for k, (side, rival) in enumerate(zip(sides, rivals, strict=False))
        }
        self._low = self._plan(self._spaces, low, None)
        # Choices of all models have the same numbers.
        self._first = ChoicePlan(self._low, len(self._weights))
        self._last: tuple[int, ChoicePlan] = (0, self._first)

    def __len__(self) -> int:
        return 1 + len(self._layers)

    def __iter__(self) -> Iterator[ChoicePlan]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if index == 0:
            return self._first
        if self._last[0] != index:
            gram = self._sides[-1].gram(self._layers[index - 1])
            joint = self._plan({**self._spaces, LAYER: gram}, self._weights, self._low)
            self._last = (index, joint.choices)
        return self._last[1]

    def _plan(
        self, spaces: Mapping[str, Any], weights: FloatArray, known: JointPlan | None
    ) -> JointPlan:
        first = self._sides[0]
        return plan_joint(spaces, first.lengths, weights=weights, known=known, **first.plan_options)


class JointMusicSide(MusicSide):
    """The null over music of joint models."""

    def fit(
        self, plan: Any, scored: list[NDArray[Any]], training: list[NDArray[Any]] | None
    ) -> FloatArray:
        """Accuracy with candidates and penalties chosen again."""
        left_out = [plan.left_out] if plan.left_out else []
        selection = self.data.settings.get("selection", "r")
        found = fit_joint(plan.joint, scored, selection=selection, leave_out=left_out)
        return found.reduced_r[0] if left_out else found.mean_r

    def of_models(self, models: Sequence[int]) -> JointMusicSide:
        """The same of some of the models, counted from 0: low-level sound alone is the first."""
        few = list(models)
        names = [self.data.layer_names[k] for k in few]
        data = replace(self.data, r=self.data.r[:, few], layer_names=names)
        plans = [[clock[k] for k in few] for clock in self.plans]
        return JointMusicSide(
            self.heard, data, plans, self.alphas[:, few], self.seed, self.n_threads
        )

    def _n_affordable(self) -> int:
        """As for the largest family: families that have the same vertices share their refits."""
        return self._n_affordable_of(max(self.r.shape[1], MOST_COMPARED))

    def _refits(self, vertices: NDArray[np.intp], first: int) -> FloatArray:
        """Each model by itself: families of tests share some of them."""
        n_models = len(self.data.layer_names)
        if n_models == 1:
            return super()._refits(vertices, first)
        each = [self.of_models([k])._refits(vertices, first) for k in range(n_models)]
        return np.concatenate(each, axis=2)


def joint_side(
    tree: OutputTree,
    data: GroupData,
    heard: Heard,
    record: Mapping[str, Any],
    choices: NDArray[np.float32],
    cache_dir: Path,
    seed: int,
    n_threads: int,
) -> JointMusicSide | str:
    """What the null over music of low-level sound, and with each layer, is computed from.

    Or why it cannot be.

    Parameters
    ----------
    tree : OutputTree
    data : GroupData
        Of accuracies (n_participants, 1 + n_layers, n_vertices): of low-level sound, then of that
        with each layer.
    heard : Heard
    record : mapping
        Settings file of a participant's joint models.
    choices : array of shape (n_participants, 1 + n_layers, n_folds, n_vertices)
        In the order of ``record["HeldOutStimuli"]``.
    cache_dir : Path
    seed, n_threads : int
    """
    sides = sides_of_clocks(tree, heard, record, cache_dir)
    if isinstance(sides, str):
        return sides
    clocks = [ModelsOfClock(own, record["Settings"], data.layer_names[1:]) for own in sides]
    held = ["+".join(np.atleast_1d(fold.held_out)) for fold in clocks[0][0].folds]
    order = [record["HeldOutStimuli"].index(name) for name in held]
    chosen = choices[list(heard.people)][:, :, order]
    return JointMusicSide(heard, data, clocks, chosen, seed, n_threads)


def beyond_music(side: JointMusicSide) -> BeyondMusic:
    """Test the unique accuracy of every layer over music.

    Parameters
    ----------
    side : JointMusicSide
        Of low-level sound, then with each layer.
    """
    n_people, n_layers = len(side.people), side.r.shape[1] - 1
    weights = np.zeros((n_layers, n_people, n_layers + 1))
    weights[:, :, 0] = -1 / n_people
    weights[np.arange(n_layers), :, np.arange(1, n_layers + 1)] = 1 / n_people
    some = np.unique(np.linspace(0, n_layers - 1, min(N_COMPARED, n_layers)).round().astype(int))
    return differences_over_music(side, weights, some.tolist())


def differences_over_music(
    side: JointMusicSide,
    weights: FloatArray,
    compared_with: Sequence[int],
    *,
    floored: bool = True,
) -> BeyondMusic:
    """Test differences of two joint models, or joint models, at every vertex, one-sided.

    Parameters
    ----------
    side : JointMusicSide
    weights : array of shape (n_maps, n_people, n_models)
        Of the mean difference: one over the number of people for the full model, minus that for
        the model without.
    compared_with : sequence of int
        Maps whose refits the closed form is compared with.
    floored : bool
        Whether no vertex has a smaller standard deviation than the refits have, pooled.
    """
    usable = np.asarray(np.isfinite(side.data.r).all(axis=(0, 1)))
    scaled, least = compared_pooled(side, weights[list(compared_with)], usable)
    LOGGER.info("group: over music, unique accuracy: %s", scaled.told)
    sd = vertex_null_sd(
        side.plans, side.responses, side.alphas, spread_out(weights), **side.options
    )
    # Where few choices have the layer in them the closed form, which keeps them, is too narrow.
    sd = np.where(usable, np.fmax(sd / scaled.divisor, least if floored else 0.0), np.nan)
    observed = np.einsum("mpl,plv->mv", weights, side.r.astype(np.float64))
    z = observed / np.where(sd > 0, sd, np.nan)
    p = np.where(usable, special.ndtr(-z), np.nan)
    return BeyondMusic(sd, p, benjamini_hochberg(p, axis=-1), scaled)


def compared_pooled(
    side: JointMusicSide, weights: FloatArray, usable: NDArray[np.bool_]
) -> tuple[Scaled, float]:
    """Closed form beside refits of the models of a few maps, which choose again.

    Returns the comparison of both, pooled over vertices, and the standard deviation of the refits.
    """
    few = np.flatnonzero((weights != 0).any(axis=(0, 1))).tolist()
    found = side.of_models(few).maps_at_few(list(weights[:, :, few]), None, usable)
    if found is None:
        return TOO_FEW, float("nan")
    closed, drawn = found
    # Pooled before they are divided: where nobody chose the layer the closed form is zero.
    pooled = np.full_like(closed, np.sqrt(np.nanmean(closed**2)))
    least = side.ends * float(np.sqrt(np.nanmean(drawn**2)))
    return widened(compared(pooled, drawn, side.ends)), least


def sides_of_clocks(
    tree: OutputTree, heard: Heard, record: Mapping[str, Any], cache_dir: Path
) -> list[list[StimulusSide]] | str:
    """What the feature spaces of joint models have of the music, per clock, or why nothing.

    Parameters
    ----------
    tree : OutputTree
    heard : Heard
    record : mapping
        Settings file of a participant's joint models.
    cache_dir : Path
    """
    if not heard.there:
        return "; ".join(heard.reasons)
    settings, found = record["Settings"], []
    for name in record["FeaturesFolders"]:
        folder = kept_features(tree, str(name), cache_dir)
        if folder is None:
            return no_features(tree, cache_dir)
        grams = FeatureGrams.load(folder).called(heard.checksums)
        there = dict(zip(grams.labels, grams.checksums, strict=True))
        if any(there.get(label) != sha for label, sha in heard.checksums.items()):
            return f"the features in {folder} are not of this music"
        found.append(grams)
    model = Model(
        delays=tuple(settings["delays"]),
        crop=settings["crop"],
        alphas=tuple(settings["alphas"]),
    )
    high_pass = high_pass_of(settings["high_pass"])
    return [
        [
            StimulusSide(grams, clock.labels, clock.times, clock.tr, model, high_pass)
            for grams in found
        ]
        for clock in heard.clocks
    ]
