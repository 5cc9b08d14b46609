"""Inference over participants by flipping signs (max-T)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.group.one_sample import OneSample, choose_flips, count_at_least
from bids_app.threads import ordered_map

FloatArray = npt.NDArray[np.float64]

_VERTEX_CHUNK = 512


@dataclass(frozen=True, eq=False)
class SignFlipResult:
    """One-sample sign-flip test, corrected over everything but participants.

    `shape` below is that of the data without the participants.

    Attributes
    ----------
    t : shape, float64
        One-sample t, scaled; NaN where fewer than two participants are finite or all are zero.
    p : shape, float64
        Family-wise corrected p (max-T, joint over layers and vertices); NaN where t is.
    p_uncorrected : shape, float64
        p of each test by the same flips, not corrected; NaN where they were not wanted.
    n : shape, int
        Participants with a finite value.
    null_max : (n_permutations,) float64
        Largest t (largest ``|t|`` if two-sided) of each flip.
    n_permutations : int
        Flips; 2**n_participants when all were used.
    exact : bool
        Whether all flips were used, the identity among them; p is then #/2**n, else (1+b)/(1+m).
    """

    t: FloatArray
    p: FloatArray
    p_uncorrected: FloatArray
    n: npt.NDArray[np.int64]
    null_max: FloatArray
    n_permutations: int
    exact: bool


def sign_flip_max_t(
    data: npt.ArrayLike,
    *,
    n_permutations: int = 10_000,
    tail: str = "greater",
    seed: int,
    signs: npt.ArrayLike | None = None,
    uncorrected: bool = True,
    scale: npt.ArrayLike = 1.0,
    n_threads: int = 1,
) -> SignFlipResult:
    """One-sample test by sign flips, family-wise corrected by the largest t.

    Valid when participants' errors are symmetric about zero. Participants with NaN at a vertex are
    left out there; the number left is reported, and t has that many degrees of freedom less one.

    Parameters
    ----------
    data : (n_participants, n_vertices) or (n_participants, n_layers, n_vertices) array
        Values with expectation zero under the null hypothesis, such as Fisher z. The maximum is
        joint over everything but participants.
    n_permutations : int
        Flips; all 2**n_participants when there are not more.
    tail : {"greater", "two-sided"}
        Alternative.
    seed : int
        Seed; results do not depend on `n_threads`.
    signs : (n_flips, n_participants) array, optional
        Signs to use instead of drawing. They count as random flips, and the identity is added.
    uncorrected : bool
        Whether uncorrected p are computed; without them the test is a fifth faster.
    scale : float or array of the shape of the data without participants
        What the observed t is multiplied by before it is compared with those of flips: below 1
        where participants depend on one another (`bids_app.group.shared_training_scale`).
    n_threads : int
        Threads.

    Returns
    -------
    SignFlipResult
        t, corrected and uncorrected p, null distribution of the maximum.

    Raises
    ------
    BadDataError
        If there are fewer than two participants or no test is possible anywhere.
    UsageError
        If the alternative is unknown.

    Notes
    -----
    Nichols and Holmes 2002, doi:10.1002/hbm.1058. Products are single precision when flips are
    random (rounding counts in favor of the null) and double precision when all are used.

    Examples
    --------
    >>> z = np.random.default_rng(0).standard_normal((10, 2, 4))  # participants, layers, vertices
    >>> z[:, 1, 3] += 3.0
    >>> result = sign_flip_max_t(z, seed=0)
    >>> result.n_permutations, result.exact  # all 2**10 flips
    (1024, True)
    >>> np.argwhere(result.p < 0.01).tolist()
    [[1, 3]]
    """
    columns = OneSample(data, tail, scale)
    flips, exact = choose_flips(columns, n_permutations, seed, signs)
    work = np.float64 if exact else np.float32
    flips_t = np.ascontiguousarray(flips, dtype=work)
    starts = range(0, columns.n_tests, _VERTEX_CHUNK)
    sums = np.full((columns.n_sizes, len(flips)), -np.inf)
    exceed = np.zeros(columns.n_tests, dtype=np.int64)

    def run(start: int) -> tuple[int, npt.NDArray, npt.NDArray[np.int64]]:
        part = slice(start, start + _VERTEX_CHUNK)
        return (start, *columns.flip(part, flips_t, exact, count=uncorrected))

    for start, largest, count in ordered_map(run, starts, n_threads):
        np.maximum(sums, largest, out=sums)
        exceed[start : start + len(count)] = count
    null_max = columns.largest_t(sums)
    identity = 0 if exact else 1
    total = len(flips) + identity
    p = (identity + count_at_least(null_max, columns.tested(columns.t), exact)) / total
    return SignFlipResult(
        t=columns.t_map,
        p=columns.spread(p),
        p_uncorrected=columns.spread((identity + exceed) / total if uncorrected else np.nan),
        n=columns.n,
        null_max=null_max,
        n_permutations=len(flips),
        exact=exact,
    )
