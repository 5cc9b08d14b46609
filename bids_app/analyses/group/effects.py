"""Tests of several maps over participants, and of their relation to a number per participant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_app.config import Statistics
from bids_app.emotion import DifferenceResult, difference_glm
from bids_app.errors import BadDataError
from bids_app.group import SignFlipResult, TfceResult, sign_flip_max_t, tfce_sign_flip
from bids_app.statistics import finite_mean
from bids_app.surface.mesh import SurfaceMesh


@dataclass(frozen=True, eq=False)
class GroupEffects:
    """Maps of several scales, tested over participants.

    Attributes
    ----------
    names : list of n_maps str
        Scales.
    mean : array of shape (n_maps, n_vertices)
        Mean effect.
    test : SignFlipResult
        Of shape (n_maps, n_vertices); p is corrected over vertices and scales.
    tfce : TfceResult or None
        Threshold-free cluster enhancement, where a mesh was given.
    contrasts : GroupEffects or None
        The same of the differences between scales, ``Emotionality - Enjoyment`` for each pair; None
        with a single scale.
    """

    names: list[str]
    mean: NDArray[np.float64]
    test: SignFlipResult
    tfce: TfceResult | None
    contrasts: GroupEffects | None = None


def group_effects(
    maps: ArrayLike,
    names: Sequence[str],
    statistics: Statistics,
    *,
    mesh: SurfaceMesh | None = None,
    tail: str = "two-sided",
    n_threads: int = 1,
) -> GroupEffects:
    """Test effects of several scales against zero, and against each other, by sign flips.

    Parameters
    ----------
    maps : array of shape (n_participants, n_maps, n_vertices)
        Effects (`LinearMaps.effect`), or accuracies as Fisher z with ``tail="greater"``; NaN where
        a participant has none.
    names : sequence of str
    statistics : Statistics
        Sign flips and seed.
    mesh : SurfaceMesh, optional
        For threshold-free cluster enhancement too.
    tail : {"two-sided", "greater"}
        Of the maps; differences between scales are always two-sided.
    n_threads : int

    Returns
    -------
    GroupEffects

    Raises
    ------
    BadDataError
        If shapes and names disagree, or there are fewer than two participants.
    """
    data = np.asarray(maps, dtype=np.float64)
    if data.ndim != 3 or data.shape[1] != len(names):
        raise BadDataError(
            "Maps and names do not fit together.",
            where="maps",
            found=f"shape {data.shape}, {len(names)} names",
            wanted="(n_participants, n_maps, n_vertices)",
            remedy="give a name for each participant",
        )
    options: dict[str, Any] = {**statistics.flips, "n_threads": n_threads}

    def flip(values: NDArray[np.float64], names: list[str], side: str) -> GroupEffects:
        test = sign_flip_max_t(values, tail=side, **options)
        tfce = None
        if mesh is not None:
            tfce = tfce_sign_flip(values, mesh.adjacency, tail=side, **options)
        return GroupEffects(names, finite_mean(values), test, tfce)

    found = flip(data, list(names), tail)
    pairs = list(combinations(range(len(names)), 2))
    if not pairs:
        return found
    differences = np.stack([data[:, a] - data[:, b] for a, b in pairs], 1)
    labels = [f"{names[a]} - {names[b]}" for a, b in pairs]
    return replace(found, contrasts=flip(differences, labels, "two-sided"))


def regress_on_ratings(
    maps: Mapping[str, NDArray[np.floating]],
    rating_difference: Mapping[str, float],
    statistics: Statistics,
    scheme: Literal["permutation", "sign-flip"],
    *,
    mesh: SurfaceMesh | None = None,
) -> tuple[DifferenceResult, list[str], dict[str, str]]:
    """Group map of b1 in ``dBOLD = b0 + b1 dRating + e``.

    Also for summaries of lagged correlations: give (n_summaries,) arrays and no mesh.

    Parameters
    ----------
    maps : mapping from participant to array of shape (n_vertices,)
        Condition contrasts, PPI effects, or summaries.
    rating_difference : mapping from participant to float
        From `read_rating_differences`.
    statistics : Statistics
        Permutations and seed.
    scheme : {"permutation", "sign-flip"}
        As for `difference_glm`.
    mesh : SurfaceMesh, optional
        For threshold-free cluster enhancement.

    Returns
    -------
    result : DifferenceResult
    participants : list of str
        Who went in.
    left_out : dict from participant to str

    Raises
    ------
    BadDataError
        If fewer than four participants have both, or ratings are constant.
    """
    kept = sorted(p for p in maps if np.isfinite(rating_difference.get(p, np.nan)))
    left_out = {p: "no rating difference" for p in sorted(maps) if p not in kept}
    left_out |= {p: "no map" for p in sorted(rating_difference) if p not in maps}
    if len(kept) < 4:
        raise BadDataError(
            "Too few participants have both a map and a rating difference.",
            found=f"{len(kept)}; left out: "
            + (", ".join(f"sub-{p} ({why})" for p, why in left_out.items()) or "nobody"),
            wanted="four or more",
            remedy="check the labels in the column participant_id",
        )
    result = difference_glm(
        np.stack([maps[p] for p in kept]),
        [rating_difference[p] for p in kept],
        adjacency=None if mesh is None else mesh.adjacency,
        scheme=scheme,
        **statistics.flips,
    )
    return result, kept, left_out
