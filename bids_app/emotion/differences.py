"""Regression over participants of brain maps on differences of ratings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from math import factorial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from bids_app.errors import ONE_OF_THESE, BadDataError, UsageError, check_shape
from bids_app.seeds import generator

FloatArray = NDArray[np.float64]
Scheme = Literal["permutation", "sign-flip"]

_CHUNK = 64
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class DifferenceResult:
    """Regression of maps on a number per participant.

    Attributes
    ----------
    intercept, slope : (n_vertices,) float64
        b0 and b1. b0 is the mean map if the numbers are centered.
    t : (n_vertices,) float64
        Of the slope; NaN where a participant has no value or all are the same.
    p : (n_vertices,) float64
        Family-wise corrected over vertices by the largest ``|t|``, two-sided.
    p_uncorrected : (n_vertices,) float64
        By the same permutations.
    tfce, p_tfce : (n_vertices,) float64 or None
        Enhanced t and its corrected p, where neighbors were given.
    degrees_of_freedom : int
        Of t.
    null_max : (n_permutations,) float64
        Largest ``|t|`` of each permutation.
    n_permutations : int
        Permutations used.
    exact : bool
        Whether these are all, the identity among them; p is then #/n, else (1 + b) / (1 + m).
    scheme : str
        "permutation" or "sign-flip".
    """

    intercept: FloatArray
    slope: FloatArray
    t: FloatArray
    p: FloatArray
    p_uncorrected: FloatArray
    tfce: FloatArray | None
    p_tfce: FloatArray | None
    degrees_of_freedom: int
    null_max: FloatArray
    n_permutations: int
    exact: bool
    scheme: str


def difference_glm(
    maps: ArrayLike,
    rating_difference: ArrayLike,
    *,
    adjacency: sparse.spmatrix | None = None,
    n_permutations: int = 10_000,
    scheme: Scheme = "permutation",
    seed: int,
) -> DifferenceResult:
    """Map of b1 in ``map = b0 + b1 * rating_difference + e``, two-sided.

    Inference after Freedman and Lane: residuals of the model without the rating are permuted
    (errors are exchangeable) or flipped in sign (errors are symmetric), and the model is fitted
    again.

    Parameters
    ----------
    maps : (n_participants, n_vertices) array
        Such as contrasts dissonant - consonant; a vertex where one is not finite is left out.
    rating_difference : (n_participants,) array
        Such as the mean rating of dissonant minus that of consonant music.
    adjacency : (n_vertices, n_vertices) sparse matrix, optional
        Neighbors on the mesh, for threshold-free cluster enhancement (E = 1, H = 2).
    n_permutations : int
        Random permutations; all of them when there are not more.
    scheme : {"permutation", "sign-flip"}
        Whether residuals are permuted or flipped in sign.
    seed : int
        Seed.

    Returns
    -------
    DifferenceResult

    Raises
    ------
    BadDataError
        If shapes differ, the ratings are constant or not finite, or there are too few participants.
    UsageError
        If the scheme is unknown.

    Notes
    -----
    Freedman and Lane 1983, doi:10.1080/07350015.1983.10509354; Winkler et al. 2014,
    doi:10.1016/j.neuroimage.2014.01.060; Smith and Nichols 2009,
    doi:10.1016/j.neuroimage.2008.03.061.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rating = rng.standard_normal(20)  # how much more tension each of 20 people felt
    >>> maps = rng.standard_normal((20, 3))
    >>> maps[:, 1] += 2 * rating
    >>> result = difference_glm(maps, rating, n_permutations=500, seed=0)
    >>> (result.p < 0.05).tolist(), result.degrees_of_freedom, bool(1 < result.slope[1] < 3)
    ([False, True, False], 18, True)
    """
    y, x = _checked(maps, rating_difference)
    n_participants, n_vertices = y.shape
    freedom = n_participants - 2
    residual_x = x - x.mean()
    length = np.linalg.norm(residual_x)
    centered = y - y.mean(axis=0)
    norms = np.linalg.norm(centered, axis=0)
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(norms) & (norms > 1e-10 * np.abs(y).max(axis=0))
    if not usable.any():
        raise BadDataError(
            "No vertex can be tested.",
            where="maps",
            found="constant or NaN",
            wanted="a vertex whose finite values differ between participants",
            remedy="see whether the maps hold data, and are not one participant's copied",
        )
    slope, intercept = np.full(n_vertices, np.nan), np.full(n_vertices, np.nan)
    slope[usable] = residual_x @ centered[:, usable] / length**2
    intercept[usable] = y[:, usable].mean(axis=0) - slope[usable] * x.mean()
    errors = centered[:, usable] / norms[usable]
    test = _Test(errors, residual_x / length, freedom, usable, adjacency)
    orders, exact = _orders(n_participants, n_permutations, scheme, seed)
    null_max, exceed, null_tfce = test.draw(orders, scheme)
    total, identity = len(orders) + (not exact), int(not exact)

    def spread(values: FloatArray) -> FloatArray:
        full = np.full(n_vertices, np.nan)
        full[usable] = values
        return full

    size = np.abs(test.t)
    return DifferenceResult(
        intercept=intercept,
        slope=slope,
        t=spread(test.t),
        p=spread((identity + _reached(null_max, size)) / total),
        p_uncorrected=spread((identity + exceed) / total),
        tfce=None if test.tfce is None else spread(test.tfce),
        p_tfce=None
        if test.tfce is None
        else spread((identity + _reached(null_tfce, np.abs(test.tfce), 1e-5)) / total),
        degrees_of_freedom=freedom,
        null_max=null_max,
        n_permutations=len(orders),
        exact=exact,
        scheme=scheme,
    )


def _checked(maps: ArrayLike, rating_difference: ArrayLike) -> tuple[FloatArray, FloatArray]:
    y = np.asarray(maps, dtype=np.float64)
    x = np.asarray(rating_difference, dtype=np.float64)
    check_shape("maps", y, "n_participants", "n_vertices")
    check_shape("rating_difference", x, len(y))
    if not np.isfinite(x).all():
        raise BadDataError(
            "A rating difference is not finite.",
            where="rating_difference",
            found=f"{np.count_nonzero(~np.isfinite(x))} of {x.size}",
            wanted="a number for every participant",
            remedy="leave these participants out",
        )
    if len(x) < 3:
        raise BadDataError(
            "There are too few participants.",
            where="maps",
            found=f"{len(x)}",
            wanted="three or more",
            remedy="add participants",
        )
    if np.linalg.norm(x - x.mean()) <= 1e-10 * np.linalg.norm(x):
        raise BadDataError(
            "The rating differences are constant.",
            where="rating_difference",
            found=f"{x.min():g} to {x.max():g}",
            wanted="participants who differ",
            remedy="use another rating, or leave this analysis out",
        )
    return y, x


class _Test:
    """Slope tests of the data and of permuted residuals, as matrix products."""

    def __init__(
        self,
        errors: FloatArray,
        x: FloatArray,
        freedom: int,
        usable: NDArray[np.bool_],
        adjacency: sparse.spmatrix | None,
    ) -> None:
        self.errors, self.freedom = errors, freedom
        # Rows: the rating, then the constant.
        self.rows = np.vstack([x, np.full(len(x), 1 / np.sqrt(len(x)))])
        self.neighbors = None if adjacency is None else _neighbors(adjacency, usable)
        self.t = self._t(self.rows[None])[0]
        self.tfce = None if self.neighbors is None else self._enhance(self.t[None])[0]

    def _t(self, rows: FloatArray) -> FloatArray:
        """Values of t for (n, 2, n_participants) rows, (n, n_vertices)."""
        n, k, n_participants = rows.shape
        # Permuting the residuals one way is permuting the columns the other way.
        products = (rows.reshape(n * k, n_participants) @ self.errors).reshape(n, k, -1)
        left = np.maximum(1.0 - (products[:, 1:] ** 2).sum(axis=1), 0.0)
        r = products[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            t = r * np.sqrt(self.freedom / np.maximum(left - r**2, 0.0))
        return np.nan_to_num(t, nan=0.0, posinf=np.inf, neginf=-np.inf)

    def _enhance(self, t: FloatArray) -> FloatArray:
        from tfce import tfce

        maps = np.clip(t, -1e6, 1e6).T
        return np.asarray(
            tfce(
                np.ascontiguousarray(maps, dtype=np.float32),
                adjacency=self.neighbors,
                E=1.0,
                H=2.0,
                two_sided=True,
            ),
            dtype=np.float64,
        ).T

    def draw(
        self, orders: NDArray[np.integer], scheme: str
    ) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
        """Largest ``|t|``, how often the ``|t|`` of each vertex is reached, largest TFCE."""
        null_max = np.empty(len(orders))
        null_tfce = np.full(len(orders), np.nan)
        exceed = np.zeros(self.t.size, dtype=np.int64)
        threshold = np.abs(self.t) * (1.0 - _SLACK)
        for start in range(0, len(orders), _CHUNK):
            part = slice(start, start + _CHUNK)
            if scheme == "permutation":
                rows = self.rows[:, orders[part]].transpose(1, 0, 2)
            else:
                rows = self.rows[None] * orders[part][:, None, :]
            t = self._t(rows)
            null_max[part] = np.abs(t).max(axis=1)
            exceed += np.count_nonzero(np.abs(t) >= threshold, axis=0)
            if self.neighbors is not None:
                null_tfce[part] = np.abs(self._enhance(t)).max(axis=1)
        return null_max, exceed, null_tfce


def _neighbors(
    adjacency: sparse.spmatrix, usable: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    check_shape("adjacency", adjacency, usable.size, usable.size)
    graph = sparse.csr_matrix(adjacency)[usable][:, usable]
    return graph.indptr.astype(np.int32), graph.indices.astype(np.int32)


def _orders(
    n_participants: int, n_permutations: int, scheme: str, seed: int
) -> tuple[NDArray[np.integer], bool]:
    """Orders or signs, and whether they are all there are."""
    if scheme not in ("permutation", "sign-flip") or n_permutations < 1:
        raise UsageError(
            "Unknown scheme or number of permutations.",
            where="scheme, n_permutations",
            found=f"{scheme}, {n_permutations}",
            wanted="permutation or sign-flip, 1 or more",
            remedy=ONE_OF_THESE,
        )
    rng = generator(seed, "residuals", scheme)
    everyone = np.arange(n_participants)
    if scheme == "permutation":
        if n_participants < 12 and factorial(n_participants) <= n_permutations:
            return np.array(list(permutations(everyone))), True
        drawn = rng.permuted(np.tile(everyone, (n_permutations, 1)), axis=1)
        return drawn, False
    if n_participants < 24 and 2**n_participants <= n_permutations:
        return np.array(list(product((1, -1), repeat=n_participants))), True
    return rng.choice(np.array([1, -1]), size=(n_permutations, n_participants)), False


def _reached(null: FloatArray, observed: FloatArray, slack: float = _SLACK) -> NDArray[np.intp]:
    """How many draws reach each observed value; equal up to rounding counts."""
    ordered = np.sort(null)
    return len(ordered) - np.searchsorted(ordered, observed * (1.0 - slack), side="left")
