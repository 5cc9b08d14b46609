"""One-sample t-values under flips of sign, as matrix products.

A flip leaves a vertex' sum of squares alone, so that t is a monotone function of the flipped sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bids_app.errors import ONE_OF_THESE, BadDataError, UsageError
from bids_app.seeds import generator

FloatArray = npt.NDArray[np.float64]

TAILS = ("greater", "two-sided")
# A byte counts up to 255; a block of this many sums of 512 tests stays in the second cache.
_FLIP_CHUNK = 240
_NO_SPREAD = 1e7  # what rounding leaves of the spread of equal values


def sign_flips(
    n_participants: int, n_permutations: int, seed: int
) -> tuple[npt.NDArray[np.int8], bool]:
    """Signs for every permutation.

    Parameters
    ----------
    n_participants : int
        Number of participants.
    n_permutations : int
        Random flips; all 2**n_participants are made instead when they are not more than that.
    seed : int
        Seed; tests that share it share the flips.

    Returns
    -------
    signs : (n_flips, n_participants) int8
        1 or -1.
    exact : bool
        Whether these are all flips (the first is the identity).

    Examples
    --------
    >>> signs, exact = sign_flips(2, 100, seed=0)
    >>> signs.tolist(), exact
    ([[1, 1], [-1, 1], [1, -1], [-1, -1]], True)
    """
    if n_participants < 63 and 2**n_participants <= n_permutations:
        codes = np.arange(2**n_participants)[:, np.newaxis]
        bits = (codes >> np.arange(n_participants)) & 1
        return (1 - 2 * bits).astype(np.int8), True
    shape = (n_permutations, n_participants)
    bits = generator(seed, "sign flips").integers(0, 2, size=shape, dtype=np.int8)
    return 1 - 2 * bits, False


class OneSample:
    """Data as one column per test, scaled so that a flipped sum gives t.

    `scale` is what the observed t is multiplied by, one number or one per test: where values
    depend on one another, flips, which ignore the dependence, are too narrow a null.
    """

    def __init__(self, data: npt.ArrayLike, tail: str, scale: npt.ArrayLike = 1.0) -> None:
        if tail not in TAILS:
            raise UsageError(
                "Unknown alternative.",
                where="tail",
                found=tail,
                wanted=" or ".join(TAILS),
                remedy=ONE_OF_THESE,
            )
        data = np.asarray(data)
        if data.ndim < 2 or len(data) < 2:
            raise BadDataError(
                "A test over participants needs at least two of them.",
                where="data",
                found=f"shape {data.shape}",
                wanted="(n_participants, ..., n_vertices) with two participants or more",
                remedy="add participants",
            )
        self.tail = tail
        self._shape = data.shape[1:]
        columns = data.reshape(len(data), -1).astype(np.float64)
        finite = np.isfinite(columns)
        if finite.all():
            n = np.full(columns.shape[1], len(columns))
        else:
            columns[~finite] = 0.0
            n = finite.sum(axis=0)
        self.n = n.reshape(self._shape)
        squares = np.einsum("ij,ij->j", columns, columns)
        self._is_test = (n >= 2) & (squares > 0)
        if not self._is_test.any():
            raise BadDataError(
                "Nothing can be tested: every vertex has fewer than two finite values or only "
                "zeros.",
                where="data",
                found=f"shape {data.shape}",
                wanted="a vertex with two finite values or more, not all zero",
                remedy="see whether the maps hold data",
            )
        self.n_tests = int(self._is_test.sum())
        self.n_participants = len(data)
        if self.n_tests < len(squares):
            columns = columns[:, self._is_test]
            squares, n = squares[self._is_test], n[self._is_test]
        columns /= np.sqrt(squares)
        self._columns = columns
        self._n = n.astype(np.float64)
        # Numbers of participants that occur.
        self._sizes = self._n[:1] if n.min() == n.max() else np.unique(self._n)
        total = columns.sum(axis=0)
        t = _t_from_sum(total, self._n)
        factor = np.asarray(scale, dtype=np.float64)
        if not np.all((factor > 0) & (factor <= 1)):
            raise UsageError(
                "The scale of a t is not between 0 and 1.",
                where="scale",
                found=factor.ravel()[:5].tolist(),
                wanted="above 0, at most 1",
                remedy="give factors in this range",
            )
        if np.any(factor < 1):
            t = t * np.broadcast_to(factor, self._shape).ravel()[self._is_test]
            total = _sum_from_t(t, self._n)
        self._sum = total
        self.t = self.spread(t)

    @property
    def t_map(self) -> FloatArray:
        """T where the values differ, NaN where all are equal up to rounding: `t` is infinite."""
        return np.where(np.abs(self.t) < _NO_SPREAD, self.t, np.nan)

    @property
    def n_sizes(self) -> int:
        """How many different numbers of participants the tests have."""
        return len(self._sizes)

    def spread(self, values: FloatArray | float) -> FloatArray:
        """Put values of the tests back in the data's shape, NaN elsewhere."""
        full = np.full(self._is_test.shape, np.nan)
        full[self._is_test] = values
        return full.reshape(self._shape)

    def tested(self, values: FloatArray) -> FloatArray:
        """Values of the tests, absolute if the test is two-sided."""
        values = values.ravel()[self._is_test]
        return np.abs(values) if self.tail == "two-sided" else values

    def flipped_t(self, signs: FloatArray) -> FloatArray:
        """t-values of some flips, (n_flips, *shape), NaN where there is no test."""
        full = np.full((len(signs), len(self._is_test)), np.nan)
        full[:, self._is_test] = _t_from_sum(signs @ self._columns, self._n)
        return full.reshape(len(signs), *self._shape)

    def flip(
        self, part: slice, signs: npt.NDArray, exact: bool, *, count: bool
    ) -> tuple[npt.NDArray, npt.NDArray[np.int64]]:
        """Largest sums per flip, and how many flips reach each test's own, of some tests.

        Sums are the larger the more participants there are, so each number of them has a row;
        `largest_t` makes one t of the rows. Flips are counted only if asked for.
        """
        columns = self._columns[:, part].astype(signs.dtype)
        n = self._n[part]
        observed = self._sum[part]
        if self.tail == "two-sided":
            observed = np.abs(observed)
        # Sums are at most sqrt(n); single precision is good to about 1e-6 there.
        threshold = (observed - (1e-9 if exact else 4e-6)).astype(signs.dtype)
        alone = len(self._sizes) == 1
        groups: list[Any] = (
            [slice(None)] if alone else [np.flatnonzero(n == size) for size in self._sizes]
        )
        largest = np.full((len(groups), len(signs)), -np.inf, dtype=signs.dtype)
        n_reached = np.zeros(len(n), dtype=np.int64)
        # Results go where earlier ones were: fresh memory would cost as much as the product.
        space = np.empty((_FLIP_CHUNK, columns.shape[1]), dtype=signs.dtype)
        marks = np.empty(space.shape, dtype=bool)
        for start in range(0, len(signs), _FLIP_CHUNK):
            block = slice(start, start + _FLIP_CHUNK)
            n_rows = len(signs[block])
            sums = np.matmul(signs[block], columns, out=space[:n_rows])
            if self.tail == "two-sided":
                np.abs(sums, out=sums)
            if count:
                reached = np.greater_equal(sums, threshold, out=marks[:n_rows])
                n_reached += np.add.reduce(reached.view(np.uint8), axis=0, dtype=np.uint8)
            for row, members in zip(largest, groups, strict=True):
                sums[:, members].max(axis=1, out=row[block], initial=-np.inf)
        return largest, n_reached

    def largest_t(self, sums: FloatArray) -> FloatArray:
        """Largest t per flip from the largest sum of every number of participants."""
        largest = np.full(sums.shape, -np.inf)
        found = np.isfinite(sums)
        sizes = np.broadcast_to(self._sizes[:, np.newaxis], sums.shape)
        largest[found] = _t_from_sum(sums[found].astype(np.float64), sizes[found])
        return largest.max(axis=0)


def choose_flips(
    columns: OneSample, n_permutations: int, seed: int, signs: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.int8], bool]:
    """Signs that are given, or drawn.

    Parameters
    ----------
    columns : OneSample
    n_permutations, seed : int
        As of `sign_flips`.
    signs : (n_flips, n_participants) array or None
        Of 1 and -1; used instead of drawing.

    Returns
    -------
    signs : (n_flips, n_participants) int8
    exact : bool
        Whether these are all flips.

    Raises
    ------
    UsageError, BadDataError
        No permutation is asked for, or signs do not match the participants.

    Examples
    --------
    >>> columns = OneSample(np.arange(12.0).reshape(3, 4), "greater")
    >>> signs, exact = choose_flips(columns, 100, 0, None)
    >>> signs.shape, exact
    ((8, 3), True)
    >>> choose_flips(columns, 100, 0, [[1, 1, -1]])
    (array([[ 1,  1, -1]], dtype=int8), False)
    """
    if signs is None:
        if n_permutations < 1:
            raise UsageError(
                "Too few permutations.",
                where="n_permutations",
                found=n_permutations,
                wanted="1 or more",
                remedy="give --n-permutations 1000 or more",
            )
        return sign_flips(columns.n_participants, n_permutations, seed)
    given = np.asarray(signs, dtype=np.int8)
    if given.ndim != 2 or given.shape[1] != columns.n_participants or (np.abs(given) != 1).any():
        raise BadDataError(
            "Signs do not match the data.",
            where="signs",
            found=f"shape {given.shape}",
            wanted=f"(n_flips, {columns.n_participants}) of 1 and -1",
            remedy="give a row per flip, a column per participant",
        )
    return given, False


def _t_from_sum(total: FloatArray, n: FloatArray | float) -> FloatArray:
    """One-sample t from the sum of values whose squares sum to 1; infinite if all are equal."""
    with np.errstate(divide="ignore"):
        return np.asarray(total * np.sqrt((n - 1) / np.maximum(n - total**2, 0.0)))


def _sum_from_t(t: FloatArray, n: FloatArray) -> FloatArray:
    """The inverse of `_t_from_sum`."""
    size = np.minimum(np.abs(t), 1e150)  # whose square is finite
    return np.asarray(np.sign(t) * size * np.sqrt(n / (n - 1 + size**2)))


def count_at_least(null: FloatArray, observed: FloatArray, exact: bool) -> npt.NDArray[np.int64]:
    """How many draws reach each observed value; equal up to rounding counts.

    Parameters
    ----------
    null : (n_draws,) array
    observed : array of any shape
    exact : bool
        Whether sums of both were taken in float64; else they may differ by single precision.

    Returns
    -------
    int array of the shape of `observed`

    Examples
    --------
    >>> count_at_least(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.1]), exact=True).tolist()
    [2, 0]
    """
    ordered = np.sort(null)
    known = np.nan_to_num(observed, nan=0.0, posinf=0.0, neginf=0.0)
    slack = (1e-9 if exact else 1e-5) * (1 + np.abs(known))
    threshold = np.where(np.isfinite(observed), known - slack, observed)
    return len(ordered) - np.searchsorted(ordered, threshold, side="left")
