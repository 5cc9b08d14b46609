"""Reliability of maps over halves of the participants and over stimuli."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, check_shape
from bids_app.group.moments import MaskedMaps
from bids_app.seeds import generator
from bids_app.statistics import finite_mean, fisher_z

FloatArray = npt.NDArray[np.float64]

_N_SPLITS = 200


@dataclass(frozen=True, eq=False)
class SplitHalf:
    """Split-half reliability of a group map.

    Attributes
    ----------
    r : (200,) float64
        Spatial correlation of the two halves' mean maps, one per random split.
    mean : float
        Fisher-z mean of r, back-transformed.
    spearman_brown : float
        Reliability of the whole group's map, 2 r / (1 + r).
    """

    r: FloatArray
    mean: float
    spearman_brown: float


def split_half(maps: npt.ArrayLike, mask: npt.ArrayLike, *, seed: int) -> SplitHalf:
    """Correlate the mean maps of random halves of the participants.

    Parameters
    ----------
    maps : (n_participants, n_vertices) array
        One map per participant; NaN are left out of the means.
    mask : (n_vertices,) bool array
        Vertices to correlate over.
    seed : int
        Of the splits.

    Returns
    -------
    SplitHalf
        Correlations and the reliability of the whole group.

    Raises
    ------
    BadDataError
        If shapes disagree or there are fewer than four participants.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.standard_normal(300) + rng.standard_normal((10, 300))  # shared map and own noise
    >>> result = split_half(maps, np.ones(300, dtype=bool), seed=0)
    >>> result.r.shape, bool(0.75 < result.mean < result.spearman_brown)
    ((200,), True)
    >>> noise = rng.standard_normal((10, 300))
    >>> bool(abs(split_half(noise, np.ones(300, dtype=bool), seed=0).mean) < 0.15)
    True
    """
    maps, mask = _check(maps, mask, "n_participants")
    n = len(maps)
    if n < 4:
        raise BadDataError(
            "Splitting in halves needs at least four participants.",
            where="maps",
            found=n,
            wanted="four or more",
            remedy="add participants, or leave split halves out",
        )
    rng = generator(seed, "split halves")
    inside = maps[:, mask]
    splits = [rng.permutation(n) < n // 2 for _ in range(_N_SPLITS)]
    r = np.array(
        [_correlate(finite_mean(inside[half]), finite_mean(inside[~half])) for half in splits]
    )
    mean = float(np.tanh(np.nanmean(fisher_z(r))))
    return SplitHalf(r=r, mean=mean, spearman_brown=2 * mean / (1 + mean))


def stimulus_reliability(maps: npt.ArrayLike, mask: npt.ArrayLike) -> FloatArray:
    """Compare group maps between held-out stimuli, leaving one stimulus out at a time.

    Parameters
    ----------
    maps : (n_stimuli, n_participants, n_vertices) array
        Maps of each participant with each stimulus held out.
    mask : (n_vertices,) bool array
        Vertices to correlate over.

    Returns
    -------
    (n_stimuli,) float64
        Spatial correlation of the map of each stimulus with the mean of the others.

    Raises
    ------
    BadDataError
        If shapes disagree or there is only one stimulus.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> maps = rng.standard_normal(300) + rng.standard_normal((3, 8, 300))  # stimuli, participants
    >>> maps[2] = rng.standard_normal((8, 300))  # nothing shared with the third stimulus
    >>> (stimulus_reliability(maps, np.ones(300, dtype=bool)) > 0.5).tolist()
    [True, True, False]
    """
    maps, mask = _check(maps, mask, "n_stimuli", "n_participants")
    if len(maps) < 2:
        raise BadDataError(
            "Comparing stimuli needs at least two of them.",
            where="maps",
            found=len(maps),
            wanted="two or more",
            remedy="add a stimulus, or leave this comparison out",
        )
    group = np.stack([finite_mean(one) for one in maps])
    others = [finite_mean(np.delete(group, index, axis=0)) for index in range(len(group))]
    return np.array(
        [_correlate(one[mask], rest[mask]) for one, rest in zip(group, others, strict=True)]
    )


def _check(
    maps: npt.ArrayLike, mask: npt.ArrayLike, *axes: str
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    maps = np.asarray(maps, dtype=np.float64)
    mask = np.asarray(mask, dtype=bool)
    check_shape("maps", maps, *axes, "n_vertices")
    check_shape("mask", mask, maps.shape[-1])
    return np.where(np.isfinite(maps), maps, np.nan), mask


def _correlate(x: FloatArray, y: FloatArray) -> float:
    if np.isfinite(x).sum() < 3 or np.isfinite(y).sum() < 3:
        return float("nan")
    r, _ = MaskedMaps(x[np.newaxis]).correlate(y[np.newaxis])
    return float(r[0, 0])
