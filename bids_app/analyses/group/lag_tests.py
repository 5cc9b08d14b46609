"""Tests of lag scans over people and over music, and claims about regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bids_app.analyses.participant.lag_maps import (
    ScanRegion,
)
from bids_app.group import SignFlipResult, sign_flip_max_t
from bids_app.group.claims import (
    MUSIC,
    PEOPLE,
    Claim,
    Decision,
    LevelTest,
    decide,
    holds,
)
from bids_app.report.lag_scan import CLAIMED
from bids_app.statistics import benjamini_hochberg, fisher_mean
from bids_app.surface.lag_group import OthersScan
from bids_app.surface.lag_scan import AT_EDGE, UNCLEAR, share_reached

FloatArray = NDArray[np.float64]

NO_LAG = "it is the first or the last lag that was tried"
"""Doubt about a lag at the edge."""


@dataclass(frozen=True, eq=False)
class LagPart:
    """What a test needs of the scan of some vertices; their draws are not kept.

    Attributes
    ----------
    lag, at_edge, mean, p : arrays of shape (n,)
        As of `OthersScan`.
    z : array of shape (n_participants, n)
    curves : array of shape (n_lags, n)
        Back-transformed mean Fisher z.
    sd : array of shape (n,)
        Of the draws, about zero.
    highest : array of shape (n_draws,)
        Largest ``|draw| / sd`` of these vertices; -1 where none is tested.
    """

    lag: FloatArray
    at_edge: NDArray[np.bool_]
    mean: FloatArray
    p: FloatArray
    z: FloatArray
    curves: FloatArray
    sd: FloatArray
    highest: FloatArray

    @classmethod
    def of(cls, scan: OthersScan) -> LagPart:
        """Of a scan with its draws."""
        sd = np.sqrt((scan.draws**2).mean(axis=0))
        tested = np.isfinite(scan.mean) & (sd > 0)
        size = np.abs(scan.draws[:, tested]) / sd[tested]
        highest = size.max(axis=1, initial=-1.0)
        curves = fisher_mean(scan.curves)
        return cls(scan.lag, scan.at_edge, scan.mean, scan.p, scan.z, curves, sd, highest)


@dataclass(frozen=True, eq=False)
class LagTest:
    """A scan of vertices or regions over participants.

    Attributes
    ----------
    lag, r : arrays of shape (n,)
        Where the mean curve is largest in size, NaN at the edge; correlation at the lag of the
        others, back-transformed mean Fisher z.
    at_edge : array of bool
    z : array of shape (n_participants, n)
        At the lag of the others.
    curves : array of shape (n_lags, n)
        Back-transformed mean Fisher z.
    people : SignFlipResult
    music, music_max, music_q : arrays of shape (n,)
        p over music: uncorrected; corrected by the largest ``|z|`` over draws; q of a Gaussian p.
    sd : array of shape (n,)
        Of the null over music.
    """

    lag: FloatArray
    r: FloatArray
    at_edge: NDArray[np.bool_]
    z: FloatArray
    curves: FloatArray
    people: SignFlipResult
    music: FloatArray
    music_max: FloatArray
    music_q: FloatArray
    sd: FloatArray

    def part(self, at: slice) -> LagTest:
        """Some of the vertices; what p was corrected over stays."""
        told = self.people
        names = ("t", "p", "p_uncorrected", "n")
        people = replace(told, **{name: getattr(told, name)[at] for name in names})
        own = {f.name: getattr(self, f.name)[..., at] for f in fields(self) if f.name != "people"}
        return LagTest(**own, people=people)


@dataclass(frozen=True, eq=False)
class FeatureLags:
    """What was found of one feature.

    Attributes
    ----------
    label, name : str
        In file names, and on the page.
    participants : list of str
    vertices, regions : LagTest
    places : list of ScanRegion
        Of `regions`.
    n_draws : int
        Behind p over music.
    n_features : int
        Features whose regions are corrected together.
    """

    label: str
    name: str
    participants: list[str]
    vertices: LagTest
    regions: LagTest
    places: list[ScanRegion]
    n_draws: int
    n_features: int = 1

    @property
    def held(self) -> NDArray[np.bool_]:
        """Regions of which people and music hold, both corrected over regions and features."""
        return holds(self.regions.people.p, self.regions.music_max)

    def decisions(self) -> list[Decision]:
        """Decision about the claim of each region."""
        return [decide(lag_claim(self.record(k))) for k in range(len(self.places))]

    def states(self) -> list[str]:
        """Of each region whether a lag is claimed."""
        edges = self.held & self.regions.at_edge
        return [
            CLAIMED if told.claimed else AT_EDGE if edge else UNCLEAR
            for told, edge in zip(self.decisions(), edges, strict=True)
        ]

    def record(self, k: int) -> dict[str, Any]:
        """What a claim about a region is decided by, as a file holds it."""
        found, place = self.regions, self.places[k]
        side = f" ({place.hemisphere})" if place.hemisphere in ("L", "R") else ""
        people, n = found.people, found.people.n_permutations
        smallest = 2 / n if people.exact else 1 / (1 + n)
        over_music = LevelTest(
            MUSIC,
            float(found.music_max[k]),
            float(np.arctanh(found.r[k])),
            self.n_draws,
            1 / (1 + self.n_draws),
            float(found.sd[k]),
        )
        tests = [LevelTest(PEOPLE, float(people.p[k]), float(people.t[k]), n, smallest), over_music]
        return {
            "feature": self.name,
            "region": f"{place.name}{side}",
            "lag": None if found.at_edge[k] else float(found.lag[k]),
            "r": float(found.r[k]),
            "n_regions": len(self.places),
            "n_features": self.n_features,
            "tests": [one.record for one in tests],
        }


def lag_claim(told: Mapping[str, Any]) -> Claim:
    """That a region follows a feature, of a `FeatureLags.record`."""
    name, feature = str(told["region"]), str(told["feature"])
    when = "a lag at the edge of those tried" if told["lag"] is None else f"{told['lag']:.1f} s"
    n_regions, n_features = int(told["n_regions"]), int(told["n_features"])
    regions = f"{n_regions} region{'s' if n_regions > 1 else ''}"
    family = f"{regions} and {n_features} features" if n_features > 1 else regions
    tests = [LevelTest.of(one) for one in told["tests"]]
    doubted = f"That {name} follows {feature} by {when} is not claimed"
    nothing = f"No lag of {name} behind {feature} shown"
    return Claim(
        "follows",
        f"{name[:1].upper()}{name[1:]} follows {feature} by {when}",
        doubted if all(test.passed for test in tests) else nothing,
        tests,
        detail=f"r {told['r']:.3f} at the lag of the others",
        unit="a mean Fisher z of",
        doubts=(NO_LAG,) if told["lag"] is None else (),
        family=family if n_regions * n_features > 1 else "",
    )


def lag_test(parts: Sequence[LagPart], flips: Mapping[str, Any]) -> LagTest:
    """Scans of vertices, part by part, tested together.

    Parameters
    ----------
    parts : sequence of LagPart
        Of the same draws.
    flips : mapping
        Arguments of `sign_flip_max_t`.
    """
    names = ("lag", "at_edge", "z", "mean", "curves", "p", "sd")
    lag, at_edge, z, mean, curves, p, sd = (
        np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in names
    )
    size = np.abs(mean) / np.where(sd > 0, sd, np.nan)
    highest = np.max([part.highest for part in parts], axis=0)
    gaussian = 2 * stats.norm.sf(size)
    return LagTest(
        lag,
        np.tanh(mean),
        at_edge,
        z,
        curves,
        sign_flip_max_t(z, tail="two-sided", **flips),
        p,
        share_reached(size * (1 - 1e-12), highest),  # equal values may differ by rounding
        benjamini_hochberg(gaussian),
        sd,
    )


def correct_features(
    found: Sequence[tuple[FeatureLags, LagPart]], flips: Mapping[str, Any]
) -> list[FeatureLags]:
    """Regions of all features, corrected over all of them.

    Parameters
    ----------
    found : sequence of (FeatureLags, LagPart)
        Each feature by itself, and the scan of its regions, of draws that all features share.
    flips : mapping
        Arguments of `sign_flip_max_t`.
    """
    if len(found) < 2:
        return [one for one, _ in found]
    people = sorted({who for one, _ in found for who in one.participants})
    n_draws = min(len(part.highest) for _, part in found)
    parts = []
    for one, part in found:
        z = np.full((len(people), part.z.shape[1]), np.nan)
        z[[people.index(who) for who in one.participants]] = part.z
        parts.append(replace(part, z=z, highest=part.highest[:n_draws]))
    whole = lag_test(parts, flips)
    stops = np.cumsum([len(part.mean) for part in parts])
    return [
        replace(
            one,
            regions=whole.part(slice(stop - len(part.mean), stop)),
            n_draws=n_draws,
            n_features=len(found),
        )
        for (one, part), stop in zip(found, stops.tolist(), strict=True)
    ]
