"""Differences of layers and of models: paired over people, subtracted draw by draw over music.

A difference is linear in the accuracies of the layers of all models side by side: one row of
weights, a contrast, whose sum is zero. The same row weighs Fisher z over people, and accuracies and
kernels over music.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, UsageError, check_shape
from bids_app.group.inference import SignFlipResult, sign_flip_max_t
from bids_app.group.music_kernel import MusicKernel
from bids_app.statistics import fisher_z

FloatArray = npt.NDArray[np.float64]

# Of the sum of a contrast over the sum of its absolute values: rounding.
_ZERO = 1e-9


@dataclass(frozen=True, eq=False)
class Difference:
    """Differences of accuracies and their test over people.

    Attributes
    ----------
    participants : (n_participants, n_maps, n_vertices) float64
        Of each participant, in Fisher z; NaN where a layer that counts has no accuracy.
    mean_r : (n_maps, n_vertices) float64
        Mean over participants, in r.
    people : SignFlipResult
        Sign flips of the participants' Fisher z, of shape (n_maps, n_vertices); p is corrected
        over maps and vertices together.
    """

    participants: FloatArray
    mean_r: FloatArray
    people: SignFlipResult


def contrast_of(n_layers: Sequence[int], signs: Sequence[float]) -> FloatArray:
    """Weights of the layers of several models side by side, the mean of each with its sign.

    Parameters
    ----------
    n_layers : sequence of int
        Layers of each model.
    signs : sequence of float
        Of each model: 1 and -1; 1, -.5 and -.5 to compare a model with the mean of two others.

    Returns
    -------
    (sum of n_layers,) float64

    Examples
    --------
    >>> contrast_of([1, 2], [1, -1]).tolist()
    [1.0, -0.5, -0.5]
    """
    check_shape("signs", signs, len(n_layers))
    return np.concatenate([np.full(n, s / n) for n, s in zip(n_layers, signs, strict=True)])


def difference(
    accuracies: npt.ArrayLike,
    contrasts: npt.ArrayLike,
    *,
    n_permutations: int = 10_000,
    seed: int,
    tail: str = "two-sided",
    scale: npt.ArrayLike = 1.0,
    n_threads: int = 1,
) -> Difference:
    """Differences between layers, or between models, at every vertex.

    Parameters
    ----------
    accuracies : (n_participants, n_layers, n_vertices) array
        r of the layers of all models side by side.
    contrasts : (n_maps, n_layers) or (n_layers,) array
        Weights of the layers of each map, which sum to zero (`contrast_of`).
    n_permutations, seed, tail, scale, n_threads
        As for `sign_flip_max_t`.

    Returns
    -------
    Difference

    Raises
    ------
    BadDataError
        Shapes that disagree; nothing that can be tested.
    UsageError
        A contrast that is zero everywhere or does not sum to zero.

    Notes
    -----
    For the null over music, the same contrast divided by the number of participants is the
    `weights` of `linear_music_null` and `vertex_null_sd`, whose plans, penalties and accuracies are
    those of all models, one after the other along the axis of layers.

    Examples
    --------
    >>> import numpy as np
    >>> r = np.array([[[0.3], [0.1]], [[0.5], [0.2]], [[0.4], [0.2]]])
    >>> found = difference(r, [1, -1], seed=0)
    >>> found.mean_r.round(3).tolist(), found.people.p.tolist()
    ([[0.233]], [[0.25]])
    """
    r = np.asarray(accuracies, dtype=np.float64)
    weights = np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
    check_shape("accuracies", r, "n_participants", "n_layers", "n_vertices")
    check_shape("contrasts", weights, "n_maps", r.shape[1])
    size = np.abs(weights).sum(axis=1)
    if not np.all((np.abs(weights.sum(axis=1)) <= _ZERO * size) & (size > 0)):
        raise UsageError(
            "The weights of a difference do not sum to zero, or are all zero.",
            where="contrasts",
            found=weights.tolist(),
            wanted="weights above and below zero, the sum zero",
            remedy="give for example (1, -1)",
        )
    participants = _weighted(weights, fisher_z(r))
    people = sign_flip_max_t(
        participants,
        n_permutations=n_permutations,
        seed=seed,
        tail=tail,
        scale=scale,
        n_threads=n_threads,
    )
    return Difference(participants, _weighted(weights, r).mean(axis=0), people)


def _weighted(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Weighted sums over layers; a layer without weight may be NaN."""
    out = np.empty((len(values), len(weights), values.shape[2]))
    for number, row in enumerate(weights):
        used = np.flatnonzero(row)
        out[:, number] = np.einsum("l,plv->pv", row[used], values[:, used])
    return out


def weighted_kernel(kernels: Sequence[MusicKernel], weights: Sequence[float]) -> MusicKernel:
    """The kernel of a weighted sum of summaries, such as those of several models.

    Parameters
    ----------
    kernels : sequence of MusicKernel
        Of as many summaries each.
    weights : sequence of float

    Returns
    -------
    MusicKernel

    Raises
    ------
    BadDataError
        If there is none, or not one weight of each.

    Examples
    --------
    >>> from bids_app.group import linear_music_kernel
    >>> from bids_app.encoding import fit_encoding, plan_encoding
    >>> rng = np.random.default_rng(0)
    >>> features = rng.standard_normal((180, 8))
    >>> plan = plan_encoding(features @ features.T, [60] * 3, delays=(2.0, 6.0), crop=6.0, tr=1.0)
    >>> heard = np.outer(np.roll(features, 4, axis=0) @ rng.standard_normal(8), [1.0, 0.0])
    >>> people = [np.split(heard + 2 * rng.standard_normal((180, 2)), 3) for _ in range(4)]
    >>> fits = [fit_encoding(plan, one, null="none") for one in people]
    >>> alphas = np.array([[fit.alpha] for fit in fits])  # participants, layers, folds, vertices
    >>> layer = linear_music_kernel([plan], people, alphas, np.full((1, 4, 1, 2), 1 / 8))
    >>> nothing = weighted_kernel([layer, layer], [1.0, -1.0])
    >>> bool(layer.sd[0] > 0), np.allclose(nothing.sd, 0)
    (True, True)
    """
    check_shape("kernels", kernels, "n_kernels")
    check_shape("weights", weights, len(kernels))
    if len({len(kernel) for kernel in kernels}) > 1:
        raise BadDataError(
            "Kernels of different numbers of summaries cannot be summed.",
            where="kernels",
            found=[len(kernel) for kernel in kernels],
            wanted="one number of summaries",
            remedy="compute all kernels for the same summaries",
        )
    eye = np.eye(len(kernels[0]))
    scaled = [kernel.combine(w * eye) for kernel, w in zip(kernels, weights, strict=True)]
    total = scaled[0]
    for one in scaled[1:]:
        total = total + one
    return total
