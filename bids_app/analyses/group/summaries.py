"""Inputs and results of tests over music: sums of accuracies, maps, widths of nulls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.errors import BadDataError
from bids_app.group import LinearMusicNull, MapShape, SdRatio, sd_ratio, two_sided_p
from bids_app.group.claims import MUSIC, LevelTest

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaled:
    """How wide the closed form of a family is beside refits, and what was done.

    Attributes
    ----------
    ratio : SdRatio or None
        None where no refit was possible.
    told : str
        In one sentence, for sidecars and the page.
    shapes : tuple of MapShape
        Of maps of differences between layers, each: widths and tails of refits.
    """

    ratio: SdRatio | None
    told: str
    shapes: tuple[MapShape, ...] = ()

    @property
    def record(self) -> dict[str, Any]:
        """As sidecars have it."""
        found = {"told": self.told} | ({} if self.ratio is None else asdict(self.ratio))
        return found | ({"shapes": [asdict(one) for one in self.shapes]} if self.shapes else {})

    @property
    def divisor(self) -> float:
        """What draws and standard deviations of the closed form are divided by; 1 at most."""
        return 1.0 if self.ratio is None else 1 / self.ratio.factor

    @property
    def refits_instead(self) -> bool:
        """Whether the closed form is too narrow to be used."""
        return self.ratio is not None and self.ratio.action == "refits"

    @property
    def unsure(self) -> bool:
        """Whether more refits could show that the closed form is wide enough."""
        return self.ratio is not None and self.ratio.unsure


TOO_FEW = Scaled(None, "too few vertices to be compared with refits")

Again = Callable[[FloatArray, FloatArray], FloatArray]
"""From mean profiles, (n_people, n_layers), and accuracies, (n_people, n_layers, n_vertices), of a
refit to the weights of layers, (n_people, n_layers)."""


@dataclass(frozen=True, eq=False)
class Summary:
    """A sum of accuracies over participants, layers and vertices, weights being a product.

    Attributes
    ----------
    name : str
    layers : array of shape (n_people, n_layers)
        Weight of each layer, for each participant behind the null.
    vertices : array of shape (n_vertices,)
        Weight of each vertex, 0 outside.
    again : callable, optional
        Computes `layers` anew in a refit, from its mean profiles over the vertices of the mask
        and its accuracies at the vertices that weigh.
    """

    name: str
    layers: FloatArray
    vertices: FloatArray
    again: Again | None = None

    def of(self, r: NDArray[np.floating]) -> float:
        """The sum for accuracies (n_people, n_layers, n_vertices)."""
        inside = np.flatnonzero(self.vertices)
        picked = np.nan_to_num(r[:, :, inside].astype(np.float64))
        return float(np.einsum("pl,plv,v->", self.layers, picked, self.vertices[inside]))


@dataclass(frozen=True, eq=False)
class LayerMeans:
    """Mean accuracy of every layer, vertices weighted.

    Attributes
    ----------
    vertices : array of shape (n_vertices,)
        Weights, 0 outside.
    scales : sequence of n_layers float
        What the sums are divided by.
    """

    vertices: FloatArray
    scales: Sequence[float]

    def summaries(self, names: Sequence[str], n_people: int) -> list[Summary]:
        """One summary per layer, with the names of the layers."""
        each = np.eye(len(self.scales))
        return [
            Summary(name, np.tile(own / (n_people * scale), (n_people, 1)), self.vertices)
            for name, own, scale in zip(names, each, self.scales, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class MusicTest:
    """A summary against its null over music.

    Attributes
    ----------
    statistic, sd : float
        The sum of fitted accuracies, and the standard deviation of its null.
    p : float
        Two-sided.
    draws : array of shape (n_draws,)
        The null; draw k has the same phases for everything about a study.
    scaled : Scaled
    """

    statistic: float
    sd: float
    p: float
    draws: NDArray[np.float32]
    scaled: Scaled

    @property
    def level(self) -> LevelTest:
        """The test as claims take it."""
        n = len(self.draws)
        return LevelTest(MUSIC, self.p, self.statistic, n, 1 / (1 + n), self.sd)


@dataclass(frozen=True, eq=False)
class MapTest:
    """Maps against their null over music.

    Attributes
    ----------
    sd, z, p : array of shape (n_maps, n_vertices)
        Standard deviation under the null, widened by the ratio; the map over it; Gaussian p, or,
        of two-sided maps, the larger of it and the tail of the draws.
    scaled : Scaled
    p_max : array of shape (n_maps, n_vertices) or None
        Corrected for the largest of draws over vertices, map by map, or over maps too for layers:
        two-sided for ``|z|``, or 1 below zero where the test is one-sided.
    n_largest : int
        Draws behind it.
    """

    sd: FloatArray
    z: FloatArray
    p: FloatArray
    scaled: Scaled
    p_max: FloatArray | None = None
    n_largest: int = 0


def compared(closed_sd: FloatArray, draws: FloatArray, ends: float) -> Scaled:
    """Standard deviations of a closed form beside refits, (n_draws, ...); see `sd_ratio`."""
    try:
        ratio = sd_ratio(closed_sd, draws, ends)
    except BadDataError as error:
        return Scaled(None, error.what)
    return Scaled(ratio, ratio.told)


def widened(scaled: Scaled) -> Scaled:
    """The comparison where the closed form is widened whatever the ratio, and says so."""
    if scaled.ratio is None or not scaled.refits_instead:
        return scaled
    return replace(scaled, told=replace(scaled.ratio, action="scaled").told)


def tests_of(
    null: LinearMusicNull, families: Sequence[Scaled], chosen: Sequence[int]
) -> list[MusicTest]:
    """Some summaries of a null in closed form, each with how its family was compared."""
    return [
        MusicTest(
            float(null.observed[k]), float(null.sd[k]), float(null.p[k]), null.draws[k], scaled
        )
        for k, scaled in zip(chosen, families, strict=True)
    ]


def test_of_refits(observed: float, draws: FloatArray, scaled: Scaled) -> MusicTest:
    """A summary against refits (n_draws,) that stand in for the closed form."""
    (p,) = two_sided_p([observed], draws[np.newaxis])
    kept = draws.astype(np.float32)
    return MusicTest(float(observed), float(draws.std()), float(p), kept, scaled)
